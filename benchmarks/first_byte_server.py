"""A server that says when the first byte of each request reached it: `first_byte_server.py ANSWERS.json`.

It runs in a process of its own, so that client and server share no interpreter lock; both read the same
monotonic clock of the machine. ANSWERS.json maps the end of a path to `{type, body}`.
Each request adds one line to stdout: nanoseconds and path.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path


def serve(connection: socket.socket, answers: dict[str, dict[str, str]]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    held = b""
    while True:
        arrived = 0
        while b"\r\n\r\n" not in held:
            piece = connection.recv(65536)
            arrived = arrived or time.monotonic_ns()
            if not piece:
                return
            held += piece
        head, _, held = held.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        path = lines[0].split(" ")[1]
        size = next(
            (int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")), 0
        )
        while len(held) < size:
            held += connection.recv(65536)
        held = held[size:]
        answer = next(value for end, value in answers.items() if path.partition("?")[0].endswith(end))
        body = answer["body"].encode()
        kind = f"content-type: {answer['type']}\r\ncontent-length: {len(body)}"
        connection.sendall(f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n".encode() + body)
        sys.stdout.write(f"{arrived} {path}\n")
        sys.stdout.flush()


def main() -> None:
    answers = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = server.accept()
            threading.Thread(target=serve, args=(connection, answers), daemon=True).start()


if __name__ == "__main__":
    main()
