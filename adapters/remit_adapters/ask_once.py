"""The process that asks a vendor once and writes the answer down; run by path, see `kept_answers`.

Reads one order from standard input, as JSON: method, url, headers, body (base64), timeout_s, proxy, and the
paths `asking` and `answer`. An order that is cut off, because its sender died, is not carried out.
Imports nothing of Remit, so that it starts fast and sees no more than it needs.

Exit codes: 0 an answer or a failure is written down; 2 no order; 3 not in time.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2

MAX_ANSWER_BYTES = 1 << 20
_MAX_WHY = 300


def main() -> int:
    """Carry out the order on standard input."""
    try:
        order: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    except ValueError:
        return 2
    watchdog = threading.Timer(2 * order["timeout_s"], os._exit, (3,))
    watchdog.daemon = True
    watchdog.start()
    _note_asked(order)
    _write(order["answer"], _ask(order))
    return 0


def _note_asked(order: dict[str, Any]) -> None:
    """Say durably that the request may be on its way, through the handle that carries the lock."""
    held = order["held"]
    file = os.open(order["asking"], os.O_RDWR) if held is None else held
    os.write(file, b"asked")
    os.fsync(file)


def _ask(order: dict[str, Any]) -> dict[str, Any]:
    transport = httpx2.HTTPTransport(trust_env=False, proxy=order["proxy"] or None)
    options: dict[str, Any] = {"follow_redirects": False, "trust_env": False}
    request: dict[str, Any] = {
        "headers": [tuple(pair) for pair in order["headers"]],
        "content": base64.b64decode(order["body"]),
    }
    try:
        with (
            httpx2.Client(transport=transport, timeout=order["timeout_s"], **options) as client,
            client.stream(order["method"], order["url"], **request) as response,
        ):
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    return _failure("ReadError", f"more than {MAX_ANSWER_BYTES:,} bytes in one answer")
            return {"status": response.status_code, "body": base64.b64encode(body).decode()}
    except httpx2.TransportError as error:
        return _failure(type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001  # whatever went wrong is told to the one who waits
        return _failure("TransportError", f"{type(error).__name__}: {error}")


def _failure(kind: str, why: str) -> dict[str, Any]:
    return {"failed": kind, "why": why[:_MAX_WHY]}


def _write(path: str, value: dict[str, Any]) -> None:
    new = f"{path}.new"
    with os.fdopen(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(json.dumps(value).encode())
        file.flush()
        os.fsync(file.fileno())
    Path(new).replace(path)


if __name__ == "__main__":
    sys.exit(main())
