"""SQLite for the store: connections, schema, and one clear message for everything SQLite can refuse."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

SCHEMA_VERSION: Final = 3
NUMBERED_NODES: Final = 2
"""The schema version from which tree nodes lie in the order in which they became complete."""
SEALED_ROWS: Final = 3
"""The schema version from which what is about a data subject is sealed."""
MINIMUM_SQLITE: Final = (3, 37, 0)
"""STRICT tables came with 3.37."""
BUSY_TIMEOUT_S: Final = 10.0
_RETRY_S: Final = 0.02

STORE_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE records (
    idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL,
    kind TEXT NOT NULL, agent TEXT NOT NULL, run TEXT NOT NULL) STRICT;
CREATE INDEX records_by_agent ON records (agent, idx);
CREATE INDEX records_by_run ON records (run, idx) WHERE run <> '';

CREATE TABLE contents (
    idx INTEGER PRIMARY KEY REFERENCES records (idx), salt BLOB NOT NULL, content BLOB NOT NULL) STRICT;

CREATE TABLE nodes (
    number INTEGER PRIMARY KEY, level INTEGER NOT NULL, idx INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;

CREATE TABLE checkpoints (number INTEGER PRIMARY KEY, size INTEGER NOT NULL, note TEXT NOT NULL) STRICT;

CREATE TABLE open_intents (digest TEXT PRIMARY KEY, idx INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE agents (number INTEGER PRIMARY KEY, agent TEXT NOT NULL UNIQUE, revision TEXT NOT NULL) STRICT;
CREATE TABLE fields (
    agent INTEGER NOT NULL REFERENCES agents (number), name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (agent, name)) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
    agent INTEGER NOT NULL REFERENCES agents (number), id TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (agent, id)) STRICT, WITHOUT ROWID;
CREATE TABLE operations (
    agent INTEGER NOT NULL REFERENCES agents (number), seq INTEGER NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (agent, seq)) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, agent TEXT NOT NULL, status TEXT NOT NULL,
    value TEXT NOT NULL) STRICT;
CREATE INDEX runs_by_agent ON runs (agent, number);

CREATE TRIGGER records_stay_1 BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER records_stay_2 BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER nodes_stay_1 BEFORE UPDATE ON nodes
    BEGIN SELECT RAISE(ABORT, 'nodes are append-only'); END;
CREATE TRIGGER nodes_stay_2 BEFORE DELETE ON nodes
    BEGIN SELECT RAISE(ABORT, 'nodes are append-only'); END;
CREATE TRIGGER checkpoints_stay_1 BEFORE UPDATE ON checkpoints
    BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only'); END;
CREATE TRIGGER checkpoints_stay_2 BEFORE DELETE ON checkpoints
    BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only'); END;
CREATE TRIGGER contents_stay BEFORE UPDATE ON contents
    BEGIN SELECT RAISE(ABORT, 'contents are erased, never changed'); END;
CREATE TRIGGER operations_stay_1 BEFORE UPDATE ON operations
    BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;
CREATE TRIGGER operations_stay_2 BEFORE DELETE ON operations
    BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;
"""

CONTROL_SCHEMA: Final = """
CREATE TABLE standing (
    scope TEXT PRIMARY KEY, stop TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL,
    at TEXT NOT NULL) STRICT;
CREATE TABLE journal (
    number INTEGER PRIMARY KEY, act TEXT NOT NULL, scope TEXT NOT NULL, by TEXT NOT NULL,
    reason TEXT NOT NULL, at TEXT NOT NULL) STRICT;
CREATE TRIGGER journal_stays_1 BEFORE UPDATE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_stays_2 BEFORE DELETE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


@contextmanager
def refusals_named(file: Path, doing: str) -> Generator[None]:
    """Turn whatever SQLite or the file system refuses into one `LedgerError`.

    Args:
        file: the database concerned.
        doing: what was being done, such as `append`.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(f"cannot {doing}: `{file}`: {refusal(error)}") from error
    except UnicodeError as error:
        raise LedgerError(f"cannot {doing}: `{file}`: a text in it is no Unicode") from error
    except OSError as error:
        raise LedgerError(f"cannot {doing}: `{file}`: {(error.strerror or str(error)).lower()}") from error


def refusal(error: sqlite3.Error) -> str:
    """Say what SQLite's error means and what to do."""
    name = str(getattr(error, "sqlite_errorname", ""))
    meanings = {
        "SQLITE_FULL": "the disk is full: free some space and try again",
        "SQLITE_BUSY": "the file is locked by another process: try again, or stop the other process",
        "SQLITE_LOCKED": "the file is locked by another connection: try again",
        "SQLITE_READONLY": "the file is read-only: grant write access or open the store read-only",
        "SQLITE_CANTOPEN": "the file cannot be opened: it is missing, or its folder is not writable",
        "SQLITE_NOTADB": "the file is not a database: restore it from a copy",
        "SQLITE_CORRUPT": "the file is damaged: restore it from a copy",
        "SQLITE_IOERR": "reading or writing the disk failed",
        "SQLITE_PERM": "access is not permitted",
        "SQLITE_AUTH": "access is not permitted",
        "SQLITE_TOOBIG": "a value is too large for the database",
    }
    for prefix, meaning in meanings.items():
        if name.startswith(prefix):
            return meaning
    return f"{str(error).lower()} ({name or type(error).__name__})"


def connect(
    file: Path, *, read_only: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Open a connection with this store's settings; transactions are explicit.

    Args:
        file: the database file.
        read_only: open nothing for writing; works on read-only media too.
        busy_timeout_s: how long to wait for another process's lock.

    Raises:
        LedgerError: the file cannot be opened.
    """
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise LedgerError(f"the SQLite library is {sqlite3.sqlite_version}: 3.37 or newer is needed")
    uri = file.absolute().as_uri()
    # Each connection is guarded by a lock of its owner, or used by one thread alone.
    if not read_only:
        return _prepared(
            sqlite3.connect(
                f"{uri}?mode=rwc",
                uri=True,
                isolation_level=None,
                timeout=busy_timeout_s,
                check_same_thread=False,
            ),
            busy_timeout_s=busy_timeout_s,
        )
    connection = sqlite3.connect(
        f"{uri}?mode=ro", uri=True, isolation_level=None, timeout=busy_timeout_s, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError):
            raise
        log = file.with_name(file.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        # On read-only media WAL needs a promise that nobody writes; without a -wal file that loses nothing.
        connection = sqlite3.connect(
            f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    connection.execute("PRAGMA query_only=ON")
    return connection


def _prepared(connection: sqlite3.Connection, *, busy_timeout_s: float) -> sqlite3.Connection:
    try:
        connection.execute("PRAGMA secure_delete=ON")
        require_wal(_write_ahead(connection, busy_timeout_s))
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection, busy_timeout_s: float) -> str:
    """Switch to the write-ahead log and return the mode that the file has then.

    While several processes open a new file at once, SQLite refuses this one switch without waiting.
    """
    until = time.monotonic() + busy_timeout_s
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            # The primary code stands in the lowest byte of an extended one.
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > until:
                raise
        time.sleep(_RETRY_S)


def require_wal(mode: str) -> None:
    """Refuse a file system on which SQLite fell back to another journal.

    Raises:
        LedgerError: the mode is not `wal`.
    """
    if mode != "wal":
        raise LedgerError(f"the file system does not support SQLite's write-ahead log (mode `{mode}`)")


def prepare_schema(connection: sqlite3.Connection, script: str, *, application: int) -> None:
    """Make the tables on first use; refuse another program's file and a newer schema.

    Args:
        connection: in no transaction.
        script: statements that make the tables.
        application: SQLite application id that marks our files.

    Raises:
        LedgerError: the file belongs to something else, or to a newer version.
    """
    version = schema_version(connection, application=application)
    if version:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not schema_version(connection, application=application):
            for statement in statements(script):
                connection.execute(statement)
            # Pragmas take no parameters; both values are constants of this module's callers.
            connection.execute(f"PRAGMA application_id={application:d}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def schema_version(connection: sqlite3.Connection, *, application: int) -> int:
    """Return the file's schema version, 0 for an empty file.

    Raises:
        LedgerError: the file belongs to something else, or to a newer version.
    """
    # In one transaction: another process may be making the tables between two of these statements.
    alone = not connection.in_transaction
    if alone:
        connection.execute("BEGIN")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    finally:
        if alone and connection.in_transaction:
            connection.execute("COMMIT")
    if not tables and not version:
        return 0
    if owner != application:
        raise LedgerError("the database belongs to another program: choose another folder")
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"the store has schema version {version}, newer than {SCHEMA_VERSION}: "
            "use a newer version of remit"
        )
    return version


def require_schema(connection: sqlite3.Connection, *, application: int) -> None:
    """Refuse an empty file where a made one is needed.

    Raises:
        LedgerError: the file is empty, belongs to something else, or to a newer version.
    """
    if not schema_version(connection, application=application):
        raise LedgerError("the database is empty: it was never made, or its content is lost")


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one after the other."""
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
