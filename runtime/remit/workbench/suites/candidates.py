"""Values that could turn a decision, found in the rules: what they compare with what.

Every rule that can apply to an action is read for comparisons of a member of the request with a constant,
with another member, or of its own truth; each gives values on both sides of its edge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import cedarpy
from cedarpy import pst

from remit.engine.reads import inner_expressions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonValue
    from remit.engine.image import RuleInfo

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One comparison of a rule.

    Args:
        path: the member of the request, such as `("context", "input", "amount")`.
        values: constants that it is compared with, and their neighbours.
        path_too: another member that it is compared with; empty where there is none.
        element: whether the values are elements of the member, which is a set.
        tested: whether the rule asks if the member is there.
    """

    path: Path
    values: tuple[JsonValue, ...] = ()
    path_too: Path = ()
    element: bool = False
    tested: bool = False


def comparisons(rule: RuleInfo) -> tuple[Compared, ...]:
    """Return what a rule compares, in the order of its text; nothing where it has no syntax tree."""
    try:
        tree = cedarpy.PolicySet.from_str(rule.text).to_pst()
    except (ValueError, RecursionError):
        return ()
    found: list[Compared] = []
    for policy in tree.static_policies.values():
        for clause in policy.clauses:
            found.extend(compared_in(clause.expr))
    return tuple(dict.fromkeys(found))


def compared_in(expr: pst.Expr) -> Iterator[Compared]:
    """Yield what an expression compares, its parts included."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield from _one(node)
        stack.extend(reversed(tuple(inner_expressions(node))))


def _one(node: pst.Expr) -> Iterator[Compared]:
    match node:
        case pst.BinaryOp(op, left, right):
            for member, other in ((left, right), (right, left)):
                path = path_of(member)
                if path is not None:
                    yield from _beside(op, path, other)
        case pst.Like(base, pattern):
            path = path_of(base)
            if path is not None:
                text = "".join(piece.value for piece in pattern if isinstance(piece, pst.Char))
                yield Compared(path=path, values=(text, ""))
        case pst.HasAttr(base, attributes):
            path = path_of(base)
            if path is not None:
                yield Compared(path=(*path, *attributes), tested=True)
        case pst.GetAttr():
            path = path_of(node)
            if path is not None:
                yield Compared(path=path, values=(True, False))
        case _:
            pass


def _beside(op: str, path: Path, other: pst.Expr) -> Iterator[Compared]:
    element = op.startswith("contains")
    too = path_of(other)
    if too is not None:
        yield Compared(path=path, path_too=too, element=element)
        return
    items = other.elements if isinstance(other, pst.Set) else (other,)
    values = tuple(dict.fromkeys(value for item in items for value in _constants(item)))
    if values:
        yield Compared(path=path, values=values, element=element)


def path_of(expr: pst.Expr) -> Path | None:
    """Return the member of the request that an expression reads, through a time's parts; None for others."""
    steps: list[str] = []
    while True:
        match expr:
            case pst.GetAttr(base, name):
                steps.append(name)
                expr = base
            case pst.UnaryOp(op, inner) if op in ("to_time", "to_date"):
                expr = inner
            case pst.Var(name) if name in ("principal", "resource", "context"):
                return (name, *reversed(steps)) if steps else None
            case _:
                return None


def _constants(expr: pst.Expr) -> tuple[JsonValue, ...]:
    """Return a constant and its neighbours, nearest first, as plain JSON."""
    match expr:
        case pst.LongLit(value):
            return (value, value - 1, value + 1)
        case pst.StringLit(value):
            return (value, f"{value}x")
        case pst.BoolLit():
            return (True, False)
        case pst.UnaryOp("decimal", pst.StringLit(value)):
            number = float(value)
            return (number, round(number - _SMALLEST, 4), round(number + _SMALLEST, 4))
        case pst.UnaryOp("datetime" | "ip", pst.StringLit(value)):
            return (value,)
        case pst.UnaryOp("duration", pst.StringLit(value)):
            return (f"{DURATION}{value}",)
        case _:
            return ()


_SMALLEST = 0.0001
DURATION = "duration:"
"""Marks a constant that is a time of day or a span, which becomes an instant only beside another one."""

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def instants(now: str, duration: str) -> tuple[str, ...]:
    """Return the instants of the same day at a time of day, and just before it.

    Args:
        now: RFC 3339 time.
        duration: Cedar's text, such as `8h30m`.
    """
    parts = re.findall(r"(\d+)(ms|[dhms])", duration)
    span = timedelta(milliseconds=sum(int(count) * _UNITS[unit] for count, unit in parts))
    try:
        day = datetime.fromisoformat(now).replace(hour=0, minute=0, second=0, microsecond=0)
        return tuple(
            (day + span - earlier).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            for earlier in (timedelta(0), timedelta(milliseconds=1))
        )
    except (ValueError, OverflowError):
        return ()
