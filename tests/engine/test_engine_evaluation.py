"""The evaluator: exactly the reference engine's outcome, and what every part of a policy came to."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cedarpy
import engine_fuzz
import pytest

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.support import Unsupported
from remit.engine.evaluation.evaluator import Evaluation, ImageEvaluator, PolicyEvaluation, agrees
from remit.engine.evaluation.nodes import within
from remit.engine.evaluation.shown import value_json, value_text
from remit.engine.evaluation.source import expression_text, policy_text
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Entity, EntityRef, Request
from remit.errors import PolicyError

if TYPE_CHECKING:
    from remit.engine.evaluation.walk import Step

PAIRS = int(os.environ.get("REMIT_EVALUATION_N", "640"))
SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {
            "Team": {},
            "Agent": {
                "memberOfTypes": ["Team"],
                "shape": {"type": "Record", "attributes": {"region": {"type": "String"}}},
            },
            "Tool": {"shape": {"type": "Record", "attributes": {"effect": {"type": "String"}}}},
        },
        "actions": {
            "call_tool": {},
            "pay": {
                "memberOf": [{"id": "call_tool"}],
                "appliesTo": {
                    "principalTypes": ["Agent"],
                    "resourceTypes": ["Tool"],
                    "context": {
                        "type": "Record",
                        "attributes": {
                            "now": {"type": "Extension", "name": "datetime"},
                            "amount": {"type": "Long"},
                            "note": {"type": "String", "required": False},
                            "tags": {"type": "Set", "element": {"type": "String"}},
                            "limit": {"type": "Extension", "name": "decimal"},
                            "flag": {"type": "Boolean"},
                        },
                    },
                },
            },
        },
    }
}
REQUEST = Request(
    principal=Entity(
        ref=EntityRef(type="Agent", id="a1"),
        attributes={"region": "EU"},
        parents=(EntityRef(type="Team", id="t1"),),
    ),
    action="pay",
    resource=Entity(ref=EntityRef(type="Tool", id="pay"), attributes={"effect": "write"}),
    context={
        "now": "2026-01-01T00:00:00Z",
        "amount": 900,
        "tags": ["a", "b"],
        "limit": 12.5,
        "flag": True,
    },
)


def image_of(*policies: str) -> PolicyImage:
    text = "\n".join(policies)
    return PolicyImage(
        policies=text, schema=SCHEMA, schema_text="", rules={}, digest=image_digest(text, SCHEMA)
    )


def evaluated(condition: str, **context: Any) -> Step:
    """Return what one condition came to, held against the reference engine."""
    image = image_of(f'@id("r") permit(principal, action, resource) when {{ {condition} }};')
    request = replace(REQUEST, context={**REQUEST.context, **context})
    evaluation = ImageEvaluator(image).evaluate(request)
    agree(evaluation, image, request)
    return evaluation.policies[0].clauses[0].step


def agree(
    evaluation: Evaluation, image: PolicyImage, request: Request, reference: CedarEngine | None = None
) -> str:
    """Hold an evaluation against the reference engine; return what kind of pair it was."""
    decision = (reference or CedarEngine(image)).decide(request)
    assert agrees(evaluation, decision), (image.policies, request, decision)
    return "fault" if evaluation.faults else evaluation.kind


def run(seed: int, pairs: int) -> Counter[str]:
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    while sum(seen.values()) < pairs:
        world, image = engine_fuzz.random_image(chance)
        try:
            reference = CedarEngine(image)
            evaluator = ImageEvaluator(image)
        except PolicyError:
            continue
        caller = engine_fuzz.Caller(world)
        for _ in range(engine_fuzz.REQUESTS_PER_IMAGE):
            request = caller.request()
            seen[agree(evaluator.evaluate(request), image, request, reference)] += 1
    return seen


def test_the_evaluator_comes_to_what_the_reference_engine_decides_on_random_pairs() -> None:
    seen = run(20261126, PAIRS)
    for kind in ("allowed", "forbidden", "not_permitted", "error", "fault"):
        assert seen[kind] > PAIRS // 60, seen


def test_a_policys_source_text_parses_to_the_same_policy() -> None:
    chance = random.Random(11)
    for _ in range(60):
        _, image = engine_fuzz.random_image(chance)
        for policy in cedarpy.PolicySet.from_str(image.policies).to_pst().static_policies.values():
            again = cedarpy.PolicySet.from_str(policy_text(policy)).to_pst().static_policies
            assert [replace(one, id=policy.id) for one in again.values()] == [policy]


def test_brackets_stand_where_the_grammar_needs_them() -> None:
    for text in (
        "1 + 2 * 3 == (1 + 2) * 3",
        "1 - (2 - 3) == 0",
        "!(!context.flag) && (context.flag || false)",
        "-(5) < -5",
        "(if context.flag then context else context).flag",
        'context has "if" || context["a b"] like "x\\*y*"',
        '{a: 1, "then": 2} == {}',
        'principal is Remit::Agent in Remit::Team::"t\\"1"',
        'ip("10.0.0.1").isInRange(ip("10.0.0.0/8"))',
    ):
        policy = cedarpy.PolicySet.from_str(
            f"permit(principal, action, resource) when {{ {text} }};"
        ).to_pst()
        (parsed,) = policy.static_policies.values()
        assert expression_text(parsed.clauses[0].expr) == text


def test_a_comparison_shows_its_operands_values() -> None:
    step = evaluated("context.amount > 500")
    assert (step.status, step.value) == ("value", True)
    assert [(part.node.text, part.value) for part in step.inner] == [("context.amount", 900), ("500", 500)]


def test_a_chain_is_one_step_with_all_operands_and_leaves_out_what_cedar_leaves_out() -> None:
    step = evaluated("context.flag && context.amount < 500 && context.note == context.note")
    assert [part.status for part in step.inner] == ["value", "value", "skipped"]
    assert [part.truth for part in step.inner] == [True, False, None]
    step = evaluated("context.amount < 500 || context.flag || context.note == context.note")
    assert [part.status for part in step.inner] == ["value", "value", "skipped"]


def test_the_branch_that_is_not_taken_is_left_out() -> None:
    step = evaluated('if context.flag then context.amount > 1 else context.note == "x"')
    assert [part.status for part in step.inner] == ["value", "value", "skipped"]
    step = evaluated('if context.flag then context.note == "x" else context.amount > 1', flag=False)
    assert [part.status for part in step.inner] == ["value", "skipped", "value"]


def test_every_part_has_a_place_of_its_own() -> None:
    step = evaluated("context.flag && !(context.amount > 500)")
    assert [node.place for node in within(step.node)] == ["0", "0.0", "0.1", "0.1.0", "0.1.0.0", "0.1.0.1"]


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ('context.note == "x"', "`context.note` is not there"),
        ("context.amount + 9223372036854775807 > 1", "leaves the range of a Long"),
        ("-(-9223372036854775808) > 1", "leaves the range of a Long"),
        ('context.amount > "x"', "cannot be compared"),
        ("context.amount", "`context.amount` is a Long, and a Bool is needed"),
        ("context.amount && true", "`context.amount` is a Long, and a Bool is needed"),
        ("!context.amount", "a Bool is needed"),
        ('decimal("1.23456").lessThan(context.limit)', "not a decimal"),
        ("context.amount.lessThan(context.limit)", "a value of type decimal is needed"),
        ("context.tags.contains(1) && context.amount.contains(1)", "a set is needed"),
        ("context.amount.contains(1)", "900 is a Long, and a set is needed"),
        ("context.amount in principal", "an entity is needed"),
        ("principal in [1]", "an entity is needed"),
        ("context.amount is Remit::Agent", "an entity is needed"),
        ("context.amount is Remit::Agent in principal", "an entity is needed"),
        ("context.amount.x == 1", "`context.amount` is a Long, which has no attributes"),
        ("context.amount has x", "`context.amount` is a Long, which has no attributes"),
        ('Remit::Agent::"other".region == "EU"', 'the entity Remit::Agent::"other" was not given'),
        ('principal.getTag("x") == 1', "has no tags"),
        ("context.amount like 'x'".replace("'", '"'), "a String is needed"),
        ("if context.amount then true else false", "a Bool is needed"),
        ('context.now.offset(duration("9223372036854775807ms")) > context.now', "beyond 64 bits"),
    ],
)
def test_what_errs_says_why(condition: str, why: str) -> None:
    image = image_of(f'@id("r") permit(principal, action, resource) when {{ {condition} }};')
    evaluation = ImageEvaluator(image).evaluate(REQUEST)
    kind = agree(evaluation, image, REQUEST)
    if "contains(1) &&" in condition:
        assert kind == "not_permitted"
        return
    assert kind == "error"
    assert evaluation.erring == {"r"}
    assert why in evaluation.policies[0].error


def test_a_scope_says_which_constraint_does_not_hold_and_evaluates_nothing_else() -> None:
    image = image_of(
        '@id("r") forbid(principal is Remit::Agent in Remit::Team::"t2", action in [Remit::Action::"call_tool"], '
        'resource == Remit::Tool::"pay") when { context.note == "x" };'
    )
    evaluation = ImageEvaluator(image).evaluate(REQUEST)
    agree(evaluation, image, REQUEST)
    (policy,) = evaluation.policies
    assert policy.applies == "out of scope"
    assert [(part.text, part.holds) for part in policy.scope] == [
        ('principal is Remit::Agent in Remit::Team::"t2"', False),
        ('action in Remit::Action::"call_tool"', True),
        ('resource == Remit::Tool::"pay"', True),
    ]
    assert [clause.step.status for clause in policy.clauses] == ["skipped"]


def test_clauses_behind_one_that_fails_are_left_out() -> None:
    image = image_of(
        '@id("r") permit(principal, action, resource) unless { context.flag } when { context.note == "x" };'
    )
    evaluation = ImageEvaluator(image).evaluate(REQUEST)
    agree(evaluation, image, REQUEST)
    (policy,) = evaluation.policies
    assert policy.applies == "unsatisfied"
    assert [clause.holds for clause in policy.clauses] == [False, None]
    assert [clause.unless for clause in policy.clauses] == [True, False]


def test_permits_do_not_determine_a_deny_and_an_error_denies() -> None:
    permit = '@id("p") permit(principal, action, resource);'
    erring = '@id("e") forbid(principal, action, resource) when { context.note == "x" };'
    forbid = '@id("f") forbid(principal, action, resource) when { context.amount > 1 };'
    for policies, wanted in (
        ((permit,), ("allowed", ("p",), frozenset[str]())),
        ((permit, erring), ("error", (), frozenset({"e"}))),
        ((permit, erring, forbid), ("error", ("f",), frozenset({"e"}))),
        ((permit, forbid), ("forbidden", ("f",), frozenset[str]())),
    ):
        image = image_of(*policies)
        evaluation = ImageEvaluator(image).evaluate(REQUEST)
        agree(evaluation, image, REQUEST)
        assert (evaluation.kind, evaluation.reasons, evaluation.erring) == wanted


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (replace(REQUEST, action="fly"), "the action `fly` is not in the schema"),
        (replace(REQUEST, context={**REQUEST.context, "amount": 1.5}), "`context.amount`"),
        (replace(REQUEST, resource=REQUEST.principal), "cannot be asked upon a `Agent`"),
        (
            replace(REQUEST, principal=replace(REQUEST.principal, parents=(EntityRef(type="Tool", id="x"),))),
            "which the schema does not allow",
        ),
    ],
)
def test_a_request_that_cannot_be_asked_says_why(request_: Request, why: str) -> None:
    image = image_of('@id("r") permit(principal, action, resource) when { context.amount > 1 };')
    evaluation = ImageEvaluator(image).evaluate(request_)
    assert agree(evaluation, image, request_) == "fault"
    assert why in "; ".join(evaluation.faults)
    assert (evaluation.kind, evaluation.policies) == ("error", ())


def test_a_policy_set_that_cannot_be_walked_is_refused() -> None:
    with pytest.raises(Unsupported, match="is a template"):
        ImageEvaluator(image_of('@id("r") permit(principal == ?principal, action, resource);'))


def test_values_are_shown_as_the_source_that_makes_them() -> None:
    shown = {
        "context.tags": '["a", "b"]',
        "context.limit": 'decimal("12.5")',
        "context.now": 'datetime("2026-01-01T00:00:00.000Z")',
        'duration("90m")': 'duration("1h30m")',
        'duration("-1d2ms")': 'duration("-1d2ms")',
        'ip("10.0.0.0/8")': 'ip("10.0.0.0/8")',
        'ip("::1")': 'ip("::1")',
        'decimal("-0.50")': 'decimal("-0.5")',
        "principal": 'Remit::Agent::"a1"',
        '[1, true, [decimal("1.0")], {a: principal}]': '[1, [decimal("1.0")], true, {a: Remit::Agent::"a1"}]',
        'datetime("1970-01-01").offset(duration("9223372036854775807ms"))': 'datetime("1970-01-01T00:00:00.000Z+9223372036854775807ms")',
    }
    for text, wanted in shown.items():
        step = evaluated(f"{text} == {text}")
        assert value_text(step.inner[0].value) == wanted


def test_values_are_given_to_programs_in_the_form_of_a_request() -> None:
    step = evaluated(
        '[{a: [3, 2], d: decimal("1.5"), e: principal, t: context.now, u: duration("1h"), i: ip("::1")}] == [1]'
    )
    assert value_json(step.inner[0].value) == [
        {
            "a": [2, 3],
            "d": 1.5,
            "e": {"type": "Agent", "id": "a1"},
            "i": "::1",
            "t": "2026-01-01T00:00:00.000Z",
            "u": "1h",
        }
    ]


def test_policies_are_evaluated_in_image_order_with_their_effects() -> None:
    image = image_of(
        '@id("b") permit(principal, action, resource);', '@id("a") forbid(principal, action, resource);'
    )
    policies: tuple[PolicyEvaluation, ...] = ImageEvaluator(image).evaluate(REQUEST).policies
    assert [(one.rule, one.effect) for one in policies] == [("b", "permit"), ("a", "forbid")]
