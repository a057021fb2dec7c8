"""The contract of `remit.ports.Ledger`, `AgentStore` and `ControlState`, as a class to subclass.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: open_store(tmp_path / "store")

What it promises about a store that passes
1. A batch is written whole or not at all; a batch that fails harms no other.
2. Indices are contiguous from 0, in order of submission; what was acknowledged can be read back exactly.
3. A head moves by compare-and-swap: of two moves from one revision, one wins.
4. An agent is read back as the same revision, whatever was put and erased.
5. An intent without an outcome is listed as unfinished, and only that.
6. A control order stands until it is lifted; a kill outranks a suspend, and somebody else must lift it.
7. A store that can be pruned (`remit.ledger.pruning`) drops a prefix that a checkpoint signs, on the record
   and in one transaction, or nothing; what went verifies on its own, and what stays goes on.
8. What is about a data subject is read back exactly. In a store that seals, a subject has a key as long as
   it seals an entry or a content, and no longer.
9. What was judged by records of a run name is written only where there are no later ones.

An exemption is named and says why; it shows as a skipped test.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast
from unittest import SkipTest

from remit.document.entries import erase, remember
from remit.document.memory import Payload
from remit.document.merkle import leaf_hash
from remit.document.revision import genesis, revise
from remit.errors import EnforcementError, HeadMovedError, LedgerError, SettledError
from remit.host.retention import ContentEraser, SubjectEraser
from remit.ledger.pruned import Start
from remit.ledger.pruning import Cut, PrunableLedger
from remit.ledger.tree import Peaks
from remit.ports import Advance, Batch, Judged, PromptLedger, RunState, Stop
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.document.memory import Entry
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.host.stores import Store
    from remit.ledger.archive import Segment
    from remit.records import Receipt

AT = "2026-01-01T00:00:00.000Z"
_WAIT_S = 30.0


def contract_draft(kind: str = "decision", *, run: str = "r", agent: str = "a", **body: JsonValue) -> Draft:
    """Make a draft; `kind` is one of `RecordKind`."""
    base = Draft(kind="decision", agent=agent, run=run, at=AT, body=body)
    return replace(base, kind=kind)  # type: ignore[arg-type]  # the literal type is for callers that write it


def contract_document(nonce: str = "0" * 32, *, about_persons: bool = True) -> Document:
    """Make a small agent with one memory block for notes, which are about persons or about nobody."""
    fields: JsonObject = {
        "memory": {
            "blocks": [
                {
                    "name": "notes",
                    "description": "what was said",
                    "schema": {"type": "string"},
                    "classification": "personal",
                    "subject": about_persons,
                }
            ]
        },
        "governance": {
            "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "team"},
            "activation": [],
            "mutation": [],
            "termination": [],
        },
        "capabilities": {
            "instructions": "be brief; ça va",
            "tools": [],
            "backends": [
                {"name": "local", "adapter": "scripted", "provider": "local", "region": "EU", "model": "m"}
            ],
        },
        "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
    }
    return genesis(fields, nonce=nonce)


def contract_note(
    document: Document, key: str, text: str, *, operation: str = "remember", subject: str = "someone"
) -> Advance:
    """Make the head move that writes one note about a subject, or about nobody where that is empty."""
    memory, entry = remember(
        document.memory,
        block="notes",
        key=key,
        payload=Payload(value=text, subject=subject),
        author="agent",
        operation=operation,
        at=AT,
        salt="ab" * 16,
    )
    child = revise(
        document, operation=operation, actor='Remit::Agent::"a"', at=AT, decision="", memory=memory
    )
    return Advance(expected=document.identity.revision, document=child, put=(entry,))


def _prunable(store: Store) -> PrunableLedger:
    if not isinstance(store, PrunableLedger):
        raise SkipTest("the store cannot be pruned")
    return store


def _sealing(store: Store) -> SubjectEraser:
    if not isinstance(store, SubjectEraser):
        raise SkipTest("the store does not seal what is about a data subject")
    return store


def _cut(segment: Segment, *, size: int) -> Cut:
    peaks, _ = segment.start.peaks.extend(leaf_hash(row.leaf) for row in segment.records)
    return Cut(start=Start(peaks=peaks), size=size, by="ann", reason="the term is over")


def contract_erasure(document: Document, *entries: Entry) -> Advance:
    """Make the head move that erases entries."""
    ids = tuple(entry.id for entry in entries)
    child = revise(
        document,
        operation="erase",
        actor='Remit::Agent::"a"',
        at=AT,
        decision="",
        memory=erase(document.memory, ids),
    )
    return Advance(expected=document.identity.revision, document=child, erased=ids)


class StoreContract:
    """Subclass it and give the fixture `make_store`, which opens a fresh store."""

    exempt: ClassVar[Mapping[str, str]] = {}
    """Name of a promise → why this store does not keep it."""

    def need(self, promise: str) -> None:
        """Skip a promise that the store is exempt from."""
        if promise in self.exempt:
            raise SkipTest(f"exempt from `{promise}`: {self.exempt[promise]}")

    # --- Ledger

    def test_indices_are_contiguous_and_records_read_back_exactly(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promise 2."""
        store = make_store()
        try:
            futures = [
                store.submit(
                    Batch(
                        records=(
                            contract_draft(n=n, text="é\u2028"),
                            replace(contract_draft(n=n), content={"amount": 1.5, "none": None}),
                        )
                    )
                )
                for n in range(20)
            ]
            receipts = [receipt for future in futures for receipt in future.result(_WAIT_S)]
            assert list(range(40)) == [receipt.index for receipt in receipts]
            records = list(store.records())
            assert [(r.index, r.digest) for r in receipts] == [(r.index, r.digest) for r in records]
            assert [{"n": n // 2} | ({} if n % 2 else {"text": "é\u2028"}) for n in range(40)] == [
                record.value["body"] for record in records
            ]
            assert records[1].content == {"amount": 1.5, "none": None}
            assert records[0].content is None
        finally:
            store.close()

    def test_records_are_found_by_agent_by_run_and_from_an_index(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promise 2."""
        store = make_store()
        try:
            drafts = tuple(contract_draft(agent=f"a{n % 2}", run=f"r{n % 3}", n=n) for n in range(12))
            store.submit(Batch(records=drafts)).result(_WAIT_S)
            assert [record.index for record in store.records(agent="a1")] == [1, 3, 5, 7, 9, 11]
            assert [record.index for record in store.records(run="r2")] == [2, 5, 8, 11]
            assert [record.index for record in store.records(agent="a1", run="r2")] == [5, 11]
            assert [record.index for record in store.records(start=9)] == [9, 10, 11]
            assert list(store.records(start=12)) == []
            assert list(store.records(run="none")) == []
        finally:
            store.close()

    def test_a_batch_with_a_record_that_cannot_be_written_writes_nothing(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promise 1."""
        store = make_store()
        try:
            bad = store.submit(Batch(records=(contract_draft(n=1), contract_draft(n=1.5))))
            good = store.submit(Batch(records=(contract_draft(n=2),)))
            assert isinstance(bad.exception(_WAIT_S), LedgerError)
            assert good.result(_WAIT_S)[0].index == 0
            assert [record.value["body"] for record in store.records()] == [{"n": 2}]
        finally:
            store.close()

    def test_many_threads_append_without_gap_or_loss(self, make_store: Callable[[], Store]) -> None:
        """Promise 2."""
        store = make_store()
        receipts: list[Receipt] = []

        def append(thread: int) -> None:
            for n in range(25):
                receipts.extend(store.submit(Batch(records=(contract_draft(t=thread, n=n),))).result(_WAIT_S))

        try:
            threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert list(range(100)) == sorted(receipt.index for receipt in receipts)
            written = [cast("JsonObject", record.value["body"]) for record in store.records()]
            for number in range(4):
                assert list(range(25)) == [body["n"] for body in written if body["t"] == number]
        finally:
            store.close()

    def test_threads_that_commit_and_threads_that_submit_share_one_log(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promise 2."""
        store = make_store()
        receipts: list[Receipt] = []

        def append(thread: int, ledger: PromptLedger) -> None:
            for n in range(25):
                batch = Batch(records=(contract_draft(t=thread, n=n),))
                wait = thread % 2 == 0
                made = (
                    ledger.commit(batch, timeout_s=_WAIT_S) if wait else store.submit(batch).result(_WAIT_S)
                )
                receipts.extend(made)

        try:
            if not isinstance(store, PromptLedger):
                raise SkipTest("the store commits in a thread of its own only")
            threads = [threading.Thread(target=append, args=(number, store)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            digests = {record.index: record.digest for record in store.records()}
            assert {receipt.index: receipt.digest for receipt in receipts} == digests
            assert list(digests) == list(range(100))
        finally:
            store.close()

    def test_an_intent_without_an_outcome_is_unfinished(self, make_store: Callable[[], Store]) -> None:
        """Promise 5."""
        self.need("unfinished")
        store = make_store()
        try:
            batch = Batch(records=tuple(contract_draft("intent", run=f"r{n}", n=n) for n in range(3)))
            receipts = store.submit(batch).result(_WAIT_S)
            settled = contract_draft("outcome", run="r1", intent=receipts[1].digest, status="ok")
            store.submit(Batch(records=(settled,))).result(_WAIT_S)
            assert [record.index for record in store.unfinished()] == [0, 2]
            assert [receipts[0].digest, receipts[2].digest] == [
                record.digest for record in store.unfinished()
            ]
        finally:
            store.close()

    # --- AgentStore

    def test_an_agent_is_read_back_as_the_same_revision(self, make_store: Callable[[], Store]) -> None:
        """Promise 4."""
        store = make_store()
        try:
            document = contract_document()
            store.submit(Batch(records=(contract_draft(),), create=document)).result(_WAIT_S)
            for n in range(5):
                advance = contract_note(document, f"k{n}", f"note {n}")
                document = advance.document
                store.submit(Batch(records=(contract_draft(n=n),), advance=advance)).result(_WAIT_S)
            identity = document.identity
            loaded = store.load(identity.agent)
            assert loaded is not None
            assert identity == loaded.identity
            assert document.lineage.operations == loaded.lineage.operations
            assert list(document.memory.tree) == list(loaded.memory.tree)
            assert ((identity.agent, identity.revision),) == tuple(store.agents())
            assert store.load("sha256:" + "0" * 64) is None
        finally:
            store.close()

    def test_revised_and_erased_entries_are_read_back_so(self, make_store: Callable[[], Store]) -> None:
        """Promise 4."""
        store = make_store()
        try:
            document = contract_document()
            store.submit(Batch(records=(), create=document)).result(_WAIT_S)
            first = contract_note(document, "k", "first")
            second = contract_note(first.document, "k", "second", operation="revise")
            third = contract_erasure(second.document, *second.put)
            for advance in (first, second, third):
                store.submit(Batch(records=(contract_draft(),), advance=advance)).result(_WAIT_S)
            loaded = store.load(document.identity.agent)
            assert loaded is not None
            assert third.document.identity.revision == loaded.identity.revision
            assert [entry.payload for entry in loaded.memory.tree] == [None]
        finally:
            store.close()

    def test_of_two_moves_from_one_head_one_wins_and_the_other_writes_nothing(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promises 1 and 3."""
        store = make_store()
        try:
            document = contract_document()
            store.submit(Batch(records=(), create=document)).result(_WAIT_S)
            moves = [contract_note(document, f"k{n}", "x") for n in range(2)]
            state = RunState(run="r", agent=document.identity.agent, status="running", value={})
            one = store.submit(Batch(records=(contract_draft(n=0),), advance=moves[0]))
            two = store.submit(Batch(records=(contract_draft(n=1),), advance=moves[1], run_state=state))
            three = store.submit(Batch(records=(contract_draft(n=2),)))
            assert one.result(_WAIT_S)[0].index == 0
            assert isinstance(two.exception(_WAIT_S), HeadMovedError)
            assert three.result(_WAIT_S)[0].index == 1
            assert [record.value["body"] for record in store.records()] == [{"n": 0}, {"n": 2}]
            assert store.load_run("r") is None
            loaded = store.load(document.identity.agent)
            assert loaded is not None
            assert moves[0].document.identity.revision == loaded.identity.revision
        finally:
            store.close()

    def test_an_intent_is_settled_once_by_those_who_ask_for_that(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promises 1 and 3."""
        store = make_store()
        try:
            intent = store.submit(Batch(records=(contract_draft("intent", n=0),))).result(_WAIT_S)[0].digest
            outcome = contract_draft("outcome", intent=intent, status="unknown")
            settling = Batch(records=(outcome,), settles=(intent,))
            one, two = store.submit(settling), store.submit(settling)
            three = store.submit(Batch(records=(contract_draft(n=1),), settles=("sha256:" + "0" * 64,)))
            assert one.result(_WAIT_S)[0].index == 1
            assert isinstance(two.exception(_WAIT_S), SettledError)
            assert isinstance(three.exception(_WAIT_S), SettledError)
            assert [record.value["kind"] for record in store.records()] == ["intent", "outcome"]
        finally:
            store.close()

    def test_what_was_judged_by_records_that_are_not_the_newest_is_not_written(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promises 1 and 8."""
        store = make_store()
        try:
            document = contract_document()
            store.submit(Batch(records=(), create=document)).result(_WAIT_S)
            move = contract_note(document, "k", "x")
            read = Judged(run="orders", size=0)
            store.submit(Batch(records=(contract_draft(n=0, run="others"),), judged=read)).result(_WAIT_S)
            # In one group with what outdates it, as well as after it.
            placed = store.submit(Batch(records=(contract_draft("control", n=1, run="orders"),)))
            late = store.submit(Batch(records=(contract_draft(n=2),), advance=move, judged=read))
            assert placed.result(_WAIT_S)[0].index == 1
            alone = store.submit(Batch(records=(contract_draft(n=3),), judged=read))
            assert isinstance(late.exception(_WAIT_S), HeadMovedError)
            assert isinstance(alone.exception(_WAIT_S), HeadMovedError)
            assert store.load(document.identity.agent) == document
            again = replace(read, size=2)
            store.submit(Batch(records=(contract_draft(n=4),), advance=move, judged=again)).result(_WAIT_S)
            assert [record.value["body"] for record in store.records()] == [{"n": 0}, {"n": 1}, {"n": 4}]
            loaded = store.load(document.identity.agent)
            assert loaded is not None
            assert loaded.identity.revision == move.document.identity.revision
        finally:
            store.close()

    def test_what_is_about_a_subject_is_read_back_exactly(self, make_store: Callable[[], Store]) -> None:
        """Rule 8."""
        document = contract_document()
        advance = contract_note(document, "k1", "the knee")
        content: JsonObject = {"context": {"input": {"subject": "someone"}}}
        draft = replace(contract_draft(agent=document.identity.agent), content=content, subject="someone")
        store = make_store()
        try:
            store.submit(Batch(records=(), create=document)).result(timeout=_WAIT_S)
            store.submit(Batch(records=(draft,), advance=advance)).result(timeout=_WAIT_S)
            loaded = store.load(document.identity.agent)
            assert loaded is not None
            assert [*loaded.memory.tree] == [*advance.document.memory.tree]
            assert [record.content for record in store.records()] == [content]
        finally:
            store.close()

    def test_a_subject_has_a_key_as_long_as_it_seals_an_entry(self, make_store: Callable[[], Store]) -> None:
        """Rule 8."""
        document = contract_document()
        first = contract_note(document, "k1", "the knee")
        second = contract_note(first.document, "k2", "the hip")
        revised = contract_note(second.document, "k1", "both knees", operation="revise")
        agent = document.identity.agent
        store = make_store()
        try:
            eraser = _sealing(store)
            assert eraser.forget_subject(agent, "someone") == {}
            store.submit(Batch(records=(), create=document)).result(timeout=_WAIT_S)
            for advance in (first, second, revised):
                store.submit(Batch(records=(), advance=advance)).result(timeout=_WAIT_S)
            assert eraser.forget_subject(agent, "someone") == {"memory": 2}
            erasure = contract_erasure(revised.document, *first.put)
            store.submit(Batch(records=(), advance=erasure)).result(timeout=_WAIT_S)
            assert eraser.forget_subject(agent, "someone") == {"memory": 1}
            rest = contract_erasure(erasure.document, *second.put)
            store.submit(Batch(records=(), advance=rest)).result(timeout=_WAIT_S)
            assert eraser.forget_subject(agent, "someone") == {}
            loaded = store.load(agent)
            assert loaded is not None
            assert [entry.payload for entry in loaded.memory.tree] == [None, None]
            assert loaded.identity == rest.document.identity
        finally:
            store.close()

    def test_a_subject_has_a_key_as_long_as_it_seals_a_content(self, make_store: Callable[[], Store]) -> None:
        """Rule 8."""
        drafts = [replace(contract_draft(n=n), content={"n": n}, subject=f"p-{n // 2}") for n in range(4)]
        store = make_store()
        try:
            eraser = _sealing(store)
            if not isinstance(store, ContentEraser):
                raise SkipTest("the store cannot erase contents")
            store.submit(Batch(records=tuple(drafts))).result(timeout=_WAIT_S)
            assert eraser.forget_subject("a", "p-0") == {"ledger": 2}
            store.erase_content(0, by="officer", reason="request")
            assert eraser.forget_subject("a", "p-0") == {"ledger": 1}
            store.erase_content(1, by="officer", reason="request")
            assert eraser.forget_subject("a", "p-0") == {}
            assert eraser.forget_subject("a", "p-1") == {"ledger": 2}
            found = [record.content for record in store.records()]
            assert found == [None, None, {"n": 2}, {"n": 3}, None, None]
        finally:
            store.close()

    def test_an_agent_is_created_once(self, make_store: Callable[[], Store]) -> None:
        """Promise 3."""
        store = make_store()
        try:
            document = contract_document()
            later = contract_note(document, "k", "x").document
            store.submit(Batch(records=(), create=document)).result(_WAIT_S)
            assert store.submit(Batch(records=(), create=document)).result(_WAIT_S) == ()
            refused = store.submit(Batch(records=(contract_draft(),), create=later))
            assert isinstance(refused.exception(_WAIT_S), LedgerError)
            assert list(store.records()) == []
            assert len(store.agents()) == 1
        finally:
            store.close()

    def test_a_move_of_an_unknown_agent_is_refused(self, make_store: Callable[[], Store]) -> None:
        """Promise 3."""
        store = make_store()
        try:
            refused = store.submit(Batch(records=(), advance=contract_note(contract_document(), "k", "x")))
            assert isinstance(refused.exception(_WAIT_S), LedgerError)
        finally:
            store.close()

    def test_runs_are_saved_and_listed_newest_first(self, make_store: Callable[[], Store]) -> None:
        """Promise 4."""
        store = make_store()
        try:
            for number, status in enumerate(("running", "awaiting_approval", "running")):
                state = RunState(run=f"r{number}", agent=f"a{number % 2}", status=status, value={"n": number})
                store.submit(Batch(records=(), run_state=state)).result(_WAIT_S)
            ended = RunState(run="r1", agent="a1", status="ended", value={"thread": ["é", 1.5, None]})
            store.submit(Batch(records=(contract_draft(),), run_state=ended)).result(_WAIT_S)
            assert ended == store.load_run("r1")
            assert store.load_run("r9") is None
            assert [state.run for state in store.runs()] == ["r1", "r2", "r0"]
            assert [state.run for state in store.runs(agent="a0")] == ["r2", "r0"]
            assert [state.run for state in store.runs(status="ended")] == ["r1"]
            assert list(store.runs(agent="a1", status="running")) == []
        finally:
            store.close()

    # --- PrunableLedger

    def test_a_pruned_prefix_verifies_on_its_own_and_the_log_goes_on(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promise 7."""
        store = make_store()
        try:
            ledger = _prunable(store)
            for number in range(7):
                store.submit(Batch(records=(contract_draft(n=number),))).result(_WAIT_S)
            before = ledger.cut_before(5)
            segment = ledger.segment(before)
            assert (before, [row.index for row in segment.records]) == (5, [0, 1, 2, 3, 4])
            assert segment.verify().intact
            receipt = ledger.prune(_cut(segment, size=7))
            assert (receipt.index, ledger.size()) == (7, 8)
            assert [record.index for record in store.records()] == [5, 6, 7]
            (after,) = store.submit(Batch(records=(contract_draft(n=8),))).result(_WAIT_S)
            assert after.index == 8  # noqa: PLR2004  # as many as were recorded
            again = ledger.segment(ledger.cut_before(8))
            assert (again.start.index, again.verify().intact) == (5, True)
        finally:
            store.close()

    def test_a_pruning_that_is_not_as_it_was_judged_drops_nothing(
        self, make_store: Callable[[], Store]
    ) -> None:
        """Promise 7."""
        store = make_store()
        try:
            ledger = _prunable(store)
            for number in range(3):
                store.submit(Batch(records=(contract_draft(n=number),))).result(_WAIT_S)
            (intent,) = store.submit(Batch(records=(contract_draft("intent"),))).result(_WAIT_S)
            store.submit(Batch(records=(contract_draft(n=9),))).result(_WAIT_S)
            judged = _cut(ledger.segment(2), size=5)
            wrong = Peaks(size=2, digests=(bytes(32),))
            for cut in (
                replace(judged, size=4),
                replace(judged, start=replace(judged.start, peaks=wrong)),
                _cut(ledger.segment(4), size=5),
            ):
                try:
                    ledger.prune(cut)
                except LedgerError:
                    continue
                raise AssertionError("something was pruned that was not as it was judged")
            assert [record.index for record in store.records()] == [0, 1, 2, 3, 4]
            store.submit(Batch(records=(contract_draft("outcome", intent=intent.digest),))).result(_WAIT_S)
            ledger.prune(_cut(ledger.segment(4), size=6))
            assert [record.index for record in store.records()] == [4, 5, 6]
        finally:
            store.close()

    # --- ControlState

    def test_an_order_stands_until_it_is_lifted(self, make_store: Callable[[], Store]) -> None:
        """Promise 6."""
        store = make_store()
        try:
            order = Stop(scope="run:r", order="suspend", by="ann", reason="look", at=AT)
            assert store.control.in_force(["all", "run:r"]) is None
            store.control.stop(order)
            assert order == store.control.in_force(["all", "run:r"])
            assert store.control.in_force(["all", "run:other"]) is None
            assert store.control.lift("run:r", by="ann", reason="fine", at=AT)
            assert store.control.in_force(["run:r"]) is None
            assert not store.control.lift("run:r", by="ann", reason="fine", at=AT)
        finally:
            store.close()

    def test_a_kill_outranks_a_suspend(self, make_store: Callable[[], Store]) -> None:
        """Promise 6."""
        store = make_store()
        try:
            store.control.stop(Stop(scope="all", order="suspend", by="ann", reason="", at=AT))
            kill = Stop(scope="tool:pay", order="kill", by="bob", reason="fraud", at=AT)
            store.control.stop(kill)
            assert kill == store.control.in_force(["all", "tool:pay"])
            store.control.stop(replace(kill, order="suspend", by="eve"))
            assert kill == store.control.in_force(["tool:pay"])
            store.control.stop(replace(kill, scope="all"))
            found = store.control.in_force(["all"])
            assert found is not None
            assert found.order == "kill"
        finally:
            store.close()

    def test_a_kill_is_lifted_by_somebody_else(self, make_store: Callable[[], Store]) -> None:
        """Promise 6."""
        self.need("two people lift a kill")
        store = make_store()
        try:
            store.control.stop(Stop(scope="all", order="kill", by="Ann", reason="fraud", at=AT))
            # The same name in other letters, and with marks that nobody sees.
            for same in (" ann", "Ann\ufe0f", "A\u034fnn", "Ann\u3164"):
                try:
                    store.control.lift("all", by=same, reason="never mind", at=AT)
                except EnforcementError:
                    continue
                raise AssertionError(f"a kill was lifted by {same!a}, who gave it as `Ann`")
            assert store.control.in_force(["all"]) is not None
            assert store.control.lift("all", by="bob", reason="cleared", at=AT)
            assert store.control.in_force(["all"]) is None
        finally:
            store.close()
