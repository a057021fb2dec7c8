"""The Responses wire: a turn as input items, a stream of events as turn events.

Rules
1. The thread goes out whole, each time, with `store` off; nothing is kept on the other side.
2. Only the wire's own `function_call` items become proposed calls; text is text.
3. An answer that holds more than text and calls (encrypted reasoning, uses of built-ins) is carried whole,
   and goes back item by item as it came.
4. A stream that ends without a final response was cut off: an `AdapterError`, not an answer.
5. Statuses and reasons that are not known here are `refused`.

Sources: OpenAI API reference, responses (create, streaming); facts of llama.cpp's server, which sends no
`response.function_call_arguments.done`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError
from remit.messages import BuiltinUse, CallProposed, StopReason, TextDelta, TokenUsage, TurnEnd
from remit_adapters.answers import AnswerBudget, SentCall, finished_calls
from remit_adapters.calls import sent_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Message, ToolCall, Turn, TurnEvent

_PLAIN = ("message", "function_call")
_USES = {
    "code_interpreter_call": "code_interpreter",
    "file_search_call": "file_search",
    "web_search_call": "web_search",
}
_INCOMPLETE: dict[str, StopReason] = {"max_output_tokens": "length", "content_filter": "refused"}
_MAX_ITEMS = 1024
_OVER = ("rate_limit_exceeded", "server_error")


def input_items(turn: Turn) -> list[JsonObject]:
    """Return the thread of `turn` as input items, oldest first; instructions go beside them."""
    return [item for message in turn.messages for item in _items(message)]


def _items(message: Message) -> Iterator[JsonObject]:
    if message.carried:
        # INVARIANT (own words): it came from this very back-end, which alone can read it.
        yield from cast("list[JsonObject]", json.loads(message.carried))
        return
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        return
    if message.text or not message.tool_calls:
        yield {"type": "message", "role": message.role, "content": message.text}
    for call in message.tool_calls:
        yield {
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": sent_arguments(call.raw, call.arguments),
        }


def function_tools(turn: Turn) -> list[JsonObject]:
    """Return the tools that `turn` offers; not `strict`, which would rewrite what the schema admits."""
    return [
        {
            "type": "function",
            "name": offer.name,
            "description": offer.description,
            "parameters": offer.parameters,
            "strict": False,
        }
        for offer in turn.tools
    ]


class ResponsesStream:
    """Turns the events of one answer into turn events.

    Args:
        turn: what was asked.
        backend: the document's name of the back-end, for messages.
        safe: makes a server's words fit for a message, without the key.
    """

    def __init__(self, turn: Turn, *, backend: str, safe: Callable[[str], str] = str) -> None:
        self._safe = safe
        self._turn = turn
        self._backend = backend
        self._budget = AnswerBudget(backend)
        self._items: dict[int, JsonObject] = {}
        self._final: JsonObject | None = None
        self._said = False
        self._refusal = False
        self.model = ""
        self.input_tokens = 0
        self.output_tokens = 0

    def feed(self, event: JsonObject) -> Iterator[TextDelta]:
        """Take one event; return the text it holds.

        Raises:
            AdapterError: it is an error, or not an event of this wire.
        """
        kind = event.get("type")
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            delta = event.get("delta")
            self._budget.take(delta)
            self._refusal = self._refusal or kind == "response.refusal.delta"
            if isinstance(delta, str) and delta:
                self._said = True
                yield TextDelta(text=delta)
        elif kind == "response.output_item.done":
            self._item(event)
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._finish(event)
        elif kind == "error" or (kind is None and "error" in event):
            raise self._failed(event.get("error", event))
        elif not isinstance(kind, str):
            raise self._unreadable("an event has no `type`")

    def end(self, *, cost_microusd: int, detail: dict[str, str]) -> Iterator[TurnEvent]:
        """Return what was not streamed, the proposed calls and the one `TurnEnd`.

        Args:
            cost_microusd: cost of the call.
            detail: facts to record with it.

        Raises:
            AdapterError: the stream ended without a final response.
        """
        if self._final is None:
            raise AdapterError(
                f"back-end `{self._backend}`: the stream broke off before the answer was finished",
                retryable=True,
            )
        items = self._output(self._final)
        if not self._said:
            yield from self._unstreamed(items)
        sent = [
            SentCall(
                id=_text(item.get("call_id")), name=_text(item.get("name")), raw=_text(item.get("arguments"))
            )
            for item in items
            if item.get("type") == "function_call"
        ]
        self._budget.calls(len(sent))
        stop, reason = self._stop(self._final, proposes=bool(sent))
        calls: list[ToolCall] = []
        if stop != "refused":
            calls = list(finished_calls(self._turn, sent, whole=stop == "tool_calls"))
            for call in calls:
                yield CallProposed(call=call)
        facts = {"status": reason, "response": _text(self._final.get("id"))}
        yield TurnEnd(
            stop=stop,
            usage=TokenUsage(
                input_tokens=self.input_tokens, output_tokens=self.output_tokens, cost_microusd=cost_microusd
            ),
            model=self.model,
            detail={**{name: fact for name, fact in facts.items() if fact}, **detail},
            used=tuple(_use(item) for item in items if item.get("type") in _USES),
            carried=self._carried(items, calls) if stop in ("end", "tool_calls") else "",
        )

    def _item(self, event: JsonObject) -> None:
        index, item = event.get("output_index"), event.get("item")
        if not isinstance(item, dict):
            raise self._unreadable("`item` is not an object")
        if not isinstance(index, int) or isinstance(index, bool):
            index = len(self._items)
        if not 0 <= index < _MAX_ITEMS:
            raise self._unreadable("an item has no usable `output_index`")
        self._budget.take(json.dumps(item))
        self._items[index] = item

    def _finish(self, event: JsonObject) -> None:
        response = event.get("response")
        if not isinstance(response, dict):
            raise self._unreadable("`response` is not an object")
        if event.get("type") == "response.failed" or response.get("status") == "failed":
            raise self._failed(response.get("error"))
        self._final = response
        self.model = _text(response.get("model"))
        usage = response.get("usage")
        if isinstance(usage, dict):
            self.input_tokens = _count(usage.get("input_tokens"))
            self.output_tokens = _count(usage.get("output_tokens"))

    def _output(self, final: JsonObject) -> list[JsonObject]:
        """Return the answer's items: as they were streamed, else as the final response lists them."""
        if self._items:
            return [item for _, item in sorted(self._items.items())]
        listed = final.get("output")
        items = listed if isinstance(listed, list) else []
        if len(items) > _MAX_ITEMS:
            raise self._unreadable("too many items")
        self._budget.take(json.dumps(items))
        return [item for item in items if isinstance(item, dict)]

    def _unstreamed(self, items: list[JsonObject]) -> Iterator[TextDelta]:
        for item in items:
            parts = item.get("content")
            for part in parts if item.get("type") == "message" and isinstance(parts, list) else []:
                if not isinstance(part, dict):
                    continue
                refusal = _text(part.get("refusal"))
                self._refusal = self._refusal or bool(refusal)
                text = _text(part.get("text")) or refusal
                if text:
                    yield TextDelta(text=text)

    def _stop(self, final: JsonObject, *, proposes: bool) -> tuple[StopReason, str]:
        status = _text(final.get("status"))
        if self._refusal:
            return "refused", status
        if status == "completed":
            return ("tool_calls" if proposes else "end"), status
        if status == "incomplete":
            details = final.get("incomplete_details")
            reason = _text(details.get("reason")) if isinstance(details, dict) else ""
            return _INCOMPLETE.get(reason, "refused"), f"incomplete: {reason}"
        return ("cancelled" if status == "cancelled" else "refused"), status

    def _carried(self, items: list[JsonObject], calls: list[ToolCall]) -> str:
        """Return the items as text (rule 3), under the ids that our thread knows the calls by."""
        if all(item.get("type") in _PLAIN for item in items):
            return ""
        ids = iter(calls)
        own: list[JsonValue] = [
            {**item, "call_id": next(ids).id} if item.get("type") == "function_call" else item
            for item in items
        ]
        return json.dumps(own, ensure_ascii=False, separators=(",", ":"))

    def _failed(self, error: JsonValue) -> AdapterError:
        members = error if isinstance(error, dict) else {}
        said = _text(members.get("message")) or "no reason given"
        code = _text(members.get("code"))
        return AdapterError(
            f"back-end `{self._backend}` failed: {self._safe(' '.join(said.split()))}",
            retryable=code in _OVER,
        )

    def _unreadable(self, reason: str) -> AdapterError:
        return AdapterError(
            f"back-end `{self._backend}` sent something that is not a stream of responses: {reason}"
        )


def _use(item: JsonObject) -> BuiltinUse:
    shown = ("action", "code", "outputs", "queries", "results", "status")
    return BuiltinUse(
        name=_USES[_text(item.get("type"))],
        detail={name: item[name] for name in shown if item.get(name) is not None},
    )


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
