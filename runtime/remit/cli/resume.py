"""`remit resume`: let a run, or a suspended agent, go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.agents import existing_store, find_agent
from remit.cli.exits import bad_input, code_of_status
from remit.cli.heads import act, looks_like_run
from remit.cli.openings import Opening, opening_options
from remit.cli.options import attribute_options, common, example, person_options, store_option
from remit.cli.stores import open_auditable
from remit.cli.telemetry import telemetry_options
from remit.cli.timeline import Timeline
from remit.host.thread import RunMemo

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command(
    "resume",
    epilog=example(
        """remit resume refund-desk --as olga:operator --reason "incident 17 is closed" """.strip(),
        "remit resume RUN-ID --store refund-desk/.remit",
    ),
)
@click.argument("target", default="")
@click.option("--reason", default="", help="Why; needed for an agent.")
@click.option("--backend", default=None, metavar="NAME", help="For a run: use only this back-end.")
@opening_options
@telemetry_options
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    target: str,
    reason: str,
    backend: str | None,
    opening: Opening,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Let TARGET go on: the id of a run that waited or was suspended, or a suspended agent."""
    if target and looks_like_run(target, store=store):
        return _resume_run(session, target, backend=backend, opening=opening, store=store)
    return act(
        session,
        target,
        lambda runtime, caller: runtime.resume(by=caller, reason=reason),
        person=person,
        roles=roles,
        attributes=attributes,
        reason=reason,
        store=store,
        opening=opening,
    )


def _resume_run(
    session: Session, run: str, *, backend: str | None, opening: Opening, store: str | None
) -> int:
    place = existing_store(store)
    opened = open_auditable(place, read_only=False)
    try:
        state = opened.load_run(run)
        if state is None:
            raise bad_input(f"the store holds no run `{run}`", "`remit ledger show` lists runs")
        document = find_agent(opened, state.agent)
        timeline = Timeline(session)
        with opening.runtime(document, store=opened, place=place, backend=backend) as runtime:
            result = runtime.resume_run(run, on_event=timeline.show, backend=backend)
            left = runtime.leftovers(run=run)
    finally:
        opened.close()
    if session.json:
        session.emit(result.to_json())
    else:
        caller = RunMemo.from_json(state.value).caller
        options = attribute_options(caller, schema=document.governance.caller_schema)
        timeline.finish(result, settle=("--store", place.shown, *opening.words(), *options))
        timeline.leftovers(left, store=place.shown)
    return code_of_status(result.status)
