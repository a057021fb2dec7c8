"""`remit backends sweep`: delete what crashed runs left on vendors' sides."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store, read_target
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import caller_from, common, example, person_options, store_option
from remit.cli.stores import open_auditable
from remit.host.clock import SystemClock
from remit.host.vendor_objects import find_leftovers, settle_leftovers, sweep

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.host.stores import Store
    from remit.host.vendor_objects import Leftover, Sweep


@click.command(
    "sweep",
    epilog=example(
        "remit backends sweep --store refund-desk/.remit",
        "remit backends sweep --list",
        'remit backends sweep --settle TAG --as olga --reason "looked at the vendor\'s console"',
    ),
)
@click.argument("agent", default="")
@click.option("--list", "only_list", is_flag=True, help="Only show what may be left; ask no vendor.")
@click.option("--settle", default=None, metavar="TAG", help="Record that a person looked after this one.")
@click.option("--reason", default="", help="With --settle: what was found.")
@click.option("--folder", default=None, metavar="DIR", help="The project folder. Default: beside the store.")
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    agent: str,
    only_list: bool,
    settle: str | None,
    reason: str,
    folder: str | None,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Delete what crashed runs left on vendors' sides: assistants, threads, files, vector stores.

    Only what the ledger says that Remit made is touched. Exit code 1 where something may still be there.
    """
    target = read_target(agent) if agent else None
    place = existing_store(store) if target is None else target.store(store)
    wanted = "" if target is None else target.document.identity.agent
    if settle is not None and only_list:
        raise bad_input("`--list` and `--settle` are two questions", "use one of them")
    if settle is None and reason:
        raise bad_input("`--reason` belongs to `--settle TAG`", "`--list` shows the tags")
    if settle is not None and not reason.strip():
        raise bad_input("`--settle` needs a reason", 'say what was found with `--reason "…"`')
    opened = open_auditable(place, read_only=only_list)
    try:
        if settle is not None:
            _settle(opened, settle, by=caller_from(person, roles, attributes).id, reason=reason)
        if only_list or settle is not None:
            return _list_left(session, find_leftovers(opened, agent=wanted))
        project = Path(folder) if folder is not None else place.beside
        found = asyncio.run(sweep(opened, SystemClock(), folder=project, agent=wanted))
    finally:
        opened.close()
    _show(session, found)
    return ExitCode.FINDINGS if found.left or found.unsaid else ExitCode.FINE


def _settle(store: Store, tag: str, *, by: str, reason: str) -> None:
    if not settle_leftovers(store, SystemClock(), tag=tag, by=by, reason=reason):
        raise bad_input(f"nothing that may be left has the tag `{tag}`", "`--list` shows the tags")


def _show(session: Session, found: Sweep) -> None:
    if session.json:
        session.emit(
            {
                "gone": [item.to_json() for item in found.gone],
                "left": [item.to_json() for item in found.left],
                "doubts": [*found.unsaid],
            }
        )
        return
    for item in found.gone:
        session.say(f"✓ gone  {_described(item)}", style="green")
    for item in found.left:
        session.say(f"? left  {_described(item)}", style="yellow")
    for sentence in found.unsaid:
        session.note(sentence, indent=8, style="yellow")
    if not (found.gone or found.left):
        session.say("nothing was left at any vendor")


def _list_left(session: Session, left: tuple[Leftover, ...]) -> int:
    if session.json:
        session.emit([item.to_json() for item in left])
    else:
        for item in left:
            session.say(f"? {_described(item)}")
        if not left:
            session.say("nothing is left at any vendor")
    return ExitCode.FINDINGS if left else ExitCode.FINE


def _described(item: Leftover) -> str:
    number = item.thing.id or "without an id"
    return (
        f"{item.thing.kind} {number} of run {item.run} at back-end {item.entry.name} "
        f"({item.entry.adapter}), tag {item.thing.tag}, {item.at}"
    )
