"""`remit check`: build, compile, lint and run the cases of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_target
from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.cli.pack_reports import pack_findings, show_packs
from remit.engine.cedar import CedarEngine
from remit.project.cases import CaseResult, read_cases, run_case
from remit.project.lint import Finding, lint
from remit.project.packs.comparison import pack_reports

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command("check", epilog=example("remit check refund-desk", "remit check refund-desk --json"))
@click.argument("agent")
@click.option("--strict", is_flag=True, help="Advice counts as a finding.")
@common
def command(session: Session, *, agent: str, strict: bool) -> int:
    """Build and compile AGENT, look for rules that cannot work as meant, and decide its cases."""
    target = read_target(agent)
    image = target.compile()
    cases = read_cases(target.folder) if target.project else ()
    engine = CedarEngine(image)
    results = [run_case(case, document=target.document, engine=engine, image=image) for case in cases]
    reports = pack_reports(target.document, image, folders=[used.use.found.folder for used in target.packs])
    findings = (
        *lint(target.document, image, cases=cases, project=target.project),
        *pack_findings(reports, target.packs),
    )
    failed = sum(not result.passed for result in results)
    problems = sum(finding.level == "problem" or strict for finding in findings)
    if session.json:
        session.emit(
            {
                "agent": target.document.identity.agent,
                "image": image.digest,
                "rules": len(image.rules),
                "packs": [report.to_json() for report in reports],
                "cases": [result.to_json() for result in results],
                "passed": len(results) - failed,
                "failed": failed,
                "findings": [finding.to_json() for finding in findings],
            }
        )
    else:
        show_packs(session, reports)
        _show(session, results, findings)
        session.say(
            f"{len(image.rules)} rules, {len(results)} cases: "
            f"{len(results) - failed} passed, {failed} failed; "
            f"{len(findings)} finding{'' if len(findings) == 1 else 's'}",
            style="bold",
        )
    return ExitCode.FINDINGS if failed or problems else ExitCode.FINE


def _show(session: Session, results: list[CaseResult], findings: tuple[Finding, ...]) -> None:
    for result in results:
        mark, style = ("✓", "green") if result.passed else ("✗", "red")
        session.parts((f"{mark} ", style), (result.case.name, ""))
        place = result.case.place
        for problem in result.problems:
            session.say(f"    {place.file}:{place.line}: {problem}", style="red")
    for finding in findings:
        style = "red" if finding.level == "problem" else "yellow"
        where = f"{finding.origin}: " if finding.origin else ""
        session.parts((f"{finding.level}: ", style), (f"{where}{finding.message}", ""))
