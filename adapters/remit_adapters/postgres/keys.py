"""The keys of data subjects in tables of their own, and what the writer does with them.

Rules
1. Keys lie in `subject_keys`, what makes them one set in `subject_keys_set`, names of destroyed ones in
   `subject_keys_destroyed`. `pg_dump --exclude-table-data='SCHEMA.subject_keys*'` gives a copy of the store
   that opens nothing which is sealed.
2. Keys are made and destroyed only under the log's advisory lock, so of two hosts one comes after the other.
   A new key is committed together with the first row that it seals.
3. A key that lost a row is entered in `keys_left` by the transaction that took the row. A second transaction
   destroys those of the list that seal nothing; what ends between the two leaves the list to the next
   erasure or opening.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.ports import SubjectKey
from remit_adapters.stores.seals import (
    CONTENT_MARK,
    KEYS_NAME,
    NAME_DIGITS,
    ROW_MARK,
    new_key,
    owner_tag,
    require_keys,
    uses,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import psycopg

    from remit.ports import KeyOwner, SubjectKeys

# The server uses a partial index where a query repeats its condition.
_ENTRY_SEALED: Final = f"substr(value, 1, {len(ROW_MARK)}) = '{ROW_MARK}'"
_ENTRY_KEY: Final = f"substr(value, {len(ROW_MARK) + 1}, {NAME_DIGITS})"
_CONTENT_SEALED: Final = (
    f"substring(content from 1 for {len(CONTENT_MARK)}) = '\\x{CONTENT_MARK.hex()}'::bytea"
)
_CONTENT_KEY: Final = f"substring(content from {len(CONTENT_MARK) + 1} for {NAME_DIGITS})"

SEALING_TABLES: Final = f"""
CREATE TABLE subject_keys_set (id text NOT NULL, pepper bytea NOT NULL);
CREATE TABLE subject_keys (
    name text COLLATE "C" PRIMARY KEY, owner bytea NOT NULL UNIQUE, secret bytea NOT NULL);
CREATE TABLE subject_keys_destroyed (name text COLLATE "C" PRIMARY KEY);
CREATE TABLE keys_left (name text COLLATE "C" PRIMARY KEY);
CREATE INDEX entries_sealed ON entries ({_ENTRY_KEY}) WHERE {_ENTRY_SEALED};
CREATE INDEX contents_sealed ON contents ({_CONTENT_KEY}) WHERE {_CONTENT_SEALED};

CREATE FUNCTION leave_key_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.subject_keys_destroyed (name) VALUES ($1) ON CONFLICT DO NOTHING',
        TG_TABLE_SCHEMA) USING old.name;
    RETURN old;
END $$;
CREATE TRIGGER subject_keys_leave_their_name AFTER DELETE ON subject_keys
    FOR EACH ROW EXECUTE FUNCTION leave_key_name();
ALTER TABLE subject_keys ENABLE ALWAYS TRIGGER subject_keys_leave_their_name;
""".encode()  # noqa: S608  # constants of this module
"""What schema version 2 has besides."""

_COUNTS: Final = (
    f"SELECT (SELECT count(*) FROM entries WHERE {_ENTRY_SEALED} AND {_ENTRY_KEY} = %(name)s)"  # noqa: S608  # constants
    f" + (SELECT count(*) FROM contents WHERE {_CONTENT_SEALED} AND {_CONTENT_KEY} = %(bytes)s)"
).encode()
_ENTRIES_LEAVE: Final = f"""
INSERT INTO keys_left (name) SELECT DISTINCT {_ENTRY_KEY} FROM entries
    WHERE agent = %s AND id = ANY(%s) AND {_ENTRY_SEALED} AND {_ENTRY_KEY} <> ALL(%s)
    ON CONFLICT DO NOTHING
""".encode()  # noqa: S608  # constants of this module
_CONTENTS_LEAVE: Final = f"""
INSERT INTO keys_left (name) SELECT DISTINCT encode({_CONTENT_KEY}, 'escape') FROM contents
    WHERE {_CONTENT_SEALED} AND idx = ANY(%s) ON CONFLICT DO NOTHING
""".encode()  # noqa: S608  # constants of this module
_CONTENTS_LEAVE_BEFORE: Final = f"""
INSERT INTO keys_left (name) SELECT DISTINCT encode({_CONTENT_KEY}, 'escape') FROM contents
    WHERE {_CONTENT_SEALED} AND idx < %s ON CONFLICT DO NOTHING
""".encode()  # noqa: S608  # constants of this module
_LEFT: Final = f"""
SELECT name, EXISTS (SELECT 1 FROM entries WHERE {_ENTRY_SEALED} AND {_ENTRY_KEY} = l.name)
    OR EXISTS (SELECT 1 FROM contents WHERE {_CONTENT_SEALED} AND {_CONTENT_KEY} = decode(l.name, 'escape'))
FROM keys_left AS l
""".encode()  # noqa: S608  # constants of this module


class TableKeys:
    """The port `SubjectKeys` in the store's own tables, over one connection; within its transactions.

    Args:
        connection: of who writes or reads.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    @property
    def id(self) -> str:
        """What this set of keys is called.

        Raises:
            LedgerError: the tables are empty or missing.
        """
        return self._set()[0]

    def obtain(self, owners: Collection[KeyOwner], *, make: bool) -> Mapping[KeyOwner, SubjectKey]:
        """Return the keys of owners; with `make`, also for those that had none.

        Raises:
            LedgerError: the tables are empty or missing.
        """
        pepper = self._set()[1]
        tags = {owner: owner_tag(pepper, owner) for owner in owners}
        rows = self._connection.execute(
            "SELECT owner, name, secret FROM subject_keys WHERE owner = ANY(%s)", ([*tags.values()],)
        ).fetchall()
        known = {bytes(tag): SubjectKey(name=str(name), secret=bytes(secret)) for tag, name, secret in rows}
        missing = [tag for tag in tags.values() if tag not in known] if make else []
        for tag in missing:
            name, secret = new_key()
            known[tag] = SubjectKey(name=name, secret=secret)
        if missing:
            self._connection.execute(
                "INSERT INTO subject_keys (name, owner, secret)"
                " SELECT * FROM unnest(%s::text[], %s::bytea[], %s::bytea[])",
                ([known[tag].name for tag in missing], missing, [known[tag].secret for tag in missing]),
            )
        return {owner: known[tag] for owner, tag in tags.items() if tag in known}

    def held(self, names: Collection[str]) -> Mapping[str, bytes | None]:
        """Return the secrets of keys, None for destroyed ones; what was never here is left out."""
        rows = self._connection.execute(
            "SELECT name, secret FROM subject_keys WHERE name = ANY(%(names)s)"
            " UNION ALL SELECT name, NULL FROM subject_keys_destroyed WHERE name = ANY(%(names)s)",
            {"names": [*names]},
        ).fetchall()
        return {str(name): None if secret is None else bytes(secret) for name, secret in rows}

    def destroy(self, names: Collection[str]) -> None:
        """Forget keys for good, once the transaction commits."""
        self._connection.execute("DELETE FROM subject_keys WHERE name = ANY(%s)", ([*names],))

    def _set(self) -> tuple[str, bytes]:
        row = self._connection.execute("SELECT id, pepper FROM subject_keys_set").fetchone()
        if row is None:
            raise LedgerError(
                "the subjects' keys (the tables `subject_keys…`) are missing: restore them; what is sealed "
                "cannot be read without them"
            )
        return str(row[0]), bytes(row[1])


class Sealing:
    """Subjects' keys for who writes to a store.

    Args:
        keys: gives the keys, over the writer's connection of the moment.
    """

    def __init__(self, keys: Callable[[psycopg.Connection], SubjectKeys]) -> None:
        self._keys = keys

    def obtaining(
        self, connection: psycopg.Connection
    ) -> Callable[[list[KeyOwner]], Mapping[KeyOwner, SubjectKey]]:
        """Return what gives keys of owners, new ones where there are none, within a transaction.

        What it gives raises `LedgerError` where the keys cannot be reached, or are not those of this store.
        """

        def obtain(owners: list[KeyOwner]) -> Mapping[KeyOwner, SubjectKey]:
            keys = self._keys(connection)
            found = keys.obtain(owners, make=True)
            connection.execute(
                "INSERT INTO meta (name, value) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
                (KEYS_NAME, keys.id),
            )
            require_keys(_keys_id(connection), keys)
            return found

        return obtain

    def entries_leave(
        self, connection: psycopg.Connection, agent: int, ids: Iterable[str], kept: Collection[str]
    ) -> None:
        """Enter the keys of rows that are about to be overwritten, but for those that seal the new rows."""
        connection.execute(_ENTRIES_LEAVE, (agent, [*ids], [*kept]))

    def contents_leave(self, connection: psycopg.Connection, indexes: Sequence[int]) -> None:
        """Enter the keys of contents that are about to be deleted."""
        connection.execute(_CONTENTS_LEAVE, ([*indexes],))

    def contents_leave_before(self, connection: psycopg.Connection, index: int) -> None:
        """Enter the keys of contents of all records before one, which are about to be pruned."""
        connection.execute(_CONTENTS_LEAVE_BEFORE, (index,))

    def subject_leaves(self, connection: psycopg.Connection, agent: str, subject: str) -> None:
        """Enter the keys of a data subject, whether they lost a row or not."""
        found = self._keys(connection).obtain(uses(agent, subject), make=False)
        connection.execute(
            "INSERT INTO keys_left (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING",
            ([key.name for key in found.values()],),
        )

    def destroy_unneeded(self, connection: psycopg.Connection, lock: int) -> None:
        """Destroy the keys in the list that seal nothing; in no transaction.

        Raises:
            LedgerError: the keys cannot be reached.
            psycopg.Error: the server refuses.
        """
        if connection.execute("SELECT 1 FROM keys_left LIMIT 1").fetchone() is None:
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
            rows = connection.execute(_LEFT).fetchall()
            unneeded = [str(name) for name, needed in rows if not needed]
            if unneeded:
                self._keys(connection).destroy(unneeded)
            connection.execute("DELETE FROM keys_left")


def _keys_id(connection: psycopg.Connection) -> str:
    row = connection.execute("SELECT value FROM meta WHERE name = %s", (KEYS_NAME,)).fetchone()
    return "" if row is None else str(row[0])


def count_sealed(connection: psycopg.Connection, name: str) -> int:
    """Return how many entries and contents a key seals."""
    row = connection.execute(_COUNTS, {"name": name, "bytes": name.encode()}).fetchone()
    return int(row[0]) if row else 0
