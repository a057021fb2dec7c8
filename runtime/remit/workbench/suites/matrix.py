"""A matrix: one case written once and asked for every combination of some values.

Rules
1. A key is a dotted path into the request (`input.amount`) or a whole member of it (`caller`).
2. Whole members are set before fixtures are filled in, so that a matrix can run over fixtures by name;
   deeper paths are set afterwards.
3. Every combination is asked, in the order in which they are written, the last key changing fastest.
"""

from __future__ import annotations

import json
from itertools import islice, product
from math import prod
from typing import TYPE_CHECKING

from remit.project.source import kind_of, listing, nearest
from remit.workbench.suites.members import MisfitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.project.source import FaultList, Node

MAX_COMBINATIONS = 1_000
"""Of one case; more belong into a property, not into a table."""

Combination = dict[str, "JsonValue"]
_SHOWN = 40


def read_matrix(node: Node, *, known: Sequence[str], faults: FaultList) -> tuple[Combination, ...]:
    """Read a matrix and return its combinations; none where it is wrong.

    Args:
        node: the mapping from paths to lists of values.
        known: first steps that a path may have.
        faults: where faults go.
    """
    paths = node.object()
    if not paths:
        what = "is empty" if paths is not None else f"is {kind_of(node.value)}, not a mapping"
        faults.add(node.fault(f"`matrix` {what}", "write such as `matrix: {input.amount: [1, 2]}`"))
        return ()
    before = len(faults.faults)
    for path in paths:
        _check_path(node.member(path), path, paths, known=known, faults=faults)
    if len(faults.faults) > before:
        return ()
    lists = [values for values in paths.values() if isinstance(values, list)]
    total = prod(len(values) for values in lists)
    if total > MAX_COMBINATIONS:
        hint = f"at most {MAX_COMBINATIONS} are asked; leave values out, or write several cases"
        faults.add(node.fault(f"`matrix` has {total} combinations", hint))
        return ()
    return tuple(
        dict(zip(paths, chosen, strict=True)) for chosen in islice(product(*lists), MAX_COMBINATIONS)
    )


def _check_path(
    node: Node, path: str, paths: Mapping[str, JsonValue], *, known: Sequence[str], faults: FaultList
) -> None:
    steps = path.split(".")
    if not all(steps):
        faults.add(node.fault(f"`{path}` is not a path", "write such as `input.amount`"))
    elif steps[0] not in known:
        hint = nearest(steps[0], known) or f"a path begins with one of {listing(known)}"
        faults.add(node.fault(f"`matrix` has the path `{path}`: a request has no `{steps[0]}`", hint))
    for other in paths:
        if other.startswith(f"{path}."):
            faults.add(node.fault(f"`{path}` and `{other}` set the same value", "keep one of the two"))
    values = node.value
    if not isinstance(values, list) or not values:
        what = "an empty list" if values == [] else kind_of(values)
        faults.add(node.fault(f"`{path}` of `matrix` is {what}", "give a list of at least one value"))
    elif len({json.dumps(value, sort_keys=True) for value in values}) < len(values):
        faults.add(node.fault(f"`{path}` of `matrix` holds a value twice", "keep it once"))


def with_members(request: JsonObject, combination: Combination) -> JsonObject:
    """Return `request` with the whole members of a combination set (rule 2)."""
    return {**request, **{path: value for path, value in combination.items() if "." not in path}}


def with_paths(request: JsonObject, combination: Combination) -> JsonObject:
    """Return `request` with the deeper paths of a combination set (rule 2).

    Raises:
        MisfitError: a path leads through something that is no mapping.
    """
    for path, value in combination.items():
        if "." in path:
            request = _set(request, path.split("."), value, path)
    return request


def _set(target: JsonObject, steps: Sequence[str], value: JsonValue, path: str) -> JsonObject:
    step, rest = steps[0], steps[1:]
    if not rest:
        return {**target, step: value}
    inner = target.get(step, {})
    if not isinstance(inner, dict):
        raise MisfitError(
            f"`{path}` leads through `{step}`, which is {kind_of(inner)}", "vary a mapping's member"
        )
    return {**target, step: _set(inner, rest, value, path)}


def suffix(combination: Combination) -> str:
    """Return what a combination adds to its case's name."""
    if not combination:
        return ""
    pairs = ", ".join(f"{path}={_short(value)}" for path, value in combination.items())
    return f" [{pairs}]"


def _short(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def fits(wanted: Mapping[str, JsonValue], combination: Combination) -> bool:
    """Return whether a combination is meant by `when`: each value is the wanted one, or one of a list."""
    for path, value in wanted.items():
        have = combination[path]
        # `True == 1` in Python; in a case they are two values.
        if not (_same(have, value) or (isinstance(value, list) and any(_same(have, one) for one in value))):
            return False
    return True


def _same(left: JsonValue, right: JsonValue) -> bool:
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
