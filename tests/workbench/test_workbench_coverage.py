"""Coverage: what requests reach of rules, of their conditions both ways, and of actions both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from workbench_desk import Desk, question, read_desk, write_desk

from remit.errors import EvaluationError
from remit.project.questions import build_request
from remit.workbench.coverage import Coverage, RuleCoverage, Share, measure

if TYPE_CHECKING:
    from remit.project.questions import Question

TOOLS = ("pay", "look")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return read_desk(write_desk(tmp_path_factory.mktemp("desk")))


def covered(desk: Desk, *asked: Question) -> Coverage:
    requests = [build_request(desk.document, one) for one in asked]
    decided = [(request, desk.engine.decide(request)) for request in requests]
    return measure(desk.image, decided, tools=TOOLS)


def rule(found: Coverage, name: str) -> RuleCoverage:
    return next(one for one in found.rules if one.rule == name)


def ways(found: RuleCoverage) -> list[tuple[str, str, int, int]]:
    return [(one.kind, one.text, one.true, one.false) for one in found.branches]


def test_the_rules_of_the_document_are_counted_and_base_rules_are_not(desk: Desk) -> None:
    found = covered(desk, question("pay", input={"amount": 20, "to": "bob"}))
    assert [one.rule for one in found.rules] == [
        name for name, info in desk.image.rules.items() if info.pointer
    ]
    assert all(not one.rule.startswith("remit.") for one in found.rules)


def test_a_rule_is_evaluated_where_its_scope_matches_and_decisive_where_it_is_a_reason(desk: Desk) -> None:
    found = covered(desk, question("pay", input={"amount": 900, "to": "bob"}))
    cap, pay, look = rule(found, "pay-cap"), rule(found, "pay"), rule(found, "look")
    assert (cap.evaluated, cap.applied, cap.decisive, cap.errors) == (1, 1, 1, 0)
    assert (pay.evaluated, pay.applied, pay.decisive) == (1, 1, 0)
    assert (look.evaluated, look.applied, look.decisive) == (0, 0, 0)


def test_each_operand_counts_by_itself_and_what_was_left_out_counts_for_neither_way(desk: Desk) -> None:
    small = question("pay", input={"amount": 20, "to": "bob"})
    large = question("pay", input={"amount": 9000, "to": "bob"})
    assert ways(rule(covered(desk, small), "pay-cap")) == [
        ("when", "context.input.amount > 500 && context.input.amount <= 5000", 0, 1),
        ("&&", "context.input.amount > 500", 0, 1),
        ("&&", "context.input.amount <= 5000", 0, 0),
        ("unless", 'context.fulfilled.contains("pay-cap")', 0, 0),
    ]
    assert ways(rule(covered(desk, small, large), "pay-cap")) == [
        ("when", "context.input.amount > 500 && context.input.amount <= 5000", 0, 2),
        ("&&", "context.input.amount > 500", 1, 1),
        ("&&", "context.input.amount <= 5000", 0, 1),
        ("unless", 'context.fulfilled.contains("pay-cap")', 0, 0),
    ]
    auditor = question("look", caller={"id": "ann", "jurisdiction": "EU", "roles": ["auditor"]})
    assert [one[2:] for one in ways(rule(covered(desk, auditor), "look"))] == [(1, 0), (0, 1), (1, 0)]


def test_the_test_of_an_if_is_a_branch_and_what_is_written_out_is_none(tmp_path: object, desk: Desk) -> None:
    del tmp_path
    folder = desk.folder.with_name("choice")
    write_desk(folder)
    (folder / "rules" / "more.cedar").write_text(
        '@id("choice") @because("a choice")\n'
        'forbid (principal, action == Remit::Action::"look", resource)\n'
        "when { if context.usage.turns > 3 then true else context.usage.denials > 9 };\n"
    )
    found = covered(read_desk(folder), question("look"), question("look", usage={"turns": 4}))
    assert [(one.kind, one.text, one.true, one.false) for one in rule(found, "choice").branches] == [
        ("when", "if context.usage.turns > 3 then true else context.usage.denials > 9", 1, 1),
        ("if", "context.usage.turns > 3", 1, 1),
    ]


def test_an_action_counts_both_ways_and_allowed_only_where_a_permit_admits_it(desk: Desk) -> None:
    found = covered(desk, question("pay", input={"amount": 20, "to": "bob"}), question("look"))
    actions = {one.action: (one.tool, one.allowable, one.allowed, one.denied) for one in found.actions}
    assert actions == {
        "activate": (False, True, 0, 0),
        "dispatch": (False, True, 0, 0),
        "look": (True, True, 0, 1),
        "pay": (True, True, 1, 0),
        "remember": (False, True, 0, 0),
        "resume": (False, True, 0, 0),
    }
    assert found.outcomes == Share(covered=2, total=12)


def test_a_request_that_cannot_be_asked_is_a_deny_that_reaches_no_rule(desk: Desk) -> None:
    found = covered(
        desk,
        question(
            "pay",
            caller={"id": "ana", "jurisdiction": "EU", "roles": "clerk"},
            input={"amount": 1, "to": "b"},
        ),
    )
    assert found.requests == 1
    assert found.evaluated.covered == 0
    assert {one.action: one.denied for one in found.actions}["pay"] == 1


def test_a_share_is_rounded_down_so_that_100_means_all(desk: Desk) -> None:
    assert Share(covered=1999, total=2000).percent == 99.9
    assert Share(covered=2000, total=2000).percent == 100
    assert Share(covered=0, total=0).percent == 100
    found = covered(desk, question("look"))
    parts = (found.evaluated, found.decisive, found.branches, found.outcomes)
    assert found.total == Share(covered=sum(p.covered for p in parts), total=sum(p.total for p in parts))


def test_the_value_for_programs_is_the_same_every_time(desk: Desk) -> None:
    asked = (question("look"), question("pay", input={"amount": 900, "to": "bob"}))
    once, again = (json.dumps(covered(desk, *asked).to_json()) for _ in range(2))
    assert once == again


def test_an_engine_that_disagrees_with_the_evaluation_is_not_counted(desk: Desk) -> None:
    request = build_request(desk.document, question("pay", input={"amount": 20, "to": "bob"}))
    wrong = replace(desk.engine.decide(request), reasons=("look",))
    with pytest.raises(EvaluationError, match="disagree"):
        measure(desk.image, [(request, wrong)], tools=TOOLS)
