"""Suspend, resume, terminate, kill: what people do to an agent from outside its runs.

Rules
1. Each is an action of the caller on the agent, decided by the gate and recorded, before it takes effect.
2. It takes effect in the control state first, which every process checks before every effect, then in the
   document.
3. `resume` and `terminate` are judged although the agent's own suspension stands; any other order still
   denies them.
4. A kill is judged by the rules on `terminate`. It is final: nothing here lifts it.
5. No order fails over the words of its reason: what is no Unicode in it is replaced.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from remit.document.values import well_formed
from remit.gate.gate import Gate
from remit.host.execution import move, state_value
from remit.host.in_flight import in_flight
from remit.host.operations import answer_of, operation_session
from remit.host.requests import agent_entity
from remit.host.session import Session
from remit.messages import content_digest
from remit.ports import Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.model import Document, Lifecycle
    from remit.document.values import JsonObject, JsonValue
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.engines import Prepared
    from remit.host.results import Answer
    from remit.ports import ControlState


class _OwnSuspensionAside:
    """The control state without a suspend order on one scope (rule 3)."""

    def __init__(self, control: ControlState, scope: str) -> None:
        self._control = control
        self._scope = scope

    def stop(self, order: Stop) -> None:
        """Make an order durable."""
        self._control.stop(order)

    def lift(self, scope: str, *, by: str, reason: str, at: str) -> bool:
        """Withdraw an order."""
        return self._control.lift(scope, by=by, reason=reason, at=at)

    def in_force(self, scopes: Sequence[str]) -> Stop | None:
        """Return the first order that stands, the one suspension aside."""
        stop = self._control.in_force(scopes)
        if stop is None or stop.order != "suspend" or stop.scope != self._scope:
            return stop
        return self._control.in_force([scope for scope in scopes if scope != self._scope])


class _OperatorSession(Session):
    """A session whose gate does not count the agent's own suspension."""

    def gate_under(self, compiled: Prepared) -> Gate:
        """Return the gate under one governance."""
        control = _OwnSuspensionAside(self.agent.store.control, scope_of(self.agent))
        return Gate(
            compiled.engine,
            compiled.image,
            self.agent.store,
            control,
            self.agent.clock,
            agent=self.agent.id,
            run=self.run,
            scopes=self.agent.scopes,
        )


def scope_of(agent: Agent) -> str:
    """Return the agent's own scope."""
    return f"agent:{agent.id}"


async def _authorized(
    agent: Agent, action: str, *, by: Caller, content: JsonObject, aside: bool
) -> tuple[Session, Answer]:
    await asyncio.to_thread(agent.refresh)
    session = operation_session(agent, by)
    if aside:
        session = _OperatorSession(agent, by, run=session.run, on_own_behalf=True)
    entity = agent_entity(agent.document)
    outcome = await session.ask(action, resource=entity, content=content_digest(content))
    return session, answer_of(session, outcome, action=action, resource=str(entity.ref))


async def _order(session: Session, scope: str, order: str, by: Caller, reason: str) -> None:
    """Put an order in force, then record it: a kill must not wait for a ledger under load."""
    at = session.agent.clock.now()
    control = session.agent.store.control
    await asyncio.to_thread(control.stop, Stop(scope=scope, order=order, by=by.id, reason=reason, at=at))
    body: JsonObject = {"order": order, "scope": scope, "by": by.id, "reason": reason}
    await session.agent.submit(session.draft("control", body))


async def _enter(session: Session, operation: str, lifecycle: Lifecycle, decision: str) -> str:
    child = await move(
        session,
        operation=operation,
        decision=decision,
        state=lambda head: state_value(head.execution_state, lifecycle=lifecycle),
    )
    return child.identity.revision


async def suspend(agent: Agent, *, by: Caller, reason: str) -> Answer:
    """Suspend the agent; see `Runtime.suspend`."""
    reason = well_formed(reason)
    session, answer = await _authorized(agent, "suspend", by=by, content={"reason": reason}, aside=False)
    if not answer.allowed:
        return answer
    await _order(session, scope_of(agent), "suspend", by, reason)
    revision = await _enter(session, "suspend", "suspended", answer.record)
    return _at(answer, revision)


async def resume(agent: Agent, *, by: Caller, reason: str) -> Answer:
    """Lift the agent's suspension; see `Runtime.resume`."""
    reason = well_formed(reason)
    session, answer = await _authorized(agent, "resume", by=by, content={"reason": reason}, aside=True)
    if not answer.allowed:
        return answer

    def awakened(head: Document) -> JsonObject:
        state = head.execution_state
        if state.lifecycle != "suspended":
            return state_value(state)
        return state_value(state, lifecycle="awaiting_approval" if state.pending else "ready")

    child = await move(session, operation="resume", decision=answer.record, state=awakened)
    # INVARIANT (the document first): should this process end between the two, the order still stands.
    await asyncio.to_thread(
        agent.store.control.lift, scope_of(agent), by=by.id, reason=reason, at=agent.clock.now()
    )
    body: JsonObject = {"order": "lift", "scope": scope_of(agent), "by": by.id, "reason": reason}
    await agent.submit(session.draft("control", body))
    return _at(answer, child.identity.revision)


async def terminate(agent: Agent, *, by: Caller, reason: str) -> Answer:
    """End the agent for good; see `Runtime.terminate`."""
    reason = well_formed(reason)
    session, answer = await _authorized(agent, "terminate", by=by, content={"reason": reason}, aside=True)
    if not answer.allowed:
        return answer
    # The control state reaches runs of other processes, which hold an older head.
    await _order(session, scope_of(agent), "kill", by, reason)
    revision = await _enter(session, "terminate", "terminated", answer.record)
    return _at(answer, revision)


async def kill(agent: Agent, scope: str | None, *, by: Caller, reason: str) -> Answer:
    """Stop effects at once; see `Runtime.kill`."""
    reason = well_formed(reason)
    chosen = scope or scope_of(agent)
    session, answer = await _authorized(
        agent, "terminate", by=by, content={"reason": reason, "scope": chosen}, aside=True
    )
    if not answer.allowed:
        return answer
    await _order(session, chosen, "kill", by, reason)
    under_way = await asyncio.to_thread(in_flight, agent.store, chosen)
    return replace(answer, value=cast("JsonValue", under_way))


def _at(answer: Answer, revision: str) -> Answer:

    return replace(answer, revision=revision)
