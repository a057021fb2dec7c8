"""`remit refuse`: a person's answer to what a run waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.options import common, example, person_options, store_option
from remit.cli.settle import settle

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command(
    "refuse",
    epilog=example(
        """remit refuse 3f0c --as rita:risk-officer --reason "checked with the customer" --continue""",
    ),
)
@click.argument("approval")
@click.option("--reason", required=True, help="Why, in the person's own words.")
@click.option(
    "--meaning",
    type=click.Choice(("review", "approval", "responsibility", "authorship")),
    default="approval",
    show_default=True,
    help="What the act means.",
)
@click.option("--continue", "go_on", is_flag=True, help="Let the run go on at once.")
@click.option(
    "--folder", default=None, metavar="DIR", help="Where Python tools are found. Default: beside the store."
)
@person_options
@store_option
@common
def command(
    session: Session,
    *,
    approval: str,
    reason: str,
    meaning: str,
    go_on: bool,
    folder: str | None,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Refuse what waits under APPROVAL: an approval's or a run's id, or the beginning of one."""
    return settle(
        session,
        approval,
        approved=False,
        go_on=go_on,
        person=person,
        roles=roles,
        attributes=attributes,
        reason=reason,
        meaning=meaning,
        store=store,
        folder=folder,
    )
