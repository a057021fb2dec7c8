"""Chat Completions: chunks with deltas, or one completion.

Left out: `reasoning` and `used`, for which the published description has no member.
The chunk with the usage is sent where `stream_options.include_usage` asks for it.

Sources: OpenAI API reference, chat.completions (create, streaming).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.testing.wires.answer import COMMENT, CREATED_S, MODEL, Asked, Event, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.document.values import JsonObject
    from remit.testing.wires.reply import Reply

DONE = "[DONE]"
_TYPES = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}
_SERVER_ERROR = 500
_AZURE_CODES = {404: "DeploymentNotFound"}


def openai_error(status: int, message: str) -> JsonObject:
    """Return OpenAI's error envelope, as Chat Completions, Responses and Azure share it."""
    fallback = "server_error" if status >= _SERVER_ERROR else "invalid_request_error"
    kind, code = _TYPES.get(status, (fallback, None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def azure_error(status: int, message: str) -> JsonObject:
    """Return Azure's error envelope, whose members are texts."""
    return {"error": {"code": _AZURE_CODES.get(status, str(status)), "message": message}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatWire:
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

    def answer(self, reply: Reply, asked: Asked) -> ChatAnswer:
        """Return `reply` as this wire says it to `asked`."""
        return ChatAnswer(reply=reply, usage=asked.object("stream_options").get("include_usage") is True)

    def error(self, status: int, message: str) -> JsonObject:
        """Return the error envelope for an HTTP status."""
        return self.wrap(status, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """One answer.

    Args:
        reply: what is said.
        usage: whether a stream ends with the usage.
    """

    reply: Reply
    usage: bool

    def said(self) -> Iterator[Event]:
        """Yield everything before the finish reason."""
        for delta in self._deltas():
            yield self._chunk({"index": 0, "delta": delta, "finish_reason": None})

    def ended(self) -> Iterator[Event]:
        """Yield the finish reason, the usage, and what marks the end."""
        yield self._chunk({"index": 0, "delta": {}, "finish_reason": self.reply.finish})
        if self.usage:
            yield self._chunk(None)
        yield Event(data=DONE)

    def body(self) -> JsonObject:
        """Return the whole answer as one JSON value."""
        message: JsonObject = {"role": "assistant", "content": self.reply.text or None, "refusal": None}
        if self.reply.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{index}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.raw},
                }
                for index, call in enumerate(self.reply.calls)
            ]
        choice: JsonObject = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.reply.finish,
        }
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": CREATED_S,
            "model": MODEL,
            "choices": [choice],
            "usage": self._usage(),
        }

    def _usage(self) -> JsonObject:
        return {
            "prompt_tokens": self.reply.input_tokens,
            "completion_tokens": self.reply.output_tokens,
            "total_tokens": self.reply.input_tokens + self.reply.output_tokens,
        }

    def _deltas(self) -> Iterator[JsonObject]:
        yield {"role": "assistant", "content": None}
        for piece in pieces(self.reply.text):
            yield {"content": piece}
        for index, call in enumerate(self.reply.calls):
            first: JsonObject = {"name": call.name, "arguments": ""}
            opening: JsonObject = {
                "index": index,
                "id": f"call_{index}",
                "type": "function",
                "function": first,
            }
            yield {"tool_calls": [opening]}
            for piece in pieces(call.raw):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}

    def _chunk(self, choice: JsonObject | None) -> Event:
        value: JsonObject = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": CREATED_S,
            "model": MODEL,
            "choices": [] if choice is None else [choice],
        }
        if self.usage:
            value["usage"] = None if choice is not None else self._usage()
        return Event(data=value)
