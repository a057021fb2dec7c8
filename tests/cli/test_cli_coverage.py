"""`remit coverage`: totals, what was never reached, and the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_coverage_says_what_no_case_reaches(remit: Any, project: Callable[..., Path]) -> None:
    project()
    done = remit("coverage", "desk")
    assert done.code == 0
    assert "2 requests, 10 rules" in done.stdout
    assert "pay-ceiling never decisive  desk/rules/desk.yaml:" in done.stdout
    assert "pay-ceiling never true: when context.input.amount > 5000" in done.stdout
    assert "boom never evaluated" in done.stdout
    assert "hang never allowed" in done.stdout


def test_a_total_below_the_threshold_is_a_finding(remit: Any, project: Callable[..., Path]) -> None:
    project()
    value = remit("coverage", "desk", "--json").json
    total = value["total"]["percent"]
    assert 0 < total < 100
    assert remit("coverage", "desk", "--fail-under", str(total)).code == 0
    done = remit("coverage", "desk", "--fail-under", str(total + 0.1), "--json")
    assert (done.code, done.json["passed"]) == (1, False)
    assert "less than 99 %" in remit("coverage", "desk", "--fail-under", "99").stdout


def test_coverage_needs_a_project_with_cases(remit: Any, project: Callable[..., Path]) -> None:
    (project() / "cases" / "desk.yaml").unlink()
    done = remit("coverage", "desk")
    assert (done.code, done.stderr) == (2, "error: `desk` has no case; write one below `cases/`\n")
    assert remit("build", "desk", "-o", "desk.agent.json").code == 0
    done = remit("coverage", "desk.agent.json")
    assert done.code == 2
    assert "is a document" in done.stderr


def test_a_case_that_asks_what_cannot_be_asked_is_told_with_its_place(
    remit: Any, project: Callable[..., Path]
) -> None:
    project(cases="cases:\n  - {name: x, request: {action: fly}, expect: {decision: deny}}\n")
    done = remit("coverage", "desk")
    assert done.code == 2
    assert "desk/cases/desk.yaml:2:33: no action or tool is called `fly`" in done.stderr
