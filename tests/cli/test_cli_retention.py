"""`remit hold` and `remit retention`, as one types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
PIA = ("--as", "pia:privacy", "--attr", "jurisdiction=EU")
LENA = ("--as", "lena:legal", "--reason", "case 4711")
OTTO = ("--as", "otto:legal", "--reason", "case closed")
STORE = ("--store", "desk/.remit")


@pytest.fixture
def visited(remit: Any, project: Callable[..., Path]) -> Path:
    folder = project()
    text = (folder / "agent.yaml").read_text()
    assert "classification: personal, subject: true}" in text
    (folder / "agent.yaml").write_text(
        text.replace(
            "classification: personal, subject: true}",
            "classification: personal, subject: true, retention_days: 30}",
        )
    )
    assert remit("run", "desk", "hello", *ANA).code == 0
    said = remit("memory", "remember", "desk", "visits", "came by", "--subject", "p-17", *ANA)
    assert said.code == 0, said.stderr
    return folder


def test_retention_is_planned_and_applied_with_a_decision_for_each_entry(remit: Any, visited: Path) -> None:
    assert remit("retention", "plan", *STORE, "--json").json["entries"] == []
    planned = remit("retention", "plan", "--now", "2999-01-01", *STORE, "--json").json
    assert [item["block"] for item in planned["entries"]] == ["visits"]
    early = remit("retention", "apply", "--now", "2999-01-01", *PIA, *STORE)
    assert (early.code, "--unsafe-future" in early.stderr) == (2, True)
    done = remit("retention", "apply", "--now", "2999-01-01", "--unsafe-future", *PIA, *STORE)
    assert (done.code, "warning" in done.stderr) == (0, True)
    assert remit("memory", "recall", "desk", "visits", *ANA, "--json").json["value"] == []
    erased = remit("ledger", "show", "--kind", "decision", "--action", "erase", *STORE, "--json")
    assert [item["record"]["body"]["verdict"] for item in erased.json] == ["allow"]
    assert remit("ledger", "verify", *STORE).code == 0
    assert visited.is_dir()


def test_what_is_held_is_not_erased_until_another_person_lifts_the_hold(remit: Any, visited: Path) -> None:
    assert visited.is_dir()
    placed = remit("hold", "place", *LENA, "--subject", "p-17", *STORE, "--json")
    hold = placed.json["id"]
    erase = ("memory", "erase", "desk", "--subject", "p-17", "--ledger", *ANA)
    held = remit(*erase)
    assert (held.code, f"hold `{hold}` of `lena` stands: case 4711" in held.stdout) == (3, True)
    kept = remit("retention", "apply", "--now", "2999-01-01", "--unsafe-future", *PIA, *STORE, "--json")
    assert (kept.json["held"], kept.json["answers"]) == (1, [])
    own = remit("hold", "lift", hold, "--as", "lena", "--reason", "mine", *STORE)
    assert (own.code, "another person must lift it" in own.stdout) == (3, True)
    assert [item["id"] for item in remit("hold", "list", *STORE, "--json").json["holds"]] == [hold]
    assert remit("hold", "lift", hold, *OTTO, *STORE).code == 0
    assert remit("hold", "list", *STORE, "--json").json == {"holds": []}
    assert remit(*erase).code == 0


def test_a_hold_on_records_keeps_what_they_say_about_a_person(remit: Any, visited: Path) -> None:
    assert visited.is_dir()
    hold = remit("hold", "place", *LENA, "--kind", "decision", *STORE, "--json").json["id"]
    done = remit("memory", "erase", "desk", "--subject", "p-17", "--ledger", *ANA, "--json")
    assert (done.code, done.json["ledger_holds"]) == (3, [hold])
    assert done.json["erased"]


def test_a_retention_file_beside_the_store_is_found_and_its_faults_have_a_place(
    remit: Any, visited: Path
) -> None:
    (visited / "retention.yaml").write_text("classes:\n  a: {contents_days: 30}\ndefault: a\n")
    wrong = remit("retention", "plan", *STORE)
    assert (wrong.code, "retention.yaml:2:22: `contents_days` is 30, below the floor" in wrong.stderr) == (
        2,
        True,
    )
    (visited / "retention.yaml").write_text("classes:\n  a: {contents_days: 300}\ndefault: a\n")
    planned = remit("retention", "plan", "--now", "2999-01-01", *STORE, "--json").json
    assert {item["class"] for item in planned["contents"]} == {"a"}


def test_a_ledger_is_pruned_on_the_record_and_its_archive_verifies_without_it(
    remit: Any, visited: Path
) -> None:
    assert visited.is_dir()
    otto = ("--as", "otto:records", "--reason", "the term is over")
    young = remit("ledger", "prune", "--to", "4", *otto, *STORE)
    assert (young.code, "keeps records 184 days" in young.stderr) == (2, True)
    late = ("--now", "2999-01-01", "--unsafe-future")
    done = remit("ledger", "prune", "--to", "4", *otto, *late, "--archive", "old.jsonl", *STORE, "--json")
    assert (done.code, done.json["first"]) == (0, 0), done.stderr
    before = done.json["before"]
    report = remit("ledger", "verify", *STORE, "--json")
    assert (report.code, report.json["complete_from"], report.json["findings"]) == (0, before, [])
    assert f"complete from record {before}" in remit("ledger", "verify", *STORE).stdout
    archive = remit("ledger", "verify-archive", "old.jsonl", "--key", "desk/.remit/log.pub", "--json")
    assert (archive.code, archive.json["size"], archive.json["findings"]) == (0, before, [])
    assert "archive intact" in remit("ledger", "verify-archive", "old.jsonl").stdout
    assert remit("run", "desk", "hello", *ANA).code == 0
    assert remit("ledger", "verify", *STORE).code == 0
    assert remit("ledger", "verify-archive", "desk/agent.yaml").code == 2
    head, *rest = Path("old.jsonl").read_text().splitlines(keepends=True)
    for first in ("[]", "5", "null", json.dumps({**json.loads(head), "origin": 5})):
        Path("other.jsonl").write_text("".join([f"{first}\n", *rest]))
        spoiled = remit("ledger", "verify-archive", "other.jsonl")
        assert (spoiled.code, "line 1, is not of an archive" in spoiled.stderr) == (2, True), first
    Path("empty.jsonl").write_text("")
    assert remit("ledger", "verify-archive", "empty.jsonl").code == 2


def test_a_hold_on_a_block_that_nobody_has_is_refused_with_those_that_there_are(
    remit: Any, visited: Path
) -> None:
    assert visited.is_dir()
    agent = remit("ledger", "show", *STORE, "--json").json[0]["record"]["agent"]
    wrong = remit("hold", "place", *LENA, "--block", "diary", *STORE)
    assert (wrong.code, "no agent in the store has a memory block `diary`" in wrong.stderr) == (2, True)
    assert "blocks are `visits`" in wrong.stderr
    near = remit("hold", "place", *LENA, "--agent", agent, "--block", "visit", *STORE)
    assert (near.code, "has no memory block `visit`; did you mean `visits`" in near.stderr) == (2, True)
    assert remit("hold", "list", *STORE, "--json").json == {"holds": []}
    assert remit("hold", "place", *LENA, "--agent", agent, "--block", "visits", *STORE).code == 0


def test_a_checkpoint_that_an_archive_says_nothing_about_is_no_damage_of_it(
    remit: Any, visited: Path
) -> None:
    assert visited.is_dir()
    otto = ("--as", "otto:records", "--reason", "the term is over", *STORE)
    late = ("--now", "2999-01-01", "--unsafe-future")
    notes: list[str] = []
    for number, wanted in enumerate((4, 8)):
        remit("ledger", "checkpoint", *STORE, "-o", f"{number}.note")
        notes.append(f"{number}.note")
        archive = ("--archive", f"{number}.jsonl")
        assert remit("ledger", "prune", "--to", str(wanted), *otto, *late, *archive).code == 0
    newer = remit("ledger", "verify-archive", "0.jsonl", "--checkpoint", notes[0])
    assert (newer.code, "and `0.jsonl` ends before record" in newer.stderr) == (2, True)
    assert "damaged" not in newer.stdout + newer.stderr
    first = Path("0.jsonl").read_text().splitlines()[-1]
    Path("old.note").write_text(json.loads(first)["checkpoint"])
    assert remit("ledger", "verify-archive", "0.jsonl", "--checkpoint", "old.note").code == 0
    edge = remit("ledger", "verify-archive", "1.jsonl", "--checkpoint", "old.note")
    assert edge.code == 0, edge.stderr
    empty = next(line for line in Path("0.jsonl").read_text().splitlines() if '"size":0' in line)
    Path("empty.note").write_text(json.loads(empty)["checkpoint"])
    older = remit("ledger", "verify-archive", "1.jsonl", "--checkpoint", "empty.note")
    assert (older.code, "`1.jsonl` begins with record" in older.stderr) == (2, True)
