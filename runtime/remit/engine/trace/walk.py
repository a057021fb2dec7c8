"""Expressions evaluated part by part, with Cedar's semantics: the value of every part, or why it errs.

Rules
1. `&&`, `||` and `if` leave out what Cedar leaves out; what is left out is marked so.
2. An expression errs where Cedar's errs. The operations are those of `remit.engine.compiled.values` and
   `remit.engine.compiled.extensions`, so there is one meaning of each.
3. Errors have words here, for people; which policies err is what must agree with the reference engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeGuard, cast

from cedarpy import pst

from remit.engine.compiled import extensions, values
from remit.engine.compiled.chunks import FunctionMaker
from remit.engine.compiled.operations import CLASSES, EXTENSION_CALLS
from remit.engine.compiled.patterns import matcher, pattern_parts
from remit.engine.trace.shown import kind_text, value_text
from remit.engine.trace.source import expression_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.engine.compiled.values import Uid, Value
    from remit.engine.trace.intake import Asked
    from remit.engine.trace.nodes import Node

Status = Literal["value", "error", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one expression came to.

    Args:
        node: the expression.
        status: it has a value, it errs, or it was left out.
        value: its value, where it has one; see `remit.engine.compiled.values`.
        error: why it errs, one clause; empty where it does not.
        inner: what its parts came to, in the order of `node.inner`.
    """

    node: Node
    status: Status
    value: Value = None
    error: str = ""
    inner: tuple[Step, ...] = ()

    @property
    def truth(self) -> bool | None:
        """True or false; nothing where it errs, was left out, or is no Bool."""
        return self.value if type(self.value) is bool else None


class _ErrsError(Exception):
    """An expression errs; the text says why."""


class Evaluator:
    """Evaluates expressions on one request.

    Args:
        asked: the request.
    """

    __slots__ = ("_asked", "_roots")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._roots: Mapping[str, Value] = {
            "principal": asked.principal,
            "action": asked.action,
            "resource": asked.resource,
            "context": asked.context,
        }

    def condition(self, node: Node) -> Step:
        """Evaluate an expression that must be a Bool."""
        return _as_bool(self.step(node))

    def step(self, node: Node) -> Step:
        """Evaluate an expression of any type."""
        expr = node.expr
        if isinstance(expr, pst.BinaryOp) and expr.op in {"and", "or"}:
            return self._chain(node, ends=expr.op == "or")
        if isinstance(expr, pst.IfThenElse):
            return self._choice(node)
        if isinstance(expr, pst.Is) and expr.in_expr is not None:
            return self._is_in(node, str(expr.entity_type))
        if not node.inner:
            return self._guarded(node, (), lambda: self._leaf(expr))
        inner = tuple(self.step(part) for part in node.inner)
        for part in inner:
            if part.status == "error":
                return Step(node=node, status="error", error=part.error, inner=inner)
        operands = [part.value for part in inner]
        return self._guarded(node, inner, lambda: self._operation(expr, operands))

    def _guarded(self, node: Node, inner: tuple[Step, ...], work: Callable[[], Value]) -> Step:
        try:
            return Step(node=node, status="value", value=work(), inner=inner)
        except _ErrsError as error:
            return Step(node=node, status="error", error=str(error), inner=inner)

    def _chain(self, node: Node, *, ends: bool) -> Step:
        """Evaluate `&&` or `||`; an operand that is `ends` ends it."""
        inner: list[Step] = []
        over = False
        for part in node.inner:
            if over:
                inner.append(skipped(part))
                continue
            found = self.condition(part)
            inner.append(found)
            if found.status == "error":
                rest = (skipped(other) for other in node.inner[len(inner) :])
                return Step(node=node, status="error", error=found.error, inner=(*inner, *rest))
            over = found.value is ends
        return Step(node=node, status="value", value=over is ends, inner=tuple(inner))

    def _choice(self, node: Node) -> Step:
        test, then, other = node.inner
        found = self.condition(test)
        if found.status == "error":
            inner = (found, skipped(then), skipped(other))
            return Step(node=node, status="error", error=found.error, inner=inner)
        taken = self.step(then if found.value is True else other)
        inner = (found, taken, skipped(other)) if found.value is True else (found, skipped(then), taken)
        return Step(node=node, status=taken.status, value=taken.value, error=taken.error, inner=inner)

    def _is_in(self, node: Node, kind: str) -> Step:
        """Evaluate `x is T in y`, which is `x is T && x in y`."""
        base, within = node.inner
        found = self.step(base)
        if found.status == "error" or not _is_entity(found.value):
            why = (
                found.error
                or f"{value_text(found.value)} is {kind_text(found.value)}, and an entity is needed"
            )
            return Step(node=node, status="error", error=why, inner=(found, skipped(within)))
        uid = found.value
        if uid[0] != kind:
            return Step(node=node, status="value", value=False, inner=(found, skipped(within)))
        above = self.step(within)
        if above.status == "error":
            return Step(node=node, status="error", error=above.error, inner=(found, above))
        return self._guarded(node, (found, above), lambda: self._within(uid, above.value))

    def _leaf(self, expr: pst.Expr) -> Value:
        match expr:
            case pst.Var() | pst.GetAttr():
                return self._path(expr)
            case pst.HasAttr(base, names):
                return self._has(self._path(base), base, names)
            case _:
                return _constant(expr)

    def _path(self, expr: pst.Expr) -> Value:
        if isinstance(expr, pst.GetAttr):
            return self._attribute(self._path(expr.base), expr.base, expr.attr)
        assert isinstance(expr, pst.Var)
        return self._roots[expr.name]

    def _attribute(self, base: Value, expr: pst.Expr, name: str) -> Value:
        """Return an attribute of a value that `expr` came to."""
        asked = self._asked
        try:
            return values.attribute(base, name, asked.table, asked.lifts)
        except values.PolicyErrs:
            pass
        _holding(base, expr)
        if _is_entity(base) and base not in asked.table:
            raise _ErrsError(f"the entity {value_text(base)} was not given")
        raise _ErrsError(f"`{expression_text(pst.GetAttr(expr, name))}` is not there")

    def _has(self, base: Value, expr: pst.Expr, names: tuple[str, ...]) -> bool:
        for name in names[:-1]:
            if not values.has_attribute(_holding(base, expr), name, self._asked.table):
                return False
            base, expr = self._attribute(base, expr, name), pst.GetAttr(expr, name)
        return values.has_attribute(_holding(base, expr), names[-1], self._asked.table)

    def _operation(self, expr: pst.Expr, operands: list[Value]) -> Value:
        match expr:
            case pst.UnaryOp(op):
                return self._unary(op, expr, operands[0])
            case pst.BinaryOp(op):
                return self._binary(op, operands[0], operands[1])
            case pst.GetAttr(base, attr):
                return self._attribute(operands[0], base, attr)
            case pst.HasAttr(base, names):
                return self._has(operands[0], base, names)
            case pst.Like(_, pattern):
                return _matches(pattern)(_of_kind(operands[0], str))
            case pst.Is(_, kind):
                return values.is_of_type(_of_kind(operands[0], tuple), str(kind))
            case pst.Set():
                return frozenset(values.key(operand) for operand in operands)
            case pst.Record(fields):
                return dict(zip(fields, operands, strict=True))
            case _:
                raise AssertionError(f"an expression without a meaning: {expr}")

    def _unary(self, op: pst.UnaryOpName, expr: pst.UnaryOp, operand: Value) -> Value:
        if op == "not":
            return not _of_kind(operand, bool)
        if op == "neg":
            return _in_range(values.negated, _of_kind(operand, int))
        if op == "is_empty":
            return values.is_empty(_of_kind(operand, frozenset))
        return _called(op, (operand,), expression_text(expr))

    def _binary(self, op: pst.BinaryOpName, left: Value, right: Value) -> Value:
        match op:
            case "eq":
                return values.equal(left, right)
            case "not_eq":
                return not values.equal(left, right)
            case "less" | "less_eq" | "greater" | "greater_eq":
                return _compared(op, left, right)
            case "add" | "sub" | "mul":
                return _in_range(_ARITHMETIC[op], _of_kind(left, int), _of_kind(right, int))
            case "in":
                return self._within(left, right)
            case "contains":
                return values.contains(_of_kind(left, frozenset), right)
            case "contains_all" | "contains_any":
                contains = values.contains_all if op == "contains_all" else values.contains_any
                return contains(_of_kind(left, frozenset), _of_kind(right, frozenset))
            case "has_tag":
                return values.has_tag(_of_kind(left, tuple), _of_kind(right, str))
            case "get_tag":
                raise _ErrsError(f"the entity {value_text(_of_kind(left, tuple))} has no tags")
            case _:
                return _called(op, (left, right), "")

    def _within(self, left: Value, right: Value) -> bool:
        entity = _of_kind(left, tuple)
        if type(right) is frozenset:
            for element in cast("frozenset[object]", right):
                _of_kind(values.unkeyed(element), tuple)
            return values.is_within(entity, cast("Value", right), self._asked.above)
        return values.is_within(entity, _of_kind(right, tuple), self._asked.above)


def skipped(node: Node) -> Step:
    """Return the step of an expression that was left out."""
    return Step(node=node, status="skipped")


def failed(step: Step, why: str) -> Step:
    """Return a step that errs after all, for what its value is."""
    return Step(node=step.node, status="error", error=why, inner=step.inner)


def _as_bool(step: Step) -> Step:
    if step.status == "value" and type(step.value) is not bool:
        return failed(step, f"`{step.node.text}` is {kind_text(step.value)}, and a Bool is needed")
    return step


def scope_holds(
    constraint: pst.PrincipalOrResourceConstraint | pst.ActionConstraint, uid: Uid, asked: Asked
) -> bool:
    """Return whether a constraint of a scope admits an entity; a scope cannot err."""
    match constraint:
        case pst.ScopeEq(pst.EntityUid() as wanted) | pst.ActionEq(wanted):
            return uid == _uid(wanted)
        case pst.ScopeIn(pst.EntityUid() as wanted):
            return values.is_within(uid, _uid(wanted), asked.above)
        case pst.ScopeIs(kind):
            return uid[0] == str(kind)
        case pst.ScopeIsIn(kind, pst.EntityUid() as wanted):
            return uid[0] == str(kind) and values.is_within(uid, _uid(wanted), asked.above)
        case pst.ActionIn(all_wanted):
            return values.is_within(uid, frozenset(_uid(wanted) for wanted in all_wanted), asked.above)
        case _:
            return True


def _uid(uid: pst.EntityUid) -> Uid:
    return (str(uid.type), uid.id)


_ARITHMETIC: Mapping[str, Callable[[Value, Value], int]] = {
    "add": values.added,
    "sub": values.subtracted,
    "mul": values.multiplied,
}
_ORDERS: Mapping[str, Callable[[Value, Value], bool]] = {
    "less": values.less,
    "less_eq": values.less_eq,
    "greater": values.greater,
    "greater_eq": values.greater_eq,
}
_WORDS: Mapping[type, str] = {
    bool: "a Bool",
    int: "a Long",
    str: "a String",
    tuple: "an entity",
    frozenset: "a set",
}


def _is_entity(value: Value) -> TypeGuard[Uid]:
    return type(value) is tuple


def _holding(value: Value, expr: pst.Expr) -> Value:
    """Return what `expr` came to if it is something that can have attributes."""
    if type(value) not in {tuple, dict}:
        raise _ErrsError(f"`{expression_text(expr)}` is {kind_text(value)}, which has no attributes")
    return value


def _of_kind(value: Value, kind: type) -> Value:
    if type(value) is not kind:
        raise _ErrsError(f"{value_text(value)} is {kind_text(value)}, and {_WORDS[kind]} is needed")
    return value


def _in_range(operation: Callable[..., int], *operands: Value) -> int:
    try:
        return operation(*operands)
    except values.PolicyErrs:
        shown = " and ".join(value_text(operand) for operand in operands)
        raise _ErrsError(f"arithmetic on {shown} leaves the range of a Long") from None


def _compared(op: str, left: Value, right: Value) -> bool:
    try:
        return _ORDERS[op](left, right)
    except values.PolicyErrs:
        why = f"{value_text(left)} and {value_text(right)} cannot be compared"
        raise _ErrsError(f"{why}: {kind_text(left)} and {kind_text(right)}") from None


@cache
def _call(name: str) -> Callable[..., Value]:
    """Return an extension function, made of the one text that compiled policies use."""
    call = EXTENSION_CALLS[name]
    names = ("a", "b")[: len(call.parameters)]
    source = f"def call({', '.join(names)}):\n    return {call.text.format(*names)}\n"
    return FunctionMaker().make(source, {})


_CLASSES: Mapping[str, type] = {
    "String": str,
    **{name: getattr(extensions, class_name) for name, class_name in CLASSES.items()},
}


def _called(name: str, operands: tuple[Value, ...], text: str) -> Value:
    for operand, declared in zip(operands, EXTENSION_CALLS[name].parameters, strict=True):
        if type(operand) is not _CLASSES[declared.name]:
            wanted = declared.name if declared.name != "ipaddr" else "IP address"
            raise _ErrsError(
                f"{value_text(operand)} is {kind_text(operand)}, and a value of type {wanted} is needed"
            )
    try:
        return _call(name)(*operands)
    except ValueError as error:
        shown = text or ", ".join(value_text(operand) for operand in operands)
        raise _ErrsError(f"`{shown}`: {error}") from None


def _constant(expr: pst.Expr) -> Value:
    """Return the value of what is written out."""
    match expr:
        case pst.BoolLit(value) | pst.LongLit(value) | pst.StringLit(value):
            return value
        case pst.EntityLit(uid):
            return _uid(uid)
        case pst.UnaryOp(op, pst.StringLit(text)):
            return _called(op, (text,), expression_text(expr))
        case pst.Set(elements):
            return frozenset(values.key(_constant(element)) for element in elements)
        case pst.Record(fields):
            return {name: _constant(member) for name, member in fields.items()}
        case _:
            raise AssertionError(f"not written out: {expr}")


@cache
def _matches(pattern: tuple[pst.PatternElem, ...]) -> Callable[[Value], bool]:
    parts = pattern_parts(pattern)
    if len(parts) == 1:
        return lambda text: text == parts[0]
    return cast("Callable[[Value], bool]", matcher(parts))
