"""The verb `backends`: list, compare, sweep and conform, as people type them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from remit.document.model import BackendEntry
from remit.host.vendor_objects import LedgerRegister
from remit.ports import VendorObject
from remit.testing.assistants_server import AssistantsServer
from remit.testing.clock import FixedClock
from remit.testing.loopback import Reply
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
CONTRACT = """
from contextlib import contextmanager

import pytest

from remit.document.model import BackendEntry
from remit.host.backends import backend_context, open_backend
from remit.testing.backend_contract import BackendContract, Stage


class Good(BackendContract):
    exempt = {name: "a transcript" for name in ("silent", "broken", "overloaded", "failing", "slow")}

    @contextmanager
    def stage(self, scene):
        step = {"say": scene.reply.text, "raw_calls": [{"name": c.name, "raw": c.raw} for c in scene.reply.calls]}
        step["stop"] = {"content_filter": "refused", "stop": "end"}.get(scene.reply.finish, scene.reply.finish)
        config = {"script": [step], "on_end": "repeat"}
        entry = BackendEntry(name="subject", adapter="scripted", provider="p", region="EU", model="m", config=config)
        yield Stage(backend=open_backend(entry, context=backend_context()), name="subject", sent=lambda: 0)


class Deaf(Good):
    @contextmanager
    def stage(self, scene):
        with super().stage(scene) as stage:
            yield Stage(backend=stage.backend, name="another", sent=stage.sent)


class Unfinished(BackendContract):
    pass


class Hostile(BackendContract):
    @contextmanager
    def stage(self, scene):
        if scene.name == "length":
            pytest.skip("as pytest does it")
        raise SystemExit(0)
"""


def test_the_installed_adapters_and_a_documents_back_ends_are_listed(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    listed = {row["adapter"]: row for row in remit("backends", "list", "--json").json}
    assert listed["openai-responses"]["builtins"] == ["code_interpreter", "file_search", "web_search"]
    assert listed["llama-cpp"]["builtins"] == []
    own = remit("backends", "list", "desk", "--json").json
    assert own == [{"name": "scripted", "adapter": "scripted", "region": "EU", "model": "transcript"}]
    assert "built-ins: code_interpreter" in remit("backends", "list").stdout


def test_a_comparison_prints_a_table_and_ends_with_its_verdict(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    agent = folder / "agent.yaml"
    more = (
        "  - {name: chat, adapter: openai-chat, provider: p, region: EU, model: m, "
        'config: {base_url: "https://vendor.invalid/v1"}}\n'
        "  - {name: us, adapter: openai-chat, provider: p, region: US, model: m, "
        'config: {base_url: "https://vendor.invalid/v1"}}\n'
    )
    agent.write_text(agent.read_text(encoding="utf-8") + more, encoding="utf-8")
    said = ("--input", "hello", *ANA, "--transcript", "desk/script.yaml")
    done = remit("backends", "compare", "desk", *said)
    assert (done.code, "lines are equal on 3 back-ends" in done.stdout) == (0, True)
    assert not (folder / ".remit").exists()
    value = remit("backends", "compare", "desk", *said, "--backend", "chat", "--json")
    assert (value.code, value.json["equal"], len(value.json["backends"])) == (1, False, 1)


def test_a_caller_who_may_not_start_the_agent_compares_nothing(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    agent = folder / "agent.yaml"
    more = (
        "  - {name: two, adapter: scripted, provider: p, region: EU, model: m, config: {path: script.yaml}}\n"
    )
    agent.write_text(agent.read_text(encoding="utf-8") + more, encoding="utf-8")
    said = ("--input", "x", "--transcript", "desk/script.yaml")
    done = remit("backends", "compare", "desk", *said, "--as", "ana", "--attr", "jurisdiction=US")
    assert done.code == 1
    assert "every run ended before any back-end was asked for" in done.stdout


def test_an_auditor_sees_built_ins_switches_and_vendor_objects_without_json(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    agent = folder / "agent.yaml"
    text = agent.read_text(encoding="utf-8")
    text = text.replace("backends:\n", "builtins:\n  - {name: web_search}\nbackends:\n")
    text = text.replace(
        "backends:\n",
        "backends:\n  - {name: first, adapter: openai-chat, provider: p, region: EU, model: m, "
        'config: {base_url: "http://127.0.0.1:9/v1", max_retries: 0}}\n',
    )
    agent.write_text(text, encoding="utf-8")
    shown = remit("inspect", "desk")
    assert "built-in: web_search (optional)" in shown.stdout
    assert remit("inspect", "desk", "--json").json["capabilities"]["builtins"][0]["name"] == "web_search"
    assert remit("run", "desk", "hello", *ANA).code == 0
    left_behind(folder / ".remit", "http://127.0.0.1:9/v1", VendorObject(kind="thread", tag="b" * 32))
    rows = remit("ledger", "show", "--store", "desk/.remit").stdout
    assert "for ana  built-ins web_search" in rows
    assert "switched from first" in rows
    assert f"planned  thread  {'b' * 32}  assistant" in rows
    assert "[think]" in rows  # the rule that allowed
    assert "run-" in rows


def test_back_ends_that_cannot_be_reached_are_no_equal_traces(
    remit: Any, project: Callable[..., Path]
) -> None:
    folder = project()
    agent = folder / "agent.yaml"
    for name in ("one", "two"):
        entry = f"  - {{name: {name}, adapter: openai-chat, provider: p, region: EU, model: m, "
        config = 'config: {base_url: "http://127.0.0.1:9/v1", max_retries: 0}}\n'
        agent.write_text(agent.read_text(encoding="utf-8") + entry + config, encoding="utf-8")
    only = ("--backend", "one", "--backend", "two")
    done = remit("backends", "compare", "desk", "--input", "x", *ANA, "--live", *only, "--json")
    assert (done.code, done.json["equal"]) == (1, False)
    assert [item["how"] for item in done.json["backends"]] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", "x"), "exactly one of `--transcript`, `--lead` and `--live`"),
        (("--input", "x", "--live", "--lead", "scripted"), "exactly one of"),
        (("--input", "x", "--transcript", "absent.yaml"), "`absent.yaml` cannot be read"),
        (("--input", "x", "--lead", "nobody"), "no back-end `nobody`"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(
    arguments: tuple[str, ...], message: str, remit: Any, project: Callable[..., Path]
) -> None:
    project()
    done = remit("backends", "compare", "desk", *ANA, *arguments)
    assert (done.code, message in done.stderr) == (2, True)


def left_behind(folder: Path, base_url: str, *things: VendorObject) -> None:
    """Note objects as a run that was killed leaves them."""
    entry = BackendEntry(
        name="assistant",
        adapter="openai-assistants",
        provider="p",
        region="EU",
        model="m",
        config={"base_url": base_url, "max_retries": 0},
    )
    with open_store(folder) as store:
        register = LedgerRegister(store, FixedClock(), agent="sha256:" + "a" * 64, run="run-x", entry=entry)
        for thing in things:
            asyncio.run(register.planned(thing))


def test_a_sweep_deletes_what_is_found_says_what_is_not_and_a_person_settles_that(
    remit: Any, tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    assistant = VendorObject(kind="assistant", tag="a" * 32)
    thread = VendorObject(kind="thread", tag="b" * 32)
    with AssistantsServer(Reply(text="x")) as server:
        left_behind(tmp_path / "store", server.base_url, assistant, thread)
        answers = tmp_path / "store" / "answers"
        answers.mkdir()
        for tag in ("b" * 32, "c" * 32):
            (answers / f"{tag}.asking").write_bytes(b"asked")
        listed = remit("backends", "sweep", "--list", "--store", store, "--json")
        assert (listed.code, [item["object"] for item in listed.json]) == (1, ["assistant", "thread"])
        assert server.received == ()
        swept = remit("backends", "sweep", "--store", store)
        assert swept.code == 1
        assert "✓ gone  assistant" in swept.stdout
        assert "? left  thread" in swept.stdout
        assert "no way to list threads" in swept.stdout
    settle = ("backends", "sweep", "--store", store, "--settle", "b" * 32)
    assert remit(*settle, "--as", "olga").code == 2
    assert remit(*settle, "--as", "olga", "--reason", "looked at the console").code == 0
    assert [file.name for file in answers.iterdir()] == [f"{'c' * 32}.asking"]
    assert remit(*settle, "--as", "olga", "--reason", "again").code == 2
    again = remit("backends", "sweep", "--store", store, "--json")
    assert (again.code, again.json) == (0, {"gone": [], "left": [], "doubts": []})
    shown = remit("ledger", "show", "--store", store, "--json")
    assert "looked at the console" in shown.stdout
    assert remit("ledger", "verify", "--store", store).code == 0


def test_a_sweep_of_a_vendor_that_is_away_loses_nothing(remit: Any, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    left_behind(tmp_path / "store", "http://127.0.0.1:9/v1", VendorObject(kind="assistant", tag="a" * 32))
    swept = remit("backends", "sweep", "--store", store, "--json")
    assert (swept.code, len(swept.json["left"]), len(swept.json["doubts"])) == (1, 1, 1)
    assert remit("backends", "sweep", "--list", "--store", store).code == 1


def test_a_contract_is_run_without_a_test_runner(
    remit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_contract.py").write_text(CONTRACT, encoding="utf-8")
    (tmp_path / "broken_contract.py").write_text("def (", encoding="utf-8")
    good = remit("backends", "conform", "my_contract:Good", "--json")
    assert (good.code, good.json["broken"]) == (0, 0)
    assert good.json["kept"] > 10
    assert good.json["exempt"] == 5
    hostile = remit("backends", "conform", "my_contract:Hostile", "--json")
    assert (hostile.code, hostile.json["kept"], hostile.json["exempt"]) == (1, 1, 1)
    deaf = remit("backends", "conform", "my_contract:Deaf")
    assert (deaf.code, "broken" in deaf.stdout) == (1, True)
    for name, message in (
        ("my_contract", "is not MODULE:CLASS"),
        ("absent:X", "cannot be imported"),
        ("my_contract:Nothing", "is no subclass"),
        ("my_contract:Unfinished", "lacks `stage`"),
        (".x:Y", "is no name of a module"),
        ("broken_contract:X", "cannot be imported"),
    ):
        refused = remit("backends", "conform", name)
        assert (refused.code, message in refused.stderr) == (2, True)
