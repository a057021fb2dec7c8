"""`remit models`: fetch and verify model weights."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from remit.cli.exits import ExitCode
from remit.cli.options import common, example
from remit.cli.output import Session, short
from remit.host import models

if TYPE_CHECKING:
    from collections.abc import Generator

    from remit.document.values import JsonObject
    from remit.host.models import StoredModel


@click.group("models", epilog=example("remit models pull", "remit models list", "remit models add my.gguf"))
def command() -> None:
    """Fetch, list, add and verify model weights; all are named by their SHA-256."""


@command.command("pull", epilog=example("remit models pull"))
@click.argument("name", default="")
@common
def pull(session: Session, *, name: str) -> int:
    """Fetch a model of the catalogue (the first one by default) and verify it."""
    wanted = name or models.catalogue()[0].name
    with _bar(session) as told:
        stored = models.pull(wanted, models=_folder(), progress=told)
    return _done(session, stored, "ready")


@command.command("list", epilog=example("remit models list --json"))
@common
def list_models(session: Session) -> int:
    """List the catalogue and the weights that are here."""
    stored = models.stored_models(models=_folder())
    here = {model.sha256: model for model in stored}
    if session.json:
        session.emit(
            {
                "folder": _folder().as_posix(),
                "catalogue": [
                    {
                        "name": model.name,
                        "title": model.title,
                        "sha256": model.sha256,
                        "size_bytes": model.size_bytes,
                        "licence": model.licence,
                        "stored": model.sha256 in here,
                    }
                    for model in models.catalogue()
                ],
                "stored": [_value(model) for model in stored],
            }
        )
        return ExitCode.FINE
    for model in models.catalogue():
        mark, style = ("✓", "green") if model.sha256 in here else ("·", "dim")
        session.parts((f"{mark} ", style), (model.name, "bold"), (f"  {model.size_bytes / 1e6:,.0f} MB", ""))
        session.say(f"    {model.title}; sha256 {model.sha256}")
    known = {model.sha256 for model in models.catalogue()}
    for item in stored:
        if item.sha256 not in known:
            session.parts(("✓ ", "green"), (item.sha256, "bold"), (f"  {item.size_bytes / 1e6:,.0f} MB", ""))
    session.say(f"in {_folder().as_posix()}", style="dim")
    return ExitCode.FINE


@command.command("add", epilog=example("remit models add weights/my-model.gguf"))
@click.argument("path")
@click.option("--link", is_flag=True, help="Leave the bytes where they are.")
@common
def add(session: Session, *, path: str, link: bool) -> int:
    """Take a GGUF file of your own into the cache, under its SHA-256."""
    with _bar(session) as told:
        stored = models.add(Path(path), models=_folder(), how="link" if link else "copy", progress=told)
    return _done(session, stored, "added")


@command.command("verify", epilog=example("remit models verify qwen2.5-coder-0.5b-instruct-q4_k_m"))
@click.argument("name", default="")
@common
def verify(session: Session, *, name: str) -> int:
    """Hash stored weights and compare with the SHA-256 that names them."""
    wanted = name or models.catalogue()[0].name
    with _bar(session) as told:
        stored = models.verify(wanted, models=_folder(), progress=told)
    return _done(session, stored, "verified")


def _folder() -> Path:
    return models.models_folder(os.environ)


def _value(stored: StoredModel) -> JsonObject:
    return {
        "name": stored.name,
        "sha256": stored.sha256,
        "path": stored.path.as_posix(),
        "size_bytes": stored.size_bytes,
    }


def _done(session: Session, stored: StoredModel, verb: str) -> int:
    if session.json:
        session.emit(_value(stored))
    session.parts(("✓ ", "green"), (f"{stored.name or short(stored.sha256)} {verb}", "bold"))
    session.say(f"  sha256 {stored.sha256}")
    session.say(f"  file   {stored.path.as_posix()}")
    return ExitCode.FINE


@contextmanager
def _bar(session: Session) -> Generator[models.Progress]:
    """Show progress on stderr where people watch; elsewhere show nothing."""
    console = Console(stderr=True)
    if session.json or not console.is_terminal:
        yield lambda _stage, _done, _total: None
        return
    columns = (TextColumn("{task.description:<8}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def told(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield told
