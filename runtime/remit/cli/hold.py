"""`remit hold`: legal holds, which keep what they cover from being erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store, find_agent
from remit.cli.exits import ExitCode, bad_input
from remit.cli.instants import instant_from
from remit.cli.options import caller_from, common, example, person_options, store_option
from remit.cli.output import Session, short
from remit.cli.stores import open_auditable
from remit.errors import EnforcementError
from remit.host.clock import SystemClock
from remit.host.holds import HoldScope, lift_hold, place_hold, standing_holds
from remit.ledger.encoding import KINDS
from remit.project.source import listing, nearest

if TYPE_CHECKING:
    from remit.cli.stores import AuditableStore
    from remit.host.holds import Hold


@click.group(
    "hold",
    epilog=example(
        'remit hold place --subject p-17 --as lena:legal --reason "case 4711"',
        "remit hold list --store .remit",
    ),
)
def command() -> None:
    """Keep what may be evidence: nothing under a hold is erased, overwritten or pruned."""


@command.command(
    "place", epilog=example('remit hold place --as lena:legal --reason "case 4711" --agent 4f1c')
)
@click.option("--reason", required=True, help="Why; stays in the log, so it must name no data subject.")
@click.option("--agent", default="", help="Only what belongs to this agent: its id, or the beginning of it.")
@click.option("--block", default="", help="Only this memory block, and records about it.")
@click.option("--subject", default="", help="Only what is about this data subject.")
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only records of this kind.")
@click.option("--from", "since", default=None, metavar="TIME", help="Only what was written since then.")
@click.option("--to", "until", default=None, metavar="TIME", help="Only what was written until then.")
@person_options
@store_option
@common
def place(
    session: Session,
    *,
    reason: str,
    agent: str,
    block: str,
    subject: str,
    kind: str | None,
    since: str | None,
    until: str | None,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Place a hold on what all given options describe; on everything where none is given."""
    caller = caller_from(person, roles, attributes)
    opened = open_auditable(existing_store(store), read_only=False)
    try:
        if block:
            _require_block(opened, agent, block)
        scope = HoldScope(
            agent=find_agent(opened, agent).identity.agent if agent else "",
            block=block,
            subject=subject,
            kind=kind or "",
            since="" if since is None else instant_from(since, option="--from"),
            until="" if until is None else instant_from(until, option="--to"),
        )
        hold = place_hold(opened, scope, by=caller.id, reason=reason, at=SystemClock().now())
    finally:
        opened.close()
    if session.json:
        session.emit(hold.to_json())
    else:
        session.parts(("held", "bold green"), (f": {hold.id}", ""))
        _show(session, hold)
    return ExitCode.FINE


def _require_block(opened: AuditableStore, agent: str, block: str) -> None:
    """Refuse a block that no agent has whom the hold would be about: it would keep nothing, unnoticed.

    Raises:
        FaultsError: says which blocks there are.
    """
    heads = (
        [find_agent(opened, agent)] if agent else [find_agent(opened, name) for name, _ in opened.agents()]
    )
    known = sorted({item.name for head in heads for item in head.memory.blocks})
    if block not in known:
        whose = f"agent `{agent}`" if agent else "no agent in the store"
        has = "has no" if agent else "has a"
        raise bad_input(
            f"{whose} {has} memory block `{block}`",
            nearest(block, known) or f"blocks are {listing(known) or 'none'}",
        )


@command.command("lift", epilog=example('remit hold lift hold-3f --as otto:legal --reason "case closed"'))
@click.argument("hold")
@click.option("--reason", required=True, help="Why.")
@person_options
@store_option
@common
def lift(
    session: Session,
    *,
    hold: str,
    reason: str,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Lift HOLD; another person than who placed it must do so."""
    caller = caller_from(person, roles, attributes)
    opened = open_auditable(existing_store(store), read_only=False)
    denied = ""
    lifted: Hold | None = None
    try:
        lifted = lift_hold(opened, hold, by=caller.id, reason=reason, at=SystemClock().now())
    except EnforcementError as error:
        denied = str(error)
    finally:
        opened.close()
    if lifted is None:
        if session.json:
            session.emit({"lifted": False, "because": denied})
        else:
            session.parts(("denied", "bold red"), (f": {denied}", ""))
        return ExitCode.DENIED
    if session.json:
        session.emit({"lifted": True, "hold": lifted.to_json()})
    else:
        session.parts(("lifted", "bold green"), (f": {lifted.id}", ""))
    return ExitCode.FINE


@command.command("list", epilog=example("remit hold list --store refund-desk/.remit"))
@store_option
@common
def list_holds(session: Session, *, store: str | None) -> int:
    """List the holds that stand."""
    opened = open_auditable(existing_store(store))
    try:
        holds = standing_holds(opened)
    finally:
        opened.close()
    if session.json:
        session.emit({"holds": [hold.to_json() for hold in holds]})
        return ExitCode.FINE
    for hold in holds:
        session.say(hold.id, style="bold")
        _show(session, hold)
    session.say(f"{len(holds)} holds stand")
    return ExitCode.FINE


def _show(session: Session, hold: Hold) -> None:
    scope = {**hold.scope.to_json(), **({"subject": hold.scope.subject} if hold.scope.subject else {})}
    said = ", ".join(f"{name} {short(str(value))}" for name, value in scope.items()) or "everything"
    session.say(f"  covers   {said}" + (", every data subject: the name was erased" if hold.hidden else ""))
    session.say(f"  placed   {hold.at} by {hold.by}: {hold.reason}")
