"""A group of batches in one transaction: each stands or falls alone, unless what breaks is the transaction.

Rules
1. A batch that fails, fails alone; its neighbours are committed. Batches that only append records are written
   together; where that fails, and for all others, each batch has a savepoint of its own.
2. What breaks the transaction itself (a full disk, a lost lock, damage) fails every batch of the group.
3. Whatever fails answers somebody: nobody waits forever.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from remit.errors import LedgerError
from remit_adapters.stores.turns import Answer, Answers, Job, Turns

if TYPE_CHECKING:
    from remit.ledger.encoding import Sealed
    from remit.ledger.tree import Peaks
    from remit.records import Receipt

_Write = Callable[["Peaks", list[Job]], tuple["Peaks", Answers]]


class Groups(Turns):
    """Writes groups by what a subclass says about its database."""

    refused: ClassVar[type[Exception]]
    """What the database raises."""

    def write(self, group: list[Job]) -> Answers:
        """Write a group: together where it only appends, else each batch in a savepoint."""
        if all([job.appends_only for job in group]):  # noqa: C419  # a generator costs more than most groups
            answers, apart = self._transact(group, self._append_together)
            if not apart:
                return answers
        answers, _ = self._transact(group, self._append_apart)
        return answers

    @abstractmethod
    def begin(self) -> Peaks:
        """Begin a transaction in which nobody else appends; return the state of the log."""

    @abstractmethod
    def commit_grown(self, peaks: Peaks, *, grown: bool) -> None:
        """Sign the new state where the log has grown, and commit."""

    @abstractmethod
    def append(
        self, peaks: Peaks, batches: list[Sequence[Sealed]]
    ) -> tuple[Peaks, list[tuple[Receipt, ...]]]:
        """Write records and their nodes within the transaction."""

    @abstractmethod
    def apply(self, peaks: Peaks, job: Job) -> tuple[Peaks, tuple[Receipt, ...]]:
        """Write all of one batch within the transaction."""

    @abstractmethod
    def savepoint(self, step: str) -> None:
        """Do one of `SAVEPOINT batch`, `RELEASE batch` and `ROLLBACK TO batch`."""

    @abstractmethod
    def breaks_all(self, error: Exception) -> bool:
        """Whether what the database raised ends the transaction or would meet every batch."""

    @abstractmethod
    def named(self, error: Exception) -> LedgerError:
        """Say in one message what the database raised."""

    def _transact(self, group: list[Job], write: _Write) -> tuple[Answers, bool]:
        """Write a group in one transaction.

        Returns:
            The answers, and whether all failed, and left nothing behind, because of something that may lie
            in one batch.
        """
        try:
            first = self.begin()
            peaks, answers = write(first, group)
            self.commit_grown(peaks, grown=peaks.size != first.size)
        except self.refused as error:
            apart = not self.breaks_all(error)
            self.abandon()
            return [self.named(error)] * len(group), apart
        except LedgerError as error:
            self.abandon()
            return [error] * len(group), False
        except Exception as error:  # noqa: BLE001  # nobody may wait forever: whatever fails, fails the group
            self.abandon()
            return [self.named(error)] * len(group), True
        return answers, False

    def _append_together(self, peaks: Peaks, group: list[Job]) -> tuple[Peaks, Answers]:
        return self.append(peaks, [job.sealed for job in group])

    def _append_apart(self, peaks: Peaks, group: list[Job]) -> tuple[Peaks, Answers]:
        answers: list[Answer] = []
        for job in group:
            peaks, answer = self._apply(peaks, job)
            answers.append(answer)
        return peaks, answers

    def _apply(self, peaks: Peaks, job: Job) -> tuple[Peaks, Answer]:
        """Write one batch in a savepoint; an answer that is an error left nothing behind."""
        self.savepoint("SAVEPOINT batch")
        try:
            answer = self.apply(peaks, job)
        except self.refused as error:
            if self.breaks_all(error):
                raise
            failed: LedgerError = self.named(error)
        except LedgerError as error:
            failed = error
        except (TypeError, ValueError, RecursionError, AttributeError) as error:
            failed = LedgerError(f"the batch cannot be written: {type(error).__name__}: {error}")
        else:
            self.savepoint("RELEASE batch")
            return answer
        self.savepoint("ROLLBACK TO batch")
        self.savepoint("RELEASE batch")
        return peaks, failed
