"""The Messages wire, inwards: a stream of events as turn events.

Rules
1. Only `tool_use` blocks become proposed calls; text is text, and thinking is not text of the answer.
2. An answer that holds more than text and calls (thinking, uses of built-ins, citations) is carried whole,
   and so is every paused one.
3. A stream that ends before `message_stop` was cut off: an `AdapterError`, not an answer.
4. Stop reasons that are not known here are `refused`; events that are not known here mean nothing.

Sources: Anthropic API reference, messages (streaming), handling stop reasons, errors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit.messages import CallProposed, StopReason, TextDelta, TokenUsage, TurnEnd
from remit_adapters.answers import AnswerBudget, SentCall, finished_calls
from remit_adapters.messages_builtins import builtin_uses
from remit_adapters.messages_wire import is_wire_id, wire_name
from remit_adapters.vendor_json import (
    argument_text,
    count_of,
    json_text,
    object_of,
    sent_object,
    shown,
    strict_object,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.messages import ToolCall, Turn, TurnEvent
    from remit_adapters.endpoint import Endpoint

_MAX_BLOCKS = 1024
_STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "paused",
    "refusal": "refused",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@dataclass(slots=True, kw_only=True)
class _Block:
    """A content block as it grows.

    Args:
        begun: as it was when it began.
        texts: pieces by the member that they belong to.
        raw: pieces of argument text.
        citations: what was added to `citations`.
        growing: whether pieces may still come.
    """

    begun: JsonObject
    texts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    raw: list[str] = field(default_factory=list[str])
    citations: list[JsonValue] = field(default_factory=list["JsonValue"])
    growing: bool = True

    @property
    def kind(self) -> str:
        """Its `type`."""
        return text_of(self.begun.get("type"))

    def arguments(self) -> str:
        """Return its argument text; some servers send it whole where the block begins."""
        given = object_of(self.begun.get("input"))
        return argument_text(given) if given and not self.raw else "".join(self.raw)

    def whole(self) -> JsonObject:
        """Return it with everything that was added; argument text of calls is put in by the caller."""
        value = dict(self.begun)
        for member, pieces in self.texts.items():
            value[member] = text_of(value.get(member)) + "".join(pieces)
        if self.citations:
            before = value.get("citations")
            value["citations"] = [*(before if isinstance(before, list) else []), *self.citations]
        if self.kind == "server_tool_use":
            raw = self.arguments()
            value["input"] = sent_object(raw, strict_object(raw or "{}"))
        return value


class MessagesStream:
    """Turns the events of one answer into turn events.

    Args:
        turn: what was asked.
        endpoint: words errors.
    """

    def __init__(self, turn: Turn, *, endpoint: Endpoint) -> None:
        self._turn = turn
        self._endpoint = endpoint
        self._budget = AnswerBudget(endpoint.backend)
        self._blocks: dict[int, _Block] = {}
        self._usage: dict[str, int] = {}
        self._searches = 0
        self._stop = ""
        self._container = ""
        self._facts: dict[str, str] = {}
        self.model = ""
        self.ended = False

    @property
    def input_tokens(self) -> int:
        """Tokens of the prompt, whether from a cache or not."""
        return sum(self._usage.get(member, 0) for member in _INPUT)

    @property
    def output_tokens(self) -> int:
        """Tokens of the answer."""
        return self._usage.get("output_tokens", 0)

    def feed(self, data: str) -> Iterator[TextDelta]:
        """Take one event's data; return the text it holds.

        Raises:
            AdapterError: it is an error, or not an event of this wire.
        """
        event = strict_object(data)
        if event is None:
            raise self._unreadable("an event is not a strict JSON object")
        kind = event.get("type")
        if kind == "error" or (kind is None and "error" in event):
            error = object_of(event.get("error"))
            words = text_of(error.get("message")) or "no reason given"
            raise self._endpoint.refusal(_STATUSES.get(text_of(error.get("type")), 500), words)
        if not isinstance(kind, str):
            raise self._unreadable("an event has no `type`")
        if kind == "message_start":
            self._begin_message(object_of(event.get("message")))
        elif kind == "content_block_start":
            yield from self._begin(event)
        elif kind == "content_block_delta":
            yield from self._piece(event)
        elif kind == "content_block_stop":
            self._growing(event).growing = False
        elif kind == "message_delta":
            self._finish(object_of(event.get("delta")))
            self._count(event.get("usage"))
        elif kind == "message_stop":
            self.ended = True

    def end(self, *, cost_microusd: int, detail: dict[str, str]) -> Iterator[TurnEvent]:
        """Return the proposed calls and the one `TurnEnd`.

        Args:
            cost_microusd: cost of the call.
            detail: facts to record with it.

        Raises:
            AdapterError: the stream ended before the answer did.
        """
        blocks = [block for _, block in sorted(self._blocks.items())]
        if not self.ended or not self._stop or any(block.growing for block in blocks):
            raise AdapterError(
                f"back-end `{self._endpoint.backend}`: the stream broke off before the answer was finished",
                retryable=True,
            )
        proposing = [block for block in blocks if block.kind == "tool_use"]
        stop: StopReason = _STOPS.get(self._stop, "refused")
        if stop in ("end", "tool_calls"):
            stop = "tool_calls" if proposing else "end"
        calls: list[ToolCall] = []
        if stop != "refused":
            self._budget.calls(len(proposing))
            sent = (_sent(block) for block in proposing)
            calls.extend(finished_calls(self._turn, sent, whole=stop != "length"))
        yield from (CallProposed(call=call) for call in calls)
        wholes = [block.whole() for block in blocks]
        yield TurnEnd(
            stop=stop,
            usage=TokenUsage(
                input_tokens=self.input_tokens, output_tokens=self.output_tokens, cost_microusd=cost_microusd
            ),
            model=self.model,
            detail={"stop_reason": self._stop, **self._facts, **detail},
            used=builtin_uses(wholes, searches=self._searches),
            carried=self._carried(stop, wholes, calls),
        )

    def _begin_message(self, message: JsonObject) -> None:
        self.model = text_of(message.get("model"))
        if text_of(message.get("id")):
            self._facts["message_id"] = shown(text_of(message.get("id")))
        self._count(message.get("usage"))

    def _count(self, usage: JsonValue) -> None:
        """Take usage, which the vendor sends cumulative, leaving out what did not change."""
        members = object_of(usage)
        for member in (*_INPUT, "output_tokens"):
            if isinstance(members.get(member), int):
                self._usage[member] = count_of(members[member])
        self._searches = max(
            self._searches, count_of(object_of(members.get("server_tool_use")).get("web_search_requests"))
        )

    def _begin(self, event: JsonObject) -> Iterator[TextDelta]:
        index, block = event.get("index"), event.get("content_block")
        if not isinstance(block, dict) or not text_of(block.get("type")):
            raise self._unreadable("`content_block` is not an object with a `type`")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < _MAX_BLOCKS:
            raise self._unreadable("a content block has no usable `index`")
        if self.ended or index in self._blocks:
            raise self._unreadable("a content block begins out of turn")
        self._budget.take(json.dumps(block))
        self._blocks[index] = _Block(begun=block)
        if block["type"] == "text" and text_of(block.get("text")):
            yield TextDelta(text=text_of(block["text"]))

    def _piece(self, event: JsonObject) -> Iterator[TextDelta]:
        block = self._growing(event)
        delta = object_of(event.get("delta"))
        kind = delta.get("type")
        if kind == "citations_delta":
            self._budget.take(json.dumps(delta))
            block.citations.append(delta.get("citation"))
            return
        self._budget.take(*delta.values())
        if kind == "input_json_delta":
            if text_of(delta.get("partial_json")):
                block.raw.append(text_of(delta.get("partial_json")))
            return
        if (kind == "text_delta") != (block.kind == "text"):
            raise self._unreadable(f"a piece does not fit its block of type `{shown(block.kind)}`")
        for member, piece in delta.items():
            # Thinking and its signature grow as text does; what newer kinds add is kept for going back.
            if member != "type" and isinstance(piece, str) and piece:
                block.texts.setdefault(member, []).append(piece)
        if kind == "text_delta" and text_of(delta.get("text")):
            yield TextDelta(text=text_of(delta.get("text")))

    def _growing(self, event: JsonObject) -> _Block:
        index = event.get("index")
        block = self._blocks.get(index) if isinstance(index, int) and not isinstance(index, bool) else None
        if block is None or not block.growing:
            raise self._unreadable("an event belongs to no open content block")
        return block

    def _finish(self, delta: JsonObject) -> None:
        self._stop = text_of(delta.get("stop_reason")) or self._stop
        self._container = text_of(object_of(delta.get("container")).get("id")) or self._container
        details = object_of(delta.get("stop_details"))
        for name, value in (
            ("stop_sequence", delta.get("stop_sequence")),
            ("refusal_category", details.get("category")),
            ("refusal_explanation", details.get("explanation")),
        ):
            if text_of(value):
                self._facts[name] = shown(text_of(value))

    def _carried(self, stop: StopReason, wholes: list[JsonObject], calls: list[ToolCall]) -> str:
        """Return the blocks as text (rule 2), under the ids that our thread knows the calls by."""
        if stop == "refused" or (stop != "paused" and all(_plain(block) for block in wholes)):
            return ""
        proposed = iter(calls)
        content: list[JsonValue] = []
        for block in wholes:
            if block["type"] == "tool_use":
                call = next(proposed)
                given = sent_object(call.raw, call.arguments)
                content.append({**block, "id": call.id, "name": wire_name(call.name), "input": given})
            elif block["type"] != "text" or text_of(block.get("text")).strip():
                content.append(block)
        carried: JsonObject = {"content": content}
        if self._container:
            carried["container"] = self._container
        return json_text(carried)

    def _unreadable(self, reason: str) -> AdapterError:
        return AdapterError(
            f"back-end `{self._endpoint.backend}` sent something that is not a stream of messages: {reason}"
        )


def _sent(block: _Block) -> SentCall:
    call_id = text_of(block.begun.get("id"))
    return SentCall(
        # An id that could not be sent back is replaced by one of our own.
        id=call_id if is_wire_id(call_id) else "",
        name=text_of(block.begun.get("name")),
        raw=block.arguments(),
    )


def _plain(block: JsonObject) -> bool:
    return block["type"] == "tool_use" or (block["type"] == "text" and not block.get("citations"))
