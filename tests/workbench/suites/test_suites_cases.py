"""A case holds where the engine says what it expects, and says what differs where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from suites_world import ANA, HEAD, decided, problems, write_agent

from remit.workbench.suites.finding import find_files, project_suites, read_suites
from remit.workbench.suites.folder import run_folder
from remit.workbench.suites.model import Case

if TYPE_CHECKING:
    from pathlib import Path

    from remit.project.questions import Question

PAY = "request: {action: pay, input: {amount: %d, to: bob}%s}"


@pytest.mark.parametrize(
    ("request_", "expect"),
    [
        ("action: pay, input: {amount: 20, to: bob}", "decision: allow, rules: [pay], kind: allowed"),
        (
            "action: pay, input: {amount: 900, to: bob}",
            "decision: awaiting_approval, rules: [pay-cap], kind: forbidden, obligations: {approve: [officer]}",
        ),
        (
            "action: pay, input: {amount: 900, to: bob}, fulfilled: [pay-cap]",
            "decision: allow, rules: [pay], obligations: {approve: []}",
        ),
        (
            "action: pay, input: {amount: 9000, to: bob}",
            "decision: deny, rules: [pay-cap, pay-ceiling], kind: forbidden",
        ),
        ("action: pay, input: {amount: 9000, to: bob}", "decision: deny, rules: {includes: [pay-ceiling]}"),
        (
            "action: look, input: {what: x}",
            "decision: allow, obligations: {redact: {result: [iban], arguments: [what]}}",
        ),
        (
            "action: look, input: {what: x}, usage: {turns: 2}",
            "decision: deny, kind: error, errors: [look-sum]",
        ),
        ("action: look, input: {what: x}, usage: {turns: 2}", "decision: deny, errors: [overflow]"),
        ("action: look, input: {what: x}, usage: {turns: 2}", "decision: deny, num_errors: 1"),
        ("action: pay, input: {to: bob}", "decision: deny, kind: error, errors: [amount` is missing]"),
        (
            "action: activate, caller: {id: b, jurisdiction: US}",
            "decision: deny, rules: [], kind: not_permitted",
        ),
        ("action: activate, agent: {jurisdiction: US}", "decision: deny, rules: []"),
        (
            "action: activate, lifecycle: terminated",
            "decision: deny, rules: {includes: [remit.terminated-target]}",
        ),
        ("action: remember, entry: {block: notes, value: short}", "decision: allow, rules: [notes]"),
        (
            "action: remember, entry: {block: notes, value: much longer than that}",
            "decision: deny, rules: []",
        ),
        ("action: dispatch, resource: there", "decision: deny, rules: []"),
    ],
)
def test_a_case_that_expects_what_the_engine_says_holds(request_: str, expect: str, tmp_path: Path) -> None:
    case = f"  - name: it\n    request: {{{request_}}}\n    expect: {{{expect}}}\n"
    assert problems(tmp_path, case) == ()


@pytest.mark.parametrize(
    ("request_", "expect", "wanted"),
    [
        ("action: pay, input: {amount: 900, to: b}", "decision: allow", "expected decision allow, got awaiting_approval"),
        ("action: pay, input: {amount: 9, to: b}", "decision: awaiting_approval", "expected decision awaiting_approval, got allow"),
        ("action: pay, input: {amount: 9000, to: b}", "decision: deny, rules: [pay-ceiling]", "expected rules `pay-ceiling`, got `pay-cap`, `pay-ceiling`"),
        ("action: pay, input: {amount: 9000, to: b}", "decision: deny, rules: {includes: [pay-freeze]}", "expected rules that include `pay-freeze`, got `pay-cap`, `pay-ceiling`"),
        ("action: pay, input: {amount: 9000, to: b}", "decision: deny, kind: not_permitted", "expected kind not_permitted, got forbidden"),
        ("action: pay, input: {to: b}", "decision: deny", "expected errors none, got `context.input.amount` is missing: the schema requires it"),
        ("action: look, input: {what: x}, usage: {turns: 2}", "decision: deny, errors: [look]", "expected errors `look`, got look-sum: integer overflow"),
        ("action: look, input: {what: x}, usage: {turns: 2}", "decision: deny, num_errors: 2", "expected number of errors 2, got 1: look-sum"),
        ("action: look, input: {what: x}, usage: {turns: 2}", "decision: deny, errors: [look-sum, pay]", "expected errors `look-sum`, `pay`, got look-sum"),
        ("action: look, input: {what: x}", "decision: allow, obligations: {redact: {result: []}}", "expected redacted result nothing, got `iban`"),
        ("action: look, input: {what: x}", "decision: allow, obligations: {redact: {arguments: [iban]}}", "expected redacted arguments `iban`, got `what`"),
        ("action: pay, input: {amount: 9, to: b}", "decision: awaiting_approval, obligations: {approve: officer}", "expected approval by `officer`, got nobody"),
    ],
)  # fmt: skip
def test_a_case_that_expects_something_else_says_what_differs(
    request_: str, expect: str, wanted: str, tmp_path: Path
) -> None:
    case = f"  - name: it\n    request: {{{request_}}}\n    expect: {{{expect}}}\n"
    assert any(problem.startswith(wanted) for problem in problems(tmp_path, case)), problems(tmp_path, case)


def test_a_matrix_asks_every_combination_and_names_it(tmp_path: Path) -> None:
    results = decided(
        tmp_path,
        HEAD
        + """\
cases:
  - name: payments
    request: {action: pay, input: {amount: 1, to: bob}}
    matrix:
      input.amount: [20, 900, 9000]
      environment.freeze: [false, true]
    expect:
      - when: {environment.freeze: true}
        decision: deny
        rules: {includes: [pay-freeze]}
      - when: {input.amount: [20]}
        decision: allow
      - when: {input.amount: 900}
        decision: awaiting_approval
      - decision: deny
""",
    )
    assert [result.case.name for result in results] == [
        f"payments [input.amount={amount}, environment.freeze={freeze}]"
        for amount in (20, 900, 9000)
        for freeze in ("false", "true")
    ]
    assert [result.verdict.decision for result in results if result.verdict] == [
        "allow", "deny", "awaiting_approval", "deny", "deny", "deny",
    ]  # fmt: skip
    assert all(result.passed for result in results)


def test_a_matrix_runs_over_fixtures_by_name(tmp_path: Path) -> None:
    (allowed, denied) = decided(
        tmp_path,
        f"""\
fixtures:
  callers:
    ana: {ANA}
    bob: [ana, {{id: bob, jurisdiction: US}}]
cases:
  - name: who
    request: {{action: activate}}
    matrix: {{caller: [ana, bob]}}
    expect:
      - when: {{caller: ana}}
        decision: allow
      - decision: deny
""",
    )
    assert (allowed.passed, denied.passed) == (True, True)
    assert _caller(denied.case) == {"id": "bob", "roles": ["clerk"], "jurisdiction": "US"}


def _caller(case: object) -> object:
    assert isinstance(case, Case)
    question: Question = case.question  # type: ignore[assignment]  # an agent's case
    return question.caller


def test_fixtures_are_laid_over_one_another_from_left_to_right(tmp_path: Path) -> None:
    (result,) = decided(
        tmp_path,
        f"""\
fixtures:
  callers: {{ana: {ANA}}}
  inputs:
    small: {{amount: 20, to: bob}}
    large: [small, {{amount: 900}}]
  environments: {{frozen: {{freeze: true}}}}
  usages: {{busy: {{tool_calls: 2}}}}
now: "2026-03-02T12:00:00Z"
cases:
  - name: all of them
    request: {{caller: ana, action: pay, input: [large, {{amount: 9000}}], environment: frozen, usage: busy}}
    expect: {{decision: deny, rules: [pay-cap, pay-ceiling, pay-freeze]}}
""",
    )
    assert result.problems == ()


def test_a_case_that_is_skipped_says_why_and_is_not_decided(tmp_path: Path) -> None:
    case = "  - name: later\n    skip: not built yet\n    request: {action: fly}\n    expect: {decision: deny, rules: [no-wings]}\n"
    (result,) = decided(tmp_path, f"{HEAD}cases:\n{case}")
    assert (result.skipped, result.passed, result.verdict) == (True, True, None)


def test_the_suites_time_holds_for_cases_that_give_none(tmp_path: Path) -> None:
    cases = """\
now: "2026-03-02T03:00:00Z"
request: {caller: {id: ana, jurisdiction: EU}, action: pay, input: {amount: 20, to: bob}}
cases:
  - {name: at night, request: {}, expect: {decision: deny, rules: [pay-hours]}}
  - {name: at noon, request: {now: "2026-03-02T12:00:00Z"}, expect: {decision: allow}}
"""
    assert [result.problems for result in decided(tmp_path, cases)] == [(), ()]


def test_a_suite_beside_its_agent_names_it(tmp_path: Path) -> None:
    write_agent(tmp_path / "desk")
    suite = tmp_path / "desk.cases.yaml"
    suite.write_text(
        f"agent: desk\nrequest: {{caller: {ANA}}}\ncases:\n"
        "  - {name: it starts, request: {action: activate}, expect: {decision: allow}}\n"
    )
    (read,) = read_suites([suite])
    assert read.subject_is(tmp_path / "desk")


def test_a_folder_holds_the_case_files_of_its_projects_and_every_file_of_that_name(tmp_path: Path) -> None:
    write_agent(tmp_path / "a" / "desk", one="[]", two="[]")
    for name in ("x.cases.yaml", ".hidden/y.cases.yaml", "other/cases/z.yaml", "a/desk/rules/w.cases.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[]")
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path, tmp_path / "a"])]
    assert sorted(found) == [
        "a/desk/cases/one.yaml",
        "a/desk/cases/two.yaml",
        "a/desk/rules/w.cases.yaml",
        "x.cases.yaml",
    ]


def test_a_project_without_cases_has_no_suite(tmp_path: Path) -> None:
    assert project_suites(write_agent(tmp_path)) == ()


@pytest.mark.parametrize("engine", ["cedar", "compiled"])
def test_both_engines_decide_a_suite_alike(engine: str, tmp_path: Path) -> None:
    cases = f"""\
{HEAD}cases:
  - name: payments
    request: {{action: pay, input: {{amount: 1, to: bob}}}}
    matrix: {{input.amount: [-9007199254740991, 0, 500, 501, 5000, 5001]}}
    expect:
      - {{when: {{input.amount: [501, 5000]}}, decision: awaiting_approval, rules: [pay-cap]}}
      - {{when: {{input.amount: 5001}}, decision: deny, rules: [pay-cap, pay-ceiling]}}
      - {{decision: allow, rules: [pay]}}
  - {{name: it errs, request: {{action: look, input: {{what: x}}, usage: {{turns: 2}}}}, expect: {{decision: deny, errors: [look-sum]}}}}
"""
    results = run_folder(write_agent(tmp_path, desk=cases), engine=engine)  # type: ignore[arg-type]  # an engine's name
    assert len(results) == 7
    assert [problem for result in results for problem in result.problems] == []
