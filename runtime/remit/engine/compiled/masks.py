"""Tables that answer many conditions at once: for each variable, which of them its value leaves possible.

A condition is a bit of a number, the *mask*; a condition applies where every variable leaves its bit.
So a look-up and an `&` for each variable take the place of a test for each condition, and the mask that is
left says which apply.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, cast

from remit.engine.compiled.code import TRUE, choice_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from remit.engine.compiled.chunks import Condition
    from remit.engine.compiled.code import Choice

MAX_MASKED = 256
MAX_CONSTANTS = 4_096
"""Conditions in tables that belong together, and constants that they name: bounds what the masks take."""

_OTHER = object()
"""Stands for every value that no condition names."""


class Ranges(NamedTuple):
    """The masks of a number: of the values up to the first bound, up to the second, … and beyond the last."""

    slot: str
    bounds: tuple[int, ...]
    masks: tuple[int, ...]


class Values(NamedTuple):
    """The masks of a text or a Bool: of each that is named, and of any other."""

    slot: str
    masks: dict[object, int]
    other: int


def choices(condition: Condition) -> list[Choice] | None:
    """Return a condition as choices that must all hold; nothing where it is not such a condition."""
    found: list[Choice] = []
    for code in condition.codes:
        if code is TRUE:
            continue
        choice = choice_of(code)
        if choice is None or not code.safe:
            return None
        found.append(choice)
    return found


def tables(conditions: Sequence[Sequence[Choice]]) -> list[Ranges | Values]:
    """Return the tables for conditions; the first has the lowest bit.

    Args:
        conditions: each as choices that must all hold; at least one has any.
    """
    slots: dict[str, defaultdict[int, list[Choice]]] = {}
    for bit, some in enumerate(conditions):
        for choice in some:
            slots.setdefault(choice.slot, defaultdict(list))[1 << bit].append(choice)
    whole = (1 << len(conditions)) - 1
    return [_table(slot, whole, slots[slot]) for slot in sorted(slots)]


def _table(slot: str, whole: int, by_bit: Mapping[int, Sequence[Choice]]) -> Ranges | Values:
    kind = next(iter(by_bit.values()))[0].type
    # The bits that differ from what is beneath: below a bound, or of values that are not named.
    flips: defaultdict[object, int] = defaultdict(int)
    start = whole
    for bit, some in by_bit.items():
        constants = set[object]().union(*(choice.constants for choice in some))
        if kind == "Long":
            steps = _steps(cast("set[int]", constants), some)
        else:
            steps = [(constant, _hold(some, constant)) for constant in constants]
        held = _hold(some, min(cast("set[int]", constants)) - 1 if kind == "Long" else _OTHER)
        start ^= 0 if held else bit
        for place, holds in steps:
            if holds is not held:
                flips[place] ^= bit
                # Beyond a bound it stays so until the next one; a value is only itself.
                held = holds if kind == "Long" else held
    if kind != "Long":
        return Values(slot, {value: start ^ mask for value, mask in flips.items()}, start)
    bounds = sorted(cast("list[int]", [*flips]))
    masks = [start]
    for bound in bounds:
        masks.append(masks[-1] ^ flips[bound])
    return Ranges(slot, tuple(bounds), tuple(masks))


def _steps(constants: Iterable[int], some: Sequence[Choice]) -> list[tuple[object, bool]]:
    """Return beyond which bounds conditions on a number hold or not, as far as constants tell."""
    steps: list[tuple[object, bool]] = []
    for constant in sorted(constants):
        steps += [(constant - 1, _hold(some, constant)), (constant, _hold(some, constant + 1))]
    return steps


def _hold(some: Sequence[Choice], value: object) -> bool:
    return all(choice.holds(value) for choice in some)
