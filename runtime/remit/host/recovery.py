"""After a crash: an intent without an outcome is unknown. It is reported and recorded, and never repeated.

Who settles it is a person who looked (`remit.host.unknown`).

Rules
1. An intent of a run that still lives, in this process or another on this machine, is in flight, not unknown.
2. At the next start of the agent each unknown intent gets the outcome `unknown` in the ledger and one event.
3. A run whose process ended is over: it is saved as failed and cannot be resumed.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from remit.errors import EvaluationError, SettledError
from remit.host.events import UnknownReported
from remit.host.thread import is_alive
from remit.host.unknown import abandoned, unknown_effects, unknown_of, unknown_outcome
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Generator

    from remit.document.values import JsonObject, JsonValue
    from remit.host.agent import Agent
    from remit.host.session import Session
    from remit.host.stores import Store
    from remit.host.unknown import Unknown
    from remit.ports import RunState
    from remit.records import Receipt

_RUNNING: set[str] = set()
_ENDING: set[str] = set()
_CLAIMING = threading.Lock()


def running_here() -> set[str]:
    """Return the ids of the runs that this process is driving; a run adds and removes its own."""
    return _RUNNING


def claim_here(run: str) -> bool:
    """Enter a run among those that this process drives; False where it is one of them already."""
    with _CLAIMING:
        if run in _RUNNING:
            return False
        _RUNNING.add(run)
        return True


def first_to_go_on(store: Store, run: str, receipt: Receipt) -> None:
    """Hold the record `receipt`, which says that a stopped run goes on, against those of other processes.

    Raises:
        EvaluationError: since the run last stopped, another process was the first to say so.
    """
    first = -1
    for record in store.records(run=run):
        body = record.value.get("body")
        if record.value.get("kind") != "run" or not isinstance(body, dict):
            continue
        if body.get("status") != "running":
            first = -1
        elif first < 0:
            first = record.index
    if first != receipt.index:
        raise EvaluationError(f"run `{run}` cannot go on: another process goes on with it")


def find_unknown(agent: Agent) -> tuple[UnknownReported, ...]:
    """Return the effects of this agent of which nobody knows what became, oldest first; settled ones not."""
    found = unknown_effects(agent.store, agent=agent.id, lives=lambda run: run_lives(agent.store, run))
    return tuple(_event(one) for one in found)


async def report_unknown(session: Session) -> tuple[UnknownReported, ...]:
    """Record and announce what an earlier process left without an outcome (rules 2 and 3).

    Raises:
        LedgerError: the ledger cannot be read or written; the run must not begin.
    """
    agent = session.agent
    intents = abandoned(agent.store, agent=agent.id, lives=lambda run: run_lives(agent.store, run))
    events = tuple(_event(unknown_of(record)) for record in intents)
    for record in intents:
        # Whoever comes second, in this process or another, has nothing to add.
        with contextlib.suppress(SettledError):
            await agent.submit(unknown_outcome(record, at=agent.clock.now()), settles=(record.digest,))
    for state in agent.store.runs(agent=agent.id, status="running"):
        if state.run == session.run or _lives(state):
            continue
        with _ending(agent.store, state.run) as mine:
            if not mine:
                continue
            await agent.submit(
                Draft(
                    kind="run",
                    agent=agent.id,
                    run=state.run,
                    at=agent.clock.now(),
                    body={"status": "failed", "reason": "the process ended during the run"},
                ),
                # What was said lies in the ledger and can be erased there; a run that is over needs it not.
                run_state=replace(
                    state,
                    status="failed",
                    value={**state.value, "text": "", "messages": [], "queue": [], "proposal": {}},
                ),
            )
    for event in events:
        session.emit(event)
    return events


@contextlib.contextmanager
def _ending(store: Store, run: str) -> Generator[bool]:
    """Claim to end a run that an earlier process left; false where another thread does, or has done, so."""
    with _CLAIMING:
        free = run not in _ENDING
        _ENDING.add(run)
    try:
        state = store.load_run(run) if free else None
        yield state is not None and state.status == "running"
    finally:
        if free:
            with _CLAIMING:
                _ENDING.discard(run)


def run_lives(store: Store, run: str) -> bool:
    """Whether a run is being driven now, by this process or another one on this machine."""
    state = store.load_run(run)
    return run in _RUNNING or (state is not None and _lives(state))


def _lives(state: RunState) -> bool:
    if state.run in _RUNNING:
        return True
    if state.status != "running":
        return False
    process = _object(state.value.get("process"))
    # This very process drives exactly the runs in `_RUNNING`; after a fork or an abandoned loop the file
    # would lie.
    return is_alive(process) and not _is_this(process)


def _is_this(process: JsonObject) -> bool:
    from remit.host.thread import process_identity

    return process == process_identity()


def _event(effect: Unknown) -> UnknownReported:
    return UnknownReported(
        run=effect.run,
        action=effect.target if effect.effect == "call_tool" else effect.effect,
        target=effect.target,
        intent=effect.intent,
        at=effect.at,
    )


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
