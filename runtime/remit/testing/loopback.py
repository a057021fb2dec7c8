"""A server on loopback that speaks Chat Completions and says what it was told to; counts what reaches it.

It stands for a vendor's server in contract tests: real sockets and event streams, written answers.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from remit.document.values import JsonObject

Finish = Literal["stop", "tool_calls", "length", "content_filter"]
_PIECES = 3
_HANG_STEP_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidCall:
    """A tool call that the server proposes, with its argument text as it is sent."""

    name: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One written answer.

    Args:
        text: streamed in a few pieces, first.
        calls: streamed in pieces, each under its own index.
        finish: finish reason; any text, to try reasons that nobody knows.
        status: HTTP status; other than 200 the body is an error with `text` as message.
        location: for a redirecting status: where to.
        broken: the connection is cut after text and calls, before the finish reason.
        hang_s: seconds of silence after the headers and before the text.
        input_tokens: reported usage.
        output_tokens: reported usage.
        raw_body: sent instead of all the above as the body of the stream, to try what is not a stream.
    """

    text: str = ""
    calls: tuple[SaidCall, ...] = ()
    finish: str = "stop"
    status: int = 200
    location: str = ""
    broken: bool = False
    hang_s: float = 0.0
    input_tokens: int = 11
    output_tokens: int = 7
    raw_body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived: path, headers in lower case, JSON body."""

    path: str
    headers: dict[str, str]
    body: JsonObject


@dataclass(slots=True, kw_only=True)
class _State:
    replies: tuple[Reply, ...]
    received: list[Received] = field(default_factory=list[Received])
    cancelled: int = 0
    closing: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class LoopbackServer:
    """Serve `replies` in order, the last one for ever; a context manager.

    Args:
        replies: at least one.
    """

    def __init__(self, *replies: Reply) -> None:
        if not replies:
            raise ValueError("a server needs at least one reply")
        self._state = _State(replies=replies)
        state = self._state

        class Handler(_Handler):
            shared = state

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """Address for a client, with `/v1`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    @property
    def received(self) -> tuple[Received, ...]:
        """Every request so far."""
        with self._state.lock:
            return tuple(self._state.received)

    @property
    def cancelled(self) -> int:
        """How many streams the client closed before their end."""
        with self._state.lock:
            return self._state.cancelled

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._state.closing = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    shared: _State
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the standard library's name
        size = int(self.headers.get("content-length", "0"))
        body = cast("JsonObject", json.loads(self.rfile.read(size)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.shared.lock:
            number = len(self.shared.received)
            self.shared.received.append(Received(path=self.path, headers=headers, body=body))
        reply = self.shared.replies[min(number, len(self.shared.replies) - 1)]
        if self.path.rstrip("/") != "/v1/chat/completions":
            reply = Reply(status=404, text=f"no such path: {self.path}")
        self.close_connection = True
        try:
            self._answer(reply)
        except OSError:
            with self.shared.lock:
                self.shared.cancelled += 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        """Say nothing: the test's output is its own."""

    def _answer(self, reply: Reply) -> None:
        if reply.status != 200:  # noqa: PLR2004  # HTTP's own number
            self._refuse(reply)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()
        if reply.raw_body:
            self._piece(reply.raw_body)
            self._piece(b"")
            return
        self._silence(reply.hang_s)
        for delta in _deltas(reply):
            self._event(_chunk({"index": 0, "delta": delta, "finish_reason": None}))
        if reply.broken:
            return
        self._event(_chunk({"index": 0, "delta": {}, "finish_reason": reply.finish}))
        usage: JsonObject = {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
        }
        self._event({**_chunk(None), "usage": usage})
        self._piece(b"data: [DONE]\n\n")
        self._piece(b"")

    def _refuse(self, reply: Reply) -> None:
        body = json.dumps({"error": {"message": reply.text, "type": "test", "code": None}}).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        if reply.location:
            self.send_header("location", reply.location)
        self.end_headers()
        self.wfile.write(body)

    def _silence(self, seconds: float) -> None:
        """Wait; comments keep trying the connection, so that a client that left is noticed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.shared.closing:
            time.sleep(_HANG_STEP_S)
            self._piece(b": still here\n\n")

    def _event(self, value: JsonObject) -> None:
        self._piece(b"data: " + json.dumps(value).encode() + b"\n\n")

    def _piece(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        with suppress(ValueError):
            self.wfile.flush()


def _chunk(choice: JsonObject | None) -> JsonObject:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "loopback",
        "choices": [] if choice is None else [choice],
    }


def _deltas(reply: Reply) -> list[JsonObject]:
    deltas: list[JsonObject] = [{"role": "assistant", "content": None}]
    deltas.extend({"content": piece} for piece in _pieces(reply.text))
    for index, call in enumerate(reply.calls):
        first: JsonObject = {"name": call.name, "arguments": ""}
        opening: JsonObject = {"index": index, "id": f"call_{index}", "type": "function", "function": first}
        deltas.append({"tool_calls": [opening]})
        deltas.extend(
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in _pieces(call.raw)
        )
    return deltas


def _pieces(text: str) -> list[str]:
    size = max(1, -(-len(text) // _PIECES))
    return [text[start : start + size] for start in range(0, len(text), size)]
