"""Agents and runs in the tables; what they must be is in `remit_adapters.stores`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from remit_adapters.stores.agent_rows import (
    added_operations,
    agent_prefix,
    changed_entries,
    document_of,
    document_since,
    entry_text,
    field_texts,
    moved,
    require_same,
    unknown_agent,
    value_text,
)
from remit_adapters.stores.run_rows import foreign_run, state_of, state_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from remit.document.lineage import Operation
    from remit.document.memory import Entry
    from remit.document.model import Document
    from remit.ports import Advance, RunState

_SWAP: Final = """
WITH head AS (SELECT number, revision FROM agents WHERE agent = %(agent)s),
    swapped AS (UPDATE agents SET revision = %(revision)s WHERE agent = %(agent)s AND revision = %(expected)s
        RETURNING number)
SELECT head.number, head.revision, (SELECT count(*) FROM swapped),
    (SELECT coalesce(max(seq), -1) + 1 FROM operations AS o WHERE o.agent = head.number)
FROM head
"""
"""The head's compare-and-swap in one statement, with what a refusal must say."""
_WRITE: Final = """
WITH done AS (INSERT INTO operations (agent, seq, value)
        SELECT %(key)s, * FROM unnest(%(seqs)s::bigint[], %(operations)s::text[])),
    gone AS (DELETE FROM fields WHERE agent = %(key)s AND name <> ALL(%(names)s::text[])),
    said AS (INSERT INTO fields (agent, name, value)
        SELECT %(key)s, * FROM unnest(%(names)s::text[], %(values)s::text[])
        ON CONFLICT (agent, name) DO UPDATE SET value = excluded.value WHERE fields.value <> excluded.value)
INSERT INTO entries (agent, id, value, seq)
    SELECT %(key)s, *, %(seq)s FROM unnest(%(ids)s::text[], %(entries)s::text[])
    ON CONFLICT (agent, id) DO UPDATE SET value = excluded.value, seq = excluded.seq
"""
_RUNS: Final = "SELECT run, agent, status, value FROM runs"


def create_agent(connection: psycopg.Connection, document: Document) -> None:
    """Write a new agent whole; the same content again is no change.

    Raises:
        LedgerError: the agent exists with other content.
    """
    agent, revision = document.identity.agent, document.identity.revision
    row = connection.execute(
        "INSERT INTO agents (agent, revision) VALUES (%s, %s) ON CONFLICT (agent) DO NOTHING"
        " RETURNING number",
        (agent, revision),
    ).fetchone()
    if row is not None:
        _write(connection, int(row[0]), document, document.lineage.operations, document.memory.tree)
        return
    head = _head(connection, agent)
    require_same(agent, revision, head[1] if head else "")


def advance_agent(connection: psycopg.Connection, advance: Advance) -> None:
    """Move an agent's head by compare-and-swap and write what changed.

    Raises:
        HeadMovedError: the head is not the expected revision.
        LedgerError: there is no such agent, or the child does not follow from the expected revision.
    """
    document = advance.document
    agent, revision = document.identity.agent, document.identity.revision
    row = connection.execute(
        _SWAP, {"agent": agent, "revision": revision, "expected": advance.expected}
    ).fetchone()
    if row is None:
        raise unknown_agent(agent)
    key, head, swapped, known = row
    if not swapped:
        raise moved(agent, str(head), advance.expected)
    _write(connection, int(key), document, added_operations(advance, int(known)), changed_entries(advance))


def _write(
    connection: psycopg.Connection,
    key: int,
    document: Document,
    operations: Iterable[Operation],
    entries: Iterable[Entry],
) -> None:
    fields = field_texts(document)
    added, put = list(operations), list(entries)
    connection.execute(
        _WRITE,
        {
            "key": key,
            "seqs": [operation.seq for operation in added],
            "operations": [value_text(operation.value) for operation in added],
            "names": list(fields),
            "values": list(fields.values()),
            "ids": [entry.id for entry in put],
            "entries": [entry_text(entry) for entry in put],
            "seq": len(document.lineage.operations) - 1,
        },
    )


def read_agent(connection: psycopg.Connection, agent: str) -> Document | None:
    """Read the head document of an agent id and verify that its content gives the head revision.

    Within a transaction that sees one state.

    Raises:
        LedgerError: the rows do not give the head revision; the message names the field.
    """
    head = _head(connection, agent)
    if head is None:
        return None
    key, revision = head
    fields = connection.execute("SELECT name, value FROM fields WHERE agent = %s", (key,)).fetchall()
    entries = connection.execute("SELECT value FROM entries WHERE agent = %s ORDER BY id", (key,)).fetchall()
    operations = connection.execute(
        "SELECT value FROM operations WHERE agent = %s ORDER BY seq", (key,)
    ).fetchall()
    return document_of(
        agent,
        revision,
        dict(fields),
        [row[0] for row in entries],
        [row[0] for row in operations],
    )


def catch_up(connection: psycopg.Connection, known: Document) -> Document | None:
    """Read what came since a revision that was read before; None where the agent must be read whole.

    Within a transaction that sees one state.
    """
    head = _head(connection, known.identity.agent)
    if head is None:
        return None
    key, revision = head
    if revision == known.identity.revision:
        return known
    done = len(known.lineage.operations)
    rows = connection.execute(
        "SELECT name, value FROM fields WHERE agent = %s AND name IN ('identity', 'execution_state')", (key,)
    ).fetchall()
    operations = connection.execute(
        "SELECT value FROM operations WHERE agent = %s AND seq >= %s ORDER BY seq", (key, done)
    ).fetchall()
    entries = connection.execute(
        "SELECT value FROM entries WHERE agent = %s AND seq >= %s ORDER BY id", (key, done)
    ).fetchall()
    return document_since(
        known,
        revision,
        {str(name): str(value) for name, value in rows},
        [row[0] for row in entries],
        [row[0] for row in operations],
    )


def find_agents(connection: psycopg.Connection, prefix: str) -> list[str]:
    """At most two agent ids that begin with `prefix`, with or without `sha256:`."""
    text = agent_prefix(prefix)
    if not text:
        return []
    rows = connection.execute(
        "SELECT agent FROM agents WHERE substr(agent, 1, %s) = %s ORDER BY agent LIMIT 2", (len(text), text)
    )
    return [str(row[0]) for row in rows.fetchall()]


def list_agents(connection: psycopg.Connection) -> tuple[tuple[str, str], ...]:
    """Agent id and head revision of every agent, in the order of creation."""
    rows = connection.execute("SELECT agent, revision FROM agents ORDER BY number").fetchall()
    return tuple((str(agent), str(revision)) for agent, revision in rows)


def save_run(connection: psycopg.Connection, state: RunState) -> None:
    """Write a run's state, replacing the one before.

    Raises:
        LedgerError: the state is not JSON, or belongs to another agent's run.
    """
    changed = connection.execute(
        "INSERT INTO runs (run, agent, status, value) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (run) DO UPDATE SET status = excluded.status, value = excluded.value,"
        " number = nextval('runs_saved') WHERE runs.agent = excluded.agent",
        (state.run, state.agent, state.status, state_text(state)),
    ).rowcount
    if changed != 1:
        raise foreign_run(state)


def load_run(connection: psycopg.Connection, run: str) -> RunState | None:
    """Read one run's state, or None."""
    row = connection.execute(f"{_RUNS} WHERE run = %s", (run,)).fetchone()
    return None if row is None else state_of(row)


def list_runs(connection: psycopg.Connection, *, agent: str, status: str) -> tuple[RunState, ...]:
    """Read saved runs, the last saved first."""
    rows = connection.execute(
        f"{_RUNS} WHERE (%(agent)s = '' OR agent = %(agent)s) AND (%(status)s = '' OR status = %(status)s)"
        " ORDER BY number DESC",
        {"agent": agent, "status": status},
    )
    return tuple(state_of(row) for row in rows.fetchall())


def _head(connection: psycopg.Connection, agent: str) -> tuple[int, str] | None:
    row = connection.execute("SELECT number, revision FROM agents WHERE agent = %s", (agent,)).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))
