"""`remit suspend`: no effect of an agent until it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.heads import act
from remit.cli.options import common, example, person_options, store_option

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command(
    "suspend",
    epilog=example("""remit suspend refund-desk --as olga:operator --reason "incident 17" """.strip()),
)
@click.argument("agent", default="")
@click.option("--reason", required=True, help="Why.")
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    agent: str,
    reason: str,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Suspend AGENT: a project folder, a document, or the (beginning of the) id of an agent in the store."""
    return act(
        session,
        agent,
        lambda runtime, caller: runtime.suspend(by=caller, reason=reason),
        person=person,
        roles=roles,
        attributes=attributes,
        reason=reason,
        store=store,
    )
