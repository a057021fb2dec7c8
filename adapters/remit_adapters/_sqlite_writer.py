"""The writer: one connection a process, group commit, one checkpoint a commit.

Rules
1. One commits at a time. A caller that would only wait commits its own batch where nobody else is at it; what
   comes meanwhile is committed together by the writer's thread.
2. A batch that fails, fails alone; its neighbours are committed. Batches that only append records are written
   together; where that fails, and for all others, each batch has a savepoint of its own.
3. What breaks the transaction itself (a full disk, a lost lock, damage) fails every batch of the group.
4. Futures resolve after COMMIT; after an erasure, when the erased bytes have also left the files.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit_adapters._sqlite_agents import advance_agent, create_agent
from remit_adapters._sqlite_log import LogAppender
from remit_adapters._sqlite_runs import save_run
from remit_adapters._sqlite_schema import refusal

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from remit.ledger.encoding import Sealed
    from remit.ledger.tree import Peaks
    from remit.ports import Batch, Signer
    from remit.records import Receipt

GROUP: Final = 256


class Ticket:
    """Where a caller waits for its batch: a lock, which costs a fraction of a `Future`."""

    __slots__ = ("_answer", "_landed")

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._landed = threading.Lock()
        self._landed.acquire()

    def set_running_or_notify_cancel(self) -> bool:
        """Say that nobody can have cancelled it."""
        return True

    def set_result(self, receipts: tuple[Receipt, ...]) -> None:
        """Let the caller go on with its receipts."""
        self._answer = receipts
        self._landed.release()

    def set_exception(self, error: LedgerError) -> None:
        """Let the caller go on with an error."""
        self._answer = error
        self._landed.release()

    def result(self, timeout_s: float) -> tuple[Receipt, ...]:
        """Wait for the answer.

        Raises:
            LedgerError: nothing was written, or nothing is known after `timeout_s` seconds.
        """
        if not self._landed.acquire(timeout=timeout_s) or self._answer is None:
            raise LedgerError(f"the ledger did not answer within {timeout_s:g} s")
        return receipts_of(self._answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A batch on its way.

    Args:
        sealed: its records, ready but for their index.
        batch: everything else that it writes.
        future: who waits for it.
        erase: indices of records whose content goes.
    """

    sealed: tuple[Sealed, ...]
    batch: Batch
    future: Future[tuple[Receipt, ...]] | Ticket
    erase: tuple[int, ...] = ()

    @property
    def appends_only(self) -> bool:
        """Whether it writes nothing but records: then only what breaks all can break it."""
        batch = self.batch
        return not (self.erase or batch.advance or batch.run_state or batch.create or batch.settles)

    @property
    def erases(self) -> bool:
        """Whether bytes must leave the files."""
        return bool(self.erase) or (self.batch.advance is not None and bool(self.batch.advance.erased))


Answer = tuple["Receipt", ...] | LedgerError
_Answers = Sequence[Answer]
_Write = Callable[["Peaks", list[Job]], tuple["Peaks", _Answers]]


class Writer:
    """Owns the writing connection.

    Args:
        connection: used by the writer alone from now on.
        file: for messages.
        signer: signs checkpoints.
        origin: name of the log.
        busy_timeout_s: how long the connection waits for another process's lock.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        file: Path,
        signer: Signer,
        origin: str,
        *,
        busy_timeout_s: float,
    ) -> None:
        self._connection = connection
        self._file = file
        self._busy_timeout_s = busy_timeout_s
        self._log = LogAppender(connection, signer, origin)
        # INVARIANT (one at a time): who turns `_busy` on owns the connection until it passes the turn on.
        self._lock = threading.Lock()
        self._busy = True
        self._open = True
        self._waiting: deque[Job] = deque()
        self._turn = threading.Semaphore(0)
        self._residue = False
        # A daemon: a program that ends without closing loses only what nobody was told is durable.
        self._thread = threading.Thread(target=self._work, name="remit-ledger-writer", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue a job for the writer's thread.

        Raises:
            LedgerError: the writer is closed.
        """
        with self._lock:
            self._require_open()
            self._waiting.append(job)
            idle = not self._busy
            self._busy = True
        if idle:
            self._turn.release()

    def commit(self, sealed: tuple[Sealed, ...], batch: Batch, *, timeout_s: float) -> tuple[Receipt, ...]:
        """Make a batch durable before returning: in this thread, or in the writer's where that is at it.

        Args:
            sealed: its records.
            batch: everything else that it writes.
            timeout_s: how long to wait. Below the time that SQLite may wait for another process, the writer's
                thread does it, because a commit cannot be given up halfway.

        Raises:
            LedgerError: it cannot be written, or it is not known in time whether it was.
        """
        ticket = Ticket()
        job = Job(sealed=sealed, batch=batch, future=ticket)
        if timeout_s < self._busy_timeout_s:
            self.put(job)
            return ticket.result(timeout_s)
        mine = False
        answers: _Answers = []
        try:
            with self._lock:
                self._require_open()
                if self._busy:
                    self._waiting.append(job)
                else:
                    # One statement without a call, so that no interrupt falls between the two.
                    self._busy = mine = True
            if mine:
                answers = self._commit([job])
        except BaseException:
            if mine:
                # An interrupt must not leave a transaction that the next commit would continue.
                self._abandon()
            raise
        finally:
            if mine:
                self._pass_on()
        return receipts_of(answers[0]) if mine else ticket.result(timeout_s)

    def close(self) -> None:
        """Write what is queued, then release the connection; idempotent."""
        with self._lock:
            closing = self._open
            self._open = False
            idle = closing and not self._busy
            if idle:
                self._busy = True
        if idle:
            self._turn.release()
        self._thread.join()

    def _require_open(self) -> None:
        if not self._open:
            raise LedgerError("the store is closed")

    def _pass_on(self) -> None:
        """End a caller's turn: the writer's thread is next where somebody waits or the end has come."""
        with self._lock:
            self._busy = bool(self._waiting) or not self._open
            next_turn = self._busy
        if next_turn:
            self._turn.release()

    def _work(self) -> None:
        while True:
            group, ending = self._next_group()
            if group:
                for job, answer in zip(group, self._commit(group), strict=True):
                    if isinstance(answer, LedgerError):
                        job.future.set_exception(answer)
                    else:
                        job.future.set_result(answer)
            elif ending:
                break
            else:
                self._turn.acquire()
        if self._residue:
            self._scrub()
        self._connection.close()

    def _next_group(self) -> tuple[list[Job], bool]:
        """Take what waits, or end the turn; say whether this is the end, when nothing more can come."""
        group: list[Job] = []
        with self._lock:
            while self._waiting and len(group) < GROUP:
                job = self._waiting.popleft()
                if job.future.set_running_or_notify_cancel():
                    group.append(job)
            if not group:
                # At the end nobody gets another turn.
                self._busy = not self._open
            return group, not self._open

    def _commit(self, group: list[Job]) -> _Answers:
        if all([job.appends_only for job in group]):  # noqa: C419  # a generator costs more than most groups
            answers, apart = self._transact(group, self._append_together)
            if apart:
                answers, _ = self._transact(group, self._append_apart)
        else:
            answers, _ = self._transact(group, self._append_apart)
            erased = (
                job.erases and not isinstance(a, LedgerError) for job, a in zip(group, answers, strict=True)
            )
            self._residue = self._residue or any(erased)
        if self._residue:
            self._scrub()
        return answers

    def _transact(self, group: list[Job], write: _Write) -> tuple[_Answers, bool]:
        """Write a group in one transaction.

        Returns:
            The answers, and whether all failed, and left nothing behind, because of something that may lie
            in one batch.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            first = self._log.refresh()
            peaks, answers = write(first, group)
            if peaks.size != first.size:
                self._log.sign(peaks)
            self._connection.execute("COMMIT")
            self._log.peaks = peaks
        except sqlite3.Error as error:
            return [self._failed(error)] * len(group), not _breaks_all(error)
        except LedgerError as error:
            self._abandon()
            return [error] * len(group), False
        except Exception as error:  # noqa: BLE001  # nobody may wait forever: whatever fails, fails the group
            self._abandon()
            unforeseen = LedgerError(f"cannot write to `{self._file}`: {type(error).__name__}: {error}")
            return [unforeseen] * len(group), True
        return answers, False

    def _append_together(self, peaks: Peaks, group: list[Job]) -> tuple[Peaks, _Answers]:
        return self._log.append(peaks, [job.sealed for job in group])

    def _append_apart(self, peaks: Peaks, group: list[Job]) -> tuple[Peaks, _Answers]:
        answers: list[Answer] = []
        for job in group:
            peaks, answer = self._apply(peaks, job)
            answers.append(answer)
        return peaks, answers

    def _apply(self, peaks: Peaks, job: Job) -> tuple[Peaks, Answer]:
        """Write one batch in a savepoint; an answer that is an error left nothing behind."""
        self._connection.execute("SAVEPOINT batch")
        try:
            answer = self._write(peaks, job)
        except sqlite3.Error as error:
            if not self._connection.in_transaction or _breaks_all(error):
                raise
            failed: LedgerError = self._named(error)
        except LedgerError as error:
            failed = error
        except (TypeError, ValueError, RecursionError, AttributeError) as error:
            failed = LedgerError(f"the batch cannot be written: {type(error).__name__}: {error}")
        else:
            self._connection.execute("RELEASE batch")
            return answer
        self._connection.execute("ROLLBACK TO batch")
        self._connection.execute("RELEASE batch")
        return peaks, failed

    def _write(self, peaks: Peaks, job: Job) -> tuple[Peaks, tuple[Receipt, ...]]:
        batch = job.batch
        self._log.require_open(batch.settles)
        if batch.create is not None:
            create_agent(self._connection, batch.create)
        if batch.advance is not None:
            advance_agent(self._connection, batch.advance)
        if batch.run_state is not None:
            save_run(self._connection, batch.run_state)
        for index in job.erase:
            if not 0 <= index < peaks.size:
                raise LedgerError(f"there is no record {index} whose content could be erased")
            self._connection.execute("DELETE FROM contents WHERE idx = ?", (index,))
        peaks, answers = self._log.append(peaks, [job.sealed])
        return peaks, answers[0]

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

    def _failed(self, error: sqlite3.Error) -> LedgerError:
        self._abandon()
        return self._named(error)

    def _named(self, error: sqlite3.Error) -> LedgerError:
        return LedgerError(f"cannot write to `{self._file}`: {refusal(error)}")

    def _abandon(self) -> None:
        self._log.peaks = None
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def receipts_of(answer: Answer) -> tuple[Receipt, ...]:
    """Return the receipts, or raise the error, that a batch was answered with."""
    if isinstance(answer, LedgerError):
        raise answer
    return answer


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _breaks_all(error: sqlite3.Error) -> bool:
    name = str(getattr(error, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOMEM", "SQLITE_BUSY"))
