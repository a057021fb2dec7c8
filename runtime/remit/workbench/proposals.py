"""Values that would make a condition true, or false: the nearest ones, to be tried.

A proposal is a guess that follows from one condition and the values it had. Whether it does what it should is
always decided by an engine afterwards, so a bad guess costs a try and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cedarpy import pst

from remit.engine.comparisons import FLIPPED, ORDERS, STEPS
from remit.engine.compiled.extensions import Datetime, Decimal, Duration
from remit.engine.compiled.goals import ABSENT, path_of
from remit.engine.compiled.patterns import pattern_parts
from remit.engine.compiled.values import unkeyed
from remit.engine.evaluation.nodes import node_of
from remit.engine.evaluation.shown import value_json, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonValue
    from remit.engine.compiled.goals import Absent
    from remit.engine.compiled.values import Value
    from remit.engine.evaluation.walk import Walker
    from remit.engine.reads import Path

Proposal = tuple["Path", "JsonValue | Absent"]


_ELEMENTS = 4
"""Of a set that are proposed in turn."""


def proposals(expr: pst.Expr, walker: Walker, *, truth: bool) -> Iterator[Proposal]:
    """Yield single values, each of which might make a condition true, or false; the nearest first.

    Args:
        expr: a condition without a connective.
        walker: of the request as it is.
        truth: what is wanted.
    """
    match expr:
        case pst.HasAttr(base, names) if path_of(base) and not truth:
            yield (*path_of(base), *names), ABSENT
        case pst.GetAttr() if path_of(expr):
            yield path_of(expr), truth
        case pst.Like(base, pattern) if path_of(base):
            yield from _liked(path_of(base), pattern, truth=truth)
        case pst.Is(base, kind, _) if path_of(base) == ("principal",):
            named = kind.basename.lower()
            yield ("principal",), named if truth else "caller" if named == "agent" else "agent"
        case pst.UnaryOp("is_empty", arg) if path_of(arg) and truth:
            yield path_of(arg), []
        case pst.BinaryOp("not_eq", left, right):
            yield from proposals(pst.BinaryOp("eq", left, right), walker, truth=not truth)
        case pst.BinaryOp():
            yield from _compared(expr, walker, truth=truth)
        case _:
            pass


def _compared(expr: pst.BinaryOp, walker: Walker, *, truth: bool) -> Iterator[Proposal]:
    """Yield values for each side that is a path, against what the other side came to."""
    for mine, other, turned in ((expr.left, expr.right, False), (expr.right, expr.left, True)):
        if path_of(mine):
            found = walker.step(node_of(other, ""))
            if found.status == "value":
                current = walker.step(node_of(mine, "")).value
                yield from _sided(expr.op, path_of(mine), current, found.value, turned=turned, truth=truth)


def _sided(
    op: str, path: Path, current: Value, other: Value, *, turned: bool, truth: bool
) -> Iterator[Proposal]:
    if op in ORDERS:
        order = ORDERS[op]
        order = FLIPPED[order] if turned else order
        found = moved(other, STEPS[order][0 if truth else 1])
        if found is not None:
            yield path, found
    elif op == "eq":
        if truth:
            yield path, value_json(other)
        else:
            for differing in others(other):
                yield path, differing
    elif op == "contains" and turned:
        yield from ((path, value) for value in _element(other, truth=truth))
    elif op in {"contains", "contains_all", "contains_any"} and not turned:
        wanted = [other] if op == "contains" else _members(other)
        yield path, _set_with(current, wanted, op, truth=truth)


def moved(value: Value, step: int) -> JsonValue:
    """Return a value moved by the smallest step of its type, as JSON; nothing where its type has none."""
    match value:
        case bool():
            return None
        case Decimal() | Datetime() | Duration():
            return value_json(type(value)(int(value) + step))
        case int():
            return value + step
        case _:
            return None


def others(value: Value) -> Iterator[JsonValue]:
    """Yield values of the same type that differ from `value`."""
    match value:
        case bool():
            yield not value
        case str():
            yield value + "x"
            if value:
                yield ""
                yield value.swapcase()
        case _:
            for step in (1, -1):
                found = moved(value, step)
                if found is not None:
                    yield found


def _liked(path: Path, pattern: tuple[pst.PatternElem, ...], *, truth: bool) -> Iterator[Proposal]:
    parts = pattern_parts(pattern)
    if truth:
        yield path, "x".join(parts)
        yield path, "".join(parts)
    else:
        yield path, "x" + "".join(parts)
        yield path, ""


def _members(value: Value) -> list[Value]:
    if type(value) is not frozenset:
        return []
    return sorted((unkeyed(key) for key in cast("frozenset[object]", value)), key=value_text)


def _element(value: Value, *, truth: bool) -> Iterator[JsonValue]:
    members = _members(value)
    if truth:
        yield from (value_json(member) for member in members[:_ELEMENTS])
    elif members:
        outside = {value_text(member) for member in members}
        for differing in others(members[-1]):
            if differing is not None and value_text(differing) not in outside:
                yield differing


def _set_with(current: Value, wanted: list[Value], op: str, *, truth: bool) -> JsonValue:
    """Return the current set with what is wanted, or without it."""
    kept = [value_json(member) for member in _members(current)]
    named = [value_json(member) for member in wanted]
    if truth:
        some = named[:1] if op == "contains_any" else named
        return kept + [member for member in some if member not in kept]
    gone = named[:1] if op == "contains_all" else named
    return [member for member in kept if member not in gone]
