"""OpenAI Responses: numbered events, or one response object.

Sent only where `include` asks for it: `reasoning.encrypted_content`, `web_search_call.action.sources`,
`code_interpreter_call.outputs`, `file_search_call.results`.
The finish `failed` is a failed response with the text as its error; what was said before stays in it.

Sources: OpenAI API reference, responses (create, streaming events).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.testing.wires.answer import COMMENT, CREATED_S, MODEL, Asked, Event, pieces
from remit.testing.wires.chat import openai_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wires.reply import Reply, SaidCall, SaidUse

_COMPLETED = ("stop", "tool_calls", "refusal")
_REASONS = {"length": "max_output_tokens"}
_USE_STEPS = {
    "web_search": ("web_search_call", "searching"),
    "code_interpreter": ("code_interpreter_call", "interpreting"),
    "file_search": ("file_search_call", "searching"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesWire:
    """See the module's docstring.

    Args:
        wrap: makes the error envelope, which is Azure's own at Azure.
    """

    wrap: Callable[[int, str], JsonObject] = openai_error

    @property
    def silence(self) -> bytes:
        """What keeps a silent stream open: a comment."""
        return COMMENT

    def streams(self, asked: Asked) -> bool:
        """Whether the request asks for server-sent events."""
        return asked.flag("stream")

    def answer(self, reply: Reply, asked: Asked) -> ResponsesAnswer:
        """Return `reply` as this wire says it to `asked`."""
        return ResponsesAnswer(reply=reply, asked=asked)

    def error(self, status: int, message: str) -> JsonObject:
        """Return the error envelope for an HTTP status."""
        return self.wrap(status, message)


@dataclass(slots=True, kw_only=True)
class ResponsesAnswer:
    """One answer; counts its events.

    Args:
        reply: what is said.
        asked: the request, for what it includes and what the response repeats of it.
    """

    reply: Reply
    asked: Asked
    _sent: int = field(default=0, init=False)

    def said(self) -> Iterator[Event]:
        """Yield everything before the finish reason."""
        for step in ("created", "in_progress"):
            yield self._event(f"response.{step}", response=self._response("in_progress", []))
        for index, item in enumerate(self._items()):
            place: JsonObject = {"output_index": index}
            yield self._event("response.output_item.added", **place, item=_begun(item))
            yield from self._steps(item, place | {"item_id": item["id"]})
            yield self._event("response.output_item.done", **place, item=item)

    def ended(self) -> Iterator[Event]:
        """Yield the finish reason, the usage, and what marks the end."""
        response = self.body()
        yield self._event(f"response.{response['status']!s}", response=response)

    def body(self) -> JsonObject:
        """Return the whole answer as one JSON value."""
        finish = self.reply.finish
        status = "completed" if finish in _COMPLETED else "failed" if finish == "failed" else "incomplete"
        response = self._response(status, [*self._items()])
        if status == "failed":
            response["error"] = {"code": "server_error", "message": self.reply.text}
        elif status == "incomplete":
            response["incomplete_details"] = {"reason": _REASONS.get(finish, finish)}
        response["usage"] = {
            "input_tokens": self.reply.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": self.reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.reply.input_tokens + self.reply.output_tokens,
        }
        return response

    def _response(self, status: str, output: list[JsonValue]) -> JsonObject:
        body = self.asked.body
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": CREATED_S,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": MODEL,
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": body.get("previous_response_id"),
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": body.get("text", {"format": {"type": "text"}}),
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": None,
        }

    def _items(self) -> list[JsonObject]:
        """Return the finished output items."""
        items: list[JsonObject] = []
        if self.reply.reasoning:
            content = self.reply.reasoning if self._includes("reasoning.encrypted_content") else None
            items.append({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": content})
        items.extend(self._use(index, use) for index, use in enumerate(self.reply.used))
        if self.reply.text and self.reply.finish != "failed":
            items.append(self._message())
        items.extend(self._call(index, call) for index, call in enumerate(self.reply.calls))
        return items

    def _message(self) -> JsonObject:
        part: JsonObject = {
            "type": "output_text",
            "text": self.reply.text,
            "annotations": [],
            "logprobs": [],
        }
        if self.reply.finish == "refusal":
            part = {"type": "refusal", "refusal": self.reply.text}
        return {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed" if self.reply.finish in _COMPLETED else "incomplete",
            "content": [part],
        }

    def _call(self, index: int, call: SaidCall) -> JsonObject:
        return {
            "type": "function_call",
            "id": f"fc_{index}",
            "call_id": f"call_{index}",
            "name": call.name,
            "arguments": call.raw,
            "status": "completed",
        }

    def _use(self, index: int, use: SaidUse) -> JsonObject:
        kind, _ = _USE_STEPS[use.name]
        item: JsonObject = {
            "type": kind,
            "id": f"use_{index}",
            "status": "failed" if use.failed else "completed",
        }
        if use.name == "web_search":
            queries = use.texts("queries")
            action: JsonObject = {
                "type": "search",
                "query": queries[0] if queries else "",
                "queries": [*queries],
            }
            if self._includes("web_search_call.action.sources"):
                sources = use.objects("sources")
                action["sources"] = [{"type": "url", "url": source.get("url", "")} for source in sources]
            return {**item, "action": action}
        if use.name == "code_interpreter":
            outputs: JsonValue = None
            if self._includes("code_interpreter_call.outputs"):
                outputs = [{"type": "logs", "logs": use.text("logs")}]
            return {**item, "container_id": "cntr_1", "code": use.text("code"), "outputs": outputs}
        results: JsonValue = None
        if self._includes("file_search_call.results"):
            results = [*use.objects("results")]
        return {**item, "queries": [*use.texts("queries")], "results": results}

    def _includes(self, name: str) -> bool:
        return name in self.asked.array("include")

    def _steps(self, item: JsonObject, place: JsonObject) -> Iterator[Event]:
        """Yield what happens between the beginning and the end of an item."""
        kind = item["type"]
        if kind == "message":
            yield from self._message_steps(item, place | {"content_index": 0})
        elif kind == "function_call":
            name, raw = item["name"], str(item["arguments"])
            for piece in pieces(raw):
                yield self._event("response.function_call_arguments.delta", **place, delta=piece)
            yield self._event("response.function_call_arguments.done", **place, name=name, arguments=raw)
        elif kind != "reasoning":
            yield from self._use_steps(item, place)

    def _message_steps(self, item: JsonObject, place: JsonObject) -> Iterator[Event]:
        content = item["content"]
        part = content[0] if isinstance(content, list) else None
        refused = self.reply.finish == "refusal"
        stem, member = ("response.refusal", "refusal") if refused else ("response.output_text", "text")
        more: JsonObject = {} if refused else {"logprobs": []}
        empty = {**part, member: ""} if isinstance(part, dict) else None
        yield self._event("response.content_part.added", **place, part=empty)
        for piece in pieces(self.reply.text):
            yield self._event(f"{stem}.delta", **place, delta=piece, **more)
        yield self._event(f"{stem}.done", **place, **{member: self.reply.text}, **more)
        yield self._event("response.content_part.done", **place, part=part)

    def _use_steps(self, item: JsonObject, place: JsonObject) -> Iterator[Event]:
        kind = str(item["type"])
        yield self._event(f"response.{kind}.in_progress", **place)
        if kind == "code_interpreter_call":
            code = str(item["code"])
            for piece in pieces(code):
                yield self._event("response.code_interpreter_call_code.delta", **place, delta=piece)
            yield self._event("response.code_interpreter_call_code.done", **place, code=code)
        step = next(step for known, step in _USE_STEPS.values() if known == kind)
        yield self._event(f"response.{kind}.{step}", **place)
        yield self._event(f"response.{kind}.completed", **place)

    def _event(self, name: str, /, **members: JsonValue) -> Event:
        number = self._sent
        self._sent += 1
        return Event(name=name, data={"type": name, "sequence_number": number, **members})


def _begun(item: JsonObject) -> JsonObject:
    """Return an item as it is when it begins: in progress and empty."""
    empty: JsonObject = {"content": [], "arguments": "", "code": "", "queries": [], "results": None}
    begun: JsonObject = {name: empty.get(name, value) for name, value in item.items()}
    if "status" in item:
        begun["status"] = "in_progress"
    if item["type"] == "reasoning":
        begun["encrypted_content"] = None
    return begun
