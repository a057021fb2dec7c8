"""The writer: one connection a process, group commit, one checkpoint a commit.

Rules
1. One commits at a time (`stores.turns`); batches stand and fall alone (`stores.groups`).
2. Futures resolve after COMMIT; after an erasure, when the erased bytes have also left the files, and the
   keys that nothing needs any more are destroyed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, ClassVar

from remit.errors import LedgerError
from remit_adapters._sqlite_agents import advance_agent, create_agent
from remit_adapters._sqlite_keys import Sealing
from remit_adapters._sqlite_log import LogAppender
from remit_adapters._sqlite_prune import drop_prefix
from remit_adapters._sqlite_runs import save_run
from remit_adapters._sqlite_schema import refusal
from remit_adapters.stores.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from remit.ledger.encoding import Sealed
    from remit.ledger.tree import Peaks
    from remit.ports import Signer, SubjectKeys
    from remit.records import Receipt
    from remit_adapters.stores.turns import Answers, Job


class Writer(Groups):
    """Owns the writing connection.

    Args:
        connection: used by the writer alone from now on.
        file: for messages.
        signer: signs checkpoints.
        origin: name of the log.
        keys: the subjects' keys.
        busy_timeout_s: how long the connection waits for another process's lock.
    """

    refused: ClassVar[type[Exception]] = sqlite3.Error

    def __init__(
        self,
        connection: sqlite3.Connection,
        file: Path,
        signer: Signer,
        origin: str,
        keys: SubjectKeys,
        *,
        busy_timeout_s: float,
    ) -> None:
        super().__init__(patience_s=busy_timeout_s)
        self._connection = connection
        self._file = file
        self._busy_timeout_s = busy_timeout_s
        self._sealing = Sealing(connection, keys)
        self._log = LogAppender(connection, signer, origin, self._sealing)
        self._residue = False
        self._destroy_keys()
        self.start()

    def write(self, group: list[Job]) -> Answers:
        """Write a group; what it erases leaves the files before anybody is answered."""
        answers = super().write(group)
        leaving = False
        for job, answer in zip(group, answers, strict=True):
            if (job.subject or job.erases) and not isinstance(answer, LedgerError):
                leaving = True
                self._residue = self._residue or job.erases
        if leaving:
            self._destroy_keys()
        if self._residue:
            self._scrub()
        return answers

    def begin(self) -> Peaks:
        """Take the file's lock and read the state of the log."""
        self._connection.execute("BEGIN IMMEDIATE")
        return self._log.refresh()

    def commit_grown(self, peaks: Peaks, *, grown: bool) -> None:
        """Sign the new state where the log has grown, and commit."""
        if grown:
            self._log.sign(peaks)
        self._connection.execute("COMMIT")
        self._log.peaks = peaks

    def append(
        self, peaks: Peaks, batches: list[Sequence[Sealed]]
    ) -> tuple[Peaks, list[tuple[Receipt, ...]]]:
        """Write records and their nodes."""
        return self._log.append(peaks, batches)

    def apply(self, peaks: Peaks, job: Job) -> tuple[Peaks, tuple[Receipt, ...]]:
        """Write all of one batch."""
        batch = job.batch
        self._log.require_open(batch.settles)
        if batch.judged is not None:
            self._log.require_newest(batch.judged)
        if batch.create is not None:
            create_agent(self._connection, batch.create, self._sealing)
        if batch.advance is not None:
            advance_agent(self._connection, batch.advance, self._sealing)
        if batch.run_state is not None:
            save_run(self._connection, batch.run_state)
        if job.erase:
            self._sealing.contents_leave(job.erase)
        for index in job.erase:
            if not 0 <= index < peaks.size:
                raise LedgerError(f"there is no record {index} whose content could be erased")
            self._connection.execute("DELETE FROM contents WHERE idx = ?", (index,))
        if job.cut is not None:
            self._sealing.contents_leave_before(job.cut.start.index)
            drop_prefix(self._connection, job.cut, size=peaks.size)
        if job.subject is not None:
            self._sealing.subject_leaves(*job.subject)
        peaks, answers = self._log.append(peaks, [job.sealed])
        return peaks, answers[0]

    def savepoint(self, step: str) -> None:
        """Do one step of a savepoint."""
        self._connection.execute(step)

    def breaks_all(self, error: Exception) -> bool:
        """Whether what SQLite raised ended the transaction or would meet every batch."""
        return not self._connection.in_transaction or _is_fatal(error)

    def named(self, error: Exception) -> LedgerError:
        """Say in one message what was raised."""
        if isinstance(error, sqlite3.Error):
            return LedgerError(f"cannot write to `{self._file}`: {refusal(error)}")
        return LedgerError(f"cannot write to `{self._file}`: {type(error).__name__}: {error}")

    def abandon(self) -> None:
        """Roll back what is under way."""
        self._log.peaks = None
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def release(self) -> None:
        """Finish what erasures left, then close the connection."""
        if self._residue:
            self._scrub()
        self._connection.close()

    def _destroy_keys(self) -> None:
        """Destroy keys that nothing needs any more; what fails is done at the next erasure or opening."""
        with contextlib.suppress(sqlite3.Error, LedgerError):
            self._sealing.destroy_unneeded()

    def _scrub(self) -> None:
        """Rewrite the file and truncate the write-ahead log, so that erased bytes are in neither.

        `secure_delete` zeroes what is deleted, not what SQLite left when it moved a row to another page:
        only a rewrite is free of that.
        Where readers or a full disk prevent it, the next commit tries again.
        """
        try:
            # A reader may hold the log for long: an erasure waits for it only shortly and is finished later.
            self._connection.execute(f"PRAGMA busy_timeout={min(_ms(self._busy_timeout_s), 1000):d}")
            self._connection.execute("VACUUM")
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self._residue = bool(busy)
        except sqlite3.Error:
            self._residue = True
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute(f"PRAGMA busy_timeout={_ms(self._busy_timeout_s):d}")


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _is_fatal(error: Exception) -> bool:
    name = str(getattr(error, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOMEM", "SQLITE_BUSY"))
