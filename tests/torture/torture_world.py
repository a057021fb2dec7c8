"""What is tortured: an agent that pays and remembers, driven as hard as one process can, until it is killed.

A worker writes two files that no crash of it can take back, since each line is one `write`:

    effects   `<run> <nonce>` by the tool, when money would move
    acks      what the runtime confirmed: `remembered <text>`, `paid <run>`; and `refused <error>`

Everything else is in the store, which is what `torture_checks` holds the two files against.
"""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from remit import Caller, Runtime
from remit.document.revision import genesis
from remit.errors import GovernanceError, LedgerError
from remit.host.events import RunStarted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from remit.document.model import Document

ANN = Caller(id="ann", roles=("clerk",))
PAYERS = 3
WRITERS = 2
WORD_BYTES = 6
READY = "ready"
"""Name of the file that is there once a worker has opened the store."""


def document(number: int) -> Document:
    """Make the agent of one epoch; the same number gives the same agent."""
    script = [
        {"call": {"name": "pay", "arguments": {"amount": 40}}},
        {"call": {"name": "memory_remember", "arguments": {"block": "notes", "value": "paid"}}},
        {"say": "paid"},
    ]
    permit = {"effect": "permit", "because": "it is what this agent is for"}
    fields: dict[str, Any] = {
        "memory": {
            "blocks": [
                {
                    "name": "notes",
                    "description": "what was done",
                    "schema": {"type": "string"},
                    "classification": "internal",
                    "subject": False,
                    "rules": [{"id": "notes", **permit}],
                }
            ]
        },
        "governance": {
            "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "torture"},
            "activation": [{"id": "clerks", "when": 'principal.roles.contains("clerk")', **permit}],
            "mutation": [],
            "termination": [],
            "rules": [],
            "limits": {"max_turns": 8, "max_tool_calls": 8, "max_wall_time_s": 300},
        },
        "capabilities": {
            "instructions": "You pay.",
            "tools": [
                {
                    "name": "pay",
                    "description": "Pay.",
                    "parameters": {
                        "type": "object",
                        "properties": {"amount": {"type": "integer"}},
                        "required": ["amount"],
                        "additionalProperties": False,
                    },
                    "effect": "write",
                    "source": {"embedder": True},
                    "rules": [{"id": "pay", **permit}],
                }
            ],
            "backends": [
                {
                    "name": "script",
                    "adapter": "scripted",
                    "provider": "local",
                    "region": "EU",
                    "model": "transcript",
                    "config": {"script": script},
                }
            ],
            "dispatch": [{"id": "think", **permit}],
        },
        "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
    }
    return genesis(fields, nonce=f"{number + 1:032x}")


class Notebook:
    """A file of lines that outlives its writer, however that ends.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, line: str) -> None:
        """Add one line by one `write`."""
        os.write(self._file, f"{line}\n".encode())


def work(store: str, folder: Path, epoch: int, *, seconds: float) -> None:
    """Pay and remember in many threads until killed, or until the time is over.

    What the runtime refuses, for a conflict or a failing disk, is no fault: the next attempt follows.
    """
    effects, acks = Notebook(folder / "effects"), Notebook(folder / "acks")
    agent = document(epoch)
    ends = time.monotonic() + seconds

    def opened(place: Any, tool: Callable[..., object]) -> Runtime:
        while True:
            try:
                return Runtime.open(agent, store=place, backend="script", tools=[tool])
            except LedgerError as error:
                # A server that cuts the connection meanwhile; whoever is refused tries again.
                acks.write(f"refused {type(error).__name__}")
                time.sleep(0.01)

    def payer() -> None:
        current: list[str] = [""]

        def pay(amount: int) -> dict[str, int]:
            effects.write(f"{current[0]} {os.urandom(WORD_BYTES).hex()}")
            return {"paid": amount}

        def note(event: object) -> None:
            if isinstance(event, RunStarted):
                current[0] = event.run

        with opened(shared.store, pay) as runtime:
            while time.monotonic() < ends:
                try:
                    result = runtime.run("pay", caller=ANN, on_event=note)
                except GovernanceError as error:
                    acks.write(f"refused {type(error).__name__}")
                    continue
                if any(step.action == "pay" and step.verdict == "allow" for step in result.steps):
                    acks.write(f"paid {result.run}")

    def writer() -> None:
        with opened(shared.store, _unused) as runtime:
            while time.monotonic() < ends:
                text = os.urandom(WORD_BYTES).hex()
                try:
                    answer = runtime.remember("notes", text, by=ANN)
                except GovernanceError as error:
                    acks.write(f"refused {type(error).__name__}")
                    continue
                if answer.allowed:
                    acks.write(f"remembered {text}")
                time.sleep(random.random() * 0.01)

    with opened(store, _unused) as shared:
        (folder / READY).touch()
        threads = [threading.Thread(target=payer, daemon=True) for _ in range(PAYERS)]
        threads += [threading.Thread(target=writer, daemon=True) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _unused(amount: int) -> dict[str, int]:
    """Stand for the tool where no run is made; never called."""
    raise AssertionError(amount)


_unused.__name__ = "pay"
