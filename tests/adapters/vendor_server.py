"""A server on loopback that begins an answer and then says nothing, until the client goes away."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_PATIENCE_S = 20.0
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class OpenEnded:
    """Answers each connection with `begun`, keeps it open, and notes when the client closed it.

    Args:
        begun: what is sent of the body; the headers too are left out where it is None.
        sign: sent again and again afterwards; nothing where it is empty.
    """

    def __init__(self, begun: bytes | None, *, sign: bytes = b"") -> None:
        self._begun = begun
        self._sign = sign
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.left = threading.Event()

    @property
    def root_url(self) -> str:
        host, port = self._listening.getsockname()
        return f"http://{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listening.close()

    def _serve(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(_PATIENCE_S)
            self._take(connection)
            try:
                if self._begun is not None:
                    connection.sendall(_HEAD + _chunk(self._begun))
                while self._sign:
                    connection.sendall(_chunk(self._sign))
                    if self.left.wait(0.02):
                        return
                while connection.recv(65536):
                    pass
            except TimeoutError:
                return
            except OSError:
                pass
            self.left.set()

    @staticmethod
    def _take(connection: socket.socket) -> None:
        """Read one request."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        wanted = int(fields[b"content-length"])
        while len(body) < wanted:
            body += connection.recv(65536)


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n" if data else b""
