"""What became of a case, and what of it is not as expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.host.results import RunResult
    from remit.project.answers import Verdict
    from remit.workbench.suites.model import AnyCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as expected.

    Args:
        what: the member of the expectation.
        expected: for people.
        got: for people.
    """

    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"expected {self.what} {self.expected}, got {self.got}"

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {"what": self.what, "expected": self.expected, "got": self.got}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of a case.

    Args:
        case: the case.
        verdict: what its request came to; None for a run and for a case that is skipped.
        run: what its run came to; None for a request and for a case that is skipped.
        differences: what is not as expected; empty where the case holds.
        seconds: how long it took.
    """

    case: AnyCase
    verdict: Verdict | None = None
    run: RunResult | None = None
    differences: tuple[Difference, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the expectation held."""
        return not self.differences

    @property
    def skipped(self) -> bool:
        """Whether the case was not decided at all."""
        return bool(self.case.skip)

    @property
    def problems(self) -> tuple[str, ...]:
        """What differs, one sentence each."""
        return tuple(str(difference) for difference in self.differences)

    def to_json(self) -> JsonObject:
        """Return the result as a JSON object with stable keys."""
        differences: list[JsonValue] = [difference.to_json() for difference in self.differences]
        return {
            "name": self.case.name,
            "file": self.case.place.file,
            "line": self.case.place.line,
            "passed": self.passed,
            "skipped": self.case.skip,
            "problems": [*self.problems],
            "differences": differences,
            "verdict": None if self.verdict is None else self.verdict.to_json(),
            "run": None if self.run is None else self.run.to_json(),
        }
