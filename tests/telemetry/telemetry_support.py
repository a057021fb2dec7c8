"""Sinks and a desk for the tests of telemetry: a real run of the refund desk, real parts throughout."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from remit import Caller, Runtime
from remit.project.build import build_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.model import Document
    from remit.observations import Observation
    from remit.ports import TelemetrySink

DESK = Path(__file__).parents[2] / "examples" / "refund-desk"
ANA = Caller(id="ana-the-clerk", roles=("clerk",), attributes={"jurisdiction": "EU"})


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.closed = 0

    def observe(self, observation: Observation) -> None:
        self.seen.append(observation)

    def close(self) -> None:
        self.closed += 1

    def named(self, name: str) -> list[Observation]:
        return [item for item in self.seen if item.name == name]

    @property
    def names(self) -> list[str]:
        return [item.name for item in self.seen]


class Raising:
    """Fails at everything."""

    def __init__(self) -> None:
        self.tried = 0

    def observe(self, observation: Observation) -> None:
        self.tried += 1
        raise RuntimeError("the exporter is broken")

    def close(self) -> None:
        raise RuntimeError("the exporter is broken")


class Hanging:
    """Does not come back before it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def observe(self, observation: Observation) -> None:
        self.go.wait()

    def close(self) -> None:
        self.go.wait()


def desk(folder: Path, transcript: str = "small-refund") -> Document:
    """The refund desk, whose scripted back-end plays one of its transcripts."""
    shutil.copytree(
        DESK, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sqlite3*", "__pycache__")
    )
    agent = folder / "agent.yaml"
    agent.write_text(agent.read_text().replace("small-refund.yaml", f"{transcript}.yaml"))
    return build_project(folder).document


def open_desk(
    store: Path,
    *sinks: str | TelemetrySink,
    content: bool = False,
    transcript: str = "small-refund",
    **more: object,
) -> Runtime:
    project = store.parent / f"{store.name}-project"
    document = desk(project, transcript)
    return Runtime.open(
        document,
        store=store,
        backend="scripted",
        folder=project,
        telemetry=sinks,
        telemetry_content=content,
        **more,
    )


def recorded(store: Path, kind: str) -> Sequence[object]:
    from remit_adapters.sqlite_store import open_store

    opened = open_store(store, read_only=True)
    try:
        return [record for record in opened.records() if record.value["kind"] == kind]
    finally:
        opened.close()
