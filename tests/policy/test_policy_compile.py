from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_documents import cedar, document, full_document, lookup_tool, notes_block, refund_tool, rule

from remit.document.rules import Approve, Redact
from remit.engine.image import image_digest
from remit.errors import PolicyError
from remit.policy.compile import compile_governance
from remit.policy.origins import Origin

GOLDEN = Path(__file__).parent / "golden"


def test_a_document_with_every_feature_compiles_to_the_reviewed_policies() -> None:
    image = compile_governance(full_document())
    assert (GOLDEN / "full.cedar").read_text(encoding="utf-8") == image.policies


def test_a_document_with_every_feature_compiles_to_the_reviewed_schema() -> None:
    image = compile_governance(full_document())
    assert (GOLDEN / "full.cedarschema").read_text(encoding="utf-8") == image.schema_text


def test_rules_stand_in_the_image_as_base_rules_then_in_document_order() -> None:
    rules = compile_governance(full_document()).rules
    own = [rule_id for rule_id in rules if not rule_id.startswith("remit.")]
    assert own == [
        "staff",
        "no-agents",
        "owner-amends",
        "budget",
        "office-hours",
        "rules-2",
        "four-eyes",
        "refund",
        "refund-cap",
        "lookup",
        "residency",
        "notes",
        "block-notes-2",
    ]
    assert [*list(rules)[: len(rules) - len(own)], *own] == list(rules)


def test_provenance_tells_what_the_author_wrote() -> None:
    info = compile_governance(full_document()).rules["refund-cap"]
    assert (
        info.effect,
        info.because,
        info.controls,
        info.actions,
    ) == ("forbid", "refunds over 500 need a person", ("SOX-404",), ("refund",))
    assert (
        Approve(by="risk-officer"),
        Redact(arguments=("iban",), result=("iban", "order_id")),
    ) == info.obligations
    assert info.pointer == "/capabilities/tools/0/rules/1"


def test_annotations_of_plain_cedar_say_the_same_as_members_of_a_rule() -> None:
    structured = rule(
        "cap",
        "forbid",
        on=("refund",),
        because='says "no"',
        controls=("A, 1", "B\\2"),
        obligations=(Approve(by="a"), Approve(by="b"), Redact(arguments=("x",))),
    )
    image = compile_governance(document(rules=(structured,)))
    text = image.rules["cap"].text.replace('\nunless { context.fulfilled.contains("cap") }', "")
    again = compile_governance(document(rules=(cedar(text),)))
    assert image.rules["cap"] == replace(again.rules["cap"], pointer=image.rules["cap"].pointer)


def test_a_forbid_with_obligations_is_lifted_by_their_fulfilment_only() -> None:
    rules = compile_governance(full_document()).rules
    released = [rule_id for rule_id, info in rules.items() if "context.fulfilled" in info.text]
    assert released == ["four-eyes", "refund-cap"]


def test_a_rule_without_effect_takes_that_of_its_place() -> None:
    rules = compile_governance(full_document()).rules
    assert [rules[name].effect for name in ("staff", "owner-amends", "budget", "residency")] == [
        "permit",
        "permit",
        "forbid",
        "permit",
    ]


def test_a_group_of_actions_stands_for_its_tools() -> None:
    info = compile_governance(full_document()).rules["office-hours"]
    assert info.actions == ("call_tool", "dispatch", "get-order", "refund")


def test_the_digest_covers_policies_and_schema() -> None:
    image = compile_governance(full_document())
    assert image_digest(image.policies, image.schema) == image.digest


@settings(max_examples=15, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_the_same_document_gives_the_same_image(seed: int) -> None:
    origins = {"/governance/rules/0/when": Origin(file=f"{seed}.yaml", line=1, column=1)}
    assert (
        compile_governance(full_document()).digest
        == compile_governance(full_document(), origins=origins).digest
    )


def test_the_digest_is_the_same_on_every_machine() -> None:
    recorded = (GOLDEN / "full.digest").read_text(encoding="utf-8").strip()
    assert recorded == compile_governance(full_document()).digest


@settings(max_examples=25, deadline=None)
@given(st.permutations(["a", "b", "c", "d"]))
def test_rules_keep_the_order_of_the_document(names: list[str]) -> None:
    rules = tuple(rule(name, "forbid", on=("refund",)) for name in names)
    image = compile_governance(document(rules=rules))
    assert names == [rule_id for rule_id in image.rules if not rule_id.startswith("remit.")]


def test_another_order_of_schema_members_gives_the_same_image() -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
    turned = {"properties": {"b": {"type": "integer"}, "a": {"type": "string"}}, "type": "object"}
    one, other = (
        compile_governance(document(tools=(refund_tool(rule("r"), parameters=schema),)))
        for schema in (parameters, turned)
    )
    assert one.digest == other.digest
    assert one.schema_text == other.schema_text


def test_the_schema_text_means_what_the_json_schema_means() -> None:
    image = compile_governance(full_document())
    by_json = cedarpy.Schema.from_json_str(json.dumps(image.schema))
    by_text = cedarpy.Schema.from_str(image.schema_text)
    assert str(by_json) == str(by_text)
    candidates = [
        image.policies,
        'permit(principal, action == Remit::Action::"refund", resource) when { context.input.amont == 1 };',
        'permit(principal, action == Remit::Action::"refund", resource) when { context.input.iban == "" };',
        'permit(principal, action == Remit::Action::"get-order", resource) when { context.input.order_id == 1 };',
        "permit(principal is Remit::Agent, action, resource) when { principal.tier > 1 };",
        'permit(principal, action == Remit::Action::"recall", resource) when { resource.retention_days > 1 };',
    ]
    for text in candidates:
        one, other = (
            sorted(str(error) for error in cedarpy.validate_policies(text, schema).errors)
            for schema in (by_json, by_text)
        )
        assert one == other


def test_the_whole_image_validates_with_stock_tools() -> None:
    image = compile_governance(full_document())
    assert cedarpy.validate_policies(image.policies, image.schema_text).validation_passed


def test_names_of_tools_with_a_dash_are_actions_of_that_name() -> None:
    image = compile_governance(
        document(tools=(lookup_tool(rule("look", when='context.input.order_id like "A*"')),))
    )
    assert image.rules["look"].actions == ("get-order",)


@pytest.mark.parametrize(
    "name", ["a-b", "in", "like", "x y", "", "é", 'q"uote', "true", "principal", "__cedar", "\n"]
)
def test_any_argument_name_can_be_read_by_a_rule(name: str) -> None:
    parameters = {"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]}
    literal = json.dumps(name, ensure_ascii=False)
    when = f"context.input[{literal}] > 1"
    image = compile_governance(document(tools=(refund_tool(rule("r", when=when), parameters=parameters),)))
    assert cedarpy.Schema.from_str(image.schema_text) is not None


def test_a_thousand_rules_compile_to_a_thousand_policies() -> None:
    rules = tuple(
        rule(f"r{number}", "forbid", on=("refund",), when=f"context.input.count > {number}")
        for number in range(1000)
    )
    image = compile_governance(document(rules=rules))
    assert len(image.rules) == 1007


def test_base_rules_come_with_every_document_and_point_at_their_file() -> None:
    rules = compile_governance(document(rules=(rule("r", "permit", on=("refund",)),))).rules
    base = {rule_id: info for rule_id, info in rules.items() if rule_id.startswith("remit.")}
    assert all(info.because and info.origin.startswith("policies/base.cedar:") for info in base.values())
    assert {
        "remit.continue",
        "remit.operator-stop",
        "remit.terminated-acts",
        "remit.terminated-target",
        "remit.suspended-acts",
        "remit.suspended-target",
        "remit.activate-ready",
    } == set(base)


CLAUSES = st.sampled_from(
    [
        "context.input.count > 3",
        "context.input.count + 1 == 4",
        'context.input.order_id == "A1"',
        'context.input.order_id like "A*"',
        'context.input has iban && context.input.iban == "DE1"',
        'context.input.amount.lessThan(decimal("10.5"))',
        "principal.tier == 2",
        'context.caller.roles.contains("clerk")',
        'context.input.items.contains("x")',
        'context.now > datetime("2026-01-01")',
        "true",
        "context.input.count * 4611686018427387904 > 0",
    ]
)


@st.composite
def conditions(draw: st.DrawFn) -> str:
    parts = draw(st.lists(CLAUSES, min_size=1, max_size=3))
    sign = draw(st.sampled_from([" && ", " || ", "\n  && "]))
    text = sign.join(f"({part})" for part in parts)
    return f"!({text})" if draw(st.booleans()) else text


def stock_request(
    count: int, order: str, iban: str | None, amount: str, fulfilled: list[str]
) -> dict[str, object]:
    counters = dict.fromkeys(
        ("turns", "tool_calls", "denials", "tokens", "cost_microusd", "wall_time_s", "mutations"), 0
    )
    instant = {"__extn": {"fn": "datetime", "arg": "2026-06-01T00:00:00Z"}}
    arguments: dict[str, object] = {
        "order_id": order,
        "amount": {"__extn": {"fn": "decimal", "arg": amount}},
        "count": count,
        "items": ["x"],
        "due": instant,
        "currency": "EUR",
        "address": {"country": "DE"},
    }
    if iban is not None:
        arguments["iban"] = iban
    return {
        "principal": {"type": "Remit::Agent", "id": "a"},
        "action": {"type": "Remit::Action", "id": "refund"},
        "resource": {"type": "Remit::Tool", "id": "refund"},
        "context": {
            "now": instant,
            "caller": {"__entity": {"type": "Remit::Caller", "id": "c"}},
            "usage": counters,
            "lifetime": counters,
            "environment": {"frozen": False},
            "fulfilled": fulfilled,
            "run": "r",
            "input": arguments,
        },
    }


def stock_entities() -> list[dict[str, object]]:
    return [
        {
            "uid": {"type": "Remit::Agent", "id": "a"},
            "attrs": {
                "jurisdiction": "EU",
                "risk_tier": "limited",
                "owner": "refunds-team",
                "tier": 2,
                "lifecycle": "active",
                "revision": "sha256:0",
            },
            "parents": [],
        },
        {
            "uid": {"type": "Remit::Tool", "id": "refund"},
            "attrs": {"name": "refund", "effect": "write"},
            "parents": [],
        },
        {
            "uid": {"type": "Remit::Caller", "id": "c"},
            "attrs": {"kind": "user", "roles": ["clerk"], "jurisdiction": "EU"},
            "parents": [],
        },
    ]


@settings(max_examples=120, deadline=None)
@given(
    effect=st.sampled_from(["permit", "forbid"]),
    when=st.none() | conditions(),
    unless=st.none() | conditions(),
    approve=st.booleans(),
    request=st.builds(
        stock_request,
        st.integers(min_value=0, max_value=6),
        st.sampled_from(["A1", "B2"]),
        st.sampled_from([None, "DE1", "FR2"]),
        st.sampled_from(["1.0", "10.5", "99.9999"]),
        st.sampled_from([[], ["r"], ["other"]]),
    ),
)
def test_a_structured_rule_decides_like_the_cedar_a_person_would_write(
    effect: str, when: str | None, unless: str | None, approve: bool, request: dict[str, object]
) -> None:
    own = rule("r", effect, when=when, unless=unless, obligations=(Approve(by="x"),) if approve else ())
    image = compile_governance(document(tools=(refund_tool(rule("base"), own),)))
    guard = ' unless { context.fulfilled.contains("r") }' if approve and effect == "forbid" else ""
    by_hand = (
        'permit(principal is Remit::Agent, action == Remit::Action::"refund", resource is Remit::Tool);\n'
        f'{effect}(principal is Remit::Agent, action == Remit::Action::"refund", resource is Remit::Tool)'
        + (f" when {{ {when} }}" if when else "")
        + (f" unless {{ {unless} }}" if unless else "")
        + guard
        + ";"
    )
    entities = stock_entities()
    mine = cedarpy.is_authorized(request, image.policies, entities, image.schema_text)
    theirs = cedarpy.is_authorized(request, by_hand, entities, image.schema_text)
    assert theirs.decision == mine.decision != cedarpy.Decision.NoDecision
    assert len(theirs.diagnostics.errors) == len(mine.diagnostics.errors)
    named = {"policy0": "base", "policy1": "r"}
    ids = mine.diagnostics.id_annotations_by_reason
    assert {named[reason] for reason in theirs.diagnostics.reasons} == {
        ids[reason] for reason in mine.diagnostics.reasons
    }


LIFECYCLES = ("draft", "ready", "active", "suspended", "awaiting_approval", "terminated")
AGENT_ACTIONS = ("activate", "resume", "suspend", "terminate")


@pytest.mark.parametrize("lifecycle", LIFECYCLES)
@pytest.mark.parametrize("action", AGENT_ACTIONS)
def test_the_lifecycle_bounds_what_an_operator_may_do(lifecycle: str, action: str) -> None:
    permissive = cedar('@id("all") permit(principal, action, resource);')
    image = compile_governance(document(rules=(permissive,)))
    entities = stock_entities()
    agent = {**entities[0], "attrs": {**entities[0]["attrs"], "lifecycle": lifecycle}}  # type: ignore[dict-item]
    asked = stock_request(1, "A1", None, "1.0", [])
    context = {name: value for name, value in asked["context"].items() if name != "input"}  # type: ignore[attr-defined]
    if action == "activate":
        context["input"] = {"text_bytes": 3}
    request = {
        "principal": {"type": "Remit::Caller", "id": "c"},
        "action": {"type": "Remit::Action", "id": action},
        "resource": {"type": "Remit::Agent", "id": "a"},
        "context": context,
    }
    allowed = {
        "activate": {"ready", "active", "awaiting_approval"},
        "resume": set(LIFECYCLES) - {"terminated"},
        "suspend": set(LIFECYCLES) - {"terminated", "suspended"},
        "terminate": set(LIFECYCLES) - {"terminated"},
    }
    result = cedarpy.is_authorized(request, image.policies, [agent, *entities[1:]], image.schema_text)
    assert (lifecycle in allowed[action]) == result.allowed
    assert result.diagnostics.errors == []


@pytest.mark.parametrize("lifecycle", ["suspended", "terminated"])
def test_a_suspended_or_terminated_agent_calls_no_tool(lifecycle: str) -> None:
    image = compile_governance(document(rules=(cedar('@id("all") permit(principal, action, resource);'),)))
    entities = stock_entities()
    agent = {**entities[0], "attrs": {**entities[0]["attrs"], "lifecycle": lifecycle}}  # type: ignore[dict-item]
    request = stock_request(1, "A1", None, "1.0", [])
    assert not cedarpy.is_authorized(
        request, image.policies, [agent, *entities[1:]], image.schema_text
    ).allowed
    assert cedarpy.is_authorized(request, image.policies, entities, image.schema_text).allowed


def test_a_block_rule_reaches_no_other_block() -> None:
    blocks = (notes_block(rule("mine")), replace(notes_block(), name='o"ther'))
    text = compile_governance(document(blocks=blocks)).rules["mine"].text
    assert 'resource == Remit::Block::"notes"' in text


def test_a_document_without_rules_of_its_own_is_refused() -> None:
    with pytest.raises(PolicyError, match="governance has no rule of its own"):
        compile_governance(document())
