"""`remit test` with `--coverage`, `--html` and `--markdown`: one run, and what a person looks at first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_desk import RULES

from remit.engine.cedar import CedarEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    Project = Callable[..., Path]

FAILING = """\
request: {caller: {id: ana, jurisdiction: EU}}
cases:
  - name: a small payment
    request: {action: pay, input: {amount: 20, to: bob}}
    expect: {decision: allow, rules: [pay]}
  - name: a payment <b>wrong</b>
    request: {action: pay, input: {amount: 900, to: bob}}
    expect: {decision: allow}
"""
MASKED = """\
  - id: masked
    place: tool:pay
    effect: forbid
    because: nobody reads whom it went to
    obligations: [{redact: {result: [to]}}]
"""
REDACTED = """\
cases:
  - name: paid, and masked
    request: {action: pay, caller: {id: ana, jurisdiction: EU}, input: {amount: 20, to: bob}}
    expect: {decision: allow, obligations: {redact: {result: [to]}}}
"""
RUN = """\
cases:
  - name: a run
    run:
      caller: {id: ana, roles: [clerk], jurisdiction: EU}
      input: Hello.
      says: [{say: Hello.}]
    expect: {status: denied}
"""
PLAIN = """\
policies: [p.cedar]
request: {principal: 'User::"a"', action: 'Action::"b"', resource: 'Thing::"c"'}
cases:
  - {name: anybody may, request: {}, expect: {decision: allow}}
"""


def test_coverage_of_a_test_run_is_the_coverage_of_the_project(remit: Any, project: Project) -> None:
    project()
    alone = remit("coverage", "desk", "--json").json
    (both,) = remit("test", "desk", "--coverage", "--json").json["coverage"]
    assert both.pop("agent") == "desk"
    assert both == alone
    shown = remit("test", "desk", "--coverage").stdout
    assert "2 cases: 2 passed, 0 failed\n\ncoverage of desk\n" in shown
    assert shown.endswith(remit("coverage", "desk").stdout)


@pytest.mark.parametrize("engine", ["cedar", "compiled"])
def test_coverage_counts_the_request_as_it_was_asked_also_where_a_redaction_turns_the_answer(
    engine: str, remit: Any, project: Project
) -> None:
    project(rules=RULES + MASKED, cases=REDACTED)
    alone = remit("coverage", "desk", "--json").json
    done = remit("test", "desk", "--coverage", "--engine", engine, "--json")
    assert (done.code, done.json["passed"]) == (0, 1)
    (both,) = done.json["coverage"]
    masked = next(rule for rule in both["rules"] if rule["rule"] == "masked")
    assert (masked["applied"], masked["decisive"]) == (1, 1)
    assert both["rules"] == alone["rules"]
    assert both["actions"] == alone["actions"]


def test_without_the_wish_nothing_of_coverage_is_told(remit: Any, project: Project) -> None:
    project()
    assert remit("test", "desk", "--json").json["coverage"] is None
    assert "coverage" not in remit("test", "desk").stdout


def test_no_case_is_decided_twice_for_coverage(
    remit: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project()
    asked: list[str] = []
    decide = CedarEngine.decide

    def counted(self: CedarEngine, request: Any) -> Any:
        asked.append(request.action)
        return decide(self, request)

    monkeypatch.setattr(CedarEngine, "decide", counted)
    remit("test", "desk")
    alone = len(asked)
    assert alone
    asked.clear()
    assert remit("test", "desk", "--coverage", "--html", "r.html").code == 0
    assert len(asked) == alone


def test_too_little_coverage_is_a_finding_and_the_report_says_so(remit: Any, project: Project) -> None:
    project()
    total = remit("coverage", "desk", "--json").json["total"]["percent"]
    assert remit("test", "desk", "--fail-under", str(total)).code == 0
    done = remit("test", "desk", "--fail-under", "99", "--markdown", "r.md")
    assert done.code == 1
    assert "less than 99 %\n" in done.stdout
    assert (
        f"**✗ 2 cases: 2 passed, 0 failed; coverage {total} %, less than 99 %**" in Path("r.md").read_text()
    )
    (value,) = remit("test", "desk", "--fail-under", "99", "--json").json["coverage"]
    assert (value["fail_under"], value["passed"]) == (99, False)


def test_both_reports_show_failures_decisions_and_coverage_by_rule(remit: Any, project: Project) -> None:
    project(cases=FAILING)
    done = remit("test", "desk", "--html", "r.html", "--markdown", "r.md", "--junit", "r.xml")
    assert done.code == 1
    assert done.stdout.endswith("wrote r.html\nwrote r.md\n")
    page, text = Path("r.html").read_text(), Path("r.md").read_text()
    assert re.findall("<h2>([^<]*)", page) == [
        "Failures",
        "Suites",
        "Decisions of desk",
        "Coverage of desk",
    ]
    assert re.findall("^## (.*)", text, re.MULTILINE) == re.findall("<h2>([^<]*)", page)
    assert "<b>wrong</b>" not in page
    # The request, the deciding rule with its place, and the nearest difference.
    told = page.partition("<pre>")[2].partition("</pre>")[0]
    assert "context.input.amount = 900" in told
    assert re.search(r"decided   forbid `pay-\w+` \(desk/rules/desk.yaml:\d+:\d+\)", told)
    assert re.search(r"nearest   as expected with `input.amount` \d+ instead of 900", told)
    assert "| pay | 1 |  |  |" in text
    assert re.search(r"\| boom \\\(0 of \d\\\) \| 0 % \|", text)
    assert "| pay | 1 | 1 |" in text
    assert "| boom | never evaluated | desk/rules/desk.yaml:" in text


def test_a_whole_run_that_fails_is_told_with_its_trace(remit: Any, project: Project) -> None:
    project(cases=RUN)
    assert remit("test", "desk", "--markdown", "r.md").code == 1
    text = Path("r.md").read_text()
    told = re.findall(r"^\| a run (.*)", text, re.MULTILINE)[0]
    assert told.startswith(
        "| expected status denied, got completed | see its trace | step 3 is dispatch allow"
    )
    assert re.search(r"^trace +1 activate allow \w+$", text, re.MULTILINE)
    # Its steps count as decisions of rules, and not as coverage by single requests.
    assert "By 0 single requests; whole runs are not counted" in text
    assert re.search(r"^\| remit.continue \| 1 \|  \|  \|$", text, re.MULTILINE)


def test_a_report_names_what_was_chosen_and_leaves_out_what_was_not(remit: Any, project: Project) -> None:
    project(cases=FAILING)
    assert remit("test", "desk", "-k", "small", "--markdown", "r.md").code == 0
    text = Path("r.md").read_text()
    assert "- Only cases whose names fit: small\n" in text
    assert "**✓ 1 case: 1 passed, 0 failed; coverage" in text


def test_plain_policies_have_a_report_and_no_coverage(remit: Any, tmp_path: Path) -> None:
    Path("p.cedar").write_text("permit (principal, action, resource);\n")
    Path("p.cases.yaml").write_text(PLAIN)
    assert remit("test", "p.cases.yaml", "--markdown", "r.md").code == 0
    assert "## Decisions of p.cases.yaml" in Path("r.md").read_text()
    assert "Coverage" not in Path("r.md").read_text()
    done = remit("test", "p.cases.yaml", "--fail-under", "1")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == (
        "error: coverage is about an agent's rules, and these cases are about plain policies; "
        "leave `--coverage` and `--fail-under` out, or test a project\n"
    )


@pytest.mark.parametrize("option", ["--html", "--markdown", "--junit"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_decided(
    option: str, remit: Any, project: Project
) -> None:
    project(cases=FAILING)
    done = remit("test", "desk", option, "nowhere/report")
    assert (done.code, done.stdout) == (2, "")
    assert "`nowhere/report` cannot be a report file" in done.stderr
