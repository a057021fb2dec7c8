"""A project's cases as coverage and mutation need them: a request, and whether an image answers it well.

The only place where these two know how cases are written and run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.errors import DocumentError, EvaluationError
from remit.project.cases import read_cases, run_case
from remit.project.questions import build_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from remit.document.model import Document
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Request
    from remit.errors import Fault
    from remit.project.cases import Case
    from remit.project.questions import Question


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


def requests_of(folder: Path, document: Document) -> tuple[AskedCase, ...]:
    """Return all cases of a project folder, in the order of their files.

    Args:
        folder: the project.
        document: the agent built of it.

    Raises:
        DocumentError: a file is wrong, or a case asks what cannot be asked; lists every fault.
    """
    found: list[AskedCase] = []
    faults: list[Fault] = []
    for case in read_cases(folder):

        def problems(engine: Engine, image: PolicyImage, case: Case = case) -> tuple[str, ...]:
            return run_case(case, document=document, engine=engine, image=image).problems

        try:
            request = build_request(document, case.question)
        except EvaluationError as error:
            faults.append(replace(case.place, message=str(error)))
            continue
        found.append(
            AskedCase(
                name=case.name, place=case.place, question=case.question, request=request, problems=problems
            )
        )
    if faults:
        raise DocumentError(*faults)
    return tuple(found)
