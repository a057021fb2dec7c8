"""Whole-run cases: the host's own loop in a dry run, on a written transcript, with recorded tool answers.

Rules
1. Gate, ledger, lifecycle and memory are the real ones, in a temporary store; tools do not run.
2. Every back-end is replaced by the transcript; `dispatch` is still asked about the declared one.
3. The run sees one instant.
4. Answers to approvals are given in the order in which they are asked for; one more, and the run waits.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from remit.errors import GovernanceError
from remit.host.approvals import settle
from remit.host.caller import Caller
from remit.host.dry_run import rehearsal
from remit.host.events import MemoryChanged
from remit.host.loop import rehearse_once, resume_once
from remit.host.opening import open_agent
from remit.ports import ToolResult
from remit.testing.clock import FixedClock
from remit.workbench.suites.results import CaseResult, Difference
from remit.workbench.suites.trace_difference import line_text, meets, step_text
from remit.workbench.transcript import closed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.host.agent import Agent
    from remit.host.dry_run import DryTools
    from remit.host.engines import EngineName
    from remit.host.events import RunEvent
    from remit.host.results import RunResult, Step
    from remit.project.scenes import Settlement
    from remit.workbench.suites.agent_world import AgentWorld
    from remit.workbench.suites.model import Conversation, ExpectedStep, RunCase, RunExpectation


def rehearse_case(case: RunCase, world: AgentWorld, *, engine: EngineName = "cedar") -> CaseResult:
    """Run one conversation and compare.

    Args:
        case: what happens and what is expected.
        world: the agent.
        engine: what decides.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="remit-cases-") as folder:
            agent = _open(case.conversation, world, Path(folder), engine)
            try:
                result, lifecycle, events, problem = asyncio.run(_played(case.conversation, agent))
            finally:
                agent.close()
    except GovernanceError as error:
        ended = Difference(what="the run", expected="to end", got=f"{type(error).__name__}: {error}")
        return CaseResult(case=case, differences=(ended,))
    found = [*_differences(case.expect, result, lifecycle, events)]
    if problem:
        found.append(Difference(what="approvals", expected="all to count", got=problem))
    return CaseResult(case=case, run=result, differences=tuple(found))


def _open(conversation: Conversation, world: AgentWorld, store: Path, engine: EngineName) -> Agent:
    script: list[JsonValue] = [turn.step() for turn in closed(conversation.said)]
    agent = open_agent(
        world.document,
        store=store,
        backend=None,
        clock=FixedClock(conversation.now),
        environment={},
        tools=(),
        folder=world.folder,
        signer=None,
        mcp_servers={},
        engine=engine,
    )
    stand_ins = {
        entry.name: replace(entry, adapter="scripted", config={"script": script})
        for entry in world.document.capabilities.backends
    }
    agent.surroundings = replace(agent.surroundings, stand_ins=stand_ins)
    return agent


async def _played(
    conversation: Conversation, agent: Agent
) -> tuple[RunResult, str, tuple[RunEvent, ...], str]:
    events: list[RunEvent] = []
    recorded = {
        tool: tuple(ToolResult(ok=answer.ok, value=answer.value) for answer in answers)
        for tool, answers in conversation.tools.items()
    }
    with rehearsal(agent, recorded=recorded) as (shadow, tools):
        result = await rehearse_once(
            shadow,
            conversation.input,
            caller=_caller(conversation.caller),
            environment=dict(conversation.environment),
            emit=events.append,
            tools=tools,
        )
        problem = ""
        for settling in conversation.settlings:
            if result.pending is None:
                problem = f"nothing waited for the answer of `{settling.person}`"
                break
            problem = await _settled(shadow, result, settling)
            if problem:
                break
            result = await _resumed(shadow, result, tools, events)
        lifecycle = shadow.document.execution_state.lifecycle
    return result, lifecycle, tuple(events), problem


async def _settled(agent: Agent, result: RunResult, settling: Settlement) -> str:
    """Answer what waits; say why the answer does not count, or nothing."""
    assert result.pending is not None
    person = Caller(id=settling.person, roles=settling.roles)
    answer = await settle(
        agent,
        result.pending.id,
        by=person,
        reason=settling.reason,
        meaning="approval",
        approved=settling.approved,
    )
    return "" if answer.allowed else f"the answer of `{settling.person}` does not count: {answer.because}"


async def _resumed(agent: Agent, result: RunResult, tools: DryTools, events: list[RunEvent]) -> RunResult:
    return await resume_once(agent, result.run, emit=events.append, backend=None, dry_tools=tools)


def _caller(value: JsonObject) -> Caller:
    members = dict(value)
    name, kind, roles = members.pop("id", "case"), members.pop("kind", "user"), members.pop("roles", [])
    word: Literal["user", "service"] = "service" if kind == "service" else "user"
    held = tuple(str(role) for role in roles) if isinstance(roles, list) else ()
    return Caller(id=str(name), kind=word, roles=held, attributes=members)


def _differences(
    expect: RunExpectation, result: RunResult, lifecycle: str, events: Sequence[RunEvent]
) -> Iterator[Difference]:
    if result.status != expect.status:
        why = f" ({result.reason})" if result.reason else ""
        yield Difference(what="status", expected=expect.status, got=f"{result.status}{why}")
    if expect.lifecycle and lifecycle != expect.lifecycle:
        yield Difference(what="lifecycle", expected=expect.lifecycle, got=lifecycle)
    if expect.text not in result.text:
        yield Difference(what="text with", expected=f"`{expect.text}`", got=f"`{result.text}`")
    if expect.reason not in result.reason:
        yield Difference(what="reason with", expected=f"`{expect.reason}`", got=f"`{result.reason}`")
    for name, count in expect.usage.items():
        if result.usage.get(name) != count:
            yield Difference(what=f"usage of {name}", expected=str(count), got=str(result.usage.get(name)))
    if expect.memory is not None:
        done = tuple(f"{item.operation} {item.block}" for item in events if isinstance(item, MemoryChanged))
        if done != expect.memory:
            wanted, got = ", ".join(expect.memory) or "none", ", ".join(done) or "none"
            yield Difference(what="operations on memory", expected=wanted, got=got)
    if expect.trace is not None:
        trace = _exact if expect.exact else _in_order
        yield from trace(expect.trace, result.steps)


def _exact(wanted: Sequence[ExpectedStep], steps: Sequence[Step]) -> Iterator[Difference]:
    """Compare line by line; after the first line that differs the rest would only repeat it."""
    for number, (line, step) in enumerate(zip(wanted, steps, strict=False), 1):
        if not meets(line, step):
            yield Difference(
                what=f"line {number} of the trace", expected=line_text(line), got=step_text(step)
            )
            return
    if len(wanted) > len(steps):
        missing = line_text(wanted[len(steps)])
        yield Difference(what=f"line {len(steps) + 1} of the trace", expected=missing, got="its end")
    elif len(steps) > len(wanted):
        more = step_text(steps[len(wanted)])
        yield Difference(what=f"line {len(wanted) + 1} of the trace", expected="its end", got=more)


def _in_order(wanted: Sequence[ExpectedStep], steps: Sequence[Step]) -> Iterator[Difference]:
    position = 0
    for line in wanted:
        found = next((n for n in range(position, len(steps)) if meets(line, steps[n])), None)
        if found is None:
            rest = ", ".join(step_text(step) for step in steps[position:]) or "its end"
            yield Difference(what="the trace to hold", expected=line_text(line), got=rest)
            return
        position = found + 1
