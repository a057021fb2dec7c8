"""Changes of a failing request, and the bounded search for the smallest ones that give what was expected.

Rules
1. Every change is decided before it is told; nothing is guessed.
2. One changed member is nearer than two; of numbers, the smaller step.
3. The search is bounded; finding nothing within the bound is said, and is no proof that there is nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.suites.candidates import Path

MAX_DECISIONS = 400
"""For one failing case: a tenth of a second or two with the reference engine."""

_MAX_PAIRED = 24
ONE = 1.0
OTHER = 1.5
"""A change of what the request is about, rather than of a value in it."""


class Absent:
    """Stands for a member that is not there."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One member of a request, changed.

    Args:
        key: the member as a case writes it, such as `input.amount`.
        before, after: its values, as JSON text; `absent` where it is not there.
    """

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"`{self.key}` {self.after} instead of {self.before}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What would give the expected outcome.

    Args:
        changes: the smallest that were found; empty where none was within the bound.
        whole: whether the whole expectation then holds, or only its decision.
        tried: how many changed requests were decided.
    """

    changes: tuple[Change, ...]
    whole: bool
    tried: int

    def __str__(self) -> str:
        if not self.changes:
            return f"no change of one or two members was found that gives it ({self.tried} were tried)"
        lead = "as expected" if self.whole else "that decision"
        return f"{lead} with " + " and ".join(str(change) for change in self.changes)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        changes: list[JsonValue] = [
            {"key": change.key, "before": change.before, "after": change.after} for change in self.changes
        ]
        return {"changes": changes, "whole": self.whole, "tried": self.tried}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change with the member and the value that make it, and how large it is."""

    change: Change
    key: Path
    value: object
    size: float


def search(steps: tuple[Step, ...], gives: Callable[[tuple[Step, ...]], bool | None], bound: int) -> Nearest:
    """Look for the smallest one or two steps that give what was expected.

    Args:
        steps: every change that could mean something.
        gives: decides the changed request: True where the whole expectation holds, False where its decision
            does, None for neither.
        bound: how many changed requests are decided at most.
    """
    looking = _Looking(gives, bound)
    found = looking.best((step,) for step in steps)
    if found is None:
        near = sorted(steps, key=lambda step: step.size)[:_MAX_PAIRED]
        found = looking.best(pair for pair in combinations(near, 2) if pair[0].key != pair[1].key)
    if found is None:
        return Nearest(changes=(), whole=False, tried=looking.tried)
    chosen, whole = found
    return Nearest(changes=tuple(step.change for step in chosen), whole=whole, tried=looking.tried)


class _Looking:
    def __init__(self, gives: Callable[[tuple[Step, ...]], bool | None], bound: int) -> None:
        self._gives = gives
        self._bound = bound
        self.tried = 0

    def best(self, tries: Iterable[tuple[Step, ...]]) -> tuple[tuple[Step, ...], bool] | None:
        """Return the smallest steps that give the whole expectation, else those that give its decision."""
        best: tuple[tuple[Step, ...], bool] | None = None
        smallest = (True, 0.0)
        for steps in tries:
            if self.tried >= self._bound:
                break
            self.tried += 1
            whole = self._gives(steps)
            if whole is None:
                continue
            size = (not whole, sum(step.size for step in steps))
            if best is None or size < smallest:
                best, smallest = (steps, whole), size
        return best


def step_to(key: Path, before: object, after: object, *, more: float = 0.0) -> Step:
    """Return the step of one member from a value to another; `more` makes it larger than such a step is."""
    change = Change(key=".".join(key), before=text_of(before), after=text_of(after))
    return Step(change=change, key=key, value=after, size=_size(before, after) + more)


def with_member(whole: JsonObject, steps: Path, value: object) -> JsonObject:
    """Return a value with one member set, or taken away where the value is `ABSENT`."""
    name, rest = steps[0], steps[1:]
    if rest:
        inner = whole.get(name, {})
        return {**whole, name: with_member(inner if isinstance(inner, dict) else {}, rest, value)}
    if isinstance(value, Absent):
        return {key: member for key, member in whole.items() if key != name}
    return {**whole, name: cast("JsonValue", value)}


def text_of(value: object) -> str:
    """Write a value as JSON text, or `absent`."""
    return "absent" if isinstance(value, Absent) else json.dumps(value, ensure_ascii=False)


def _size(before: object, after: object) -> float:
    """Return how large a change is: one, and for numbers a little more the further they are apart."""
    numbers = (int, float)
    if isinstance(before, numbers) and isinstance(after, numbers) and not isinstance(before, bool):
        apart = abs(float(after) - float(before))
        return ONE + apart / (apart + 1e6)
    return ONE
