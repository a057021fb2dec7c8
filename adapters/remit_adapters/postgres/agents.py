"""Agents and runs in the tables; what they must be is in `remit_adapters.stores`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from remit_adapters.stores.agent_rows import (
    added_operations,
    agent_prefix,
    changed_entries,
    document_of,
    document_since,
    field_texts,
    moved,
    require_same,
    unknown_agent,
    value_text,
)
from remit_adapters.stores.run_rows import foreign_run, state_of, state_text
from remit_adapters.stores.seals import entry_rows, opened_rows, row_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import psycopg

    from remit.document.lineage import Operation
    from remit.document.memory import Entry
    from remit.document.model import Document
    from remit.ports import Advance, RunState, SubjectKeys
    from remit_adapters.postgres.keys import Sealing

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
Reading = tuple["Document", frozenset[str]]
"""An agent, and the keys that its entries were sealed under."""
_RUNS: Final = "SELECT run, agent, status, value FROM runs"


def create_agent(connection: psycopg.Connection, document: Document, sealing: Sealing) -> None:
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
        entries = [*document.memory.tree]
        rows = entry_rows(agent, entries, sealing.obtaining(connection))
        operations = document.lineage.operations
        _write(connection, int(row[0]), document, operations=operations, entries=entries, rows=rows)
        return
    head = _head(connection, agent)
    require_same(agent, revision, head[1] if head else "")


def advance_agent(connection: psycopg.Connection, advance: Advance, sealing: Sealing) -> None:
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
    changed = changed_entries(advance)
    rows = entry_rows(agent, changed, sealing.obtaining(connection))
    kept = {row_key(row) for row in rows} - {""}
    if kept or advance.erased:
        sealing.entries_leave(connection, int(key), [entry.id for entry in changed], kept)
    operations = added_operations(advance, int(known))
    _write(connection, int(key), document, operations=operations, entries=changed, rows=rows)


def _write(
    connection: psycopg.Connection,
    key: int,
    document: Document,
    *,
    operations: Iterable[Operation],
    entries: Sequence[Entry],
    rows: Sequence[str],
) -> None:
    fields = field_texts(document)
    added = list(operations)
    connection.execute(
        _WRITE,
        {
            "key": key,
            "seqs": [operation.seq for operation in added],
            "operations": [value_text(operation.value) for operation in added],
            "names": list(fields),
            "values": list(fields.values()),
            "ids": [entry.id for entry in entries],
            "entries": [*rows],
            "seq": len(document.lineage.operations) - 1,
        },
    )


def read_agent(connection: psycopg.Connection, agent: str, keys: Callable[[], SubjectKeys]) -> Reading | None:
    """Read the head document of an agent id and verify that its content gives the head revision.

    Within a transaction that sees one state.

    Args:
        connection: for reading.
        agent: agent id.
        keys: gives the subjects' keys; not asked where nothing is sealed.

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
    rows = [str(row[0]) for row in entries]
    document = document_of(
        agent,
        revision,
        dict(fields),
        opened_rows(agent, rows, keys),
        [row[0] for row in operations],
    )
    return document, _names(rows)


def catch_up(
    connection: psycopg.Connection, reading: Reading, keys: Callable[[], SubjectKeys]
) -> Reading | None:
    """Read what came since a revision that was read before; None where the agent must be read whole.

    INVARIANT (a destroyed key is gone): what was opened under a key is not used again without that key.
    Within a transaction that sees one state.
    """
    known, names = reading
    if names:
        held = keys().held(names)
        if any(held.get(name) is None for name in names):
            return None
    head = _head(connection, known.identity.agent)
    if head is None:
        return None
    key, revision = head
    if revision == known.identity.revision:
        return reading
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
    changed = [str(row[0]) for row in entries]
    document = document_since(
        known,
        revision,
        {str(name): str(value) for name, value in rows},
        opened_rows(known.identity.agent, changed, keys),
        [row[0] for row in operations],
    )
    return None if document is None else (document, names | _names(changed))


def _names(rows: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in map(row_key, rows) if name)


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
