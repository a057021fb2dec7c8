"""The refund desk, run end to end on written transcripts: through the library, and through the real command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from examples_support import SCENES, build, copy_example, remit, rows, with_transcript

from remit import Caller, Runtime
from remit.document.parse import serialize_document

if TYPE_CHECKING:
    from pathlib import Path

ANA = Caller(id="ana", roles=("clerk",), attributes={"jurisdiction": "EU"})
BOB = Caller(id="bob", roles=("clerk",), attributes={"jurisdiction": "US"})
RITA = Caller(id="rita", roles=("risk-officer",), attributes={"jurisdiction": "EU"})
REFUNDS = "SELECT order_id, amount FROM refunds ORDER BY refund_id"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("REFUND_DESK_DB", raising=False)
    monkeypatch.delenv("REMIT_STORE", raising=False)
    return copy_example("refund-desk", tmp_path)


def _open(desk: Path, transcript: str) -> Runtime:
    with_transcript(desk, transcript)
    file = desk / "refund-desk.agent.json"
    file.write_bytes(serialize_document(build(desk)))
    return Runtime.open(file, store=desk / ".remit", backend="scripted")


def _decided(result: object, action: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.verdict, step.rules) for step in result.steps if step.action == action]  # type: ignore[attr-defined]  # RunResult


def test_a_small_refund_changes_the_file(desk: Path) -> None:
    with _open(desk, "small-refund") as runtime:
        result = runtime.run(SCENES["small-refund"], caller=ANA)
    assert (result.status, _decided(result, "refund")) == ("completed", [("allow", ("refund",))])
    assert rows(desk / "desk.sqlite3", REFUNDS) == [("A-1001", 40)]


def test_the_model_never_sees_the_customers_account(desk: Path) -> None:
    events: list[object] = []
    with _open(desk, "lookup") as runtime:
        runtime.run(SCENES["lookup"], caller=ANA, on_event=events.append)
    finished = [event for event in events if type(event).__name__ == "ToolFinished"]
    assert "[redacted]" in str(finished)
    assert [event for event in events if "DE02120300000000202051" in str(event)] == []


def test_a_refund_over_the_ceiling_is_refused_by_name_and_nothing_is_paid(desk: Path) -> None:
    with _open(desk, "too-large") as runtime:
        result = runtime.run(SCENES["too-large"], caller=ANA)
    assert (result.status, _decided(result, "refund")) == ("completed", [("deny", ("refund-ceiling",))])
    assert not (desk / "desk.sqlite3").exists() or rows(desk / "desk.sqlite3", REFUNDS) == []


def test_a_clerk_from_elsewhere_starts_nothing(desk: Path) -> None:
    with _open(desk, "small-refund") as runtime:
        result = runtime.run(SCENES["small-refund"], caller=BOB)
    assert result.status == "denied"
    assert [(s.action, s.verdict, s.rules) for s in result.steps] == [
        ("activate", "deny", ("own-jurisdiction",))
    ]
    assert not (desk / "desk.sqlite3").exists()


def test_a_run_ends_when_its_budget_is_used_up(desk: Path) -> None:
    with _open(desk, "budget") as runtime:
        result = runtime.run(SCENES["budget"], caller=ANA, environment={"call_budget": 1})
    assert result.status == "terminated"
    assert (
        result.steps[-1].action,
        result.steps[-1].verdict,
        result.steps[-1].rules,
    ) == ("continue", "deny", ("run-budget",))
    assert "budget" in result.reason


def test_a_freeze_stops_refunds_for_as_long_as_it_lasts(desk: Path) -> None:
    with _open(desk, "small-refund") as runtime:
        frozen = runtime.run(SCENES["small-refund"], caller=ANA, environment={"freeze": True})
        assert _decided(frozen, "refund") == [("deny", ("month-end-freeze",))]
        thawed = runtime.run(SCENES["small-refund"], caller=ANA)
        assert _decided(thawed, "refund") == [("allow", ("refund",))]
    assert rows(desk / "desk.sqlite3", REFUNDS) == [("A-1001", 40)]


def test_a_large_refund_is_paid_once_after_another_person_approved_it(desk: Path) -> None:
    with _open(desk, "large-refund") as runtime:
        waiting = runtime.run(SCENES["large-refund"], caller=ANA)
        assert waiting.status == "awaiting_approval"
        assert waiting.pending is not None
        own = runtime.approve(
            waiting.pending.id,
            by=Caller(id="ana", roles=("clerk", "risk-officer"), attributes={"jurisdiction": "EU"}),
            reason="mine",
        )
        assert not own.allowed
        roleless = runtime.approve(waiting.pending.id, by=BOB, reason="why not")
        assert not roleless.allowed
        assert not (desk / "desk.sqlite3").exists()
        assert runtime.approve(waiting.pending.id, by=RITA, reason="the parcel was lost").allowed
        done = runtime.resume_run(waiting.run)
    assert done.status == "completed"
    assert [verdict for verdict, _ in _decided(done, "refund")] == ["awaiting_approval", "allow"]
    assert rows(desk / "desk.sqlite3", REFUNDS) == [("A-1002", 900)]


def test_a_refused_approval_pays_nothing(desk: Path) -> None:
    with _open(desk, "large-refund") as runtime:
        waiting = runtime.run(SCENES["large-refund"], caller=ANA)
        assert waiting.pending is not None
        assert runtime.refuse(waiting.pending.id, by=RITA, reason="the parcel was delivered").allowed
        done = runtime.resume_run(waiting.run)
    assert done.status == "completed"
    assert not (desk / "desk.sqlite3").exists() or rows(desk / "desk.sqlite3", REFUNDS) == []


def test_the_command_line_stops_for_an_approval_and_goes_on_in_another_process(desk: Path) -> None:
    with_transcript(desk, "large-refund")
    who = ("--as", "ana:clerk", "--attr", "jurisdiction=EU", "--backend", "scripted", "--store", "store")
    waiting = remit("run", ".", "--input", SCENES["large-refund"], *who, cwd=desk, code=4)
    assert waiting["status"] == "awaiting_approval"
    approval = waiting["pending"]["id"]
    refused = remit(
        "approve",
        approval,
        "--as",
        "ana:risk-officer",
        "--reason",
        "mine",
        "--store",
        "store",
        cwd=desk,
        code=3,
    )
    assert refused
    remit(
        "approve",
        approval,
        "--as",
        "rita:risk-officer",
        "--attr",
        "jurisdiction=EU",
        "--reason",
        "lost",
        "--store",
        "store",
        cwd=desk,
        code=0,
    )
    done = remit("resume", waiting["run"], "--store", "store", cwd=desk, code=0)
    assert done["status"] == "completed"
    assert rows(desk / "desk.sqlite3", REFUNDS) == [("A-1002", 900)]
    assert remit("ledger", "verify", "--store", "store", cwd=desk, code=0)


def test_the_command_line_ends_each_scene_with_the_promised_code(desk: Path) -> None:
    ana = ("--as", "ana:clerk", "--attr", "jurisdiction=EU", "--backend", "scripted", "--store", "store")
    bob = ("--as", "bob:clerk", "--attr", "jurisdiction=US", "--backend", "scripted", "--store", "store")
    assert remit("run", ".", "--input", "x", *ana, cwd=desk, code=0)["status"] == "completed"
    assert remit("run", ".", "--input", "x", *bob, cwd=desk, code=3)["status"] == "denied"
    budget = remit("run", ".", "--input", "x", "--env", "call_budget=1", *ana, cwd=desk, code=5)
    assert budget["status"] == "terminated"


def test_the_cases_pass_on_the_command_line(desk: Path) -> None:
    assert remit("check", ".", cwd=desk, code=0)["failed"] == 0


def test_every_scene_of_the_demonstration_shows_what_it_promises_on_transcripts(tmp_path: Path) -> None:
    from examples_support import REPO

    shown = remit(
        "demo", str(REPO / "examples" / "refund-desk"), "--backend", "scripted", cwd=tmp_path, code=0
    )
    assert shown
