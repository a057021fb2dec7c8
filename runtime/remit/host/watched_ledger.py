"""A ledger whose commits telemetry is told of; only made where somebody measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import HeadMovedError, SettledError
from remit.observations import Observation
from remit.ports import ClaimIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from remit.host.telemetry import Telemetry
    from remit.ports import Batch, Ledger
    from remit.records import Receipt, Record


class WatchedLedger:
    """Passes everything on to the ledger, and says how long a commit took and when one failed.

    Args:
        ledger: the ledger.
        telemetry: who is told.
        agent: agent id.
    """

    def __init__(self, ledger: Ledger, telemetry: Telemetry, *, agent: str) -> None:
        self._ledger = ledger
        self._telemetry = telemetry
        self._agent = agent

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        """See `Ledger.submit`."""
        began_ns = self._telemetry.now_ns()
        try:
            future = self._ledger.submit(batch)
        except Exception as error:
            self._failed(batch, began_ns, error)
            raise
        future.add_done_callback(lambda done: self._landed(batch, began_ns, done))
        return future

    def records(self, *, agent: str = "", run: str = "", start: int = 0) -> Iterator[Record]:
        """See `Ledger.records`."""
        return self._ledger.records(agent=agent, run=run, start=start)

    def _landed(self, batch: Batch, began_ns: int, done: Future[tuple[Receipt, ...]]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._tell("ledger_appended", batch, began_ns)
        else:
            self._failed(batch, began_ns, error)

    def _failed(self, batch: Batch, began_ns: int, error: BaseException) -> None:
        # A lost race is no failure: whoever lost it decides again.
        if not isinstance(error, (HeadMovedError, SettledError)):
            self._tell("ledger_failed", batch, began_ns, error=type(error).__name__)

    def _tell(self, name: str, batch: Batch, began_ns: int, **more: str) -> None:
        run = batch.records[0].run if batch.records else ""
        self._telemetry.tell(
            Observation(
                name=name,
                agent=self._agent,
                run=run,
                at_ns=self._telemetry.now_ns(),
                began_ns=began_ns,
                values={"records": len(batch.records), **more},
            )
        )


class IndexedWatchedLedger(WatchedLedger):
    """A watched ledger that finds claims, as the ledger behind it does."""

    def __init__(self, ledger: Ledger, index: ClaimIndex, telemetry: Telemetry, *, agent: str) -> None:
        super().__init__(ledger, telemetry, agent=agent)
        self._index = index

    def first_claim(self, agent: str, approval: str) -> int | None:
        """See `ClaimIndex.first_claim`."""
        return self._index.first_claim(agent, approval)


def watched(ledger: Ledger, telemetry: Telemetry | None, *, agent: str) -> Ledger:
    """Return the ledger itself where nobody measures, else one that says how it does."""
    if telemetry is None:
        return ledger
    if isinstance(ledger, ClaimIndex):
        return IndexedWatchedLedger(ledger, ledger, telemetry, agent=agent)
    return WatchedLedger(ledger, telemetry, agent=agent)
