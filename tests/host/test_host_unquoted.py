"""What a refused value said stands beside the record, where it can be erased, and never in the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, agent, call, notes_block, order_status, refund, say

from remit import Runtime
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "Ada Lovelace"
OVERFLOW: dict[str, Any] = {
    "id": "sum",
    "effect": "forbid",
    "on": ["refund"],
    "when": "context.input.amount + 9223372036854775807 > 5",
    "because": "no",
}

CALLS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an argument of another type": (call("order_status", order=SECRET), {}, "expected is an integer"),
    "an undeclared argument": (call("order_status", order=1, **{SECRET: 1}), {}, "does not declare"),
    "a number that a rule cannot add": (
        call("refund", order=1, amount=4711471147114),
        {"rules": [OVERFLOW]},
        "integer overflow",
    ),
    "a value of a memory block": (
        call("memory_remember", block="notes", value={SECRET: SECRET}),
        {"blocks": [notes_block()]},
        "is an object, expected is a text",
    ),
    "a memory block": (
        call("memory_remember", block=SECRET, value="x"),
        {"blocks": [notes_block()]},
        "there is no such memory block; blocks: `notes`",
    ),
    "an entry": (
        call("memory_revise", block="notes", entry=SECRET, value="x"),
        {"blocks": [notes_block()]},
        "has no such entry",
    ),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_refusal_on_record_does_not_quote_what_was_refused(what: str, tmp_path: Path) -> None:
    proposed, more, said = CALLS[what]
    with open_store(tmp_path / "store") as store:
        document = agent(proposed, say("done"), **more)
        with Runtime.open(document, store=store, tools=(order_status, refund)) as runtime:
            assert runtime.run("hello", caller=ANN).status == "completed"
        refused: list[Any] = [
            record.value["body"]
            for record in store.records()
            if said in str(record.value["body"].get("message", ""))  # type: ignore[union-attr]
        ]
        assert [body["verdict"] for body in refused] == ["deny"]
        for row in store.raw():
            assert SECRET.encode() not in row.leaf
            assert b"4711471147114" not in row.leaf
