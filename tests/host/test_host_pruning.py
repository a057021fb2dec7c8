"""Pruning the log of a real agent: what may go goes on the record, and what must stay is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, agent, call, order_status, refund, say

from remit import EvaluationError, Runtime
from remit.errors import LedgerError
from remit.host.holds import HoldScope, lift_hold, place_hold
from remit.host.pruning import index_at, prune
from remit.host.retention_rules import FLOOR_DAYS, RetentionClass, RetentionRules
from remit.ledger.archive import read_archive
from remit.ports import Batch
from remit.records import Draft
from remit.testing.clock import FixedClock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from remit_adapters.postgres_store import PostgresStore
    from remit_adapters.sqlite_store import SqliteStore
    from store_places import StorePlace

DAY_S = 86400.0
LARGE: dict[str, Any] = {
    "id": "large",
    "effect": "forbid",
    "on": ["refund"],
    "when": "context.input.amount > 500",
    "because": "a person",
    "obligations": [{"approve": {"by": "risk-officer"}}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An agent in a store whose clock the test moves; `old` records are there when the test begins."""

    runtime: Runtime
    store: SqliteStore | PostgresStore
    place: StorePlace
    clock: FixedClock
    old: int

    def days(self, count: float) -> None:
        self.clock.advance(count * DAY_S)

    def prune(self, wanted: int, rules: RetentionRules | None = None, **more: Any) -> Any:
        return prune(
            self.store,
            rules or RetentionRules(),
            wanted=wanted,
            now=self.clock.now(),
            by="otto",
            reason="the term is over",
            **more,
        )


@pytest.fixture
def desk(store_place: StorePlace) -> Generator[Desk]:
    clock = FixedClock()
    store = store_place.open(clock=clock)
    document = agent(call("refund", order=1, amount=20), say("done"), rules=[LARGE])
    runtime = Runtime.open(document, store=store, tools=(order_status, refund), clock=clock)
    assert runtime.run("hello", caller=ANN).status == "completed"
    yield Desk(runtime=runtime, store=store, place=store_place, clock=clock, old=store.size())
    report = store.verify()
    assert report.intact, report.findings
    runtime.close()
    store.close()


def test_old_records_go_on_the_record_and_the_agent_runs_on(desk: Desk, tmp_path: Path) -> None:
    before = desk.store.checkpoint()
    desk.days(FLOOR_DAYS)
    done = desk.prune(desk.old, archive=tmp_path / "old.jsonl")
    assert (done.first, done.before) == (0, desk.old)
    assert [record.value["body"]["operation"] for record in desk.store.records()] == ["prune"]
    assert desk.runtime.run("again", caller=ANN).status == "completed"
    report = desk.store.verify(held=(before,))
    assert (report.findings, report.complete_from) == ((), desk.old)
    archive = read_archive(tmp_path / "old.jsonl").verify(keys=(desk.store.verifier_key,))
    assert (archive.findings, archive.size) == ((), desk.old)
    (record,) = [r for r in desk.store.records() if r.digest == done.record]
    body: Any = record.value["body"]
    assert (body["by"], body["archive"]) == ("otto", done.archive)


def test_the_cut_falls_on_a_signed_checkpoint_at_or_before_what_was_asked(desk: Desk) -> None:
    desk.days(FLOOR_DAYS)
    # The activation's records share a commit with others: not every index is a signed size.
    signed = {desk.store.cut_before(index) for index in range(1, desk.old)} - {0}
    unsigned = next((index for index in range(min(signed), desk.old) if index not in signed), None)
    wanted = desk.old - 1 if unsigned is None else unsigned
    assert desk.prune(wanted).before == max(size for size in signed if size <= wanted)


def test_nothing_younger_than_the_floor_is_pruned(desk: Desk) -> None:
    desk.days(FLOOR_DAYS - 0.01)
    with pytest.raises(EvaluationError, match=r"record 0 is kept until .*keeps records 184 days"):
        desk.prune(desk.old)


def test_a_class_keeps_its_kinds_longer_and_says_how_far_the_log_can_be_pruned(desk: Desk) -> None:
    rules = RetentionRules(kinds={"outcome": RetentionClass(name="long", records_days=400)})
    desk.days(FLOOR_DAYS)
    outcome = next(r.index for r in desk.store.records() if r.value["kind"] == "outcome")
    with pytest.raises(EvaluationError, match=f"record {outcome} is kept .* before record {outcome} at most"):
        desk.prune(desk.old, rules)
    assert desk.prune(outcome, rules).before <= outcome


@pytest.mark.parametrize("scope", [{}, {"kind": "decision"}, {"until": "2026-06-01T00:00:00.000Z"}])
def test_nothing_under_a_hold_is_pruned(scope: dict[str, str], desk: Desk) -> None:
    desk.days(FLOOR_DAYS)
    hold = place_hold(desk.store, HoldScope(**scope), by="lena", reason="case 4711", at=desk.clock.now())
    with pytest.raises(EvaluationError, match=f"hold `{hold.id}` of `lena` stands: case 4711"):
        desk.prune(desk.old)
    lift_hold(desk.store, hold.id, by="otto", reason="closed", at=desk.clock.now())
    assert desk.prune(desk.old).before == desk.old


def test_the_record_of_a_standing_hold_is_not_pruned_although_it_covers_nothing_here(desk: Desk) -> None:
    elsewhere = HoldScope(agent="sha256:" + "0" * 64)
    hold = place_hold(desk.store, elsewhere, by="lena", reason="case", at=desk.clock.now())
    desk.days(FLOOR_DAYS)
    assert desk.prune(hold.index).before == hold.index
    with pytest.raises(EvaluationError, match=f"record {hold.index} is kept: hold"):
        desk.prune(hold.index + 1)


def test_records_of_a_run_that_waits_stay(desk: Desk) -> None:
    document = agent(call("refund", order=1, amount=900), say("done"), rules=[LARGE])
    waits = Runtime.open(document, store=desk.store, tools=(order_status, refund), clock=desk.clock)
    waiting = waits.run("x", caller=ANN)
    desk.days(FLOOR_DAYS)
    with pytest.raises(EvaluationError, match=f"belongs to run `{waiting.run}`, which is awaiting approval"):
        desk.prune(desk.store.size())
    assert desk.prune(desk.old).before == desk.old


def test_an_intent_without_an_outcome_stays(desk: Desk) -> None:
    draft = Draft(kind="intent", agent="", run="", at=desk.clock.now(), body={"effect": "call_tool"})
    (intent,) = desk.store.submit(Batch(records=(draft,))).result()
    desk.days(FLOOR_DAYS)
    with pytest.raises(EvaluationError, match=f"record {intent.index} is an intent without an outcome"):
        desk.prune(intent.index + 1)


def test_a_damaged_log_is_not_pruned(desk: Desk) -> None:
    desk.place.edit(("UPDATE records SET agent = 'x' WHERE idx = 1", ()))
    desk.days(FLOOR_DAYS)
    with pytest.raises(LedgerError, match="the log does not verify, so nothing of it is pruned"):
        desk.prune(desk.old)
    agent_id = desk.runtime.document.identity.agent
    desk.place.edit(("UPDATE records SET agent = ? WHERE idx = 1", (agent_id,)))


def test_an_archive_is_never_overwritten_and_without_it_nothing_goes(desk: Desk, tmp_path: Path) -> None:
    desk.days(FLOOR_DAYS)
    (tmp_path / "old.jsonl").write_text("mine")
    with pytest.raises(LedgerError, match="never overwritten"):
        desk.prune(desk.old, archive=tmp_path / "old.jsonl")
    assert next(iter(desk.store.records())).index == 0
    assert (tmp_path / "old.jsonl").read_text() == "mine"


def test_a_time_names_the_first_record_to_keep(desk: Desk) -> None:
    desk.days(10)
    desk.runtime.run("again", caller=ANN)
    assert index_at(desk.store, "2026-01-05T00:00:00.000Z") == desk.old
    assert index_at(desk.store, "2027-01-01T00:00:00.000Z") == desk.store.size()


def test_there_is_nothing_to_prune_twice(desk: Desk) -> None:
    desk.days(FLOOR_DAYS)
    desk.prune(desk.old)
    with pytest.raises(EvaluationError, match="there is nothing to prune before"):
        desk.prune(desk.old)
