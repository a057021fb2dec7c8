"""Built-ins: the vendor's own tools, each asked for through `dispatch` before it is offered.

Rules
1. A back-end that lacks a required built-in is refused, by name, before it is asked for or opened.
2. Each built-in is asked for once a run, for the same declarations of back-end and built-in; what was said is
   kept with the run, also across approvals.
3. Every later turn is judged with what it offers, in `context.input.builtins` and `classifications`.
4. An answer that reports the use of another built-in does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit.gate.answers import AwaitingApproval, Denial, Granted
from remit.host.backends import offered_builtins
from remit.host.memory_operations import record_refusal
from remit.host.requests import backend_entity, declared
from remit.host.session import reasons
from remit.host.texts import mended
from remit.messages import builtin_value, content_digest

if TYPE_CHECKING:
    from remit.document.model import BackendEntry, Builtin
    from remit.document.values import JsonObject, JsonValue
    from remit.gate.answers import Content
    from remit.gate.approvals import ApprovalGrant
    from remit.host.session import Session
    from remit.host.thread import RunMemo
    from remit.messages import Turn, TurnEnd
    from remit.permit import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """A question about a back-end waits for people.

    Args:
        answer: the gate's.
        resource: the back-end as a Cedar entity reference.
        given: what was asked.
    """

    answer: AwaitingApproval
    resource: str
    given: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A back-end cannot be used in this run: what it lacks, or the denial of what it must have."""

    reason: str
    denial: Denial | None = None


class BuiltinOffers:
    """What built-ins the back-ends of one run may be offered.

    Args:
        run: the run before the gate.
        memo: its notebook.
    """

    def __init__(self, run: Session, memo: RunMemo) -> None:
        self._run = run
        self._memo = memo
        self._unfit: dict[str, str] = {}

    async def of(
        self, entry: BackendEntry, given: JsonObject, approvals: tuple[ApprovalGrant, ...]
    ) -> tuple[Builtin, ...] | Unfit | Waits:
        """Return the built-ins that may be offered to `entry` in this run (rule 5)."""
        declared_ones = self._run.document.capabilities.builtins
        if not declared_ones:
            return ()
        key = declared(self._run.document, "backends", entry.name)
        if key in self._unfit:
            return Unfit(reason=self._unfit[key])
        try:
            offered = offered_builtins(self._run.agent.surroundings.stand_ins.get(entry.name, entry))
        except AdapterError as error:
            return await self._unsupported(entry, key, str(error))
        lacking = [item.name for item in declared_ones if item.required and item.name not in offered]
        if lacking:
            names = ", ".join(f"`{name}`" for name in lacking)
            said = f"adapter `{entry.adapter}` of back-end `{entry.name}` cannot offer {names}"
            return await self._unsupported(entry, key, said)
        allowed: list[Builtin] = []
        for item in declared_ones:
            if item.name not in offered:
                continue
            answer = await self._ask_builtin(entry, key, item, given, approvals)
            if isinstance(answer, (Waits, Unfit)):
                return answer
            if answer:
                allowed.append(item)
        return tuple(allowed)

    async def _unsupported(self, entry: BackendEntry, key: str, reason: str) -> Unfit:
        await record_refusal(self._run, "dispatch", str(backend_entity(entry).ref), "unsupported", reason)
        self._unfit[key] = reason
        return Unfit(reason=reason)

    async def _ask_builtin(
        self,
        entry: BackendEntry,
        key: str,
        item: Builtin,
        given: JsonObject,
        approvals: tuple[ApprovalGrant, ...],
    ) -> bool | Unfit | Waits:
        """Say whether one built-in may be offered; asked once a run for the same declarations of both."""
        question = content_digest({"backend": key, "builtin": builtin_value(item)})
        known = self._memo.builtins.get(question)
        if known is None:
            asked = with_builtins(given, (item,))
            answer = await ask_dispatch(
                self._run, entry, asked, content=question, effect=None, approvals=approvals
            )
            if isinstance(answer, Waits):
                return answer
            if isinstance(answer, Denial) and answer.kind in ("stopped", "unavailable"):
                return Unfit(reason=reasons(answer), denial=answer)
            known = "allow" if isinstance(answer, Granted) else f"deny: {reasons(answer)}"
            self._memo.builtins[question] = known
            if isinstance(answer, Denial) and item.required:
                return Unfit(reason=f"built-in `{item.name}`: {reasons(answer)}", denial=answer)
        if known != "allow" and item.required:
            return Unfit(reason=f"built-in `{item.name}`: {known.removeprefix('deny: ')}")
        return known == "allow"


async def ask_dispatch(
    run: Session,
    entry: BackendEntry,
    given: JsonObject,
    *,
    content: Content,
    effect: Effect | None,
    approvals: tuple[ApprovalGrant, ...],
) -> Granted | Denial | Waits:
    """Ask one `dispatch` question about a back-end.

    Args:
        run: who asks.
        entry: the back-end.
        given: the context's `input`.
        content: what would be sent, or what is asked about.
        effect: `dispatch` where something would be sent; None for a question about a built-in.
        approvals: what people answered in this run.
    """
    entity = backend_entity(entry)
    answer = await run.ask(
        "dispatch",
        resource=entity,
        given=given,
        content=content,
        effect=effect,
        target=entry.name if effect else "",
        approvals=approvals,
        basis=declared(run.document, "backends", entry.name),
    )
    if isinstance(answer, AwaitingApproval):
        return Waits(answer=answer, resource=str(entity.ref), given=given)
    return answer


def with_builtins(given: JsonObject, builtins: tuple[Builtin, ...]) -> JsonObject:
    """Return the input of `dispatch` with what `builtins` would show to the vendor."""
    known = given["classifications"]
    shown = {str(name) for name in known} if isinstance(known, list) else set[str]()
    shown.update(file.classification for item in builtins for file in item.files)
    names: list[JsonValue] = [*sorted(item.name for item in builtins)]
    listed: list[JsonValue] = [*sorted(shown)]
    return {**given, "builtins": names, "classifications": listed}


def check_uses(entry: BackendEntry, turn: Turn, end: TurnEnd) -> None:
    """Refuse an answer that was made with a built-in which nobody allowed (rule 4).

    Raises:
        AdapterError: it was; the tokens that it cost are counted all the same.
    """
    offered = {item.name for item in turn.builtins}
    for use in end.used:
        if use.name not in offered:
            name = mended(use.name)[:64]
            error = AdapterError(f"back-end `{entry.name}` reports a use of `{name}`, which was not offered")
            error.tokens = end.usage.input_tokens + end.usage.output_tokens
            error.cost_microusd = end.usage.cost_microusd
            raise error
