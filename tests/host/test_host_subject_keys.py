"""A person's keys follow what the host does: they are made by writing, and go with the last entry, whoever erases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, agent, call, notes_block, order_status, refund, say

from remit import Runtime
from remit.document.entries import select
from remit.host.holds import HoldScope, lift_hold, place_hold
from remit.host.retention import apply_retention, erase_contents, records_naming
from remit.host.retention_rules import RetentionRules
from remit.ports import KeyOwner
from remit.testing.clock import FixedClock
from remit.testing.subject_keys import MemorySubjectKeys
from remit_adapters.sqlite_store import SqliteStore, open_store

if TYPE_CHECKING:
    from pathlib import Path


class Desk:
    """A runtime over a store whose keys the test can see."""

    def __init__(self, folder: Path, *script: dict[str, Any]) -> None:
        self.keys = MemorySubjectKeys()
        self.clock = FixedClock()
        self.store: SqliteStore = open_store(folder / "store", clock=self.clock, subject_keys=self.keys)
        block = {**notes_block(subject=True), "retention_days": 30}
        document = agent(*script, blocks=[block])
        self.runtime = Runtime.open(
            document, store=self.store, tools=(order_status, refund), clock=self.clock
        )

    def uses(self, subject: str) -> list[str]:
        """Return the uses for which a person has a key."""
        identity = self.runtime.document.identity.agent
        owners = [KeyOwner(identity, subject, "memory"), KeyOwner(identity, subject, "ledger")]
        return sorted(owner.use for owner in self.keys.obtain(owners, make=False))


@pytest.fixture
def opened() -> Any:
    desks: list[Desk] = []

    def make(folder: Path, *script: dict[str, Any]) -> Desk:
        desks.append(Desk(folder, *script))
        return desks[-1]

    yield make
    for desk in desks:
        report = desk.store.verify()
        assert report.intact, report.findings
        desk.runtime.close()
        desk.store.close()


def test_the_last_entry_takes_the_key_of_the_memory_along_and_leaves_the_evidence_its_own(
    tmp_path: Path, opened: Any
) -> None:
    desk = opened(tmp_path, say("done"))
    for text, subject in (("one", "p-1"), ("two", "p-1"), ("three", "p-2")):
        assert desk.runtime.remember("notes", text, by=ANN, subject=subject).allowed
    (first, second) = [entry.id for entry in select(desk.runtime.document.memory, subject="p-1")]
    assert desk.runtime.erase("notes", by=ANN, entry=first).allowed
    assert desk.uses("p-1") == ["ledger", "memory"]
    assert desk.runtime.erase("notes", by=ANN, entry=second).allowed
    assert (desk.uses("p-1"), desk.uses("p-2")) == (["ledger"], ["ledger", "memory"])
    named = records_naming(desk.store, desk.runtime.document.identity.agent, "p-1")
    assert [record.value["body"]["action"] for record in named] == ["remember", "remember", "erase", "erase"]


def test_an_agents_own_tool_takes_the_key_along_and_cannot_erase_what_was_decided(
    tmp_path: Path, opened: Any
) -> None:
    desk = opened(tmp_path, call("memory_erase", block="notes", subject="p-1"), say("done"))
    desk.runtime.remember("notes", "one", by=ANN, subject="p-1")
    assert desk.runtime.run("forget p-1", caller=ANN).status == "completed"
    assert desk.uses("p-1") == ["ledger"]
    erasing = [r for r in desk.store.records() if r.value["body"].get("action") == "erase"]
    assert [record.content["context"]["input"] for record in erasing] == [{"subject": "p-1"}]


def test_retention_takes_the_key_along(tmp_path: Path, opened: Any) -> None:
    desk = opened(tmp_path, say("done"))
    desk.runtime.remember("notes", "one", by=ANN, subject="p-1")
    for _ in range(30):
        desk.clock.advance(24 * 60 * 60)
    apply_retention(
        desk.store,
        RetentionRules(),
        now=desk.clock.now(),
        by="pia",
        erase=lambda item: desk.runtime.erase(item.block, by=ANN, entry=item.entry),
    )
    assert desk.uses("p-1") == ["ledger"]


def test_contents_take_their_key_along_but_for_those_under_a_hold(tmp_path: Path, opened: Any) -> None:
    desk = opened(tmp_path, say("done"))
    identity = desk.runtime.document.identity.agent
    desk.runtime.remember("notes", "one", by=ANN, subject="p-1")
    at = desk.clock.now()
    hold = place_hold(
        desk.store,
        HoldScope(agent=identity, kind="decision", subject="p-1"),
        by="lena",
        reason="a case",
        at=at,
    )
    found = records_naming(desk.store, identity, "p-1")
    kept, keepers = erase_contents(desk.store, found, by="pia", reason="request")
    assert (kept, [item.id for item in keepers]) == ((), [hold.id])
    assert desk.store.forget_subject(identity, "p-1") == {"memory": 1, "ledger": 2}
    lift_hold(desk.store, hold.id, by="otto", reason="closed", at=at)
    erase_contents(desk.store, records_naming(desk.store, identity, "p-1"), by="pia", reason="request")
    assert desk.store.forget_subject(identity, "p-1") == {"memory": 1}


def test_a_denied_question_about_a_person_is_sealed_too(tmp_path: Path, opened: Any) -> None:
    desk = opened(tmp_path, say("done"))
    desk.runtime.recall("notes", by=ANN, subject="p-9")
    desk.runtime.export("notes", by=ANN, subject="p-8")
    assert (desk.uses("p-9"), desk.uses("p-8")) == (["ledger"], ["ledger"])
    whole = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"p-9" not in whole
    assert b"p-8" not in whole
