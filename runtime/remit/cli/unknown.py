"""`remit settle`: what became of an effect that a crash left open, as a person found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import caller_from, common, example, person_options, store_option
from remit.cli.output import Session, short
from remit.cli.stores import open_auditable
from remit.host.clock import SystemClock
from remit.host.recovery import run_lives
from remit.host.unknown import settle_unknown, unknown_effects

if TYPE_CHECKING:
    from remit.host.unknown import Unknown


@click.command(
    "settle",
    epilog=example(
        "remit settle --store refund-desk/.remit",
        'remit settle 4f1c9a --happened --as otto:desk --reason "the bank shows it"',
        'remit settle 4f1c9a --did-not-happen --as otto:desk --reason "no booking with this key"',
    ),
)
@click.argument("intent", default="")
@click.option(
    "--happened/--did-not-happen", "happened", default=None, help="What you found out, at the other side."
)
@click.option("--reason", default="", help="How you know; stays in the log, so it must name no data subject.")
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    intent: str,
    happened: bool | None,
    reason: str,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Say what became of the effect of INTENT, of which nobody knows; without INTENT list such effects.

    An effect is unknown where the process ended between its permit and the record of its outcome.
    It is never repeated.
    """
    place = existing_store(store)
    if not intent:
        return _listed(session, store)
    if happened is None:
        raise bad_input("it is not said what became of the effect", "add `--happened` or `--did-not-happen`")
    if not reason.strip():
        raise bad_input("the reason is empty", "say how you know with `--reason`")
    caller = caller_from(person, roles, attributes)
    opened = open_auditable(place, read_only=False)
    try:
        done = settle_unknown(
            opened,
            intent,
            happened=happened,
            by=caller.id,
            reason=reason,
            at=SystemClock().now(),
            lives=lambda run: run_lives(opened, run),
        )
    finally:
        opened.close()
    word = "happened" if happened else "did not happen"
    if session.json:
        session.emit({"effect": done.effect.to_json(), "happened": happened, "record": done.record})
    else:
        session.parts(("settled", "bold green"), (f": {done.effect.target} {word}, as {caller.id} found", ""))
        session.say(f"  record {done.record}")
    return ExitCode.FINE


def _listed(session: Session, store: str | None) -> int:
    opened = open_auditable(existing_store(store))
    try:
        found = unknown_effects(opened, lives=lambda run: run_lives(opened, run))
    finally:
        opened.close()
    if session.json:
        session.emit({"unknown": [one.to_json() for one in found]})
        return ExitCode.FINDINGS if found else ExitCode.FINE
    if not found:
        session.say("nothing is unknown")
        return ExitCode.FINE
    for one in found:
        _show(session, one)
    return ExitCode.FINDINGS


def _show(session: Session, effect: Unknown) -> None:
    session.parts((short(effect.intent), "bold yellow"), (f"  {effect.effect} {effect.target}", ""))
    session.say(f"  {effect.at}  {effect.run} of agent {short(effect.agent)}, record {effect.index}")
    if effect.key:
        session.say(f"  key {effect.key}")
