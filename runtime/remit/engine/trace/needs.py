"""What would have to be otherwise for a policy to apply, or not to: conditions, not yet values.

Rules
1. A need is one condition that people read as one: a comparison, a `has`, a membership. What joins conditions
   (`&&`, `||`, `!`, `if`) is followed.
2. What is left out by `&&`, `||` or `if` is evaluated all the same, for it may be what is missing next.
3. Each alternative suffices by itself, as far as one condition does not change another; fewest needs first.
4. What no request can change (a literal, the action) is never a need: an alternative that has one is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, product
from typing import TYPE_CHECKING

from cedarpy import pst

from remit.engine.reads import inner_expressions
from remit.engine.trace.source import expression_text
from remit.engine.trace.walk import Evaluator, Step, scope_holds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from remit.engine.trace.intake import Asked
    from remit.engine.trace.nodes import Node
    from remit.engine.trace.tracer import TracedPolicy

MAX_ALTERNATIVES = 8
"""Kept at each level; the fewest needs come first, so what is cut is the least apt."""

_OPPOSITE: Mapping[str, pst.BinaryOpName] = {
    "less": "greater_eq",
    "less_eq": "greater",
    "greater": "less_eq",
    "greater_eq": "less",
    "eq": "not_eq",
    "not_eq": "eq",
    "decimal_less_than": "decimal_greater_eq",
    "decimal_less_eq": "decimal_greater",
    "decimal_greater": "decimal_less_eq",
    "decimal_greater_eq": "decimal_less_than",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One condition that would have to be otherwise.

    Args:
        step: the condition as it was evaluated.
        wanted: what it would have to be.
    """

    step: Step
    wanted: bool

    @property
    def text(self) -> str:
        """The Cedar source of what would have to be true."""
        return wanted_text(self.step.node.expr, truth=self.wanted)


Alternative = tuple[Need, ...]


def needs(policy: TracedPolicy, asked: Asked, *, applies: bool) -> tuple[Alternative, ...]:
    """Return what would make a policy apply, or not apply, without an error; fewest needs first.

    Args:
        policy: whose scope matches the request; nothing is returned where it does not.
        asked: the request.
        applies: what is wanted.

    Returns:
        Alternatives; an empty one where it is so already; none where no request of this scope could do it.
    """
    uids = {"principal": asked.principal, "action": asked.action, "resource": asked.resource}
    scope = policy.policy
    constraints = ((scope.principal, "principal"), (scope.action, "action"), (scope.resource, "resource"))
    if not all(scope_holds(constraint, uids[root], asked) for constraint, root in constraints):
        return ()
    search = _Search(Evaluator(asked))
    parts = [(node, not unless) for unless, node in policy.clauses]
    return search.all_of(parts) if applies else search.any_not(parts)


class _Search:
    """Follows expressions on one request."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def of(self, node: Node, *, truth: bool) -> tuple[Alternative, ...]:
        """Return what would make an expression true, or false."""
        match node.expr:
            case pst.BinaryOp("and" | "or" as op):
                # All operands are wanted so, or one is wanted otherwise than what lets the chain go on.
                neutral = op == "and"
                parts = [(inner, neutral) for inner in node.inner]
                return self.all_of(parts) if truth is neutral else self.any_not(parts)
            case pst.UnaryOp("not"):
                return self.of(node.inner[0], truth=not truth)
            case pst.IfThenElse():
                test, then, other = node.inner
                return _fewest(
                    chain(
                        _joined((self.of(test, truth=True), self.of(then, truth=truth))),
                        _joined((self.of(test, truth=False), self.of(other, truth=truth))),
                    )
                )
            case _:
                step = self._evaluator.condition(node)
                if step.truth is truth:
                    return ((),)
                return ((Need(step=step, wanted=truth),),) if _changeable(node.expr) else ()

    def all_of(self, parts: Sequence[tuple[Node, bool]]) -> tuple[Alternative, ...]:
        """Return what would make every part as wanted."""
        return _fewest(_joined([self.of(node, truth=truth) for node, truth in parts]))

    def any_not(self, parts: Sequence[tuple[Node, bool]]) -> tuple[Alternative, ...]:
        """Return what would make one part the opposite, with nothing before it erring."""
        found: list[Alternative] = []
        before: list[tuple[Alternative, ...]] = []
        for node, truth in parts:
            found += _joined([*before, self.of(node, truth=not truth)])
            if self._evaluator.condition(node).status == "error":
                before.append(self.of(node, truth=truth))
        return _fewest(found)


def _joined(parts: Sequence[tuple[Alternative, ...]]) -> Iterator[Alternative]:
    for chosen in product(*(part[:MAX_ALTERNATIVES] for part in parts)):
        yield tuple(chain.from_iterable(chosen))


def _fewest(found: Iterable[Alternative]) -> tuple[Alternative, ...]:
    first = [alternative for alternative, _ in zip(found, range(MAX_ALTERNATIVES**2), strict=False)]
    return tuple(sorted(first, key=len)[:MAX_ALTERNATIVES])


def _changeable(expr: pst.Expr) -> bool:
    """Return whether an expression reads anything of a request but its action."""
    if isinstance(expr, pst.Var):
        return expr.name != "action"
    return any(_changeable(inner) for inner in inner_expressions(expr))


def wanted_text(expr: pst.Expr, *, truth: bool) -> str:
    """Return the Cedar source of a condition, or of its opposite as people would write it."""
    if truth:
        return expression_text(expr)
    match expr:
        case pst.BinaryOp(op, left, right) if op in _OPPOSITE:
            return expression_text(pst.BinaryOp(_OPPOSITE[op], left, right))
        case pst.UnaryOp("not", arg):
            return expression_text(arg)
        case _:
            return expression_text(pst.UnaryOp("not", expr))
