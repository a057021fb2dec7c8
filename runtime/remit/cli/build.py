"""`remit build`: project folder → document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_file
from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.document.carriers import format_of
from remit.document.parse import parse_document
from remit.policy.compile import compile_governance
from remit.project.build import build_project, default_output, write_document

if TYPE_CHECKING:
    from remit.cli.output import Session
    from remit.document.model import Document


@click.command(
    "build",
    epilog=example(
        "remit build refund-desk",
        "remit build refund-desk -o desk.agent.json",
        "remit build desk --from imported.agent.json",
    ),
)
@click.argument("folder")
@click.option("-o", "--output", default=None, metavar="FILE", help="Default: FOLDER/<name>.agent.json.")
@click.option(
    "--from",
    "parent",
    default=None,
    metavar="FILE",
    help="A document to descend from: it is named as the parent, and its memory comes along.",
)
@click.option("--fetch-tools", is_flag=True, help="Ask MCP servers for descriptions that agent.yaml lacks.")
@click.option("--force", is_flag=True, help="Overwrite a document and lose its history, parents and memory.")
@common
def command(
    session: Session,
    *,
    folder: str,
    output: str | None,
    parent: str | None,
    fetch_tools: bool,
    force: bool,
) -> int:
    """Build the document of a project folder; nothing is written unless its rules compile.

    Deriving a tool's schema imports the project's own Python module.
    """
    origin = None if parent is None else read_document(parent)
    built = build_project(folder, fetch_tools=fetch_tools, parent=origin)
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
                "parent": "" if origin is None else origin.identity.revision,
                "entries": len(built.document.memory.tree),
            }
        )
    session.say(f"built {path.as_posix()}", style="bold")
    session.say(f"  agent  {identity.agent}")
    session.say(f"  image  {image.digest} ({len(image.rules)} rules)")
    if origin is not None:
        session.say(f"  parent {origin.identity.revision}, {len(built.document.memory.tree)} memory entries")
    return ExitCode.FINE


def read_document(label: str) -> Document:
    """Read and verify a document file.

    Raises:
        DocumentError: it does not exist or cannot be accepted.
    """
    data = read_file(label, hint="give a document file, such as `remit import` writes")
    return parse_document(data, file=label, format=format_of(Path(label).name))
