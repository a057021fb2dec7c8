"""A server on loopback that speaks the vendors' wires and says what it was told to; counts what reaches it.

It stands for a vendor's server in contract tests: real sockets and event streams, written answers.
`remit.testing.wires` says which paths it answers and what each wire makes of a reply.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

from remit.testing.wire_truth import Violation, WireTruth
from remit.testing.wire_truth.descriptions import require_packages
from remit.testing.wires.answer import Asked
from remit.testing.wires.reply import Finish, Reply, SaidCall, SaidUse
from remit.testing.wires.routes import find_route, nearest_route

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wires.answer import Answer, Event
    from remit.testing.wires.routes import Route

__all__ = ["Finish", "LoopbackServer", "Received", "Reply", "SaidCall", "SaidUse"]

_HANG_STEP_S = 0.02
_OK, _BAD_REQUEST, _NOT_FOUND = 200, 400, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived.

    Args:
        path: without query.
        headers: names in lower case.
        body: the JSON body; empty where there is none or where it is no object.
        query: the last value of each name.
        method: HTTP method.
    """

    path: str
    headers: dict[str, str]
    body: JsonObject
    query: dict[str, str] = field(default_factory=dict[str, str])
    method: str = "POST"


@dataclass(slots=True, kw_only=True)
class _State:
    replies: tuple[Reply, ...]
    keep_alive: bool
    received: list[Received] = field(default_factory=list[Received])
    connections: set[socket.socket] = field(default_factory=set[socket.socket])
    answered: int = 0
    cancelled: int = 0
    closing: bool = False
    truth: bool = False
    violations: list[Violation] = field(default_factory=list[Violation])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> Reply:
        """Return the next reply, the last one for ever."""
        with self.lock:
            number = self.answered
            self.answered += 1
        return self.replies[min(number, len(self.replies) - 1)]

    def found(self, *violations: Violation) -> None:
        """Remember violations."""
        with self.lock:
            self.violations.extend(violations)


class LoopbackServer:
    """Serve `replies` in order, the last one for ever; a context manager.

    Args:
        replies: at least one.
        keep_alive: leave connections open after an answer, as servers in service do; a broken answer closes
            its connection all the same.
        truth: check every request, response and event against the vendor's description, which takes a second
            or two for the first one of each vendor; see `violations`.

    Raises:
        ImportError: `truth` is wanted and the packages of `remit[wire-truth]` are not installed.
    """

    def __init__(self, *replies: Reply, keep_alive: bool = False, truth: bool = False) -> None:
        if not replies:
            raise ValueError("a server needs at least one reply")
        if truth:
            require_packages()
        self._state = _State(replies=replies, keep_alive=keep_alive, truth=truth)
        state = self._state

        class Handler(_Handler):
            shared = state

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def root_url(self) -> str:
        """Address for clients that bring the whole path, such as those of Anthropic, Gemini and Azure."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def base_url(self) -> str:
        """Address for a client of OpenAI, with `/v1`."""
        return f"{self.root_url}/v1"

    @property
    def received(self) -> tuple[Received, ...]:
        """Every request so far."""
        with self._state.lock:
            return tuple(self._state.received)

    @property
    def cancelled(self) -> int:
        """How many answers the client closed before their end."""
        with self._state.lock:
            return self._state.cancelled

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What was sent, by either side, against the vendor's description; empty where `truth` is off.

        Replies that are broken on purpose count where the description says so: unknown finish reasons,
        argument text where the wire carries objects.
        A `raw_body` is one violation, since nothing can be said about it.
        """
        with self._state.lock:
            return tuple(self._state.violations)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._state.lock:
            self._state.closing = True
            open_connections = tuple(self._state.connections)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        # A kept connection would hold its thread in a read until the client goes away.
        for connection in open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class _Talk:
    """One request and what answers it; judged before it is sent: no client is ahead of the verdict."""

    route: Route
    asked: Asked
    method: str
    state: _State

    def asked_for(self, headers: dict[str, str], raw: bytes) -> None:
        """Judge the request."""
        if self.state.truth:
            found = self._judge().request(
                method=self.method,
                path=self.asked.path,
                query=self.asked.query,
                headers=headers,
                body=raw,
                base=self.route.base,
            )
            self.state.found(*found)

    def sent_body(self, status: int, value: JsonValue) -> None:
        """Judge a response that is no stream."""
        if self.state.truth:
            found = self._judge().response(
                method=self.method, path=self._path(), status=status, body=value, base=self.route.base
            )
            self.state.found(*found)

    def sent_event(self, event: Event) -> None:
        """Judge an event."""
        if self.state.truth:
            found = self._judge().event(
                method=self.method, path=self._path(), name=event.name, data=event.data, base=self.route.base
            )
            self.state.found(*found)

    def sent_raw(self, side: str) -> None:
        """Say that nothing can be said."""
        if self.state.truth:
            operation = f"{self.method} {self.asked.path}"
            message = "a raw body is sent as it was told, unchecked"
            self.state.found(Violation(operation=operation, side=side, pointer="", message=message))

    def _judge(self) -> WireTruth:
        return WireTruth.of(self.route.vendor)

    def _path(self) -> str:
        return self.asked.path + ("?beta=true" if self.asked.query.get("beta") == "true" else "")


class _Handler(BaseHTTPRequestHandler):
    shared: _State
    protocol_version = "HTTP/1.1"
    # Small pieces would otherwise wait for the acknowledgement of the one before.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Remember the connection."""
        super().setup()
        with self.shared.lock:
            self.shared.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        with self.shared.lock:
            self.shared.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def do_POST(self) -> None:  # the standard library's name
        self._serve()

    def do_GET(self) -> None:  # the standard library's name
        self._serve()

    def do_DELETE(self) -> None:  # the standard library's name
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        """Say nothing: the test's output is its own."""

    def _serve(self) -> None:
        size = self.headers.get("content-length", "0")
        raw = self.rfile.read(int(size)) if size.isdecimal() else b""
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        body = _json_object(raw)
        received = Received(path=url.path, headers=headers, body=body or {}, query=query, method=self.command)
        with self.shared.lock:
            self.shared.received.append(received)
        # What follows a body of unknown size cannot be told from it.
        self.close_connection = not self.shared.keep_alive or not size.isdecimal()
        route = find_route(url.path) if self.command == "POST" else None
        asked = Asked(path=url.path, query=query, body=body or {})
        talk = _Talk(
            route=route or nearest_route(url.path, headers),
            asked=asked,
            method=self.command,
            state=self.shared,
        )
        talk.asked_for(headers, raw)
        try:
            if route is None:
                self._refuse(talk, Reply(status=_NOT_FOUND, text=f"no such path: {self.path}"))
            elif body is None:
                self._refuse(talk, Reply(status=_BAD_REQUEST, text="the body is no JSON object"))
            else:
                self._answer(talk, self.shared.take())
        except OSError:
            self.close_connection = True
            with self.shared.lock:
                self.shared.cancelled += 1

    def _answer(self, talk: _Talk, reply: Reply) -> None:
        if reply.status != _OK:
            self._refuse(talk, reply)
            return
        wire = talk.route.wire
        streams = wire.streams(talk.asked)
        self.send_response(_OK)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.send_header("transfer-encoding", "chunked")
        self._end_headers()
        if reply.raw_body:
            talk.sent_raw("event" if streams else "response")
            self._piece(reply.raw_body)
            self._piece(b"")
            return
        self._silence(reply.hang_s, wire.silence if streams else b" ")
        answer = wire.answer(reply, talk.asked)
        whole = self._stream(talk, answer, reply) if streams else self._body(talk, answer.body(), reply)
        if whole:
            self._piece(b"")
        else:
            self.close_connection = True

    def _stream(self, talk: _Talk, answer: Answer, reply: Reply) -> bool:
        for event in answer.said():
            talk.sent_event(event)
            self._piece(event.encoded())
        if reply.broken:
            return False
        for event in answer.ended():
            talk.sent_event(event)
            self._piece(event.encoded())
        return True

    def _body(self, talk: _Talk, value: JsonValue, reply: Reply) -> bool:
        talk.sent_body(_OK, value)
        data = json.dumps(value).encode()
        self._piece(data[: len(data) // 2] if reply.broken else data)
        return not reply.broken

    def _refuse(self, talk: _Talk, reply: Reply) -> None:
        value = talk.route.wire.error(reply.status, reply.text)
        talk.sent_body(reply.status, value)
        body = json.dumps(value).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if reply.location:
            self.send_header("location", reply.location)
        self._end_headers()
        self.wfile.write(body)

    def _end_headers(self) -> None:
        if not self.shared.keep_alive:
            self.send_header("connection", "close")
        self.end_headers()

    def _silence(self, seconds: float, sign: bytes) -> None:
        """Wait; signs keep trying the connection, so that a client that left is noticed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.shared.closing:
            time.sleep(_HANG_STEP_S)
            self._piece(sign)

    def _piece(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        with suppress(ValueError):
            self.wfile.flush()


def _json_object(raw: bytes) -> JsonObject | None:
    try:
        value = cast("JsonValue", json.loads(raw))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
