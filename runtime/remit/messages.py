"""What passes between the host and a back-end: one conversation turn and its answer.

A `Turn` is complete in itself: a back-end keeps nothing between turns (DESIGN 8).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remit.document.values import JsonObject, canonical_bytes

if TYPE_CHECKING:
    from remit.document.model import Builtin

Role = Literal["user", "assistant", "tool"]
StopReason = Literal["end", "tool_calls", "length", "refused", "cancelled", "paused"]
"""`paused`: the back-end wants the same conversation again to go on, with what it said so far carried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model proposes; it has no authority until the gate permits it.

    Args:
        id: the back-end's id for the call, unique within the conversation.
        name: the tool's name as the model wrote it; may name no tool at all.
        arguments: the parsed arguments, or None where `raw` is not a strict JSON object.
        raw: the argument text exactly as received.
    """

    id: str
    name: str
    arguments: JsonObject | None
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the host's own thread.

    Args:
        role: who speaks; instructions are not a message but `Turn.instructions`.
        text: the words; for `tool` the structured result as JSON text.
        tool_calls: the calls an assistant message proposed.
        tool_call_id: for `tool`: the id of the call this answers.
        carried: for `assistant`: the back-end's own items of this answer (encrypted reasoning, signatures,
            uses of built-ins) as opaque JSON text, to be given back to the same back-end and to no other.
        carried_by: digest of the declaration of the back-end that `carried` came from.
    """

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    carried: str = ""
    carried_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOffer:
    """A tool as it is shown to the model."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinUse:
    """What the vendor reports about one use of a built-in.

    Args:
        name: our name for the built-in; the vendor's where it is another.
        detail: what was reported (queries, code, sources, status), as JSON.
    """

    name: str
    detail: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Everything a back-end receives for one inference call.

    Args:
        instructions: the system text.
        messages: the projected thread, oldest first.
        tools: the tools the model may propose.
        builtins: the vendor's own tools that were allowed for this run.
        max_output_tokens: upper bound for the answer.
        temperature: sampling temperature in [0, 2].
        seed: sampling seed where the back-end honours one.
    """

    instructions: str
    messages: tuple[Message, ...]
    tools: tuple[ToolOffer, ...] = ()
    builtins: tuple[Builtin, ...] = ()
    max_output_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0

    def digest(self) -> str:
        """Digest of exactly this turn, `sha256:<hex>`; what a dispatch permit is bound to."""
        return content_digest(turn_value(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one inference call; cost in millionths of a US dollar."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of the answer's text, in order."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallProposed:
    """A complete proposed tool call."""

    call: ToolCall


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """The last event of every inference call, exactly once.

    Args:
        stop: why the answer ended; reasons unknown to the adapter are `refused`.
        usage: tokens and cost.
        model: the model as the back-end names it.
        detail: vendor-side facts worth recording (strings only), such as a fingerprint.
        used: what the vendor reports about its built-ins, in order.
        carried: opaque JSON text for `Message.carried`; empty where text and calls say everything.
    """

    stop: StopReason
    usage: TokenUsage
    model: str
    detail: dict[str, str] = field(default_factory=dict[str, str])
    used: tuple[BuiltinUse, ...] = ()
    carried: str = ""


TurnEvent = TextDelta | CallProposed | TurnEnd


def message_value(message: Message) -> JsonObject:
    """Return `message` as a JSON value with stable keys."""
    value: JsonObject = {"role": message.role, "text": message.text}
    if message.tool_calls:
        value["tool_calls"] = [{"id": c.id, "name": c.name, "raw": c.raw} for c in message.tool_calls]
    if message.tool_call_id:
        value["tool_call_id"] = message.tool_call_id
    if message.carried:
        value["carried"] = message.carried
        value["carried_by"] = message.carried_by
    return value


def builtin_value(offer: Builtin) -> JsonObject:
    """Return what a back-end is given of a built-in as a JSON value with stable keys."""
    return {
        "name": offer.name,
        "files": [
            {"path": file.path, "sha256": file.sha256, "classification": file.classification}
            for file in offer.files
        ],
        "config": offer.config,
    }


def turn_value(turn: Turn) -> JsonObject:
    """Return `turn` as a JSON value with stable keys; the preimage of its digest."""
    value: JsonObject = {
        "instructions": turn.instructions,
        "messages": [message_value(m) for m in turn.messages],
        "tools": [
            {"name": t.name, "description": t.description, "parameters": t.parameters} for t in turn.tools
        ],
        "max_output_tokens": turn.max_output_tokens,
        # In RFC 8785 an integral number has one form; as an integer it takes the fast way to it.
        "temperature": int(turn.temperature) if float(turn.temperature).is_integer() else turn.temperature,
        "seed": turn.seed,
    }
    if turn.builtins:
        value["builtins"] = [builtin_value(offer) for offer in turn.builtins]
    return value


def content_digest(value: JsonObject) -> str:
    """Digest of a JSON value, `sha256:<hex>` over its RFC 8785 form."""
    return "sha256:" + hashlib.sha256(canonical_bytes(value)).hexdigest()
