"""The nearest difference is a change that the engine itself confirmed, and the smallest of those found."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from suites_world import HEAD, write_agent

from remit.project.answers import settle
from remit.project.questions import build_request
from remit.workbench.suites.agent_world import engine_of, read_world
from remit.workbench.suites.binding import bind
from remit.workbench.suites.failure import explain_failure
from remit.workbench.suites.finding import project_suites
from remit.workbench.suites.model import Case
from remit.workbench.suites.nearest import MAX_DECISIONS, nearest_difference
from remit.workbench.suites.reports import lines_of
from remit.workbench.suites.running import run_case

if TYPE_CHECKING:
    from pathlib import Path

    from remit.project.questions import Question
    from remit.workbench.suites.failure import Failure
    from remit.workbench.suites.nearest import Nearest


def look(folder: Path, request: str, expect: str) -> tuple[Nearest, Failure]:
    case_text = f"  - name: it\n    request: {{{request}}}\n    expect: {{{expect}}}\n"
    world = read_world(write_agent(folder, desk=f"{HEAD}cases:\n{case_text}"))
    engine = engine_of(world.image, "cedar")
    (suite,) = project_suites(folder)
    bound = bind(suite, world)
    (case,) = suite.cases
    assert isinstance(case, Case)
    result = run_case(case, bound, engine=engine)
    assert not result.passed
    return nearest_difference(case, world, engine), explain_failure(result, bound, engine)


@pytest.mark.parametrize(
    ("request_", "expect", "wanted"),
    [
        ("action: pay, input: {amount: 501, to: b}", "decision: allow", "with `input.amount` 500 instead of 501"),
        ("action: pay, input: {amount: 9000, to: b}", "decision: awaiting_approval", "with `input.amount` 5000 instead of 9000"),
        ("action: pay, input: {amount: 20, to: b}", "decision: awaiting_approval", "with `input.amount` 501 instead of 20"),
        ("action: pay, input: {amount: 20, to: b}, environment: {freeze: true}", "decision: allow", "with `environment.freeze` false instead of true"),
        ("action: activate, caller: {id: b, jurisdiction: US}", "decision: allow", 'with `caller.jurisdiction` "EU" instead of "US"'),
        ("action: dispatch, resource: there", "decision: allow", "with `resource` here instead of there"),
        ("action: continue, usage: {tool_calls: 7}", "decision: allow", "with `usage.tool_calls` 2 instead of 7"),
        ('action: pay, input: {amount: 20, to: b}, now: "2026-03-02T03:00:00Z"', "decision: allow", 'with `now` "2026-03-02T08:00:00.000Z" instead of "2026-03-02T03:00:00Z"'),
        ("action: pay, input: {to: b}", "decision: allow", "with `input.amount` 500 instead of absent"),
        ("action: pay, input: {amount: 501, to: b}, environment: {freeze: true}", "decision: allow", "with `environment.freeze` false instead of true and `input.amount` 500 instead of 501"),
    ],
)  # fmt: skip
def test_the_nearest_difference_is_the_smallest_change_that_gives_what_was_expected(
    request_: str, expect: str, wanted: str, tmp_path: Path
) -> None:
    nearest, failure = look(tmp_path, request_, expect)
    assert str(nearest) == wanted
    assert nearest.whole
    assert nearest.tried <= MAX_DECISIONS
    assert any(wanted in line for line in lines_of(failure))


def test_a_decision_that_no_change_gives_is_said_to_be_so(tmp_path: Path) -> None:
    nothing, _ = look(tmp_path, "action: export, resource: notes", "decision: allow")
    assert nothing.changes == ()
    assert "no change of one or two members was found" in str(nothing)


def test_a_failure_tells_what_was_asked_what_decided_and_where(tmp_path: Path) -> None:
    _, failure = look(tmp_path, "action: pay, input: {amount: 900, to: b}", "decision: allow")
    told = "\n".join(lines_of(failure))
    assert 'pay Remit::Tool::"pay"' in told
    assert "context.input.amount = 900" in told
    # No rule reads the payee, so the answer does not depend on it.
    assert "input.to" not in told
    assert "forbid `pay-cap`" in told
    assert "rules/desk.yaml:5:5" in told
    assert "payments over 500 need an officer" in told


def test_a_told_change_holds_when_the_engine_is_asked_again(tmp_path: Path) -> None:
    nearest, failure = look(
        tmp_path, "action: pay, input: {amount: 9000, to: b}", "decision: awaiting_approval"
    )
    world = read_world(tmp_path)
    question = cast("Question", cast("Case", failure.result.case).question)
    question.input["amount"] = int(nearest.changes[0].after)
    verdict = settle(engine_of(world.image, "cedar"), world.image, build_request(world.document, question))
    assert verdict.decision == "awaiting_approval"
