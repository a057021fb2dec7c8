"""`remit replay`: recorded requests against a candidate."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from remit.cli.candidates import ledger_place, named_candidate, pack_called, pack_candidate, with_option
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.cli.output import short
from remit.cli.report_files import check_report_files, report_options, write_reports
from remit.project.build import write_whole
from remit.workbench.replay.cases import Expectation, cases_of
from remit.workbench.replay.changes import FLIPS
from remit.workbench.replay.replay import Plan, choose_agent, head_of, remarks_on, replay
from remit.workbench.replay.source import open_source
from remit.workbench.replay.view import remarks, replay_report, sentence, side_text, to_json
from remit.workbench.report.model import number

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from remit.cli.output import Session
    from remit.host.candidate import Candidate
    from remit.host.location import Location
    from remit.workbench.replay.cases import WrittenCases
    from remit.workbench.replay.replay import Replay

_SHOWN = 12
"""Groups and examples that are shown to people; `--json` and the report have all."""


@click.command(
    "replay",
    epilog=example(
        "remit replay refund-desk/.remit --against refund-desk-next",
        "remit replay .remit --against data-residency --with 'regions=[\"EU\"]'",
        "remit replay .remit --against next.agent.json --html replay.html --to-cases cases/flips.yaml",
    ),
)
@click.argument("ledger")
@click.option(
    "--against",
    required=True,
    metavar="CANDIDATE",
    help="Project folder or document whose rules decide now, or a pack: the agent with its rules.",
)
@click.option(
    "--compare",
    default=None,
    metavar="OLD",
    help="Compare with this folder, document or pack instead of with what was recorded.",
)
@with_option
@click.option("--agent", default="", metavar="ID", help="Whose decisions: an agent id, or its beginning.")
@click.option(
    "--processes", type=click.IntRange(0, 256), default=0, metavar="N", help="Processes. Default: one a core."
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 100),
    default=0.25,
    show_default=True,
    metavar="PERCENT",
    help="Share that the reference engine decides, too; at least 1,000 decisions.",
)
@click.option(
    "--examples",
    type=click.IntRange(0, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="Examples kept of each kind of flip; 0 keeps nothing of what records hold.",
)
@click.option("--to-cases", "cases", default=None, metavar="FILE", help="Write the examples as cases.")
@click.option(
    "--expect",
    type=click.Choice(("candidate", "recorded")),
    default="candidate",
    show_default=True,
    help="Whose decision those cases expect.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 where a decision flips.")
@report_options
@common
def command(
    session: Session,
    *,
    ledger: str,
    against: str,
    compare: str | None,
    values: tuple[str, ...],
    agent: str,
    processes: int,
    sample: float,
    examples: int,
    cases: str | None,
    expect: str,
    exit_code: bool,
    html: str | None,
    markdown: str | None,
) -> int:
    """Decide the recorded requests of LEDGER, a store's folder or address, again under a candidate.

    Says first how many decisions there are and which cannot be replayed, then which ones flip.
    """
    check_report_files(html, markdown, cases)
    if cases is not None and not examples:
        raise bad_input("`--to-cases` has nothing to write with `--examples 0`", "keep some examples")
    place = ledger_place(ledger)
    asked = _compared(place, (against, compare), agent, values)
    candidate = asked.candidate
    plan = Plan(store=place, agent=asked.agent, size=asked.size, examples=examples, share=sample)
    with progress_bar(session, "replayed records") as told:
        found = replay(
            plan,
            candidate,
            asked.baseline,
            processes=processes,
            progress=told,
            notes=asked.notes,
        )
    if session.json:
        session.emit(to_json(found))
    else:
        show(session, found)
    report = replay_report(found, ledger=ledger, candidate=against, baseline=compare or "")
    write_reports(session, report, html=html, markdown=markdown)
    if cases is not None:
        written = _cases(found, candidate, place, cast("Expectation", expect))
        _write_cases(session, written, Path(cases))
    wrong = found.tally.divergences or (exit_code and found.tally.flipped())
    return ExitCode.FINDINGS if wrong else ExitCode.FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """What is replayed against what: whose decisions, and what a reader must know besides."""

    agent: str
    size: int
    candidate: Candidate
    baseline: Candidate | None
    notes: tuple[str, ...]


def _compared(
    place: Location, labels: tuple[str, str | None], agent: str, values: tuple[str, ...]
) -> _Compared:
    packs = [None if label is None else pack_called(label) for label in labels]
    if values and not any(packs):
        raise bad_input("`--with` gives values to a pack, and none is named", "name one with `--against`")
    read = [
        named_candidate(label) if label is not None and pack is None else None
        for label, pack in zip(labels, packs, strict=True)
    ]
    chosen, size = choose_agent(place, None if read[0] is None else read[0].document, agent)
    notes: tuple[str, ...] = ()
    for index, pack in enumerate(packs):
        if pack is not None:
            known = [other for other in packs if other is not None]
            fitted = pack_candidate(head_of(place, chosen), pack, values, known=known)
            read[index] = fitted.candidate
            notes += fitted.notes if index == 0 else ()
    candidate, baseline = read
    assert candidate is not None
    notes += remarks_on(place, chosen, candidate.document)
    return _Compared(agent=chosen, size=size, candidate=candidate, baseline=baseline, notes=notes)


@contextmanager
def progress_bar(session: Session, what: str) -> Generator[Callable[[int, int], None] | None]:
    """Show progress on stderr where people watch; elsewhere show nothing."""
    if session.json or not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Drawn when a range is done, by no thread of its own: processes are forked beside it.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def told(done: int, whole: int) -> None:
            progress.update(task, completed=done, total=whole)
            progress.refresh()

        yield told


def show(session: Session, found: Replay) -> None:
    """Write a replay for people, the denominator first."""
    tally = found.tally
    session.say(f"agent      {short(found.agent)}")
    session.say(f"records    {number(found.records)}")
    session.say(f"decisions  {number(tally.decisions)}")
    session.say(f"replayed   {number(tally.replayed)}", style="bold")
    for reason, count in sorted(tally.skipped.items()):
        session.say(f"  not      {number(count)}  {reason}")
    session.say(f"engine     {found.engine}; {number(tally.checked)} questions decided by the reference, too")
    for remark in remarks(found):
        session.note(remark, indent=2)
    session.say()
    session.say(sentence(found), style="bold")
    if not tally.flipped():
        return
    for title, counts in (("action", tally.flips_by("action")), ("rule", tally.flips_by("rule"))):
        session.say()
        session.say(f"flips by {title}", style="bold")
        for name, counted in list(counts.items())[:_SHOWN]:
            parts = ", ".join(f"{number(counted[change])} {change}" for change in FLIPS if counted[change])
            session.say(f"  {name}: {parts}")
        _more(session, len(counts))
    _show_callers(session, found)
    examples = list(tally.ordered_flips())
    if examples:
        session.say()
        session.say("examples", style="bold")
        for flip in examples[:_SHOWN]:
            before, after = side_text(flip.before), "; ".join((side_text(flip.after), *flip.errors))
            session.say(f"  record {flip.index}  {flip.at}  {flip.action}: {before} → {after}")
        _more(session, len(examples))


def _show_callers(session: Session, found: Replay) -> None:
    counts: dict[str, int] = {}
    for (_, name, value), count in found.tally.callers.items():
        counts[f"{name} = {value}"] = counts.get(f"{name} = {value}", 0) + count
    if not counts:
        return
    session.say()
    session.say("flips by attribute of the caller", style="bold")
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]:
        session.say(f"  {name}: {number(count)}")
    _more(session, len(counts))


def _more(session: Session, count: int) -> None:
    if count > _SHOWN:
        session.say(f"  and {number(count - _SHOWN)} more; `--html FILE` or `--json` has all")


def _cases(found: Replay, candidate: Candidate, place: Location, expect: Expectation) -> WrittenCases:
    source = open_source(place)
    try:
        return cases_of(found.tally.ordered_flips(), candidate, source, expect=expect)
    finally:
        source.close()


def _write_cases(session: Session, written: WrittenCases, file: Path) -> None:
    if not written.count:
        session.complain(f"no flip can be written as a case, so `{file.as_posix()}` was left alone")
    else:
        write_whole(file, written.text)
        session.say(f"wrote {number(written.count)} cases into {file.as_posix()}")
    for reason in written.left_out:
        session.complain(f"left out: {reason}")
