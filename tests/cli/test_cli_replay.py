"""`replay`, `diff` and `shadow report`: what people and programs get, and what bad input is told."""

from __future__ import annotations

import json
import re
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from cli_desk import RULES, Remit, write_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WHO = ("--as", "ana", "--attr", "jurisdiction=EU", "--attr", "level=2")
STRICTER = RULES.replace("context.input.amount > 500\n", "context.input.amount > 10\n")


@pytest.fixture
def desk(project: Callable[..., Path], remit: Remit, tmp_path: Path) -> Path:
    """A project whose store has one run, and a stricter candidate `next` beside it."""
    project()
    assert remit("run", "desk", *WHO, "--input", "pay bob").code == 0
    write_project(tmp_path / "next", rules=STRICTER)
    return tmp_path / "desk" / ".remit"


def test_replay_says_the_denominator_first_and_then_what_flips(desk: Path, remit: Remit) -> None:
    found = remit("replay", "desk/.remit", "--against", "next")
    lines = found.stdout.splitlines()
    assert (found.code, found.stderr) == (0, "")
    assert [line.split()[0] for line in lines[:4]] == ["agent", "records", "decisions", "replayed"]
    assert "1 of 6 replayed decisions flip: 1 newly needs approval" in lines
    assert any("pay: allow by pay → awaiting approval by pay-cap" in line for line in lines)


def test_a_project_folder_stands_for_its_store(desk: Path, remit: Remit) -> None:
    assert remit("replay", "desk", "--against", "next", "--json").json["flips"] == 1


def test_replay_gives_programs_one_value_with_stable_keys(desk: Path, remit: Remit) -> None:
    value = remit("replay", "desk/.remit", "--against", "next", "--json").json
    assert sorted(value) == [
        "agent",
        "baseline",
        "by_action",
        "by_hour",
        "by_rule",
        "candidate",
        "changes",
        "checked_by_the_reference",
        "coverage",
        "decisions",
        "divergences",
        "engine",
        "examples",
        "flips",
        "flips_by_action",
        "flips_by_caller",
        "flips_by_rule",
        "follow_a_flip",
        "not_replayed",
        "notes",
        "on_other_counters",
        "processes",
        "reads_counters",
        "records",
        "replayed",
        "revision",
    ]
    assert (value["decisions"], value["replayed"], value["flips"]) == (6, 6, 1)
    assert value["flips_by_caller"]["level"] == {"2": {"newly needs approval": 1}}
    assert value["reads_counters"] == {"budget": ["usage"]}


def test_exit_code_is_for_those_who_ask_for_it(desk: Path, remit: Remit) -> None:
    assert remit("replay", "desk", "--against", "next").code == 0
    assert remit("replay", "desk", "--against", "next", "--exit-code").code == 1
    assert remit("replay", "desk", "--against", "desk", "--exit-code").code == 0
    assert remit("replay", "desk", "--against", "next", "--compare", "next", "--exit-code").code == 0


@pytest.mark.parametrize(("expect", "passes"), [("candidate", True), ("recorded", False)])
def test_flips_become_cases_that_check_reads(desk: Path, remit: Remit, expect: str, passes: bool) -> None:
    written = remit(
        "replay", "desk", "--against", "next", "--to-cases", "next/cases/f.yaml", "--expect", expect
    )
    assert "wrote 1 cases into next/cases/f.yaml" in written.stdout
    checked = remit("check", "next", "--json").json
    cases = {case["name"]: case["passed"] for case in checked["cases"]}
    assert [passed for name, passed in cases.items() if name.startswith("record ")] == [passes]


def test_a_report_is_written_in_every_form(desk: Path, remit: Remit, tmp_path: Path) -> None:
    assert remit("replay", "desk", "--against", "next", "--html", "r.html", "--markdown", "r.md").code == 0
    assert "1 newly needs approval" in (tmp_path / "r.html").read_text(encoding="utf-8")
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert text.startswith("# Replay of 6 decisions")
    # What a person looks at first: flips over time, decisions by rule, coverage by rule.
    for plot in ("Decisions and flips by hour", "Decisions that a rule determined", "Coverage by rule"):
        assert re.search(rf"^{plot}.*\n\n\|", text, re.MULTILINE), plot
    assert "| boom | 0 | 0 |" in text
    assert "| pay-cap | 1 | 1 |" in text


def test_erased_content_is_counted(desk: Path, remit: Remit) -> None:
    connection = sqlite3.connect(desk / "store.db")
    connection.execute("DELETE FROM contents WHERE idx IN (SELECT idx FROM records WHERE kind = 'decision')")
    connection.commit()
    connection.close()
    value = remit("replay", "desk", "--against", "next", "--json").json
    assert (value["replayed"], value["not_replayed"]) == (0, {"its content was erased": 6})


def test_a_record_without_its_entities_is_counted_as_not_kept(desk: Path, remit: Remit) -> None:
    import hashlib

    connection = sqlite3.connect(desk / "store.db")
    connection.executescript("DROP TRIGGER contents_stay; DROP TRIGGER records_stay_1;")
    rows = connection.execute(
        "SELECT r.idx, leaf, salt, content FROM records r JOIN contents c ON c.idx = r.idx WHERE kind = 'decision'"
    ).fetchall()
    for index, leaf, salt, content in rows:
        old = json.loads(content)
        del old["entities"]
        data = json.dumps(old, separators=(",", ":"), sort_keys=True).encode()
        record = json.loads(leaf)
        record["content"] = "sha256:" + hashlib.sha256(salt + data).hexdigest()
        text = json.dumps(record, separators=(",", ":"), sort_keys=True).encode()
        connection.execute("UPDATE contents SET content = ? WHERE idx = ?", (data, index))
        connection.execute("UPDATE records SET leaf = ? WHERE idx = ?", (text, index))
    connection.commit()
    connection.close()
    value = remit("replay", "desk", "--against", "next", "--json").json
    assert value["not_replayed"] == {"it was recorded without the entities of the request": 6}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("replay", "nowhere", "--against", "next"), "there is no store in `nowhere`"),
        (("replay", "next/agent.yaml", "--against", "next"), "is a file, not a store's folder"),
        (("replay", "next", "--against", "next"), "cannot open the store"),
        (("replay", "desk", "--against", "nothing"), "`nothing` does not exist"),
        (("replay", "desk"), "missing option `--against`"),
        (("replay", "desk", "--against", "next", "--agent", "zz"), "the store holds no agent `zz`"),
        (("replay", "desk", "--against", "next", "--processes", "-1"), "--processes"),
        (("replay", "desk", "--against", "next", "--sample", "200"), "--sample"),
        (("replay", "desk", "--against", "next", "--html", "no/such/r.html"), "cannot be a report file"),
        (("replay", "desk", "--against", "next", "--html", "desk"), "cannot be a report file"),
        (
            ("replay", "desk", "--against", "next", "--to-cases", "c.yaml", "--examples", "0"),
            "nothing to write",
        ),
        (("diff", "desk", "nothing"), "`nothing` does not exist"),
        (("diff", "desk", "next", "--cases", "prompts"), "holds no folder `cases`"),
        (("diff", "desk", "next", "--ledger", "nowhere"), "there is no store"),
        (("shadow", "report", "nowhere"), "there is no store"),
        (("run", "desk", "--shadow", "nothing", "--input", "x"), "`nothing` does not exist"),
        (("run", "desk", "--shadow", "next", "--dry-run", "--input", "x"), "nothing of a dry run is kept"),
    ],
)
def test_bad_input_is_told_in_one_message(
    desk: Path, remit: Remit, arguments: tuple[str, ...], message: str
) -> None:
    found = remit(*arguments)
    assert found.code == 2, found
    assert message in found.stderr
    value = remit(*arguments, "--json").json
    assert any(message in fault["message"] for fault in value["error"]["faults"])


def test_diff_shows_rules_in_the_authors_words_and_the_cases_that_flip(desk: Path, remit: Remit) -> None:
    found = remit("diff", "desk", "next", "--ledger", "desk", "--exit-code")
    assert found.code == 1
    assert "changed: pay-cap (next/rules/desk.yaml:8:5)" in found.stdout
    assert "-when: context.input.amount > 500" in found.stdout
    assert "+when: context.input.amount > 10" in found.stdout
    assert "case flips: a small payment is made" in found.stdout
    assert "1 rule differs; 0 declarations differ; 1 of 2 known cases flip; 1 of 6 replayed" in found.stdout


def test_diff_gives_programs_one_value(desk: Path, remit: Remit) -> None:
    value: Any = remit("diff", "desk", "next", "--ledger", "desk", "--json").json
    assert sorted(value) == [
        "cases",
        "declarations",
        "flips",
        "ledger",
        "new",
        "notes",
        "of",
        "old",
        "rules",
        "schema",
    ]
    assert [change["id"] for change in value["rules"]] == ["pay-cap"]
    assert value["flips"] == 2
    assert remit("diff", "desk", "desk", "--exit-code").code == 0


def test_a_case_about_a_tool_that_is_gone_is_named(desk: Path, remit: Remit, tmp_path: Path) -> None:
    agent = (tmp_path / "next" / "agent.yaml").read_text().replace("name: pay\n", "name: settle\n")
    rules = STRICTER.replace("tool:pay", "tool:settle")
    write_project(tmp_path / "next", agent=agent, rules=rules)
    found = remit("diff", "desk", "next")
    assert "cannot be asked" in found.stdout
    assert found.code == 0


def test_shadow_report_adds_up_what_a_candidate_would_have_answered(desk: Path, remit: Remit) -> None:
    assert remit("run", "desk", *WHO, "--input", "pay bob", "--shadow", "next").code == 0
    found = remit("shadow", "report", "desk")
    assert found.code == 0
    assert "6 decisions were shadowed, and 1 would have been others" in found.stdout
    value = remit("shadow", "report", "desk", "--json", "--exit-code")
    assert value.code == 1
    assert (value.json["decisions"], value.json["shadowed"], value.json["without_shadow"]) == (12, 6, 6)
    assert value.json["candidates"][0]["flips_by_action"] == {"pay": {"newly needs approval": 1}}
    assert remit("ledger", "verify", "--store", "desk/.remit").code == 0


def test_a_store_without_shadows_says_so(desk: Path, remit: Remit) -> None:
    assert "no decision was shadowed" in remit("shadow", "report", "desk").stdout
