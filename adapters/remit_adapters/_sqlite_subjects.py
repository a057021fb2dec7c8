"""The keys of data subjects in a file of their own: the port `SubjectKeys` beside a store on SQLite.

Rules
1. The file is made with the first key, mode 0600. A copy of `store.db` alone opens nothing that is sealed.
2. From a data subject to a key leads a keyed hash alone, and its key lies in this file too: without the file
   nobody can try names.
3. A change is durable when it returns. After a key is destroyed, the file is rewritten and the rollback
   journal emptied: its bytes are in no file of the folder. The write-ahead log would keep what it was given
   until something else takes its place, so there is none.
4. A destroyed key's name is kept, in the same transaction, also where a row is deleted by hand. So a key that
   is gone tells itself from a file that is the wrong one, or an old one: those do not know the name at all.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.ports import SubjectKey
from remit_adapters._sqlite_schema import prepare_schema, refusals_named, schema_version
from remit_adapters.stores.seals import new_key, owner_tag

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping
    from pathlib import Path

    from remit.ports import KeyOwner

SUBJECTS_FILE: Final = "subjects.db"
_APPLICATION: Final = 0x524D_534B
"""`RMSK`."""
_SCHEMA: Final = """
CREATE TABLE identity (id TEXT NOT NULL, pepper BLOB NOT NULL) STRICT;
CREATE TABLE keys (name TEXT PRIMARY KEY, owner BLOB NOT NULL UNIQUE, secret BLOB NOT NULL) STRICT;
CREATE TABLE destroyed (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TRIGGER keys_leave_their_name AFTER DELETE ON keys
    BEGIN INSERT OR IGNORE INTO destroyed (name) VALUES (old.name); END;
CREATE TRIGGER keys_stay BEFORE UPDATE ON keys
    BEGIN SELECT RAISE(ABORT, 'keys are destroyed, never changed'); END;
CREATE TRIGGER keys_do_not_return BEFORE INSERT ON keys
    WHEN EXISTS (SELECT 1 FROM destroyed WHERE name = new.name)
    BEGIN SELECT RAISE(ABORT, 'a destroyed key does not return'); END;
CREATE TRIGGER destroyed_stay_1 BEFORE UPDATE ON destroyed
    BEGIN SELECT RAISE(ABORT, 'destroyed keys stay destroyed'); END;
CREATE TRIGGER destroyed_stay_2 BEFORE DELETE ON destroyed
    BEGIN SELECT RAISE(ABORT, 'destroyed keys stay destroyed'); END;
"""
_HELD: Final = (
    "SELECT name, secret FROM keys WHERE name IN (SELECT value FROM json_each(:names))"
    " UNION ALL SELECT name, NULL FROM destroyed WHERE name IN (SELECT value FROM json_each(:names))"
)


class SubjectFile:
    """The port `SubjectKeys` in `subjects.db` of a folder; usable from several threads.

    Args:
        folder: the store's.
        read_only: make nothing and change nothing.
        busy_timeout_s: how long to wait for another process's lock.
    """

    def __init__(self, folder: Path, *, read_only: bool, busy_timeout_s: float) -> None:
        self._file = folder / SUBJECTS_FILE
        self._read_only = read_only
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pepper = b""

    @property
    def id(self) -> str:
        """What this set of keys is called.

        Raises:
            LedgerError: the file is missing, empty or not ours.
        """
        with self._opened("read the subjects' keys", make=False) as connection:
            if connection is None:
                raise _missing(self._file)
            return str(connection.execute("SELECT id FROM identity").fetchone()[0])

    def obtain(self, owners: Collection[KeyOwner], *, make: bool) -> Mapping[KeyOwner, SubjectKey]:
        """Return the keys of owners; with `make`, also for those that had none.

        Raises:
            LedgerError: the file cannot be read or written.
        """
        with self._opened("find the subjects' keys", make=make) as connection:
            if connection is None:
                return {}
            found = {owner: self._find(connection, owner) for owner in owners}
            missing = [owner for owner, key in found.items() if key is None]
            if missing and make:
                connection.execute("BEGIN IMMEDIATE")
                for owner in missing:
                    name, secret = new_key()
                    connection.execute(
                        "INSERT INTO keys (name, owner, secret) VALUES (?, ?, ?)",
                        (name, owner_tag(self._pepper, owner), secret),
                    )
                    found[owner] = SubjectKey(name=name, secret=secret)
                connection.execute("COMMIT")
            return {owner: key for owner, key in found.items() if key is not None}

    def held(self, names: Collection[str]) -> Mapping[str, bytes | None]:
        """Return the secrets of keys, None for destroyed ones; what was never here is left out.

        Raises:
            LedgerError: the file is missing or cannot be read.
        """
        with self._opened("read the subjects' keys", make=False) as connection:
            if connection is None:
                raise _missing(self._file)
            rows = connection.execute(_HELD, {"names": json.dumps([*names])})
            return {str(name): None if secret is None else bytes(secret) for name, secret in rows}

    def destroy(self, names: Collection[str]) -> None:
        """Forget keys for good; when this returns, their bytes are in no file of the folder.

        Raises:
            LedgerError: the file is missing, or it cannot be done now; doing it again finishes it.
        """
        with self._opened("destroy a subject's key", make=False) as connection:
            if connection is None:
                raise _missing(self._file)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "DELETE FROM keys WHERE name IN (SELECT value FROM json_each(?))", (json.dumps([*names]),)
            )
            connection.execute("COMMIT")
            # Also where nothing was deleted: an earlier attempt may have ended before this.
            # `secure_delete` does not reach what SQLite left when it moved a row to another page.
            connection.execute("VACUUM")

    def close(self) -> None:
        """Release the file; idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _find(self, connection: sqlite3.Connection, owner: KeyOwner) -> SubjectKey | None:
        row = connection.execute(
            "SELECT name, secret FROM keys WHERE owner = ?", (owner_tag(self._pepper, owner),)
        ).fetchone()
        return None if row is None else SubjectKey(name=str(row[0]), secret=bytes(row[1]))

    @contextmanager
    def _opened(self, doing: str, *, make: bool) -> Generator[sqlite3.Connection | None]:
        """Lend the connection; None where there is no file yet and none is to be made."""
        with self._lock, refusals_named(self._file, doing):
            if self._connection is None:
                self._connection = self._connect(make=make)
            connection = self._connection
            try:
                yield connection
            finally:
                if connection is not None and connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _connect(self, *, make: bool) -> sqlite3.Connection | None:
        if not self._file.is_file() or not self._file.stat().st_size:
            if not make or self._read_only:
                return None
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            f"{self._file.absolute().as_uri()}?mode={'ro' if self._read_only else 'rw'}",
            uri=True,
            isolation_level=None,
            timeout=self._busy_timeout_s,
            check_same_thread=False,
        )
        try:
            if self._read_only:
                connection.execute("PRAGMA query_only=ON")
            else:
                self._file.chmod(0o600)
                for setting in ("secure_delete=ON", "journal_mode=TRUNCATE", "temp_store=MEMORY"):
                    connection.execute(f"PRAGMA {setting}")
                connection.execute("PRAGMA synchronous=FULL")
                if make:
                    prepare_schema(connection, _SCHEMA, application=_APPLICATION)
                    _name(connection)
            if not schema_version(connection, application=_APPLICATION):
                connection.close()
                return None
            self._pepper = _pepper(connection, self._file)
        except BaseException:
            connection.close()
            raise
        return connection


def _name(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT 1 FROM identity").fetchone() is None:
        connection.execute(
            "INSERT INTO identity (id, pepper) VALUES (?, ?)",
            (secrets.token_hex(16), secrets.token_bytes(32)),
        )
    connection.execute("COMMIT")


def _pepper(connection: sqlite3.Connection, file: Path) -> bytes:
    row = connection.execute("SELECT pepper FROM identity").fetchone()
    if row is None:
        raise _missing(file)
    return bytes(row[0])


def _missing(file: Path) -> LedgerError:
    return LedgerError(
        f"the subjects' keys `{file}` are missing: restore them; what is sealed cannot be read without them"
    )
