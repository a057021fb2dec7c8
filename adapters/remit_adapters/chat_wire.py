"""The Chat Completions wire: a turn as a request, a stream of chunks as turn events.

Rules
1. The thread goes out whole, each time; nothing is kept on the other side.
2. Text inside an answer is text: only the wire's own `tool_calls` become proposed calls.
3. A stream that ends without a finish reason was cut off: an `AdapterError`, not an answer.
4. Finish reasons that are not known here are `refused`.

Sources: OpenAI API reference, chat.completions (create, streaming); facts of llama.cpp's server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit.messages import CallProposed, StopReason, TextDelta, TokenUsage, TurnEnd
from remit_adapters.answers import MAX_CALLS, AnswerBudget, SentCall, finished_calls
from remit_adapters.calls import sent_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Message, Turn, TurnEvent

_STOPS: dict[str, StopReason] = {
    "stop": "end",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "content_filter": "refused",
}


def wire_messages(turn: Turn) -> list[JsonObject]:
    """Return the thread of `turn` as chat messages, instructions first."""
    messages: list[JsonObject] = []
    if turn.instructions:
        messages.append({"role": "system", "content": turn.instructions})
    messages.extend(_wire_message(message) for message in turn.messages)
    return messages


def wire_tools(turn: Turn) -> list[JsonObject]:
    """Return the tools that `turn` offers as function tools."""
    return [
        {
            "type": "function",
            "function": {
                "name": offer.name,
                "description": offer.description,
                "parameters": offer.parameters,
            },
        }
        for offer in turn.tools
    ]


def _wire_message(message: Message) -> JsonObject:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    value: JsonObject = {"role": message.role, "content": message.text}
    if message.tool_calls:
        value["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": sent_arguments(call.raw, call.arguments)},
            }
            for call in message.tool_calls
        ]
    return value


@dataclass(slots=True, kw_only=True)
class _PartialCall:
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list[str])


class ChatStream:
    """Turns the chunks of one answer into turn events.

    Args:
        turn: what was asked.
        backend: the document's name of the back-end, for messages.
        own_ids: give calls our own ids instead of the server's.
        safe: makes a server's words fit for a message, without the key.
    """

    def __init__(
        self, turn: Turn, *, backend: str, own_ids: bool = False, safe: Callable[[str], str] = str
    ) -> None:
        self._safe = safe
        self._turn = turn
        self._backend = backend
        self._own_ids = own_ids
        self._calls: dict[int, _PartialCall] = {}
        self._finish = ""
        self._refusal = False
        self._budget = AnswerBudget(backend)
        self.model = ""
        self.fingerprint = ""
        self.input_tokens = 0
        self.output_tokens = 0

    def feed(self, chunk: JsonObject) -> Iterator[TextDelta]:
        """Take one chunk; return the text it holds.

        Raises:
            AdapterError: it is an error, or not a chunk of this wire.
        """
        if "error" in chunk or ("choices" not in chunk and "message" in chunk):
            raise AdapterError(f"back-end `{self._backend}` failed: {self._safe(_error_text(chunk))}")
        self.model = _text(chunk.get("model")) or self.model
        self.fingerprint = _text(chunk.get("system_fingerprint")) or self.fingerprint
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.input_tokens = _count(usage.get("prompt_tokens"))
            self.output_tokens = _count(usage.get("completion_tokens"))
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise self._unreadable("`choices` is not an array")
        for choice in choices:
            if not isinstance(choice, dict):
                raise self._unreadable("a choice is not an object")
            if choice.get("index", 0) != 0:
                continue
            yield from self._choice(choice)

    def end(
        self, *, model: str = "", cost_microusd: int = 0, detail: dict[str, str] | None = None
    ) -> Iterator[TurnEvent]:
        """Return the proposed calls and the one `TurnEnd`.

        Args:
            model: name of the model, where it is not the one that the server gave.
            cost_microusd: cost of the call.
            detail: facts to record with it.

        Raises:
            AdapterError: the stream ended without a finish reason.
        """
        if not self._finish:
            raise AdapterError(
                f"back-end `{self._backend}`: the stream broke off before the answer was finished",
                retryable=True,
            )
        stop: StopReason = "refused" if self._refusal else _STOPS.get(self._finish, "refused")
        if stop in ("end", "tool_calls"):
            stop = "tool_calls" if self._calls else "end"
        if stop != "refused":
            sent = (
                SentCall(id=partial.id, name=partial.name, raw="".join(partial.pieces))
                for _, partial in sorted(self._calls.items())
            )
            for call in finished_calls(self._turn, sent, whole=stop == "tool_calls", own_ids=self._own_ids):
                yield CallProposed(call=call)
        facts = {"finish_reason": self._finish}
        if self.fingerprint:
            facts["system_fingerprint"] = self.fingerprint
        yield TurnEnd(
            stop=stop,
            usage=TokenUsage(
                input_tokens=self.input_tokens, output_tokens=self.output_tokens, cost_microusd=cost_microusd
            ),
            model=model or self.model,
            detail={**facts, **(detail or {})},
        )

    def _choice(self, choice: JsonObject) -> Iterator[TextDelta]:
        self._finish = _text(choice.get("finish_reason")) or self._finish
        delta = choice.get("delta")
        if delta is None:
            return
        if not isinstance(delta, dict):
            raise self._unreadable("`delta` is not an object")
        self._budget.take(*delta.values())
        content = delta.get("content")
        if isinstance(content, str) and content:
            yield TextDelta(text=content)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refusal = True
            yield TextDelta(text=refusal)
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for number, call in enumerate(calls):
                self._call_piece(call, number)

    def _call_piece(self, piece: JsonValue, number: int) -> None:
        if not isinstance(piece, dict):
            raise self._unreadable("a tool call is not an object")
        index = piece.get("index", number)
        if not isinstance(index, int) or not 0 <= index < MAX_CALLS:
            raise self._unreadable("a tool call has no usable `index`")
        call = self._calls.setdefault(index, _PartialCall())
        call.id = call.id or _text(piece.get("id"))
        function = piece.get("function")
        if isinstance(function, dict):
            call.name += _text(function.get("name"))
            call.pieces.append(_text(function.get("arguments")))
            self._budget.take(*function.values())

    def _unreadable(self, reason: str) -> AdapterError:
        return AdapterError(f"back-end `{self._backend}` sent something that is not a chat stream: {reason}")


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _error_text(chunk: JsonObject) -> str:
    error = chunk.get("error", chunk)
    if isinstance(error, dict):
        return _text(error.get("message")) or "no reason given"
    return error if isinstance(error, str) else "no reason given"
