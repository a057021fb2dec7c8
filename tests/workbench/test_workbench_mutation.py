"""Mutation: rules changed in one place, what cases notice, and requests that tell the rest apart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cedarpy
import pytest
from workbench_desk import CASES, Desk, question, read_desk, write_desk

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.engine import CompiledEngine
from remit.engine.evaluation.evaluator import ImageEvaluator
from remit.engine.reads import action_members, read_paths
from remit.engine.request import PolicyFailure
from remit.errors import EvaluationError
from remit.project.answers import settle
from remit.project.questions import build_request
from remit.workbench.asked_cases import requests_of
from remit.workbench.mutants import Mutant, mutants_of
from remit.workbench.mutation import MutationReport, MutationRun
from remit.workbench.variant_engine import Original, VariantEngine

if TYPE_CHECKING:
    from pathlib import Path

    from remit.engine.port import Engine
    from remit.engine.request import Decision, Request


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return read_desk(write_desk(tmp_path_factory.mktemp("desk")))


@pytest.fixture(scope="module")
def report(desk: Desk) -> MutationReport:
    return run(desk)


def run(desk: Desk, **options: Any) -> MutationReport:
    return MutationRun(desk.document, desk.image, requests_of(desk.folder, desk.document, desk.image)).run(
        **options
    )


def changed(policy: str) -> list[tuple[str, str]]:
    """Return the operators and the whole policies that a policy's mutants are."""
    (tree,) = cedarpy.PolicySet.from_str(policy).to_pst().static_policies.values()
    return [(one.operator, one.text) for one in mutants_of("r", tree)]


def all_mutants(desk: Desk) -> list[Mutant]:
    policies = ImageEvaluator(desk.image).policies
    return [
        m for one in policies if desk.image.rules[one.rule].pointer for m in mutants_of(one.rule, one.policy)
    ]


def test_every_operator_changes_what_it_names() -> None:
    assert changed('permit (principal is A, action in [Action::"x", Action::"y"], resource == B::"1");') == [
        ("delete rule", "delete rule"),
        ("flip effect", "flip effect: `permit` became `forbid`"),
        ("widen scope", "widen scope: `principal is A` became `principal`"),
        ("widen scope", 'widen scope: `resource == B::"1"` became `resource is B`'),
        ("widen scope", 'widen scope: `action in [Action::"x", Action::"y"]` became `action`'),
        (
            "narrow scope",
            'narrow scope: `action in [Action::"x", Action::"y"]` became `action in Action::"y"`',
        ),
        (
            "narrow scope",
            'narrow scope: `action in [Action::"x", Action::"y"]` became `action in Action::"x"`',
        ),
    ]


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("context.a < 5", ["context.a <= 5", "context.a >= 5", "context.a < 6", "context.a < 4"]),
        ("context.a <= 5", ["context.a < 5", "context.a > 5", "context.a <= 6", "context.a <= 4"]),
        ("context.a > 5", ["context.a >= 5", "context.a <= 5", "context.a > 6", "context.a > 4"]),
        ("context.a >= 5", ["context.a > 5", "context.a < 5", "context.a >= 6", "context.a >= 4"]),
        ("context.a == 5", ["context.a != 5", "context.a == 6", "context.a == 4"]),
        ("context.a != true", ["context.a == true", "context.a != false"]),
        ("context.a && context.b", ["context.b", "context.a", "context.a || context.b", "!context.a && context.b", "context.a && !context.b"]),
        ("context.a || context.b", ["context.b", "context.a", "context.a && context.b", "!context.a || context.b", "context.a || !context.b"]),
        ("!context.a", ["context.a", "!(!context.a)"]),
        ("context has a", ["!(context has a)"]),
        ("if context.a then context.b else context.c", [
            "if context.a then context.c else context.b",
            "if !context.a then context.b else context.c",
            "if context.a then !context.b else context.c",
            "if context.a then context.b else !context.c",
        ]),
        ("context.a.containsAll([1, 2])", [
            "context.a.containsAny([1, 2])",
            "!context.a.containsAll([1, 2])",
            "context.a.containsAll([2])",
            "context.a.containsAll([1])",
            "context.a.containsAll([2, 2])",
            "context.a.containsAll([0, 2])",
            "context.a.containsAll([1, 3])",
            "context.a.containsAll([1, 1])",
        ]),
        ("context.a + 1 > context.b", [
            "context.a + 1 >= context.b",
            "context.a + 1 <= context.b",
            "context.a - 1 > context.b",
            "context.a + 2 > context.b",
            "context.a + 0 > context.b",
        ]),
        ('context.a like "x*"', ['context.a like "x"', '!(context.a like "x*")']),
        ('context.a.lessThan(decimal("1.5"))', [
            'context.a.lessThanOrEqual(decimal("1.5"))',
            'context.a.greaterThanOrEqual(decimal("1.5"))',
            'context.a.lessThan(decimal("1.5001"))',
            'context.a.lessThan(decimal("1.4999"))',
        ]),
        ('context.a > datetime("2026-01-01")', [
            'context.a >= datetime("2026-01-01")',
            'context.a <= datetime("2026-01-01")',
            'context.a > datetime("2026-01-01T00:00:00.001Z")',
            'context.a > datetime("2025-12-31T23:59:59.999Z")',
        ]),
        ('context.a is A in B::"x"', ["context.a is A", '!(context.a is A in B::"x")']),
        ("9223372036854775807 > context.a", [
            "9223372036854775807 >= context.a",
            "9223372036854775807 <= context.a",
            "9223372036854775806 > context.a",
        ]),
    ],
)  # fmt: skip
def test_a_condition_is_changed_in_one_place_at_a_time(condition: str, wanted: list[str]) -> None:
    from remit.engine.evaluation.source import expression_text

    text = f"permit (principal, action, resource) when {{ {condition} }};"
    (tree,) = cedarpy.PolicySet.from_str(text).to_pst().static_policies.values()
    found = [
        expression_text(one.policy.clauses[0].expr)
        for one in mutants_of("r", tree)
        if one.policy is not None and one.policy.clauses and one.policy.effect == "permit"
    ]
    # The first is the swap of `when` and `unless`, which leaves the condition alone.
    assert found[1:] == [entry for number, entry in enumerate(wanted) if entry not in wanted[:number]]


def test_a_long_chain_loses_each_operand_once() -> None:
    dropped = [
        text
        for operator, text in changed(
            "permit (principal, action, resource) when { context.a && context.b && context.c };"
        )
        if operator == "drop condition"
    ]
    assert dropped == [f"drop condition: `context.{name}`" for name in "abc"]


def test_equal_mutants_are_made_once_and_none_equals_its_rule(desk: Desk) -> None:
    for policy in ImageEvaluator(desk.image).policies:
        made = [
            replace(one.policy, annotations={}, id="")
            for one in mutants_of(policy.rule, policy.policy)
            if one.policy
        ]
        assert len(set(map(repr, made))) == len(made)
        assert repr(replace(policy.policy, annotations={}, id="")) not in set(map(repr, made))


def test_an_image_with_a_change_is_decided_as_the_reference_engine_decides_it(desk: Desk) -> None:
    probes = [*CompiledEngine(desk.image).probes()][::11]
    original = Original(desk.image, ImageEvaluator(desk.image), action_members(desk.image.schema))
    kinds = set[str]()
    for mutant in all_mutants(desk)[::2]:
        engine = VariantEngine(original, mutant)
        reference = CedarEngine(engine.image)
        paths = read_paths(engine.image)
        for action in paths:
            assert engine.reads(action) == paths[action]
        for request in probes:
            found, wanted = engine.decide(request), reference.decide(request)
            rules = [{failure.rule for failure in one.errors} for one in (found, wanted)]
            assert (found.verdict, found.kind, found.reasons, found.image) == (
                wanted.verdict,
                wanted.kind,
                wanted.reasons,
                wanted.image,
            ), (mutant.id, request)
            assert rules[0] == rules[1], (mutant.id, request)
            kinds.add(found.kind)
    assert kinds == {"allowed", "forbidden", "not_permitted", "error"}


def test_what_cases_notice_is_what_running_every_case_on_the_reference_engine_shows(
    desk: Desk, report: MutationReport
) -> None:
    cases = requests_of(desk.folder, desk.document, desk.image)
    original = Original(desk.image, ImageEvaluator(desk.image), action_members(desk.image.schema))
    noticed = {one.mutant.id for one in report.killed}
    others = {one.mutant.id for one in report.survivors} | {one.id for one in report.untold}
    assert noticed
    assert others
    for mutant in all_mutants(desk):
        if mutant.id not in noticed | others:
            continue
        image = original.image_with(mutant)
        reference = CedarEngine(image)
        failing = any(case.problems(reference, image) for case in cases)
        assert failing is (mutant.id in noticed), mutant.id


def test_mutants_that_the_validator_refuses_are_exactly_those_that_are_left_out(
    desk: Desk, report: MutationReport
) -> None:
    counted = {one.mutant.id for one in (*report.killed, *report.survivors)} | {
        one.id for one in report.untold
    }
    original = Original(desk.image, ImageEvaluator(desk.image), action_members(desk.image.schema))
    schema = cedarpy.Schema.from_json_str(json.dumps(desk.image.schema))
    refused = 0
    for mutant in all_mutants(desk):
        valid = cedarpy.validate_policies(original.image_with(mutant).policies, schema).validation_passed
        assert valid is (mutant.id in counted), mutant.id
        refused += not valid
    assert refused == report.rejected > 0


def test_every_survivors_request_is_answered_otherwise_by_the_reference_engine(
    desk: Desk, report: MutationReport
) -> None:
    original = Original(desk.image, ImageEvaluator(desk.image), action_members(desk.image.schema))
    assert len(report.survivors) > 20
    for survivor in report.survivors:
        image = original.image_with(survivor.mutant)
        request = build_request(desk.document, survivor.telling.question)
        before = settle(desk.engine, desk.image, request)
        after = settle(CedarEngine(image), image, request)
        assert before == survivor.telling.original
        assert after == survivor.telling.changed
        assert (before.decision, before.kind, before.rules) != (after.decision, after.kind, after.rules)


def test_what_no_request_to_this_agent_can_tell_apart_is_listed_apart_and_not_counted(
    desk: Desk, report: MutationReport
) -> None:
    untold = {one.text for one in report.untold}
    # There is one block, so which block the rule names makes no difference.
    assert 'widen scope: `resource == Remit::Block::"visits"` became `resource is Remit::Block`' in untold
    assert report.score.total == len(report.killed) + len(report.survivors)
    assert len(untold) < 6, untold


def test_a_bound_is_told_apart_at_the_bound(desk: Desk, report: MutationReport) -> None:
    amounts = {
        one.mutant.text: one.telling.question.input["amount"]
        for one in report.survivors
        if one.mutant.rule == "pay-ceiling" and "shift" in one.mutant.operator
    }
    assert amounts == {
        "shift bound: `context.input.amount > 5000` became `context.input.amount > 5001`": 5001,
        "shift bound: `context.input.amount > 5000` became `context.input.amount > 4999`": 5000,
    }


def test_more_cases_notice_more_and_all_survivors_requests_notice_all(
    desk: Desk, report: MutationReport, tmp_path: Path
) -> None:
    from remit.workbench.accepting import accept_case

    folder = write_desk(tmp_path)
    for survivor in report.survivors:
        accept_case(
            folder,
            name=survivor.mutant.promise,
            question=survivor.telling.question,
            verdict=survivor.telling.original,
        )
    text = (folder / "cases" / "desk.yaml").read_text()
    assert text.startswith(CASES)
    better = run(read_desk(folder))
    assert better.survivors == ()
    assert better.score.percent == 100
    assert len(better.killed) == len(report.killed) + len(report.survivors)


def test_the_same_project_gives_the_same_report(desk: Desk, report: MutationReport) -> None:
    assert run(desk) == report


def test_progress_is_told_rule_by_rule(desk: Desk) -> None:
    told: list[tuple[int, int]] = []
    run(desk, only=lambda mutant: False, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 9) for number in range(10)]


def test_cases_that_fail_already_are_no_measure(tmp_path: Path) -> None:
    desk = read_desk(write_desk(tmp_path, cases=CASES.replace("allow, rules: [pay]", "deny, rules: []")))
    with pytest.raises(EvaluationError, match=r"desk.yaml:3:5: the case `a small payment is made` fails"):
        run(desk)


def test_what_the_reference_engine_does_not_confirm_is_not_reported(desk: Desk) -> None:
    cases = requests_of(desk.folder, desk.document, desk.image)
    stubborn = MutationRun(desk.document, desk.image, cases, reference=lambda _: desk.engine)
    with pytest.raises(EvaluationError, match="does not confirm what tells `pay-ceiling#6` apart"):
        stubborn.run(only=lambda mutant: mutant.id == "pay-ceiling#6")


def test_an_engine_that_errs_where_the_case_expects_nothing_of_it_is_noticed(desk: Desk) -> None:
    class Erring:
        name = "erring"

        def __init__(self, inner: Engine) -> None:
            self.inner = inner

        def decide(self, request: Request) -> Decision:
            decision = self.inner.decide(request)
            failure = PolicyFailure(rule="pay", message="broken")
            return replace(decision, verdict="deny", kind="error", reasons=(), errors=(failure,))

    for case in requests_of(desk.folder, desk.document, desk.image):
        assert case.problems(Erring(desk.engine), desk.image)


def test_a_question_is_written_back_as_it_was_asked() -> None:
    from remit.project.questions import question_from, question_members

    asked = question("pay", input={"amount": 1, "to": "b"}, usage={"turns": 2}, fulfilled=("pay-cap",))
    assert question_from(question_members(asked)) == asked
