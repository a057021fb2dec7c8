"""Subjects' keys in the writer's transactions: which key seals what is written, and which key nothing needs.

Rules
1. Keys are made and destroyed only under the store's write lock, so of two processes one comes after the
   other: who writes about a subject meets the key with everything that was sealed under it, or a new one.
2. A new key is durable before the transaction that is the first to use it commits.
3. A key that lost a row is entered in `keys_left` by the transaction that took the row. After that has
   committed, keys in the list that seal no row are destroyed, then the list is emptied.
   Whatever ends between the two leaves the list, and the next opening or erasure goes on with it.
4. The first key that is used enters the name of its set into `meta`; no other set is used after that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from remit_adapters.stores.seals import CONTENT_MARK, KEYS_NAME, NAME_DIGITS, ROW_MARK, require_keys, uses

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from remit.ports import KeyOwner, SubjectKey, SubjectKeys

# SQLite uses an index on an expression, and a partial one, where a query repeats both to the letter.
_ENTRY_SEALED: Final = f"substr(value, 1, {len(ROW_MARK)}) = '{ROW_MARK}'"
_ENTRY_KEY: Final = f"substr(value, {len(ROW_MARK) + 1}, {NAME_DIGITS})"
_CONTENT_SEALED: Final = f"substr(content, 1, {len(CONTENT_MARK)}) = X'{CONTENT_MARK.hex()}'"
_CONTENT_KEY: Final = f"CAST(substr(content, {len(CONTENT_MARK) + 1}, {NAME_DIGITS}) AS TEXT)"

SEALING_SCHEMA: Final = f"""
CREATE TABLE keys_left (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE INDEX entries_sealed ON entries ({_ENTRY_KEY}) WHERE {_ENTRY_SEALED};
CREATE INDEX contents_sealed ON contents ({_CONTENT_KEY}) WHERE {_CONTENT_SEALED};
"""
"""What schema version 3 has besides."""

_NEEDED: Final = (
    f"SELECT EXISTS (SELECT 1 FROM entries WHERE {_ENTRY_SEALED} AND {_ENTRY_KEY} = :name)"  # noqa: S608  # constants
    f" OR EXISTS (SELECT 1 FROM contents WHERE {_CONTENT_SEALED} AND {_CONTENT_KEY} = :name)"
)
_COUNTS: Final = (
    f"SELECT (SELECT count(*) FROM entries WHERE {_ENTRY_SEALED} AND {_ENTRY_KEY} = :name)"  # noqa: S608  # constants
    f" + (SELECT count(*) FROM contents WHERE {_CONTENT_SEALED} AND {_CONTENT_KEY} = :name)"
)


class Sealing:
    """Subjects' keys for who writes to a store.

    Args:
        connection: the writer's.
        keys: where the keys are.
    """

    def __init__(self, connection: sqlite3.Connection, keys: SubjectKeys) -> None:
        self._connection = connection
        self._keys = keys

    def obtain(self, owners: Collection[KeyOwner]) -> Mapping[KeyOwner, SubjectKey]:
        """Return the keys of owners, new ones where there are none; within the transaction that uses them.

        Raises:
            LedgerError: the keys cannot be reached, or are not those of this store.
        """
        found = self._keys.obtain(owners, make=True)
        self._connection.execute(
            "INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (KEYS_NAME, self._keys.id)
        )
        require_keys(keys_id(self._connection), self._keys)
        return found

    def entries_leave(self, agent: int, ids: Iterable[str], kept: Collection[str]) -> None:
        """Enter the keys of rows that are about to be overwritten, but for those that seal the new rows."""
        rows = self._connection.execute(
            f"SELECT DISTINCT {_ENTRY_KEY} FROM entries WHERE agent = ? AND {_ENTRY_SEALED}"  # noqa: S608  # constants
            " AND id IN (SELECT value FROM json_each(?))",
            (agent, json.dumps([*ids])),
        )
        self._leave([str(row[0]) for row in rows.fetchall() if row[0] not in kept])

    def contents_leave(self, indexes: Sequence[int]) -> None:
        """Enter the keys of contents of records that are about to be deleted."""
        # CROSS: from the few indexes to their rows, not through all that is sealed.
        rows = self._connection.execute(
            f"SELECT DISTINCT {_CONTENT_KEY} FROM json_each(?) AS j CROSS JOIN contents AS c"  # noqa: S608  # constants
            f" ON c.idx = j.value WHERE {_CONTENT_SEALED}",
            (json.dumps([*indexes]),),
        )
        self._leave([str(row[0]) for row in rows.fetchall()])

    def contents_leave_before(self, index: int) -> None:
        """Enter the keys of contents of all records before one, which are about to be pruned."""
        rows = self._connection.execute(
            f"SELECT DISTINCT {_CONTENT_KEY} FROM contents WHERE {_CONTENT_SEALED} AND idx < ?",  # noqa: S608  # constants
            (index,),
        )
        self._leave([str(row[0]) for row in rows.fetchall()])

    def subject_leaves(self, agent: str, subject: str) -> None:
        """Enter the keys of a data subject, whether they lost a row or not."""
        if keys_id(self._connection):
            found = self._keys.obtain(uses(agent, subject), make=False)
            self._leave([key.name for key in found.values()])

    def destroy_unneeded(self) -> None:
        """Destroy the keys in the list that seal no row; in no transaction.

        What cannot be done now is done at the next erasure or opening.

        Raises:
            LedgerError: the keys cannot be reached.
            sqlite3.Error: the store cannot be written to.
        """
        connection = self._connection
        if connection.execute("SELECT 1 FROM keys_left LIMIT 1").fetchone() is None:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            names = [str(row[0]) for row in connection.execute("SELECT name FROM keys_left").fetchall()]
            unneeded = [name for name in names if not self._needed(name)]
            if unneeded:
                self._keys.destroy(unneeded)
            connection.execute("DELETE FROM keys_left")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _needed(self, name: str) -> bool:
        return bool(self._connection.execute(_NEEDED, {"name": name}).fetchone()[0])

    def _leave(self, names: list[str]) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO keys_left (name) VALUES (?)", [(name,) for name in names]
        )


def keys_id(connection: sqlite3.Connection) -> str:
    """Return which set of keys seals in a store; empty where none does yet."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (KEYS_NAME,)).fetchone()
    return "" if row is None else str(row[0])


def count_sealed(connection: sqlite3.Connection, name: str) -> int:
    """Return how many entries and contents a key seals."""
    return int(connection.execute(_COUNTS, {"name": name}).fetchone()[0])
