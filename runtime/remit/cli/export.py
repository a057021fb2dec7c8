"""`remit export`: an agent → the file of another framework, and what that file does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_target
from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.cli.output import one_line
from remit.cli.output_files import force_option, require_new
from remit.exchange.export import WRITERS, Subject, imported_as, writer
from remit.project.build import SUFFIX, write_whole

if TYPE_CHECKING:
    from remit.cli.output import Session


@click.command(
    "export",
    epilog=example(
        "remit export desk.agent.json --to openai-assistant > assistant.json",
        "remit export refund-desk --to a2a --url https://agents.example/refunds --output agent-card.json",
        "remit export desk.agent.json --to agent-spec --json",
    ),
)
@click.argument("agent")
@click.option("--to", "target", required=True, metavar="FORMAT", help=f"One of {', '.join(WRITERS)}.")
@click.option("-o", "--output", default=None, metavar="FILE", help="Default: standard output.")
@click.option(
    "--name", default=None, help="What the agent is called there. Default: as imported, else its file."
)
@click.option("--description", default=None, help="What it is said to do. Default: as imported.")
@click.option("--url", default="", help="Where the agent is reached; an agent card needs it.")
@click.option(
    "--backend",
    default="",
    metavar="NAME",
    help="The back-end whose model is written. Default: the first that is not `scripted`.",
)
@force_option
@common
def command(
    session: Session,
    *,
    agent: str,
    target: str,
    output: str | None,
    name: str | None,
    description: str | None,
    url: str,
    backend: str,
    force: bool,
) -> int:
    """Write AGENT for another framework, and say what that framework's file cannot hold.

    No other format holds rules: who uses the file is bound by none of them.
    """
    document = read_target(agent).document
    known_name, known_description, _ = imported_as(document)
    subject = Subject(
        document=document,
        name=name or known_name or _stem(agent),
        description=known_description if description is None else description,
        url=url,
        backend=backend,
    )
    exported = writer(target)(subject)
    text = json.dumps(exported.value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    if output is not None:
        path = Path(output)
        require_new(path, force=force)
        write_whole(path, text.encode())
    if session.json:
        session.emit(
            {
                "format": target,
                "output": "" if output is None else Path(output).as_posix(),
                "value": exported.value,
                "lost": list(exported.lost),
            }
        )
        return ExitCode.FINE
    if output is None:
        click.echo(text, nl=False)
    else:
        session.complain(f"exported {Path(output).as_posix()}")
    session.complain(f"not expressible in {target} ({len(exported.lost)})")
    for what in exported.lost:
        session.complain(f"  {one_line(what, limit=400)}")
    return ExitCode.FINE


def _stem(label: str) -> str:
    path = Path(label)
    name = path.resolve().name if path.is_dir() else path.name
    return name.removesuffix(SUFFIX) or "agent"
