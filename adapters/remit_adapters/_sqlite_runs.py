"""Runs as rows: each run's own state, so that it can go on in another process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from remit.errors import LedgerError
from remit.ports import RunState

if TYPE_CHECKING:
    import sqlite3

    from remit.document.values import JsonObject

_COLUMNS = "SELECT run, agent, status, value FROM runs"


def save_run(connection: sqlite3.Connection, state: RunState) -> None:
    """Write a run's state, replacing the one before.

    Raises:
        LedgerError: the state is not JSON, or belongs to another agent's run.
    """
    try:
        text = json.dumps(state.value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(f"the state of run `{state.run}` is not JSON: {error}") from error
    changed = connection.execute(
        "INSERT INTO runs (run, agent, status, value) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (run) DO UPDATE SET status = excluded.status, value = excluded.value,"
        " number = (SELECT max(number) + 1 FROM runs)"
        " WHERE agent = excluded.agent",
        (state.run, state.agent, state.status, text),
    ).rowcount
    if changed != 1:
        raise LedgerError(f"the run `{state.run}` belongs to another agent than `{state.agent}`")


def load_run(connection: sqlite3.Connection, run: str) -> RunState | None:
    """Read one run's state, or None."""
    row = connection.execute(f"{_COLUMNS} WHERE run = ?", (run,)).fetchone()
    return None if row is None else _state(row)


def list_runs(connection: sqlite3.Connection, *, agent: str, status: str) -> tuple[RunState, ...]:
    """Read saved runs, the last saved first."""
    rows = connection.execute(
        f"{_COLUMNS} WHERE (?1 = '' OR agent = ?1) AND (?2 = '' OR status = ?2) ORDER BY number DESC",
        (agent, status),
    )
    return tuple(_state(row) for row in rows.fetchall())


def _state(row: tuple[str, str, str, str]) -> RunState:
    run, agent, status, text = row
    try:
        value = cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"the state of run `{run}` cannot be read: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise LedgerError(f"the state of run `{run}` is not an object")
    return RunState(run=run, agent=agent, status=status, value=cast("JsonObject", value))
