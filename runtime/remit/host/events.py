"""What a run tells its embedder while it happens: one frozen value an event, in order.

A run begins with `RunStarted` and ends with exactly one `RunEnded`, whatever happens between.
A resumed run is a stream of its own with the same run id.
`to_json()` gives every event as one JSON object with the stable member `event`.
Events are for people and programs that watch; the record that counts is the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue


def _json(value: object) -> JsonValue:
    if isinstance(value, tuple):
        return [_json(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, _Value):
        return value.members()
    return cast("JsonValue", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """Base of every event: its members as JSON."""

    def members(self) -> JsonObject:
        """Return the members as a JSON object."""
        return {item.name: _json(getattr(self, item.name)) for item in fields(self)}

    def to_json(self) -> JsonObject:
        """Return the event as a JSON object whose member `event` is the class's name."""
        return {"event": type(self).__name__, **self.members()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(_Value):
    """A run began, or went on.

    Args:
        run: run id.
        agent: agent id.
        revision: head revision at this moment.
        caller: the caller's id.
        dry_run: whether nothing is enforced on the world.
        resumed: whether the run goes on after a stop.
        at: RFC 3339 UTC time.
    """

    run: str
    agent: str
    revision: str
    caller: str
    dry_run: bool
    resumed: bool
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided(_Value):
    """The gate answered one request; it is already durable.

    Args:
        step: 1-based number of the decision within the run.
        action: Cedar action.
        resource: Cedar entity reference, `Remit::<type>::"<id>"`.
        verdict: allow, deny or awaiting_approval.
        kind: why, as the gate says it: allowed, forbidden, not_permitted, error, stopped, approval, …
        rules: ids of the determining rules.
        because: the reason for people; may be empty for an allow.
        record: digest of the ledger record.
        turn: 1-based number of the inference call it belongs to; 0 before the first.
    """

    step: int
    action: str
    resource: str
    verdict: str
    kind: str
    rules: tuple[str, ...]
    because: str
    record: str
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOpened(_Value):
    """A back-end is ready for this run."""

    name: str
    adapter: str
    provider: str
    region: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSkipped(_Value):
    """A back-end of the document was not used: denied or not able to start."""

    name: str
    adapter: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched(_Value):
    """An authorized turn was sent to the back-end.

    Args:
        turn: 1-based number of the inference call.
        backend: the back-end's name in the document.
        digest: digest of exactly what was sent.
        messages: number of messages in it.
    """

    turn: int
    backend: str
    digest: str
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextArrived(_Value):
    """A piece of the model's text, in order."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinUsed(_Value):
    """The vendor reports that one of its own tools was used.

    Args:
        turn: number of the inference call.
        name: the built-in.
        detail: what the vendor reports.
    """

    turn: int
    name: str
    detail: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFinished(_Value):
    """An inference call ended."""

    turn: int
    stop: str
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProposed(_Value):
    """The model proposed a call; nothing has run.

    Args:
        turn: number of the inference call.
        tool: the name as the model wrote it.
        arguments: the parsed arguments; None where they are not a JSON object.
    """

    turn: int
    tool: str
    arguments: JsonObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished(_Value):
    """A tool answered, or failed.

    Args:
        turn: number of the inference call that proposed it.
        tool: the tool's name.
        outcome: ok, failed, unknown, abandoned or dry_run.
        value: what the model is given, after redaction.
    """

    turn: int
    tool: str
    outcome: str
    value: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChanged(_Value):
    """An entry was written or erased; `revision` is the child revision.

    Args:
        operation: remember, revise or erase.
        block: the block's name.
        entry: entry id, 64 hex digits.
        revision: the new head.
    """

    operation: str
    block: str
    entry: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revised(_Value):
    """The agent's head moved.

    Args:
        operation: the lineage operation.
        parent: revision before.
        revision: revision after.
        lifecycle: lifecycle after.
    """

    operation: str
    parent: str
    revision: str
    lifecycle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested(_Value):
    """The run waits for a person.

    Args:
        approval: id to approve or refuse.
        action: Cedar action.
        resource: Cedar entity reference.
        arguments: what would be done.
        by: role that must decide.
        rules: ids of the rules that ask for it.
        because: their reasons.
        until: RFC 3339 UTC time from which no answer counts any more; empty without a limit.
    """

    approval: str
    action: str
    resource: str
    arguments: JsonObject
    by: str
    rules: tuple[str, ...]
    because: str
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownReported(_Value):
    """An effect of an earlier run was begun and its outcome was never recorded; it is not repeated.

    Args:
        run: the run it belongs to.
        action: Cedar action.
        target: the tool or back-end.
        intent: digest of the intent's record.
        at: when the intent was recorded.
    """

    run: str
    action: str
    target: str
    intent: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDiverged(_Value):
    """Compiled policies decided otherwise than the reference engine: from now on the reference decides alone.

    Args:
        when: `load`, before anything was decided, or `service`: then the decision in question was a deny.
        image: digest of the policy image, which does not run compiled any more.
        action: Cedar action of the request on which the engines differ.
        compiled: what compiled code found, such as `allowed (rules-1)`.
        reference: what the reference engine decided.
        at: RFC 3339 UTC time.
    """

    when: str
    image: str
    action: str
    compiled: str
    reference: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(_Value):
    """The run stopped; the last event.

    Args:
        run: run id.
        status: completed, denied, awaiting_approval, terminated, suspended or failed.
        reason: why; empty when completed.
        text: the model's final text.
        revision: the agent's head.
        at: RFC 3339 UTC time.
    """

    run: str
    status: str
    reason: str
    text: str
    revision: str
    at: str


RunEvent = (
    RunStarted
    | Decided
    | BackendOpened
    | BackendSkipped
    | Dispatched
    | TextArrived
    | BuiltinUsed
    | TurnFinished
    | CallProposed
    | ToolFinished
    | MemoryChanged
    | Revised
    | ApprovalRequested
    | UnknownReported
    | EngineDiverged
    | RunEnded
)
