"""Whole stories on the command line: runs, approvals, stops, memory and the ledger."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_desk import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 'script:\n  - call: {name: pay, arguments: {amount: 900, to: bob}}\n  - say: "I tried."\n'
ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
OFFICER = ("--as", "rita:officer", "--attr", "jurisdiction=EU", "--reason", "checked")
OPERATOR = ("--as", "olga:operator", "--attr", "jurisdiction=EU", "--reason", "incident 17")


def _run(remit: Any, *more: str) -> Any:
    return remit("run", "desk", "hello", *ANA, "--json", *more)


def test_a_project_folder_runs_and_its_tool_really_acts(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    done = _run(remit)
    assert (done.code, done.json["status"], done.json["text"]) == (0, "completed", "Paid 20 to bob.")
    assert (folder / "paid.txt").read_text() == "20 bob\n"
    assert (folder / ".remit").is_dir()


def test_a_second_run_goes_on_from_the_head_in_the_store_and_says_so(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    first = _run(remit).json
    done = remit("run", "desk", "hello", *ANA)
    assert f"goes on from revision {first['revision'][7:19]}" in done.stdout


def test_a_dry_run_touches_nothing(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    done = _run(remit, "--dry-run")
    assert (done.code, done.json["dry_run"]) == (0, True)
    assert not (folder / "paid.txt").exists()


def test_a_built_document_runs_from_its_own_folder_with_the_store_beside_the_caller(
    remit: Any, document: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "desk.agent.json").rename(tmp_path / "desk" / "desk.agent.json")
    done = remit("run", "desk/desk.agent.json", "hello", *ANA, "--json")
    assert (done.code, done.json["status"]) == (0, "completed")
    assert (tmp_path / ".remit").is_dir()
    assert document["identity"]["agent"] == done.json["agent"]


def test_the_store_may_be_named_by_the_environment(
    remit: Any, project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project()
    monkeypatch.setenv("REMIT_STORE", "elsewhere")
    assert _run(remit).code == 0
    assert Path("elsewhere").is_dir()
    assert not (folder / ".remit").exists()


def test_a_run_that_waits_exits_with_4_and_prints_the_command_that_approves_it(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project(script=LARGE)
    done = remit("run", "desk", "hello", *ANA)
    assert done.code == 4
    assert "pay-cap" in done.stdout
    assert "remit approve" in done.stdout
    assert "--store desk/.remit" in done.stdout
    assert not (folder / "paid.txt").exists()


def test_an_approved_run_goes_on_and_acts_once(remit: Any, project: Callable[..., Path]) -> None:
    folder = project(script=LARGE)
    waiting = _run(remit).json["pending"]["id"]
    store = ("--store", "desk/.remit")
    done = remit("approve", waiting, *OFFICER, "--continue", *store, "--json")
    assert (done.code, done.json["result"]["status"]) == (0, "completed")
    assert (folder / "paid.txt").read_text() == "900 bob\n"
    again = remit("approve", waiting, *OFFICER, "--continue", *store)
    assert (again.code, (folder / "paid.txt").read_text()) == (2, "900 bob\n")


def test_approval_and_resumption_may_be_two_invocations(remit: Any, project: Callable[..., Path]) -> None:
    folder = project(script=LARGE)
    run = _run(remit).json["run"]
    store = ("--store", "desk/.remit")
    assert remit("approve", run, *OFFICER, *store).code == 0
    assert not (folder / "paid.txt").exists()
    assert remit("resume", run, *store).code == 0
    assert (folder / "paid.txt").read_text() == "900 bob\n"


@pytest.mark.parametrize("verb", [("refuse",), ("approve", "--refuse")])
def test_a_refused_run_goes_on_without_acting(
    verb: tuple[str, ...], remit: Any, project: Callable[..., Path]
) -> None:
    folder = project(script=LARGE)
    waiting = _run(remit).json["pending"]["id"]
    done = remit(verb[0], waiting, *verb[1:], *OFFICER, "--continue", "--store", "desk/.remit", "--json")
    assert (done.code, done.json["result"]["status"]) == (0, "completed")
    assert not (folder / "paid.txt").exists()


def test_nobody_approves_without_the_role_or_their_own_request(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project(script=LARGE)
    waiting = _run(remit).json["pending"]["id"]
    more = ("--attr", "jurisdiction=EU", "--reason", "x", "--continue", "--store", "desk/.remit")
    assert remit("approve", waiting, "--as", "rita:clerk", *more).code == 3
    assert remit("approve", waiting, "--as", "ana:officer", *more).code == 3
    assert not (folder / "paid.txt").exists()


def test_a_suspended_agent_does_nothing_until_it_is_resumed(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    assert remit("suspend", "desk", "--as", "bob", "--attr", "jurisdiction=EU", "--reason", "x").code == 3
    assert remit("suspend", "desk", *OPERATOR).code == 0
    assert _run(remit).code != 0
    assert not (folder / "paid.txt").exists()
    assert remit("resume", "desk", *OPERATOR).code == 0
    assert _run(remit).code == 0


def test_a_killed_tool_is_denied_until_the_stop_is_lifted(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    assert _run(remit, "--dry-run").code == 0
    assert _run(remit).code == 0
    store = ("--store", "desk/.remit")
    assert remit("kill", "tool:pay", *OPERATOR, *store).code == 0
    _run(remit)
    assert (folder / "paid.txt").read_text() == "20 bob\n"
    lift = ("kill", "tool:pay", "--lift", "--attr", "jurisdiction=EU", "--reason", "over", *store)
    assert remit(*lift, "--as", "ana").code == 3
    for own in ("olga", "Olga", "ol\u034fga", "olga\ufe0f"):
        assert remit(*lift, "--as", f"{own}:operator", "--json").json["allowed"] is False
    _run(remit)
    assert (folder / "paid.txt").read_text() == "20 bob\n"
    assert remit(*lift, "--as", "otto:operator").code == 0
    assert remit(*lift, "--as", "otto:operator").code == 2
    assert _run(remit).code == 0
    assert (folder / "paid.txt").read_text() == "20 bob\n20 bob\n"
    orders = remit("ledger", "show", "--kind", "control", *store, "--json").json
    assert "lift" in json.dumps(orders)


def test_an_edited_record_is_found_and_named(remit: Any, project: Callable[..., Path]) -> None:
    folder = project()
    assert _run(remit).code == 0
    store = ("--store", "desk/.remit")
    assert remit("ledger", "verify", *store).code == 0
    kept = remit("ledger", "checkpoint", *store).stdout
    Path("held.note").write_text(kept)
    assert remit("ledger", "verify", "--checkpoint", "held.note", *store).code == 0
    files = [p for p in (folder / ".remit").iterdir() if p.suffix in {".sqlite3", ".db"}]
    edited = 0
    for path in files:
        with sqlite3.connect(path) as connection:
            tables = [
                row[0] for row in connection.execute("select name from sqlite_master where type='table'")
            ]
            for table in tables:
                columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
                if "leaf" in columns:
                    for trigger in connection.execute(
                        "select name from sqlite_master where type='trigger'"
                    ).fetchall():
                        connection.execute(f"drop trigger {trigger[0]}")
                    leaf = connection.execute(
                        f"select leaf from {table} order by rowid limit 1 offset 1"
                    ).fetchone()[0]
                    changed = bytes(leaf).replace(b"allow", b"allew")
                    edited += connection.execute(
                        f"update {table} set leaf = ? where leaf = ?", (changed, leaf)
                    ).rowcount
        connection.close()
    assert edited == 1
    done = remit("ledger", "verify", *store, "--json")
    assert (done.code, done.json["intact"]) == (1, False)
    assert 1 in {finding["index"] for finding in done.json["findings"]}


def test_ledger_show_filters_by_run_kind_and_action(remit: Any, project: Callable[..., Path]) -> None:
    project()
    run = _run(remit).json["run"]
    _run(remit)
    show = ("ledger", "show", "--store", "desk/.remit", "--json")
    everything = remit(*show).json
    of_run = remit(*show, "--run", run).json
    pays = remit(*show, "--kind", "decision", "--action", "pay").json
    assert {run} == {item["record"]["run"] for item in of_run}
    assert 0 < len(of_run) < len(everything)
    assert len(pays) == 2
    assert len(remit(*show, "--limit", "1").json) == 1
    assert remit(*show, "--agent", "ffff").json == []


def test_one_persons_memory_is_erased_and_the_proof_still_verifies(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    for value, subject in (("knee", "p-17"), ("ear", "p-18")):
        assert remit("memory", "remember", "desk", "visits", value, "--subject", subject, *ANA).code == 0
    listed = remit("memory", "list", "desk", "--json").json
    assert (listed["count"], [item["erased"] for item in listed["entries"]]) == (2, [False, False])
    erased = remit("memory", "erase", "desk", "--subject", "p-17", *ANA, "--json")
    assert (erased.code, len(erased.json["erased"])) == (0, 1)
    recalled = remit("memory", "recall", "desk", "visits", *ANA, "--json").json
    assert "ear" in json.dumps(recalled["value"])
    assert "knee" not in json.dumps(recalled["value"])
    proof = remit("memory", "prove", "desk", erased.json["erased"][0], "--json").json
    assert proof["present"] is True
    Path("proof.json").write_text(json.dumps(proof))
    root = remit("memory", "list", "desk", "--json").json["root"]
    assert remit("memory", "check-proof", "proof.json", "--root", root).code == 0
    assert listed["root"] == root, "erasing drops the payload, not the leaf"
    assert remit("memory", "check-proof", "proof.json", "--root", "sha256:" + "0" * 64).code == 1
    Path("proof.json").write_text("{}")
    assert remit("memory", "check-proof", "proof.json", "--root", root).code == 2
    assert remit("memory", "prove", "desk", "0" * 64, "--json").json["present"] is False


def test_one_persons_name_is_erased_from_the_ledgers_contents_where_the_rules_allow_the_erasure(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    rules = folder / "rules" / "desk.yaml"
    known, stricter = "on: [remember, recall, erase]", "on: [remember, recall, erase], when: {}"
    condition = "'context.caller.roles.contains(\"care\")'"
    rules.write_text(rules.read_text().replace(known, stricter.format(condition)))
    care = (*ANA, "--role", "care")
    for value, subject in (("knee", "p-17"), ("ear", "p-170")):
        assert remit("memory", "remember", "desk", "visits", value, "--subject", subject, *care).code == 0
    erase = ("memory", "erase", "desk", "--subject", "p-17", "--ledger", "--json")
    denied = remit(*erase, *ANA)
    assert (denied.code, denied.json["ledger_contents_erased"]) == (3, [])
    done = remit(*erase, *care)
    assert done.code == 0
    shown = json.dumps(remit("ledger", "show", "--store", "desk/.remit", "--json").json)
    assert re.findall(r"p-17\b(?!0)", shown) == []
    assert "p-170" in shown
    verified = remit("ledger", "verify", "--store", "desk/.remit", "--json")
    assert (verified.code, verified.json["erased"]) == (0, done.json["ledger_contents_erased"])
    files = [path.read_bytes() for path in (folder / ".remit").rglob("*") if path.is_file()]
    assert [data for data in files if re.search(rb"p-17(?!0)", data)] == []


def test_the_demo_plays_its_scenes_and_fails_when_an_expectation_does_not_hold(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project(script=LARGE)
    demo = """
title: Desk
scenes:
  - title: A large payment is approved
    input: pay
    as: ana
    attributes: {jurisdiction: EU}
    approve: {as: rita, roles: [officer], reason: checked}
    expect: {status: completed, waited: [pay], approved: [pay], rules: [pay-cap]}
  - title: A stranger is turned away
    input: pay
    as: bob
    attributes: {jurisdiction: US}
    expect: {status: denied, denied: [activate]}
"""
    (folder / "demo.yaml").write_text(demo)
    done = remit("demo", "desk", "--json")
    assert (done.code, done.json["passed"], done.json["failed"]) == (0, 2, 0)
    assert done.json["ledger"]["intact"] is True
    assert not (folder / "paid.txt").exists()
    (folder / "demo.yaml").write_text(demo.replace("status: denied", "status: completed"))
    failed = remit("demo", "desk")
    assert failed.code == 1
    assert "expected the run to end completed" in failed.stdout


def test_a_scene_that_is_left_waiting_does_not_block_the_next_one(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project(script=LARGE)
    scene = (
        "{title: t, input: pay, as: ana, attributes: {jurisdiction: EU}, expect: {status: awaiting_approval}}"
    )
    (folder / "demo.yaml").write_text(f"title: Desk\nscenes:\n  - {scene}\n  - {scene}\n")
    done = remit("demo", "desk", "--keep", "kept", "--json")
    assert (done.code, done.json["passed"]) == (0, 2)
    assert not Path("kept/paid.txt").exists()
    assert Path("kept/.remit").is_dir()


def _process(*args: str, folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from remit.cli.main import main; main()", *args]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, **more
    )


def test_a_process_of_its_own_answers_on_stdout_and_complains_on_stderr(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    project()
    good = _process("run", "desk", "hello", *ANA, "--json", folder=tmp_path)
    bad = _process("run", "nowhere", "hello", folder=tmp_path)
    assert (good.returncode, json.loads(good.stdout)["status"], good.stderr) == (0, "completed", "")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "Traceback" not in bad.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_ends_cleanly_with_130(project: Callable[..., Path], tmp_path: Path) -> None:
    project(script="script:\n  - {hang_s: 60, say: late}\n")
    command = [sys.executable, "-c", "from remit.cli.main import main; main()", "run", "desk", "hi", *ANA]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "back-end" in line or "dispatch" in line:
                break
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in complaint
    after = _process("ledger", "verify", "--store", "desk/.remit", folder=tmp_path)
    assert after.returncode == 0, after.stdout


EARLY = """
import os, signal, sys
class Presses:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Presses())
from remit.start import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("module", ["click", "remit.errors", "remit.cli.exits", "remit.cli.version"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_interrupt_while_the_command_is_still_being_imported_is_one_line(
    module: str, form: tuple[str, ...], tmp_path: Path
) -> None:
    code = EARLY.replace("MODULE", repr(module))
    done = subprocess.run(
        [sys.executable, "-c", code, "version", *form],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stdout + done.stderr
    if form:
        wanted = {"message": "interrupted", "file": "", "line": 0, "column": 0, "pointer": "", "hint": ""}
        error = {"kind": "Interrupted", "faults": [wanted], "exit_code": 130}
        assert (json.loads(done.stdout), done.stderr.strip()) == ({"error": error}, "")
    else:
        assert (done.stdout, done.stderr.strip()) == ("", "interrupted")


def test_the_command_begins_where_an_interrupt_is_awaited() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="remit")
    assert script.value == "remit.start:main"


def test_an_unexpected_error_is_one_line_and_exit_code_70(
    remit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from remit.cli import main as root

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("remit.cli.version.known_adapters", broken)
    result = CliRunner().invoke(root.cli, ["version"])
    assert result.exit_code == 70
    assert "internal error: ZeroDivisionError: by design" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in CliRunner().invoke(root.cli, ["version", "--debug"]).stderr


def test_text_of_the_model_cannot_steer_the_terminal(remit: Any, project: Callable[..., Path]) -> None:
    project(script='script:\n  - say: "\\e[2J\\u202eevil"\n')
    done = remit("run", "desk", "hello", *ANA)
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "evil" in done.stdout


def test_a_scene_whose_allowed_tool_fails_is_not_as_expected(
    remit: Any, project: Callable[..., Path]
) -> None:
    script = 'script:\n  - call: {name: boom, arguments: {}}\n  - say: "Done."\n'
    folder = project(script=script)
    scene = (
        "{title: It fails, as: ana, attributes: {jurisdiction: EU}, input: go, "
        "expect: {status: completed, allowed: [boom]}}"
    )
    (folder / "demo.yaml").write_text(f"title: Desk\nscenes:\n  - {scene}\n")
    done = remit("demo", "desk", "--json")
    assert (done.code, done.json["failed"]) == (1, 1)
    assert done.json["scenes"][0]["problems"] == ["expected `boom` to be done, it failed"]


def _limited(within: str) -> str:
    return RULES.replace("{approve: {by: officer}}", f"{{approve: {{by: officer, within: {within}}}}}")


def test_a_run_says_until_when_it_waits(remit: Any, project: Callable[..., Path]) -> None:
    project(script=LARGE, rules=_limited("1d"))
    done = _run(remit)
    until = done.json["pending"]["until"]
    assert (done.code, done.json["reason"]) == (4, f"waits for approval by `officer` until {until}")
    store = ("--store", "desk/.remit")
    shown = remit("resume", done.json["run"], *store)
    assert (shown.code, f"for a person with role officer until {until}" in shown.stdout) == (4, True)
    assert remit("approve", done.json["run"], *OFFICER, "--continue", *store).code == 0


def test_nobody_approves_what_has_lapsed_and_the_run_goes_on_without_it(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project(script=LARGE, rules=_limited("1ms"))
    waiting = _run(remit).json
    store = ("--store", "desk/.remit")
    late = remit("approve", waiting["run"], *OFFICER, "--continue", *store)
    until = waiting["pending"]["until"]
    assert (late.code, f"denied: the approval lapsed at {until}" in late.stdout) == (3, True)
    done = remit("resume", waiting["run"], *store, "--json")
    refused = [step["action"] for step in done.json["steps"] if step["kind"] == "approval_refused"]
    assert (done.code, refused) == (0, ["pay"])
    shown = remit("ledger", "show", "--run", waiting["run"], *store, "--json").stdout
    # Of the lapse itself, and of the decision that it turned.
    assert shown.count(f"nobody answered by {until}") == 2
    assert not (folder / "paid.txt").exists()
