"""Policies changed in one place each, as somebody's slip of the pen would change them.

Operators: delete rule, flip effect, widen scope, narrow scope, drop clause, drop condition, swap comparison,
swap connective, shift bound, insert `!`, drop `!`, swap when and unless, swap branches, swap membership,
swap arithmetic, drop element, shorten pattern.

A mutant's id is its rule's id and its number among that rule's mutants, `refund-cap#4`: the same as long as
the rule is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cedarpy import pst

from remit.engine.compiled.extensions import parse_datetime, parse_decimal, parse_duration
from remit.engine.compiled.values import LONG_MAX, LONG_MIN
from remit.engine.evaluation.nodes import CONNECTIVES
from remit.engine.evaluation.shown import datetime_text, decimal_text, duration_text
from remit.engine.evaluation.source import expression_text, scope_text
from remit.engine.reads import operands_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SWAPS: Mapping[str, tuple[pst.BinaryOpName, ...]] = {
    "less": ("less_eq", "greater_eq"),
    "less_eq": ("less", "greater"),
    "greater": ("greater_eq", "less_eq"),
    "greater_eq": ("greater", "less"),
    "eq": ("not_eq",),
    "not_eq": ("eq",),
    "decimal_less_than": ("decimal_less_eq", "decimal_greater_eq"),
    "decimal_less_eq": ("decimal_less_than", "decimal_greater"),
    "decimal_greater": ("decimal_greater_eq", "decimal_less_eq"),
    "decimal_greater_eq": ("decimal_greater", "decimal_less_than"),
}
"""The neighbour of a comparison, and its opposite."""

_ARITHMETIC: Mapping[str, pst.BinaryOpName] = {"add": "sub", "sub": "add", "mul": "add"}
_MEMBERSHIP: Mapping[str, pst.BinaryOpName] = {"contains_all": "contains_any", "contains_any": "contains_all"}
_TURNED: Mapping[str, pst.BinaryOpName] = {"and": "or", "or": "and"}
_BOUNDS: Mapping[str, tuple[Callable[[str], int], Callable[[int], str]]] = {
    "decimal": (parse_decimal, decimal_text),
    "datetime": (parse_datetime, datetime_text),
    "duration": (parse_duration, duration_text),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed policy.

    Args:
        id: its rule's id and its number.
        rule: id of the rule that was changed.
        operator: what was done.
        before: Cedar source of what was changed.
        after: Cedar source of what it became; empty where it was taken away.
        policy: the changed policy; None where the rule was deleted.
    """

    id: str
    rule: str
    operator: str
    before: str
    after: str
    policy: pst.Template | None

    @property
    def text(self) -> str:
        """What was done, in one line for people."""
        if not self.after:
            return f"{self.operator}: `{self.before}`" if self.policy is not None else self.operator
        return f"{self.operator}: `{self.before}` became `{self.after}`"

    @property
    def promise(self) -> str:
        """What a case promises that notices the change, with the mutant's id."""
        if self.policy is None:
            what = "is needed"
        elif self.after:
            what = f"says `{self.before}` and not `{self.after}`"
        else:
            what = f"needs `{self.before}`"
        return f"{self.rule} {what} ({self.id})"


class _Edit(NamedTuple):
    """One change of a policy's part."""

    operator: str
    before: str
    after: str
    part: pst.Expr


def mutants_of(rule: str, policy: pst.Template) -> tuple[Mutant, ...]:
    """Return all mutants of one policy; of equal ones the first."""
    seen = {_meaning(policy)}
    found: list[Mutant] = []
    for number, (operator, before, after, changed) in enumerate(_changes(policy), 1):
        if changed is not None:
            if _meaning(changed) in seen:
                continue
            seen.add(_meaning(changed))
        mutant_id = f"{rule}#{number}"
        found.append(
            Mutant(id=mutant_id, rule=rule, operator=operator, before=before, after=after, policy=changed)
        )
    return tuple(found)


def _meaning(policy: pst.Template) -> tuple[object, ...]:
    return (policy.effect, policy.principal, policy.action, policy.resource, policy.clauses)


_SHOWN_WHOLE = ("shift bound", "drop element")
_Change = tuple[str, str, str, "pst.Template | None"]


def _changes(policy: pst.Template) -> Iterator[_Change]:
    yield "delete rule", policy.effect, "", None
    effect: pst.Effect = "permit" if policy.effect == "forbid" else "forbid"
    yield "flip effect", policy.effect, effect, replace(policy, effect=effect)
    yield from _scopes(policy)
    for number, clause in enumerate(policy.clauses):
        others = (policy.clauses[:number], policy.clauses[number + 1 :])
        word = "when" if isinstance(clause, pst.When) else "unless"
        text = f"{word} {{ {expression_text(clause.expr)} }}"
        yield "drop clause", text, "", replace(policy, clauses=(*others[0], *others[1]))
        turned = pst.Unless(clause.expr) if word == "when" else pst.When(clause.expr)
        other_word = "unless" if word == "when" else "when"
        changed = replace(policy, clauses=(*others[0], turned, *others[1]))
        yield "swap when and unless", word, other_word, changed
        for edit in _edits(clause.expr, boolean=True):
            part = pst.When(edit.part) if word == "when" else pst.Unless(edit.part)
            changed = replace(policy, clauses=(*others[0], part, *others[1]))
            yield edit.operator, edit.before, edit.after, changed


def _scopes(policy: pst.Template) -> Iterator[_Change]:
    for root in ("principal", "resource"):
        constraint = policy.principal if root == "principal" else policy.resource
        for wider in _wider(constraint):
            before, after = scope_text(root, constraint), scope_text(root, wider)
            changed = (
                replace(policy, principal=wider) if root == "principal" else replace(policy, resource=wider)
            )
            yield "widen scope", before, after, changed
    action = policy.action
    if isinstance(action, pst.ScopeAny):
        return
    text = scope_text("action", action)
    yield "widen scope", text, "action", replace(policy, action=pst.ScopeAny())
    if isinstance(action, pst.ActionIn) and len(action.entities) > 1:
        for number in range(len(action.entities)):
            fewer = pst.ActionIn(action.entities[:number] + action.entities[number + 1 :])
            yield "narrow scope", text, scope_text("action", fewer), replace(policy, action=fewer)


def _wider(
    constraint: pst.PrincipalOrResourceConstraint,
) -> Iterator[pst.PrincipalOrResourceConstraint]:
    match constraint:
        case pst.ScopeEq(pst.EntityUid(kind, _)):
            yield pst.ScopeIs(kind)
        case pst.ScopeIsIn(kind, _):
            yield pst.ScopeIs(kind)
        case pst.ScopeIs() | pst.ScopeIn():
            yield pst.ScopeAny()
        case _:
            pass


def _edits(expr: pst.Expr, *, boolean: bool, chained: str = "") -> Iterator[_Edit]:
    """Yield every change of one place in an expression, as the whole expression after it.

    Args:
        expr: the expression.
        boolean: whether a Bool stands here.
        chained: the connective that this is an operand of, and so has been taken apart already.
    """
    yield from _own(expr, boolean=boolean, chained=chained)
    for part, put, is_bool in _parts(expr, boolean=boolean):
        op = expr.op if isinstance(expr, pst.BinaryOp) and expr.op in CONNECTIVES else ""
        for edit in _edits(part, boolean=is_bool, chained=op):
            whole = put(edit.part)
            if edit.operator in _SHOWN_WHOLE and not op and not isinstance(expr, pst.IfThenElse):
                # A bound says little without what it bounds.
                yield _Edit(edit.operator, expression_text(expr), expression_text(whole), whole)
            else:
                yield edit._replace(part=whole)


_Part = tuple[pst.Expr, "Callable[[pst.Expr], pst.Expr]", bool]


def _parts(expr: pst.Expr, *, boolean: bool) -> Iterator[_Part]:
    """Yield the parts of an expression, how to put another in a part's place, and whether it is a Bool."""
    match expr:
        case pst.BinaryOp(op, left, right):
            joins = op in CONNECTIVES
            yield left, lambda part: replace(expr, left=part), joins
            yield right, lambda part: replace(expr, right=part), joins
        case pst.UnaryOp(op, arg):
            yield arg, lambda part: replace(expr, arg=part), op == "not"
        case pst.IfThenElse(test, then, other):
            yield test, lambda part: replace(expr, cond=part), True
            yield then, lambda part: replace(expr, then_expr=part), boolean
            yield other, lambda part: replace(expr, else_expr=part), boolean
        case pst.Like(base, _) | pst.Is(base, _, _):
            yield base, lambda part: replace(expr, base=part), False
        case pst.Set(elements):
            for number, element in enumerate(elements):
                yield element, partial(_with_element, expr, number), False
        case _:
            pass


def _with_element(expr: pst.Set, number: int, part: pst.Expr) -> pst.Set:
    return pst.Set((*expr.elements[:number], part, *expr.elements[number + 1 :]))


def _own(expr: pst.Expr, *, boolean: bool, chained: str) -> Iterator[_Edit]:
    """Yield the changes of an expression itself, not of its parts."""
    text = expression_text(expr)

    def edit(operator: str, part: pst.Expr) -> _Edit:
        return _Edit(operator, text, expression_text(part), part)

    match expr:
        case pst.BinaryOp("and" | "or" as op):
            if op != chained:
                yield from _dropped(expr, op)
            yield edit("swap connective", replace(expr, op=_TURNED[op]))
        case pst.BinaryOp(op) if op in _SWAPS:
            yield from (edit("swap comparison", replace(expr, op=other)) for other in _SWAPS[op])
        case pst.BinaryOp(op) if op in _ARITHMETIC:
            yield edit("swap arithmetic", replace(expr, op=_ARITHMETIC[op]))
        case pst.UnaryOp("not", arg):
            yield edit("drop !", arg)
        case pst.IfThenElse(_, then, other):
            yield edit("swap branches", replace(expr, then_expr=other, else_expr=then))
        case _:
            yield from (edit(operator, part) for operator, part in _of_leaf(expr))
            if boolean and not isinstance(expr, pst.BoolLit):
                yield edit("insert !", pst.UnaryOp("not", expr))


def _of_leaf(expr: pst.Expr) -> Iterator[tuple[str, pst.Expr]]:
    """Yield the changes of what joins no conditions."""
    match expr:
        case pst.BinaryOp(op) if op in _MEMBERSHIP:
            yield "swap membership", replace(expr, op=_MEMBERSHIP[op])
        case pst.LongLit(value):
            shifted = (value + step for step in (1, -1))
            yield from (("shift bound", pst.LongLit(one)) for one in shifted if LONG_MIN <= one <= LONG_MAX)
        case pst.BoolLit(value):
            yield "shift bound", pst.BoolLit(not value)
        case pst.UnaryOp(op, pst.StringLit(text)) if op in _BOUNDS:
            yield from (("shift bound", replace(expr, arg=pst.StringLit(one))) for one in _shifted(op, text))
        case pst.Set(elements) if len(elements) > 1:
            fewer = (elements[:number] + elements[number + 1 :] for number in range(len(elements)))
            yield from (("drop element", pst.Set(rest)) for rest in fewer)
        case pst.Like(_, pattern) if len(pattern) > 1:
            ends = ((pattern[0], pattern[1:]), (pattern[-1], pattern[:-1]))
            shorter = (rest for end, rest in ends if isinstance(end, pst.Wildcard))
            yield from (("shorten pattern", replace(expr, pattern=rest)) for rest in shorter)
        case pst.Is(_, _, in_expr) if in_expr is not None:
            yield "widen scope", replace(expr, in_expr=None)
        case _:
            pass


def _shifted(op: str, text: str) -> Iterator[str]:
    reads, writes = _BOUNDS[op]
    for step in (1, -1):
        try:
            shifted = writes(int(reads(text)) + step)
            reads(shifted)
        except (ValueError, OverflowError):
            continue
        yield shifted


def _dropped(expr: pst.BinaryOp, op: pst.BinaryOpName) -> Iterator[_Edit]:
    """Yield a chain of one connective without each of its operands in turn."""
    operands = [*operands_of(expr, op)]
    for number, operand in enumerate(operands):
        rest = operands[:number] + operands[number + 1 :]
        joined = rest[0]
        for part in rest[1:]:
            joined = pst.BinaryOp(op, joined, part)
        yield _Edit("drop condition", expression_text(operand), "", joined)
