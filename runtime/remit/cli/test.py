"""`remit test`: decide cases, compare, and say what is behind every one that does not hold."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.coverage import show_coverage
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example, fail_under_option
from remit.cli.output import one_line, shortened
from remit.cli.report_files import check_report_files, report_options, write_reports
from remit.project.build import write_whole
from remit.workbench.suites.failure import MAX_SEARCHED, Failure, explain_failure
from remit.workbench.suites.finding import read_suites
from remit.workbench.suites.plan import prepare, run_all
from remit.workbench.suites.reports import github_lines, junit, parts_of, report_value
from remit.workbench.suites.selecting import select
from remit.workbench.suites.view import run_report, sentence, skipped_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.cli.output import Session
    from remit.document.values import JsonValue
    from remit.host.engines import EngineName
    from remit.workbench.suites.coverage import AgentCoverage
    from remit.workbench.suites.model import Suite
    from remit.workbench.suites.plan import Prepared
    from remit.workbench.suites.results import CaseResult

    Outcome = tuple[tuple[Suite, tuple[CaseResult, ...]], ...]

_STYLES = {"problem": "red", "nearest": "yellow", "place": "dim"}
_PROGRESS_STEP = 25


@click.command(
    "test",
    epilog=example(
        "remit test",
        "remit test refund-desk -k 'refund and not freeze'",
        "remit test --watch",
        "remit test refund-desk --coverage --fail-under 90 --html report.html",
        "remit test cases/desk.cases.yaml --junit report.xml",
        "remit test 'cedar-integration-tests/tests/**/*.json'",
    ),
)
@click.argument("paths", nargs=-1)
@click.option("-k", "expression", default="", metavar="EXPR", help="Only cases whose names fit.")
@click.option("-x", "--fail-fast", is_flag=True, help="Stop at the first case that does not hold.")
@click.option("--watch", is_flag=True, help="Test again whenever a file changes; end with Ctrl-C.")
@click.option(
    "--jobs", type=click.IntRange(0, 64), default=0, metavar="N", help="Processes. Default: as many as pay."
)
@click.option("--junit", "junit_file", default=None, metavar="FILE", help="Write a JUnit report, too.")
@click.option(
    "--github/--no-github",
    default=None,
    help="Write annotations for GitHub. Default: on within a GitHub workflow.",
)
@click.option(
    "--engine",
    type=click.Choice(("cedar", "compiled")),
    default="cedar",
    show_default=True,
    help="What decides an agent's requests.",
)
@click.option("--coverage", is_flag=True, help="Show what the cases reach of each agent's rules, too.")
@fail_under_option("the total coverage of an agent")
@report_options
@common
def command(
    session: Session,
    *,
    paths: tuple[str, ...],
    expression: str,
    fail_fast: bool,
    watch: bool,
    jobs: int,
    junit_file: str | None,
    github: bool | None,
    engine: EngineName,
    coverage: bool,
    fail_under: float | None,
    html: str | None,
    markdown: str | None,
) -> int:
    """Decide the cases in PATHS (files, or folders that hold them; `.` by default) and compare.

    Exit codes: 0 all hold, 1 some do not or coverage is too low, 2 a case file is wrong.
    """
    meant = select(expression)
    written = (junit_file, html, markdown)
    check_report_files(*written)
    if watch:
        if session.json:
            raise bad_input("`--watch` and `--json` do not go together", "leave one of them out")
        from remit.cli.watching import watch_paths

        return watch_paths(session, paths, written=[name for name in written if name is not None])
    prepared = prepare(read_suites(paths), engine=engine)
    outcome = run_all(
        prepared,
        wanted=lambda suite, case: meant(f"{suite.name}: {case.name}"),
        jobs=jobs,
        fail_fast=fail_fast,
        progress=_progress(session),
    )
    if not outcome:
        raise bad_input(f"no case's name fits `-k {expression}`", "leave `-k` out to see all names")
    failures = _failures(prepared, outcome)
    shown = coverage or fail_under is not None
    coverages = _coverages(prepared, outcome, shown=shown) if shown or html or markdown else ()
    low = [one for one in coverages if fail_under is not None and one.falls_short(fail_under)]
    if session.json:
        covered: list[JsonValue] = [
            {**one.to_json(), "fail_under": fail_under, "passed": one not in low} for one in coverages
        ]
        session.emit({**report_value(outcome, failures), "coverage": covered if shown else None})
    else:
        _show(session, outcome, failures)
        _show_coverages(session, coverages if shown else (), low, fail_under)
    if junit_file is not None:
        write_whole(Path(junit_file), junit(outcome, failures).encode())
    if html or markdown:
        report = run_report(
            outcome,
            failures,
            coverages,
            paths=paths or (".",),
            engine=engine,
            chosen=expression,
            fail_under=fail_under,
        )
        write_reports(session, report, html=html, markdown=markdown)
    _annotate(session, failures, github=github)
    return ExitCode.FINDINGS if failures or low else ExitCode.FINE


def _annotate(session: Session, failures: dict[int, Failure], *, github: bool | None) -> None:
    if github if github is not None else os.environ.get("GITHUB_ACTIONS") == "true":
        # On stderr, where GitHub reads them as well, so that `--json` stays one value.
        for line in github_lines(failures.values()):
            click.echo(line, err=session.json)


def _coverages(prepared: Sequence[Prepared], outcome: Outcome, *, shown: bool) -> tuple[AgentCoverage, ...]:
    from remit.workbench.suites.coverage import coverage_of

    found = coverage_of(prepared, outcome)
    if shown and not found:
        raise bad_input(
            "coverage is about an agent's rules, and these cases are about plain policies",
            "leave `--coverage` and `--fail-under` out, or test a project",
        )
    return found


def _show_coverages(
    session: Session,
    coverages: Sequence[AgentCoverage],
    low: Sequence[AgentCoverage],
    fail_under: float | None,
) -> None:
    for one in coverages:
        session.say()
        session.say(f"coverage of {one.agent}", style="bold")
        show_coverage(session, one.coverage)
        if one in low:
            session.say(f"less than {fail_under:g} %", style="red")


def _progress(session: Session) -> Callable[[int, int], None]:
    """Return what shows on a terminal how far the run is."""
    if session.json or not sys.stderr.isatty():
        return lambda _done, _all: None

    def show(done: int, of: int) -> None:
        if done == of:
            click.echo("\r\x1b[K", nl=False, err=True)
        elif done % _PROGRESS_STEP == 0:
            click.echo(f"\r{done} of {of} cases …", nl=False, err=True)

    return show


def _failures(prepared: Sequence[Prepared], outcome: Outcome) -> dict[int, Failure]:
    """Explain every case that does not hold, by the identity of its result."""
    found: dict[int, Failure] = {}
    of_suite = {id(item.bound.suite): item for item in prepared}
    for suite, results in outcome:
        item = of_suite[id(suite)]
        for result in results:
            if not result.passed:
                search = len(found) < MAX_SEARCHED
                found[id(result)] = explain_failure(result, item.bound, item.engine, search=search)
    return found


def _show(session: Session, outcome: Outcome, failures: dict[int, Failure]) -> None:
    for suite, results in outcome:
        failed = sum(not result.passed for result in results)
        mark, style = ("✗", "red") if failed else ("✓", "green")
        held = f"{len(results) - failed - skipped_in(results)} of {len(results)} hold"
        session.parts((f"{mark} ", style), (suite.file, "bold"), (f"  {held}", ""))
        for result in results:
            if result.skipped:
                session.parts(("  - ", "yellow"), (f"{result.case.name}: skipped: {result.case.skip}", ""))
            elif not result.passed:
                session.parts(("  ✗ ", "red"), (result.case.name, ""))
                for kind, text in parts_of(failures[id(result)]):
                    session.say(f"      {one_line(shortened(text), limit=1000)}", style=_STYLES.get(kind, ""))
    session.say(sentence(outcome), style="bold")
