"""Pruning: the one place where records, nodes and checkpoints leave the file, a signed prefix of them.

INVARIANT (guarded): the triggers that keep these tables append-only stand aside inside the transaction that
records the pruning, and stand again before it is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.ledger.archive import Segment
from remit_adapters._sqlite_log import peaks_at, raw_records, stored_notes
from remit_adapters._sqlite_schema import STORE_SCHEMA, statements
from remit_adapters.stores.prune_rows import kept_nodes, require_as_judged, require_cut, start_at

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


def read_segment(connection: sqlite3.Connection, before: int, *, origin: str, verifier_key: str) -> Segment:
    """Return the records before a cut and their checkpoints.

    Raises:
        LedgerError: `before` is no place to cut at, or no record says why earlier ones are gone.
    """
    require_cut(before, find_cut(connection, before))
    control = connection.execute("SELECT leaf FROM records WHERE kind = 'control' ORDER BY idx DESC")
    return Segment(
        origin=origin,
        verifier_keys=(verifier_key,),
        start=start_at(first_index(connection), (leaf for (leaf,) in control)),
        records=tuple(raw_records(connection, stop=before)),
        notes=tuple(note for note in stored_notes(connection) if note.size <= before),
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
    row = connection.execute("SELECT min(idx) FROM open_intents WHERE idx < ?", (before,)).fetchone()
    require_as_judged(
        cut,
        size=size,
        signed=find_cut(connection, before),
        peaks=peaks_at(connection, before),
        unsettled=row[0],
    )
    guards = [text for text in statements(STORE_SCHEMA) if _guards(text)]
    for table in _TABLES:
        connection.execute(f"DROP TRIGGER {table}_stay_2")
    connection.execute("DELETE FROM contents WHERE idx < ?", (before,))
    connection.execute("DELETE FROM records WHERE idx < ?", (before,))
    kept = kept_nodes(before)
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
