"""Agents as rows: fields, entries and operations apart, so that one mutation writes only what it changed.

INVARIANT (identity decides): what is read back is parsed strictly and its revision recomputed.
Rows that do not give the head revision are refused, whoever changed them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from remit.document.entries import entry_value
from remit.document.identity import field_digests
from remit.document.parse import document_from_value
from remit.errors import DocumentError, HeadMovedError, LedgerError

if TYPE_CHECKING:
    import sqlite3

    from remit.document.memory import Entry
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.ports import Advance


def create_agent(connection: sqlite3.Connection, document: Document) -> None:
    """Write a new agent whole; the same content again is no change.

    Raises:
        LedgerError: the agent exists with other content.
    """
    agent, revision = document.identity.agent, document.identity.revision
    head = _head(connection, agent)
    if head is not None:
        if head[1] == revision:
            return
        raise LedgerError(
            f"the agent `{agent}` exists with other content (head `{head[1]}`): "
            "advance its head, or fork it under a new identity"
        )
    number = connection.execute(
        "INSERT INTO agents (agent, revision) VALUES (?, ?)", (agent, revision)
    ).lastrowid
    key = cast("int", number)
    _write_fields(connection, key, document)
    connection.executemany(
        "INSERT INTO entries (agent, id, value) VALUES (?, ?, ?)",
        ((key, entry.id, _text(entry_value(entry))) for entry in document.memory.tree),
    )
    connection.executemany(
        "INSERT INTO operations (agent, seq, value) VALUES (?, ?, ?)",
        ((key, operation.seq, _text(operation.value)) for operation in document.lineage.operations),
    )


def advance_agent(connection: sqlite3.Connection, advance: Advance) -> None:
    """Move an agent's head by compare-and-swap and write what changed.

    Raises:
        HeadMovedError: the head is not the expected revision.
        LedgerError: there is no such agent, or the child does not follow from the expected revision.
    """
    document = advance.document
    agent, revision = document.identity.agent, document.identity.revision
    head = _head(connection, agent)
    if head is None:
        raise LedgerError(f"the store holds no agent `{agent}`: create it first")
    key = head[0]
    swapped = connection.execute(
        "UPDATE agents SET revision = ? WHERE number = ? AND revision = ?", (revision, key, advance.expected)
    ).rowcount
    if swapped != 1:
        raise HeadMovedError(
            f"the head of `{agent}` is `{head[1]}`, no longer `{advance.expected}`: load it again and retry"
        )
    known = int(
        connection.execute(
            "SELECT coalesce(max(seq), -1) + 1 FROM operations WHERE agent = ?", (key,)
        ).fetchone()[0]
    )
    added = document.lineage.operations[known:]
    if not added or added[0].parent != advance.expected:
        raise LedgerError(
            f"the revision `{revision}` does not follow from `{advance.expected}`: its lineage differs"
        )
    connection.executemany(
        "INSERT INTO operations (agent, seq, value) VALUES (?, ?, ?)",
        ((key, operation.seq, _text(operation.value)) for operation in added),
    )
    _write_fields(connection, key, document)
    connection.executemany(
        "INSERT INTO entries (agent, id, value) VALUES (?, ?, ?)"
        " ON CONFLICT (agent, id) DO UPDATE SET value = excluded.value",
        ((key, entry.id, _text(entry_value(entry))) for entry in _changed(advance)),
    )


def load_agent(connection: sqlite3.Connection, agent: str) -> Document | None:
    """Read the head document of an agent id and verify that its content gives the head revision.

    Raises:
        LedgerError: the rows do not give the head revision; the message names the field.
    """
    connection.execute("BEGIN")
    try:
        return read_agent(connection, agent)
    finally:
        connection.execute("COMMIT")


def read_agent(connection: sqlite3.Connection, agent: str) -> Document | None:
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
    value = {str(name): _read(agent, str(name), text) for name, text in fields.items()}
    for name, member, rows in (("memory", "entries", entries), ("lineage", "operations", operations)):
        field = value.get(name)
        if not isinstance(field, dict):
            raise LedgerError(
                f"the stored agent `{agent}` was changed behind the store: "
                f"field `{name}` is gone or no object"
            )
        value[name] = {**field, member: [_read(agent, name, row[0]) for row in rows]}
    try:
        document = document_from_value(value)
    except DocumentError as error:
        raise LedgerError(f"the stored agent `{agent}` was changed behind the store: {error}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LedgerError(f"the stored agent `{agent}` cannot be read: {type(error).__name__}") from error
    if (document.identity.agent, document.identity.revision) != (agent, revision):
        raise LedgerError(
            f"the stored agent `{agent}` was changed behind the store: its content is "
            f"`{document.identity.revision}`, its head says `{revision}` (field `identity`)"
        )
    return document


def find_agents(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """At most two agent ids that begin with `prefix`, with or without `sha256:`."""
    text = prefix if prefix.startswith("sha256:") else f"sha256:{prefix}"
    if text == "sha256:":
        return []
    rows = connection.execute(
        "SELECT agent FROM agents WHERE substr(agent, 1, ?) = ? ORDER BY agent LIMIT 2", (len(text), text)
    )
    return [str(row[0]) for row in rows.fetchall()]


def _changed(advance: Advance) -> list[Entry]:
    """Return the rows that changed, as the child document holds them.

    INVARIANT (delta is the document's): a put or erased entry that the child does not hold so is refused,
    for the rows would no longer give the child's revision.
    """
    tree = advance.document.memory.tree
    for entry in advance.put:
        if tree.get(bytes.fromhex(entry.id)) != entry:
            raise LedgerError(
                f"the entry `{entry.id}` is to be stored, but the child revision holds another one"
            )
    erased: list[Entry] = []
    for entry_id in advance.erased:
        held = tree.get(bytes.fromhex(entry_id))
        if held is None or held.payload is not None:
            raise LedgerError(
                f"the entry `{entry_id}` is to be erased, but the child revision does not say so"
            )
        erased.append(held)
    return [*advance.put, *erased]


def _head(connection: sqlite3.Connection, agent: str) -> tuple[int, str] | None:
    row = connection.execute("SELECT number, revision FROM agents WHERE agent = ?", (agent,)).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def _write_fields(connection: sqlite3.Connection, key: int, document: Document) -> None:
    identity: JsonObject = {
        "agent": document.identity.agent,
        "revision": document.identity.revision,
        "fields": dict(field_digests(document)),
    }
    if document.identity.signatures:
        identity["signatures"] = list(document.identity.signatures)
    values: JsonObject = {
        "spec": document.spec,
        "identity": identity,
        "capabilities": document.capabilities.value,
        "execution_state": document.execution_state.value,
        "governance": document.governance.value,
        "lineage": document.lineage.value,
        "memory": document.memory.value,
        **document.extensions,
    }
    connection.executemany(
        "INSERT INTO fields (agent, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (agent, name) DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        ((key, name, _text(value)) for name, value in values.items()),
    )
    names = json.dumps(list(values))
    connection.execute(
        "DELETE FROM fields WHERE agent = ? AND name NOT IN (SELECT value FROM json_each(?))", (key, names)
    )


def _read(agent: str, field: str, text: str) -> JsonValue:
    try:
        return cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise LedgerError(
            f"the stored agent `{agent}` was changed behind the store: "
            f"a row of field `{field}` is not JSON ({type(error).__name__})"
        ) from error


def _text(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
