"""The workload as data that names no engine: rules, requests, and the shapes of their values.

A rule is a permit or a forbid of one action, or of any, under conditions that must all hold. A forbid wins
over a permit, and what nothing permits is denied. Every field that a rule reads is in every request that it
can apply to, and has the declared type, so that no peer errs and all can be compared.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

Value = str | int | bool | list[str]
Operator = Literal["eq", "ne", "lt", "gt", "in"]
Kind = Literal["String", "Long", "Bool"]

COUNTERS = ("turns", "tool_calls", "denials", "tokens", "cost_microusd", "wall_time_s", "mutations")
REGIONS = ("EU", "US", "UK", "CH")
CURRENCIES = ("EUR", "USD", "CHF")
PRINCIPAL_SHAPE: dict[str, Kind] = {"region": "String", "tier": "Long", "owner": "String"}
RESOURCE_SHAPE: dict[str, Kind] = {"name": "String", "effect": "String"}
_PLAIN_INPUT: dict[str, Kind] = {
    "amount": "Long",
    "currency": "String",
    "memo": "String",
    "region": "String",
    "count": "Long",
}
_LONG_INPUT: dict[str, Kind] = {
    **_PLAIN_INPUT,
    "priority": "Long",
    "channel": "String",
    "urgent": "Bool",
}
_INPUTS: dict[str, dict[str, Kind]] = {
    "activate": {
        "amount": "Long",
        "purpose": "String",
        "region": "String",
        "count": "Long",
        "dry_run": "Bool",
    },
    "remember": {"amount": "Long", "key": "String", "region": "String", "count": "Long", "bytes": "Long"},
    "export": {
        "amount": "Long",
        "subject": "String",
        "region": "String",
        "count": "Long",
        "format": "String",
    },
}
PRINCIPALS = {"activate": "Caller"}
"""The type of principal by action; an agent for all others."""
RESOURCES = {"activate": "Document", "remember": "Block", "export": "Block"}
"""The type of resource by action; a tool for all others."""
MAX_TOOLS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A comparison of one field with a constant.

    Args:
        field: `principal.<attribute>`, `input.<argument>` or `usage.<counter>`.
        operator: how the field is compared with the value.
        value: an integer, a text, or for `in` a list of texts.
    """

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy.

    Args:
        id: its name.
        permits: whether it permits or forbids.
        action: what it is about; nothing means any action.
        conditions: all must hold.
    """

    id: str
    permits: bool
    action: str | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request.

    Args:
        principal: its type, id and attributes.
        action: an action's name.
        resource: its type, id and attributes.
        input: five to eight arguments.
        usage: counters.
    """

    principal: tuple[str, str, dict[str, Value]]
    action: str
    resource: tuple[str, str, dict[str, Value]]
    input: dict[str, Value]
    usage: dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Rules and the actions that they are about.

    Args:
        actions: every action, the tools first.
        rules: in order.
    """

    actions: tuple[str, ...]
    rules: tuple[Rule, ...]


def input_shape(action: str) -> dict[str, Kind]:
    """Return the arguments of an action and their types; tools have five or eight."""
    declared = _INPUTS.get(action)
    if declared is not None:
        return declared
    return _LONG_INPUT if int(action.removeprefix("tool")) % 2 else _PLAIN_INPUT


def make_workload(count: int) -> Workload:
    """Make the workload with `count` rules; the same count gives the same rules.

    One rule in ten forbids on every action, the first of them at the fifth place; the others permit one.
    """
    choice = random.Random(f"rules {count}")
    tools = tuple(f"tool{n}" for n in range(min(max(count // 10, 2), MAX_TOOLS)))
    actions = (*tools, "activate", "remember", "export")
    rules: list[Rule] = []
    for n in range(count):
        if n % 10 == 4:
            rules.append(Rule(id=f"r{n}", permits=False, action=None, conditions=_forbidden(choice)))
        else:
            action = actions[len(rules) % len(actions)]
            rules.append(Rule(id=f"r{n}", permits=True, action=action, conditions=_permitted(choice)))
    return Workload(actions=actions, rules=tuple(rules))


def make_requests(count: int, requests: int) -> tuple[Asked, ...]:
    """Make requests for the workload with `count` rules; a longer list begins with the shorter one."""
    choice = random.Random(f"requests {count}")
    actions = make_workload(count).actions
    return tuple(_asked(choice, actions, n) for n in range(requests))


def broken_requests() -> tuple[Workload, dict[str, Asked]]:
    """Make two rules that permit all and forbid by an argument, and requests that spoil this argument.

    The first request is whole, so the forbid applies; without the forbid, the permit allows it.
    Nothing here is timed; it shows what a peer does when the rule that should forbid cannot be decided.
    """
    rules = (
        Rule(
            id="all",
            permits=True,
            action=None,
            conditions=(Condition(field="principal.tier", operator="gt", value=-1),),
        ),
        Rule(
            id="none",
            permits=False,
            action=None,
            conditions=(Condition(field="input.amount", operator="gt", value=-1),),
        ),
    )
    workload = Workload(actions=make_workload(5).actions, rules=rules)
    asked = next(asked for asked in make_requests(5, 100) if asked.action == "tool0")
    without = {name: value for name, value in asked.input.items() if name != "amount"}
    return workload, {
        "whole": asked,
        "missing": replace(asked, input=without),
        "of another type": replace(asked, input=asked.input | {"amount": "ten"}),
    }


def _forbidden(choice: random.Random) -> tuple[Condition, ...]:
    """Return the conditions of a rule that seldom applies, whatever the number of such rules."""
    counter = choice.choice(COUNTERS)
    first = Condition(field=f"usage.{counter}", operator="gt", value=choice.randrange(960, 1000))
    region = choice.choice(REGIONS)
    return choice.choice(
        (
            (first,),
            (first, Condition(field="principal.region", operator="ne", value=region)),
            (
                Condition(field="input.count", operator="gt", value=choice.randrange(90, 99)),
                Condition(field="principal.tier", operator="lt", value=2),
                Condition(field="input.region", operator="eq", value=region),
            ),
        )
    )


def _permitted(choice: random.Random) -> tuple[Condition, ...]:
    amount = Condition(field="input.amount", operator="lt", value=choice.randrange(100, 700))
    return choice.choice(
        (
            (amount,),
            (amount, Condition(field="input.region", operator="eq", value=choice.choice(REGIONS))),
            (
                amount,
                Condition(field="principal.region", operator="in", value=choice.sample(REGIONS, 2)),
                Condition(field="principal.tier", operator="gt", value=choice.randrange(3)),
            ),
            (
                Condition(field="usage.tool_calls", operator="lt", value=choice.randrange(200, 900)),
                Condition(field="input.region", operator="ne", value=choice.choice(REGIONS)),
                amount,
            ),
        )
    )


def _asked(choice: random.Random, actions: tuple[str, ...], number: int) -> Asked:
    action = choice.choice(actions)
    resource = RESOURCES.get(action, "Tool")
    effect = choice.choice(("read", "write"))
    return Asked(
        principal=(
            PRINCIPALS.get(action, "Agent"),
            f"p{choice.randrange(50)}",
            {"region": choice.choice(REGIONS), "tier": choice.randrange(6), "owner": "refunds"},
        ),
        action=action,
        resource=(resource, f"{resource.lower()}-{action}", {"name": action, "effect": effect}),
        input={name: _argument(choice, name, kind, number) for name, kind in input_shape(action).items()},
        usage={name: int(1000 * choice.random() ** 3) for name in COUNTERS},
    )


def _argument(choice: random.Random, name: str, kind: Kind, number: int) -> Value:
    if kind == "Bool":
        return choice.random() < 0.5
    if kind == "Long":
        return choice.randrange(100 if name == "count" else 1000)
    if name == "region":
        return choice.choice(REGIONS)
    if name == "currency":
        return choice.choice(CURRENCIES)
    return f"{name} of request {number}, " + "as a person would write it " * choice.randrange(3)
