"""`remit approve`: a person's answer to what a run waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from remit.cli.answering import settle
from remit.cli.openings import Opening, answer_options, opening_options
from remit.cli.options import common, example, person_options, store_option

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command(
    "approve",
    epilog=example(
        """remit approve 3f0c --as rita:risk-officer --reason "checked with the customer" --continue""",
    ),
)
@click.argument("approval")
@answer_options
@click.option("--refuse", is_flag=True, help="Refuse instead of approving.")
@opening_options
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
    refuse: bool,
    opening: Opening,
    person: str | None,
    roles: tuple[str, ...],
    attributes: tuple[str, ...],
    store: str | None,
) -> int:
    """Approve what waits under APPROVAL: an approval's or a run's id, or the beginning of one."""
    return settle(
        session,
        approval,
        approved=not refuse,
        go_on=go_on,
        person=person,
        roles=roles,
        attributes=attributes,
        reason=reason,
        meaning=meaning,
        store=store,
        opening=opening,
    )
