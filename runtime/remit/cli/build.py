"""`remit build`: project folder → document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.document.carriers import format_of
from remit.policy.compile import compile_governance
from remit.project.build import build_project, default_output, write_document

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command(
    "build", epilog=example("remit build refund-desk", "remit build refund-desk -o desk.agent.json")
)
@click.argument("folder")
@click.option("-o", "--output", default=None, metavar="FILE", help="Default: FOLDER/<name>.agent.json.")
@click.option("--fetch-tools", is_flag=True, help="Ask MCP servers for descriptions that agent.yaml lacks.")
@click.option("--force", is_flag=True, help="Overwrite a later revision or a file of another kind.")
@common
def command(session: Session, *, folder: str, output: str | None, fetch_tools: bool, force: bool) -> int:
    """Build the document of a project folder; nothing is written unless its rules compile.

    Deriving a tool's schema imports the project's own Python module.
    """
    built = build_project(folder, fetch_tools=fetch_tools)
    image = compile_governance(built.document, origins=built.origins)
    path = Path(output) if output else default_output(built.folder)
    write_document(built.document, path, format=format_of(path.name), force=force)
    identity = built.document.identity
    if session.json:
        session.emit(
            {
                "file": path.as_posix(),
                "agent": identity.agent,
                "revision": identity.revision,
                "image": image.digest,
                "rules": len(image.rules),
            }
        )
    session.say(f"built {path.as_posix()}", style="bold")
    session.say(f"  agent  {identity.agent}")
    session.say(f"  image  {image.digest} ({len(image.rules)} rules)")
    return ExitCode.FINE
