"""Whose turn it is to write: one at a time, group commit, and nobody left waiting.

Rules
1. One commits at a time. A caller that would only wait commits its own batch where nobody else is at it; what
   comes meanwhile is committed together by the writer's thread.
2. What a caller began ends with its own turn, also where it is interrupted.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.value import Value

if TYPE_CHECKING:
    from concurrent.futures import Future

    from remit.ledger.encoding import Sealed
    from remit.ledger.pruning import Cut
    from remit.ports import Batch
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


class Job(Value, frozen=True, kw_only=True):
    """A batch on its way.

    Args:
        sealed: its records, ready but for their index.
        batch: everything else that it writes.
        future: who waits for it.
        erase: indices of records whose content goes.
        cut: what is pruned.
        subject: an agent and a data subject whose keys are destroyed where nothing needs them.
    """

    sealed: tuple[Sealed, ...]
    batch: Batch
    future: Future[tuple[Receipt, ...]] | Ticket
    erase: tuple[int, ...] = ()
    cut: Cut | None = None
    subject: tuple[str, str] | None = None

    @property
    def appends_only(self) -> bool:
        """Whether it writes nothing but records: then only what breaks all can break it."""
        batch = self.batch
        return not (
            self.erase
            or self.cut
            or self.subject
            or batch.advance
            or batch.run_state
            or batch.create
            or batch.settles
            or batch.judged
            # The keys may be out of reach while everything else can be written.
            or any([draft.subject for draft in batch.records])  # noqa: C419  # as in `groups`
        )

    @property
    def erases(self) -> bool:
        """Whether bytes must leave the files."""
        advance = self.batch.advance
        return bool(self.erase or self.cut) or (advance is not None and bool(advance.erased))


Answer = tuple["Receipt", ...] | LedgerError
Answers = Sequence[Answer]


class Turns(ABC):
    """Passes the right to write from caller to caller and to a thread of its own.

    A subclass says how a group is written; its constructor ends with `start`.

    Args:
        patience_s: how long a commit may have to wait for another process.
    """

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        # INVARIANT (one at a time): who turns `_busy` on may write until it passes the turn on.
        self._lock = threading.Lock()
        self._busy = True
        self._open = True
        self._waiting: deque[Job] = deque()
        self._turn = threading.Semaphore(0)
        # A daemon: a program that ends without closing loses only what nobody was told is durable.
        self._thread = threading.Thread(target=self._work, name="remit-ledger-writer", daemon=True)

    def start(self) -> None:
        """Begin to work, once everything else is in place."""
        self._thread.start()

    @abstractmethod
    def write(self, group: list[Job]) -> Answers:
        """Write a group and answer each of its jobs; never raises but for an interrupt."""

    @abstractmethod
    def abandon(self) -> None:
        """Undo what an interrupt left, so that the next group does not go on with it."""

    @abstractmethod
    def release(self) -> None:
        """Release what was used to write; called once, at the end."""

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
            timeout_s: how long to wait. Below the time that a commit may wait for another process, the
                writer's thread does it, because a commit cannot be given up halfway.

        Raises:
            LedgerError: it cannot be written, or it is not known in time whether it was.
        """
        ticket = Ticket()
        job = Job(sealed=sealed, batch=batch, future=ticket)
        if timeout_s < self._patience_s:
            self.put(job)
            return ticket.result(timeout_s)
        mine = False
        answers: Answers = []
        try:
            with self._lock:
                self._require_open()
                if self._busy:
                    self._waiting.append(job)
                else:
                    # One statement without a call, so that no interrupt falls between the two.
                    self._busy = mine = True
            if mine:
                answers = self.write([job])
        except BaseException:
            if mine:
                # An interrupt must not leave a transaction that the next commit would continue.
                self.abandon()
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
                for job, answer in zip(group, self.write(group), strict=True):
                    if isinstance(answer, LedgerError):
                        job.future.set_exception(answer)
                    else:
                        job.future.set_result(answer)
            elif ending:
                break
            else:
                self._turn.acquire()
        self.release()

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


def receipts_of(answer: Answer) -> tuple[Receipt, ...]:
    """Return the receipts, or raise the error, that a batch was answered with."""
    if isinstance(answer, LedgerError):
        raise answer
    return answer
