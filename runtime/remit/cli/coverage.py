"""`remit coverage`: what a project's cases reach of its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_target
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example, fail_under_option

if TYPE_CHECKING:
    from remit.cli.agents import Target
    from remit.cli.output import Session
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage
    from remit.workbench.asked_cases import AskedCase
    from remit.workbench.coverage import Coverage


@click.command(
    "coverage",
    epilog=example("remit coverage refund-desk", "remit coverage refund-desk --fail-under 90 --json"),
)
@click.argument("project")
@fail_under_option("the total")
@common
def command(session: Session, *, project: str, fail_under: float | None) -> int:
    """Decide the cases of PROJECT and show which rules, conditions and outcomes they never reach."""
    from remit.engine.cedar import CedarEngine
    from remit.workbench.coverage import measure

    target = read_target(project)
    image = target.compile()
    cases = cases_of(target, image)
    engine = CedarEngine(image)
    found = measure(
        image,
        [(case.request, engine.decide(case.request)) for case in cases],
        tools=[tool.name for tool in target.document.capabilities.tools],
    )
    short = fail_under is not None and found.total.percent < fail_under
    if session.json:
        verdict: JsonObject = {"fail_under": fail_under, "passed": not short}
        session.emit({"image": image.digest, **found.to_json(), **verdict})
    else:
        show_coverage(session, found)
        if short:
            session.say(f"less than {fail_under:g} %", style="red")
    return ExitCode.FINDINGS if short else ExitCode.FINE


def cases_of(target: Target, image: PolicyImage) -> tuple[AskedCase, ...]:
    """Return the cases of a project.

    Raises:
        FaultsError: it is no project folder, or has no case.
    """
    from remit.workbench.asked_cases import requests_of

    if not target.project:
        raise bad_input(f"`{target.label}` is a document, and cases stand in a project", "name its folder")
    cases = requests_of(target.folder, target.document, image)
    if not cases:
        raise bad_input(f"`{target.label}` has no case", "write one below `cases/`")
    return cases


def show_coverage(session: Session, found: Coverage) -> None:
    """Write coverage for people, the total last."""
    from remit.workbench.coverage_view import coverage_sentence, missing, shares

    session.say(f"{found.requests} requests, {len(found.rules)} rules", style="bold")
    for label, share in shares(found):
        style = "green" if share.covered == share.total else "yellow"
        counts = f"  {share.covered} of {share.total}"
        session.parts((f"  {label:<21}", ""), (f"{share.percent:5.1f} %", style), (counts, "dim"))
    gaps = [*missing(found)]
    if gaps:
        session.say("never reached", style="bold")
    for gap in gaps:
        origin = f"  {gap.origin}" if gap.origin else ""
        session.parts((f"  {gap.name}", "bold"), (f" {gap.what}", ""), (origin, "dim"))
    session.say(coverage_sentence(found), style="bold")
