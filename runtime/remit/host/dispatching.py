"""Dispatch: the first back-end, in the document's order, that the rules allow and that answers.

Rules
1. Each back-end is asked for separately, with exactly the turn that it would receive.
2. A denied one falls to the next, and so does one that cannot start or fails; all of that is recorded.
3. An answer counts once it is complete: proposals of a broken stream are dropped.
4. A back-end that was opened is disposed of, whatever happens.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.errors import AdapterError, GovernanceError
from remit.gate.answers import AwaitingApproval, Denial, Granted
from remit.host.backends import backend_context, open_backend
from remit.host.events import BackendOpened, BackendSkipped, Dispatched, TextArrived
from remit.host.observer import ObserverError
from remit.host.requests import backend_entity, declared
from remit.host.session import reasons
from remit.host.surveillance import Stopped, TimeIsUp, watch
from remit.messages import CallProposed, TextDelta, ToolCall, TurnEnd

if TYPE_CHECKING:
    from remit.document.model import BackendEntry
    from remit.document.values import JsonObject, JsonValue
    from remit.gate.approvals import ApprovalGrant
    from remit.host.loop import Run
    from remit.messages import Turn
    from remit.ports import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A complete answer."""

    backend: str
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
    """The back-ends of one run."""

    def __init__(self, run: Run, *, only: str) -> None:
        self._run = run
        self._only = only
        self._open: dict[str, Backend] = {}
        self._entries: dict[str, BackendEntry] = {}
        self._failed: dict[str, str] = {}

    async def infer(
        self, turn: Turn, classifications: list[str], *, approvals: tuple[ApprovalGrant, ...]
    ) -> Answered | Exhausted | AwaitingApproval:
        """Send `turn` to the first back-end that is allowed and answers."""
        run = self._run
        denial: Denial | None = None
        reason = "the document has no back-end"
        failed = False
        for entry in run.document.capabilities.backends:
            if self._only and entry.name != self._only:
                continue
            if entry.name in self._failed:
                failed, reason = True, self._failed[entry.name]
                continue
            answer = await self._ask(entry, turn, classifications, approvals)
            if isinstance(answer, AwaitingApproval):
                return answer
            if isinstance(answer, Denial):
                denial, reason = answer, reasons(answer)
                self._skip(entry, reason)
                if answer.kind in ("stopped", "unavailable"):
                    return Exhausted(reason=reason, denial=answer)
                continue
            try:
                return await self._send(entry, turn, answer)
            except AdapterError as error:
                failed, reason = True, str(error)
                self._failed[entry.name] = reason
                self._skip(entry, reason)
        return Exhausted(reason=reason, denial=None if failed else denial)

    async def close(self) -> None:
        """Dispose of every back-end that was opened; the first failure is raised after all were tried."""
        failures: list[Exception] = []
        for backend in self._open.values():
            try:
                await backend.dispose()
            except Exception as error:  # noqa: BLE001  # every one must be closed
                failures.append(error)
        self._open.clear()
        if failures:
            raise failures[0]

    def _skip(self, entry: BackendEntry, reason: str) -> None:
        self._run.emit(BackendSkipped(name=entry.name, adapter=entry.adapter, reason=reason))

    async def _ask(
        self,
        entry: BackendEntry,
        turn: Turn,
        classifications: list[str],
        approvals: tuple[ApprovalGrant, ...],
    ) -> Granted | Denial | AwaitingApproval:
        listed: list[JsonValue] = list(classifications)
        given: JsonObject = {
            "messages": len(turn.messages),
            "tools": len(turn.tools),
            "classifications": listed,
        }
        return await self._run.ask(
            "dispatch",
            resource=backend_entity(entry),
            given=given,
            content=turn,
            effect="dispatch",
            target=entry.name,
            approvals=approvals,
            basis=declared(self._run.document, "backends", entry.name),
        )

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
        await gate.aoutcome(granted, "ok", result=result, detail=detail_text)
        return answered

    async def _stream(self, entry: BackendEntry, backend: Backend, turn: Turn, granted: Granted) -> Answered:
        assert granted.permit is not None  # the gate gives one for every effect
        texts: list[str] = []
        calls: list[ToolCall] = []
        events = backend.infer(granted.permit, turn)
        try:
            async for event in events:
                if isinstance(event, TextDelta):
                    texts.append(event.text)
                    self._run.emit(TextArrived(turn=self._run.turn, text=event.text))
                elif isinstance(event, CallProposed):
                    calls.append(event.call)
                else:
                    return Answered(backend=entry.name, text="".join(texts), calls=tuple(calls), end=event)
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
                await backend.dispose()
            backend = None
        if backend is None:
            context = backend_context(folder=self._run.agent.surroundings.folder)
            # In a thread: an embedded model may take seconds to load, and events must go on meanwhile.
            backend = await asyncio.to_thread(open_backend, entry, context=context)
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
