"""What a request must hold for a condition to be true, or false: values at the edges that policies name.

Not a solver: it follows the syntax tree and notes what each comparison wants of a path.
What it cannot follow is left to chance, and what it notes may contradict itself; both only make a probe less
apt, since every probe is decided by both engines and only compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cedarpy import pst

from remit.engine.comparisons import FLIPPED, ORDERS, STEPS
from remit.engine.compiled.extensions import parse_datetime, parse_decimal, parse_duration, parse_ip
from remit.engine.compiled.patterns import pattern_parts

if TYPE_CHECKING:
    from random import Random

    from remit.document.values import JsonValue
    from remit.engine.reads import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Absent:
    """A member that is not given."""


ABSENT = Absent()


@dataclass(slots=True)
class Goal:
    """What a request should hold.

    Args:
        values: by path; `ABSENT` for none.
        uids: type and id of the entity that a path names.
        parents: of the entity that a path names.
    """

    values: dict[Path, JsonValue | Absent] = field(default_factory=dict["Path", "JsonValue | Absent"])
    uids: dict[Path, tuple[str, str]] = field(default_factory=dict["Path", tuple[str, str]])
    parents: dict[Path, tuple[str, str]] = field(default_factory=dict["Path", tuple[str, str]])


class GoalSetter:
    """Sets one goal after the other.

    Args:
        chance: picks among what would do.
        flipped: number of the comparison that gets the opposite of what is wanted; none if negative.

    Attributes:
        goal: what was noted.
        met: how many comparisons were met.
    """

    def __init__(self, chance: Random, flipped: int = -1) -> None:
        self.goal = Goal()
        self.met = 0
        self._chance = chance
        self._flipped = flipped

    def policy(self, policy: pst.Template) -> None:
        """Want a policy to apply."""
        for constraint, root in ((policy.principal, "principal"), (policy.resource, "resource")):
            match constraint:
                case pst.ScopeEq(pst.EntityUid(kind, name)):
                    self.goal.uids[root,] = (str(kind), name)
                case pst.ScopeIn(pst.EntityUid(kind, name)) | pst.ScopeIsIn(_, pst.EntityUid(kind, name)):
                    self.goal.parents[root,] = (str(kind), name)
                case _:
                    pass
        for clause in policy.clauses:
            self.want(clause.expr, truth=isinstance(clause, pst.When))

    def want(self, expr: pst.Expr, *, truth: bool) -> None:
        """Want a condition to be true, or false."""
        match expr:
            case pst.UnaryOp("not", arg):
                self.want(arg, truth=not truth)
            case pst.BinaryOp("and" | "or" as op, left, right):
                if truth == (op == "and"):
                    self.want(left, truth=truth)
                    self.want(right, truth=truth)
                else:
                    self.want(self._chance.choice((left, right)), truth=truth)
            case pst.IfThenElse(test, then, other):
                holds = self._chance.random() < 0.5  # noqa: PLR2004  # a fair coin
                self.want(test, truth=holds)
                self.want(then if holds else other, truth=truth)
            case pst.BinaryOp("not_eq", left, right):
                self.want(pst.BinaryOp("eq", left, right), truth=not truth)
            case _:
                truth ^= self.met == self._flipped
                self.met += 1
                self._compare(expr, truth=truth)

    def _compare(self, expr: pst.Expr, *, truth: bool) -> None:  # noqa: C901, PLR0912  # one case for each comparison
        match expr:
            case pst.HasAttr(base, names) if path_of(base):
                path = (*path_of(base), *names)
                if not truth:
                    self.goal.values[path] = ABSENT
            case pst.BinaryOp(op, left, right) if op in ORDERS:
                order = ORDERS[op]
                if path_of(right) and not path_of(left):
                    left, right, order = right, left, FLIPPED[order]
                self._step(path_of(left), right, STEPS[order][0 if truth else 1])
            case pst.BinaryOp("eq" | "contains", left, right):
                if path_of(right) and not path_of(left):
                    left, right = right, left
                self._equal(path_of(left), right, truth=truth, listed=getattr(expr, "op", "") == "contains")
            case pst.BinaryOp("contains_all" | "contains_any", left, pst.Set(elements)) if path_of(left):
                values = [value for element in elements for value in constants(element)]
                self.goal.values[path_of(left)] = values if truth else values[1:]
            case pst.BinaryOp("in", left, pst.EntityLit(uid)) if path_of(left) and truth:
                self.goal.parents[path_of(left)] = (str(uid.type), uid.id)
            case pst.Is(base, kind, _) if path_of(base) and truth:
                self.goal.uids.setdefault(path_of(base), (str(kind), "x"))
            case pst.Like(base, pattern) if path_of(base):
                parts = pattern_parts(pattern)
                self.goal.values[path_of(base)] = self._chance.choice(("", "x", "*")).join(parts) + (
                    "" if truth else "\n!"
                )
            case pst.UnaryOp("is_empty", arg) if path_of(arg) and truth:
                self.goal.values[path_of(arg)] = []
            case pst.GetAttr() if path_of(expr):
                self.goal.values[path_of(expr)] = truth
            case _:
                pass

    def _step(self, path: Path, bound: pst.Expr, step: int) -> None:
        if path and not path_of(bound):
            values = stepped(bound, step)
            if values:
                self.goal.values[path] = self._chance.choice(values)

    def _equal(self, path: Path, other: pst.Expr, *, truth: bool, listed: bool) -> None:
        if not path:
            return
        match other:
            case pst.EntityLit(uid):
                if truth:
                    self.goal.uids[path] = (str(uid.type), uid.id)
            case pst.Set(elements) if elements:
                self._equal(path, self._chance.choice(elements), truth=truth, listed=False)
            case _:
                values = constants(other) if truth else stepped(other, 1)
                if values:
                    value = self._chance.choice(values)
                    self.goal.values[path] = [value] if listed else value


def path_of(expr: pst.Expr) -> Path:
    """Return the path that an expression is, or nothing."""
    names: list[str] = []
    while isinstance(expr, pst.GetAttr):
        names.append(expr.attr)
        expr = expr.base
    if isinstance(expr, pst.Var) and expr.name != "action":
        return (expr.name, *reversed(names))
    return ()


def constants(expr: pst.Expr) -> list[JsonValue]:
    """Return the JSON of a literal."""
    return stepped(expr, 0)


def stepped(expr: pst.Expr, step: int) -> list[JsonValue]:
    """Return the JSON of a literal moved by the smallest step of its type; nothing for what is no literal."""
    match expr:
        case pst.BoolLit(value):
            return [value != bool(step)]
        case pst.LongLit(value):
            return [value + step]
        case pst.StringLit(value):
            return [value] if not step else [value + "x", value[:-1]]
        case pst.UnaryOp("decimal" | "datetime" | "duration" | "ip" as kind, pst.StringLit(text)):
            try:
                return [_MOVED[kind](text, step)]
            except (ValueError, OverflowError):
                return []
        case _:
            return []


def _decimal(text: str, step: int) -> JsonValue:
    scaled = int(parse_decimal(text)) + step
    whole, places = divmod(abs(scaled), 10_000)
    value = float(f"{whole}.{places:04}")
    return -value if scaled < 0 else value


def _datetime(text: str, step: int) -> JsonValue:
    moment = _EPOCH + timedelta(milliseconds=int(parse_datetime(text)) + step)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{moment.microsecond // 1000:03}Z"


def _duration(text: str, step: int) -> JsonValue:
    return f"{int(parse_duration(text)) + step}ms"


def _ip(text: str, step: int) -> JsonValue:
    parse_ip(text)
    address, slash, prefix = text.partition("/")
    return text if not step else f"{address}{slash}{int(prefix) - 1}" if slash else "192.0.2.77"


_MOVED = {"decimal": _decimal, "datetime": _datetime, "duration": _duration, "ip": _ip}
