"""`remit diff`: two documents, project folders or versions of a pack, and what their differences flip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import Target, read_target
from remit.cli.candidates import ledger_place, pack_called, pack_candidate, with_option
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.cli.output import one_line
from remit.cli.replay import progress_bar
from remit.cli.report_files import check_report_files, report_options, write_reports
from remit.host.candidate import candidate_of
from remit.workbench.diff.cases import case_diff
from remit.workbench.diff.declarations import declaration_changes, schema_changes
from remit.workbench.diff.packs import pack_diff
from remit.workbench.diff.rules import rule_changes
from remit.workbench.diff.view import Diff, diff_remarks, diff_report, diff_sentence, rule_caption
from remit.workbench.replay.replay import Plan, Replay, choose_agent, head_of, remarks_on, replay
from remit.workbench.replay.view import side_text

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.host.candidate import Candidate
    from remit.project.packs.folder import PackFolder
    from remit.workbench.diff.declarations import Declared

_SHOWN = 20


@click.command(
    "diff",
    epilog=example(
        "remit diff refund-desk refund-desk-next",
        "remit diff our-pack our-pack-next --ledger .remit",
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
@with_option
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
    values: tuple[str, ...],
    processes: int,
    exit_code: bool,
    html: str | None,
    markdown: str | None,
) -> int:
    """Show what differs between OLD and NEW: documents, project folders, or two versions of a pack.

    Rules stand in their authors' words. Known cases of both, and recorded decisions, are decided under each.
    """
    check_report_files(html, markdown)
    wanted = _Wanted(ledger=ledger, cases=cases, agent=agent, processes=processes)
    packs = [pack_called(label) for label in (old, new)]
    if packs[0] is not None and packs[1] is not None:
        found = _packs_compared(session, packs[0], packs[1], values, wanted)
    elif any(packs):
        agent_side, pack_side = (old, new) if packs[0] is None else (new, old)
        message = f"`{pack_side}` is a pack, and `{agent_side}` is none"
        raise bad_input(message, "name two versions of a pack, or two documents or project folders")
    elif values:
        raise bad_input("`--with` gives values to packs, and none is named", "name two versions of a pack")
    else:
        found = _agents_compared(session, old, new, wanted)
    if session.json:
        session.emit(found.to_json())
    else:
        _show(session, found)
    write_reports(session, diff_report(found, old=old, new=new), html=html, markdown=markdown)
    wrong = found.ledger is not None and found.ledger.tally.divergences
    return ExitCode.FINDINGS if wrong or (exit_code and found.flips) else ExitCode.FINE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be decided under both sides, beside their own cases."""

    ledger: str | None
    cases: tuple[str, ...]
    agent: str
    processes: int


def _agents_compared(session: Session, old: str, new: str, wanted: _Wanted) -> Diff:
    targets = (read_target(old), read_target(new))
    sides = [candidate_of(target.document, target.compile()) for target in targets]
    known = case_diff(_case_folders(targets, wanted.cases), *sides)
    recorded = None
    if wanted.ledger is not None:
        place = ledger_place(wanted.ledger)
        chosen, size = choose_agent(place, sides[1].document, wanted.agent)
        plan = Plan(store=place, agent=chosen, size=size)
        recorded = _replayed(session, plan, sides[0], sides[1], wanted)
    documents = [(side.document, side.image) for side in sides]
    return Diff(
        old=sides[0].image.digest,
        new=sides[1].image.digest,
        rules=rule_changes(*documents),
        declarations=declaration_changes(sides[0].document, sides[1].document),
        schema=schema_changes(sides[0].image, sides[1].image),
        cases=known,
        ledger=recorded,
    )


def _packs_compared(
    session: Session, old: PackFolder, new: PackFolder, values: tuple[str, ...], wanted: _Wanted
) -> Diff:
    names = (old.pack.name, new.pack.name)
    if names[0] != names[1]:
        message = f"`{names[0]}` and `{names[1]}` are two packs, not two versions of one"
        raise bad_input(message, "compare each with another version of itself")
    if wanted.cases:
        message = "`--cases` names cases of an agent, and two packs are compared"
        raise bad_input(message, "packs are compared on the cases of their fixtures")
    if values and wanted.ledger is None:
        message = "`--with` gives values for the agent of a ledger, and none is named"
        raise bad_input(message, "name it with `--ledger`; a fixture has values of its own")
    found = pack_diff(old, new)
    recorded, notes = None, found.notes
    if wanted.ledger is not None:
        place = ledger_place(wanted.ledger)
        chosen, size = choose_agent(place, None, wanted.agent)
        head = head_of(place, chosen)
        sides = [pack_candidate(head, side, values, known=(old, new)) for side in (old, new)]
        plan = Plan(store=place, agent=chosen, size=size)
        recorded = _replayed(session, plan, sides[0].candidate, sides[1].candidate, wanted)
        notes += sides[1].notes
    return Diff(
        old=old.pack.digest,
        new=new.pack.digest,
        rules=found.rules,
        declarations=found.declarations,
        schema=(),
        cases=found.cases,
        ledger=recorded,
        of="pack",
        notes=notes,
    )


def _case_folders(targets: tuple[Target, Target], more: tuple[str, ...]) -> list[Path]:
    for name in more:
        if not (Path(name) / "cases").is_dir():
            raise bad_input(f"`{name}` holds no folder `cases`", "name a project folder with cases")
    return [*(target.folder for target in targets if target.project), *(Path(name) for name in more)]


def _replayed(session: Session, plan: Plan, old: Candidate, new: Candidate, wanted: _Wanted) -> Replay:
    notes = remarks_on(plan.store, plan.agent, new.document)
    with progress_bar(session, "replayed records") as told:
        return replay(plan, new, old, processes=wanted.processes, progress=told, notes=notes)


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
