"""What a store of an earlier schema version needs, so that this version can write to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.ledger.tree import is_place, node_number
from remit_adapters._sqlite_schema import NUMBERED_NODES, SCHEMA_VERSION, STORE_SCHEMA, statements

if TYPE_CHECKING:
    import sqlite3

_CHUNK: Final = 1000


def upgrade_store(connection: sqlite3.Connection) -> None:
    """Bring a store to this schema version, in one transaction; one that is there already stays as it is.

    Version 2 keeps tree nodes in the order in which they became complete, so that a commit touches one place
    of the table instead of one a level. The nodes themselves stay what they were.

    Args:
        connection: in no transaction.

    Raises:
        LedgerError: the store has nodes that no log could have; nothing was changed.
    """
    if _version(connection) >= NUMBERED_NODES:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        if _version(connection) < NUMBERED_NODES:
            _number_nodes(connection)
            # A pragma takes no parameters; the value is a constant.
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION:d}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


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
