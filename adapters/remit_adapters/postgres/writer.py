"""The writer: one connection a process, group commit, one checkpoint a commit, hosts one after the other.

Rules
1. One of a process commits at a time (`stores.turns`); batches stand and fall alone (`stores.groups`).
2. Of all hosts, who appends holds the log's advisory lock until its transaction ends.
3. Futures resolve after COMMIT. Where its answer is lost, the server is asked what became of the transaction;
   only where it cannot say so in time, the error says that it is not known.
4. Keys that nothing needs any more after an erasure are destroyed before it is answered.
5. A connection that broke between two groups is made anew, and nobody hears of it.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, ClassVar, Final

import psycopg
from psycopg.pq import TransactionStatus

from remit.errors import LedgerError
from remit_adapters.postgres.agents import advance_agent, create_agent, save_run
from remit_adapters.postgres.connect import connect
from remit_adapters.postgres.errors import FATAL, refusal
from remit_adapters.postgres.keys import Sealing
from remit_adapters.postgres.log import LogAppender
from remit_adapters.postgres.prune import drop_prefix
from remit_adapters.stores.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.ledger.encoding import Sealed
    from remit.ledger.tree import Peaks
    from remit.ports import Signer, SubjectKeys
    from remit.records import Receipt
    from remit_adapters.postgres.place import Place
    from remit_adapters.stores.turns import Answers, Job

_RETRY_S: Final = 0.05


class Writer(Groups):
    """Owns the writing connection.

    Args:
        place: where.
        signer: signs checkpoints.
        origin: name of the log.
        keys: gives the subjects' keys, over a connection of the writer.
        patience_s: how long a commit waits for other hosts, and for a server that went away.
    """

    refused: ClassVar[type[Exception]] = psycopg.Error

    def __init__(
        self,
        place: Place,
        signer: Signer,
        origin: str,
        keys: Callable[[psycopg.Connection], SubjectKeys],
        *,
        patience_s: float,
    ) -> None:
        super().__init__(patience_s=patience_s)
        self._place = place
        self._wait_s = patience_s
        self._connection = self._connect()
        self._sealing = Sealing(keys)
        self._log = LogAppender(signer, origin, place.lock, self._sealing)
        self._destroy_keys()
        self.start()

    def write(self, group: list[Job]) -> Answers:
        """Write a group; keys that nothing needs any more are destroyed before anybody is answered."""
        answers = super().write(group)
        if any(job.erases or job.subject for job in group):
            self._destroy_keys()
        return answers

    def begin(self) -> Peaks:
        """Begin where nobody else appends; a connection that broke meanwhile is made anew."""
        try:
            return self._log.begin(self._connection)
        except psycopg.OperationalError as error:
            if not self._connection.broken and not self._connection.closed:
                raise
            self._log.peaks = None
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            try:
                self._connection = self._connect()
            except psycopg.Error as again:
                raise again from error
            return self._log.begin(self._connection)

    def commit_grown(self, peaks: Peaks, *, grown: bool) -> None:
        """Sign the new state where the log has grown, and commit.

        Raises:
            LedgerError: it is not known whether it was committed.
        """
        try:
            with self._connection.pipeline():
                if grown:
                    self._log.sign(self._connection, peaks)
                self._connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if not self._committed(self._log.transaction, error):
                raise
        self._log.peaks = peaks

    def append(
        self, peaks: Peaks, batches: list[Sequence[Sealed]]
    ) -> tuple[Peaks, list[tuple[Receipt, ...]]]:
        """Write records and their nodes."""
        return self._log.append(self._connection, peaks, batches)

    def apply(self, peaks: Peaks, job: Job) -> tuple[Peaks, tuple[Receipt, ...]]:
        """Write all of one batch."""
        batch, connection = job.batch, self._connection
        self._log.require_open(connection, batch.settles)
        if batch.judged is not None:
            self._log.require_newest(connection, batch.judged)
        if batch.create is not None:
            create_agent(connection, batch.create, self._sealing)
        if batch.advance is not None:
            advance_agent(connection, batch.advance, self._sealing)
        if batch.run_state is not None:
            save_run(connection, batch.run_state)
        for index in job.erase:
            if not 0 <= index < peaks.size:
                raise LedgerError(f"there is no record {index} whose content could be erased")
        if job.erase:
            self._sealing.contents_leave(connection, job.erase)
            connection.execute("DELETE FROM contents WHERE idx = ANY(%s)", ([*job.erase],))
        if job.cut is not None:
            self._sealing.contents_leave_before(connection, job.cut.start.index)
            drop_prefix(connection, job.cut, size=peaks.size)
        if job.subject is not None:
            self._sealing.subject_leaves(connection, *job.subject)
        peaks, answers = self._log.append(connection, peaks, [job.sealed])
        return peaks, answers[0]

    def savepoint(self, step: str) -> None:
        """Do one step of a savepoint."""
        self._connection.execute(step.encode())

    def breaks_all(self, error: Exception) -> bool:
        """Whether what the server raised ended the transaction or would meet every batch."""
        status = self._connection.info.transaction_status
        alive = status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}
        code = getattr(error, "sqlstate", None) or ""
        return self._connection.closed or not alive or str(code).startswith(FATAL)

    def named(self, error: Exception) -> LedgerError:
        """Say in one message what was raised."""
        why = refusal(error) if isinstance(error, psycopg.Error) else f"{type(error).__name__}: {error}"
        return LedgerError(f"cannot write to `{self._place.shown}`: {why}")

    def abandon(self) -> None:
        """Roll back what is under way, or let the connection go that cannot."""
        self._log.peaks = None
        connection = self._connection
        try:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def release(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _destroy_keys(self) -> None:
        """Destroy keys that nothing needs any more; what fails is done at the next erasure or opening."""
        with contextlib.suppress(psycopg.Error, LedgerError):
            self._sealing.destroy_unneeded(self._connection, self._place.lock)

    def _connect(self) -> psycopg.Connection:
        return connect(self._place, name="writer", patience_s=self._wait_s)

    def _committed(self, transaction: str, error: psycopg.OperationalError) -> bool:
        """Ask what became of a transaction whose COMMIT got no answer.

        Raises:
            LedgerError: the server does not say so in time.
        """
        until = time.monotonic() + self._wait_s
        with contextlib.suppress(psycopg.Error):
            self._connection.close()
        while True:
            with contextlib.suppress(psycopg.Error):
                self._connection = self._connect()
                row = self._connection.execute("SELECT pg_xact_status(%s::xid8)", (transaction,)).fetchone()
                status = row[0] if row else None
                if status in {"committed", "aborted"}:
                    return bool(status == "committed")
                if status is None:
                    break
                self._connection.close()
            if time.monotonic() > until:
                break
            time.sleep(_RETRY_S)
        self._log.peaks = None
        raise LedgerError(
            f"it is not known whether `{self._place.shown}` has committed: {refusal(error)}; "
            "read the ledger before you try again"
        ) from error
