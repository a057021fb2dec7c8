"""`remit settle`: what became of an effect that a crash left open, as a person found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store
from remit.cli.exits import ExitCode, bad_input
from remit.cli.heads import open_head
from remit.cli.openings import Opening, opening_options
from remit.cli.options import caller_from, common, example, person_options, store_option
from remit.cli.output import Session, short
from remit.cli.stores import open_auditable
from remit.host.clock import SystemClock
from remit.host.recovery import run_lives
from remit.host.unknown import find_effect, settle_unknown, unknown_effects

if TYPE_CHECKING:
    from remit.host.caller import Caller
    from remit.host.unknown import Unknown


@click.command(
    "settle",
    epilog=example(
        "remit settle --store refund-desk/.remit",
        'remit settle 4f1c9a --happened --as otto:desk --reason "the bank shows it"',
        'remit settle 4f1c9a --did-not-happen --as otto:desk --reason "no booking with this key"',
        'remit settle 4f1c9a --repeat --as otto:clerk --reason "the tool knows its keys"',
    ),
)
@click.argument("intent", default="")
@click.option(
    "--happened/--did-not-happen", "happened", default=None, help="What you found out, at the other side."
)
@click.option("--repeat", is_flag=True, help="Call the tool again with the same key; only an idempotent one.")
@click.option("--reason", default="", help="How you know; stays in the log, so it must name no data subject.")
@opening_options
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    intent: str,
    happened: bool | None,
    repeat: bool,
    reason: str,
    opening: Opening,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Say what became of the effect of INTENT, of which nobody knows; without INTENT list such effects.

    An effect is unknown where the process ended between its permit and the record of its outcome.
    It is never repeated by itself.
    """
    place = existing_store(store)
    if not intent:
        return _listed(session, store)
    if repeat is (happened is not None):
        raise bad_input(
            "it is not said what became of the effect"
            if not repeat
            else "`--repeat` finds out what happened",
            "give one of `--happened`, `--did-not-happen` and `--repeat`",
        )
    if not reason.strip():
        raise bad_input("the reason is empty", "say how you know with `--reason`")
    caller = caller_from(person, roles, attributes)
    if happened is None:
        return _repeated(session, intent, caller, reason=reason, store=store, opening=opening)
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


def _repeated(
    session: Session, intent: str, caller: Caller, *, reason: str, store: str | None, opening: Opening
) -> int:
    opened = open_auditable(existing_store(store))
    try:
        effect = find_effect(opened, intent, lives=lambda run: run_lives(opened, run))
    finally:
        opened.close()
    with open_head(effect.agent, store=store, opening=opening, adopt=False) as (runtime, _):
        answer = runtime.repeat_unknown(effect.intent, by=caller, reason=reason)
        left = {one.intent for one in runtime.unknown()}
    settled = effect.intent not in left
    if session.json:
        session.emit({**answer.to_json(), "settled": settled})
    elif not answer.allowed:
        session.parts(("denied", "bold red"), (f": {answer.because}", ""))
    elif settled:
        session.parts(("settled", "bold green"), (f": {effect.target} was called again and is done", ""))
    else:
        session.parts(
            ("failed", "bold red"), (f": {effect.target} was called again, and is still unknown", "")
        )
    return ExitCode.FINE if settled else ExitCode.DENIED if not answer.allowed else ExitCode.FINDINGS


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
