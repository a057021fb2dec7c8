"""`remit check`: build, compile, lint and run the cases of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_target
from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.cli.pack_reports import pack_findings, show_packs
from remit.engine.cedar import CedarEngine
from remit.project.lint import Finding, lint
from remit.project.packs.comparison import pack_reports
from remit.workbench.suites.agent_world import AgentWorld
from remit.workbench.suites.folder import bound_suites
from remit.workbench.suites.running import run_suite

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.workbench.suites.results import CaseResult


@click.command("check", epilog=example("remit check refund-desk", "remit check refund-desk --json"))
@click.argument("agent")
@click.option("--strict", is_flag=True, help="Advice counts as a finding.")
@common
def command(session: Session, *, agent: str, strict: bool) -> int:
    """Build and compile AGENT, look for rules that cannot work as meant, and decide its cases."""
    target = read_target(agent)
    image = target.compile()
    world = AgentWorld(document=target.document, image=image, folder=target.folder, origins=target.origins)
    results = _cases(world) if target.project else []
    reports = pack_reports(target.document, image, folders=[used.use.found.folder for used in target.packs])
    findings = (
        *lint(target.document, image, cases=len(results), project=target.project),
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


def _cases(world: AgentWorld) -> list[CaseResult]:
    """Decide the cases that belong to the project itself."""
    engine = CedarEngine(world.image)
    return [result for suite in bound_suites(world) for result in run_suite(suite, engine=engine)]


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
