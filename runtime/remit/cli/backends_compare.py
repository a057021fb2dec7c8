"""`remit backends compare`: one document on several back-ends, decision by decision."""

from __future__ import annotations

import asyncio
import string
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from remit.cli.agents import read_target
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import caller_from, common, environment_from, example, person_options
from remit.cli.output import Session, one_line, printable, short
from remit.workbench.comparison import Plan, compare
from remit.workbench.transcript import read_transcript

if TYPE_CHECKING:
    from remit.host.results import Step
    from remit.workbench.comparison import Comparison


@click.command(
    "compare",
    epilog=example(
        'remit backends compare refund-desk --as ana:clerk --attr jurisdiction=EU --input "refund 40 euros" '
        "--transcript said.yaml",
        'remit backends compare refund-desk --as ana:clerk --attr jurisdiction=EU --input "…" --lead local',
    ),
)
@click.argument("agent")
@click.option("--input", "text", required=True, metavar="TEXT", help="What the caller says.")
@click.option("--transcript", default=None, metavar="FILE", help="What the model says on every back-end.")
@click.option(
    "--lead",
    default=None,
    metavar="NAME",
    help="This back-end runs for real; the others are told what it said.",
)
@click.option("--live", is_flag=True, help="Every back-end runs where its config points.")
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--wire-truth", is_flag=True, help="Check each wire against its vendor's API description.")
@click.option("--env", "environment", multiple=True, metavar="KEY=VALUE", help="A value of the environment.")
@person_options
@common
def command(
    session: Session,
    *,
    agent: str,
    text: str,
    transcript: str | None,
    lead: str | None,
    live: bool,
    backends: tuple[str, ...],
    wire_truth: bool,
    environment: tuple[str, ...],
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
) -> int:
    """Run AGENT once on each of its back-ends, as a dry run, and put the decision traces side by side.

    Without `--live`, a back-end over HTTP talks to a server on loopback that speaks its vendor's wire.
    Exit code 1 where a line differs.
    """
    chosen = [option for option in (transcript, lead, "live" if live else None) if option]
    if len(chosen) != 1:
        raise bad_input(
            "exactly one of `--transcript`, `--lead` and `--live` says what the model says",
            "a transcript is a YAML list of steps such as `- call: {name: lookup_order, arguments: {}}`",
        )
    target = read_target(agent)
    target.compile()
    governance = target.document.governance
    plan = Plan(
        document=target.document,
        folder=target.folder,
        text=text,
        caller=caller_from(person, roles, attributes, schema=governance.caller_schema),
        environment=environment_from(environment, schema=governance.environment_schema),
        backends=backends,
        said=() if transcript is None else read_transcript(Path(transcript)),
        lead=lead or "",
        live=live,
        truth=wire_truth,
    )
    try:
        found = asyncio.run(compare(plan, progress=lambda name: _progress(session, name)))
    except ImportError as error:
        raise bad_input(f"`--wire-truth`: {error}") from error
    if session.json:
        session.emit(found.to_json())
    else:
        _show(session, found)
    clean = not any(item.violations for item in found.backends)
    return ExitCode.FINE if found.equal and clean else ExitCode.FINDINGS


def _progress(session: Session, name: str) -> None:
    if not session.json:
        session.complain(f"running {name} …")


def _show(session: Session, found: Comparison) -> None:
    letters = _letters(found)
    console = session.console
    console.print(_table(found, list(letters.values()), narrow=console.width < _NARROW))
    session.say()
    for item in found.backends:
        style = "" if item.compared else "red" if item.how == "failed" else "yellow"
        wire = f", {item.requests} request{'s'[: item.requests > 1]}" if item.requests else ""
        session.parts(
            (f"{letters.get(item.name, '-')}  {item.name:<16} ", "bold"),
            (f"{item.adapter} ({item.how}{wire}): {item.status}", style),
        )
        for violation in item.violations:
            session.note(one_line(violation, limit=400), indent=3, style="red")
    for number, line in enumerate(found.lines(), start=1):
        if len(set(line)) > 1:
            _difference(session, number, list(letters), line)
    session.say()
    if found.equal:
        said = f"{len(found.lines())} lines are equal on {len(letters)} back-ends"
        session.say(f"✓ {said}; only the back-end's name differs", style="green")
    else:
        said = "the decision traces differ" if len(letters) > 1 else "fewer than two back-ends were compared"
        if any(item.how == "failed" for item in found.backends):
            said = "a back-end failed, so that its trace says nothing"
        elif letters and not found.asked:
            said = "every run ended before any back-end was asked for; who acts, and may they?"
        session.say(f"✗ {said}", style="red")


def _letters(found: Comparison) -> dict[str, str]:
    """Name the compared back-ends by letters, so that many of them fit beside their trace."""
    compared = [item.name for item in found.backends if item.compared]
    return {
        name: string.ascii_lowercase[number] if number < len(string.ascii_lowercase) else str(number)
        for number, name in enumerate(compared)
    }


def _table(found: Comparison, letters: list[str], *, narrow: bool) -> Table:
    table = Table(show_edge=False, pad_edge=False, box=None, header_style="bold")
    headings = ["", "principal", "action", "resource", "context", "decision", "rules"]
    if narrow:
        headings = ["", "action", "decision", "rules"]
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("", "context", "decision"))
    for letter in letters:
        table.add_column(letter, justify="center", no_wrap=True, min_width=1)
    for number, line in enumerate(found.lines(), start=1):
        first = next(step for step in line if step is not None)
        cells = {
            "": str(number),
            "principal": _plain(first.principal),
            "action": first.action,
            "resource": _plain(first.resource),
            "context": short(first.context) or "-",
            "decision": first.verdict.replace("_", " "),
            "rules": ", ".join(first.rules) or first.kind.replace("_", " "),
        }
        marks = [Text("=", style="green") if step == first else Text("≠", style="bold red") for step in line]
        table.add_row(*(printable(cells[heading]) for heading in headings), *marks)
    return table


def _difference(session: Session, number: int, names: list[str], line: tuple[Step | None, ...]) -> None:
    """Write what the first back-end says on a line, and every one that says something else."""
    for name, step in zip(names, line, strict=True):
        if name == names[0] or step != line[0]:
            session.parts((f"  line {number} on {name}: ", "red"), (one_line(_said(step), limit=300), ""))


def _said(step: Step | None) -> str:
    if step is None:
        return "no such line"
    rules = ", ".join(step.rules) or step.kind
    context = short(step.context)
    return f"{step.action} {_plain(step.resource)} {context} {step.verdict} [{rules}] {step.because}"


_NARROW = 100
"""Columns below which the table leaves out what every line repeats."""


def _plain(reference: str) -> str:
    return reference.removeprefix("Remit::").replace('::"', " ").removesuffix('"')
