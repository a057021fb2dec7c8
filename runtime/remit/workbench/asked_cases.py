"""A project's cases as coverage and mutation need them: a request, and whether an image answers it well.

The only place where these two know how cases are written and run. Whole-run cases are left out: coverage and
mutants are about single requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.project.answers import settle
from remit.workbench.suites.agent_world import AgentWorld
from remit.workbench.suites.folder import bound_suites
from remit.workbench.suites.running import compare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from remit.document.model import Document
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Request
    from remit.errors import Fault
    from remit.project.questions import Question
    from remit.workbench.suites.model import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCase:
    """One case.

    Args:
        name: what it promises.
        place: where it was written, as a fault without a message.
        question: what is asked.
        request: the same, for the engine.
        problems: what differs from the expectation under an image, decided by an engine prepared from it.
    """

    name: str
    place: Fault
    question: Question
    request: Request
    problems: Callable[[Engine, PolicyImage], tuple[str, ...]]


def requests_of(folder: Path, document: Document, image: PolicyImage) -> tuple[AskedCase, ...]:
    """Return all cases of a project folder that are one request, in the order of their files.

    Args:
        folder: the project.
        document: the agent built of it.
        image: its compiled governance.

    Raises:
        DocumentError: a file is wrong, or a case asks what cannot be asked; lists every fault.
    """
    world = AgentWorld(document=document, image=image, folder=folder)
    return tuple(
        _asked(case, bound.requests[case.name])
        for bound in bound_suites(world)
        for case in bound.suite.requests()
    )


def _asked(case: Case, request: Request) -> AskedCase:
    def problems(engine: Engine, image: PolicyImage) -> tuple[str, ...]:
        verdict = settle(engine, image, request)
        return tuple(str(difference) for difference in compare(case.expect, verdict, rules=image.rules))

    return AskedCase(
        name=case.name,
        place=case.place.fault(""),
        question=cast("Question", case.question),
        request=request,
        problems=problems,
    )
