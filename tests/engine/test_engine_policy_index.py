"""The policy index: what it says of each policy, and that a wrong one is refused."""

from __future__ import annotations

import json
from typing import Any

import cedarpy
import pytest

from remit.engine.cedar import CedarEngine
from remit.engine.guards import Guard
from remit.engine.image import PolicyImage
from remit.engine.policy_index import ActionScope, EntityScope, PolicyIndex
from remit.engine.reads import EVERYTHING, read_paths
from remit.engine.request import Entity, EntityRef, Request
from remit.engine.schema import resolve_schema
from remit.errors import PolicyError

SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {"Agent": {}, "Tool": {}},
        "actions": {
            "call_tool": {},
            **{
                name: {
                    "memberOf": [{"id": "call_tool"}],
                    "appliesTo": {
                        "principalTypes": ["Agent"],
                        "resourceTypes": ["Tool"],
                        "context": {"type": "Record", "attributes": {"x": {"type": "Long"}}},
                    },
                }
                for name in ("pay", "search")
            },
        },
    }
}
TEXT = """
// every way to say what a policy is about; a ; in a comment
@id("any") permit(principal, action, resource);
@id("eq")
forbid(principal == Remit::Agent::"a", action == Remit::Action::"pay", resource == Remit::Tool::"t;")
when { context.x > 3 && context.x < 9 } unless { principal == resource };
@id("is") permit(principal is Remit::Agent, action in Remit::Action::"call_tool", resource is Remit::Tool in Remit::Team::"g")
when { 3 >= context.x };
@id("in") permit(principal in Remit::Team::"g", action in [Remit::Action::"pay", Other::Action::"pay"], resource)
unless { context.x == 1 };
@id("tag") permit(principal, action == Other::Action::"pay", resource) when { principal.hasTag("x") };
@id("groups") permit(principal, action, resource) when { action in Remit::Action::"call_tool" };
"""


def image(text: str) -> PolicyImage:
    return PolicyImage(policies=text, schema=SCHEMA, schema_text="", rules={}, digest="sha256:00")


def asked(**context: Any) -> Request:
    return Request(
        principal=Entity(ref=EntityRef(type="Agent", id="a")),
        action="pay",
        resource=Entity(ref=EntityRef(type="Tool", id="t")),
        context=context,
    )


def test_an_index_says_when_each_policy_can_apply_and_where_it_stands() -> None:
    index = PolicyIndex.of(image(TEXT))
    by_rule = {policy.rule: policy for policy in index.policies}
    assert list(by_rule) == ["any", "eq", "is", "in", "tag", "groups"]
    assert by_rule["any"][3:8] == (ActionScope(None, False), EntityScope(), EntityScope(), (), frozenset())
    assert by_rule["eq"][3:8] == (
        ActionScope(("pay",), False),
        EntityScope("Remit::Agent", "a"),
        EntityScope("Remit::Tool", "t;"),
        (Guard(("context", "x"), ">", (3,)), Guard(("context", "x"), "<", (9,))),
        {("context", "x"), ("principal",), ("resource",)},
    )
    assert by_rule["is"][3:7] == (
        ActionScope(("call_tool",), True),
        EntityScope("Remit::Agent"),
        EntityScope("Remit::Tool", None, ("Remit::Team", "g")),
        (Guard(("context", "x"), "<=", (3,)),),
    )
    assert by_rule["in"][3:7] == (
        ActionScope(("pay",), True),
        EntityScope(None, None, ("Remit::Team", "g")),
        EntityScope(),
        (),
    )
    assert by_rule["tag"].action == ActionScope((), False)
    assert [rule for rule, policy in by_rule.items() if policy.acts] == ["groups"]
    for policy in index.policies:
        (alone,) = (
            cedarpy.PolicySet.from_str(TEXT[policy.start : policy.end]).to_pst().static_policies.values()
        )
        assert alone.annotations["id"] == policy.rule


X, Y = ("context", "x"), ("principal", "a", "b")
IS_1, IS_T = Guard(X, "==", (1,)), Guard(Y, "==", ("t",))


@pytest.mark.parametrize(
    ("clauses", "guards"),
    [
        ("when { context.x == 1 }", (IS_1,)),
        ("when { -5 < context.x }", (Guard(X, ">", (-5,)),)),
        ("when { 5 >= context.x && 5 != context.x }", (Guard(X, "<=", (5,)), Guard(X, "!=", (5,)))),
        ('when { context.x == 1 && (principal.a.b == "t" && context has y) && true }', (IS_1, IS_T)),
        ('when { context.x == 1 } when { principal.a.b == "t" }', (IS_1, IS_T)),
        ('when { context.x == 1 && context has y } when { principal.a.b == "t" }', (IS_1,)),
        ('when { context.x == 1 } unless { principal.a.b == "t" }', (IS_1,)),
        ('unless { context.x == 1 } when { principal.a.b == "t" }', ()),
        ('when { resource["a b"] == true }', (Guard(("resource", "a b"), "==", (True,)),)),
        ("when { context.x && !principal.a.b }", (Guard(X, "==", (True,)), Guard(Y, "==", (False,)))),
        ("when { [1, 2].contains(context.x) }", (Guard(X, "in", (1, 2)),)),
        ("when { [].contains(context.x) }", (Guard(X, "in", ()),)),
        ("when { [1, context.y].contains(context.x) }", ()),
        ("when { context.x.contains(1) }", ()),
        ("when { context.x == 1 || context.x == 2 }", ()),
        ("when { !(context.x == 1) }", ()),
        ("when { context.x == context.y && true }", ()),
        ("when { 1 == 1 }", ()),
        ("when { context has x && context.x == 1 }", ()),
        ("when { if context.x == 1 then true else false }", ()),
        ('when { principal == Remit::Agent::"a" }', ()),
        ('when { Remit::Agent::"a".n == 1 }', ()),
        ("when { {x: 1}.x == 1 }", ()),
        ("when { action.x == 1 }", ()),
        ('when { context.x like "a" }', ()),
    ],
)
def test_only_comparisons_that_come_before_all_else_are_guards(
    clauses: str, guards: tuple[Guard, ...]
) -> None:
    (policy,) = PolicyIndex.of(image(f'@id("a") permit(principal, action, resource) {clauses};')).policies
    assert [(g, [*map(type, g.constants)]) for g in policy.guards] == [
        (g, [*map(type, g.constants)]) for g in guards
    ]


def test_an_index_reads_back_as_it_was_written() -> None:
    index = PolicyIndex.of(image(TEXT))
    again = PolicyIndex.from_bytes(index.to_bytes())
    assert (again, again.to_bytes()) == (index, index.to_bytes())
    again.check(image(TEXT))


def test_actions_read_by_the_index_what_they_read_by_the_tree() -> None:
    on = image(TEXT)
    assert PolicyIndex.of(on).reads(resolve_schema(SCHEMA).actions) == read_paths(on)


def test_a_policy_without_a_syntax_tree_can_always_apply_and_reads_everything() -> None:
    chain = " || ".join(f"context.x == {n}" for n in range(150))
    text = f'@id("deep") permit(principal, action == Remit::Action::"pay", resource) when {{ {chain} }};'
    on = image(TEXT + text)
    deep = PolicyIndex.of(on).policies[-1]
    assert deep[3:8] == (ActionScope(None, False), EntityScope(), EntityScope(), (), EVERYTHING)
    assert PolicyIndex.of(on).reads(resolve_schema(SCHEMA).actions) == read_paths(on)
    with pytest.raises(PolicyError, match="policy `policy0` nests too deeply, and has no plain `@id`"):
        PolicyIndex.of(image(text.replace('"deep"', '"a \\" b"')))


def test_an_engine_with_an_index_decides_as_one_that_makes_it() -> None:
    on = image('@id("go") permit(principal, action, resource) when { context.x > 3 };')
    index = PolicyIndex.from_bytes(PolicyIndex.of(on).to_bytes())
    for x in (3, 4, "4"):
        assert CedarEngine(on, index=index).decide(asked(x=x)) == CedarEngine(on).decide(asked(x=x))


def test_an_index_of_other_policies_is_refused() -> None:
    index = PolicyIndex.of(image(TEXT))
    with pytest.raises(PolicyError, match="the policy index belongs to other policies"):
        CedarEngine(image(TEXT + "\n"), index=index)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda _: b"", "the policy index cannot be read: JSONDecodeError"),
        (lambda _: b"[" * 100_000, "the policy index cannot be read: RecursionError"),
        (lambda data: data[:-20], "the policy index cannot be read: JSONDecodeError"),
        (lambda _: b"[]", "the policy index cannot be read: TypeError"),
        (lambda data: data.replace(b"policy-index", b"another"), "the policy index is of another version"),
        (
            lambda data: json.dumps(json.loads(data) | {"policies": [["a", 1]]}).encode(),
            "the policy index cannot be read: ValueError",
        ),
        (
            lambda data: json.dumps(json.loads(data) | {"reads": []}).encode(),
            "the policy index cannot be read: IndexError",
        ),
    ],
)
def test_bytes_that_are_no_index_are_refused_in_one_sentence(spoil: Any, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        PolicyIndex.from_bytes(spoil(PolicyIndex.of(image(TEXT)).to_bytes()))


def test_policies_are_indexed_alike_however_many_there_are() -> None:
    text = "\n".join(
        f'@id("r{n}") permit(principal, action, resource) when {{ {n} < context.x }};' for n in range(450)
    )
    found = PolicyIndex.of(image(text)).policies
    assert [(policy.rule, policy.guards) for policy in found] == [
        (f"r{n}", (Guard(("context", "x"), ">", (n,)),)) for n in range(450)
    ]


@pytest.mark.parametrize("place", [0, 250])
@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("permit(principal, action, resource);", "policy `policy{0}` has no `@id`"),
        ('@id("") permit(principal, action, resource);', "policy `policy{0}` has no `@id`"),
        ('@id("r1") permit(principal, action, resource);', "the policy id `r1` is used twice"),
        (
            '@id("a") permit(principal in ?principal, action, resource);',
            "the policy image holds a policy template",
        ),
        ('@id("a") permit(principal, action);', "the policy image does not parse"),
    ],
)
def test_what_no_engine_loads_is_not_indexed(policy: str, why: str, place: int) -> None:
    lines = [f'@id("r{n}") permit(principal, action, resource);' for n in range(1, 401)]
    lines.insert(place, policy)
    with pytest.raises(PolicyError, match=why.format(place)):
        PolicyIndex.of(image("\n".join(lines)))
