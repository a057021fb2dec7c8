"""`remit shadow`: what a candidate, and rules of `mode: shadow`, would have answered in production."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.candidates import ledger_place
from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.cli.output import short
from remit.cli.report_files import check_report_files, report_options, write_reports
from remit.workbench.replay.changes import FLIPS
from remit.workbench.replay.source import open_source
from remit.workbench.replay.view import side_text
from remit.workbench.report.model import number
from remit.workbench.shadow.summary import summarize
from remit.workbench.shadow.view import missing_rows, shadow_report, shadow_sentence, to_json

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.workbench.replay.changes import Tally
    from remit.workbench.shadow.summary import ShadowSummary

_SHOWN = 12


@click.group(
    "shadow",
    epilog=example(
        'remit run refund-desk --shadow refund-desk-next --input "…"',
        "remit shadow report refund-desk/.remit",
    ),
)
def command() -> None:
    """Report what a candidate would have answered in production."""


@command.command(
    "report",
    epilog=example("remit shadow report .remit", "remit shadow report .remit --html shadow.html --exit-code"),
)
@click.argument("ledger")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where an answer would have been another.")
@report_options
@common
def report(session: Session, *, ledger: str, exit_code: bool, html: str | None, markdown: str | None) -> int:
    """Add up the shadow records of LEDGER, a store's folder or address."""
    check_report_files(html, markdown)
    source = open_source(ledger_place(ledger))
    try:
        found = summarize(source)
    finally:
        source.close()
    if session.json:
        session.emit(to_json(found))
    else:
        _show(session, found)
    write_reports(session, shadow_report(found, ledger=ledger), html=html, markdown=markdown)
    return ExitCode.FINDINGS if exit_code and found.flips else ExitCode.FINE


def _show(session: Session, found: ShadowSummary) -> None:
    session.say(f"decisions  {number(found.decisions)}")
    session.say(f"shadowed   {number(found.shadowed)}", style="bold")
    for name, count in missing_rows(found):
        session.say(f"  {name}: {count}")
    session.say(shadow_sentence(found), style="bold")
    for item in found.candidates.values():
        _show_tally(session, f"candidate {short(item.name)}", item.tally)
    for item in found.rules.values():
        _show_tally(session, f"rule {item.name}", item.tally)


def _show_tally(session: Session, name: str, tally: Tally) -> None:
    session.say()
    session.say(name, style="bold")
    session.say(f"  {number(tally.flipped())} of {number(tally.replayed)} answers would have been others")
    for reason, count in sorted(tally.skipped.items()):
        session.say(f"  not compared: {number(count)}  {reason}")
    for action, counted in tally.flips_by("action").items():
        parts = ", ".join(f"{number(counted[change])} {change}" for change in FLIPS if counted[change])
        session.say(f"  {action}: {parts}")
    for flip in list(tally.ordered_flips())[:_SHOWN]:
        after = "; ".join((side_text(flip.after), *flip.errors))
        session.say(f"  record {flip.index}  {flip.action}: {side_text(flip.before)} → {after}")
