"""Effects that nobody ended: what a crash leaves in a log."""

from __future__ import annotations

from typing import Any

from remit.ports import Batch
from remit.records import Draft

AT = "2026-01-01T00:00:00.000Z"
AGENT = "sha256:" + "a" * 64


def left_open(store: Any, count: int = 1, *, agent: str = AGENT) -> list[str]:
    """Record intents whose run nobody drives; return their digests."""
    found = []
    for number in range(count):
        body: Any = {
            "effect": "call_tool",
            "target": "refund",
            "content": "sha256:" + "c" * 64,
            "key": f"key-{number}",
            "request": "sha256:" + "d" * 64,
            "revision": "sha256:" + "b" * 64,
            "step": number,
        }
        draft = Draft(kind="intent", agent=agent, run=f"run-{number}", at=AT, body=body)
        found.append(store.submit(Batch(records=(draft,))).result(30)[0].digest)
    return found
