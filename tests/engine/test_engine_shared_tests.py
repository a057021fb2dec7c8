"""What policies on any action test is written once for all programs where it would be the same, and only there."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from remit.engine.cedar import CedarEngine
from remit.engine.compiled import program
from remit.engine.compiled.engine import CompiledEngine
from remit.engine.compiled.program import Written
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Decision, Entity, EntityRef, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

LONG, TEXT, FLAG = ({"type": name, "required": True} for name in ("Long", "String", "Boolean"))
CONTEXTS: Mapping[str, Mapping[str, Any]] = {
    "pay": {"x": LONG, "y": LONG},
    "refund": {"x": LONG, "y": LONG},
    "book": {"x": LONG, "y": {**LONG, "required": False}},
    "search": {"x": TEXT, "y": LONG},
    "look": {"y": LONG},
    "ask": {"x": FLAG, "y": TEXT},
}
VALUES: Mapping[str, tuple[Any, ...]] = {
    "Long": (0, 3, 4, 8, 12),
    "String": ("a", "b", "4"),
    "Boolean": (True, False),
}
SHAPES = (
    "context.x == 4",
    "context.x > {n}",
    "context.y > {n} && context.y != 8",
    "context has y && context.y < {n}",
)


def image(*more: str) -> PolicyImage:
    """Two dozen forbids on any action, which each action's context answers otherwise, and a permit for each."""
    forbids = [
        f'@id("f{n}") forbid(principal, action, resource) when {{ {SHAPES[n % len(SHAPES)].format(n=n)} }};'
        for n in range(24)
    ]
    permits = [
        f'@id("p{n}") permit(principal, action == Remit::Action::"{name}", resource) when {{ context.y != {n} }};'
        for n, name in enumerate(CONTEXTS)
        if name != "ask"
    ]
    actions = {
        name: {
            "appliesTo": {
                "principalTypes": ["Agent"],
                "resourceTypes": ["Tool"],
                "context": {"type": "Record", "attributes": attributes},
            }
        }
        for name, attributes in CONTEXTS.items()
    }
    schema: dict[str, Any] = {"Remit": {"entityTypes": {"Agent": {}, "Tool": {}}, "actions": actions}}
    text = "\n".join((*permits, *forbids, *more))
    return PolicyImage(
        policies=text, schema=schema, schema_text="", rules={}, digest=image_digest(text, schema)
    )


def requests(action: str) -> list[Request]:
    members = CONTEXTS[action]
    choices = [
        [(name, value) for value in VALUES[declared["type"]]] + ([] if declared["required"] else [None])
        for name, declared in members.items()
    ]
    return [
        Request(
            principal=Entity(ref=EntityRef(type="Agent", id="a")),
            action=action,
            resource=Entity(ref=EntityRef(type="Tool", id="t")),
            context=dict(one for one in some if one is not None),
        )
        for some in itertools.product(*choices)
    ]


def decided(engine: Any, request: Request) -> tuple[Any, ...]:
    decision: Decision = engine.decide(request)
    return (decision.kind, decision.reasons, decision.errors)


def compare(on: PolicyImage, order: tuple[str, ...]) -> CompiledEngine:
    reference, compiled = CedarEngine(on), CompiledEngine(on)
    for action in order:
        for request in requests(action):
            assert decided(compiled, request) == decided(reference, request), request
            assert compiled.run(request) is not None
    return compiled


@pytest.mark.parametrize("order", [tuple(CONTEXTS), tuple(CONTEXTS)[::-1]])
def test_programs_share_tests_only_where_the_schema_answers_alike(order: tuple[str, ...]) -> None:
    compiled = compare(image(), order)
    (variants,) = compiled._parts.tested.values()
    # `pay` and `refund` are alike; no two of the others are.
    assert len(variants) == len(CONTEXTS) - 1


def test_sharing_without_asking_the_schema_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def unasked(lines: Any, wanted: Any, constants: Any, _: Any) -> Written:
        return Written(lines, wanted, constants, {})

    monkeypatch.setattr(program, "Written", unasked)
    with pytest.raises(AssertionError):
        compare(image(), tuple(CONTEXTS))


def test_a_saved_engine_decides_as_the_one_that_shares() -> None:
    on = image()
    made = CompiledEngine(on)
    saved = made.save()
    assert saved is not None
    assert not made._parts.tested
    again = CompiledEngine(on, saved=saved)
    reference = CedarEngine(on)
    for action in CONTEXTS:
        for request in requests(action):
            assert decided(again, request) == decided(made, request) == decided(reference, request)


def test_what_depends_on_the_action_is_written_for_each() -> None:
    on = image(
        '@id("a") forbid(principal, action, resource) when { action == Remit::Action::"refund" };',
        '@id("b") forbid(principal, action, resource) unless { [action].contains(action) };',
    )
    compiled = compare(on, tuple(CONTEXTS))
    assert not any(compiled._parts.tested.values())


def test_policies_on_groups_of_actions_and_on_any_stand_beside_each_other() -> None:
    on = image(
        *(
            f'@id("g{n}") forbid(principal, action in [Remit::Action::"pay", Remit::Action::"search"], resource)'
            f" when {{ context.y == {n} }};"
            for n in range(8)
        )
    )
    compare(on, tuple(CONTEXTS))
    compare(on, ("search", "pay", "refund"))
