"""An agent with 20 tools and as many rules as wanted, and a ledger of decisions about it.

The decisions are made by the gate under the agent's own rules, one run after the other, so every record is of
the shape that production writes: names and verdict in the leaf, context, attributes and entities beside it.
What differs from production: they are handed to the store in batches of 512, without the intents and outcomes
that stand between them, because committing each for itself would take hours for a million.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from remit.document.revision import genesis
from remit.engine.compiled.engine import CompiledEngine
from remit.gate.answers import Ask, Denial
from remit.gate.gate import Gate
from remit.gate.usage import Usage
from remit.host.caller import Caller
from remit.host.requests import Scene, agent_entity, backend_entity, build_request, caller_entity, tool_entity
from remit.policy.compile import compile_governance
from remit.ports import Batch, Invocation
from remit.records import Receipt
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from remit.document.model import Document
    from remit.engine.request import Request
    from remit.records import Draft

TOOLS = 20
BATCH = 512
BEGAN_S = 1_767_225_600
"""2026-01-01T00:00:00Z."""

REASONS = ("arrived broken", "late", "other", "second delivery") * 5 + ("blocked-4 by the customer",)

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string"},
        "amount": {"type": "integer"},
        "currency": {"type": "string"},
        "reason": {"type": "string"},
        "urgent": {"type": "boolean"},
    },
    "required": ["order_id", "amount", "currency"],
    "additionalProperties": False,
}


def _tool(n: int, rules: int, *, stricter: bool) -> dict[str, Any]:
    currencies = '["EUR", "USD"]' if stricter and n % 7 == 0 else '["EUR"]'
    use = f"{currencies}.contains(context.input.currency)"
    own: list[dict[str, Any]] = [{"id": f"t{n}-use", "when": use}]
    for k in range(1, rules):
        limit = 6_000 + 500 * k + 13 * n
        if k == 1:
            # What the candidate changes: a lower ceiling for every fourth tool.
            limit = 2_500 if stricter and n % 4 == 0 else 9_000
            own.append({"id": f"t{n}-ceiling", "effect": "forbid", "when": f"context.input.amount > {limit}"})
        elif k == 2:
            when = f"context.input.amount > {1_500 if stricter and n % 5 == 0 else 4_000}"
            own.append(
                {
                    "id": f"t{n}-approval",
                    "effect": "forbid",
                    "when": when,
                    "because": "a person looks at large amounts",
                    "obligations": [{"approve": {"by": "risk-officer"}}],
                }
            )
        elif k % 2:
            own.append(
                {
                    "id": f"t{n}-c{k}",
                    "when": f'context.input.currency == "C{k:02}" && context.input.amount < {limit}',
                }
            )
        else:
            own.append(
                {
                    "id": f"t{n}-f{k}",
                    "effect": "forbid",
                    "when": f"context.input has reason && "
                    f'context.input.reason like "*blocked-{k}*" && context.input.amount > {k}',
                }
            )
    return {
        "name": f"tool{n}",
        "description": "Do something with an order.",
        "parameters": PARAMETERS,
        "effect": "write" if n % 3 else "read",
        "source": {"embedder": True},
        "rules": own,
    }


def document(rules: int, *, stricter: bool = False) -> Document:
    """An agent with about `rules` rules; `stricter` is the candidate."""
    a_tool = max(1, (rules - 8) // TOOLS)
    left = max(0, rules - 8 - a_tool * TOOLS)
    return genesis(
        {
            "governance": {
                "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "refunds-team"},
                "caller": {
                    "type": "object",
                    "properties": {"jurisdiction": {"type": "string"}, "level": {"type": "integer"}},
                    "required": ["jurisdiction"],
                },
                "environment": {
                    "schema": {"type": "object", "properties": {"freeze": {"type": "boolean"}}},
                    "values": {"freeze": False},
                },
                "limits": {
                    "max_turns": 50,
                    "max_tool_calls": 50,
                    "max_wall_time_s": 300,
                    "max_output_tokens": 400,
                },
                "activation": [{"id": "start", "when": 'principal.roles.contains("clerk")'}],
                "mutation": [],
                "termination": [{"id": "budget", "when": "context.usage.tool_calls >= 40"}],
                "rules": [
                    {
                        "id": "freeze",
                        "effect": "forbid",
                        "on": ["call_tool"],
                        "when": "context.environment has freeze && context.environment.freeze",
                    },
                    {
                        "id": "region",
                        "effect": "forbid",
                        "on": ["call_tool"],
                        "when": 'context.caller.jurisdiction == "XX"',
                    },
                ]
                + [
                    {
                        "id": f"house-{n}",
                        "effect": "forbid",
                        "on": ["call_tool"],
                        "when": f"context.usage.denials > {1000 + n}",
                    }
                    for n in range(left)
                ],
            },
            "capabilities": {
                "instructions": "You handle orders.",
                "tools": [_tool(n, a_tool, stricter=stricter) for n in range(TOOLS)],
                "dispatch": [{"id": "think"}],
                "backends": [
                    {
                        "name": "local",
                        "adapter": "scripted",
                        "provider": "local",
                        "region": "EU",
                        "model": "m",
                        "config": {"script": [{"say": "x"}]},
                    }
                ],
            },
            "memory": {"blocks": []},
            "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
        },
        nonce="0" * 32,
    )


class Collected:
    """A ledger that keeps what the gate wants recorded until it is handed to the store."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        self.drafts.extend(batch.records)
        future: Future[tuple[Receipt, ...]] = Future()
        future.set_result(tuple(Receipt(index=0, digest="") for _ in batch.records))
        return future

    def records(self, **_: Any) -> Iterator[Any]:
        return iter(())


class NoOrders:
    """A control state in which nothing was ever ordered."""

    def in_force(self, _: Any) -> None:
        return None


class Ticks:
    """A clock that the generator moves."""

    def __init__(self) -> None:
        self.ms = 0

    def now(self) -> str:
        seconds = BEGAN_S + self.ms // 1000
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{self.ms % 1000:03}Z"

    def monotonic_s(self) -> float:
        return self.ms / 1000


def requests_of_a_run(agent: Document, run: str, random_: random.Random, clock: Ticks) -> Iterator[Any]:
    """Yield what a run asks; the answer is sent back, so that the counters are those of the run."""
    caller = Caller(
        id=f"user-{random_.randrange(400)}",
        kind="user",
        roles=("clerk",) if random_.random() < 0.97 else ("auditor",),
        attributes={"jurisdiction": random_.choice(("EU", "EU", "US", "UK")), "level": random_.randrange(5)},
    )
    usage = Usage()
    tools = agent.capabilities.tools

    def ask(action: str, resource: Any, **given: Any) -> Request:
        clock.ms += random_.randrange(1, 60)
        scene = Scene(
            document=agent,
            caller=caller,
            environment={},
            usage=usage,
            lifetime=usage,
            run=run,
            now=clock.now(),
        )
        principal = caller_entity(caller) if action == "activate" else agent_entity(agent)
        return build_request(scene, principal=principal, action=action, resource=resource, **given)

    me, backend = agent_entity(agent), backend_entity(agent.capabilities.backends[0])
    answer = yield ask("activate", me, given={"text_bytes": random_.randrange(9, 400)})
    if isinstance(answer, Denial):
        return
    for _ in range(random_.randrange(1, 5)):
        yield ask("continue", me)
        usage = usage.plus(turns=1, tokens=random_.randrange(50, 900))
        yield ask(
            "dispatch",
            backend,
            given={
                "messages": usage.turns,
                "tools": len(tools),
                "classifications": [],
                "builtins": [],
                "switched_from": "",
            },
        )
        for _ in range(random_.randrange(1, 4)):
            tool = random_.choice(tools)
            amount = int(random_.paretovariate(1.0) * 80)
            given = {
                "order_id": f"A-{random_.randrange(10_000)}",
                "amount": min(amount, 60_000),
                "currency": "EUR" if random_.random() < 0.97 else "USD",
                "reason": random_.choice(REASONS),
                "urgent": random_.random() < 0.1,
            }
            answer = yield ask(tool.name, tool_entity(tool), given=given)
            usage = usage.plus(denials=1) if isinstance(answer, Denial) else usage.plus(tool_calls=1)


def make_ledger(folder: Path, count: int, *, rules: int = 200, seed: int = 7) -> Document:
    """Write a store with `count` decisions; returns the agent that made them."""
    agent = document(rules)
    image = compile_governance(agent)
    collected, clock, random_ = Collected(), Ticks(), random.Random(seed)
    engine = CompiledEngine(image)
    with open_store(folder) as store:
        store.submit(Batch(records=(), create=agent)).result()
        made, number, waiting = 0, 0, []
        while made < count:
            run, number = f"run-{number:024x}", number + 1
            gate = Gate(
                engine,
                image,
                collected,
                NoOrders(),  # type: ignore[arg-type]  # what the gate asks of it
                clock,
                agent=agent.identity.agent,
                run=run,
            )
            steps, answer, step = requests_of_a_run(agent, run, random_, clock), None, 0
            while True:
                try:
                    request = steps.send(answer)
                except StopIteration:
                    break
                step += 1
                given = request.context.get("input")
                tool = request.resource.ref.type == "Tool"
                content = (
                    Invocation(tool=request.action, arguments=given, key=f"{run}-{step}") if tool else ""
                )
                answer = gate.authorize(
                    Ask(request=request, revision=agent.identity.revision, step=step, content=content)
                )
            # Runs follow each other about twice a second.
            clock.ms += random_.randrange(100, 900)
            if len(collected.drafts) >= BATCH:
                kept = collected.drafts[: count - made]
                waiting.append(store.submit(Batch(records=tuple(kept))))
                made += len(kept)
                collected.drafts.clear()
                if len(waiting) > 8:
                    waiting.pop(0).result()
            elif made + len(collected.drafts) >= count:
                kept = collected.drafts[: count - made]
                waiting.append(store.submit(Batch(records=tuple(kept))))
                made += len(kept)
        for future in waiting:
            future.result()
    return agent
