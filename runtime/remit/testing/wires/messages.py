"""Anthropic Messages: content blocks, as events or as one message.

Left out: uses of `file_search`, which this vendor does not offer.
A code interpreter's use is `code_execution` with Python code; where the request offers a tool that came after
`code_execution_20250522`, it is `bash_code_execution` with a command, as that tool says it.
In a stream, argument text goes out exactly, as `partial_json`.
A message without a stream carries objects: text that is no JSON goes out as a JSON string in their place,
other JSON as it is; both break the description, which is their purpose.

Sources: Anthropic API reference, messages (create, streaming), web search tool, code execution tool.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.testing.wires.answer import COMMENT, MODEL, Asked, Event, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wires.reply import Reply, SaidUse

THOUGHT = "weighing the request"
"""What a thinking block says beside its signature; no text of the answer."""
_STOPS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SERVER_ERROR = 500
_DIRECT: JsonObject = {"type": "direct"}
_FIRST_CODE_TOOL = "code_execution_20250522"


class MessagesWire:
    """See the module's docstring."""

    @property
    def silence(self) -> bytes:
        """What keeps a silent stream open: a comment."""
        return COMMENT

    def streams(self, asked: Asked) -> bool:
        """Whether the request asks for server-sent events."""
        return asked.flag("stream")

    def answer(self, reply: Reply, asked: Asked) -> MessagesAnswer:
        """Return `reply` as this wire says it to `asked`."""
        kinds = [str(tool.get("type")) for tool in asked.array("tools") if isinstance(tool, dict)]
        bash = any(kind.startswith("code_execution_") and kind > _FIRST_CODE_TOOL for kind in kinds)
        return MessagesAnswer(reply=reply, bash=bash)

    def error(self, status: int, message: str) -> JsonObject:
        """Return the error envelope for an HTTP status."""
        fallback = "api_error" if status >= _SERVER_ERROR else "invalid_request_error"
        error: JsonObject = {"type": _TYPES.get(status, fallback), "message": message}
        return {"type": "error", "error": error, "request_id": "req_1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesAnswer:
    """One answer.

    Args:
        reply: what is said.
        bash: whether code runs as a command of a shell.
    """

    reply: Reply
    bash: bool

    def said(self) -> Iterator[Event]:
        """Yield everything before the finish reason."""
        start: JsonObject = {**self._frame(), "content": [], "usage": self._usage(output_tokens=1)}
        yield _event("message_start", message=start)
        yield _event("ping")
        for index, (block, deltas) in enumerate(self._blocks()):
            yield _event("content_block_start", index=index, content_block=_begun(block))
            for delta in deltas:
                yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)

    def ended(self) -> Iterator[Event]:
        """Yield the finish reason, the usage, and what marks the end."""
        usage = self._usage(output_tokens=self.reply.output_tokens)
        for member in ("cache_creation", "inference_geo", "service_tier"):
            del usage[member]
        yield _event("message_delta", delta=self._end(), usage=usage)
        yield _event("message_stop")

    def body(self) -> JsonObject:
        """Return the whole answer as one JSON value."""
        content: list[JsonValue] = [block for block, _ in self._blocks()]
        usage = self._usage(output_tokens=self.reply.output_tokens)
        return {**self._frame(), **self._end(), "content": content, "usage": usage}

    def _frame(self) -> JsonObject:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
        }

    def _end(self) -> JsonObject:
        stop = _STOPS.get(self.reply.finish, self.reply.finish)
        refusal: JsonObject = {"type": "refusal", "category": None, "explanation": None}
        ran = any(use.name == "code_interpreter" for use in self.reply.used)
        return {
            "stop_reason": stop,
            "stop_sequence": None,
            "stop_details": refusal if stop == "refusal" else None,
            "container": {"id": "container_1", "expires_at": "2030-01-01T00:00:00Z"} if ran else None,
        }

    def _usage(self, *, output_tokens: int) -> JsonObject:
        searches = sum(1 for use in self.reply.used if use.name == "web_search")
        return {
            "input_tokens": self.reply.input_tokens,
            "output_tokens": output_tokens,
            "output_tokens_details": None,
            "cache_creation": None,
            "cache_creation_input_tokens": None,
            "cache_read_input_tokens": None,
            "inference_geo": None,
            "server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 0},
            "service_tier": "standard",
        }

    def _blocks(self) -> Iterator[tuple[JsonObject, list[JsonObject]]]:
        """Yield each finished block with the deltas that make it."""
        if self.reply.reasoning:
            block: JsonObject = {
                "type": "thinking",
                "thinking": THOUGHT,
                "signature": self.reply.reasoning,
            }
            signature: JsonObject = {"type": "signature_delta", "signature": self.reply.reasoning}
            yield block, [{"type": "thinking_delta", "thinking": THOUGHT}, signature]
        for index, use in enumerate(self.reply.used):
            if use.name != "file_search":
                yield from self._use(f"srvtoolu_{index}", use)
        if self.reply.text:
            texts: list[JsonObject] = [{"type": "text_delta", "text": p} for p in pieces(self.reply.text)]
            yield {"type": "text", "text": self.reply.text, "citations": None}, texts
        for index, call in enumerate(self.reply.calls):
            yield _tool_use("tool_use", f"toolu_{index}", call.name, call.raw)

    def _use(self, use_id: str, use: SaidUse) -> Iterator[tuple[JsonObject, list[JsonObject]]]:
        """Yield what the model asked of the vendor, and what came of it."""
        if use.name == "web_search":
            queries = use.texts("queries")
            query: JsonObject = {"query": queries[0] if queries else ""}
            yield _tool_use("server_tool_use", use_id, "web_search", json.dumps(query))
            found: JsonValue = [
                {
                    "type": "web_search_result",
                    "url": source.get("url", ""),
                    "title": source.get("title", ""),
                    "encrypted_content": "opaque",
                    "page_age": None,
                }
                for source in use.objects("sources")
            ]
            if use.failed:
                found = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
            result: JsonObject = {"tool_use_id": use_id, "caller": _DIRECT, "content": found}
            yield {"type": "web_search_tool_result", **result}, []
            return
        stem = "bash_code_execution" if self.bash else "code_execution"
        code: JsonObject = {"command" if self.bash else "code": use.text("code")}
        yield _tool_use("server_tool_use", use_id, stem, json.dumps(code))
        ran: JsonObject = {
            "type": f"{stem}_result",
            "stdout": use.text("logs"),
            "stderr": "",
            "return_code": 1 if use.failed else 0,
            "content": [],
        }
        yield {"type": f"{stem}_tool_result", "tool_use_id": use_id, "content": ran}, []


def _tool_use(kind: str, use_id: str, name: str, raw: str) -> tuple[JsonObject, list[JsonObject]]:
    try:
        given = cast("JsonValue", json.loads(raw))
    except ValueError:
        given = raw
    block: JsonObject = {"type": kind, "id": use_id, "name": name, "input": given, "caller": _DIRECT}
    return block, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(raw)]


def _begun(block: JsonObject) -> JsonObject:
    """Return a block as it is when it begins; results come whole."""
    empty: JsonObject = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {name: empty.get(name, value) for name, value in block.items()}


def _event(name: str, /, **members: JsonValue) -> Event:
    return Event(name=name, data={"type": name, **members})
