"""What a ledger may have besides: its oldest part can go, on the record, and what remains still verifies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from remit.ledger.archive import Segment
    from remit.ledger.pruned import Start
    from remit.records import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A pruning that was judged.

    Args:
        start: what the log begins with afterwards; `start.index` is the index of its first record.
        size: how many records the log had when it was judged; where it has grown, nothing is pruned.
        by: who prunes.
        reason: why.
        archive: digest of the archive of what goes, `sha256:<hex>`; empty where there is none.
    """

    start: Start
    size: int
    by: str
    reason: str
    archive: str = ""


@runtime_checkable
class PrunableLedger(Protocol):
    """A ledger that can be pruned at its signed checkpoints."""

    def size(self) -> int:
        """The number of records that were ever recorded."""
        ...

    def cut_before(self, index: int) -> int:
        """Return the largest signed size up to `index` at which the log can be cut; 0 where there is none."""
        ...

    def segment(self, before: int) -> Segment:
        """Return the records that are there before `before`, a value of `cut_before`.

        Raises:
            LedgerError: it is no place to cut at, or the log cannot be read.
        """
        ...

    def prune(self, cut: Cut) -> Receipt:
        """Record the pruning and drop what lies before it, in one transaction.

        What is kept: the peaks of the tree there, every node that later proofs need, the checkpoint that
        signs exactly what goes, and all later ones.

        Raises:
            HeadMovedError: the log has grown since it was judged; nothing changed.
            LedgerError: an intent before the cut is open, the cut is at no checkpoint, or what it says is
                not what the log holds; nothing changed.
        """
        ...
