"""Whole-run cases: the host's own loop on a written conversation, compared line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from suites_world import HEAD, decided, write_agent

from remit.workbench.suites.agent_world import engine_of, read_world
from remit.workbench.suites.binding import bind
from remit.workbench.suites.failure import explain_failure
from remit.workbench.suites.finding import project_suites
from remit.workbench.suites.reports import lines_of
from remit.workbench.suites.running import run_suite

if TYPE_CHECKING:
    from pathlib import Path

    from remit.workbench.suites.results import CaseResult

SMALL = """\
  - name: it
    run:
      input: Pay 20 to bob.
      says:
        - call: {name: look, arguments: {what: bob}}
        - call: {name: pay, arguments: {amount: 20, to: bob}}
        - say: Paid 20 to bob.
      tools:
        look: {returns: {iban: DE00, name: bob}}
        pay: [{fails: the bank is closed}, {returns: {paid: 20}}]
"""
TRACE = """\
      trace:
        - {action: activate, decision: allow, rules: [start]}
        - {action: continue, decision: allow}
        - {action: dispatch, decision: allow, rules: [think]}
        - {action: look, decision: allow, resource: look, rules: [look]}
        - {action: continue, decision: allow, kind: allowed}
        - {action: dispatch, decision: allow}
        - {action: pay, decision: allow, rules: [pay]}
        - {action: continue, decision: allow}
        - {action: dispatch, decision: allow}
"""
LARGE = """\
  - name: it
    run:
      input: Pay 900 to bob.
      says:
        - call: {name: pay, arguments: {amount: 900, to: bob}}
        - say: Done.
"""


def run(folder: Path, run: str, expect: str) -> CaseResult:
    (result,) = decided(folder, f"{HEAD}cases:\n{run}    expect:\n{expect}")
    return result


def test_a_run_is_compared_line_by_line(tmp_path: Path) -> None:
    expect = "      status: completed\n      lifecycle: ready\n      text: Paid 20\n      usage: {tool_calls: 2, turns: 3}\n"
    result = run(tmp_path, SMALL, expect + TRACE)
    assert result.problems == ()
    assert result.run is not None
    assert result.run.dry_run


@pytest.mark.parametrize(
    ("expect", "wanted"),
    [
        ("      status: denied\n", "expected status denied, got completed"),
        ("      status: completed\n      lifecycle: suspended\n", "expected lifecycle suspended, got ready"),
        (
            "      status: completed\n      text: Paid 30\n",
            "expected text with `Paid 30`, got `Paid 20 to bob.`",
        ),
        (
            "      status: completed\n      usage: {tool_calls: 1}\n",
            "expected usage of tool_calls 1, got 2",
        ),
        (
            "      status: completed\n      memory: [remember notes]\n",
            "expected operations on memory remember notes, got none",
        ),
        (
            "      status: completed\n" + TRACE.replace("rules: [pay]", "rules: [look]"),
            "expected line 7 of the trace pay allow [look], got pay allow [pay]",
        ),
        (
            "      status: completed\n" + TRACE.rpartition("        -")[0],
            "expected line 9 of the trace its end, got dispatch allow [think]",
        ),
        (
            "      status: completed\n" + TRACE + "        - {action: pay, decision: allow}\n",
            "expected line 10 of the trace pay allow, got its end",
        ),
        (
            "      status: completed\n      trace: {includes: [{action: pay, decision: allow}, {action: look, decision: allow}]}\n",
            "expected the trace to hold look allow, got continue allow",
        ),
    ],
)
def test_a_run_that_goes_otherwise_says_where(expect: str, wanted: str, tmp_path: Path) -> None:
    result = run(tmp_path, SMALL, expect)
    assert [problem for problem in result.problems if problem.startswith(wanted)], result.problems


def test_some_lines_of_a_trace_may_be_named_in_their_order(tmp_path: Path) -> None:
    expect = "      status: completed\n      trace: {includes: [{action: look, decision: allow}, {action: pay, decision: allow}]}\n"
    assert run(tmp_path, SMALL, expect).problems == ()


def test_a_run_waits_for_a_person_and_its_agent_with_it(tmp_path: Path) -> None:
    expect = """\
      status: awaiting_approval
      lifecycle: awaiting_approval
      reason: officer
      trace: {includes: [{action: pay, decision: awaiting_approval, rules: [pay-cap]}]}
"""
    assert run(tmp_path, LARGE, expect).problems == ()


def test_a_run_goes_on_after_the_approval_that_the_case_gives(tmp_path: Path) -> None:
    approved = "      approvals: [{approve: {as: olga, roles: [officer], reason: it is right}}]\n"
    expect = """\
      status: completed
      lifecycle: ready
      trace:
        includes:
          - {action: pay, decision: awaiting_approval, rules: [pay-cap]}
          - {action: pay, decision: allow, rules: [pay]}
"""
    assert run(tmp_path, LARGE + approved, expect).problems == ()


def test_a_refused_approval_denies_the_call_and_the_model_goes_on(tmp_path: Path) -> None:
    refused = "      approvals: [{refuse: {as: olga, roles: [officer], reason: no}}]\n"
    expect = """\
      status: completed
      trace: {includes: [{action: pay, decision: deny}]}
      usage: {tool_calls: 0}
"""
    assert run(tmp_path, LARGE + refused, expect).problems == ()


def test_an_approval_by_the_wrong_person_is_told_and_does_not_count(tmp_path: Path) -> None:
    wrong = "      approvals: [{approve: {as: eve, roles: [clerk], reason: please}}]\n"
    result = run(tmp_path, LARGE + wrong, "      status: awaiting_approval\n")
    assert result.problems == (
        "expected approvals all to count, got the answer of `eve` does not count: `eve` does not hold the role `officer`",
    )


def test_an_approval_that_nothing_waits_for_is_told(tmp_path: Path) -> None:
    early = "      approvals: [{approve: {as: olga, roles: [officer], reason: why not}}]\n"
    result = run(tmp_path, SMALL + early, "      status: completed\n")
    assert result.problems == (
        "expected approvals all to count, got nothing waited for the answer of `olga`",
    )


def test_memory_that_a_run_writes_can_be_expected(tmp_path: Path) -> None:
    case = """\
  - name: it
    run:
      input: Note it.
      says:
        - call: {name: memory_remember, arguments: {block: notes, value: short}}
        - say: Noted.
"""
    expect = "      status: completed\n      memory: [remember notes]\n"
    assert run(tmp_path, case, expect).problems == ()


def test_a_transcript_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "said.txt.yaml").write_text("- say: Hello.\n")
    # A transcript in `cases` would be taken for a suite; it lies beside that folder.
    (tmp_path / "cases" / "said.txt.yaml").rename(tmp_path / "said.yaml")
    case = "  - name: it\n    run: {input: Hi., says: ../said.yaml}\n"
    assert run(tmp_path, case, "      status: completed\n      text: Hello.\n").problems == ()


def test_a_matrix_runs_a_conversation_for_every_combination(tmp_path: Path) -> None:
    case = """\
  - name: it
    run: {input: Hi., says: [{say: Hello.}]}
    matrix: {caller.jurisdiction: [EU, US]}
    expect:
      - {when: {caller.jurisdiction: EU}, status: completed}
      - {status: denied, trace: [{action: activate, decision: deny, rules: []}]}
"""
    results = decided(tmp_path, f"{HEAD}cases:\n{case}")
    assert [result.problems for result in results] == [(), ()]


def test_a_run_sees_the_one_instant_of_its_case(tmp_path: Path) -> None:
    night = SMALL.replace("      input:", '      now: "2026-03-02T03:00:00Z"\n      input:')
    expect = "      status: completed\n      trace: {includes: [{action: pay, decision: deny, rules: [pay-hours]}]}\n"
    assert run(tmp_path, night, expect).problems == ()


def turning(folder: Path, run: str, expect: str) -> str:
    """What a failing run is told to have done at the first step that differs."""
    file = write_agent(folder, desk=f"{HEAD}cases:\n{run}    expect:\n{expect}")
    world = read_world(file)
    (suite,) = project_suites(folder)
    bound = bind(suite, world)
    (result,) = run_suite(bound, engine=engine_of(world.image, "cedar"))
    assert not result.passed
    failure = explain_failure(result, bound, None)
    (told,) = (line for line in lines_of(failure) if line.startswith("nearest "))
    return told.removeprefix("nearest   ").replace(folder.as_posix(), ".")


@pytest.mark.parametrize(
    ("run_", "expect", "wanted"),
    [
        (SMALL, "      status: completed\n" + TRACE.replace("rules: [look]", "rules: [pay]"), "step 4 is look allow [look], where look look allow [pay] was expected (./cases/desk.yaml:20:11): rules `look` instead of `pay`"),
        (SMALL, "      status: completed\n" + TRACE + "        - {action: continue, decision: allow}\n", "step 10 is the end, where continue allow was expected (./cases/desk.yaml:26:11)"),
        (SMALL, "      status: completed\n      trace: [{action: activate, decision: allow}]\n", "step 2 is continue allow [remit.continue], where its end was expected"),
        (LARGE, "      status: completed\n", "step 4 is pay awaiting_approval [pay-cap], where a run that is completed was expected"),
        (LARGE, "      status: awaiting_approval\n      trace: {includes: [{action: dispatch, decision: allow}, {action: pay, decision: allow}]}\n", "step 4 is pay awaiting_approval [pay-cap], where pay allow was expected (./cases/desk.yaml:12:63): decision awaiting_approval instead of allow"),
        (LARGE, "      status: awaiting_approval\n      trace: {includes: [{action: look, decision: allow}]}\n", "step 5 is the end, where look allow was expected (./cases/desk.yaml:12:26)"),
    ],
)  # fmt: skip
def test_a_run_that_goes_otherwise_names_the_first_step_that_differs_and_what_was_expected_there(
    run_: str, expect: str, wanted: str, tmp_path: Path
) -> None:
    assert turning(tmp_path, run_, expect) == wanted
