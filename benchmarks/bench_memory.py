"""Memory of 100,000 entries and a lineage of 100,000 operations: one mutation and its new revision id."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from remit.document.entries import bulk_memory, commitment_of, entry_id, payload_value, remember
from remit.document.identity import revision_of
from remit.document.lineage import Operation
from remit.document.log_values import operation_leaf
from remit.document.memory import Entry, Payload
from remit.document.merkle import Frontier
from remit.document.revision import genesis, revise

AT = "2026-01-01T00:00:00.000Z"
SIZE = 100_000
FIELDS = {
    "governance": {
        "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "o"},
        "activation": [],
        "mutation": [],
        "termination": [],
    },
    "capabilities": {"instructions": "", "tools": [], "backends": []},
    "memory": {
        "blocks": [
            {"name": "notes", "description": "", "schema": {"type": "string"}, "classification": "internal"}
        ]
    },
    "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
}


def entry(index):
    payload, salt, key = Payload(value=f"note {index}"), f"{index:032x}", f"k{index}"
    return Entry(
        id=entry_id("notes", key),
        block="notes",
        key=key,
        author="agent",
        operation="remember",
        at=AT,
        commitment=commitment_of(salt, payload_value(payload)),
        salt=salt,
        payload=payload,
    )


@pytest.fixture(scope="module")
def entries():
    return [entry(index) for index in range(SIZE)]


@pytest.fixture(scope="module")
def large(entries):
    document = genesis(FIELDS, nonce="0" * 32)
    document = revise(
        document,
        operation="remember",
        actor="o",
        at=AT,
        decision="",
        memory=bulk_memory(document.memory, entries),
    )
    first = document.lineage.operations[:2]
    later = tuple(
        Operation(
            seq=seq, operation="settle", value={**first[1].value, "seq": seq}, parent="", actor="o", at=AT
        )
        for seq in range(2, SIZE)
    )
    frontier = Frontier().extend(operation_leaf(operation.value) for operation in (*first, *later))
    return replace(
        document, lineage=replace(document.lineage, operations=(*first, *later), frontier=frontier)
    )


def test_one_mutation_and_its_revision(benchmark, large):
    counter = itertools.count()

    def mutate():
        index = next(counter)
        memory, _ = remember(
            large.memory,
            block="notes",
            key=f"new{index}",
            payload=Payload(value="x"),
            author="agent",
            operation="remember",
            at=AT,
            salt="0" * 32,
        )
        return revise(large, operation="remember", actor="o", at=AT, decision="", memory=memory)

    child = benchmark.pedantic(mutate, rounds=300, warmup_rounds=5)
    assert revision_of(child) == child.identity.revision


def test_bulk_load(benchmark, entries):
    empty = genesis(FIELDS, nonce="0" * 32).memory
    memory = benchmark.pedantic(lambda: bulk_memory(empty, entries), rounds=2)
    assert memory.value["count"] == SIZE
