"""One run: activate → (continue → recall → dispatch → calls)* → settle. The state machine of the host.

Rules
1. Nothing happens without an answer of the gate: activation, each turn, each inference, each call, each
   memory access.
2. `continue` is asked before every turn; a deny ends the run as terminated, and the agent goes back to ready.
3. A turn goes to the first back-end, in the document's order, that `dispatch` allows and that answers.
4. A proposed call is checked, decided, run and recorded, one after the other, in the order of the proposal.
   Denials and failures go back to the model as structured results.
5. An approval stops the run: thread, open calls, counters, caller and back-end are durable before `run`
   returns.
6. Loop bounds of the host hold beneath all rules: turns, calls, wall time, denials in a row, the same call
   again.
7. Whatever happens, back-end and tools are disposed of, what was in flight is recorded, and the run has an
   end.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from remit.document.values import canonical_bytes
from remit.errors import EvaluationError, GovernanceError, LedgerError
from remit.gate.answers import Answer, AwaitingApproval, Denial, Granted
from remit.gate.usage import Usage
from remit.host import memory_tools
from remit.host.amendment import resume_amendment
from remit.host.approvals import (
    grants_of,
    lapsed,
    record_lapses,
    requested,
    shown_pending,
    still_open,
    waits_for,
)
from remit.host.builtin_offers import Waits
from remit.host.dispatching import Dispatcher, Exhausted
from remit.host.events import (
    CallProposed,
    RunEnded,
    RunStarted,
    ToolFinished,
    TurnFinished,
)
from remit.host.execution import (
    answered_value,
    move,
    pending_of_others,
    resting,
    state_value,
    waiting_value,
)
from remit.host.granted_calls import call_granted
from remit.host.memory_operations import Done, MemoryDesk, record_refusal
from remit.host.observer import Observer, ObserverError
from remit.host.opening import known_backend
from remit.host.projection import project
from remit.host.recovery import claim_here, first_to_go_on, report_unknown, running_here
from remit.host.requests import agent_entity, caller_entity, declared, tool_entity
from remit.host.results import RunResult, RunStatus
from remit.host.session import Emit, Session, ignore, new_run_id, reasons
from remit.host.surveillance import Stopped, TimeIsUp
from remit.host.texts import mended
from remit.host.thread import RunMemo
from remit.host.tool_sources import ToolSources, sources_around
from remit.messages import Message, ToolCall, ToolOffer, Turn, content_digest
from remit.ports import Invocation, RunState

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from remit.document.model import Document, PendingApproval, Tool
    from remit.document.values import JsonObject, JsonValue
    from remit.gate.approvals import ApprovalGrant
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.dry_run import DryTools

MAX_IDENTICAL_CALLS = 4
MAX_NAME_SHOWN = 64
_AT_REST = ("ready", "awaiting_approval")


async def run_once(
    agent: Agent,
    text: str,
    *,
    caller: Caller,
    environment: JsonObject,
    emit: Emit | None,
    dry_run: bool,
    backend: str | None,
) -> RunResult:
    """Run an agent once; see `Runtime.run`."""
    from remit.host.dry_run import rehearsal

    if not dry_run:
        return await _begun(agent, _memo(agent, text, caller, environment, backend), emit)
    with rehearsal(agent) as (shadow, tools):
        return await _begun(shadow, _memo(agent, text, caller, environment, backend), emit, tools)


async def rehearse_once(
    shadow: Agent,
    text: str,
    *,
    caller: Caller,
    environment: JsonObject,
    emit: Emit | None,
    tools: DryTools,
) -> RunResult:
    """Begin a dry run in a store that the caller keeps open, so that it can go on after an approval.

    Args:
        shadow: the agent in its temporary store, see `remit.host.dry_run.rehearsal`.
        text: what the caller says.
        caller: on whose behalf.
        environment: values over the document's own.
        emit: told every event.
        tools: what answers in the place of all tools.
    """
    return await _begun(shadow, _memo(shadow, text, caller, environment, None), emit, tools)


def _memo(agent: Agent, text: str, caller: Caller, environment: JsonObject, backend: str | None) -> RunMemo:
    chosen = known_backend(agent.document, backend) or agent.surroundings.backend or ""
    memo = RunMemo(text=mended(text), caller=caller, environment=environment, backend=chosen)
    _check_given(memo)
    return memo


async def _begun(agent: Agent, memo: RunMemo, emit: Emit | None, tools: DryTools | None = None) -> RunResult:
    observer = Observer(emit or ignore)
    return await _surfaced(Run(agent, memo, new_run_id(), observer, dry_tools=tools).start())


def _check_given(memo: RunMemo) -> None:
    """Refuse what an embedder gave and nobody could record."""
    given = memo.to_json()
    for name in ("caller", "environment"):
        try:
            json.dumps(given[name], allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise EvaluationError(f"`{name}` holds what is not JSON: {error}") from error


async def _surfaced(work: Awaitable[RunResult]) -> RunResult:
    """Let a failure of the embedder's own callback reach the embedder as it was."""
    try:
        return await work
    except ObserverError as error:
        raise (error.__cause__ or error) from None


async def resume_once(
    agent: Agent,
    run: str,
    *,
    emit: Emit | None,
    backend: str | None,
    dry_tools: DryTools | None = None,
) -> RunResult:
    """Go on with a saved run; see `Runtime.resume_run`.

    Args:
        agent: whose run.
        run: run id.
        emit: told every event.
        backend: name of the only back-end entry to use; the run's own where None.
        dry_tools: what answers in the place of all tools, in a rehearsal.

    Raises:
        EvaluationError: no such run, or it has ended.
    """
    # Before the state is read: of two that resume the same run at once, one would read what the other ends.
    if not claim_here(run):
        raise EvaluationError(f"run `{run}` cannot go on: it is running")
    try:
        state = await asyncio.to_thread(agent.store.load_run, run)
        if state is None or state.agent != agent.id:
            raise EvaluationError(f"the store has no run `{run}` of this agent")
        if state.status not in ("awaiting_approval", "suspended"):
            raise EvaluationError(f"run `{run}` cannot go on: it is {state.status}")
        memo = RunMemo.from_json(state.value)
        if backend is not None:
            memo.backend = known_backend(agent.document, backend) or ""
        observer = Observer(emit or ignore)
        if memo.phase == "amend":
            return await _surfaced(resume_amendment(agent, memo, run, observer))
        return await _surfaced(Run(agent, memo, run, observer, dry_tools=dry_tools).go_on(state.status))
    finally:
        running_here().discard(run)


class _Ended(Exception):  # noqa: N818  # no error: it carries a stop out of the run's depths
    def __init__(self, status: RunStatus, reason: str) -> None:
        super().__init__(reason)
        self.status: RunStatus = status
        self.reason = reason


class _Waiting(Exception):  # noqa: N818  # no error: it carries a stop out of the run's depths
    def __init__(self, answer: AwaitingApproval, resource: str, arguments: JsonObject) -> None:
        super().__init__(answer.request)
        self.answer = answer
        self.resource = resource
        self.arguments = arguments


class Run(Session):
    """One run of one agent."""

    def __init__(
        self, agent: Agent, memo: RunMemo, run: str, emit: Emit, *, dry_tools: DryTools | None = None
    ) -> None:
        super().__init__(agent, memo.caller, run=run, environment=memo.environment, emit=emit)
        self.memo = memo
        self.usage = memo.usage
        self.settled = memo.settled
        self.steps = list(memo.steps)
        self.turn = memo.turn
        self._dry_tools = dry_tools
        self._tools: ToolSources | DryTools | None = None
        self._opened_for: tuple[Tool, ...] = ()
        self._grants: tuple[ApprovalGrant, ...] = ()
        self._dispatcher: Dispatcher | None = None
        self._began_s = agent.clock.monotonic_s()
        self._carried_s = memo.usage.wall_time_s
        self._last_text = memo.answer

    # Beginning and end.

    async def start(self) -> RunResult:
        """Begin the run."""
        await asyncio.to_thread(self.agent.refresh)
        await report_unknown(self)
        return await self._guarded(resumed=False)

    async def go_on(self, status: str) -> RunResult:
        """Go on after an approval or a suspension."""
        await asyncio.to_thread(self.agent.refresh)
        self._grants = await asyncio.to_thread(grants_of, self.agent, self.run)
        if status == "awaiting_approval":
            open_ones = still_open(self.memo.pending, self._grants)
            if open_ones and not lapsed(self.agent, self.run, self._grants):
                return self._result("awaiting_approval", waits_for(open_ones))
        self.memo.pending = ()
        await self._take_over()
        return await self._guarded(resumed=True)

    async def _take_over(self) -> None:
        """Claim a stopped run: the first who says in the log that it goes on drives it, in any process.

        Raises:
            EvaluationError: another process was first.
        """
        draft = self.draft("run", self._run_body("running", ""))
        (receipt,) = await self.agent.submit(draft, run_state=self._state("running"))
        await asyncio.to_thread(first_to_go_on, self.agent.store, self.run, receipt)

    def _announce(self, *, resumed: bool) -> None:
        self.emit(
            RunStarted(
                run=self.run,
                agent=self.agent.id,
                revision=self.document.identity.revision,
                caller=self.caller.id,
                dry_run=self._dry_tools is not None,
                resumed=resumed,
                at=self.agent.clock.now(),
            )
        )

    async def _guarded(self, *, resumed: bool) -> RunResult:
        """Drive the run to an end that is recorded, whatever happens."""
        running_here().add(self.run)
        try:
            return await self._driven(resumed=resumed)
        finally:
            running_here().discard(self.run)
            await asyncio.shield(self._dispose())

    async def _begin(self, *, resumed: bool) -> None:
        self._announce(resumed=resumed)
        if not resumed:
            await self._save_running()
        elif self._has_pending():
            self._grants = await record_lapses(self, self._grants)
            await self._no_longer_pending()

    def _verdict_of(self, stop: _Ended | Stopped | TimeIsUp) -> tuple[RunStatus, str]:
        if isinstance(stop, _Ended):
            return stop.status, stop.reason
        if isinstance(stop, Stopped):
            if self.narrator is not None:
                self.narrator.stopped(stop.order, scope=stop.scope, in_flight=True)
            return _status_of_order(stop.order), stop.reason
        limit = self.document.governance.limits.max_wall_time_s
        return "terminated", f"limit `max_wall_time_s` ({limit:g}) is reached"

    async def _driven(self, *, resumed: bool) -> RunResult:
        try:
            await self._begin(resumed=resumed)
            await self._drive()
        except _Waiting as waiting:
            return await self._stop_for(waiting)
        except (_Ended, Stopped, TimeIsUp) as stop:
            return await self._end(*self._verdict_of(stop))
        except LedgerError as error:
            # INVARIANT (no unrecorded effect): without a record nothing more may happen.
            with suppress(LedgerError):
                await self._end("failed", str(error))
            raise
        except GovernanceError as error:
            return await self._end("failed", str(error))
        except asyncio.CancelledError:
            await asyncio.shield(self._end("failed", "the run was cancelled"))
            raise
        except ObserverError as error:
            await self._end("failed", str(error))
            raise
        except Exception as error:
            # Rule 7: what nobody foresaw is a fault of Remit or of an adapter; the run ends all the same.
            await self._end("failed", f"an unforeseen {type(error).__name__} ended the run")
            raise
        return await self._end("completed", "")

    async def _dispose(self) -> None:
        """Release back-end and tools; a failure to clean up does not undo what is recorded."""
        for part in (self._dispatcher, self._tools):
            if part is not None:
                with suppress(Exception):
                    await part.close()

    async def _end(self, status: RunStatus, reason: str) -> RunResult:
        self.tick()
        self._keep()
        if status == "suspended":
            await self.agent.submit(
                self.draft("run", self._run_body("suspended", reason)), run_state=self._state("suspended")
            )
            return self._result(status, reason)
        document = self.document
        unsettled = self.unsettled()
        moved = document.execution_state.lifecycle != resting(document, self._others_pending(document))
        final = self._state(status)
        if moved or unsettled != type(unsettled)():
            await move(
                self,
                operation="settle",
                decision="",
                state=lambda head: state_value(
                    head.execution_state,
                    lifecycle=resting(head, self._others_pending(head)),
                    usage=self._lifetime_of(head),
                    pending=self._others_pending(head),
                ),
                records=lambda child: (
                    self.draft("run", self._run_body(status, reason, child.identity.revision)),
                ),
                run_state=final,
            )
            self.settled = self.usage
        else:
            await self.agent.submit(self.draft("run", self._run_body(status, reason)), run_state=final)
        return self._result(status, reason)

    def _lifetime_of(self, head: Document) -> Usage:
        return Usage.from_json(dict(head.execution_state.usage)).with_all(self.unsettled())

    def _others_pending(self, document: Document) -> tuple[PendingApproval, ...]:
        return pending_of_others(document, self.run)

    def _has_pending(self) -> bool:
        return any(item.run == self.run for item in self.document.execution_state.pending)

    def _result(self, status: RunStatus, reason: str) -> RunResult:
        revision = self.document.identity.revision
        self.emit(
            RunEnded(
                run=self.run,
                status=status,
                reason=reason,
                text=self._last_text,
                revision=revision,
                at=self.agent.clock.now(),
            )
        )
        return RunResult(
            status=status,
            run=self.run,
            agent=self.agent.id,
            revision=revision,
            text=self._last_text,
            reason=reason,
            steps=tuple(self.steps),
            usage={name: cast("int", value) for name, value in self.usage.to_json().items()},
            pending=self.memo.pending[0] if self.memo.pending else None,
            backend=self.memo.answered_by,
            dry_run=self._dry_tools is not None,
        )

    # What is durable.

    def _keep(self) -> None:
        """Write the run's counters into its memo."""
        self.memo.usage = self.usage
        self.memo.settled = self.settled
        self.memo.steps = list(self.steps)
        self.memo.turn = self.turn
        self.memo.answer = self._last_text

    def _state(self, status: str) -> RunState:
        self._keep()
        memo = self.memo
        if status in ("awaiting_approval", "suspended", "running"):
            return RunState(run=self.run, agent=self.agent.id, status=status, value=memo.to_json())
        # A run that has ended keeps its trace and counters; what people said is in the ledger, where it can
        # be erased.
        over = replace(memo, messages=[], queue=[], text="", settled=self.usage)
        return RunState(run=self.run, agent=self.agent.id, status=status, value=over.to_json())

    async def _save_running(self) -> None:
        body = self._run_body("running", "")
        await self.agent.submit(self.draft("run", body), run_state=self._state("running"))

    def _run_body(self, status: str, reason: str, revision: str = "") -> JsonObject:
        return {
            "status": status,
            "reason": reason,
            "caller": str(caller_entity(self.caller).ref),
            "revision": revision or self.document.identity.revision,
            "usage": self.usage.to_json(),
        }

    async def _stop_for(self, waiting: _Waiting) -> RunResult:
        """Make a stop for approval durable: run, pending approvals and lifecycle in one transaction."""
        answer = waiting.answer
        self.memo.pending = shown_pending(answer, resource=waiting.resource, arguments=waiting.arguments)
        self.tick()
        unsettled = self.unsettled()
        self.settled = self.usage
        state = self._state("awaiting_approval")

        await move(
            self,
            operation="await_approval",
            decision=answer.receipt.digest,
            state=lambda head: waiting_value(head, self.run, answer.pending, unsettled=unsettled),
            records=lambda child: (
                self.draft(
                    "run", self._run_body("awaiting_approval", reasons(answer), child.identity.revision)
                ),
            ),
            run_state=state,
        )
        for item in self.memo.pending:
            self.emit(requested(item))
        return self._result("awaiting_approval", waits_for(self.memo.pending))

    async def _no_longer_pending(self) -> None:
        """Take this run's approvals off the document: people have answered, or were too late."""
        active = self.memo.phase != "activate"
        await move(
            self,
            operation="resume",
            decision="",
            state=lambda head: answered_value(head, self.run, active=active),
        )

    # The loop.

    async def _drive(self) -> None:
        if self.memo.phase == "activate":
            await self._activate()
        await self._open_tools()
        while True:
            if self.memo.phase == "turn":
                await self._turn()
            await self._calls()
            self.memo.phase = "turn"

    def tick(self) -> None:
        """Bring the wall time up to date."""
        passed = self.agent.clock.monotonic_s() - self._began_s
        seconds = self._carried_s + max(0, int(passed))
        if seconds > self.usage.wall_time_s:
            self.usage = self.usage.plus(wall_time_s=seconds - self.usage.wall_time_s)

    def remaining_s(self) -> float:
        """Return how much wall time is left, in seconds."""
        passed = self.agent.clock.monotonic_s() - self._began_s
        return self.document.governance.limits.max_wall_time_s - self._carried_s - passed

    async def _settled_answer(
        self, answer: Answer, *, resource: str, arguments: JsonObject
    ) -> Granted | Denial:
        """Return the answer, unless it stops the run."""
        if isinstance(answer, AwaitingApproval):
            raise _Waiting(answer, resource, arguments)
        if isinstance(answer, Denial):
            if answer.kind == "stopped":
                order = answer.stop.order if answer.stop is not None else "kill"
                raise _Ended(_status_of_order(order), answer.message)
            if answer.kind == "unavailable":
                raise _Ended("failed", answer.message)
        return answer

    async def _activate(self) -> None:
        given: JsonObject = {"text_bytes": len(self.memo.text.encode("utf-8", "replace"))}
        entity = agent_entity(self.document)
        answer = await self.ask(
            "activate",
            principal=caller_entity(self.caller),
            resource=entity,
            given=given,
            content=content_digest({"text": mended(self.memo.text)}),
            approvals=self._grants,
        )
        answer = await self._settled_answer(answer, resource=str(entity.ref), arguments=given)
        if isinstance(answer, Denial):
            raise _Ended("denied", reasons(answer))
        self.memo.messages = [Message(role="user", text=mended(self.memo.text))]
        self.memo.phase = "turn"
        if self.document.execution_state.lifecycle in _AT_REST:
            await move(
                self,
                operation="activate",
                decision=answer.receipt.digest,
                state=lambda head: state_value(
                    head.execution_state,
                    lifecycle="active"
                    if head.execution_state.lifecycle in _AT_REST
                    else head.execution_state.lifecycle,
                ),
                run_state=self._state("running"),
            )

    async def _open_tools(self) -> None:
        memory_tools.offers(self.document, self.agent.compiled.image)
        if self._dry_tools is not None:
            self._tools = self._dry_tools
            return
        sources = sources_around(self.document, self.agent.surroundings)
        self._tools, self._opened_for = sources, self.document.capabilities.tools
        await sources.check()

    async def _renew_tools(self) -> None:
        """Open the tools again where the document was amended during the run: others were decided upon."""
        if self._dry_tools is not None or self._opened_for == self.document.capabilities.tools:
            return
        old, self._tools = self._tools, None
        if old is not None:
            with suppress(Exception):
                await old.close()
        await self._open_tools()

    async def _turn(self) -> None:
        await asyncio.to_thread(self.agent.refresh)
        entity = agent_entity(self.document)
        answer = await self.ask("continue", resource=entity, approvals=self._grants)
        answer = await self._settled_answer(answer, resource=str(entity.ref), arguments={})
        if isinstance(answer, Denial):
            raise _Ended("terminated", reasons(answer))
        self._check_bounds()
        desk = MemoryDesk(self, author="agent")
        projection = await project(self, desk)
        if projection.stop is not None:
            await self._settled_answer(projection.stop, resource="", arguments={})
        classifications = sorted({*projection.classifications, *self.memo.classifications})
        turn = Turn(
            instructions=self.document.capabilities.instructions + projection.section,
            messages=tuple(self.memo.messages),
            tools=self._offers(),
            max_output_tokens=self.document.governance.limits.max_output_tokens,
        )
        self.turn += 1
        await self._infer(turn, classifications)

    def _check_bounds(self) -> None:
        limits = self.document.governance.limits
        if self.turn >= limits.max_turns:
            raise _Ended("terminated", f"limit `max_turns` ({limits.max_turns}) is reached")
        self._check_patience()
        if self.memo.repeated >= MAX_IDENTICAL_CALLS:
            raise _Ended(
                "terminated", f"the model proposed the same call {self.memo.repeated} times in a row"
            )

    def _check_patience(self) -> None:
        limit = self.document.governance.limits.max_consecutive_denials
        if self.remaining_s() <= 0:
            raise TimeIsUp
        if self.memo.denials_in_a_row >= limit:
            raise _Ended("terminated", f"limit `max_consecutive_denials` ({limit}) is reached")

    def _offers(self) -> tuple[ToolOffer, ...]:
        own = tuple(
            ToolOffer(name=tool.name, description=tool.description, parameters=tool.parameters)
            for tool in self.document.capabilities.tools
        )
        return own + memory_tools.offers(self.document, self.agent.compiled.image)

    async def _infer(self, turn: Turn, classifications: list[str]) -> None:
        """Send a turn to the first back-end that is allowed and answers; its answer joins the thread."""
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(self, self.memo)
        answer = await self._dispatcher.infer(turn, classifications, approvals=self._grants)
        if isinstance(answer, Waits):
            self.turn -= 1
            raise _Waiting(answer.answer, answer.resource, answer.given)
        if isinstance(answer, Exhausted):
            if answer.denial is not None:
                await self._settled_answer(answer.denial, resource="", arguments={})
            raise _Ended("failed" if answer.denial is None else "denied", answer.reason)
        text, calls, end = answer.text, answer.calls, answer.end
        self.memo.answered_by = answer.backend
        self.usage = self.usage.plus(
            tokens=end.usage.input_tokens + end.usage.output_tokens,
            cost_microusd=end.usage.cost_microusd,
        )
        self.emit(
            TurnFinished(
                turn=self.turn,
                stop=end.stop,
                input_tokens=end.usage.input_tokens,
                output_tokens=end.usage.output_tokens,
                cost_microusd=end.usage.cost_microusd,
                model=end.model,
            )
        )
        self.memo.messages.append(
            Message(
                role="assistant",
                text=text,
                tool_calls=calls,
                carried=end.carried,
                carried_by=answer.declaration if end.carried else "",
            )
        )
        self.memo.queue = list(calls)
        self.memo.phase = "calls"
        if text:
            self._last_text = text
        if calls or end.stop == "paused":
            return
        if end.stop in ("refused", "cancelled"):
            raise _Ended("failed", f"the back-end ended the answer: {end.stop}")
        cut = "the answer was cut at `max_output_tokens`" if end.stop == "length" else ""
        raise _Ended("completed", cut)

    # Calls.

    async def _calls(self) -> None:
        while self.memo.queue:
            call = self.memo.queue[0]
            if self.memo.repeated < MAX_IDENTICAL_CALLS:
                value = await self._call(call)
            else:
                value = {"error": "the same call was proposed again and again; the run ends"}
            self.memo.queue.pop(0)
            text = json.dumps(value, ensure_ascii=False, sort_keys=True)
            self.memo.messages.append(Message(role="tool", text=text, tool_call_id=call.id))
            if self.memo.repeated >= MAX_IDENTICAL_CALLS:
                self._check_bounds()
            if self.memo.queue:
                self._check_patience()

    async def _call(self, call: ToolCall) -> JsonValue:
        """Take one proposed call to its result; what it returns is what the model is given."""
        # A copy: whoever watches must not be able to change what is about to be decided.
        shown = copy.deepcopy(call.arguments)
        self.emit(CallProposed(turn=self.turn, tool=call.name, arguments=shown))
        self._count_repetition(call)
        name = mended(call.name)[:MAX_NAME_SHOWN]
        tool = self.document.tool(call.name)
        offered = {offer.name for offer in self._offers()}
        if call.name not in offered:
            known = ", ".join(f"`{item}`" for item in sorted(offered)) or "none"
            return await self._refuse(
                name, "unknown_tool", f"there is no tool `{name}`; tools: {known}", call
            )
        if call.arguments is None:
            return await self._refuse(
                name, "invalid_arguments", "the arguments are not a JSON object as Remit admits it", call
            )
        if tool is None:
            return await self._memory_call(call, call.arguments)
        limit = self.document.governance.limits.max_tool_calls
        if self.usage.tool_calls >= limit:
            raise _Ended("terminated", f"limit `max_tool_calls` ({limit}) is reached")
        return await self._tool_call(tool, call.arguments)

    def _count_repetition(self, call: ToolCall) -> None:
        digest = content_digest({"name": mended(call.name), "raw": mended(call.raw)})
        if call.arguments is not None:
            with suppress(ValueError, TypeError):
                digest = content_digest({"name": mended(call.name), "arguments": call.arguments})
        if self.memo.last_call == digest:
            self.memo.repeated += 1
        else:
            self.memo.last_call, self.memo.repeated = digest, 1

    async def _refuse(self, name: str, kind: str, message: str, call: ToolCall) -> JsonObject:
        await record_refusal(
            self, name, f'Remit::Tool::"{name}"', kind, message, raw={"raw": mended(call.raw)}
        )
        self.memo.denials_in_a_row += 1
        return {"denied": True, "kind": kind, "rule": "", "because": message, "hint": "correct the call"}

    async def _memory_call(self, call: ToolCall, arguments: JsonObject) -> JsonValue:
        desk = MemoryDesk(self, author="agent", approvals=self._grants)
        outcome = await memory_tools.call(desk, call.name, arguments)
        if isinstance(outcome, (Denial, AwaitingApproval)):
            resource = f'Remit::Block::"{arguments.get("block")}"'
            denial = await self._settled_answer(outcome, resource=resource, arguments=arguments)
            self.memo.denials_in_a_row += 1
            return cast("Denial", denial).to_result()
        value = memory_tools.result_value(outcome)
        if isinstance(outcome, Done):
            self.memo.denials_in_a_row = 0
            if call.name == "memory_recall":
                block = arguments.get("block")
                self.memo.classifications.update(
                    item.classification for item in self.document.memory.blocks if item.name == block
                )
        else:
            self.memo.denials_in_a_row += 1
        return value

    async def _tool_call(self, tool: Tool, arguments: JsonObject) -> JsonValue:
        await self._renew_tools()
        entity = tool_entity(tool)
        answer = await self.ask(
            tool.name,
            resource=entity,
            given=arguments,
            content=Invocation(tool=tool.name, arguments=arguments, key=self._key(tool, arguments)),
            effect="call_tool",
            target=tool.name,
            parameters=tool.parameters,
            approvals=self._grants,
            basis=declared(self.document, "tools", tool.name),
        )
        answer = await self._settled_answer(answer, resource=str(entity.ref), arguments=arguments)
        if isinstance(answer, Denial):
            self.memo.denials_in_a_row += 1
            return answer.to_result()
        self.memo.denials_in_a_row = 0
        self.usage = self.usage.plus(tool_calls=1)
        return await self._run_tool(tool, answer)

    def _key(self, tool: Tool, arguments: JsonObject) -> str:
        """Idempotency key: the same step of the same run on the same content has the same key."""
        step = str(len(self.steps) + 1)
        try:
            content = canonical_bytes(arguments)
        except (ValueError, TypeError, RecursionError):
            content = b""  # the gate denies it: such arguments have no digest
        parts = (self.agent.id.encode(), self.run.encode(), step.encode(), tool.name.encode(), content)
        return hashlib.sha256(b"\x00".join(parts)).hexdigest()

    async def _run_tool(self, tool: Tool, granted: Granted) -> JsonValue:
        """Run a granted call; what became of it is recorded before anything else."""
        assert self._tools is not None  # opened before the first turn
        timeout_s = min(self.remaining_s(), tool.timeout_s + 5.0)
        try:
            called = await call_granted(self, tool, granted, self._tools, timeout_s=timeout_s)
        except (Stopped, TimeIsUp, asyncio.CancelledError):
            self._tool_finished(tool, "unknown", None)
            raise
        if called.outcome == "unknown":
            value: JsonValue = {
                "error": called.value,
                "outcome": "unknown",
                "hint": "do not repeat this call",
            }
            self._tool_finished(tool, "unknown", value)
            return value
        self._tool_finished(tool, called.outcome if self._dry_tools is None else "dry_run", called.value)
        return called.value

    def _tool_finished(self, tool: Tool, outcome: str, value: JsonValue) -> None:
        self.emit(ToolFinished(turn=self.turn, tool=tool.name, outcome=outcome, value=value))


def _status_of_order(order: str) -> RunStatus:
    return "suspended" if order == "suspend" else "terminated"
