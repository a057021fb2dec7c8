"""Dispatch: the first back-end, in the document's order, that the rules allow and that answers.

Rules
1. Each back-end is asked for separately, with exactly the turn that it would receive.
2. A denied one falls to the next, and so does one that cannot start or fails; all of that is recorded.
   The next one is asked with `context.input.switched_from`, so that a switch is a decision of its own.
3. An answer counts once it is complete: proposals of a broken stream are dropped.
4. A back-end that was opened is disposed of, whatever happens; one that is denied later, at once.
   That has `DISPOSAL_S`; what is left then is noted in the ledger, and a sweep looks after it.
5. A back-end that lacks a required built-in is refused before it is asked for or opened.
   Each built-in is asked for once a run and back-end, before it is offered; an answer that reports the use of
   another one does not count.
6. What a back-end asked to have carried goes back to that back-end alone. Another declaration under the same
   name is another back-end.
7. Text that no encoding holds (lone surrogates) is mended before anybody sees it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.errors import AdapterError, GovernanceError
from remit.gate.answers import Denial, Granted
from remit.host.backends import backend_context, open_backend
from remit.host.builtin_offers import (
    BuiltinOffers,
    Unfit,
    Waits,
    ask_dispatch,
    check_uses,
    with_builtins,
)
from remit.host.events import BackendOpened, BackendSkipped, BuiltinUsed, Dispatched, TextArrived
from remit.host.observer import ObserverError
from remit.host.requests import declared
from remit.host.session import reasons
from remit.host.surveillance import Stopped, TimeIsUp, watch
from remit.host.texts import encodes, mended
from remit.host.vendor_objects import LedgerRegister
from remit.messages import (
    BuiltinUse,
    CallProposed,
    TextDelta,
    ToolCall,
    TurnEnd,
)

if TYPE_CHECKING:
    from remit.document.model import BackendEntry, Builtin
    from remit.document.values import JsonObject, JsonValue
    from remit.gate.approvals import ApprovalGrant
    from remit.host.session import Session
    from remit.host.thread import RunMemo
    from remit.messages import Turn
    from remit.ports import Backend


DISPOSAL_S = 15.0
"""Longest time that the clean-up of one back-end may hold up a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A complete answer; `declaration` is the digest of the back-end's declaration."""

    backend: str
    declaration: str
    text: str
    calls: tuple[ToolCall, ...]
    end: TurnEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """No back-end answered.

    Args:
        reason: why, of the last one tried.
        denial: the last denial where every one was denied, else None.
    """

    reason: str
    denial: Denial | None


class Dispatcher:
    """The back-ends of one run.

    Args:
        run: the run before the gate.
        memo: its notebook: the only back-end to use, which one answered last, what built-ins were allowed.
    """

    def __init__(self, run: Session, memo: RunMemo) -> None:
        self._run = run
        self._memo = memo
        self._tried = ""
        self._open: dict[str, Backend] = {}
        self._entries: dict[str, BackendEntry] = {}
        self._failed: dict[str, str] = {}
        self._offers = BuiltinOffers(run, memo)

    async def infer(
        self, turn: Turn, classifications: list[str], *, approvals: tuple[ApprovalGrant, ...]
    ) -> Answered | Exhausted | Waits:
        """Send `turn` to the first back-end that is allowed and answers."""
        run = self._run
        denial: Denial | None = None
        reason = "the document has no back-end"
        failed = False
        for entry in run.document.capabilities.backends:
            if self._memo.backend and entry.name != self._memo.backend:
                continue
            key = declared(run.document, "backends", entry.name)
            if key in self._failed:
                failed, reason = True, self._failed[key]
                continue
            given = self._given(entry, turn, classifications)
            self._tried = entry.name
            answer = await self._leave(entry, turn, given, approvals)
            if isinstance(answer, Waits):
                return answer
            if isinstance(answer, Unfit):
                denial, failed, reason = answer.denial, failed or answer.denial is None, answer.reason
                await self._let_go(entry, reason)
                if denial is not None and denial.kind in ("stopped", "unavailable"):
                    return Exhausted(reason=reason, denial=denial)
                continue
            try:
                return await self._send(entry, *answer)
            except AdapterError as error:
                failed, reason = True, str(error)
                self._failed[key] = reason
                run.usage = run.usage.plus(tokens=error.tokens, cost_microusd=error.cost_microusd)
                await self._let_go(entry, reason)
        return Exhausted(reason=reason, denial=None if failed else denial)

    async def close(self) -> None:
        """Dispose of every back-end that was opened; the first failure is raised after all were tried."""
        failures: list[Exception] = []
        for backend in self._open.values():
            try:
                await _disposed(backend)
            except Exception as error:  # noqa: BLE001  # every one must be closed
                failures.append(error)
        self._open.clear()
        if failures:
            raise failures[0]

    async def _leave(
        self, entry: BackendEntry, turn: Turn, given: JsonObject, approvals: tuple[ApprovalGrant, ...]
    ) -> tuple[Turn, Granted] | Unfit | Waits:
        """Return the turn that `entry` may be sent and the leave to do so."""
        builtins = await self._offers.of(entry, given, approvals)
        if isinstance(builtins, (Waits, Unfit)):
            return builtins
        own = _turn_for(declared(self._run.document, "backends", entry.name), turn, builtins)
        asked = with_builtins(given, builtins)
        answer = await ask_dispatch(
            self._run, entry, asked, content=own, effect="dispatch", approvals=approvals
        )
        if isinstance(answer, Denial):
            return Unfit(reason=reasons(answer), denial=answer)
        return answer if isinstance(answer, Waits) else (own, answer)

    async def _let_go(self, entry: BackendEntry, reason: str) -> None:
        """Pass over a back-end; what it holds on the vendor's side must not outlive the leave to use it."""
        self._run.emit(BackendSkipped(name=entry.name, adapter=entry.adapter, reason=reason))
        backend = self._open.pop(entry.name, None)
        if backend is not None:
            with suppress(Exception):
                await _disposed(backend)

    def _given(self, entry: BackendEntry, turn: Turn, classifications: list[str]) -> JsonObject:
        before = self._memo.answered_by or self._tried
        listed: list[JsonValue] = [*classifications]
        return {
            "messages": len(turn.messages),
            "tools": len(turn.tools),
            "classifications": listed,
            "builtins": [],
            "switched_from": "" if before == entry.name else before,
        }

    async def _send(self, entry: BackendEntry, turn: Turn, granted: Granted) -> Answered:
        """Run one granted inference and record what became of it.

        Raises:
            AdapterError: the back-end could not start or failed; it is recorded.
        """
        run = self._run
        gate = run.gate()
        try:
            backend = await self._backend(entry)
            run.emit(
                Dispatched(
                    turn=run.turn, backend=entry.name, digest=turn.digest(), messages=len(turn.messages)
                )
            )
        except (Exception, asyncio.CancelledError) as error:
            detail = str(error) or type(error).__name__
            await asyncio.shield(gate.aoutcome(granted, "abandoned", detail=detail))
            if isinstance(error, (GovernanceError, ObserverError, asyncio.CancelledError)):
                raise
            raise _unforeseen(entry, error) from error
        run.usage = run.usage.plus(turns=1)
        try:
            answered = await watch(
                self._stream(entry, backend, turn, granted),
                control=run.agent.store.control,
                scopes=(*run.scopes(), f"backend:{entry.name}"),
                timeout_s=run.remaining_s(),
            )
        except (Stopped, TimeIsUp, asyncio.CancelledError) as stop:
            detail = f"interrupted: {str(stop) or type(stop).__name__}"
            await asyncio.shield(gate.aoutcome(granted, "unknown", detail=detail))
            raise
        except Exception as error:
            await gate.aoutcome(granted, "failed", detail=str(error) or type(error).__name__)
            if isinstance(error, (GovernanceError, ObserverError, asyncio.CancelledError)):
                raise
            raise _unforeseen(entry, error) from error
        detail_text = ", ".join(f"{key}={value}" for key, value in sorted(answered.end.detail.items()))
        result: JsonObject = {
            "text": answered.text,
            "calls": [{"name": call.name, "raw": call.raw} for call in answered.calls],
            "stop": answered.end.stop,
            "model": answered.end.model,
            "input_tokens": answered.end.usage.input_tokens,
            "output_tokens": answered.end.usage.output_tokens,
            "cost_microusd": answered.end.usage.cost_microusd,
        }
        if answered.end.used:
            result["builtins"] = [{"name": use.name, "detail": use.detail} for use in answered.end.used]
        await gate.aoutcome(granted, "ok", result=result, detail=detail_text)
        for use in answered.end.used:
            self._emit_use(use)
        return answered

    def _emit_use(self, use: BuiltinUse) -> None:
        self._run.emit(BuiltinUsed(turn=self._run.turn, name=use.name, detail=use.detail))

    async def _stream(self, entry: BackendEntry, backend: Backend, turn: Turn, granted: Granted) -> Answered:
        assert granted.permit is not None  # the gate gives one for every effect
        texts: list[str] = []
        calls: list[ToolCall] = []
        events = backend.infer(granted.permit, turn)
        try:
            async for event in events:
                if isinstance(event, TextDelta):
                    text = mended(event.text)
                    texts.append(text)
                    self._run.emit(TextArrived(turn=self._run.turn, text=text))
                elif isinstance(event, CallProposed):
                    calls.append(_mended_call(event.call))
                else:
                    check_uses(entry, turn, event)
                    return Answered(
                        backend=entry.name,
                        declaration=declared(self._run.document, "backends", entry.name),
                        text="".join(texts),
                        calls=tuple(calls),
                        end=replace(event, carried=mended(event.carried)),
                    )
        finally:
            closing = getattr(events, "aclose", None)
            if closing is not None:
                with suppress(AdapterError):
                    await closing()
        raise AdapterError(f"back-end `{entry.name}` ended its answer without saying so")

    async def _backend(self, entry: BackendEntry) -> Backend:
        backend = self._open.get(entry.name)
        if backend is not None and self._entries.get(entry.name) != entry:
            # Amended during the run: what is open is another back-end than was decided upon.
            del self._open[entry.name]
            with suppress(Exception):
                await _disposed(backend)
            backend = None
        if backend is None:
            agent = self._run.agent
            register = (
                LedgerRegister(agent.noted_in, agent.clock, agent=agent.id, run=self._run.run, entry=entry)
                if agent.surroundings.notes_objects
                else None
            )
            context = backend_context(folder=agent.surroundings.folder, register=register)
            opened = agent.surroundings.stand_ins.get(entry.name, entry)
            # In a thread: an embedded model may take seconds to load, and events must go on meanwhile.
            backend = await asyncio.to_thread(open_backend, opened, context=context)
            self._open[entry.name], self._entries[entry.name] = backend, entry
            info = backend.info
            self._run.emit(
                BackendOpened(
                    name=entry.name,
                    adapter=info.adapter,
                    provider=info.provider,
                    region=info.region,
                    model=info.model,
                )
            )
        return backend


def _unforeseen(entry: BackendEntry, error: BaseException) -> AdapterError:
    """Return what a back-end's breach of its contract amounts to."""
    return AdapterError(f"back-end `{entry.name}` raised {type(error).__name__}: {error}")


def _turn_for(declaration: str, turn: Turn, builtins: tuple[Builtin, ...]) -> Turn:
    """Return `turn` as the back-end of that declaration would receive it (rule 6)."""
    messages = tuple(
        replace(message, carried="", carried_by="")
        if message.carried and message.carried_by != declaration
        else message
        for message in turn.messages
    )
    return replace(turn, messages=messages, builtins=builtins)


async def _disposed(backend: Backend) -> None:
    async with asyncio.timeout(DISPOSAL_S):
        await backend.dispose()


def _mended_call(call: ToolCall) -> ToolCall:
    """Return `call` with lone surrogates replaced; such arguments are text and nothing more."""
    if all(encodes(text) for text in (call.id, call.name, call.raw)):
        return call
    return ToolCall(id=mended(call.id), name=mended(call.name), arguments=None, raw=mended(call.raw))
