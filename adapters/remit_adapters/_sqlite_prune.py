"""Pruning: the one place where records, nodes and checkpoints leave the file, a signed prefix of them.

INVARIANT (guarded): the triggers that keep these tables append-only stand aside inside the transaction that
records the pruning, and stand again before it is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import HeadMovedError, LedgerError
from remit.ledger.archive import Segment
from remit.ledger.encoding import decode_leaf
from remit.ledger.pruned import PRUNE, Start
from remit.ledger.tree import node_number, peak_places
from remit.records import Draft
from remit_adapters._sqlite_log import peaks_at, raw_records, stored_notes
from remit_adapters._sqlite_schema import STORE_SCHEMA, statements

if TYPE_CHECKING:
    import sqlite3

    from remit.ledger.pruning import Cut

_TABLES = ("records", "nodes", "checkpoints")


def first_index(connection: sqlite3.Connection) -> int:
    """Return the index of the first record that is there, 0 where there is none."""
    return int(connection.execute("SELECT coalesce(min(idx), 0) FROM records").fetchone()[0])


def find_cut(connection: sqlite3.Connection, index: int) -> int:
    """Return the largest signed size up to `index` beyond what is pruned already, or 0."""
    row = connection.execute(
        "SELECT coalesce(max(size), 0) FROM checkpoints WHERE size <= ? AND size > ?",
        (index, first_index(connection)),
    ).fetchone()
    return int(row[0])


def read_start(connection: sqlite3.Connection) -> Start:
    """Return what the log begins with: the record of its last pruning says so.

    Raises:
        LedgerError: records are missing at the beginning, and no record says why.
    """
    first = first_index(connection)
    if not first:
        return Start()
    rows = connection.execute("SELECT leaf FROM records WHERE kind = 'control' ORDER BY idx DESC")
    for (leaf,) in rows:
        body = decode_leaf(leaf)["body"]
        if isinstance(body, dict) and body.get("operation") == PRUNE:
            start = Start.from_json(body)
            if start is not None and start.index == first:
                return start
    raise LedgerError(f"no record says why the records before {first} are gone: run `remit ledger verify`")


def read_segment(connection: sqlite3.Connection, before: int, *, origin: str, verifier_key: str) -> Segment:
    """Return the records before a cut and their checkpoints.

    Raises:
        LedgerError: `before` is no place to cut at.
    """
    if before <= 0 or find_cut(connection, before) != before:
        raise LedgerError(f"the log cannot be cut before record {before}: no checkpoint signs exactly that")
    return Segment(
        origin=origin,
        verifier_key=verifier_key,
        start=read_start(connection),
        records=tuple(raw_records(connection, stop=before)),
        notes=tuple(note for note in stored_notes(connection) if note.size <= before),
    )


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


def drop_prefix(connection: sqlite3.Connection, cut: Cut, *, size: int) -> None:
    """Drop what lies before a cut; in the transaction that records it.

    Args:
        connection: in that transaction.
        cut: what was judged.
        size: how many records the log has now.

    Raises:
        HeadMovedError: the log has grown since; nothing was dropped.
        LedgerError: the log is not as it was judged; nothing was dropped.
    """
    before = cut.start.index
    if size != cut.size:
        raise HeadMovedError(f"the log has grown to {size} records since the pruning was judged: try again")
    if before <= 0 or find_cut(connection, before) != before:
        raise LedgerError(f"the log cannot be cut before record {before}: no checkpoint signs exactly that")
    if peaks_at(connection, before) != cut.start.peaks:
        raise LedgerError("the pruning names other subtree hashes than the log has: nothing was pruned")
    row = connection.execute("SELECT min(idx) FROM open_intents WHERE idx < ?", (before,)).fetchone()
    if row[0] is not None:
        raise LedgerError(f"the intent of record {row[0]} has no outcome: nothing before it is pruned")
    guards = [text for text in statements(STORE_SCHEMA) if _guards(text)]
    for table in _TABLES:
        connection.execute(f"DROP TRIGGER {table}_stay_2")
    connection.execute("DELETE FROM contents WHERE idx < ?", (before,))
    connection.execute("DELETE FROM records WHERE idx < ?", (before,))
    kept = [node_number(level, index) for level, index in peak_places(before)]
    marks = ", ".join("?" * len(kept))
    connection.execute(
        f"DELETE FROM nodes WHERE (idx + 1) << level <= ? AND number NOT IN ({marks})",  # noqa: S608  # marks alone
        (before, *kept),
    )
    connection.execute("DELETE FROM checkpoints WHERE size < ?", (before,))
    for guard in guards:
        connection.execute(guard)


def _guards(statement: str) -> bool:
    return any(f"CREATE TRIGGER {table}_stay_2 " in statement for table in _TABLES)
