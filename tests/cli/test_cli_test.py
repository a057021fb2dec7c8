"""`remit test` and `remit cases`: exit codes, reports, selection, processes, watching."""

from __future__ import annotations

import json
import os
import select as select_module
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from remit.cli.watching import POLL_S
from remit.document.carriers import read_value
from remit.workbench.suites.plan import prepare, run_all, worthwhile
from remit.workbench.suites.reading import read_suite
from remit.workbench.suites.schema import cases_schema
from remit.workbench.suites.selecting import select

if TYPE_CHECKING:
    from collections.abc import Callable

    Project = Callable[..., Path]

FAILING = """\
request: {caller: {id: ana, jurisdiction: EU}}
cases:
  - name: a small payment
    request: {action: pay, input: {amount: 20, to: bob}}
    expect: {decision: allow, rules: [pay]}
  - name: a payment, 100% wrong
    request: {action: pay, input: {amount: 900, to: bob}}
    expect: {decision: allow}
  - name: another that fails
    request: {action: pay, input: {amount: 9000, to: bob}}
    expect: {decision: allow}
  - name: for later
    skip: nobody knows yet
    request: {action: activate}
    expect: {decision: allow}
"""


def test_all_cases_hold_is_exit_code_0(remit: Any, project: Project) -> None:
    project()
    done = remit("test", "desk")
    assert done.code == 0
    assert "✓ desk/cases/desk.yaml  2 of 2 hold" in done.stdout
    assert done.stdout.endswith("2 cases: 2 passed, 0 failed\n")
    assert remit("test").stdout == done.stdout


def test_a_failure_is_told_whole(remit: Any, project: Project, snapshot: Callable[[str, str], None]) -> None:
    project(cases=FAILING)
    done = remit("test", "desk")
    snapshot("test-fails", f"exit code {done.code}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}")


def test_a_wrong_case_file_is_exit_code_2_with_every_fault(remit: Any, project: Project) -> None:
    project(cases=FAILING.replace("decision: allow}", "decision: alow}"))
    done = remit("test", "desk")
    assert done.code == 2
    assert "desk/cases/desk.yaml:8:24: `decision` is `alow`; did you mean `allow`?" in done.stderr
    assert remit("test", "nowhere").code == 2
    Path("empty").mkdir()
    assert remit("test", "empty").code == 2


def test_json_holds_every_case_and_what_is_behind_a_failure(remit: Any, project: Project) -> None:
    project(cases=FAILING)
    value = remit("test", "desk", "--json").json
    assert (value["passed"], value["failed"], value["skipped"]) == (1, 2, 1)
    (suite,) = value["suites"]
    first, second, _, fourth = suite["cases"]
    assert first["failure"] is None
    assert second["differences"] == [{"what": "decision", "expected": "allow", "got": "awaiting_approval"}]
    assert second["failure"]["nearest"]["changes"][0] == {
        "key": "input.amount",
        "before": "900",
        "after": "500",
    }
    assert second["failure"]["deciding"][0]["rule"] == "pay-cap"
    assert fourth["skipped"] == "nobody knows yet"


def test_junit_is_a_report_that_other_tools_read(remit: Any, project: Project) -> None:
    project(cases=FAILING.replace("a small payment", '"<a & \\"small\\" \\u0001 payment>"'))
    assert remit("test", "desk", "--junit", "report.xml").code == 1
    (suite,) = ET.parse("report.xml").getroot()
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "4", "failures": "2", "skipped": "1", "errors": "0",
    }  # fmt: skip
    first, second, _, fourth = suite
    assert first.get("name") == '<a & "small" \\u0001 payment>'
    failure = second.find("failure")
    assert failure is not None
    assert failure.get("message") == "expected decision allow, got awaiting_approval"
    assert "pay-cap" in (failure.text or "")
    assert fourth.find("skipped") is not None
    assert second.get("line") == "6"


def test_github_gets_one_annotation_for_each_failure(
    remit: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(cases=FAILING)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert "::error" not in remit("test", "desk").stdout
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = [line for line in remit("test", "desk").stdout.splitlines() if line.startswith("::")]
    assert len(lines) == 2
    assert lines[0].startswith(
        "::error file=desk/cases/desk.yaml,line=6,col=5,title=a payment%2C 100%25 wrong::"
        "expected decision allow, got awaiting_approval%0A"
    )
    assert "::error" not in remit("test", "desk", "--no-github").stdout
    both = remit("test", "desk", "--json")
    assert both.json["failed"] == 2
    assert both.stderr.count("::error") == 2


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("payment", 2),
        ("PAYMENT", 2),
        ("payment and not wrong", 1),
        ("not payment", 2),
        ("'a small' or another", 2),
        ("not (small or wrong)", 2),
        ("desk", 4),
    ],
)
def test_k_chooses_cases_by_words_of_their_names(
    expression: str, names: int, remit: Any, project: Project
) -> None:
    project(cases=FAILING)
    value = remit("test", "desk", "-k", expression, "--json").json
    assert sum(len(suite["cases"]) for suite in value["suites"]) == names


@pytest.mark.parametrize("expression", ["(", "a and", "or b", "a b", "'a", "a)", "not", "()"])
def test_an_expression_that_cannot_be_read_is_told_with_its_place(
    expression: str, remit: Any, project: Project
) -> None:
    project()
    done = remit("test", "desk", "-k", expression)
    assert done.code == 2
    assert done.stderr.startswith("error: -k:1:")


def test_an_expression_that_fits_no_name_is_no_success(remit: Any, project: Project) -> None:
    project()
    done = remit("test", "desk", "-k", "nothing")
    assert done.code == 2
    assert "no case's name fits" in done.stderr
    assert select("")("anything")


def test_fail_fast_stops_at_the_first_failure(remit: Any, project: Project) -> None:
    project(cases=FAILING)
    value = remit("test", "desk", "-x", "--json").json
    assert (value["passed"], value["failed"]) == (1, 1)


@pytest.mark.parametrize("engine", ["cedar", "compiled"])
def test_both_engines_give_one_outcome(engine: str, remit: Any, project: Project) -> None:
    project(cases=FAILING)
    value = remit("test", "desk", "--engine", engine, "--json").json
    assert (value["passed"], value["failed"], value["skipped"]) == (1, 2, 1)
    assert value["suites"][0]["cases"][0]["verdict"]["engine"].startswith(engine)


def test_several_processes_give_the_same_results_in_the_same_order(project: Project) -> None:
    matrix = f"    matrix: {{input.amount: {[*range(0, 6000, 40)]}}}\n"
    run = """\
  - name: a run
    run: {input: pay, says: [{call: {name: pay, arguments: {amount: 1, to: b}}}, {say: done}]}
    expect: {status: completed, usage: {tool_calls: 1}}
"""
    text = FAILING.replace(
        "    expect: {decision: allow, rules: [pay]}\n", matrix + "    expect: {decision: allow}\n", 1
    )
    folder = project(cases=text + run)
    prepared = prepare([read_suite(folder / "cases" / "desk.yaml")])

    def told(jobs: int) -> list[Any]:
        ((_, results),) = run_all(prepared, jobs=jobs)
        return [
            (
                result.case.name,
                result.problems,
                result.verdict,
                None if result.run is None else result.run.steps,
            )
            for result in results
        ]

    alone = told(1)
    assert len(alone) == 154
    assert any(problems for _, problems, _, _ in alone)
    assert told(2) == alone
    assert told(7) == alone


def test_processes_are_used_only_where_they_pay(project: Project) -> None:
    folder = project()
    (prepared,) = prepare([read_suite(folder / "cases" / "desk.yaml")])
    assert worthwhile([]) == 1
    assert len(prepared.bound.suite.cases) == 2


def test_the_published_schema_takes_what_the_reader_takes(remit: Any, project: Project) -> None:
    schema = remit("schema", "cases").json
    assert schema == cases_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    project(cases=FAILING)
    examples = Path(__file__).resolve().parents[2] / "examples"
    files = [Path("desk/cases/desk.yaml"), *sorted(examples.glob("*/cases/*.yaml"))]
    assert len(files) >= 3
    for path in files:
        value = read_value(path.read_bytes(), format="yaml").value
        assert [error.message for error in validator.iter_errors(value)] == []


@pytest.mark.parametrize(
    "change",
    [
        ("request: {caller", "requests: {caller"),
        ("decision: allow", "decision: allowed"),
        ("    expect: {decision: allow, rules: [pay]}\n", ""),
        ("rules: [pay]", "rules: {includes: []}"),
        ("rules: [pay]", "obligations: {}"),
        ("rules: [pay]", "rule: [pay]"),
        ("    skip: nobody knows yet", "    skipped: nobody knows yet"),
        ("  - name: a small payment\n    request", "  - request"),
    ],
)
def test_the_published_schema_refuses_slips_as_the_reader_does(
    change: tuple[str, str], remit: Any, project: Project
) -> None:
    text = FAILING.replace(change[0], change[1], 1)
    assert text != FAILING
    project(cases=text)
    assert remit("test", "desk").code == 2
    value = read_value(text.encode(), format="yaml").value
    assert [*jsonschema.Draft202012Validator(cases_schema()).iter_errors(value)]


def test_cases_are_exported_for_cedar_and_taken_back(remit: Any, project: Project) -> None:
    project()
    done = remit("cases", "export", "desk", "-o", "out")
    assert done.code == 0, done.stderr
    assert "out/desk: 2 tests of desk" in done.stdout
    tests = json.loads(Path("out/desk/tests.json").read_text())
    assert [(test["decision"], test["reason"]) for test in tests] == [
        ("allow", ["pay"]),
        ("deny", ["pay-cap"]),
    ]
    options = ("--policies", "out/desk/policies.cedar", "--schema", "out/desk/schema.cedarschema")
    taken = remit("cases", "import", "out/desk/tests.json", *options)
    assert taken.code == 0, taken.stderr
    assert "wrote 2 cases to out/desk/tests.cases.yaml" in taken.stdout
    assert remit("test", "out/desk/tests.cases.yaml").code == 0
    assert remit("cases", "import", "out/desk/tests.json", *options).code == 2
    assert remit("cases", "export", "desk", "-o", "out").code == 2


def test_watching_tests_again_after_a_change_and_ends_without_an_error(
    project: Project, tmp_path: Path
) -> None:
    folder = project(cases=FAILING)
    start = "from remit.cli.main import main; main()"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    watching = subprocess.Popen(
        [sys.executable, "-c", start, "test", "desk", "--watch"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert "2 failed" in _until(watching, "watching")
        (folder / "cases" / "desk.yaml").write_text(FAILING.replace("decision: allow}", "decision: deny}"))
        assert "passed" in _until(watching, "watching")
        (folder / "cases" / "desk.yaml").write_text("cases: []\n")
        _until(watching, "watching")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=30) == 0
    finally:
        if watching.poll() is None:
            watching.terminate()
            watching.wait(timeout=30)
        assert watching.stdout is not None
        watching.stdout.close()


def test_a_report_that_a_round_writes_starts_no_round(project: Project, tmp_path: Path) -> None:
    project(cases=FAILING)
    start = "from remit.cli.main import main; main()"
    reports = ["--html", "desk/report.html", "--markdown", "desk/report.md", "--junit", "desk/report.xml"]
    watching = subprocess.Popen(
        [sys.executable, "-c", start, "test", "desk", "--watch", *reports],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
    )
    try:
        assert "2 failed" in _until(watching, "watching")
        assert (tmp_path / "desk" / "report.html").is_file()
        assert watching.stdout is not None
        # Several times the pause between two looks; a second round would start with an empty line at once.
        assert select_module.select([watching.stdout], [], [], 6 * POLL_S)[0] == []
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)


def _until(process: subprocess.Popen[str], word: str) -> str:
    """Read what a process writes up to a line with a word."""
    assert process.stdout is not None
    lines: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        lines.append(line)
        if word in line:
            return "".join(lines)
        assert line, "".join(lines)
    raise AssertionError("".join(lines))


def test_watch_and_json_do_not_go_together(remit: Any, project: Project) -> None:
    project()
    assert remit("test", "desk", "--watch", "--json").code == 2
