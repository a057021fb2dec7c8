"""Ledger, agent store and control state in memory: for tests of what stands on them, never for service.

They keep what the ports promise (atomic batches, compare-and-swap, order) except durability.
A record is refused, and its bytes are made, by the same code as in a real store.
The Merkle log and checkpoints belong to real stores.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from remit.errors import HeadMovedError, LedgerError, SettledError
from remit.ledger.encoding import SALT_BYTES, decode_record, seal_draft
from remit.records import Draft, Receipt, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.model import Document
    from remit.ports import Batch, RunState, Stop


class MemoryLedger:
    """Implements `remit.ports.Ledger` and `remit.ports.AgentStore`; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._documents: dict[str, Document] = {}
        self._runs: dict[str, RunState] = {}
        self._failure: Exception | None = None
        self.control = MemoryControlState()

    def fail_with(self, error: Exception | None) -> None:
        """Let every later `submit` fail with `error`, through the future as the port says; None heals it."""
        self._failure = error

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        """Apply a batch whole or not at all; the future is resolved when this returns."""
        future: Future[tuple[Receipt, ...]] = Future()
        try:
            with self._lock:
                receipts = self._apply(batch)
        except Exception as error:  # noqa: BLE001  # the port says: through the future
            future.set_exception(error)
        else:
            future.set_result(receipts)
        return future

    def records(self, *, agent: str = "", run: str = "", start: int = 0) -> Iterator[Record]:
        """Iterate over records in log order, optionally of one agent or run."""
        with self._lock:
            found = tuple(self._records[start:])
        for record in found:
            if agent and record.value["agent"] != agent:
                continue
            if run and record.value["run"] != run:
                continue
            yield record

    def load(self, agent: str) -> Document | None:
        """The head document of an agent id, or None."""
        return self._documents.get(agent)

    def agents(self) -> Sequence[tuple[str, str]]:
        """`(agent id, head revision)` of every agent."""
        return tuple((agent, document.identity.revision) for agent, document in self._documents.items())

    def load_run(self, run: str) -> RunState | None:
        """A run's saved state, or None."""
        return self._runs.get(run)

    def runs(self, *, agent: str = "", status: str = "") -> Sequence[RunState]:
        """Saved runs, newest first."""
        return tuple(
            state
            for state in reversed(self._runs.values())
            if (not agent or state.agent == agent) and (not status or state.status == status)
        )

    def _is_open(self, intent: str) -> bool:
        found = False
        for record in self._records:
            body = record.value["body"]
            if record.value["kind"] == "intent":
                found = found or record.digest == intent
            elif (
                record.value["kind"] == "outcome" and isinstance(body, dict) and body.get("intent") == intent
            ):
                return False
        return found

    def _apply(self, batch: Batch) -> tuple[Receipt, ...]:
        if self._failure is not None:
            raise self._failure
        for intent in batch.settles:
            if not self._is_open(intent):
                raise SettledError(f"the intent `{intent}` is not open: it has an outcome already")
        if batch.judged is not None and any(
            record.value["run"] == batch.judged.run for record in self._records[batch.judged.size :]
        ):
            raise HeadMovedError(f"`{batch.judged.run}` has later records than this was judged by")
        added = tuple(_record(draft, len(self._records) + n) for n, draft in enumerate(batch.records))
        documents = dict(self._documents)
        if batch.create is not None:
            identity = batch.create.identity
            known = documents.get(identity.agent)
            if known is not None and known.identity.revision != identity.revision:
                raise LedgerError(f"agent `{identity.agent}` exists with other content")
            documents[identity.agent] = batch.create
        if batch.advance is not None:
            identity = batch.advance.document.identity
            head = documents.get(identity.agent)
            if head is None or head.identity.revision != batch.advance.expected:
                raise HeadMovedError(
                    f"the head of agent `{identity.agent}` is no longer `{batch.advance.expected}`"
                )
            documents[identity.agent] = batch.advance.document
        self._documents = documents
        self._records.extend(added)
        if batch.run_state is not None:
            self._runs.pop(batch.run_state.run, None)
            self._runs[batch.run_state.run] = batch.run_state
        return tuple(Receipt(index=record.index, digest=record.digest) for record in added)


class MemoryControlState:
    """Implements `remit.ports.ControlState`."""

    def __init__(self) -> None:
        self._orders: dict[str, Stop] = {}
        self._failure: Exception | None = None

    def fail_with(self, error: Exception | None) -> None:
        """Let every later call fail with `error`; None heals it."""
        self._failure = error

    def stop(self, order: Stop) -> None:
        """Keep an order; a suspend does not replace a kill."""
        self._check()
        standing = self._orders.get(order.scope)
        if standing is None or standing.order != "kill":
            self._orders[order.scope] = order

    def lift(self, scope: str, *, by: str, reason: str, at: str) -> bool:
        """Withdraw the order on `scope`; False if there was none."""
        del by, reason, at
        self._check()
        return self._orders.pop(scope, None) is not None

    def in_force(self, scopes: Sequence[str]) -> Stop | None:
        """The first order that stands on any of `scopes` (a kill before a suspend), or None."""
        self._check()
        standing = [self._orders[scope] for scope in scopes if scope in self._orders]
        return next((order for order in standing if order.order == "kill"), standing[0] if standing else None)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


def _record(draft: Draft, index: int) -> Record:
    # A real store draws a fresh salt; here nothing is ever erased, and tests want the same digests each time.
    sealed = seal_draft(draft, salt=bytes(SALT_BYTES))
    if not sealed.content:
        return decode_record(sealed.leaf(index))
    return decode_record(sealed.leaf(index), salt=sealed.salt, content=sealed.content)
