"""Agents as rows: fields, entries and operations apart, so that one mutation writes only what it changed.

INVARIANT (identity decides): what is read back is parsed strictly and its revision recomputed.
Rows that do not give the head revision are refused, whoever changed them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from remit_adapters.stores.agent_rows import (
    added_operations,
    agent_prefix,
    changed_entries,
    document_of,
    field_texts,
    moved,
    require_same,
    unknown_agent,
    value_text,
)
from remit_adapters.stores.seals import entry_rows, opened_rows, row_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from remit.document.model import Document
    from remit.ports import Advance, SubjectKeys
    from remit_adapters._sqlite_keys import Sealing


def create_agent(connection: sqlite3.Connection, document: Document, sealing: Sealing) -> None:
    """Write a new agent whole; the same content again is no change.

    Args:
        connection: in the transaction that writes it.
        document: the agent.
        sealing: gives keys for what is about a data subject.

    Raises:
        LedgerError: the agent exists with other content.
    """
    agent, revision = document.identity.agent, document.identity.revision
    head = _head(connection, agent)
    if head is not None:
        require_same(agent, revision, head[1])
        return
    number = connection.execute(
        "INSERT INTO agents (agent, revision) VALUES (?, ?)", (agent, revision)
    ).lastrowid
    key = cast("int", number)
    _write_fields(connection, key, document)
    entries = [*document.memory.tree]
    connection.executemany(
        "INSERT INTO entries (agent, id, value) VALUES (?, ?, ?)",
        (
            (key, entry.id, row)
            for entry, row in zip(entries, entry_rows(agent, entries, sealing.obtain), strict=True)
        ),
    )
    connection.executemany(
        "INSERT INTO operations (agent, seq, value) VALUES (?, ?, ?)",
        ((key, operation.seq, value_text(operation.value)) for operation in document.lineage.operations),
    )


def advance_agent(connection: sqlite3.Connection, advance: Advance, sealing: Sealing) -> None:
    """Move an agent's head by compare-and-swap and write what changed.

    Args:
        connection: in the transaction that moves it.
        advance: the move.
        sealing: gives keys for what is about a data subject, and is told which lose a row.

    Raises:
        HeadMovedError: the head is not the expected revision.
        LedgerError: there is no such agent, or the child does not follow from the expected revision.
    """
    document = advance.document
    agent, revision = document.identity.agent, document.identity.revision
    head = _head(connection, agent)
    if head is None:
        raise unknown_agent(agent)
    key = head[0]
    swapped = connection.execute(
        "UPDATE agents SET revision = ? WHERE number = ? AND revision = ?", (revision, key, advance.expected)
    ).rowcount
    if swapped != 1:
        raise moved(agent, head[1], advance.expected)
    known = int(
        connection.execute(
            "SELECT coalesce(max(seq), -1) + 1 FROM operations WHERE agent = ?", (key,)
        ).fetchone()[0]
    )
    added = added_operations(advance, known)
    connection.executemany(
        "INSERT INTO operations (agent, seq, value) VALUES (?, ?, ?)",
        ((key, operation.seq, value_text(operation.value)) for operation in added),
    )
    _write_fields(connection, key, document)
    changed = changed_entries(advance)
    rows = entry_rows(agent, changed, sealing.obtain)
    kept = {row_key(row) for row in rows} - {""}
    if kept or advance.erased:
        sealing.entries_leave(key, [entry.id for entry in changed], kept)
    connection.executemany(
        "INSERT INTO entries (agent, id, value) VALUES (?, ?, ?)"
        " ON CONFLICT (agent, id) DO UPDATE SET value = excluded.value",
        ((key, entry.id, row) for entry, row in zip(changed, rows, strict=True)),
    )


def load_agent(
    connection: sqlite3.Connection, agent: str, keys: Callable[[], SubjectKeys]
) -> Document | None:
    """Read the head document of an agent id and verify that its content gives the head revision.

    Args:
        connection: for reading.
        agent: agent id.
        keys: gives the subjects' keys; not asked where nothing is sealed.

    Raises:
        LedgerError: the rows do not give the head revision; the message names the field.
    """
    connection.execute("BEGIN")
    try:
        return read_agent(connection, agent, keys)
    finally:
        connection.execute("COMMIT")


def read_agent(
    connection: sqlite3.Connection, agent: str, keys: Callable[[], SubjectKeys]
) -> Document | None:
    """Like `load_agent`, within the caller's transaction.

    Raises:
        LedgerError: like `load_agent`.
    """
    head = _head(connection, agent)
    if head is None:
        return None
    key, revision = head
    fields = dict(connection.execute("SELECT name, value FROM fields WHERE agent = ?", (key,)).fetchall())
    entries = connection.execute("SELECT value FROM entries WHERE agent = ? ORDER BY id", (key,)).fetchall()
    operations = connection.execute(
        "SELECT value FROM operations WHERE agent = ? ORDER BY seq", (key,)
    ).fetchall()
    opened = opened_rows(agent, [row[0] for row in entries], keys)
    return document_of(agent, revision, fields, opened, [row[0] for row in operations])


def find_agents(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """At most two agent ids that begin with `prefix`, with or without `sha256:`."""
    text = agent_prefix(prefix)
    if not text:
        return []
    rows = connection.execute(
        "SELECT agent FROM agents WHERE substr(agent, 1, ?) = ? ORDER BY agent LIMIT 2", (len(text), text)
    )
    return [str(row[0]) for row in rows.fetchall()]


def _head(connection: sqlite3.Connection, agent: str) -> tuple[int, str] | None:
    row = connection.execute("SELECT number, revision FROM agents WHERE agent = ?", (agent,)).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def _write_fields(connection: sqlite3.Connection, key: int, document: Document) -> None:
    values = field_texts(document)
    connection.executemany(
        "INSERT INTO fields (agent, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (agent, name) DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        ((key, name, text) for name, text in values.items()),
    )
    names = json.dumps(list(values))
    connection.execute(
        "DELETE FROM fields WHERE agent = ? AND name NOT IN (SELECT value FROM json_each(?))", (key, names)
    )
