"""What a store of an earlier schema version needs, so that this version can write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.ledger.tree import is_place, node_number
from remit_adapters._sqlite_keys import SEALING_SCHEMA, Sealing
from remit_adapters._sqlite_schema import (
    NUMBERED_NODES,
    SCHEMA_VERSION,
    SEALED_ROWS,
    STORE_SCHEMA,
    statements,
)
from remit_adapters.stores.seals import rows_to_seal

if TYPE_CHECKING:
    import sqlite3

    from remit.ports import SubjectKeys

_CHUNK: Final = 1000


def upgrade_store(connection: sqlite3.Connection, keys: SubjectKeys) -> None:
    """Bring a store to this schema version, in one transaction; one that is there already stays as it is.

    Version 2 keeps tree nodes in the order in which they became complete, so that a commit touches one place
    of the table instead of one a level. The nodes themselves stay what they were.
    Version 3 seals memory entries that name a data subject. Contents of records are never changed, so those
    that were written before stay without a seal.

    Args:
        connection: in no transaction.
        keys: the subjects' keys.

    Raises:
        LedgerError: the store has nodes that no log could have, or the keys cannot be reached; nothing was
            changed.
    """
    if _version(connection) >= SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        version = _version(connection)
        if version < NUMBERED_NODES:
            _number_nodes(connection)
        sealed = version < SEALED_ROWS and _seal_entries(connection, keys)
        # A pragma takes no parameters; the value is a constant.
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION:d}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if sealed:
        # What was in clear leaves the files; where a reader holds the old state, with the next erasure.
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _seal_entries(connection: sqlite3.Connection, keys: SubjectKeys) -> bool:
    """Make what version 3 has besides, and seal what is there; say whether anything was."""
    for statement in statements(SEALING_SCHEMA):
        connection.execute(statement)
    sealing = Sealing(connection, keys)
    found = False
    for number, agent in connection.execute("SELECT number, agent FROM agents").fetchall():
        rows = connection.execute("SELECT id, value FROM entries WHERE agent = ?", (number,))
        sealed = rows_to_seal(agent, rows, sealing.obtain)
        found = found or bool(sealed)
        connection.executemany(
            "UPDATE entries SET value = ? WHERE agent = ? AND id = ?",
            [(row, number, entry) for entry, row in sealed],
        )
    return found


def _number_nodes(connection: sqlite3.Connection) -> None:
    table, *triggers = [
        text for text in statements(STORE_SCHEMA) if " nodes (" in text or " ON nodes" in text
    ]
    connection.execute(table.replace(" nodes (", " numbered ("))
    rows = connection.execute("SELECT level, idx, digest FROM nodes")
    while chunk := rows.fetchmany(_CHUNK):
        if any(not is_place(level, index) for level, index, _ in chunk):
            raise LedgerError("the log has a tree node that no log can have: run `remit ledger verify`")
        connection.executemany(
            "INSERT INTO numbered (number, level, idx, digest) VALUES (?, ?, ?, ?)",
            [(node_number(level, index), level, index, digest) for level, index, digest in chunk],
        )
    # The old triggers go with the old table.
    connection.execute("DROP TABLE nodes")
    connection.execute("ALTER TABLE numbered RENAME TO nodes")
    for trigger in triggers:
        connection.execute(trigger)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
