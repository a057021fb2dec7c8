"""Pruning in any store: what a pruned log starts with, when it may be cut, and which nodes stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import HeadMovedError, LedgerError
from remit.ledger.encoding import decode_leaf
from remit.ledger.pruned import PRUNE, Start
from remit.ledger.tree import node_number, peak_places
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.ledger.pruning import Cut
    from remit.ledger.tree import Peaks


def require_cut(before: int, signed: int) -> None:
    """Refuse to cut where no checkpoint signs exactly what would go.

    Args:
        before: index of the first record to keep.
        signed: the largest signed size up to there, 0 where there is none.

    Raises:
        LedgerError: it is no place to cut at.
    """
    if before <= 0 or signed != before:
        raise LedgerError(f"the log cannot be cut before record {before}: no checkpoint signs exactly that")


def start_at(first: int, leaves: Iterable[bytes]) -> Start:
    """Return what a log begins with: the record of its last pruning says so.

    Args:
        first: index of the first record that is there.
        leaves: the log's `control` records, the newest one first.

    Raises:
        LedgerError: records are missing at the beginning, and no record says why.
    """
    if not first:
        return Start()
    for leaf in leaves:
        body = decode_leaf(leaf)["body"]
        if isinstance(body, dict) and body.get("operation") == PRUNE:
            start = Start.from_json(body)
            if start is not None and start.index == first:
                return start
    raise LedgerError(f"no record says why the records before {first} are gone: run `remit ledger verify`")


def pruning_draft(cut: Cut, *, at: str) -> Draft:
    """Return the record of a pruning."""
    return Draft(
        kind="control",
        agent="",
        run="",
        at=at,
        body={
            "operation": PRUNE,
            **cut.start.to_json(),
            "by": cut.by,
            "reason": cut.reason,
            "archive": cut.archive,
        },
    )


def require_as_judged(cut: Cut, *, size: int, signed: int, peaks: Peaks, unsettled: int | None) -> None:
    """Refuse to prune a log that is not as it was judged; asked in the transaction that would prune it.

    Args:
        cut: what was judged.
        size: how many records the log has now.
        signed: the largest signed size up to the cut, 0 where there is none.
        peaks: the stored tree there.
        unsettled: index of the first intent before the cut that has no outcome, or None.

    Raises:
        HeadMovedError: the log has grown since.
        LedgerError: something else is not as it was judged.
    """
    if size != cut.size:
        raise HeadMovedError(f"the log has grown to {size} records since the pruning was judged: try again")
    require_cut(cut.start.index, signed)
    if peaks != cut.start.peaks:
        raise LedgerError("the pruning names other subtree hashes than the log has: nothing was pruned")
    if unsettled is not None:
        raise LedgerError(f"the intent of record {unsettled} has no outcome: nothing before it is pruned")


def kept_nodes(before: int) -> list[int]:
    """Return the numbers of the nodes over what goes that stay: the peaks of the tree there."""
    return [node_number(level, index) for level, index in peak_places(before)]
