"""The ledger in memory refuses exactly what a real store refuses, or tests upon it would prove nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from remit.errors import LedgerError
from remit.ports import Batch
from remit.records import Draft, RecordKind
from remit.testing.memory_ledger import MemoryLedger
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue

AT = "2026-01-01T00:00:00.000Z"


def draft(
    *, body: object = None, kind: str = "run", at: str = AT, agent: str = "a", content: JsonValue = None
) -> Draft:
    return Draft(
        kind=cast("RecordKind", kind),
        agent=agent,
        run="r",
        at=at,
        body=cast("JsonObject", {} if body is None else body),
        content=content,
    )


@pytest.mark.parametrize(
    "refused",
    [
        draft(body={"a": None}),
        draft(body={"a": [{"b": None}]}),
        draft(body={"a": 1.0}),
        draft(body={"a": [0.5]}),
        draft(body={"a": float("nan")}),
        draft(body={"a": 2**53}),
        draft(body={"a": "\ud800"}),
        draft(body={"a": b"bytes"}),
        draft(body={"a": (1, 2)}),
        draft(body={1: "a"}),
        draft(body=[]),
        draft(body={"a": "x" * (2 << 20)}),
        draft(kind="surprise"),
        draft(at="yesterday"),
        draft(agent=cast("str", None)),
        draft(content={"a": float("inf")}),
        draft(content={"a": {1, 2}}),
    ],
    ids=lambda item: repr(item)[:60],
)
def test_the_ledger_in_memory_and_the_store_refuse_the_same_records_alike(
    tmp_path: Path, refused: Draft
) -> None:
    memory = MemoryLedger()
    said = memory.submit(Batch(records=(draft(), refused))).exception()
    with open_store(tmp_path / "store") as store:
        expected = store.submit(Batch(records=(draft(), refused))).exception()
    assert isinstance(expected, LedgerError)
    assert (type(expected), str(expected)) == (type(said), str(said))
    assert list(memory.records()) == []


def test_the_ledger_in_memory_and_the_store_give_the_same_records(tmp_path: Path) -> None:
    taken = (draft(body={"a": [1, True, "é"]}), draft(content={"b": None, "c": 0.5}))
    memory = MemoryLedger()
    memory.submit(Batch(records=taken)).result()
    with open_store(tmp_path / "store") as store:
        store.submit(Batch(records=taken)).result()
        stored = list(store.records())
    held = list(memory.records())
    assert [record.content for record in stored] == [record.content for record in held]
    assert stored[0] == held[0]
