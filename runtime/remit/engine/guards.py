"""Guards: the comparisons with constants that a policy's condition begins with.

Where one is false, nothing behind it is evaluated, and the policy does not apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from cedarpy import pst

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.engine.reads import Path

Order = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
Constant = str | int | bool

_FLIPPED: dict[Order, Order] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERS: dict[str, Order] = {
    "eq": "==",
    "not_eq": "!=",
    "less": "<",
    "less_eq": "<=",
    "greater": ">",
    "greater_eq": ">=",
}

_LITERALS = (pst.BoolLit, pst.LongLit, pst.StringLit)


class Guard(NamedTuple):
    """A comparison with constants that a policy's condition begins with, or goes on with after other guards.

    Where it is false, nothing behind it is evaluated. Whether it can err is for the schema to say.

    Args:
        path: what is compared.
        order: how; `in` where the constants are a set that contains the value.
        constants: with what; one, but for `in`.
    """

    path: Path
    order: Order
    constants: tuple[Constant, ...]


def guards(policy: pst.Template) -> tuple[Guard, ...]:
    """Return the comparisons that are evaluated before anything else of a policy's condition.

    `when { a && b && c }` begins with `a`, and goes on with `b` only where `a` is true; a further `when` goes
    on behind the last one. Anything but a comparison with constants ends it, as does an `unless`.
    """
    found: list[Guard] = []
    for clause in policy.clauses:
        if not isinstance(clause, pst.When):
            break
        for expr in _conjuncts(clause.expr):
            guard = _guard(expr)
            if guard is None:
                return tuple(found)
            found.append(guard)
    return tuple(found)


def _conjuncts(expr: pst.Expr) -> Iterator[pst.Expr]:
    """Yield what stands between the `&&`s of an expression, in the order of evaluation."""
    ahead = [expr]
    while ahead:
        here = ahead.pop()
        if isinstance(here, pst.BinaryOp) and here.op == "and":
            ahead += (here.right, here.left)
        else:
            yield here


def _guard(expr: pst.Expr) -> Guard | None:
    match expr:
        case pst.GetAttr():
            return _guarding(expr, "==", (pst.BoolLit(value=True),))
        case pst.UnaryOp("not", arg):
            return _guarding(arg, "==", (pst.BoolLit(value=False),))
        case pst.BinaryOp("contains", pst.Set(elements), right):
            return _guarding(right, "in", elements)
        case pst.BinaryOp(op, left, right) if op in _ORDERS:
            order = _ORDERS[op]
            if isinstance(left, _LITERALS):
                return _guarding(right, _FLIPPED.get(order, order), (left,))
            return _guarding(left, order, (right,))
        case _:
            return None


def _guarding(compared: pst.Expr, order: Order, constants: tuple[pst.Expr, ...]) -> Guard | None:
    path = _path(compared)
    values = tuple(one.value for one in constants if isinstance(one, _LITERALS))
    return None if path is None or len(values) < len(constants) else Guard(path, order, values)


def _path(expr: pst.Expr) -> Path | None:
    """Return the path that an expression reads, beneath the principal, the resource or the context."""
    steps: list[str] = []
    while isinstance(expr, pst.GetAttr):
        steps.append(expr.attr)
        expr = expr.base
    if not steps or not isinstance(expr, pst.Var) or expr.name not in {"principal", "resource", "context"}:
        return None
    return (expr.name, *reversed(steps))
