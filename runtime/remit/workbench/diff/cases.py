"""Known cases under two documents: which ones come to something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.engine.cedar import CedarEngine
from remit.errors import EvaluationError
from remit.project.answers import settle
from remit.project.questions import Question, build_request
from remit.workbench.replay.changes import FLIPS, Change, Side, change_of
from remit.workbench.suites.finding import project_suites

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.host.candidate import Candidate
    from remit.workbench.suites.model import Case

_UNASKED = "cannot be asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFlip:
    """A case that two documents decide differently.

    Args:
        name: of the case.
        place: `file:line`.
        change: what differs; None where one of the two cannot be asked at all.
        old: what the old document decides.
        new: what the new one decides.
    """

    name: str
    place: str
    change: Change | None
    old: Side
    new: Side

    def to_json(self) -> JsonObject:
        """Return the flip as a JSON object with stable keys."""
        return {
            "name": self.name,
            "place": self.place,
            "change": self.change or _UNASKED,
            "old": self.old.to_json(),
            "new": self.new.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDiff:
    """All known cases under two documents.

    Args:
        count: how many cases there are.
        flips: those that differ in their decision.
        other_rules: how many have the same decision by other rules.
    """

    count: int
    flips: tuple[CaseFlip, ...]
    other_rules: int


def case_diff(folders: Iterable[Path], old: Candidate, new: Candidate) -> CaseDiff:
    """Decide all cases of some folders under two documents; a question that stands twice counts once.

    Raises:
        DocumentError: a case file is wrong.
    """
    cases: dict[object, Case] = {}
    for folder in folders:
        for suite in project_suites(folder):
            for case in suite.requests():
                if isinstance(case.question, Question):
                    cases.setdefault((case.name, str(case.question)), case)
    engines = (CedarEngine(old.image), CedarEngine(new.image))
    flips: list[CaseFlip] = []
    others = 0
    for case in cases.values():
        before, after = (
            _answer(case, side, engine) for side, engine in zip((old, new), engines, strict=True)
        )
        place = f"{case.place.file}:{case.place.line}"
        if _UNASKED in (before.verdict, after.verdict):
            if before.verdict != after.verdict:
                flips.append(CaseFlip(name=case.name, place=place, change=None, old=before, new=after))
            continue
        change = change_of(
            before.verdict, before.kind, after.verdict, after.kind, same_rules=before.rules == after.rules
        )
        if change in FLIPS:
            flips.append(CaseFlip(name=case.name, place=place, change=change, old=before, new=after))
        others += change == "other rules"
    return CaseDiff(count=len(cases), flips=tuple(flips), other_rules=others)


def _answer(case: Case, side: Candidate, engine: CedarEngine) -> Side:
    try:
        request = build_request(side.document, cast("Question", case.question))
    except EvaluationError as error:
        return Side(verdict=_UNASKED, kind=str(error), rules=())
    verdict = settle(engine, side.image, request)
    return Side(verdict=verdict.decision, kind=verdict.kind, rules=tuple(sorted(verdict.rules)))
