"""The log's part of a transaction, and the log as it lies in the tables.

INVARIANT (one sequencer): who appends holds the advisory lock of the log until its transaction ends.
INVARIANT (one state): size and last checkpoint are read by a statement that begins after the lock was given,
under READ COMMITTED, so that it sees what the one before committed. Peaks are cached only while the size in
the table is the cached one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from psycopg import sql

from remit.errors import LedgerError, SettledError
from remit.ledger.checkpoint import (
    Checkpoint,
    VerifierKey,
    parse_verifier_key,
    sign_checkpoint,
    verifier_key,
    verify_checkpoint,
)
from remit.ledger.report import RawRecord, StoredNote
from remit.ledger.tree import Node, Peaks, is_place, node_number, peak_places
from remit_adapters.stores.base import CHUNK
from remit_adapters.stores.log_rows import Cell, LogRows, log_rows, outdated, require_signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import psycopg

    from remit.ledger.encoding import Sealed
    from remit.ports import Judged, Signer
    from remit.records import Receipt
    from remit_adapters.postgres.keys import Sealing
    from remit_adapters.stores.base import Row

_AT_ONCE: Final = 2000

_STATE: Final = (
    "SELECT (SELECT coalesce(max(idx), -1) + 1 FROM records),"
    " (SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1),"
    " (SELECT coalesce(max(number), -1) + 1 FROM checkpoints),"
    " pg_current_xact_id()::text"
)
_APPEND: Final = """
WITH added AS (INSERT INTO records (idx, leaf, kind, agent, run)
        SELECT * FROM unnest(%b::bigint[], %b::bytea[], %b::text[], %b::text[], %b::text[])),
    kept AS (INSERT INTO contents (idx, salt, content)
        SELECT * FROM unnest(%b::bigint[], %b::bytea[], %b::bytea[])),
    opened AS (INSERT INTO open_intents (digest, idx) SELECT * FROM unnest(%b::text[], %b::bigint[])),
    grown AS (INSERT INTO nodes (number, level, idx, digest)
        SELECT * FROM unnest(%b::bigint[], %b::integer[], %b::bigint[], %b::bytea[])),
    settled AS (DELETE FROM open_intents WHERE digest = ANY(%b::text[]))
SELECT 1
"""
RECORDS: Final = (
    "SELECT r.idx, r.leaf, c.salt, c.content FROM records AS r LEFT JOIN contents AS c ON c.idx = r.idx"
)

_CHUNKS: Final = {
    "": sql.SQL(RECORDS + " WHERE r.idx >= %(start)s ORDER BY r.idx LIMIT %(most)s"),
    "agent": sql.SQL(
        RECORDS + " WHERE r.idx >= %(start)s AND r.agent = %(agent)s ORDER BY r.idx LIMIT %(most)s"
    ),
    "run": sql.SQL(
        RECORDS
        + " WHERE r.idx >= %(start)s AND r.run = %(run)s AND r.run <> '' ORDER BY r.idx LIMIT %(most)s"
    ),
    "both": sql.SQL(
        RECORDS + " WHERE r.idx >= %(start)s AND r.agent = %(agent)s AND r.run = %(run)s AND r.run <> ''"
        " ORDER BY r.idx LIMIT %(most)s"
    ),
}


class LogAppender:
    """Appends within the transaction of a connection.

    Args:
        signer: signs checkpoints.
        origin: name of the log.
        lock: number of the log's advisory lock.
        sealing: gives keys for contents that are about a data subject.
    """

    def __init__(self, signer: Signer, origin: str, lock: int, sealing: Sealing) -> None:
        self._sealing = sealing
        self._signer = signer
        self._origin = origin
        self._lock = lock
        self._key = verifier_key(signer)
        self._keys: tuple[VerifierKey, ...] = (self._key,)
        self._number = 0
        self.peaks: Peaks | None = None
        self.transaction = ""

    def begin(self, connection: psycopg.Connection) -> Peaks:
        """Begin a transaction, take the lock and return the state of the log.

        Raises:
            LedgerError: the stored tree is not what the last checkpoint signs.
        """
        with connection.pipeline():
            connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock,))
            found = connection.execute(_STATE)
        row = found.fetchone()
        assert row is not None
        size, note, self._number, self.transaction = int(row[0]), row[1], int(row[2]), str(row[3])
        if self.peaks is not None and self.peaks.size == size:
            return self.peaks
        places = peak_places(size)
        numbers = [node_number(level, index) for level, index in places]
        rows = connection.execute(
            "SELECT number, level, idx, digest FROM nodes WHERE number = ANY(%s)", (numbers,)
        ).fetchall()
        digests = {(row[1], row[2]): bytes(row[3]) for row in rows}
        peaks = Peaks(size=size, digests=tuple(digests.get(place, b"") for place in places))
        checkpoint = None if note is None else self._verified(connection, str(note))
        require_signed(checkpoint, peaks)
        self.peaks = peaks
        return peaks

    def _verified(self, connection: psycopg.Connection, note: str) -> Checkpoint:
        try:
            return verify_checkpoint(note, self._keys, origin=self._origin)
        except LedgerError:
            # Another host's key, perhaps one that came after ours.
            self._keys = (self._key, *(parse_verifier_key(text) for text in signers(connection)))
            return verify_checkpoint(note, self._keys, origin=self._origin)

    def append(
        self, connection: psycopg.Connection, peaks: Peaks, batches: Sequence[Sequence[Sealed]]
    ) -> tuple[Peaks, list[tuple[Receipt, ...]]]:
        """Write batches of records and their nodes; the caller keeps the new state once it is safe."""
        grown, answers, rows = log_rows(peaks, batches, self._sealing.obtaining(connection))
        opened, settled = rows.intents, rows.settled
        if settled and opened:
            # One statement sees nothing of what it writes: what opens and closes at once is neither.
            ended = set(settled).intersection(opened[::2])
            pairs = [pair for pair in zip(opened[::2], opened[1::2], strict=True) if pair[0] not in ended]
            opened = [cell for pair in pairs for cell in pair]
            settled = [digest for digest in settled if digest not in ended]
        append_rows(connection, replace(rows, intents=opened, settled=settled))
        return grown, answers

    def require_open(self, connection: psycopg.Connection, intents: Sequence[str]) -> None:
        """Refuse to go on where an intent has an outcome, or was never recorded.

        Raises:
            SettledError: which one.
        """
        if not intents:
            return
        rows = connection.execute("SELECT digest FROM open_intents WHERE digest = ANY(%s)", ([*intents],))
        still = {str(row[0]) for row in rows.fetchall()}
        for intent in intents:
            if intent not in still:
                raise SettledError(f"the intent `{intent}` is not open: it has an outcome already")

    def require_newest(self, connection: psycopg.Connection, judged: Judged) -> None:
        """Refuse to go on where later records lie in the log than something was judged by.

        Raises:
            HeadMovedError: there are some.
        """
        found = connection.execute(
            "SELECT 1 FROM records WHERE run = %s AND run <> '' AND idx >= %s LIMIT 1",
            (judged.run, judged.size),
        )
        if found.fetchone() is not None:
            raise outdated(judged)

    def sign(self, connection: psycopg.Connection, peaks: Peaks) -> None:
        """Write the signed checkpoint of `peaks`."""
        note = sign_checkpoint(
            Checkpoint(origin=self._origin, size=peaks.size, root=peaks.root()), self._signer, key=self._key
        )
        connection.execute(
            "INSERT INTO checkpoints (number, size, note) VALUES (%s, %s, %s)",
            (self._number, peaks.size, note),
        )


def append_rows(connection: psycopg.Connection, rows: LogRows) -> None:
    """Write rows by one statement; no intent is both opened and settled by it."""
    if not rows.records:
        return
    columns = [
        *_columns(rows.records, 5),
        *_columns(rows.contents, 3),
        *_columns(rows.intents, 2),
        *_columns(rows.nodes, 4),
        rows.settled,
    ]
    connection.execute(_APPEND, columns)


def _columns(cells: Sequence[Cell], width: int) -> list[list[Cell]]:
    return [list(cells[column::width]) for column in range(width)]


def signers(connection: psycopg.Connection) -> list[str]:
    """Return the verifier keys of all hosts that ever signed here, the first one first."""
    rows = connection.execute("SELECT key FROM signers ORDER BY at, key").fetchall()
    return [str(row[0]) for row in rows]


def chunk(connection: psycopg.Connection, agent: str, run: str, start: int) -> list[Row]:
    """Return the next records from `start`, optionally of one agent or run."""
    values = {"start": start, "agent": agent, "run": run, "most": CHUNK}
    narrowed = _CHUNKS["both"] if agent and run else _CHUNKS["agent" if agent else "run" if run else ""]
    return connection.execute(narrowed, values, binary=True).fetchall()


def rows_of_kind(connection: psycopg.Connection, kind: str, start: int, stop: int) -> list[Row]:
    """Index, leaf, salt and content of the records of a kind with `start` ≤ index < `stop`, unread."""
    return connection.execute(
        f"{RECORDS} WHERE r.idx >= %s AND r.idx < %s AND r.kind = %s ORDER BY r.idx",
        (start, stop, kind),
        binary=True,
    ).fetchall()


def open_intents(connection: psycopg.Connection) -> list[Row]:
    """The intent records without an outcome."""
    found = connection.execute(
        f"{RECORDS} JOIN open_intents AS o ON o.idx = r.idx ORDER BY r.idx", binary=True
    )
    return found.fetchall()


def raw_records(connection: psycopg.Connection, *, stop: int | None = None) -> Iterator[RawRecord]:
    """All rows in order, or those below `stop`, exactly as they lie there; within a transaction."""
    with connection.cursor("raw_records", binary=True) as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(
            "SELECT r.idx, r.leaf, r.kind, r.agent, r.run, c.salt, c.content"
            " FROM records AS r LEFT JOIN contents AS c ON c.idx = r.idx"
            " WHERE (%(stop)s::bigint IS NULL OR r.idx < %(stop)s::bigint) ORDER BY r.idx",
            {"stop": stop},
        )
        for index, leaf, kind, agent, run, salt, content in cursor:
            yield RawRecord(
                index=index, leaf=leaf, kind=kind, agent=agent, run=run, salt=salt, content=content
            )


def raw_chunk(connection: psycopg.Connection, start: int, stop: int | None) -> list[RawRecord]:
    """Return the next rows from `start`, below `stop`, exactly as they lie there."""
    found = connection.execute(
        "SELECT r.idx, r.leaf, r.kind, r.agent, r.run, c.salt, c.content"
        " FROM records AS r LEFT JOIN contents AS c ON c.idx = r.idx"
        " WHERE r.idx >= %s AND (%s::bigint IS NULL OR r.idx < %s::bigint) ORDER BY r.idx LIMIT %s",
        (start, stop, stop, CHUNK),
        binary=True,
    )
    return [
        RawRecord(index=index, leaf=leaf, kind=kind, agent=agent, run=run, salt=salt, content=content)
        for index, leaf, kind, agent, run, salt, content in found.fetchall()
    ]


def node_digests(connection: psycopg.Connection, places: Iterable[tuple[int, int]]) -> tuple[bytes, ...]:
    """Digests of complete nodes by level and index, in the order asked; empty bytes where there is none."""
    wanted = tuple(places)
    numbers = [node_number(level, index) for level, index in wanted]
    rows = connection.execute(
        "SELECT level, idx, digest FROM nodes WHERE number = ANY(%s)", (numbers,)
    ).fetchall()
    digests = {(row[0], row[1]): bytes(row[2]) for row in rows}
    return tuple(digests.get(place, b"") for place in wanted)


def stored_nodes(connection: psycopg.Connection) -> Iterator[Node]:
    """All stored tree nodes; one that lies in another's place has no digest. Within a transaction."""
    with connection.cursor("stored_nodes", binary=True) as cursor:
        cursor.itersize = 10 * _AT_ONCE
        cursor.execute("SELECT number, level, idx, digest FROM nodes")
        for number, level, index, digest in cursor:
            placed = is_place(level, index) and number == node_number(level, index)
            yield Node(level=level, index=index, digest=digest if placed else b"")


def stored_notes(connection: psycopg.Connection) -> Iterator[StoredNote]:
    """All stored checkpoints in order; within a transaction."""
    with connection.cursor("stored_notes", binary=True) as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute("SELECT number, size, note FROM checkpoints ORDER BY number")
        for number, size, note in cursor:
            yield StoredNote(number=number, size=size, note=note)
