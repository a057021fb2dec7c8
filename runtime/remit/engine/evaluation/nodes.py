"""The parts of a policy that are walked, made once: text, place and inner parts of every expression.

A *node* is an expression with its text; what a person would read as one condition is one node.
A chain of one connective (`a && b && c`) is one node with all operands: grouping changes neither its value
nor whether it errs.
A path (`context.input.amount`) and a test for one (`context has note`) are nodes without inner ones.

A *place* is the number of the clause, from 0, and the numbers of the inner parts: `0`, `0.1`, `0.1.0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cedarpy import pst

from remit.engine.evaluation.source import expression_text
from remit.engine.reads import inner_expressions, operands_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIVES = ("and", "or")
_CONSTRUCTORS = ("datetime", "decimal", "duration", "ip")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """One expression of a policy.

    Args:
        expr: its syntax tree.
        text: its Cedar source.
        place: where it stands in its policy.
        inner: the expressions that it is made of, in the order in which they are evaluated.
    """

    expr: pst.Expr
    text: str
    place: str
    inner: tuple[Node, ...] = ()

    @property
    def connective(self) -> str:
        """`and`, `or`, or nothing."""
        is_chain = isinstance(self.expr, pst.BinaryOp) and self.expr.op in CONNECTIVES
        return self.expr.op if is_chain and isinstance(self.expr, pst.BinaryOp) else ""


def node_of(expr: pst.Expr, place: str) -> Node:
    """Return an expression as a node."""
    inner = tuple(node_of(part, f"{place}.{number}") for number, part in enumerate(_parts(expr)))
    return Node(expr=expr, text=expression_text(expr), place=place, inner=inner)


def within(node: Node) -> Iterator[Node]:
    """Yield a node and all that is in it, outermost first."""
    yield node
    for inner in node.inner:
        yield from within(inner)


def is_path(expr: pst.Expr) -> bool:
    """Return whether an expression is a variable or an attribute of one, however deep."""
    while isinstance(expr, pst.GetAttr):
        expr = expr.base
    return isinstance(expr, pst.Var)


def is_literal(expr: pst.Expr) -> bool:
    """Return whether an expression is written out: a literal, or an extension value made of one."""
    match expr:
        case pst.BoolLit() | pst.LongLit() | pst.StringLit() | pst.EntityLit():
            return True
        case pst.UnaryOp(op, pst.StringLit()):
            return op in _CONSTRUCTORS
        case pst.Set(elements):
            return all(is_literal(element) for element in elements)
        case _:
            return False


def _parts(expr: pst.Expr) -> Iterator[pst.Expr]:
    match expr:
        case pst.BinaryOp("and" | "or" as op):
            yield from operands_of(expr, op)
        case pst.GetAttr(base) | pst.HasAttr(base, _) if is_path(base):
            pass
        case _:
            if not is_literal(expr):
                yield from inner_expressions(expr)
