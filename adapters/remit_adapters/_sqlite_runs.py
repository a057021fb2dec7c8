"""Runs as rows: each run's own state, so that it can go on in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit_adapters.stores.run_rows import foreign_run, state_of, state_text

if TYPE_CHECKING:
    import sqlite3

    from remit.ports import RunState


_COLUMNS = "SELECT run, agent, status, value FROM runs"


def save_run(connection: sqlite3.Connection, state: RunState) -> None:
    """Write a run's state, replacing the one before.

    Raises:
        LedgerError: the state is not JSON, or belongs to another agent's run.
    """
    text = state_text(state)
    changed = connection.execute(
        "INSERT INTO runs (run, agent, status, value) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (run) DO UPDATE SET status = excluded.status, value = excluded.value,"
        " number = (SELECT max(number) + 1 FROM runs)"
        " WHERE agent = excluded.agent",
        (state.run, state.agent, state.status, text),
    ).rowcount
    if changed != 1:
        raise foreign_run(state)


def load_run(connection: sqlite3.Connection, run: str) -> RunState | None:
    """Read one run's state, or None."""
    row = connection.execute(f"{_COLUMNS} WHERE run = ?", (run,)).fetchone()
    return None if row is None else state_of(row)


def list_runs(connection: sqlite3.Connection, *, agent: str, status: str) -> tuple[RunState, ...]:
    """Read saved runs, the last saved first."""
    rows = connection.execute(
        f"{_COLUMNS} WHERE (?1 = '' OR agent = ?1) AND (?2 = '' OR status = ?2) ORDER BY number DESC",
        (agent, status),
    )
    return tuple(state_of(row) for row in rows.fetchall())
