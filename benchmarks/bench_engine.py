"""Decide with 5, 50 and 500 rules: the engine against cedarpy's own handles, in one run.

Run: `pytest benchmarks/bench_engine.py`. `extra_info.ratio_to_handles` compares medians of interleaved
rounds in
the same process; absolute times depend on the machine and its load.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import cedarpy
import pytest

from remit.engine.cedar import CedarEngine
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Entity, EntityRef, Request

TOOLS = 20
_LONG, _TEXT = {"type": "Long"}, {"type": "String"}
_COUNTERS = ("turns", "tool_calls", "denials", "tokens", "cost_microusd", "wall_time_s", "mutations")


def schema() -> dict[str, Any]:
    counters = {"type": "Record", "attributes": dict.fromkeys(_COUNTERS, _LONG)}
    context = {
        "type": "Record",
        "attributes": {
            "now": {"type": "Extension", "name": "datetime"},
            "caller": {"type": "Entity", "name": "Caller"},
            "usage": counters,
            "lifetime": counters,
            "fulfilled": {"type": "Set", "element": _TEXT},
            "run": _TEXT,
            "input": {
                "type": "Record",
                "attributes": {
                    "amount": _LONG,
                    "currency": _TEXT,
                    "memo": _TEXT,
                    "region": _TEXT,
                    "count": _LONG,
                },
            },
        },
    }
    applies = {"principalTypes": ["Agent"], "resourceTypes": ["Tool"], "context": context}
    tool = {"memberOf": [{"id": "call_tool"}], "appliesTo": applies}
    agent = {"region": _TEXT, "tier": _LONG, "owner": _TEXT}
    return {
        "Remit": {
            "entityTypes": {
                "Agent": {"shape": {"type": "Record", "attributes": agent}},
                "Caller": {"shape": {"type": "Record", "attributes": {"kind": _TEXT}}},
                "Tool": {"shape": {"type": "Record", "attributes": {"name": _TEXT, "effect": _TEXT}}},
            },
            "actions": {"call_tool": {}} | {f"tool{n}": tool for n in range(TOOLS)},
        }
    }


def policies(count: int) -> str:
    """One in ten is a forbid on everything, the others are permits of one tool with a condition."""
    texts = []
    for n in range(count):
        if n % 10 == 4:
            condition = f"context.usage.tokens > {10**6 + n}"
            texts.append(f'@id("r{n}") forbid(principal, action, resource) when {{ {condition} }};')
        else:
            scope = f'principal is Remit::Agent, action == Remit::Action::"tool{n % TOOLS}", resource'
            condition = f'context.input.amount < {500 + n} && context.input.currency == "EUR"'
            texts.append(f'@id("r{n}") permit({scope}) when {{ {condition} }};')
    return "\n".join(texts)


def request() -> Request:
    usage = dict.fromkeys(_COUNTERS, 3)
    caller = Entity(ref=EntityRef(type="Caller", id="ann"), attributes={"kind": "user"})
    return Request(
        principal=Entity(
            ref=EntityRef(type="Agent", id="a"), attributes={"region": "EU", "tier": 2, "owner": "refunds"}
        ),
        action="tool1",
        resource=Entity(
            ref=EntityRef(type="Tool", id="tool1"), attributes={"name": "tool1", "effect": "write"}
        ),
        context={
            "now": "2026-01-01T00:00:00.000Z",
            "caller": {"type": "Caller", "id": "ann"},
            "usage": usage,
            "lifetime": usage,
            "fulfilled": [],
            "run": "run-1",
            "input": {"amount": 10, "currency": "EUR", "memo": "x" * 200, "region": "EU", "count": 1},
        },
        entities=(caller,),
    )


class Handles:
    """What an embedder would write with cedarpy alone: parsed handles, the whole context, no checks."""

    def __init__(self, text: str) -> None:
        self.policies = cedarpy.PolicySet.from_str(text)
        self.schema = cedarpy.Schema.from_json_str(json.dumps(schema()))

    def decide(self, asked: Request) -> bool:
        context = {
            **asked.context,
            "now": {"__extn": {"fn": "datetime", "arg": asked.context["now"]}},
            "caller": {"__entity": {"type": "Remit::Caller", "id": "ann"}},
        }
        entities = [
            {"uid": {"type": f"Remit::{e.ref.type}", "id": e.ref.id}, "attrs": e.attributes, "parents": []}
            for e in (asked.principal, asked.resource, *asked.entities)
        ]
        answer = cedarpy.is_authorized(
            {
                "principal": {"type": "Remit::Agent", "id": asked.principal.ref.id},
                "action": {"type": "Remit::Action", "id": asked.action},
                "resource": {"type": "Remit::Tool", "id": asked.resource.ref.id},
                "context": context,
            },
            self.policies,
            entities,
            self.schema,
        )
        return answer.allowed


def interleaved_ratio(first: Any, second: Any, asked: Request, rounds: int = 300) -> float:
    ours, theirs = [], []
    for _ in range(rounds):
        for decide, times in ((first, ours), (second, theirs)):
            start = time.process_time_ns()
            decide(asked)
            times.append(time.process_time_ns() - start)
    return statistics.median(ours) / statistics.median(theirs)


@pytest.mark.parametrize("count", [5, 50, 500])
@pytest.mark.parametrize("who", ["engine", "handles"])
def test_decide(benchmark: Any, count: int, who: str) -> None:
    text = policies(count)
    engine = CedarEngine(
        PolicyImage(
            policies=text, schema=schema(), schema_text="", rules={}, digest=image_digest(text, schema())
        )
    )
    handles = Handles(text)
    asked = request()
    assert engine.decide(asked).allowed == handles.decide(asked) is True
    benchmark.extra_info["rules"] = count
    benchmark.extra_info["ratio_to_handles"] = round(
        interleaved_ratio(engine.decide, handles.decide, asked), 3
    )
    benchmark(engine.decide if who == "engine" else handles.decide, asked)
