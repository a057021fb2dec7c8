"""The cases of one project folder, decided: what a test or another tool of the workbench calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remit.workbench.suites.agent_world import engine_of, read_world
from remit.workbench.suites.binding import bind
from remit.workbench.suites.finding import project_suites
from remit.workbench.suites.running import run_suite

if TYPE_CHECKING:
    from remit.host.engines import EngineName
    from remit.workbench.suites.agent_world import AgentWorld
    from remit.workbench.suites.binding import Bound
    from remit.workbench.suites.results import CaseResult


def bound_suites(world: AgentWorld) -> tuple[Bound, ...]:
    """Return the suites of a project folder that its own agent decides, ready to be asked.

    Args:
        world: the built project.

    Raises:
        DocumentError: a suite is wrong, or asks what cannot be asked; lists every fault.
    """
    suites = project_suites(world.folder)
    return tuple(bind(suite, world) for suite in suites if suite.subject_is(world.folder))


def run_folder(folder: str | Path, *, engine: EngineName = "cedar") -> tuple[CaseResult, ...]:
    """Build a project folder, decide all its cases and compare.

    Args:
        folder: the project folder.
        engine: what decides.

    Raises:
        DocumentError: the project or a suite is wrong; lists every fault.
        PolicyError: its governance does not compile.
    """
    world = read_world(Path(folder))
    prepared = engine_of(world.image, engine)
    return tuple(result for suite in bound_suites(world) for result in run_suite(suite, engine=prepared))
