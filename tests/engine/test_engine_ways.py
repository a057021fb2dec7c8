"""The short way of the reference engine against its long way and against Cedar on everything at once.

The long way has Cedar check what crosses against the schema, and asks all policies whose scope fits; it is how
the engine decided before there was a short way.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import cedarpy
import pytest

from remit.engine import binding, door, pools, slices
from remit.engine.cedar import CedarEngine
from remit.engine.image import PolicyImage
from remit.engine.policy_index import PolicyIndex
from remit.engine.request import Decision, Entity, EntityRef, Request

PAIRS = int(os.environ.get("REMIT_WAYS_N", "1000"))
REQUESTS_PER_IMAGE = 20


def typed(name: str, *, required: bool = True) -> dict[str, Any]:
    if name in {"decimal", "datetime", "duration", "ipaddr"}:
        return {"type": "Extension", "name": name, "required": required}
    if name in {"Agent", "Team"}:
        return {"type": "Entity", "name": name, "required": required}
    return {"type": name, "required": required}


def record(*, required: bool | None = None, **attributes: Any) -> dict[str, Any]:
    optional = {} if required is None else {"required": required}
    return {"type": "Record", "attributes": attributes, **optional}


def listed(element: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {
        "type": "Set",
        "element": {k: v for k, v in element.items() if k != "required"},
        "required": required,
    }


PLAIN = {"n": typed("Long"), "t": typed("String"), "b": typed("Boolean")}
CONTEXT = record(
    **PLAIN,
    maybe=typed("Long", required=False),
    inner=record(**PLAIN, maybe=typed("String", required=False)),
    perhaps=record(**PLAIN, required=False),
    tags=listed(typed("String")),
    sums=listed(typed("decimal"), required=False),
    rows=listed(record(n=typed("Long"), d=typed("decimal", required=False)), required=False),
    friends=listed(typed("Agent"), required=False),
    deep=listed(listed(typed("Long")), required=False),
    cap=typed("decimal"),
    at=typed("datetime", required=False),
    wait=typed("duration", required=False),
    ip=typed("ipaddr", required=False),
    caller=typed("Agent"),
    other=typed("Agent", required=False),
)
APPLIES = {"principalTypes": ["Agent"], "resourceTypes": ["Tool", "Agent"], "context": CONTEXT}
SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {
            "Team": {"memberOfTypes": ["Team"], "shape": record(size=typed("Long", required=False))},
            "Agent": {
                "memberOfTypes": ["Team"],
                "shape": record(
                    **PLAIN,
                    maybe=typed("Long", required=False),
                    boss=typed("Agent", required=False),
                    inner=record(n=typed("Long")),
                ),
            },
            "Tool": {"shape": record(t=typed("String"), owner=typed("Team", required=False))},
        },
        "actions": {
            "any": {},
            "money": {"memberOf": [{"id": "any"}]},
            "pay": {"memberOf": [{"id": "money"}], "appliesTo": APPLIES},
            "look": {"memberOf": [{"id": "any"}], "appliesTo": APPLIES},
            # Another context: what is required there is missing here, or of another type.
            "odd": {
                "appliesTo": APPLIES
                | {
                    "context": record(
                        n=typed("String"), t=typed("String", required=False), b=typed("Boolean")
                    )
                }
            },
        },
    }
}
LONGS = (-(2**63), -1, 0, 1, 2, 3, 2**63 - 1)
TEXTS = ("", "a", "b", "é", "1", "true")
PATHS = {
    "Long": ("context.n", "context.inner.n", "principal.n", "principal.inner.n", "context.perhaps.n"),
    "String": ("context.t", "context.inner.t", "principal.t", "resource.t", "context.inner.maybe"),
    "Bool": ("context.b", "context.inner.b", "principal.b", "context.perhaps.b"),
}
ERRING = (
    "context.maybe",
    "principal.maybe",
    "context.nothing",
    "context.caller.n",
    "context.other.n",
    "context.n.n",
)
TAILS = (
    "context has maybe",
    "context.maybe > 1",
    "principal.maybe == 1",
    "context has perhaps && context.perhaps.n > 0",
    "context has inner.maybe",
    'context.tags.contains("a")',
    'context.cap.lessThan(decimal("1.5"))',
    'context has at && context.at < datetime("2026-01-01")',
    'context has wait && context.wait < duration("1h")',
    "context has ip && context.ip.isLoopback()",
    "context has friends && context.friends.contains(principal)",
    "context has rows && context.rows.contains({n: 1})",
    "context has deep && context.deep.contains([1])",
    'context has sums && context.sums.contains(decimal("1.0"))',
    "context.caller == principal",
    "context.caller.n > 1",
    "context has other && context.other.b",
    "principal has boss && principal.boss.n == 1",
    'principal in Remit::Team::"t1"',
    'context.caller in Remit::Team::"t2"',
    "principal == resource",
    "resource has owner && resource.owner has size",
    'resource has owner && resource.owner in Remit::Team::"t2"',
    'action in Remit::Action::"money"',
    'principal.hasTag("x")',
    'principal.getTag("x") == 1',
    "context == context",
    "context == context && context has other && context.other.b",
    "context.inner == context.inner",
    "principal.inner.n == context.n",
    "true",
    "false",
    "1",
)


def literal(value: object) -> str:
    return f"({value})" if type(value) is int and value < 0 else json.dumps(value, ensure_ascii=False)


class Author:
    """Writes policies that mostly begin with comparisons, some of which may err."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def comparison(self) -> str:
        chance = self.chance
        kind = chance.choice(("Long", "Long", "String", "Bool"))
        path = chance.choice(PATHS[kind]) if chance.random() < 0.97 else chance.choice(ERRING)
        values: Any = {"Long": LONGS, "String": TEXTS, "Bool": (True, False)}[kind]
        if chance.random() < 0.03:
            values = chance.choice((LONGS, TEXTS, (True, False)))
        how = chance.choice(("==", "==", "!=", "<", "<=", ">", ">=", "in", "bare"))
        if how == "bare" and kind == "Bool":
            return chance.choice(("", "!")) + path
        if how in {"in", "bare"}:
            return f"[{', '.join(literal(chance.choice(values)) for _ in range(chance.randrange(4)))}].contains({path})"
        if kind != "Long" and chance.random() < 0.97:
            how = chance.choice(("==", "!="))
        sides = [path, literal(chance.choice(values))]
        if chance.random() < 0.2:
            sides.reverse()
        return f"{sides[0]} {how} {sides[1]}"

    def clauses(self) -> str:
        chance = self.chance
        found: list[str] = []
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            parts = [self.comparison() for _ in range(chance.choice((0, 1, 1, 2, 2, 3)))]
            if chance.random() < 0.2 or not parts:
                parts.insert(chance.randrange(len(parts) + 1), f"({chance.choice(TAILS)})")
            text = parts.pop()
            while parts:
                text = f"{parts.pop()} && " + (f"({text})" if chance.random() < 0.3 else text)
            found.append(f"{chance.choice(('when', 'when', 'when', 'unless'))} {{ {text} }}")
        return " ".join(found)

    def policy(self, number: int) -> str:
        chance = self.chance
        principal = chance.choice(
            (
                *("principal",) * 6,
                "principal is Remit::Agent",
                'principal == Remit::Agent::"a1"',
                'principal in Remit::Team::"t1"',
                'principal is Remit::Agent in Remit::Team::"t2"',
                'principal in Remit::Agent::"a1"',
            )
        )
        action = chance.choice(
            (
                *("action",) * 4,
                'action == Remit::Action::"pay"',
                'action == Remit::Action::"pay"',
                'action in Remit::Action::"money"',
                'action in [Remit::Action::"look", Remit::Action::"pay"]',
            )
        )
        resource = chance.choice(
            (
                *("resource",) * 6,
                "resource is Remit::Tool",
                'resource == Remit::Tool::"r1"',
                'resource == Remit::Agent::"a1"',
                'resource in Remit::Team::"t1"',
            )
        )
        effect = chance.choice(("permit", "permit", "forbid"))
        return f'@id("r{number}") {effect}({principal}, {action}, {resource}) {self.clauses()};'

    def image(self) -> PolicyImage:
        count = self.chance.choice((1, 3, 8, 20, 60))
        text = "\n".join(self.policy(number) for number in range(count))
        return PolicyImage(policies=text, schema=SCHEMA, schema_text="", rules={}, digest="sha256:00")


class Caller:
    """Makes requests: mostly as declared, some spoilt."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def plain(self) -> dict[str, Any]:
        chance = self.chance
        return {"n": chance.choice(LONGS), "t": chance.choice(TEXTS), "b": chance.random() < 0.5}

    def agent(self, name: str) -> dict[str, Any]:
        chance = self.chance
        found: dict[str, Any] = {**self.plain(), "inner": {"n": chance.choice(LONGS)}}
        if chance.random() < 0.4:
            found["maybe"] = chance.choice(LONGS)
        if chance.random() < 0.3:
            found["boss"] = {"type": "Agent", "id": chance.choice(("a1", "a2", "a9"))}
        return found

    def context(self) -> dict[str, Any]:
        chance = self.chance
        optional: dict[str, Any] = {
            "maybe": chance.choice(LONGS),
            "perhaps": self.plain(),
            "sums": [chance.choice((1, 1.5, 1.0, -0.0)) for _ in range(chance.randrange(3))],
            "rows": [chance.choice(({"n": 1}, {"n": 1, "d": 0.5})) for _ in range(chance.randrange(3))],
            "friends": [
                {"type": "Agent", "id": name} for name in chance.sample(("a1", "a2"), chance.randrange(3))
            ],
            "deep": chance.choice(([], [[]], [[1], [2, 3]])),
            "at": chance.choice(("2025-12-31", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+02:00")),
            "wait": chance.choice(("1h", "-1d", "5ms")),
            "ip": chance.choice(("127.0.0.1", "::1", "10.0.0.0/8")),
            "other": {"type": "Agent", "id": chance.choice(("a1", "a2", "a9"))},
        }
        inner = self.plain()
        if chance.random() < 0.5:
            inner["maybe"] = chance.choice(TEXTS)
        return {
            **self.plain(),
            "inner": inner,
            "tags": [chance.choice(TEXTS) for _ in range(chance.randrange(3))],
            "cap": chance.choice((1, 1.5, 1.4999, -3)),
            "caller": {"type": "Agent", "id": chance.choice(("a1", "a2", "a2", "a3"))},
            **{name: value for name, value in optional.items() if chance.random() < 0.5},
        }

    def parents(self) -> tuple[EntityRef, ...]:
        chance = self.chance
        teams = ("t1", "t2", "t3")
        return tuple(
            EntityRef(type="Team", id=team) for team in chance.sample(teams, chance.choice((0, 0, 1, 2)))
        )

    def request(self) -> Request:
        chance = self.chance
        agents = [
            Entity(ref=EntityRef(type="Agent", id=name), attributes=self.agent(name), parents=self.parents())
            for name in ("a1", "a2", "a3")
        ]
        teams = [
            Entity(ref=EntityRef(type="Team", id="t1"), attributes={"size": 3}),
            Entity(ref=EntityRef(type="Team", id="t2"), parents=(EntityRef(type="Team", id="t1"),)),
        ]
        action = chance.choice(("pay", "pay", "look", "odd"))
        context = self.context()
        if action == "odd":
            context = {"n": chance.choice(TEXTS), "b": chance.random() < 0.5} | (
                {"t": chance.choice(TEXTS)} if chance.random() < 0.5 else {}
            )
        tool = {"t": chance.choice(TEXTS)} | (
            {"owner": {"type": "Team", "id": chance.choice(("t1", "t2", "t9"))}}
            if chance.random() < 0.4
            else {}
        )
        principal = chance.choice(agents)
        resource = chance.choice(
            (
                *(
                    Entity(ref=EntityRef(type="Tool", id=name), attributes=tool)
                    for name in ("r1", "r2", "r3")
                ),
                *agents,
            )
        )
        rest = [one for one in (*agents, *teams) if one is not principal and one is not resource]
        kept = tuple(rest if chance.random() < 0.6 else chance.sample(rest, chance.randrange(len(rest))))
        return Request(principal=principal, action=action, resource=resource, context=context, entities=kept)

    def spoilt(self, asked: Request) -> Request:
        chance = self.chance
        wrong: tuple[Any, ...] = (
            *(None, True, 1, 2**63, 1.5, 1.0, float("nan"), 1e300, "", "a", "\ud800", [], [1], ["a", 1], {}),
            *(
                {"type": "Agent", "id": "a1"},
                {"type": "Team", "id": "t1"},
                {"type": "Agent"},
                {"__entity": {}},
                {"type": "Agent", "id": "a1", "more": 1},
            ),
            *(
                ("a",),
                b"a",
                Sub("a"),
                [None],
                [["a"]],
                [{"n": "1"}],
                [{"n": 1, "more": 2}],
                [{"type": "Agent", "id": 1}],
            ),
            *("2026-13-01", "1h30", "10.0.0.1/33", 0.00001, [0.00001], "1h", "127.0.0.1"),
        )
        kind = chance.randrange(9)
        if kind <= 3:
            context = dict(asked.context)
            names = (
                *context,
                "nothing",
                "maybe",
                "perhaps",
                "sums",
                "friends",
                "rows",
                "deep",
                "at",
                "ip",
                "wait",
            )
            context[chance.choice(names)] = chance.choice(wrong)
            return replace(asked, context=context)
        if kind == 4:
            context = dict(asked.context)
            context.pop(chance.choice(list(context)), None)
            return replace(asked, context=context)
        if kind == 5:
            one = asked.principal
            attributes = dict(one.attributes)
            attributes[chance.choice((*attributes, "more"))] = chance.choice(wrong)
            return replace(asked, principal=replace(one, attributes=attributes))
        if kind == 6:
            attributes = dict(asked.resource.attributes)
            attributes.pop(chance.choice(list(attributes) or ["t"]), None)
            return replace(asked, resource=replace(asked.resource, attributes=attributes))
        if kind == 7:
            odd: tuple[Entity, ...] = (
                Entity(ref=EntityRef(type="Nobody", id="x")),
                Entity(ref=EntityRef(type="Team", id="t3"), parents=(EntityRef(type="Agent", id="a1"),)),
                Entity(ref=EntityRef(type="Team", id="t1"), parents=(EntityRef(type="Team", id="t2"),)),
                Entity(ref=EntityRef(type="Team", id="t3"), parents=(EntityRef(type="Team", id="t3"),)),
                Entity(ref=EntityRef(type="Team", id="t3"), attributes={"size": "3"}),
                Entity(ref=EntityRef(type="Team", id="\ud800")),
                Entity(ref=EntityRef(type="Team", id="t3"), parents=(EntityRef(type="Team", id="\ud800"),)),
                asked.principal,
                replace(asked.principal, parents=()),
                replace(asked.principal, attributes=dict(asked.principal.attributes)),
            )
            return replace(asked, entities=(*asked.entities, chance.choice(odd)))
        entity = replace(
            asked.principal, ref=EntityRef(type="Agent", id=chance.choice(("\ud800", "é", 'q"\n', "")))
        )
        return chance.choice(
            (
                replace(asked, principal=entity),
                replace(asked, action="any"),
                replace(asked, principal=asked.resource),
                replace(asked, entities=list(asked.entities)),
                replace(asked, context=Own(asked.context)),
            )
        )


class Sub(str):
    """Text that is not exactly text."""

    __slots__ = ()


class Own(dict[str, Any]):
    """An object that is not exactly one."""


def whole(image: PolicyImage, asked: Request) -> tuple[bool, frozenset[str], frozenset[str]]:
    """Return what Cedar says of everything at once: decision, reasons, policies that err.

    Nothing is left out, nothing projected, and the schema is the whole one.
    """

    def crossing(value: Any, declared: dict[str, Any]) -> Any:
        match declared["type"]:
            case "Record":
                return {k: crossing(v, declared["attributes"][k]) for k, v in value.items()}
            case "Set":
                return [crossing(item, declared["element"]) for item in value]
            case "Entity":
                return {"__entity": {"type": f"Remit::{value['type']}", "id": value["id"]}}
            case "Extension" if declared["name"] == "decimal":
                return {"__extn": {"fn": "decimal", "arg": f"{value:.4f}"}}
            case "Extension":
                name = {"ipaddr": "ip"}.get(declared["name"], declared["name"])
                text = value.replace("00.5+02:00", "00.500+0200")
                return {"__extn": {"fn": name, "arg": text}}
            case _:
                return value

    kinds = SCHEMA["Remit"]["entityTypes"]
    entities: dict[tuple[str, str], Any] = {}
    for one in (asked.principal, asked.resource, *asked.entities):
        entities[one.ref.type, one.ref.id] = {
            "uid": {"type": f"Remit::{one.ref.type}", "id": one.ref.id},
            "attrs": crossing(one.attributes, kinds[one.ref.type].get("shape", record())),
            "parents": [{"type": f"Remit::{parent.type}", "id": parent.id} for parent in one.parents],
        }
    context = SCHEMA["Remit"]["actions"][asked.action]["appliesTo"]["context"]
    answer = cedarpy.is_authorized(
        {
            "principal": {"type": f"Remit::{asked.principal.ref.type}", "id": asked.principal.ref.id},
            "action": {"type": "Remit::Action", "id": asked.action},
            "resource": {"type": f"Remit::{asked.resource.ref.type}", "id": asked.resource.ref.id},
            "context": crossing(asked.context, context),
        },
        image.policies,
        list(entities.values()),
        SCHEMA,
    )
    assert answer.decision is not cedarpy.Decision.NoDecision, answer.diagnostics.errors
    erring = frozenset(message.split("`")[1] for message in answer.diagnostics.errors)
    return answer.allowed, frozenset(answer.diagnostics.reasons), erring


def compare(seed: int, pairs: int) -> Counter[str]:
    """Compare the ways on random pairs and count what became of them."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    for _ in range(pairs // REQUESTS_PER_IMAGE):
        image = Author(chance).image()
        engine, caller = CedarEngine(image), Caller(chance)
        index = PolicyIndex.of(image)
        numbered = {f"policy{n}": policy.rule for n, policy in enumerate(index.policies)}
        for _ in range(REQUESTS_PER_IMAGE):
            declared = asked = caller.request()
            if chance.random() < 0.25:
                asked = caller.spoilt(declared)
            where = f"seed {seed}\n{image.policies}\n{asked}"
            exact: Decision = _long(engine, asked)
            assert worded(engine.decide(asked)) == worded(exact), where
            found = engine._short(asked)
            if found is None:
                assert asked is not declared or exact.kind == "error", where
                counts["long way"] += 1
                continue
            # Often enough that the choice is cut out of its pool.
            for _ in range(3):
                assert engine._short(asked) == found, where
            if found == door.ERRS:
                assert exact.kind == "error", where
                assert any(failure.rule for failure in exact.errors), where
                counts["errs"] += 1
            else:
                assert found == (exact.kind, exact.reasons), where
                counts[exact.kind] += 1
            if asked is not declared:
                # What no policy reads need not be what Cedar could read.
                counts["spoilt"] += 1
                continue
            allowed, reasons, erring = whole(image, asked)
            assert {numbered[one] for one in erring} == {one.rule for one in exact.errors}, where
            if not erring:
                assert (allowed, {numbered[one] for one in reasons}) == (exact.allowed, set(exact.reasons)), (
                    where
                )
    return counts


def worded(decision: Decision) -> Decision:
    """Return a decision without what Cedar words now so and now otherwise: which entity of a cycle it names."""
    errors = [
        replace(one, message=re.sub(r"containing vertex .*", "", one.message)) for one in decision.errors
    ]
    return replace(decision, errors=tuple(errors))


def _long(engine: CedarEngine, asked: Request) -> Decision:
    try:
        return engine._long(asked)
    except Exception:  # `decide` makes a deny of it
        return engine.decide(asked)


def check(pairs: int) -> None:
    seed = int(os.environ.get("REMIT_FUZZ_SEED", random.SystemRandom().randrange(2**32)))
    counts = compare(seed, pairs)
    for what in ("long way", "spoilt", "errs", "allowed", "forbidden", "not_permitted"):
        assert counts[what] > pairs // 100, (seed, counts)


def test_both_ways_decide_alike_and_as_cedar_does_on_everything_at_once() -> None:
    check(PAIRS)


def test_no_bound_on_what_is_kept_and_no_size_of_a_pool_changes_a_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for where, name, value in (
        *((pools, "MAX_STEPS", 2), (pools, "MAX_TABLE", 3), (pools, "MANY", 3), (door, "MAX_READY", 2)),
        *(
            (door, "MAX_SPENT", 2),
            (door, "CUT", -6),
            (slices, "MIN_KEPT", 4),
            (slices, "SHARE_KEPT", 1),
            (binding, "MAX_ENTITIES", 3),
        ),
    ):
        monkeypatch.setattr(where, name, value)
    check(PAIRS)


def test_without_cedarpys_inner_call_the_public_one_gives_the_same_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binding, "RAW", None)
    check(PAIRS // 3)


def test_the_inner_call_of_this_cedarpy_is_used() -> None:
    assert binding.RAW is not None


@pytest.mark.parametrize(
    "call",
    [
        lambda *_: '{"decision":"Allow"}',
        lambda *_: "",
        lambda *_: {}["no"],
        lambda *asked: cedarpy._internal.is_authorized_batch([asked[0]], *asked[1:]),
        lambda *asked: json.dumps(json.loads(_inner(*asked)) | {"diagnostics": {}}),
        lambda *asked: _inner(*asked).replace("NoDecision", "Deny"),
        lambda *asked: _inner(*asked).replace("Deny", "Allow"),
        lambda *asked: _inner(*asked).replace('"errors":[', '"errors":[],"others":['),
        lambda *asked: _inner(*asked).replace('"reason":[', '"reason":[],"others":['),
    ],
)
def test_an_inner_call_that_answers_otherwise_than_expected_is_not_used(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cedarpy._internal, "is_authorized", call)
    assert binding.raw_call() is None


_inner = cedarpy._internal.is_authorized


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ("context.b != 1", True),
        ("context.b == 1", False),
        ("[1].contains(context.b)", False),
        ("context.n != true", True),
        ("context.n == true", False),
        ("[true].contains(context.n)", False),
        ("[true, 1].contains(context.n)", True),
        ('context.n != "1"', True),
    ],
)
def test_true_is_not_one_and_one_is_not_a_text(condition: str, applies: bool) -> None:
    text = f'@id("a") permit(principal, action, resource) when {{ {condition} }};'
    engine = CedarEngine(
        PolicyImage(policies=text, schema=SCHEMA, schema_text="", rules={}, digest="sha256:00")
    )
    context = {"n": 1, "t": "", "b": True, "tags": [], "cap": 1, "caller": {"type": "Agent", "id": "a"}}
    asked = Request(
        principal=Entity(
            ref=EntityRef(type="Agent", id="a"), attributes={"n": 1, "t": "", "b": True, "inner": {"n": 1}}
        ),
        action="pay",
        resource=Entity(ref=EntityRef(type="Tool", id="t"), attributes={"t": ""}),
        context=context | {"inner": {"n": 1, "t": "", "b": True}},
    )
    found = ("allowed", ("a",)) if applies else ("not_permitted", ())
    assert (engine._short(asked), engine.decide(asked).allowed) == (found, applies)
