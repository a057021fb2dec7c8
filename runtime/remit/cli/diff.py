"""`remit diff`: two documents or project folders, and what their differences flip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import Target, read_target
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.cli.output import one_line
from remit.cli.replay import ledger_folder, progress_bar
from remit.cli.report_files import check_report_files, report_options, write_reports
from remit.host.candidate import candidate_of
from remit.workbench.diff.cases import case_diff
from remit.workbench.diff.declarations import declaration_changes, schema_changes
from remit.workbench.diff.rules import rule_changes
from remit.workbench.diff.view import Diff, diff_remarks, diff_report, diff_sentence, rule_caption
from remit.workbench.replay.replay import Plan, Replay, choose_agent, remarks_on, replay
from remit.workbench.replay.view import side_text

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.host.candidate import Candidate
    from remit.workbench.diff.declarations import Declared

_SHOWN = 20


@click.command(
    "diff",
    epilog=example(
        "remit diff refund-desk refund-desk-next",
        "remit diff old.agent.json new.agent.json --ledger .remit --markdown change.md --exit-code",
    ),
)
@click.argument("old")
@click.argument("new")
@click.option(
    "--ledger", default=None, metavar="DIR", help="A store whose recorded decisions are compared, too."
)
@click.option("--cases", multiple=True, metavar="DIR", help="A project folder with more cases; repeatable.")
@click.option(
    "--agent", default="", metavar="ID", help="Whose recorded decisions: an agent id or its beginning."
)
@click.option(
    "--processes", type=click.IntRange(0, 256), default=0, metavar="N", help="Processes. Default: one a core."
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 where a case or a recorded decision flips.")
@report_options
@common
def command(
    session: Session,
    *,
    old: str,
    new: str,
    ledger: str | None,
    cases: tuple[str, ...],
    agent: str,
    processes: int,
    exit_code: bool,
    html: str | None,
    markdown: str | None,
) -> int:
    """Show what differs between OLD and NEW, documents or project folders.

    Rules stand in their authors' words. Known cases of both, and recorded decisions, are decided under each.
    """
    check_report_files(html, markdown)
    targets = (read_target(old), read_target(new))
    sides = [candidate_of(target.document, target.compile()) for target in targets]
    known = case_diff(_case_folders(targets, cases), *sides)
    recorded = None
    if ledger is not None:
        recorded = _replayed(session, ledger, sides[1], sides[0], agent=agent, processes=processes)
    documents = [(side.document, side.image) for side in sides]
    found = Diff(
        old=sides[0].image.digest,
        new=sides[1].image.digest,
        rules=rule_changes(*documents),
        declarations=declaration_changes(sides[0].document, sides[1].document),
        schema=schema_changes(sides[0].image, sides[1].image),
        cases=known,
        ledger=recorded,
    )
    if session.json:
        session.emit(found.to_json())
    else:
        _show(session, found)
    write_reports(session, diff_report(found, old=old, new=new), html=html, markdown=markdown)
    wrong = recorded is not None and recorded.tally.divergences
    return ExitCode.FINDINGS if wrong or (exit_code and found.flips) else ExitCode.FINE


def _case_folders(targets: tuple[Target, Target], more: tuple[str, ...]) -> list[Path]:
    for name in more:
        if not (Path(name) / "cases").is_dir():
            raise bad_input(f"`{name}` holds no folder `cases`", "name a project folder with cases")
    return [*(target.folder for target in targets if target.project), *(Path(name) for name in more)]


def _replayed(
    session: Session, label: str, new: Candidate, old: Candidate, *, agent: str, processes: int
) -> Replay:
    folder = ledger_folder(label)
    chosen, size = choose_agent(folder, new.document, agent)
    notes = remarks_on(folder, chosen, new.document)
    with progress_bar(session, "replayed records") as told:
        plan = Plan(folder=folder, agent=chosen, size=size)
        return replay(plan, new, old, processes=processes, progress=told, notes=notes)


def _show(session: Session, found: Diff) -> None:
    for change in found.rules:
        session.say(rule_caption(change), style="bold")
        for line in change.lines.splitlines():
            style = {"+": "green", "-": "red"}.get(line[:1], "")
            session.say(f"  {line}", style=style)
        session.say()
    _show_declared(session, "declarations", found.declarations)
    _show_declared(session, "schema", found.schema)
    for flip in found.cases.flips:
        told = flip.change or "cannot be asked of both"
        session.say(f"case flips: {flip.name}", style="bold")
        session.say(f"  {told}: {side_text(flip.old)} → {side_text(flip.new)}  ({flip.place})")
    for remark in diff_remarks(found):
        session.note(remark, indent=2)
    session.say(diff_sentence(found), style="bold")


def _show_declared(session: Session, title: str, changes: tuple[Declared, ...]) -> None:
    if not changes:
        return
    session.say(title, style="bold")
    for change in changes[:_SHOWN]:
        name = " ".join(part for part in (change.part, change.name, change.pointer) if part)
        old, new = (one_line(text, limit=60) if text else "nothing" for text in (change.old, change.new))
        session.say(f"  {name}: {old} → {new}")
    if len(changes) > _SHOWN:
        session.say(f"  and {len(changes) - _SHOWN} more; `--html FILE` or `--json` has all")
    session.say()
