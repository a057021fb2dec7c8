"""Calling an idempotent tool again with the key that a crash left open, so that it settles what is unknown.

Rules
1. Only a tool call, only by a tool that the agent's head declares `idempotent`, and only with exactly the
   arguments and the key of the open intent; where these were erased it cannot be repeated.
2. It is a run of its own, on behalf of the person who asks for it. The rules in force decide; a deny, or an
   approval that would be needed, leaves the effect unknown.
3. What came of the call is its own outcome. If it was ok, the open effect is settled as happened, and the
   settlement names the call.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from remit.errors import EvaluationError, LedgerError
from remit.gate.answers import Granted
from remit.host.granted_calls import call_granted
from remit.host.operations import answer_of
from remit.host.recovery import run_lives, running_here
from remit.host.requests import declared, tool_entity
from remit.host.session import Session
from remit.host.surveillance import Stopped, TimeIsUp
from remit.host.thread import RunMemo
from remit.host.tool_sources import sources_around
from remit.host.unknown import find_effect, settle_unknown
from remit.ports import Invocation, RunState

if TYPE_CHECKING:
    from remit.document.model import Tool
    from remit.document.values import JsonObject
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.results import Answer
    from remit.host.stores import Store
    from remit.host.tool_sources import ToolSources
    from remit.host.unknown import Unknown

PHASE = "repeat"
"""Of the memo of such a run; it cannot be resumed."""


async def repeat_unknown(agent: Agent, intent: str, *, by: Caller, reason: str) -> Answer:
    """Call the tool of an unknown effect again; see `Runtime.repeat_unknown`.

    Raises:
        EvaluationError: it cannot be repeated; says why. Nothing was called.
        AdapterError: the tool's source cannot be opened; nothing was called.
        LedgerError: something cannot be recorded.
    """
    if not reason.strip():
        raise EvaluationError("repeating an effect needs a reason")
    await asyncio.to_thread(agent.refresh)
    store = agent.store
    effect = await asyncio.to_thread(
        find_effect, store, intent, agent=agent.id, lives=lambda run: run_lives(store, run)
    )
    tool = agent.document.tool(effect.target) if effect.effect == "call_tool" else None
    if tool is None or not tool.idempotent:
        what = f"the tool `{effect.target}`" if effect.effect == "call_tool" else f"`{effect.effect}`"
        raise EvaluationError(
            f"{what} does not declare itself idempotent, so the effect is not repeated: look what became of "
            "it, and settle it"
        )
    invocation = await asyncio.to_thread(_invocation, store, effect)
    session = Session(agent, by, run=f"repeat-{secrets.token_hex(12)}")
    running_here().add(session.run)
    try:
        await _note(session, "running", reason)
        status = "failed"
        try:
            answer, status = await _repeated(session, tool, invocation, effect)
        finally:
            await asyncio.shield(_note(session, status, ""))
    finally:
        running_here().discard(session.run)
    return answer


async def _repeated(
    session: Session, tool: Tool, invocation: Invocation, effect: Unknown
) -> tuple[Answer, str]:
    # Before anything is asked: what cannot be opened is not called.
    sources = sources_around(session.document, session.agent.surroundings)
    try:
        await sources.check()
        return await _asked(session, tool, invocation, effect, sources)
    finally:
        await sources.close()


async def _asked(
    session: Session, tool: Tool, invocation: Invocation, effect: Unknown, sources: ToolSources
) -> tuple[Answer, str]:
    entity = tool_entity(tool)
    answer = await session.ask(
        tool.name,
        resource=entity,
        given=invocation.arguments,
        content=invocation,
        effect="call_tool",
        target=tool.name,
        parameters=tool.parameters,
        basis=declared(session.document, "tools", tool.name),
    )
    if not isinstance(answer, Granted):
        return answer_of(session, answer, action=tool.name, resource=str(entity.ref)), "denied"
    session.usage = session.usage.plus(tool_calls=1)
    value, ok = await _called(session, tool, answer, sources)
    if ok:
        await asyncio.to_thread(_settled_by, session, effect, answer)
    done = answer_of(session, answer, action=tool.name, resource=str(entity.ref), value=value)
    return done, "completed" if ok else "failed"


def _settled_by(session: Session, effect: Unknown, granted: Granted) -> None:
    store = session.agent.store
    try:
        settle_unknown(
            store,
            effect.intent,
            happened=True,
            by=session.caller.id,
            reason="the tool declares itself idempotent, and was called again with the same key",
            at=session.agent.clock.now(),
            lives=lambda run: run_lives(store, run),
            repeated="" if granted.intent is None else granted.intent.digest,
        )
    except EvaluationError as error:
        # Somebody was quicker. What the call did is in the log all the same, and theirs counts.
        raise EvaluationError(
            f"the call was repeated and is recorded as done, but meanwhile: {error}"
        ) from error


async def _called(
    session: Session, tool: Tool, granted: Granted, sources: ToolSources
) -> tuple[JsonObject, bool]:
    """Run the call; return what the person is told, and whether it is done."""
    try:
        called = await call_granted(session, tool, granted, sources, timeout_s=tool.timeout_s + 5.0)
    except (Stopped, TimeIsUp) as stop:
        return {"error": str(stop) or "it took too long", "outcome": "unknown"}, False
    if called.outcome == "unknown":
        return {"error": called.value, "outcome": "unknown"}, False
    return {"result": called.value, "outcome": called.outcome}, called.outcome == "ok"


async def _note(session: Session, status: str, reason: str) -> None:
    memo = RunMemo(text="", caller=session.caller, phase=PHASE, usage=session.usage, steps=session.steps)
    body: JsonObject = {
        "status": status,
        "reason": reason,
        "caller": session.caller.id,
        "revision": session.document.identity.revision,
    }
    state = RunState(run=session.run, agent=session.agent.id, status=status, value=memo.to_json())
    await session.agent.submit(session.draft("run", body), run_state=state)


def _invocation(store: Store, effect: Unknown) -> Invocation:
    """Return exactly what the intent announced, from the decision beside it.

    Raises:
        EvaluationError: its arguments were erased, or are not what the intent was about.
    """
    # A decision and its intent are one batch.
    before = next(iter(store.records(agent=effect.agent, start=max(effect.index - 1, 0))), None)
    content = None if before is None or before.index != effect.index - 1 else before.content
    arguments = content.get("arguments") if isinstance(content, dict) else None
    if not isinstance(arguments, dict):
        raise EvaluationError(
            "the arguments of the effect are not there any more, so it cannot be repeated: look what became "
            "of it, and settle it"
        )
    invocation = Invocation(tool=effect.target, arguments=arguments, key=effect.key)
    if invocation.digest() != effect.content:
        raise LedgerError(
            f"the arguments beside record {effect.index - 1} are not what the intent was about: "
            "run `remit ledger verify`"
        )
    return invocation
