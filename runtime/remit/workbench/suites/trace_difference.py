"""Where a run leaves what was expected of it: the first step that differs, and what was expected there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.values import JsonObject
    from remit.host.results import RunResult, Step
    from remit.workbench.suites.model import ExpectedStep, RunExpectation

_ENDED = ("completed",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceDifference:
    """The first step of a run that is not as expected.

    Args:
        number: of the step in the run's trace, from 1; one more than there are where the run ended before it.
        step: what the run did there; None where it had ended.
        expected: what was expected there; `its end` where nothing more was.
        members: what of the step differs, one text each; empty where one of the two is missing.
        place: `file:line:column` of the expected line; empty where no line says it.
    """

    number: int
    step: Step | None
    expected: str
    members: tuple[str, ...]
    place: str

    def __str__(self) -> str:
        got = "the end" if self.step is None else step_text(self.step)
        where = f" ({self.place})" if self.place else ""
        told = f"step {self.number} is {got}, where {self.expected} was expected{where}"
        return f"{told}: {'; '.join(self.members)}" if self.members else told

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "step": self.number,
            "got": None if self.step is None else step_text(self.step),
            "expected": self.expected,
            "members": [*self.members],
            "place": self.place,
        }


def trace_difference(expect: RunExpectation, result: RunResult) -> TraceDifference | None:
    """Return the first step at which a run differs from what was expected; None where no step says it.

    Args:
        expect: what was expected.
        result: what the run came to.
    """
    if expect.trace is not None:
        found = _exactly if expect.exact else _in_order
        difference = found(expect.trace, result.steps)
        if difference is not None:
            return difference
    if result.status == expect.status or not result.steps:
        return None
    # The steps are as expected, or nobody said what they should be: what stopped the run is the last of them.
    last = len(result.steps)
    step = result.steps[-1]
    if expect.status in _ENDED and step.verdict == "allow":
        return None
    return TraceDifference(
        number=last, step=step, expected=f"a run that is {expect.status}", members=(), place=""
    )


def _exactly(wanted: Sequence[ExpectedStep], steps: Sequence[Step]) -> TraceDifference | None:
    for number, (line, step) in enumerate(zip(wanted, steps, strict=False), 1):
        if not meets(line, step):
            return _at(number, line, step)
    if len(wanted) > len(steps):
        return _at(len(steps) + 1, wanted[len(steps)], None)
    if len(steps) > len(wanted):
        return _at(len(wanted) + 1, None, steps[len(wanted)])
    return None


def _in_order(wanted: Sequence[ExpectedStep], steps: Sequence[Step]) -> TraceDifference | None:
    """Return the step that comes closest to the first line that none of the later steps is."""
    position = 0
    for line in wanted:
        found = next((n for n in range(position, len(steps)) if meets(line, steps[n])), None)
        if found is not None:
            position = found + 1
            continue
        later = [(len(tuple(_members(line, steps[n]))), n) for n in range(position, len(steps))]
        about_it = [(count, n) for count, n in later if steps[n].action == line.action]
        if not about_it:
            return _at(len(steps) + 1, line, None)
        _, nearest = min(about_it)
        return _at(nearest + 1, line, steps[nearest])
    return None


def _at(number: int, line: ExpectedStep | None, step: Step | None) -> TraceDifference:
    return TraceDifference(
        number=number,
        step=step,
        expected="its end" if line is None else line_text(line),
        members=() if line is None or step is None else tuple(_members(line, step)),
        place="" if line is None else f"{line.place.file}:{line.place.line}:{line.place.column}",
    )


def meets(line: ExpectedStep, step: Step) -> bool:
    """Return whether a step is what a line of an expected trace says."""
    return not any(_members(line, step))


def _members(line: ExpectedStep, step: Step) -> Iterator[str]:
    """Yield what of a step is not what the line says."""
    if line.action != step.action:
        yield f"action {step.action} instead of {line.action}"
    if line.decision != step.verdict:
        yield f"decision {step.verdict} instead of {line.decision}"
    if line.resource and not step.resource.endswith(f'::"{line.resource}"'):
        yield f"resource {step.resource} instead of {line.resource}"
    if line.rules is not None and sorted(line.rules) != sorted(step.rules):
        yield f"rules {_names(step.rules)} instead of {_names(line.rules)}"
    if line.kind and line.kind != step.kind:
        yield f"kind {step.kind} instead of {line.kind}"


def _names(rules: Sequence[str]) -> str:
    return ", ".join(f"`{rule}`" for rule in sorted(rules)) or "no rule"


def line_text(line: ExpectedStep) -> str:
    """Write a line of an expected trace for people."""
    rules = "" if line.rules is None else f" [{', '.join(line.rules)}]"
    return f"{line.action}{f' {line.resource}' if line.resource else ''} {line.decision}{rules}"


def step_text(step: Step) -> str:
    """Write a step of a run for people."""
    rules = ", ".join(step.rules) or step.kind
    return f"{step.action} {step.verdict} [{rules}]"
