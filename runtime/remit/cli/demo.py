"""`remit demo`: play an example's scenes, check what each must show, then verify the ledger."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remit.cli.agents import STORE_FOLDER
from remit.cli.exits import ExitCode, bad_input
from remit.cli.ledger_reports import report_value, show_report
from remit.cli.options import common, example
from remit.cli.output import Session, one_line
from remit.cli.stores import open_auditable
from remit.cli.telemetry import chosen_telemetry
from remit.cli.timeline import Timeline
from remit.errors import AdapterError
from remit.host import models
from remit.host.caller import Caller
from remit.host.events import ApprovalRequested, Decided, RunEvent, ToolFinished
from remit.host.runtime import Runtime
from remit.policy.compile import compile_governance
from remit.project.build import build_project
from remit.project.scenes import DEMO_FILE, Demo, Scene, Shown, read_demo

if TYPE_CHECKING:
    from collections.abc import Generator

    from remit.document.model import BackendEntry, Document
    from remit.document.values import JsonObject, JsonValue
    from remit.host.results import RunResult

DEFAULT_EXAMPLE = Path("examples/refund-desk")
_MAX_ROWS = 20
_MAX_SETTLEMENTS = 4
"""Answers of people within one scene; a model that asks more often has gone astray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A scene and what became of it."""

    scene: Scene
    results: tuple[RunResult, ...]
    problems: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "title": self.scene.title,
            "passed": not self.problems,
            "problems": list(self.problems),
            "runs": [result.to_json() for result in self.results],
        }


@click.command(
    "demo", epilog=example("remit demo", "remit demo --backend scripted", "remit demo my-agent --keep out")
)
@click.argument("folder", default=None, required=False)
@click.option("--backend", default=None, metavar="NAME", help="Use only this back-end of the document.")
@click.option("--keep", default=None, metavar="DIR", help="Work in DIR and leave it there.")
@common
def command(session: Session, *, folder: str | None, backend: str | None, keep: str | None) -> int:
    """Play the scenes of an example (the refund desk by default) in a copy of its folder."""
    source = _source(folder)
    demo = read_demo(source)
    with _working_copy(source, keep, made=frozenset(Path(item.sqlite).name for item in demo.show)) as place:
        built = build_project(place)
        compile_governance(built.document, origins=built.origins)
        entry = _backend(built.document, backend)
        store = place / STORE_FOLDER
        session.say(demo.title, style="bold")
        played: list[Played] = []
        telemetry = chosen_telemetry()
        with Runtime.open(
            built.document,
            store=store,
            folder=place,
            backend=entry.name,
            telemetry=telemetry.sinks,
            telemetry_content=telemetry.content,
        ) as runtime:
            for number, scene in enumerate(demo.scenes, start=1):
                _lay_transcript(scene, entry, place)
                played.append(_play(session, runtime, scene, number))
        shown = [_show_rows(session, item, place) for item in demo.show]
        return _end(session, demo, played, shown, store)


def _source(folder: str | None) -> Path:
    if folder is None and not (DEFAULT_EXAMPLE / DEMO_FILE).is_file():
        raise bad_input(
            f"there is no `{DEFAULT_EXAMPLE.as_posix()}` here: examples come with the source alone",
            "run this in a clone of the project, or name a folder that holds a `demo.yaml`",
        )
    source = Path(folder) if folder is not None else DEFAULT_EXAMPLE
    if not source.is_dir():
        raise bad_input(f"`{source.as_posix()}` is not a folder", f"name a folder that holds a `{DEMO_FILE}`")
    return source


@contextmanager
def _working_copy(source: Path, keep: str | None, *, made: frozenset[str]) -> Generator[Path]:
    # What the tools wrote in earlier runs stays behind, so that every demonstration begins alike.
    beside = {f"{file}{end}" for file in made for end in ("", "-wal", "-shm", "-journal")}

    def left_out(_folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in {STORE_FOLDER, "__pycache__", *beside}}

    if keep is not None:
        place = Path(keep)
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise bad_input(f"`{keep}` exists and is not an empty folder", "name a new folder")
        shutil.copytree(source, place, ignore=left_out, dirs_exist_ok=True)
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="remit-demo-", ignore_cleanup_errors=True) as root:
        place = Path(root) / source.resolve().name
        shutil.copytree(source, place, ignore=left_out)
        yield place


def _backend(document: Document, name: str | None) -> BackendEntry:
    entries = document.capabilities.backends
    if name is not None:
        entry = document.backend(name)
        if entry is None:
            listed = ", ".join(f"`{item.name}`" for item in entries)
            raise bad_input(f"the document has no back-end `{name}`", f"it declares {listed}")
        return entry
    entry = entries[0]
    if entry.adapter == "llama-cpp" and "path" not in entry.config:
        wanted = str(entry.config.get("model_sha256", entry.model))
        try:
            models.verified(wanted, models=models.models_folder(os.environ))
        except AdapterError as error:
            raise AdapterError(
                f"{error}; or play it without a model: `remit demo --backend scripted`"
            ) from error
    return entry


def _lay_transcript(scene: Scene, entry: BackendEntry, place: Path) -> None:
    path = entry.config.get("path")
    if not scene.transcript or entry.adapter != "scripted" or not isinstance(path, str):
        return
    wanted = place / scene.transcript
    if not wanted.is_file():
        raise bad_input(f"the transcript `{scene.transcript}` of scene `{scene.title}` does not exist")
    kept = place / ".transcripts"
    if not kept.exists():
        # The first scene's own file may be the one that is overwritten below.
        shutil.copytree(place / Path(path).parent, kept)
    shutil.copyfile(kept / Path(scene.transcript).name, place / path)


def _play(session: Session, runtime: Runtime, scene: Scene, number: int) -> Played:
    session.say()
    session.say(f"Scene {number}: {scene.title}", style="bold")
    roles = f" ({', '.join(scene.roles)})" if scene.roles else ""
    session.say(f"  {scene.person}{roles} says: {one_line(scene.input, limit=500)}")
    events: list[RunEvent] = []
    timeline = Timeline(session)

    def watch(event: RunEvent) -> None:
        events.append(event)
        timeline.show(event)

    caller = Caller(id=scene.person, roles=scene.roles, attributes=scene.attributes)
    results = [runtime.run(scene.input, caller=caller, environment=scene.environment, on_event=watch)]
    approved: list[str] = []
    for _ in range(_MAX_SETTLEMENTS):
        if results[-1].pending is None or scene.settlement is None:
            break
        _brief(session, results[-1])
        if not _settle(session, runtime, scene, results[-1], approved):
            break
        results.append(runtime.resume_run(results[-1].run, on_event=watch))
    _brief(session, results[-1])
    problems = _problems(scene, results[-1], events, approved)
    for problem in problems:
        session.say(f"  ✗ {problem}", style="red")
    if not problems:
        session.say("  ✓ as expected", style="green")
    _clear(session, runtime, results[-1])
    return Played(scene=scene, results=tuple(results), problems=problems)


def _clear(session: Session, runtime: Runtime, result: RunResult) -> None:
    """Refuse what a scene left waiting: an agent that awaits approval is not activated again."""
    for _ in range(_MAX_SETTLEMENTS):
        if result.pending is None:
            return
        session.say(f"  nobody answers in this scene, so {result.pending.action} is refused", style="yellow")
        person = Caller(id="demo", roles=(result.pending.by,))
        if not runtime.refuse(result.pending.id, by=person, reason="nobody answers in this scene").allowed:
            return
        result = runtime.resume_run(result.run)


def _brief(session: Session, result: RunResult) -> None:
    reason = f": {one_line(result.reason, limit=400)}" if result.reason else ""
    session.say(f"  {result.status.replace('_', ' ')}{reason}", style="bold")


def _settle(session: Session, runtime: Runtime, scene: Scene, result: RunResult, approved: list[str]) -> bool:
    how, pending = scene.settlement, result.pending
    if how is None or pending is None:
        return False
    person = Caller(id=how.person, roles=how.roles, attributes=scene.attributes)
    settle = runtime.approve if how.approved else runtime.refuse
    answer = settle(pending.id, by=person, reason=how.reason)
    verb = "approves" if how.approved else "refuses"
    session.say(
        f"  {how.person} ({', '.join(how.roles)}) {verb} {pending.action}: {how.reason}", style="yellow"
    )
    if not answer.allowed:
        session.say(f"  denied: {answer.because}", style="red")
    elif how.approved:
        approved.append(pending.action)
    return answer.allowed


def _problems(
    scene: Scene, result: RunResult, events: list[RunEvent], approved: list[str]
) -> tuple[str, ...]:
    expect, problems = scene.expect, list[str]()
    if result.status != expect.status:
        problems.append(f"expected the run to end {expect.status}, it is {result.status}")
    decided = [event for event in events if isinstance(event, Decided)]
    waited = {event.action for event in events if isinstance(event, ApprovalRequested)}
    waited |= {event.action for event in decided if event.verdict == "awaiting_approval"}
    seen = {
        "allowed": {event.action for event in decided if event.verdict == "allow"},
        "denied": {event.action for event in decided if event.verdict == "deny"},
        "waited": waited,
        "approved": set(approved),
        "rules": {rule for event in decided for rule in event.rules},
    }
    for name, found in seen.items():
        wanted: tuple[str, ...] = getattr(expect, name)
        problems.extend(f"expected `{word}` among {name}" for word in wanted if word not in found)
    finished = [event for event in events if isinstance(event, ToolFinished)]
    done = {event.tool for event in finished if event.outcome == "ok"}
    failed = sorted({event.tool for event in finished} - done)
    problems.extend(f"expected `{name}` to be done, it failed" for name in failed if name in expect.allowed)
    return tuple(problems)


def _show_rows(session: Session, item: Shown, place: Path) -> JsonObject:
    path = place / item.sqlite
    if not path.is_file():
        raise bad_input(f"`{item.sqlite}` of `show` does not exist after the scenes")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            cursor = connection.execute(item.query)
            names = [str(column[0]) for column in cursor.description or ()]
            rows = [[_cell(cell) for cell in row] for row in cursor.fetchmany(_MAX_ROWS)]
    except sqlite3.Error as error:
        raise bad_input(f"the query of `show` on `{item.sqlite}` fails: {error}") from error
    session.say()
    session.say(f"{item.title} ({item.sqlite})", style="bold")
    session.say(f"  {' | '.join(names)}", style="dim")
    for row in rows:
        session.say(f"  {' | '.join('' if cell is None else str(cell) for cell in row)}")
    columns: list[JsonValue] = [*names]
    listed: list[JsonValue] = [*rows]
    return {"title": item.title, "columns": columns, "rows": listed}


def _cell(cell: object) -> JsonValue:
    return cell if cell is None or isinstance(cell, (int, float, str)) else repr(cell)


def _end(session: Session, demo: Demo, played: list[Played], shown: list[JsonObject], store: Path) -> int:
    opened = open_auditable(store)
    try:
        report = opened.verify()
    finally:
        opened.close()
    failed = sum(bool(item.problems) for item in played)
    if session.json:
        session.emit(
            {
                "title": demo.title,
                "scenes": [item.to_json() for item in played],
                "passed": len(played) - failed,
                "failed": failed,
                "shown": [*shown],
                "ledger": report_value(report, own_key=True),
            }
        )
    else:
        session.say()
        show_report(session, report, own_key=True)
        style = "bold red" if failed or not report.intact else "bold green"
        session.say(f"{len(played) - failed} of {len(played)} scenes as expected", style=style)
    return ExitCode.FINDINGS if failed or not report.intact else ExitCode.FINE
