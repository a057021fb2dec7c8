"""Retention and legal holds: what is past its time goes, through the rules; what is held stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, RISK, agent, call, notes_block, order_status, refund, say

from remit import DocumentError, EvaluationError, Runtime
from remit.errors import EnforcementError
from remit.host.holds import HOLDS, HoldScope, lift_hold, place_hold, standing_holds
from remit.host.location import location_of
from remit.host.retention import RetentionResult, apply_retention, plan_retention
from remit.host.retention_rules import FLOOR_DAYS, RetentionRules, find_retention, read_retention
from remit.testing.clock import FixedClock
from remit_adapters.sqlite_store import SqliteStore, open_store

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86400.0
CONFIG = """\
classes:
  evidence: {contents_days: 400, records_days: 2190}
  operation: {contents_days: 200}
kinds: {decision: evidence}
default: operation
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An agent with a block of notes, in a store whose clock the test moves."""

    runtime: Any
    store: SqliteStore
    clock: FixedClock
    folder: Path

    def days(self, count: float) -> None:
        self.clock.advance(count * DAY_S)

    def rules(self, text: str = CONFIG) -> RetentionRules:
        path = self.folder / "retention.yaml"
        path.write_text(text)
        return read_retention(path)

    def apply(self, rules: RetentionRules | None = None) -> RetentionResult:
        return apply_retention(
            self.store,
            rules or RetentionRules(),
            now=self.clock.now(),
            by="pia",
            erase=lambda item: self.runtime.erase(item.block, by=ANN, entry=item.entry),
        )

    def hold(self, by: str = "lena", **scope: str) -> Any:
        return place_hold(self.store, HoldScope(**scope), by=by, reason="case 4711", at=self.clock.now())

    def notes(self) -> list[Any]:
        return [item["value"] for item in self.runtime.recall("notes", by=ANN).value]

    def contents(self, kind: str) -> list[int]:
        return [
            record.index
            for record in self.store.records()
            if record.value["kind"] == kind and record.content is not None
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    clock = FixedClock()
    store = open_store(tmp_path / "store", clock=clock)
    block = {**notes_block(subject=True), "retention_days": 30}
    document = agent(call("refund", order=1, amount=20), say("done"), blocks=[block])
    runtime = Runtime.open(document, store=store, tools=(order_status, refund), clock=clock)
    yield Desk(runtime=runtime, store=store, clock=clock, folder=tmp_path)
    report = store.verify()
    assert report.intact, report.findings
    runtime.close()
    store.close()


def test_an_entry_past_its_blocks_retention_is_erased_by_a_recorded_decision(desk: Desk) -> None:
    desk.runtime.remember("notes", "old", by=ANN, subject="p-1")
    desk.days(20)
    desk.runtime.remember("notes", "young", by=ANN, subject="p-2")
    desk.days(10)
    plan = plan_retention(desk.store, RetentionRules(), now=desk.clock.now())
    assert [(item.block, item.due) for item in plan.entries] == [("notes", "2026-01-31T00:00:00.000Z")]
    assert desk.notes() == ["old", "young"]
    done = desk.apply()
    assert (done.complete, desk.notes()) == (True, ["young"])
    record = next(r for r in desk.store.records() if r.digest == done.answers[0].record)
    assert (record.value["kind"], record.value["body"]["action"]) == ("decision", "erase")


def test_an_entry_that_the_rules_keep_is_not_erased_by_retention(desk: Desk, tmp_path: Path) -> None:
    guarded = {
        **notes_block(rules=[{"id": "write", "on": ["remember", "recall"], "effect": "permit"}]),
        "retention_days": 1,
    }
    clock = desk.clock
    rt = Runtime.open(agent(say("x"), blocks=[guarded]), store=tmp_path / "other", clock=clock)
    rt.remember("notes", "kept", by=ANN)
    desk.days(2)
    done = apply_retention(
        rt.store,
        RetentionRules(),
        now=clock.now(),
        by="pia",
        erase=lambda item: rt.erase(item.block, by=ANN, entry=item.entry),
    )
    assert (done.complete, [answer.kind for answer in done.answers]) == (False, ["not_permitted"])
    rt.close()


def test_contents_go_by_the_class_of_their_kind_and_the_log_still_verifies(desk: Desk) -> None:
    rules = desk.rules()
    desk.runtime.run("hello", caller=ANN)
    decisions, outcomes = desk.contents("decision"), desk.contents("outcome")
    assert decisions
    assert outcomes
    desk.days(201)
    assert desk.apply(rules).contents == tuple(outcomes)
    assert (desk.contents("decision"), desk.contents("outcome")) == (decisions, [])
    desk.days(200)
    assert desk.apply(rules).contents == tuple(decisions)
    assert set(desk.store.verify().erased) == {*decisions, *outcomes}


def test_contents_of_a_run_that_waits_are_left_alone(desk: Desk) -> None:
    rule = {
        "id": "large",
        "effect": "forbid",
        "on": ["refund"],
        "because": "x",
        "obligations": [{"approve": {"by": "risk-officer"}}],
    }
    document = agent(call("refund", order=1, amount=900), say("done"), rules=[rule])
    waits = Runtime.open(document, store=desk.store, tools=(order_status, refund), clock=desk.clock)
    waiting = waits.run("x", caller=ANN)
    desk.days(500)
    assert desk.apply(desk.rules()).contents == ()
    assert waits.approve(waiting.pending.id, by=RISK, reason="seen").allowed
    assert waits.resume_run(waiting.run).status == "completed"


@pytest.mark.parametrize(
    "scope",
    [{}, {"block": "notes"}, {"subject": "p-1"}, {"since": "2026-01-01T00:00:00.000Z"}],
    ids=["everything", "block", "subject", "since"],
)
def test_what_a_hold_covers_is_neither_erased_nor_overwritten(scope: dict[str, str], desk: Desk) -> None:
    entry = desk.runtime.remember("notes", "evidence", by=ANN, subject="p-1").value
    hold = desk.hold(**scope)
    refusals = [
        desk.runtime.erase("notes", by=ANN, entry=entry),
        desk.runtime.erase("notes", by=ANN, subject="p-1"),
        desk.runtime.revise("notes", entry, "nothing of it", by=ANN),
    ]
    assert [(answer.allowed, answer.kind) for answer in refusals] == [(False, "held")] * 3
    assert all(hold.id in answer.because and answer.record for answer in refusals)
    desk.days(40)
    done = desk.apply()
    assert ([item.hold.id for item in done.plan.entries if item.hold], done.answers) == ([hold.id], ())
    assert desk.notes() == ["evidence"]
    lift_hold(desk.store, hold.id, by="otto", reason="case closed", at=desk.clock.now())
    assert desk.apply().complete
    assert desk.notes() == []


@pytest.mark.parametrize(
    "scope",
    [
        {"agent": "sha256:" + "0" * 64},
        {"block": "others"},
        {"subject": "p-2"},
        {"kind": "decision"},
        {"until": "2025-12-31T00:00:00.000Z"},
    ],
    ids=["agent", "block", "subject", "kind", "until"],
)
def test_a_hold_keeps_nothing_that_it_does_not_cover(scope: dict[str, str], desk: Desk) -> None:
    entry = desk.runtime.remember("notes", "free", by=ANN, subject="p-1").value
    desk.hold(**scope)
    assert desk.runtime.erase("notes", by=ANN, entry=entry).allowed


def test_contents_of_records_under_a_hold_stay(desk: Desk) -> None:
    desk.runtime.run("hello", caller=ANN)
    hold = desk.hold(kind="outcome")
    desk.days(401)
    done = desk.apply(desk.rules())
    assert desk.contents("outcome")
    assert desk.contents("decision") == []
    assert {item.hold.id for item in done.plan.contents if item.hold} == {hold.id}


def held_meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str, **scope: str) -> list[Any]:
    """Let another process place a hold once an erasure is judged, just before it is written."""
    placed: list[Any] = []
    write = getattr(desk.store, method)

    def late(*given: Any, **named: Any) -> Any:
        judged = named.get("judged") or getattr(given[0], "judged", None)
        if judged is not None and not placed:
            with open_store(desk.store.folder) as other:
                order = HoldScope(**scope)
                placed.append(place_hold(other, order, by="lena", reason="case", at=desk.clock.now()))
        return write(*given, **named)

    monkeypatch.setattr(desk.store, method, late)
    return placed


@pytest.mark.parametrize("act", ["erase an entry", "erase a person", "revise"])
def test_a_hold_that_is_placed_while_an_erasure_is_under_way_keeps_the_entry(
    act: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rt = desk.runtime
    entry = rt.remember("notes", "evidence", by=ANN, subject="p-1").value
    placed = held_meanwhile(desk, monkeypatch, "submit", subject="p-1")
    acts = {
        "erase an entry": lambda: rt.erase("notes", by=ANN, entry=entry),
        "erase a person": lambda: rt.erase("notes", by=ANN, subject="p-1"),
        "revise": lambda: rt.revise("notes", entry, "nothing of it", by=ANN),
    }
    answer = acts[act]()
    (hold,) = placed
    assert (answer.allowed, answer.kind, hold.id in answer.because) == (False, "held", True)
    assert desk.notes() == ["evidence"]


def test_a_hold_on_something_else_that_is_placed_meanwhile_stops_no_erasure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.runtime.remember("notes", "free", by=ANN, subject="p-1")
    placed = held_meanwhile(desk, monkeypatch, "submit", subject="p-2")
    assert desk.runtime.erase("notes", by=ANN, subject="p-1").allowed
    assert (len(placed), desk.notes()) == (1, [])


def test_a_hold_that_is_placed_while_contents_are_erased_keeps_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.runtime.run("hello", caller=ANN)
    kept = desk.contents("outcome")
    desk.days(401)
    held_meanwhile(desk, monkeypatch, "erase_content", kind="outcome")
    done = desk.apply(desk.rules())
    assert done.contents
    assert (desk.contents("outcome"), desk.contents("decision")) == (kept, [])


def test_a_hold_is_lifted_by_another_person_alone_and_the_attempt_is_on_record(desk: Desk) -> None:
    hold = desk.hold(by="lena")
    for same in ("lena", " LENA ", "lena\ufe0f", "l\u034fena", "lena\u3164"):
        with pytest.raises(EnforcementError, match="another person must lift it"):
            lift_hold(desk.store, hold.id, by=same, reason="mine", at=desk.clock.now())
    assert [item.id for item in standing_holds(desk.store)] == [hold.id]
    lift_hold(desk.store, hold.id[:9], by="otto", reason="closed", at=desk.clock.now())
    assert standing_holds(desk.store) == ()
    verdicts = [record.value["body"].get("verdict") for record in desk.store.records(run=HOLDS)]
    assert verdicts == [None, *["deny"] * 5, "allow"]
    with pytest.raises(EvaluationError, match="no hold"):
        lift_hold(desk.store, hold.id, by="otto", reason="again", at=desk.clock.now())


def test_a_hold_on_a_person_does_not_name_them_in_the_log_and_outlives_their_name(desk: Desk) -> None:
    entry = desk.runtime.remember("notes", "evidence", by=ANN, subject="p-9").value
    hold = desk.hold(subject="p-1")
    (record,) = desk.store.records(run=HOLDS)
    assert "p-1" not in str(record.value)
    assert desk.runtime.erase("notes", by=ANN, subject="p-3").allowed
    desk.store.erase_content(record.index, by="somebody", reason="past the hold")
    (standing,) = standing_holds(desk.store)
    assert standing.hidden
    denied = desk.runtime.erase("notes", by=ANN, entry=entry)
    assert (denied.allowed, hold.id in denied.because) == (False, True)


def test_a_hold_keeps_the_name_that_it_is_about_from_retention(desk: Desk) -> None:
    hold = desk.hold(subject="p-1", agent="sha256:" + "0" * 64)
    desk.days(1000)
    desk.apply(desk.rules())
    assert [item.scope.subject for item in standing_holds(desk.store)] == ["p-1"]
    assert hold.scope.subject == "p-1"


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({"since": "yesterday"}, "not a time"),
        ({"since": "2026-02-01T00:00:00.000Z", "until": "2026-01-01T00:00:00.000Z"}, "before it begins"),
        ({"kind": "decision", "block": "notes"}, "not both"),
        ({"subject": "4711"}, "names the data subject"),
    ],
)
def test_a_hold_that_cannot_be_meant_is_refused(scope: dict[str, str], words: str, desk: Desk) -> None:
    with pytest.raises(EvaluationError, match=words):
        desk.hold(**scope)
    assert standing_holds(desk.store) == ()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("classes: {a: {contents_days: 183}}\ndefault: a\n", "1:30", f"below the floor of {FLOOR_DAYS} days"),
        ("classes: {a: {records_days: 1}}\ndefault: a\n", "1:29", f"below the floor of {FLOOR_DAYS} days"),
        ("classes: {a: {}}\nkinds: {decisions: a}\ndefault: a\n", "2:9", "is no kind of record"),
        ("classes: {a: {}}\nkinds: {decision: b}\ndefault: a\n", "2:19", "no class is called `b`"),
        ("classes: {a: {}}\nkinds: {decision: a}\n", "1:1", "`default` is missing"),
        ("classes: {a: {content_days: 400}}\ndefault: a\n", "1:15", "unknown member `content_days`"),
        ("default: a\n", "1:1", "`classes` is missing"),
    ],
)
def test_a_retention_file_that_is_wrong_is_refused_with_the_place_of_the_fault(
    text: str, place: str, words: str, desk: Desk
) -> None:
    with pytest.raises(DocumentError) as refused:
        desk.rules(text)
    assert place in [
        f"{fault.line}:{fault.column}" for fault in refused.value.faults if words in fault.message
    ]


def test_without_a_file_nothing_expires_and_the_floor_holds(desk: Desk) -> None:
    assert find_retention(location_of(desk.store.folder)) is None
    desk.runtime.run("hello", caller=ANN)
    desk.days(5000)
    assert desk.apply().contents == ()
    assert RetentionRules().of("decision").records_days == FLOOR_DAYS
