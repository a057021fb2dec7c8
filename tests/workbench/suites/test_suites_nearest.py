"""The nearest difference is a change that the engine itself confirmed, and the smallest of those found."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from suites_world import HEAD, write_agent

from remit.project.answers import settle
from remit.project.questions import build_request
from remit.workbench.suites.agent_world import engine_of, read_world
from remit.workbench.suites.binding import bind
from remit.workbench.suites.cedar_world import CedarWorld
from remit.workbench.suites.changes import MAX_DECISIONS
from remit.workbench.suites.failure import explain_failure
from remit.workbench.suites.finding import project_suites
from remit.workbench.suites.model import Case, CedarSubject
from remit.workbench.suites.nearest import nearest_difference
from remit.workbench.suites.nearest_plain import nearest_plain
from remit.workbench.suites.reading import read_suite
from remit.workbench.suites.reports import lines_of
from remit.workbench.suites.running import run_case

if TYPE_CHECKING:
    from pathlib import Path

    from remit.project.questions import Question
    from remit.workbench.suites.changes import Nearest
    from remit.workbench.suites.failure import Failure


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
    assert str(nearest) == f"as expected {wanted}"
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


POLICIES = """\
// Those who own it, or are high enough.
permit (principal in Group::"staff", action == Action::"view", resource)
when { resource.owner == principal || context.level >= 3 };

@id("private")
forbid (principal, action, resource) when { context has private && context.private };
@id("large") forbid (principal, action == Action::"pay", resource)
when { context.amount.greaterThan(decimal("10.5")) };
permit (principal, action == Action::"pay", resource);
@id("tagged") forbid (principal, action == Action::"pay", resource)
when { context has tags && context.tags.contains("held") };
"""
PLAIN = """\
policies: [p.cedar]
entities:
  - {uid: {type: User, id: a}, attrs: {}, parents: [{type: Group, id: staff}]}
  - {uid: {type: User, id: b}, attrs: {}, parents: []}
  - {uid: {type: User, id: c}, attrs: {}, parents: [{type: Group, id: staff}]}
  - {uid: {type: Group, id: staff}, attrs: {}, parents: []}
  - {uid: {type: Doc, id: d}, attrs: {owner: {__entity: {type: User, id: a}}}, parents: []}
request: {principal: 'User::"a"', action: 'Action::"view"', resource: 'Doc::"d"', context: {level: 1, private: false}}
cases:
"""


def look_plain(folder: Path, request: str, expect: str) -> tuple[Nearest, Failure]:
    (folder / "p.cedar").write_text(POLICIES)
    file = folder / "p.cases.yaml"
    file.write_text(f"{PLAIN}  - name: it\n    request: {{{request}}}\n    expect: {{{expect}}}\n")
    suite = read_suite(file)
    assert isinstance(suite.subject, CedarSubject)
    world = CedarWorld(suite.subject)
    bound = bind(suite, world)
    (case,) = suite.cases
    assert isinstance(case, Case)
    result = run_case(case, bound)
    assert not result.passed
    return nearest_plain(case, world), explain_failure(result, bound, None)


@pytest.mark.parametrize(
    ("request_", "expect", "wanted"),
    [
        ("context: {level: 1, private: true}", "decision: allow", "`context.private` false instead of true"),
        ("""principal: 'User::"b"', context: {level: 3}""", "decision: allow", '`principal in Group::"staff"` true instead of false'),
        ("""principal: 'User::"c"', context: {level: 2}""", "decision: allow", "`context.level` 3 instead of 2"),
        ("context: {level: 1}", "decision: deny, rules: []", '`principal in Group::"staff"` false instead of true'),
        ("""action: 'Action::"pay"', context: {amount: {__extn: {fn: decimal, arg: "11.0"}}}""", "decision: allow", '{"__extn": {"fn": "decimal", "arg": "10.5000"}} instead of'),
        ("""action: 'Action::"pay"', context: {amount: {__extn: {fn: decimal, arg: "1.0"}}, tags: [a, held]}""", "decision: allow", '`context.tags` ["a"] instead of ["a", "held"]'),
        ("""action: 'Action::"edit"', context: {level: 1}""", "decision: allow", """`action` Action::"view" instead of Action::"edit\""""),
        ("""principal: 'User::"b"', context: {level: 1}""", "decision: allow", '`principal in Group::"staff"` true instead of false'),
    ],
)  # fmt: skip
def test_plain_policies_have_a_nearest_difference_that_cedar_confirmed(
    request_: str, expect: str, wanted: str, tmp_path: Path
) -> None:
    nearest, failure = look_plain(tmp_path, request_, expect)
    assert nearest.whole
    assert wanted in str(nearest)
    assert 0 < nearest.tried <= MAX_DECISIONS
    assert any(wanted in line for line in lines_of(failure))


def test_an_expectation_that_plain_policies_cannot_meet_is_said_to_have_no_near_difference(
    tmp_path: Path,
) -> None:
    nearest, _ = look_plain(tmp_path, """action: 'Action::"view"'""", "decision: deny, rules: [large]")
    assert not nearest.whole


def test_the_deciding_policy_is_named_with_its_effect_and_its_place(tmp_path: Path) -> None:
    _, failure = look_plain(tmp_path, "context: {level: 1, private: true}", "decision: allow")
    folder = tmp_path.as_posix()
    assert f"decided   forbid `private` ({folder}/p.cedar:5:1)" in lines_of(failure)
    _, failure = look_plain(tmp_path, "context: {level: 1}", "decision: deny, rules: [private]")
    assert f"decided   permit `policy0` ({folder}/p.cedar:2:1)" in lines_of(failure)


def test_many_entities_bound_how_many_changes_are_tried(tmp_path: Path) -> None:
    more = "".join(f"  - {{uid: {{type: User, id: u{n}}}, attrs: {{}}, parents: []}}\n" for n in range(2000))
    (tmp_path / "p.cedar").write_text(POLICIES)
    file = tmp_path / "p.cases.yaml"
    head = PLAIN.replace("request: {p", f"{more}request: {{p")
    wanted = "rules: [large]"
    file.write_text(f"{head}  - name: it\n    request: {{}}\n    expect: {{decision: deny, {wanted}}}\n")
    suite = read_suite(file)
    assert isinstance(suite.subject, CedarSubject)
    (case,) = suite.cases
    assert isinstance(case, Case)
    assert nearest_plain(case, CedarWorld(suite.subject)).tried <= 20
