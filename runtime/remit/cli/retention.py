"""`remit retention`: what is past the time for which it is kept, and erasing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store
from remit.cli.exits import ExitCode
from remit.cli.instants import judged_now, now_option
from remit.cli.openings import tools_folder
from remit.cli.options import caller_from, common, example, person_options, store_option
from remit.cli.output import Session, short
from remit.cli.stores import open_auditable
from remit.host.retention import apply_retention, plan_retention
from remit.host.retention_rules import RetentionRules, find_retention, read_retention
from remit.host.runtime import Runtime

if TYPE_CHECKING:
    from remit.host.location import Location
    from remit.host.results import Answer
    from remit.host.retention import DueEntry, RetentionPlan

_SHOWN = 20


@click.group(
    "retention",
    epilog=example("remit retention plan --store .remit", "remit retention apply --as pia:privacy-officer"),
)
def command() -> None:
    """Find and erase what is past the time for which it is kept."""


def config_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add `--config`."""
    return click.option(
        "--config",
        default=None,
        metavar="FILE",
        help="Retention classes. Default: `retention.yaml` in the store's folder or in the one around it; "
        "a database has none.",
    )(function)


def rules_from(session: Session, config: str | None, store: Location) -> RetentionRules:
    """Return the retention rules that were named or found, and say which; the floor alone without any."""
    path = Path(config) if config is not None else find_retention(store)
    if path is None:
        session.note("no retention classes are named or found: contents of records do not expire", indent=0)
        return RetentionRules()
    session.note(f"classes of {path.as_posix()}", indent=0)
    return read_retention(path)


@command.command("plan", epilog=example("remit retention plan --now 2027-01-01 --json"))
@now_option
@config_option
@store_option
@common
def plan(
    session: Session, *, instant: str | None, unsafe_future: bool, config: str | None, store: str | None
) -> int:
    """Show which memory entries and which contents of records are past their time; change nothing."""
    now = judged_now(session, instant, changes=False, unsafe_future=unsafe_future)
    place = existing_store(store)
    rules = rules_from(session, config, place)
    opened = open_auditable(place)
    try:
        found = plan_retention(opened, rules, now=now)
    finally:
        opened.close()
    if session.json:
        session.emit(found.to_json())
    else:
        _show(session, found)
    return ExitCode.FINE


@command.command("apply", epilog=example("remit retention apply --as pia:privacy-officer --store .remit"))
@now_option
@config_option
@click.option(
    "--folder", default=None, metavar="DIR", help="Where Python tools are found. Default: beside the store."
)
@person_options
@store_option
@common
def apply(
    session: Session,
    *,
    instant: str | None,
    unsafe_future: bool,
    config: str | None,
    folder: str | None,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Erase what is past its time and under no hold, as the agents' own rules allow it."""
    now = judged_now(session, instant, changes=True, unsafe_future=unsafe_future)
    place = existing_store(store)
    rules = rules_from(session, config, place)
    opened = open_auditable(place, read_only=False)
    runtimes: dict[str, Runtime] = {}

    def erase(item: DueEntry) -> Answer:
        runtime = runtimes.get(item.agent)
        if runtime is None:
            document = opened.load(item.agent)
            assert document is not None  # the plan has just read it
            runtime = Runtime.open(document, store=opened, folder=tools_folder(folder, place))
            runtimes[item.agent] = runtime
        schema = runtime.document.governance.caller_schema
        caller = caller_from(person, roles, attributes, schema=schema)
        return runtime.erase(item.block, by=caller, entry=item.entry)

    try:
        by = caller_from(person, roles, attributes).id
        done = apply_retention(opened, rules, now=now, by=by, erase=erase)
    finally:
        for runtime in runtimes.values():
            runtime.close()
        opened.close()
    if session.json:
        session.emit(done.to_json())
    else:
        _show(session, done.plan)
        for answer in done.answers:
            if not answer.allowed:
                session.say(f"  denied   {answer.resource}: {answer.because or answer.kind}", style="red")
        erased = sum(answer.allowed for answer in done.answers)
        session.say(f"{erased} entries and the contents of {len(done.contents)} records erased", style="bold")
    return ExitCode.FINE if done.complete else ExitCode.DENIED


def _show(session: Session, found: RetentionPlan) -> None:
    keepers = (*(item.hold for item in found.entries), *(item.hold for item in found.contents))
    held = sum(hold is not None for hold in keepers)
    session.say(
        f"past their time at {found.now}: {len(found.entries)} entries, contents of "
        f"{len(found.contents)} records; {held} under a hold",
        style="bold",
    )
    for entry in found.entries[:_SHOWN]:
        kept = f"  held: {entry.hold}" if entry.hold is not None else ""
        session.say(f"  entry    {entry.block} {short(entry.entry)} since {entry.due}{kept}")
    for content in found.contents[:_SHOWN]:
        kept = f"  held: {content.hold}" if content.hold is not None else ""
        session.say(
            f"  record   {content.index} {content.kind} ({content.category}) since {content.due}{kept}"
        )
    more = len(found.entries[_SHOWN:]) + len(found.contents[_SHOWN:])
    if more:
        session.say(f"  and {more} more; `--json` lists all")
