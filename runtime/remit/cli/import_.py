"""`remit import`: an agent of another framework → document, and a project folder on request."""

from __future__ import annotations

import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import read_file
from remit.cli.exits import ExitCode, bad_input
from remit.cli.options import common, example
from remit.cli.output import one_line
from remit.document.carriers import format_of
from remit.document.parse import parse_document
from remit.errors import DocumentError, Fault
from remit.exchange.document import Imported, import_agents, with_memory
from remit.exchange.project_folder import project_files
from remit.exchange.registry import READERS, read_agents
from remit.exchange.remark_groups import few_of_each_kind
from remit.host.clock import SystemClock
from remit.project.build import SUFFIX, document_bytes, write_whole
from remit.project.source import listing, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remit.cli.output import Session
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.foreign import Remark

_GROUPS = (("carried", "green"), ("lost", "red"), ("decide", "yellow"))
_HEADINGS = {"carried": "carried", "lost": "lost", "decide": "to decide"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One agent and where it goes."""

    imported: Imported
    document: Document
    output: Path
    project: Path | None


@click.command(
    "import",
    epilog=example(
        "remit import assistant.json",
        "remit import agent.af --format letta --output helper.agent.json",
        "remit import team.yaml --agent root --project root-agent",
    ),
)
@click.argument("file")
@click.option(
    "--format",
    "--as",
    "format_name",
    default=None,
    metavar="NAME",
    help=f"The file's format: {', '.join(READERS)}. Default: found from its content.",
)
@click.option("--agent", "agent_name", default=None, metavar="NAME", help="Only this agent of the file.")
@click.option("-o", "--output", default=None, metavar="FILE", help=f"Default: NAME{SUFFIX} here.")
@click.option("--project", default=None, metavar="DIR", help="Make a project folder, too.")
@click.option("--force", is_flag=True, help="Overwrite a document of another agent, or a later revision.")
@common
def command(
    session: Session,
    *,
    file: str,
    format_name: str | None,
    agent_name: str | None,
    output: str | None,
    project: str | None,
    force: bool,
) -> int:
    """Make a document of every agent in FILE: a draft that nothing permits.

    Nothing in the file is executed, fetched or followed. What it forbids is in force; what it allows is only
    proposed. Every member of the file is carried, or named as lost, or named as yours to decide.
    """
    data = read_file(file, hint="give the file of an agent")
    agents = import_agents(read_agents(data, file=file, format=format_name), data)
    chosen = _chosen(agents, agent_name)
    if output is not None and len(chosen) > 1:
        raise bad_input(
            f"`--output` names one file, and `{one_line(file)}` holds {len(chosen)} agents",
            f"choose one with `--agent`: {listing([_name(agent, file) for agent in chosen])}",
        )
    made = _made(chosen, file=file, output=output, project=project)
    for item in made:
        if not force:
            _refuse_other(item.document, item.output)
        if item.project is not None:
            _refuse_filled(item.project)
    contents = [
        document_bytes(item.document, item.output, format=format_of(item.output.name), force=force)
        for item in made
    ]
    for item, content in zip(made, contents, strict=True):
        write_whole(item.output, content)
        if item.project is not None:
            _write_folder(item.project, project_files(item.imported, file=Path(file).name))
    if session.json:
        session.emit({"file": file, "agents": [_value(item) for item in made]})
    for item in made:
        _show(session, item, file)
    return ExitCode.FINE


def _name(imported: Imported, file: str) -> str:
    return imported.label or Path(file).stem


def _chosen(agents: Sequence[Imported], name: str | None) -> tuple[Imported, ...]:
    if name is None:
        return tuple(agents)
    found = tuple(agent for agent in agents if agent.label == name)
    if not found:
        names = [agent.label for agent in agents if agent.label]
        raise bad_input(
            f"the file holds no agent `{one_line(name)}`",
            nearest(name, names) or f"it holds {listing(names) or 'one without a name'}",
        )
    return found


def _made(
    chosen: Sequence[Imported], *, file: str, output: str | None, project: str | None
) -> tuple[_Made, ...]:
    clock, taken = SystemClock(), set[str]()
    made: list[_Made] = []
    for imported in chosen:
        stem = _file_name(_name(imported, file), taken)
        taken.add(stem.lower())
        folder = None if project is None else Path(project)
        made.append(
            _Made(
                imported=imported,
                document=with_memory(imported, at=clock.now(), salt=lambda: secrets.token_hex(16)),
                output=Path(output) if output is not None else Path(f"{stem}{SUFFIX}"),
                project=folder / stem if folder is not None and len(chosen) > 1 else folder,
            )
        )
    return tuple(made)


def _file_name(name: str, taken: set[str]) -> str:
    """Return a file name's stem that any system can hold; unique also where capitals do not count."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:100] or "agent"
    candidate, number = stem, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{stem}-{number}"
    return candidate


def _refuse_other(document: Document, path: Path) -> None:
    """Refuse to overwrite another agent; `document_bytes` sees to later revisions of this one."""
    if not path.exists():
        return
    with suppress(DocumentError):
        existing = parse_document(
            read_file(path.as_posix()), file=path.as_posix(), format=format_of(path.name)
        )
        if existing.identity.agent == document.identity.agent:
            return
        raise bad_input(
            f"`{path.as_posix()}` holds another agent",
            "write elsewhere with `--output`, or overwrite it with `--force`",
        )


def _refuse_filled(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DocumentError(
            Fault(
                message=f"`{folder.as_posix()}` exists and is not an empty folder", hint="name a new folder"
            )
        )


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder whole or not at all: beside its place first."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
            whole = Path(beside) / "whole"
            for relative, content in files.items():
                path = whole / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
            if folder.exists():
                folder.rmdir()
            whole.rename(folder)
    except OSError as error:
        raise DocumentError(
            Fault(message=f"`{folder.as_posix()}` cannot be made: {error.strerror or error}")
        ) from error


def _value(item: _Made) -> JsonObject:
    imported = item.imported
    value: JsonObject = {
        "name": imported.label,
        "format": imported.agent.format,
        "agent": item.document.identity.agent,
        "revision": item.document.identity.revision,
        "output": item.output.as_posix(),
        "project": "" if item.project is None else item.project.as_posix(),
        "entries": len(item.document.memory.tree),
    }
    for fate, _ in _GROUPS:
        value[fate] = [_remark(remark) for remark in imported.remarks if remark.fate == fate]
    return value


def _remark(remark: Remark) -> JsonValue:
    return {
        "what": remark.what,
        "pointer": remark.pointer,
        "line": remark.line,
        "column": remark.column,
    }


def _show(session: Session, item: _Made, file: str) -> None:
    imported, document = item.imported, item.document
    session.say(f"imported {item.output.as_posix()}", style="bold")
    session.say(f"  format  {imported.agent.format}")
    session.say(f"  name    {one_line(imported.label or '(none)')}")
    session.say(f"  agent   {document.identity.agent}")
    if len(document.memory.tree):
        session.say(
            f"  memory  {len(document.memory.tree)} entries, as revision {document.identity.revision}"
        )
    if item.project is not None:
        session.say(f"  project {item.project.as_posix()}")
    for fate, style in _GROUPS:
        remarks = [remark for remark in imported.remarks if remark.fate == fate]
        if remarks:
            session.say(f"{_HEADINGS[fate]} ({len(remarks)})", style=style)
        for remark, more in few_of_each_kind(remarks):
            place = f"{file}:{remark.line}:{remark.column}: " if remark.line else ""
            session.note(f"{place}{one_line(remark.what, limit=400)}", indent=2)
            if more:
                session.note(f"… and {more} more of this kind; `--json` lists them all", indent=2)
    session.say()
