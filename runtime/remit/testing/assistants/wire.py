"""HTTP on loopback: requests in, answers and event streams out."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

from remit.testing.assistants.exchange import Whole, read_request, whole_json
from remit.testing.assistants.faults import CutConnectionError, WireFault
from remit.testing.assistants.uses import without_content

if TYPE_CHECKING:
    from remit.document.values import JsonValue
    from remit.testing.assistants.exchange import Exchange, Received
    from remit.testing.assistants.operations import RunStream

_POLL_AFTER_MS = 20
_JOIN_S = 5.0
_DONE = "[DONE]"


class WireServer(ThreadingHTTPServer):
    """Listens; closing it ends every connection.

    Args:
        exchange: answers.
        port: 0 takes a free one.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, exchange: Exchange, *, port: int) -> None:
        class Handler(_Handler):
            shared = exchange

        super().__init__(("127.0.0.1", port), Handler)
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._connections_lock = threading.Lock()

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve a connection in a thread that is known, so that closing can end it."""
        assert isinstance(request, socket.socket)
        worker = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._connections_lock:
            self._connections[request] = worker
        worker.start()

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection whose thread is done."""
        with self._connections_lock:
            self._connections.pop(cast("socket.socket", request), None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening, end the connections, and wait for their threads."""
        super().server_close()
        with self._connections_lock:
            left = dict(self._connections)
            for connection in left:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was faster
        for worker in left.values():
            worker.join(_JOIN_S)


class _Handler(BaseHTTPRequestHandler):
    shared: Exchange
    protocol_version = "HTTP/1.1"
    # An answer in two pieces would wait for the client's delayed acknowledgement, 40 ms each time.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # the standard library's name
        self._serve()

    def do_POST(self) -> None:  # the standard library's name
        self._serve()

    def do_DELETE(self) -> None:  # the standard library's name
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        """Say nothing: the test's output is its own."""

    def _serve(self) -> None:
        try:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body(headers)
            received = read_request(self.command, self.path, headers, body)
            if received.path.startswith("/_"):
                self._inspect(received.path)
            else:
                self._exchange(received)
        except WireFault as fault:
            self.close_connection = True
            self._send(whole_json(fault.status, fault.to_json()))
        except (CutConnectionError, OSError):
            self.close_connection = True

    def _body(self, headers: dict[str, str]) -> bytes:
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
            raise WireFault(411, "A body needs a Content-Length.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            # The client died on the way: that is no request, and nobody is there to be answered.
            raise CutConnectionError
        return body

    def _inspect(self, path: str) -> None:
        try:
            self._send(whole_json(200, self.shared.inspect(path)))
        except WireFault as fault:
            self._send(whole_json(fault.status, fault.to_json()))

    def _exchange(self, received: Received) -> None:
        shared = self.shared
        shared.receive(received)
        operation, status = f"{received.method} {received.path}", 0
        try:
            try:
                route = shared.route(received)
                operation = route.operation
                shared.step(f"before {operation}")
                answer = shared.answer(received, route)
            except WireFault as fault:
                answer = whole_json(fault.status, fault.to_json(), location=fault.location)
            shared.step(f"after {operation}")
            if operation in shared.drop:
                raise CutConnectionError
            if isinstance(answer, Whole):
                status = answer.status
                shared.judge_response(received, answer)
            else:
                status = 200
                self._stream(received, answer)
        finally:
            # Before a whole answer is sent: a client that has it may look at the log at once.
            shared.handle(received, operation, status)
        if isinstance(answer, Whole):
            self._send(answer)

    def _send(self, whole: Whole) -> None:
        self.send_response(whole.status)
        self.send_header("content-type", whole.content_type)
        self.send_header("content-length", str(len(whole.data)))
        self.send_header("openai-poll-after-ms", str(_POLL_AFTER_MS))
        if whole.location:
            self.send_header("location", whole.location)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if whole.cut:
            self.wfile.write(whole.data[: len(whole.data) // 2])
            raise CutConnectionError
        self.wfile.write(whole.data)

    def _stream(self, received: Received, stream: RunStream) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        if stream.raw_body:
            self._chunk(stream.raw_body)
            self._chunk(b"")
            return
        if stream.opening:
            self._event(received, "thread.created", stream.opening)
        for event in stream.feed.read(stream.start):
            if event is None:
                self._chunk(b": still here\n\n")
            elif stream.content or not event.name.startswith("thread.run.step."):
                self._event(received, event.name, event.data)
            else:
                self._event(received, event.name, without_content(event.data))
        self._event(received, "done", _DONE)
        self._chunk(b"")

    def _event(self, received: Received, name: str, data: JsonValue) -> None:
        self.shared.step(f"before event {name}")
        self.shared.judge_event(received, name, data)
        text = data if isinstance(data, str) else json.dumps(data)
        self._chunk(f"event: {name}\ndata: {text}\n\n".encode())
        self.shared.step(f"after event {name}")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
