"""A ledger that the gate wrote, and candidates to hold against it; the same as the benchmark's, and small."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remit.document.parse import document_from_value, serialize_document
from remit.document.revision import genesis

if TYPE_CHECKING:
    from remit.document.model import Document

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import replay_world

RULES = 68
"""So few that the reference engine is quick; enough for a rule of every kind on each tool."""


def agent_of(rules: int = RULES, *, stricter: bool = False) -> Document:
    return replay_world.document(rules, stricter=stricter)


def ledger_in(folder: Path, count: int = 600, *, seed: int = 7) -> Path:
    replay_world.make_ledger(folder, count, rules=RULES, seed=seed)
    return folder


def changed(document: Document, **members: Any) -> Document:
    """A new agent with some top-level members of governance or capabilities replaced."""
    import json

    value = json.loads(serialize_document(document))
    for name, member in members.items():
        part = "governance" if name in value["governance"] else "capabilities"
        value[part][name] = member
    return genesis(
        {name: value[name] for name in ("governance", "capabilities", "memory", "execution_state")},
        nonce="1" * 32,
    )


__all__ = ["RULES", "agent_of", "changed", "document_from_value", "ledger_in"]
