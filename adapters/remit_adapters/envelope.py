"""Tool calls as one constrained JSON object, for models that do not call tools by themselves.

The answer is forced, token by token, into `{"tool": NAME, "arguments": {…}}`.
The name `reply` stands for an answer in words.
Because the form is enforced while the text is generated, reading it back is not a guess about free text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.json_text import parse_json
from remit.document.values import canonical_bytes
from remit.errors import AdapterError, DocumentError
from remit.messages import CallProposed, StopReason, TextDelta, ToolCall, TurnEnd
from remit_adapters.answers import new_call_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Message, ToolOffer, Turn, TurnEvent

REPLY = "reply"
_CHARACTERS_PER_TOKEN = 3
MAX_TEXT = 256
"""Longest free string in arguments, in characters: a small model that loops inside a string stops there."""
_EXAMPLE = (
    "Example\n"
    "User: What is the weather in Rome?\n"
    'Assistant: {"tool": "get_weather", "arguments": {"city": "Rome"}}\n'
    'Result of get_weather: {"sky": "sunny"}\n'
    'Assistant: {"tool": "reply", "arguments": {"text": "It is sunny in Rome."}}'
)
_ADVICE = (
    "Never repeat a call. Use reply as soon as the request is done, when it was denied, "
    "or when no tool is needed."
)
_NOT_IN_GRAMMAR = frozenset({"description", "examples", "default", "title", "pattern", "format", "$schema"})
"""Keywords left out of the grammar: they shape no value, or the grammar knows another dialect of them."""


def enveloped_request(turn: Turn, *, backend: str, calls_per_tool: int) -> JsonObject:
    """Return the request members `messages` and `response_format` for `turn`.

    Args:
        turn: what is asked; it offers at least one tool.
        backend: the document's name of the back-end, for messages.
        calls_per_tool: how often a tool is offered after one user message.

    Raises:
        AdapterError: a tool is called `reply`, which the envelope needs for itself.
    """
    if any(offer.name == REPLY for offer in turn.tools):
        raise AdapterError(
            f"back-end `{backend}`: tool mode `envelope` cannot offer a tool called `{REPLY}`; rename it"
        )
    offers = offers_left(turn, calls_per_tool=calls_per_tool)
    schema = envelope_schema(offers, max_text=max(1, turn.max_output_tokens * _CHARACTERS_PER_TOKEN))
    return {
        "messages": [*envelope_messages(turn)],
        "response_format": {"type": "json_schema", "json_schema": {"name": "envelope", "schema": schema}},
    }


def opened_events(turn: Turn, text: str, end: TurnEnd) -> Iterator[TurnEvent]:
    """Yield what an enveloped answer says, and its end.

    Args:
        turn: what was asked.
        text: the whole answer.
        end: its end as the wire reported it.
    """
    stop: StopReason = end.stop
    envelope = read_envelope(text)
    if envelope is None:
        # The grammar leaves no other way to an unreadable answer than being cut off or refused.
        stop = "length" if stop == "end" else stop
    elif envelope.tool == REPLY:
        said = envelope.arguments.get("text")
        if isinstance(said, str) and said:
            yield TextDelta(text=said)
    else:
        raw = canonical_bytes(envelope.arguments).decode("utf-8")
        yield CallProposed(
            call=ToolCall(id=new_call_id(turn, 0), name=envelope.tool, arguments=envelope.arguments, raw=raw)
        )
        stop = "tool_calls" if stop == "end" else stop
    yield TurnEnd(stop=stop, usage=end.usage, model=end.model, detail=end.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the model chose: a tool with arguments, or `reply` with a text."""

    tool: str
    arguments: JsonObject


def envelope_schema(offers: tuple[ToolOffer, ...], *, max_text: int) -> JsonObject:
    """Return the JSON Schema of an answer that may use any of `offers` or reply.

    Args:
        offers: the tools that may be called now.
        max_text: longest reply, in characters.
    """
    reply: JsonObject = {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": max_text}},
        "required": ["text"],
        "additionalProperties": False,
    }
    choices: list[JsonValue] = [_choice(offer.name, _arguments_schema(offer)) for offer in offers]
    return {"anyOf": [*choices, _choice(REPLY, reply)]}


def envelope_messages(turn: Turn) -> list[JsonObject]:
    """Return the thread of `turn` as chat messages in which calls are envelopes."""
    messages: list[JsonObject] = [{"role": "system", "content": _instructions(turn)}]
    messages.extend(_message(message) for message in turn.messages)
    return messages


def offers_left(turn: Turn, *, calls_per_tool: int) -> tuple[ToolOffer, ...]:
    """Return the tools of `turn` called fewer than `calls_per_tool` times since the user spoke last."""
    counts: dict[str, int] = {}
    for message in reversed(turn.messages):
        if message.role == "user":
            break
        for call in message.tool_calls:
            counts[call.name] = counts.get(call.name, 0) + 1
    return tuple(offer for offer in turn.tools if counts.get(offer.name, 0) < calls_per_tool)


def read_envelope(text: str) -> Envelope | None:
    """Read an answer; None where it was cut off before its end."""
    try:
        value = parse_json(text.encode("utf-8")).value
    except (DocumentError, ValueError):
        return None
    if not isinstance(value, dict):
        return None
    tool, arguments = value.get("tool"), value.get("arguments")
    if not isinstance(tool, str) or not isinstance(arguments, dict):
        return None
    return Envelope(tool=tool, arguments=arguments)


def _choice(name: str, arguments: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": {"tool": {"const": name}, "arguments": arguments},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _arguments_schema(offer: ToolOffer) -> JsonObject:
    if _has_references(offer.parameters):
        return {"type": "object"}
    schema = _bounded(offer.parameters)
    assert isinstance(schema, dict)
    schema.setdefault("type", "object")
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def _has_references(schema: JsonValue) -> bool:
    if isinstance(schema, dict):
        return "$ref" in schema or any(_has_references(value) for value in schema.values())
    return isinstance(schema, list) and any(_has_references(value) for value in schema)


def _bounded(schema: JsonValue) -> JsonValue:
    """Copy a schema for the grammar: no annotations, free strings bounded."""
    if not isinstance(schema, dict):
        return schema
    copy: JsonObject = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties") and isinstance(value, dict):
            copy[key] = {name: _bounded(each) for name, each in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            copy[key] = _bounded(value)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            copy[key] = [_bounded(each) for each in value]
        elif key not in _NOT_IN_GRAMMAR and not key.startswith("x-"):
            copy[key] = value
    if copy.get("type") == "string" and not {"enum", "const", "maxLength"} & copy.keys():
        copy["maxLength"] = MAX_TEXT
    return copy


def _instructions(turn: Turn) -> str:
    lines = [turn.instructions, "", "# Tools", ""]
    for offer in turn.tools:
        arguments = offer.parameters.get("properties", {})
        described = canonical_bytes(arguments).decode("utf-8")
        lines.append(f"- {offer.name}: {offer.description} Arguments: {described}")
    lines += [
        '- reply: Answer the user in words. Arguments: {"text": the answer}',
        "",
        'Answer every message with one JSON object: {"tool": NAME, "arguments": {...}}.',
        _ADVICE,
        "",
        _EXAMPLE,
    ]
    return "\n".join(lines)


def _message(message: Message) -> JsonObject:
    if message.role != "assistant":
        return {"role": message.role, "content": message.text}
    envelopes: list[JsonObject] = [
        {"tool": call.name, "arguments": call.arguments if call.arguments is not None else {"raw": call.raw}}
        for call in message.tool_calls
    ]
    if not envelopes:
        envelopes = [{"tool": REPLY, "arguments": {"text": message.text}}]
    # The example in the instructions writes the tool first; canonical order would teach another habit.
    lines = [
        f'{{"tool": {_json(each["tool"])}, "arguments": {_json(each["arguments"])}}}' for each in envelopes
    ]
    return {"role": "assistant", "content": "\n".join(lines)}


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)
