"""Compiled policies decide as Cedar does: construct by construct, Cedar's own tests, and the corpus."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

import pytest
import test_engine_cedar_tests as cedar_tests
import test_engine_corpus as corpus

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.engine import CompiledEngine
from remit.engine.compiled.extensions import (
    parse_datetime,
    parse_decimal,
    parse_duration,
    parse_ip,
    read_datetime,
)
from remit.engine.compiled.support import Unsupported
from remit.engine.image import PolicyImage, image_digest
from remit.engine.port import Engine
from remit.engine.request import Decision, Entity, EntityRef, Request
from remit.errors import PolicyError

if TYPE_CHECKING:
    from pathlib import Path


def typed(name: str, *, required: bool = False) -> dict[str, Any]:
    if name in {"decimal", "datetime", "duration", "ipaddr"}:
        return {"type": "Extension", "name": name, "required": required}
    return {"type": name, "required": required}


def record(**attributes: Any) -> dict[str, Any]:
    return {"type": "Record", "required": False, "attributes": attributes}


def listed(element: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Set", "element": {**element, "required": True}, "required": False}


INPUT = {
    "long": typed("Long"),
    "other": typed("Long"),
    "text": typed("String"),
    "flag": typed("Boolean"),
    "amount": typed("decimal"),
    "time": typed("datetime"),
    "span": typed("duration"),
    "ip": typed("ipaddr"),
    "texts": listed(typed("String")),
    "longs": listed(typed("Long")),
    "amounts": listed(typed("decimal")),
    "who": {"type": "Entity", "name": "Caller", "required": False},
    "nested": record(a=typed("Long"), deep=record(x=typed("String"), y=typed("decimal"))),
}
APPLIES = {
    "principalTypes": ["Agent", "Caller"],
    "resourceTypes": ["Tool", "Agent"],
    "context": {
        "type": "Record",
        "attributes": {
            "now": typed("datetime", required=True),
            "caller": {"type": "Entity", "name": "Caller"},
            "input": {"type": "Record", "attributes": INPUT},
        },
    },
}
SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {
            "Org": {},
            "Team": {"memberOfTypes": ["Team", "Org"]},
            "Agent": {
                "memberOfTypes": ["Team"],
                "shape": {
                    "type": "Record",
                    "attributes": {"tier": typed("Long", required=True), "cap": typed("decimal")},
                },
            },
            "Caller": {
                "shape": {
                    "type": "Record",
                    "attributes": {
                        "kind": typed("String", required=True),
                        "manager": {"type": "Entity", "name": "Caller", "required": False},
                    },
                }
            },
            "Tool": {},
        },
        "actions": {
            "call_tool": {},
            "pay": {"memberOf": [{"id": "call_tool"}], "appliesTo": APPLIES},
            "search": {"memberOf": [{"id": "call_tool"}], "appliesTo": APPLIES},
        },
    }
}
ANN = Entity(ref=EntityRef(type="Caller", id="ann"), attributes={"kind": "user"})


def image(text: str, schema: dict[str, Any] = SCHEMA) -> PolicyImage:
    return PolicyImage(
        policies=text, schema=schema, schema_text="", rules={}, digest=image_digest(text, schema)
    )


def rules(*conditions: str) -> PolicyImage:
    text = '@id("all") permit(principal, action, resource);\n' + "\n".join(
        f'@id("rule-{n}") forbid(principal, action, resource) when {{ {condition} }};'
        for n, condition in enumerate(conditions)
    )
    return image(text)


def request(action: str = "pay", **given: Any) -> Request:
    values: dict[str, Any] = {
        "principal": Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": 1}),
        "action": action,
        "resource": Entity(ref=EntityRef(type="Tool", id=action)),
        "context": {
            "now": given.pop("now", "2026-01-01T00:00:00.000Z"),
            "caller": {"type": "Caller", "id": "ann"},
            "input": given.pop("input", {}),
        },
        "entities": (ANN,),
    }
    return Request(**(values | given))


def same(on: PolicyImage, asked: Request, *, left: bool = False) -> Decision:
    """Return the decision, having seen that both engines give it, and by which part of the compiled one."""
    engine, reference = CompiledEngine(on), CedarEngine(on)
    decision, wanted = engine.decide(asked), reference.decide(asked)
    assert dataclasses.replace(decision, engine=wanted.engine) == wanted
    assert decision.engine == engine.name
    outcome = engine.outcome(asked)
    assert (outcome is None) == left, outcome
    if outcome is not None:
        assert outcome.kind == wanted.kind
        assert outcome.reasons == wanted.reasons
        assert outcome.erring == frozenset(failure.rule for failure in wanted.errors)
    return decision


TRUE_FALSE_ERROR = [
    ("context.input.long < 5", {"long": 4}, {"long": 5}, {}),
    ("context.input.long >= 5 && context.input.long <= 7", {"long": 7}, {"long": 8}, {}),
    ("context.input.long + 1 == 5", {"long": 4}, {"long": 5}, {"long": 2**63 - 1}),
    ("context.input.long - 1 == 5", {"long": 6}, {"long": 5}, {"long": -(2**63)}),
    ("context.input.long * 2 == 8", {"long": 4}, {"long": 5}, {"long": 2**62}),
    ("-context.input.long == 8", {"long": -8}, {"long": 8}, {"long": -(2**63)}),
    ("context.input.long == context.input.other", {"long": 1, "other": 1}, {"long": 1, "other": 2}, {"long": 1}),
    ('context.input.text == "a"', {"text": "a"}, {"text": "b"}, {}),
    ('context.input.text like "a*\\*c"', {"text": "ab*c"}, {"text": "abc"}, {}),
    ("context.input.flag", {"flag": True}, {"flag": False}, {}),
    ('context.input.amount.lessThan(decimal("0.5"))', {"amount": 0.4999}, {"amount": 0.5}, {}),
    ('context.input.amount == decimal("1.00")', {"amount": 1}, {"amount": 1.1}, {}),
    ('context.input.time < datetime("2026-01-01")', {"time": "2025-12-31T23:59:59.999Z"}, {"time": "2026-01-01"}, {}),
    ('context.input.span > duration("1h")', {"span": "61m"}, {"span": "60m"}, {}),
    ('context.input.time.offset(context.input.span) == datetime("1970-01-02")', {"time": "1970-01-01", "span": "1d"}, {"time": "1970-01-01", "span": "1h"}, {"time": "1970-01-01"}),
    ("context.input.time.durationSince(context.now).toDays() == -1", {"time": "2025-12-30T12:00:00Z"}, {"time": "2025-12-31T12:00:00Z"}, {}),
    ('context.input.ip.isInRange(ip("10.0.0.0/8"))', {"ip": "10.1.0.0/16"}, {"ip": "10.0.0.0/7"}, {}),
    ('context.input.texts.contains("a")', {"texts": ["b", "a"]}, {"texts": []}, {}),
    ('context.input.texts.containsAll(["a", "b"])', {"texts": ["b", "a", "c"]}, {"texts": ["a"]}, {}),
    ('context.input.texts.containsAny(["a", "b"])', {"texts": ["b"]}, {"texts": ["c"]}, {}),
    ("context.input.texts.isEmpty()", {"texts": []}, {"texts": ["a"]}, {}),
    ("context.input.longs == [1, 2]", {"longs": [2, 1, 2]}, {"longs": [1]}, {}),
    ('context.input.amounts.contains(decimal("1.5"))', {"amounts": [1.5]}, {"amounts": [15000]}, {}),
    ("context.input.nested == {a: 1}", {"nested": {"a": 1}}, {"nested": {"a": 1, "deep": {}}}, {}),
    ('context.input.nested.deep == {x: "a", y: decimal("1.0")}', {"nested": {"deep": {"x": "a", "y": 1.0}}}, {"nested": {"deep": {"x": "a"}}}, {"nested": {}}),
    ("[context.input.nested].contains({a: 1})", {"nested": {"a": 1}}, {"nested": {}}, {}),
    ('context.input.who == Remit::Caller::"ann"', {"who": {"type": "Caller", "id": "ann"}}, {"who": {"type": "Caller", "id": "bob"}}, {}),
    ('context.input.who.kind == "user"', {"who": {"type": "Caller", "id": "ann"}}, None, {}),
    ("if context.input.flag then context.input.long > 1 else true", {"flag": False}, {"flag": True, "long": 1}, {"flag": True}),
    ("(if context.input has nested then context.input.nested else {a: 5}).a > 3", {}, {"nested": {"a": 3}}, {"nested": {}}),
    ("{a: context.input.long, b: true}.a == 5", {"long": 5}, {"long": 6}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "true", "false", "errs"), TRUE_FALSE_ERROR, ids=[c[0] for c in TRUE_FALSE_ERROR]
)
def test_a_condition_is_true_false_or_an_error_where_cedar_says_so(
    condition: str, true: dict[str, Any], false: dict[str, Any] | None, errs: dict[str, Any]
) -> None:
    assert same(rules(condition), request(input=true)).kind == "forbidden"
    if false is not None:
        assert same(rules(condition), request(input=false)).kind == "allowed"
    assert same(rules(condition), request(input=errs)).kind == "error"


NEVER_ERRS = [
    ("context.input has long && context.input.long > 3", {"long": 4}, {}),
    ("context.input has nested.deep.x", {"nested": {"deep": {"x": ""}}}, {"nested": {}}),
    ("context.input has nested && context.input.nested has deep && context.input.nested.deep has y", {"nested": {"deep": {"y": 1}}}, {"nested": {"deep": {}}}),
    ("!(context.input has text)", {}, {"text": ""}),
    ("principal has cap", None, {}),
    ("context has bogus", None, {}),
    ('Remit::Agent::"nobody" has tier', None, {}),
    ('action in Remit::Action::"call_tool"', {}, None),
    ('Remit::Action::"search" in Remit::Action::"call_tool"', None, {}),
    ("principal is Remit::Agent", {}, None),
    ("principal is Remit::Caller in principal", None, {}),
    ("1 == true", None, {}),
    ("[1, true].containsAll([true])", {}, None),
    ("[[true]].contains([1])", None, {}),
    ('[ip("10.0.0.1")].contains(ip("10.0.0.1/32"))', {}, None),
    ('datetime("1970-01-01") == duration("0ms")', None, {}),
    ("true || 1", {}, None),
    ("false && 1", None, {}),
    ('principal.hasTag("x")', None, {}),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "true", "false"), NEVER_ERRS, ids=[c[0] for c in NEVER_ERRS])
def test_what_does_not_err_in_cedar_does_not_err_here(
    condition: str, true: dict[str, Any] | None, false: dict[str, Any] | None
) -> None:
    if true is not None:
        assert same(rules(condition), request(input=true)).kind == "forbidden"
    if false is not None:
        assert same(rules(condition), request(input=false)).kind == "allowed"


ALWAYS_ERRS = [
    "1", "true && 1", "!1", "1 < true", '"a" < "b"', 'decimal("1.0") < decimal("2.0")', "context.input + 1 == 2",
    "if 1 then true else false", '1 like "a"', "1 is Remit::Agent", "1 in principal", "principal in 1",
    "principal in [principal, 1]", "principal.contains(1)", "1 has a", "[] has a", "{a: 1} has a.b", "{a: 1}.b == 1",
    "principal.bogus == 1", "action.x == 1", 'Remit::Agent::"nobody".tier == 1', 'principal.getTag("x") == 1',
    "principal.hasTag(1)", 'decimal("1.23456") == decimal("1.0")', 'datetime("2026-02-30") == datetime("2026-01-01")',
    'duration("") == duration("0ms")', 'ip("nope").isIpv4()', '"x".isIpv4()', "-(-9223372036854775808) == 1",
    'datetime("1970-01-01").offset(duration("9223372036854775807ms")).offset(duration("1ms")) == datetime("1970-01-01")',
    'datetime("1970-01-01").offset(duration("-9223372036854775800ms")).toDate() == datetime("1970-01-01")',
    "[1].containsAll(1)", "principal.isEmpty()",
]  # fmt: skip


@pytest.mark.parametrize("condition", ALWAYS_ERRS)
def test_what_errs_in_cedar_errs_here_and_is_worded_by_cedar(condition: str) -> None:
    decision = same(rules(condition, "false"), request())
    assert [failure.rule for failure in decision.errors] == ["rule-0"]
    assert decision.errors[0].message


def test_an_error_beside_a_forbid_that_applies_names_both() -> None:
    decision = same(rules("context.input.long > 1", "true"), request())
    assert (decision.kind, decision.reasons) == ("error", ("rule-1",))


HIERARCHY = image(
    """
    @id("all") permit(principal, action, resource);
    @id("team") forbid(principal in Remit::Team::"t1", action, resource);
    @id("typed") forbid(principal is Remit::Agent in Remit::Org::"o1", action, resource);
    @id("when") forbid(principal, action, resource) when { principal in [Remit::Team::"t9", Remit::Team::"t3"] };
    """
)


@pytest.mark.parametrize(
    ("parents", "teams", "reasons"),
    [
        ((), {}, ("all",)),
        (("t1",), {}, ("team",)),
        (("t2",), {"t2": ("t1",)}, ("team",)),
        (("t2", "t3"), {"t2": ("t4",), "t4": ("t1",)}, ("team", "when")),
        (("t2",), {"t2": ("o:o1",)}, ("typed",)),
        (("t2",), {}, ("all",)),
    ],
)
def test_membership_is_transitive(
    parents: tuple[str, ...], teams: dict[str, tuple[str, ...]], reasons: tuple[str, ...]
) -> None:
    def refs(names: tuple[str, ...]) -> tuple[EntityRef, ...]:
        return tuple(
            EntityRef(type="Org" if name.startswith("o:") else "Team", id=name.removeprefix("o:"))
            for name in names
        )

    principal = Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": 1}, parents=refs(parents))
    others = tuple(
        Entity(ref=EntityRef(type="Team", id=name), parents=refs(above)) for name, above in teams.items()
    )
    assert same(HIERARCHY, request(principal=principal, entities=(ANN, *others))).reasons == reasons


def test_a_cycle_or_a_parent_of_a_wrong_type_is_the_reference_engines_to_refuse() -> None:
    loop = Entity(ref=EntityRef(type="Team", id="t"), parents=(EntityRef(type="Team", id="t"),))
    engine = CompiledEngine(HIERARCHY)
    asked = request(entities=(ANN, loop))
    assert engine.outcome(asked) is None
    assert engine.decide(asked).kind == "error"
    wrong = Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": 1}, parents=(ANN.ref,))
    assert engine.outcome(request(principal=wrong)) is None
    assert engine.decide(request(principal=wrong)).kind == "error"


READS_MUCH = rules(
    "context.input has long && context.input.long > 3",
    'context.input has amount && context.input.amount.lessThan(decimal("0.0"))',
    "context.input has nested && context.input.nested == {a: 7}",
    "context.input has texts && context.input.texts.isEmpty()",
    'context.input has ip && context.input.ip.isLoopback() && context.now < datetime("2020-01-01")',
    'context.caller.kind == "service"',
)
FAULTS: list[dict[str, Any]] = [
    {"input": {"long": True}}, {"input": {"long": 1.0}}, {"input": {"long": 2**63}}, {"input": {"long": None}},
    {"input": {"amount": 0.12345}}, {"input": {"amount": "1.0"}}, {"input": {"amount": float("nan")}},
    {"input": {"nested": {"a": 1, "b": 2}}}, {"input": {"nested": []}}, {"input": {"texts": ["a", 1]}},
    {"input": {"texts": ["\ud800"]}}, {"input": {"ip": "::ffff:1.2.3.4"}}, {"input": []}, {"now": "tomorrow"},
    {"now": "2026-01-01T24:00:00.000Z"}, {"now": "2026-13-01T00:00:00.000Z"}, {"now": 1}, {"entities": ()},
    {"principal": Entity(ref=EntityRef(type="Agent", id="a"))},
    {"principal": Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": True})},
    {"principal": Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": 1, "more": 1})},
    {"principal": Entity(ref=EntityRef(type="Agent", id="\ud800"), attributes={"tier": 1})},
    {"principal": Entity(ref=EntityRef(type="Tool", id="a"))}, {"principal": Entity(ref=EntityRef(type="Nope", id="a"))},
    {"resource": Entity(ref=EntityRef(type="Org", id="a"))}, {"action": "nope"}, {"action": "call_tool"},
    {"entities": (ANN, dataclasses.replace(ANN, attributes={"kind": "service"}))},
    {"context": {"caller": {"type": "Caller", "id": "ann"}, "input": {}}},
    {"context": {"now": "2026-01-01", "caller": {"type": "Caller", "id": "ann", "more": 1}, "input": {}}},
    {"context": {"now": "2026-01-01", "caller": {"type": "Agent", "id": "ann"}, "input": {}}},
]  # fmt: skip


@pytest.mark.parametrize("given", FAULTS, ids=[str(n) for n in range(len(FAULTS))])
def test_a_fault_in_a_request_is_left_to_the_reference_engine_and_worded_by_it(given: dict[str, Any]) -> None:
    decision = same(READS_MUCH, request(**given), left=True)
    assert decision.kind == "error"
    assert all(not failure.rule for failure in decision.errors)


def test_what_no_policy_reads_need_not_be_representable() -> None:
    assert same(
        rules("context.input has long && context.input.long > 3"), request(input={"text": object(), "x": 1})
    ).allowed


def test_the_same_entity_may_be_given_again() -> None:
    principal = Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": 1})
    again = Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": 1})
    assert same(
        rules("principal.tier > 1"), request(principal=principal, entities=(ANN, again, principal))
    ).allowed


SCOPES = image(
    """
    @id("go") permit(principal, action, resource);
    @id("pay") forbid(principal, action == Remit::Action::"pay", resource) when { context.input.long == 1 };
    @id("group") forbid(principal, action in Remit::Action::"call_tool", resource == Remit::Tool::"t") when { context.input.long == 1 };
    @id("agent") forbid(principal, action, resource is Remit::Agent);
    @id("other") forbid(principal == Remit::Agent::"b", action, resource) when { principal.tier > 1 };
    @id("both") permit(principal == Remit::Agent::"b", action, resource == Remit::Tool::"t") when { principal.tier > 0 };
    @id("elsewhere") forbid(principal, action == Other::Action::"pay", resource);
    """
)


@pytest.mark.parametrize("action", ["pay", "search"])
@pytest.mark.parametrize("principal", ["a", "b"])
@pytest.mark.parametrize("resource", [("Tool", "t"), ("Tool", "u"), ("Agent", "a")])
@pytest.mark.parametrize("given", [{"long": 1}, {"long": 2}, {}])
@pytest.mark.parametrize("tier", [1, 2])
def test_only_policies_whose_scope_matches_are_asked(
    action: str, principal: str, resource: tuple[str, str], given: dict[str, Any], tier: int
) -> None:
    kind, name = resource
    attributes = {"tier": tier} if kind == "Agent" else {}
    one = Entity(ref=EntityRef(type="Agent", id=principal), attributes={"tier": tier})
    other = (
        one
        if (kind, name) == ("Agent", principal)
        else Entity(ref=EntityRef(type=kind, id=name), attributes=attributes)
    )
    same(SCOPES, request(action, principal=one, resource=other, input=given))


BOUNDS = (0, 5, 5, 7, 2**63 - 1, -(2**63))


@pytest.mark.parametrize("order", ["<", "<=", ">", ">=", "=="])
@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_many_bounds_on_one_path_give_all_reasons(order: str, effect: str) -> None:
    text = "\n".join(
        f'@id("r{n}") {effect}(principal, action, resource) when {{ context.input has long && context.input.long {order} {f"({bound})" if bound < 0 else bound} && context.input has flag }};'
        for n, bound in enumerate(BOUNDS)
    )
    for value in {
        value for bound in BOUNDS for value in (bound - 1, bound, bound + 1) if -(2**63) <= value < 2**63
    }:
        same(image(text), request(input={"long": value, "flag": True}))
        same(image(text), request(input={"long": value}))
    same(image(text), request(input={"flag": True}))


def test_many_constants_on_one_path_give_all_reasons_and_what_else_they_want() -> None:
    text = "\n".join(
        f'@id("r{n}") permit(principal, action, resource) when {{ context.input has text && context.input.text == "{n % 7}" && context.input has long && context.input.long > {n} }};'
        for n in range(40)
    )
    on = image(text)
    for text_given in ("0", "3", "6", "7", ""):
        for long in (-1, 0, 3, 20, 50):
            same(on, request(input={"text": text_given, "long": long}))
    same(on, request(input={"long": 3}))
    same(on, request(input={"text": "3"}))


@pytest.mark.parametrize(
    "text",
    [
        '@id("p") permit(principal is Remit::Agent, action, resource) when { principal.tier > 1 };',
        '@id("f") forbid(principal is Remit::Agent, action, resource) when { principal.tier > 1 };',
        '@id("e") forbid(principal is Remit::Agent, action, resource) when { principal.tier + 9223372036854775807 > 0 };',
        '@id("e") permit(principal is Remit::Agent, action, resource) when { principal.tier + 9223372036854775807 > 0 };',
        '@id("f") forbid(principal, action == Remit::Action::"search", resource);',
    ],
)
def test_images_that_only_permit_or_forbid_or_err_are_decided_alike(text: str) -> None:
    for tier in (0, 1, 2):
        same(
            image(text),
            request(principal=Entity(ref=EntityRef(type="Agent", id="a"), attributes={"tier": tier})),
        )


def test_equal_outcomes_are_one_value_and_the_engine_keeps_few_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from remit.engine.compiled import outcomes

    engine = CompiledEngine(rules("context.input has long && context.input.long > 3"))
    assert engine.decide(request()) is engine.decide(request(input={"long": 1}))
    monkeypatch.setattr(outcomes, "MAX_KEPT", 8)
    many = CompiledEngine(rules(*(f"context.input has long && context.input.long > {n}" for n in range(30))))
    for _ in range(2):
        for long in range(31):
            assert len(many.decide(request(input={"long": long})).reasons) == (long or 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("permit(principal, action, resource);", "policy `policy0` has no `@id`"),
        ('@id("a") permit(principal, action, resource); @id("a") permit(principal, action, resource);', "used twice"),
        ('@id("a") permit(principal == ?principal, action, resource);', "template"),
        ('@id("deep") permit(principal, action, resource) when { ' + "!(" * 60 + "true" + ")" * 60 + " };", "policy `deep` nests"),
        ('@id("sum") permit(principal, action, resource) when { 1' + "+1" * 120 + " == 2 };", "no syntax tree"),
    ],
)  # fmt: skip
def test_what_the_compiler_does_not_take_is_named_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        CompiledEngine(image(text))


def test_members_that_cedars_json_reserves_are_not_compiled() -> None:
    schema = {
        "Remit": {
            "entityTypes": {"Agent": {}},
            "actions": {"pay": {"appliesTo": {"principalTypes": ["Agent"], "resourceTypes": ["Agent"], "context": record(__extn=typed("String"))}}},
        }
    }  # fmt: skip
    with pytest.raises(Unsupported, match="`__extn`"):
        CompiledEngine(image('@id("a") permit(principal, action, resource);', schema))


def test_a_chain_of_alternatives_is_compiled() -> None:
    chain = " || ".join(f'context.input.text == "{n}"' for n in range(90))
    assert same(rules(chain), request(input={"text": "89"})).kind == "forbidden"
    assert same(rules(chain), request(input={"text": "90"})).kind == "allowed"


NESTED = {
    "not": lambda n: "!(" * n + "context.input.flag" + ")" * n,
    "if": lambda n: "(if context.input.flag then " * n + "true" + " else context.input.flag)" * n,
    "sum": lambda n: "(context.input.long + " * n + "1" + ")" * n + " == 2",
    "and or": lambda n: (
        "(context.input.flag && (context.input.flag || " * (n // 2) + "true" + "))" * (n // 2)
    ),
    "sets": lambda n: "[context.input.long, " * n + "1" + "]" * n + " == []",
    "records": lambda n: "{a: context.input.long, b: " * n + "1" + "}" * n + " == {a: 1}",
    "calls": lambda n: "context.input.time" + ".offset(context.input.span)" * n + " > context.now",
    "in": lambda n: (
        "(if principal in " * n + "resource" + " then principal else resource)" * n + " == principal"
    ),
    "like": lambda n: '(if context.input.text like "a*" then ' * n + "true" + " else false)" * n,
}


@pytest.mark.parametrize("shape", NESTED)
def test_what_the_compiler_takes_however_deep_python_takes_too(shape: str) -> None:
    deepest = 0
    for n in range(2, 60, 2):
        on = rules(NESTED[shape](n))
        try:
            engine = CompiledEngine(on)
        except Unsupported:
            break
        deepest = n
        assert engine.outcome(request(input={"flag": True, "long": 1, "text": "a"})) is not None, n
    same(rules(NESTED[shape](deepest)), request(input={"flag": True, "long": 1, "text": "a"}))
    assert deepest >= 18


def test_an_image_that_does_not_load_is_refused() -> None:
    with pytest.raises(PolicyError, match="nests too deeply"):
        CompiledEngine(
            image(
                '@id("a") permit(principal, action, resource) when { '
                + "(" * 3000
                + "true"
                + ")" * 3000
                + " };"
            )
        )


def test_an_empty_image_denies_everything() -> None:
    assert same(image(""), request(), left=True).kind == "error"


def test_the_engine_implements_the_port() -> None:
    engine = CompiledEngine(rules())
    assert isinstance(engine, Engine)
    assert engine.name == "compiled 1"


def test_nothing_that_is_asked_makes_it_raise() -> None:
    engine = CompiledEngine(READS_MUCH)
    for wrong in (None, 1, "x", [], {}, object()):
        for name in ("principal", "action", "resource", "context", "entities"):
            assert engine.decide(dataclasses.replace(request(), **{name: wrong})).verdict in {"allow", "deny"}


def test_threads_get_the_same_answers() -> None:
    text = "\n".join(
        f'@id("r{n}") permit(principal, action, resource == Remit::Tool::"t{n % 5}") when {{ context.input.long > {n} }};'
        for n in range(200)
    )
    engine = CompiledEngine(image(text))
    answers: list[int] = []

    def ask() -> None:
        for n in range(100):
            tool = Entity(ref=EntityRef(type="Tool", id=f"t{n % 5}"))
            answers.append(len(engine.decide(request(resource=tool, input={"long": 1000})).reasons))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [40] * 400


def test_the_fast_way_to_read_a_time_reads_what_the_long_way_reads() -> None:
    for text in ("2026-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00.001Z", "9999-12-31T23:59:59.999Z", "0000-02-29T12:00:00.000Z"):  # fmt: skip
        assert read_datetime(text) == parse_datetime(text)
    assert int(read_datetime("1970-01-01T00:00:00.001Z")) == 1
    assert int(read_datetime("1970-01-01T01:00:00+01:00")) == 0


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (parse_decimal, ["", "1", "1.", ".1", "+1.0", "1.00000", "922337203685477.5808", "9" * 30 + ".0", "٣.0", "1.0\n"]),
        (parse_datetime, ["", "2026-01-01T", "2026-01-01T00:00:00", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00.0Z", "2026-01-01T00:00:00+2400", "2026-00-01", "0000-02-30"]),
        (parse_duration, ["", "-", "1", "1h1d", "9223372036854775808ms", "9" * 30 + "d", "1ms\n", "1ms1s"]),
        (parse_ip, ["", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/08", "010.0.0.1", "::1%1", "::1.2.3.4", "1.1.1.1/32/1"]),
    ],
)  # fmt: skip
def test_text_that_cedar_does_not_read_is_refused(parse: Any, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError):
            parse(text)


@pytest.mark.skipif(
    not cedar_tests.FILES, reason="the corpus ../shared/data/cedar-tests is not part of a checkout of Remit"
)
@pytest.mark.parametrize(("path", "number"), cedar_tests.cases())
def test_compiled_policies_agree_with_cedars_own_tests(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cedar_tests, "CedarEngine", CompiledEngine)
    cedar_tests.test_the_engine_agrees_with_cedars_own_tests(path, number)


@pytest.mark.parametrize(("file", "case"), corpus.cases())
def test_compiled_policies_give_the_decision_the_reasons_and_the_errors_that_the_file_says(
    file: dict[str, Any], case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "CedarEngine", CompiledEngine)
    corpus.test_the_engine_gives_the_decision_the_reasons_and_the_errors_that_the_file_says(file, case)
