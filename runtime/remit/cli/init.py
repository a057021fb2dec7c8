"""`remit init`: make a project folder to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.project.skeleton import make_project

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command("init", epilog=example("remit init refund-desk", "remit init refund-desk --jurisdiction CH"))
@click.argument("folder")
@click.option("--jurisdiction", default="EU", show_default=True, help="The agent's jurisdiction.")
@click.option("--owner", default="unassigned", show_default=True, help="The team that owns the agent.")
@common
def command(session: Session, *, folder: str, jurisdiction: str, owner: str) -> int:
    """Make a project folder with an agent that builds, checks and runs as it is."""
    files = make_project(Path(folder), jurisdiction=jurisdiction, owner=owner)
    if session.json:
        session.emit({"folder": Path(folder).as_posix(), "files": [*files]})
    for file in files:
        session.say(f"made {Path(folder, file).as_posix()}")
    session.say(f"next: remit check {folder}")
    return ExitCode.FINE
