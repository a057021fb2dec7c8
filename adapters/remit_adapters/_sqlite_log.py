"""The log's part of a transaction: records, contents, tree nodes, open intents, signed checkpoint.

INVARIANT (one state): size and peaks are always derived from the tables inside the transaction.
What is cached is used only while the size in the file is the cached one.
Several processes may therefore append to one file.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from remit.errors import SettledError
from remit.ledger.checkpoint import Checkpoint, sign_checkpoint, verifier_key, verify_checkpoint
from remit.ledger.report import RawRecord, StoredNote
from remit.ledger.tree import Node, Peaks, is_place, node_number, peak_places
from remit_adapters._sqlite_schema import NUMBERED_NODES
from remit_adapters.stores.log_rows import Cell, as_bytes, log_rows, outdated, require_signed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from remit.ledger.encoding import Sealed
    from remit.ports import Judged, Signer
    from remit.records import Receipt
    from remit_adapters._sqlite_keys import Sealing

_ROWS_A_STATEMENT: Final = (64, 16, 8, 7, 6, 5, 4, 3, 2, 1)
"""Few sizes, so that the connection keeps the prepared statements; all of those that a single call needs."""


class LogAppender:
    """Appends within the transaction of its connection.

    Args:
        connection: of the writer.
        signer: signs checkpoints.
        origin: name of the log.
        sealing: gives keys for contents that are about a data subject.
    """

    def __init__(self, connection: sqlite3.Connection, signer: Signer, origin: str, sealing: Sealing) -> None:
        self._connection = connection
        self._sealing = sealing
        self._signer = signer
        self._origin = origin
        self._key = verifier_key(signer)
        self.peaks: Peaks | None = None

    def refresh(self) -> Peaks:
        """Return the state that the file has now; called at the start of a transaction.

        Raises:
            LedgerError: the stored tree is not what the last checkpoint signs.
        """
        size = int(self._connection.execute("SELECT coalesce(max(idx), -1) + 1 FROM records").fetchone()[0])
        if self.peaks is not None and self.peaks.size == size:
            return self.peaks
        peaks = peaks_at(self._connection, size)
        row = self._connection.execute("SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
        checkpoint = verify_checkpoint(row[0], [self._key], origin=self._origin) if row else None
        require_signed(checkpoint, peaks)
        self.peaks = peaks
        return peaks

    def append(
        self, peaks: Peaks, batches: Sequence[Sequence[Sealed]]
    ) -> tuple[Peaks, list[tuple[Receipt, ...]]]:
        """Write batches of records and their nodes; the caller keeps the new state once it is safe.

        Many rows a statement: between two statements another thread may take the interpreter, and the writer
        then waits for its turn while everybody waits for the writer.
        """
        grown, answers, rows = log_rows(peaks, batches, self._sealing.obtain)
        self._insert("records (idx, leaf, kind, agent, run)", 5, rows.records)
        self._insert("contents (idx, salt, content)", 3, rows.contents)
        self._insert("open_intents (digest, idx)", 2, rows.intents)
        self._insert("nodes (number, level, idx, digest)", 4, rows.nodes)
        # After the intents: an outcome may settle one of the same transaction, never a later one, since an
        # intent's digest covers its index.
        if rows.settled:
            self._connection.executemany(
                "DELETE FROM open_intents WHERE digest = ?", [(intent,) for intent in rows.settled]
            )
        return grown, answers

    def require_open(self, intents: Iterable[str]) -> None:
        """Refuse to go on where an intent has an outcome, or was never recorded.

        Raises:
            SettledError: which one.
        """
        for intent in intents:
            found = self._connection.execute("SELECT 1 FROM open_intents WHERE digest = ?", (intent,))
            if found.fetchone() is None:
                raise SettledError(f"the intent `{intent}` is not open: it has an outcome already")

    def require_newest(self, judged: Judged) -> None:
        """Refuse to go on where later records lie in the log than something was judged by.

        Raises:
            HeadMovedError: there are some.
        """
        found = self._connection.execute(
            "SELECT 1 FROM records WHERE run = ? AND run <> '' AND idx >= ? LIMIT 1",
            (judged.run, judged.size),
        )
        if found.fetchone() is not None:
            raise outdated(judged)

    def _insert(self, place: str, width: int, cells: Sequence[Cell]) -> None:
        """Insert rows that lie one after the other in `cells`; `place` is a constant of this module."""
        if not cells:
            return
        start = 0
        for statement, end in _insertions(place, width, len(cells) // width):
            self._connection.execute(statement, cells[start:end])
            start = end

    def sign(self, peaks: Peaks) -> None:
        """Write the signed checkpoint of `peaks`."""
        note = sign_checkpoint(
            Checkpoint(origin=self._origin, size=peaks.size, root=peaks.root()), self._signer, key=self._key
        )
        self._connection.execute(
            "INSERT INTO checkpoints (number, size, note)"
            " VALUES ((SELECT coalesce(max(number), -1) + 1 FROM checkpoints), ?, ?)",
            (peaks.size, note),
        )


@lru_cache(maxsize=2048)
def _insertions(place: str, width: int, rows: int) -> tuple[tuple[str, int], ...]:
    """Return the statements that insert `rows` rows, each with the cell that it ends before."""
    found: list[tuple[str, int]] = []
    done = 0
    while done < rows:
        some = next(size for size in _ROWS_A_STATEMENT if size <= rows - done)
        row = f"({', '.join('?' * width)})"
        done += some
        found.append((f"INSERT INTO {place} VALUES {', '.join([row] * some)}", done * width))  # noqa: S608  # constants of this module
    return tuple(found)


def peaks_at(connection: sqlite3.Connection, size: int) -> Peaks:
    """Return the stored peaks of the tree of the first `size` records; a missing one is empty."""
    return Peaks(size=size, digests=node_digests(connection, peak_places(size)))


def raw_records(
    connection: sqlite3.Connection, *, start: int | None = None, stop: int | None = None
) -> Iterator[RawRecord]:
    """All rows in order of their index, exactly as they lie there; optionally of a range."""
    where = "TRUE"
    values: list[int] = []
    # Without a start also rows below zero, which somebody put there.
    if start is not None:
        where += " AND r.idx >= ?"
        values.append(start)
    if stop is not None:
        where += " AND r.idx < ?"
        values.append(stop)
    cursor = connection.execute(
        "SELECT r.idx, r.leaf, r.kind, r.agent, r.run, c.salt, c.content"  # noqa: S608  # constants of this function
        f" FROM records AS r LEFT JOIN contents AS c ON c.idx = r.idx WHERE {where} ORDER BY r.idx",
        values,
    )
    for index, leaf, kind, agent, run, salt, content in cursor:
        yield RawRecord(
            index=index,
            leaf=as_bytes(leaf),
            kind=str(kind),
            agent=str(agent),
            run=str(run),
            salt=None if salt is None else as_bytes(salt),
            content=None if content is None else as_bytes(content),
        )


def rows_of_kind(
    connection: sqlite3.Connection, kind: str, start: int, stop: int
) -> list[tuple[int, bytes, bytes | None, bytes | None]]:
    """Index, leaf, salt and content of the records of a kind with `start` ≤ index < `stop`, unread."""
    return connection.execute(
        "SELECT r.idx, r.leaf, c.salt, c.content FROM records AS r LEFT JOIN contents AS c ON c.idx = r.idx"
        " WHERE r.idx >= ? AND r.idx < ? AND r.kind = ? ORDER BY r.idx",
        (start, stop, kind),
    ).fetchall()


def stored_nodes(connection: sqlite3.Connection) -> Iterator[Node]:
    """All stored tree nodes; one that lies in another's place has no digest."""
    if int(connection.execute("PRAGMA user_version").fetchone()[0]) < NUMBERED_NODES:
        columns = "SELECT NULL, level, idx, digest FROM nodes"
    else:
        columns = "SELECT number, level, idx, digest FROM nodes"
    for number, level, index, digest in connection.execute(columns):
        placed = number is None or (is_place(level, index) and number == node_number(level, index))
        yield Node(level=level, index=index, digest=as_bytes(digest) if placed else b"")


def node_digests(connection: sqlite3.Connection, places: Iterable[tuple[int, int]]) -> tuple[bytes, ...]:
    """Digests of complete nodes by level and index, in the order asked; empty bytes where there is none."""
    numbered = int(connection.execute("PRAGMA user_version").fetchone()[0]) >= NUMBERED_NODES
    found: list[bytes] = []
    for level, index in places:
        row = (
            connection.execute(
                "SELECT digest FROM nodes WHERE number = ? AND level = ? AND idx = ?",
                (node_number(level, index), level, index),
            )
            if numbered
            else connection.execute("SELECT digest FROM nodes WHERE level = ? AND idx = ?", (level, index))
        ).fetchone()
        found.append(as_bytes(row[0]) if row else b"")
    return tuple(found)


def stored_notes(connection: sqlite3.Connection) -> Iterator[StoredNote]:
    """All stored checkpoints in order."""
    for number, size, note in connection.execute(
        "SELECT number, size, note FROM checkpoints ORDER BY number"
    ):
        yield StoredNote(number=number, size=size, note=str(note))
