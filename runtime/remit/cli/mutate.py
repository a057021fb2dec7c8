"""`remit mutate`: does a case notice when a rule is changed?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from remit.cli.agents import command_line, read_target
from remit.cli.coverage import cases_of
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example, fail_under_option
from remit.cli.output import compact
from remit.errors import EvaluationError
from remit.project.questions import question_members
from remit.project.source import listing, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.cli.agents import Target
    from remit.cli.output import Session
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.project.answers import Verdict
    from remit.workbench.accepting import Accepted
    from remit.workbench.mutants import Mutant
    from remit.workbench.mutation import MutationReport, Survivor


_SHOWN = 300
"""Characters of a request that people are shown."""


@click.command(
    "mutate",
    epilog=example(
        "remit mutate refund-desk",
        "remit mutate refund-desk --fail-under 90 --json",
        "remit mutate refund-desk --accept refund-amount#8",
    ),
)
@click.argument("project")
@fail_under_option("the mutation score")
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="N|ID",
    help="Keep the request of a survivor as a case; its number or its id; repeatable.",
)
@common
def command(session: Session, *, project: str, fail_under: float | None, accepted: tuple[str, ...]) -> int:
    """Change the rules of PROJECT, one place at a time, and show which changes none of its cases notices."""
    from remit.workbench.mutation import MutationRun

    target = read_target(project)
    image = target.compile()
    report = MutationRun(target.document, image, cases_of(target, image)).run(progress=_progress(session))
    written: list[JsonObject] = []
    if accepted:
        written, report = _accepted(session, target, image, _chosen(report, accepted))
    score = report.score.percent
    short = fail_under is not None and score < fail_under
    if session.json:
        verdict: JsonObject = {"accepted": [*written], "fail_under": fail_under, "passed": not short}
        session.emit({"image": image.digest, **_report_value(report, image), **verdict})
    else:
        for case in written:
            session.say(f"accepted `{case['name']}` into {case['file']}", style="green")
        _show(session, report, image, project)
        if short:
            session.say(f"less than {fail_under:g} %", style="red")
    return ExitCode.FINDINGS if short else ExitCode.FINE


def _progress(session: Session) -> Callable[[int, int], None]:
    """Return what shows how far it is, on a terminal only."""
    if session.json or not sys.stderr.isatty():
        return lambda _done, _all: None

    def show(done: int, total: int) -> None:
        click.echo(f"\r{done} of {total} rules changed", err=True, nl=done == total)

    return show


def _chosen(report: MutationReport, accepted: Sequence[str]) -> list[Survivor]:
    """Return the survivors that were named, each once.

    Raises:
        FaultsError: a number or an id names none.
    """
    chosen: dict[str, Survivor] = {}
    for name in accepted:
        numbered = dict(enumerate(report.survivors, 1))
        survivor = numbered.get(int(name)) if name.isdecimal() else None
        if survivor is None:
            survivor = next((one for one in report.survivors if one.mutant.id == name), None)
        if survivor is None:
            raise bad_input(f"`--accept {name}` names no survivor", _why_not(report, name))
        chosen[survivor.mutant.id] = survivor
    return [*chosen.values()]


def _why_not(report: MutationReport, name: str) -> str:
    if any(one.mutant.id == name for one in report.killed):
        return "a case notices this change already"
    if any(one.id == name for one in report.untold):
        return "no request was found that tells this change apart"
    named = [one.mutant.id for one in report.survivors]
    return nearest(name, named) or (f"survivors are {listing(named)}" if named else "no change survived")


def _accepted(
    session: Session, target: Target, image: PolicyImage, chosen: Sequence[Survivor]
) -> tuple[list[JsonObject], MutationReport]:
    """Write cases and run everything again with them; what does not hold is taken back.

    Raises:
        EvaluationError: a case does not hold, or does not notice what it was accepted for.
    """
    from remit.workbench.accepting import accept_case
    from remit.workbench.mutation import MutationRun

    written: list[JsonObject] = []
    undo: list[Accepted] = []
    try:
        for one in chosen:
            told = one.telling
            name = one.mutant.promise
            done = accept_case(target.folder, name=name, question=told.question, verdict=told.original)
            undo.append(done)
            written.append({"mutant": one.mutant.id, "name": name, "file": done.file})
        report = MutationRun(target.document, image, cases_of(target, image)).run(progress=_progress(session))
        _check_noticed(report, chosen)
    except BaseException:
        for done in reversed(undo):
            done.take_back(target.folder)
        raise
    return written, report


def _check_noticed(report: MutationReport, chosen: Sequence[Survivor]) -> None:
    noticed = {one.mutant.id for one in report.killed}
    unnoticed = [one.mutant.id for one in chosen if one.mutant.id not in noticed]
    if unnoticed:
        raise EvaluationError(f"the accepted cases do not notice {listing(unnoticed)}; please report it")


def _show(session: Session, report: MutationReport, image: PolicyImage, project: str) -> None:
    for number, survivor in enumerate(report.survivors, 1):
        mutant, telling = survivor.mutant, survivor.telling
        session.parts(
            (f"{number}. ", "yellow"),
            (mutant.id, "bold"),
            (f" {mutant.text}", ""),
            (f"  {image.rules[mutant.rule].origin}", "dim"),
        )
        session.say(f"     told by    {compact(question_members(telling.question), limit=_SHOWN)}")
        session.say(f"     now        {_verdict(telling.original)}")
        session.say(f"     changed    {_verdict(telling.changed)}")
    if report.survivors:
        shown = command_line("remit", "mutate", project, "--accept", report.survivors[0].mutant.id)
        session.say(f"keep such a request as a case with `{shown}`", style="dim")
    if report.untold:
        session.say("no request was found that tells these apart (probably equivalent)", style="bold")
        for mutant in report.untold:
            session.parts((f"  {mutant.id}", ""), (f" {mutant.text}", "dim"))
    killed, survived = len(report.killed), len(report.survivors)
    session.say(
        f"{killed + survived + len(report.untold)} changes: {killed} noticed, {survived} not, "
        f"{len(report.untold)} probably equivalent; {report.rejected} would not compile"
    )
    session.say(f"mutation score {report.score.percent:.1f} %", style="bold")


def _verdict(verdict: Verdict) -> str:
    rules = ", ".join(verdict.rules) or "no rule"
    return f"{verdict.decision.replace('_', ' ')}, {verdict.kind.replace('_', ' ')} ({rules})"


def _report_value(report: MutationReport, image: PolicyImage) -> JsonObject:
    survivors: list[JsonValue] = [
        {
            "number": number,
            **_mutant_value(one.mutant, image),
            "request": question_members(one.telling.question),
            "original": one.telling.original.to_json(),
            "changed": one.telling.changed.to_json(),
        }
        for number, one in enumerate(report.survivors, 1)
    ]
    return {
        "score": report.score.to_json(),
        "killed": [{**_mutant_value(one.mutant, image), "case": one.case} for one in report.killed],
        "survivors": survivors,
        "untold": [_mutant_value(one, image) for one in report.untold],
        "rejected": report.rejected,
    }


def _mutant_value(mutant: Mutant, image: PolicyImage) -> JsonObject:
    return {
        "id": mutant.id,
        "rule": mutant.rule,
        "origin": image.rules[mutant.rule].origin,
        "operator": mutant.operator,
        "before": mutant.before,
        "after": mutant.after,
    }
