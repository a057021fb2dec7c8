"""Runs as rows: each run's own state, so that it can go on in another process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from remit.errors import LedgerError
from remit.ports import RunState

if TYPE_CHECKING:
    from remit.document.values import JsonObject


def state_text(state: RunState) -> str:
    """Return a run's state as it is stored.

    Raises:
        LedgerError: it is not JSON.
    """
    try:
        text = json.dumps(state.value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(f"the state of run `{state.run}` is not JSON: {error}") from error
    return text


def foreign_run(state: RunState) -> LedgerError:
    """Say that a run belongs to another agent."""
    return LedgerError(f"the run `{state.run}` belongs to another agent than `{state.agent}`")


def state_of(row: tuple[str, str, str, str]) -> RunState:
    """Read a row: run, agent, status and JSON.

    Raises:
        LedgerError: it cannot be read.
    """
    run, agent, status, text = row
    try:
        value = cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"the state of run `{run}` cannot be read: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise LedgerError(f"the state of run `{run}` is not an object")
    return RunState(run=run, agent=agent, status=status, value=cast("JsonObject", value))
