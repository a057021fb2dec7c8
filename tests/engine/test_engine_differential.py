"""The engine against plain cedarpy on random policies and requests; validation is bypassed so that policies err."""

from __future__ import annotations

import json
import os
import random
import re
from dataclasses import dataclass
from typing import Any

import cedarpy

from remit.engine.cedar import CedarEngine
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Entity, EntityRef, Request

PAIRS = int(os.environ.get("REMIT_DIFFERENTIAL_N", "4000"))
REQUESTS_PER_IMAGE = 8


def _ext(name: str, *, required: bool = True) -> dict[str, Any]:
    return {"type": "Extension", "name": name, "required": required}


def _plain(name: str, *, required: bool = True) -> dict[str, Any]:
    return {"type": name, "required": required}


INPUT = {
    "amount": _ext("decimal", required=False),
    "count": _plain("Long"),
    "note": _plain("String", required=False),
    "flags": {"type": "Set", "element": {"type": "String"}},
    "nums": {"type": "Set", "element": {"type": "Long"}, "required": False},
    "nested": {
        "type": "Record",
        "required": False,
        "attributes": {
            "a": _plain("Long"),
            "b": _plain("Boolean", required=False),
            "deep": {
                "type": "Record",
                "required": False,
                "attributes": {"x": _plain("String", required=False), "y": _ext("decimal", required=False)},
            },
        },
    },
    "due": _ext("datetime", required=False),
    "ip": _ext("ipaddr", required=False),
    "who": {"type": "Entity", "name": "Caller", "required": False},
}
CONTEXT = {
    "type": "Record",
    "attributes": {
        "now": _ext("datetime"),
        "caller": {"type": "Entity", "name": "Caller"},
        "run": _plain("String"),
        "input": {"type": "Record", "attributes": INPUT},
    },
}
SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {
            "Team": {"memberOfTypes": ["Team"]},
            "Agent": {
                "memberOfTypes": ["Team"],
                "shape": {
                    "type": "Record",
                    "attributes": {
                        "region": _plain("String"),
                        "tier": _plain("Long"),
                        "cap": _ext("decimal", required=False),
                        "tags": {"type": "Set", "element": {"type": "String"}},
                    },
                },
            },
            "Caller": {
                "shape": {
                    "type": "Record",
                    "attributes": {
                        "kind": _plain("String"),
                        "roles": {"type": "Set", "element": {"type": "String"}},
                        "age": _plain("Long", required=False),
                    },
                },
            },
            "Tool": {"shape": {"type": "Record", "attributes": {"effect": _plain("String")}}},
        },
        "actions": {
            "call_tool": {},
            "money": {"memberOf": [{"id": "call_tool"}]},
            "refund": {
                "memberOf": [{"id": "money"}],
                "appliesTo": {"principalTypes": ["Agent"], "resourceTypes": ["Tool"], "context": CONTEXT},
            },
            "search": {
                "memberOf": [{"id": "call_tool"}],
                "appliesTo": {
                    "principalTypes": ["Agent", "Caller"],
                    "resourceTypes": ["Tool"],
                    "context": CONTEXT,
                },
            },
            "continue": {
                "appliesTo": {"principalTypes": ["Agent"], "resourceTypes": ["Agent"], "context": CONTEXT},
            },
        },
    }
}

LONGS = [0, 1, -1, 5, 500, 501, 2**31, 2**63 - 1, -(2**63)]
STRINGS = ["", "a", "EU", "US", "abc", "a*b", "é", "line\nbreak", 'q"uote']
DECIMALS = ["0.0", "0.1", "12.5", "500.0", "500.0001", "-3.25"]
TIMES = ["2026-01-01T00:00:00Z", "2025-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z"]
DURATIONS = ['duration("1h")', 'duration("-1d")', 'duration("9223372036854775807ms")']
IP_TESTS = ["isIpv4()", "isLoopback()", 'isInRange(ip("192.168.0.0/16"))', 'isInRange(ip("nope"))']
IPS = ["10.0.0.1", "192.168.0.0/16", "::1", "127.0.0.1"]


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class Author:
    """Writes random policies: mostly well typed, often unguarded, sometimes nonsense."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def pick(self, *options: str) -> str:
        return self.chance.choice(options)

    def long(self, depth: int) -> str:
        choice = self.chance.random()
        if choice < 0.35 or depth <= 0:
            value = self.chance.choice(LONGS)
            return f"({value})" if value < 0 else str(value)
        if choice < 0.7:
            return self.pick(
                "context.input.count", "context.input.nested.a", "principal.tier", "context.caller.age"
            )
        if choice < 0.95:
            return f"({self.long(depth - 1)} {self.pick('+', '-', '*')} {self.long(depth - 1)})"
        return self.any(depth - 1)

    def string(self, depth: int) -> str:
        choice = self.chance.random()
        if choice < 0.4 or depth <= 0:
            return quoted(self.chance.choice(STRINGS))
        if choice < 0.92:
            return self.pick(
                "context.input.note",
                "principal.region",
                "context.run",
                "resource.effect",
                "context.caller.kind",
                "context.input.nested.deep.x",
                'context["input"]["note"]',
            )
        return self.any(depth - 1)

    def strings(self, depth: int) -> str:
        choice = self.chance.random()
        if choice < 0.7:
            return self.pick("context.input.flags", "principal.tags", "context.caller.roles")
        if choice < 0.95:
            return "[" + ", ".join(self.string(depth - 1) for _ in range(self.chance.randrange(3))) + "]"
        return self.any(depth - 1)

    def decimal(self) -> str:
        return self.pick(
            "context.input.amount",
            "context.input.nested.deep.y",
            "principal.cap",
            *(f'decimal("{value}")' for value in DECIMALS[:3]),
            'decimal("1.23456")',
        )

    def time(self) -> str:
        return self.pick("context.now", "context.input.due", *(f'datetime("{value}")' for value in TIMES))

    def entity(self) -> str:
        return self.pick(
            "principal",
            "resource",
            "context.caller",
            "context.input.who",
            'Remit::Agent::"a1"',
            'Remit::Team::"t1"',
            'Remit::Team::"t2"',
            'Remit::Caller::"ann"',
        )

    def any(self, depth: int) -> str:
        return self.pick(
            str(self.chance.choice([0, 3])),
            '"x"',
            "true",
            "context.input",
            "context.input.bogus",
            "context.input.nested",
            "principal",
            "{a: 1}",
            "[1]",
        )

    def boolean(self, depth: int) -> str:
        deeper = depth - 1
        if depth <= 0:
            return self.pick(
                "true", "false", "context.input.nested.b", "context has input", "context.input has amount"
            )
        makers = [
            lambda: f"({self.boolean(deeper)} {self.pick('&&', '||')} {self.boolean(deeper)})",
            lambda: f"({self.boolean(deeper)} {self.pick('&&', '||')} {self.boolean(deeper)})",
            lambda: f"!({self.boolean(deeper)})",
            lambda: f"(if {self.boolean(deeper)} then {self.boolean(deeper)} else {self.boolean(deeper)})",
            lambda: f"({self.long(deeper)} {self.pick('<', '<=', '>', '>=')} {self.long(deeper)})",
            lambda: f"({self.long(deeper)} {self.pick('==', '!=')} {self.long(deeper)})",
            lambda: f"({self.string(deeper)} == {self.string(deeper)})",
            lambda: f"({self.string(deeper)} like {self.pick(quoted('*'), quoted('a*'), quoted('E*U'))})",
            lambda: f"{self.strings(deeper)}.contains({self.string(deeper)})",
            lambda: (
                f"{self.strings(deeper)}.{self.pick('containsAll', 'containsAny')}({self.strings(deeper)})"
            ),
            lambda: f"{self.strings(deeper)}.isEmpty()",
            lambda: f"context.input.nums.contains({self.long(deeper)})",
            lambda: f"{self.decimal()}.{self.pick('lessThan', 'greaterThanOrEqual')}({self.decimal()})",
            lambda: f"({self.decimal()} == {self.decimal()})",
            lambda: f"({self.time()} {self.pick('<', '>=', '==')} {self.time()})",
            lambda: f"({self.time()}.offset({self.pick(*DURATIONS)}) < {self.time()})",
            lambda: "context.input.ip." + self.pick(*IP_TESTS),
            lambda: f"({self.entity()} in {self.entity()})",
            lambda: f"({self.entity()} == {self.entity()})",
            lambda: f"({self.entity()} in [{self.entity()}, {self.entity()}])",
            lambda: f"({self.entity()} is Remit::{self.pick('Agent', 'Caller', 'Team')})",
            lambda: "(action in Remit::Action::" + self.pick('"call_tool"', '"money"', '"refund"') + ")",
            lambda: self.pick(
                '(context.input has amount && context.input.amount.lessThan(decimal("100.0")))',
                "(context.input has nested && context.input.nested has b && context.input.nested.b)",
                "(context.input has nested.deep.y)",
                "(context.input has bogus)",
                "(context has bogus)",
                "(principal has cap)",
                "(principal has nothing)",
                "(context.caller has age)",
            ),
            lambda: self.pick(
                "(context.input.nested == {a: 1})",
                "(context.input.nested == {a: 1, b: true})",
                "(context.input == {})",
                "({a: context.input.count}.a == 5)",
                "((if context.input has nested then context.input.nested else {a: 5}).a > 3)",
                '((if context.input has who then context.input.who else context.caller).kind == "user")',
                "[context.input, context].contains(context.input)",
            ),
            lambda: self.any(deeper),
        ]
        return self.chance.choice(makers)()

    def policy(self, rule: str) -> str:
        effect = self.pick("permit", "permit", "forbid")
        principal = self.pick(
            "principal",
            "principal",
            "principal is Remit::Agent",
            'principal == Remit::Agent::"a1"',
            'principal in Remit::Team::"t1"',
            'principal is Remit::Agent in Remit::Team::"t2"',
            "principal is Remit::Caller",
        )
        action = self.pick(
            "action",
            "action",
            'action == Remit::Action::"refund"',
            'action in Remit::Action::"call_tool"',
            'action in [Remit::Action::"money", Remit::Action::"continue"]',
            'action == Remit::Action::"search"',
        )
        resource = self.pick(
            "resource",
            "resource",
            "resource is Remit::Tool",
            'resource == Remit::Tool::"refund"',
            'resource == Remit::Tool::"q\\"uote"',
            'resource in Remit::Agent::"a1"',
        )
        clauses = "".join(
            f" {self.pick('when', 'when', 'unless')} {{ {self.boolean(self.chance.choice([1, 2, 3]))} }}"
            for _ in range(self.chance.choice([0, 1, 1, 1, 2]))
        )
        return f'@id("{rule}") {effect}({principal}, {action}, {resource}){clauses};'


@dataclass
class Pair:
    """A request in plain JSON, and the same in Cedar's own JSON, written down independently of the engine."""

    request: Request
    cedar: dict[str, Any]
    entities: list[dict[str, Any]]


def random_request(chance: random.Random) -> Pair:
    def maybe(share: float = 0.5) -> bool:
        return chance.random() < share

    plain: dict[str, Any] = {}
    cedar: dict[str, Any] = {}

    def put(target: dict[str, Any], other: dict[str, Any], name: str, value: Any, converted: Any) -> None:
        target[name], other[name] = value, converted

    def put_decimal(target: dict[str, Any], other: dict[str, Any], name: str) -> None:
        text = chance.choice(DECIMALS)
        number = float(text)
        put(
            target,
            other,
            name,
            int(number) if number.is_integer() and maybe() else number,
            {"__extn": {"fn": "decimal", "arg": text}},
        )

    def put_extension(target: dict[str, Any], other: dict[str, Any], name: str, fn: str, text: str) -> None:
        put(target, other, name, text, {"__extn": {"fn": fn, "arg": text}})

    def texts() -> list[str]:
        return [chance.choice(STRINGS) for _ in range(chance.randrange(3))]

    caller = chance.choice(["ann", "bob"])
    put_extension(plain, cedar, "now", "datetime", chance.choice(TIMES))
    put(
        plain,
        cedar,
        "caller",
        {"type": "Caller", "id": caller},
        {"__entity": {"type": "Remit::Caller", "id": caller}},
    )
    run = chance.choice(STRINGS)
    put(plain, cedar, "run", run, run)
    given: dict[str, Any] = {}
    converted: dict[str, Any] = {}
    if maybe():
        put_decimal(given, converted, "amount")
    count = chance.choice(LONGS)
    put(given, converted, "count", count, count)
    if maybe():
        note = chance.choice(STRINGS)
        put(given, converted, "note", note, note)
    flags = texts()
    put(given, converted, "flags", flags, flags)
    if maybe():
        nums = [chance.choice(LONGS) for _ in range(2)]
        put(given, converted, "nums", nums, nums)
    if maybe():
        a: dict[str, Any] = {"a": chance.choice([1, 5, 500])}
        b: dict[str, Any] = dict(a)
        if maybe():
            a["b"] = b["b"] = maybe()
        if maybe():
            a["deep"], b["deep"] = {}, {}
            if maybe():
                a["deep"]["x"] = b["deep"]["x"] = chance.choice(STRINGS)
            if maybe():
                put_decimal(a["deep"], b["deep"], "y")
        given["nested"], converted["nested"] = a, b
    if maybe():
        put_extension(given, converted, "due", "datetime", chance.choice(TIMES))
    if maybe():
        put_extension(given, converted, "ip", "ip", chance.choice(IPS))
    if maybe():
        given["who"] = {"type": "Caller", "id": "ann"}
        converted["who"] = {"__entity": {"type": "Remit::Caller", "id": "ann"}}
    plain["input"], cedar["input"] = given, converted

    entities: list[dict[str, Any]] = []
    values: dict[tuple[str, str], Entity] = {}

    def entity(
        kind: str, name: str, attributes: dict[str, Any], cedar_attributes: dict[str, Any], *teams: str
    ) -> Entity:
        value = Entity(
            ref=EntityRef(type=kind, id=name),
            attributes=attributes,
            parents=tuple(EntityRef(type="Team", id=team) for team in teams),
        )
        if (kind, name) not in values:
            entities.append(
                {
                    "uid": {"type": f"Remit::{kind}", "id": name},
                    "attrs": cedar_attributes,
                    "parents": [{"type": "Remit::Team", "id": team} for team in teams],
                }
            )
        return values.setdefault((kind, name), value)

    for name in ("ann", "bob"):
        attributes: dict[str, Any] = {"kind": chance.choice(["user", "service"]), "roles": texts()}
        if maybe():
            attributes["age"] = chance.choice(LONGS)
        entity("Caller", name, attributes, attributes)
    entity("Team", "t1", {}, {}, *(["t2"] if maybe() else []))
    entity("Team", "t2", {}, {})

    def agent(name: str) -> Entity:
        attributes: dict[str, Any] = {
            "region": chance.choice(STRINGS),
            "tier": chance.choice(LONGS),
            "tags": texts(),
        }
        cedar_attributes = dict(attributes)
        if maybe():
            put_decimal(attributes, cedar_attributes, "cap")
        return entity(
            "Agent", name, attributes, cedar_attributes, *chance.sample(["t1", "t2"], chance.randrange(3))
        )

    action = chance.choice(["refund", "refund", "search", "continue"])
    name = chance.choice(["a1", "a2"])
    principal = values["Caller", "ann"] if action == "search" and maybe(0.3) else agent(name)
    if action == "continue":
        resource = principal
    else:
        effect = chance.choice(STRINGS)
        resource = entity("Tool", chance.choice([action, 'q"uote']), {"effect": effect}, {"effect": effect})
    request = Request(
        principal=principal, action=action, resource=resource, context=plain, entities=tuple(values.values())
    )
    return Pair(
        request=request,
        cedar={
            "principal": {"type": f"Remit::{principal.ref.type}", "id": principal.ref.id},
            "action": {"type": "Remit::Action", "id": action},
            "resource": {"type": f"Remit::{resource.ref.type}", "id": resource.ref.id},
            "context": cedar,
        },
        entities=entities,
    )


def random_image(chance: random.Random) -> tuple[list[str], str]:
    author = Author(chance)
    for _ in range(1000):
        count = chance.randint(1, 6)
        rules = [f"rule-{n}" for n in range(count)]
        text = "\n".join(author.policy(rule) for rule in rules)
        try:
            cedarpy.PolicySet.from_str(text)
        except ValueError:
            continue
        return rules, text
    raise AssertionError("the author writes nothing that parses")


def test_engine_equals_cedar_where_no_policy_errs_and_denies_naming_the_policies_where_one_does() -> None:
    chance = random.Random(20261123)
    schema = cedarpy.Schema.from_json_str(json.dumps(SCHEMA))
    seen = {"allow": 0, "forbidden": 0, "not_permitted": 0, "error": 0, "error where cedar allows": 0}
    pairs = 0
    while pairs < PAIRS:
        rules, text = random_image(chance)
        image = PolicyImage(
            policies=text, schema=SCHEMA, schema_text="", rules={}, digest=image_digest(text, SCHEMA)
        )
        engine = CedarEngine(image)
        for _ in range(REQUESTS_PER_IMAGE):
            pairs += 1
            pair = random_request(chance)
            plain = cedarpy.is_authorized(pair.cedar, text, pair.entities, schema)
            assert plain.decision is not cedarpy.Decision.NoDecision, plain.diagnostics.errors
            decision = engine.decide(pair.request)
            erring = {
                rules[int(found.group(1))]
                for message in plain.diagnostics.errors
                if (found := re.match(r"error while evaluating policy `policy(\d+)`", message))
            }
            where = f"{text}\n{pair.request}"
            if plain.diagnostics.errors:
                assert decision.verdict == "deny", where
                assert decision.kind == "error", where
                assert {failure.rule for failure in decision.errors} == erring, where
                seen["error"] += 1
                seen["error where cedar allows"] += plain.allowed
                continue
            reasons = tuple(
                sorted(rules[int(reason.removeprefix("policy"))] for reason in plain.diagnostics.reasons)
            )
            assert decision.errors == (), where
            assert decision.allowed == plain.allowed, where
            assert decision.reasons == reasons, where
            seen["allow" if decision.allowed else decision.kind] += 1
    # Every kind of answer must be met often, or the comparison says little.
    assert min(seen.values()) > PAIRS // 100, seen
