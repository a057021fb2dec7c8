"""A policy's syntax tree as Python expressions.

Rules
1. Where the operands' types are known from the schema, plain Python operators; else the functions of
   `remit.engine.compiled.values`, which look at the types first.
2. An expression errs where Cedar's errs, whatever the error: nothing that Cedar evaluates has effects, so the
   order of operands does not matter, but what `&&`, `||` and `if` leave out does.
3. A member that is known to be there (`has` before it, in the same conjunction) is read without a test.
4. `(if a then b else c).d` is `if a then b.d else c.d`: what policies can read is calculated on members, so
   the records themselves may hold what was not checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cedarpy import pst

from remit.engine.compiled.code import (
    BOOL,
    FAILS,
    FAILS_AS_BOOL,
    FALSE,
    LONG,
    STRING,
    TRUE,
    Code,
    Constants,
    holds_attributes,
)
from remit.engine.compiled.operations import EXTENSION_CALLS
from remit.engine.compiled.operators import Operators
from remit.engine.compiled.patterns import pattern_parts
from remit.engine.compiled.slots import TABLE, Slots
from remit.engine.request import NAMESPACE
from remit.engine.schema import RecordType, SetType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.engine.reads import Path

ACTION_TYPE = f"{NAMESPACE}::Action"
_ROOTS = frozenset({"principal", "resource", "context"})
Facts = frozenset["Path"]


class Emitter(Operators):
    """Writes the conditions of one program.

    Tests derive from it to inject the bugs that the checks of `remit.engine.checked` must find.

    Args:
        slots: the variables.
        action: the action that is asked about.
        constants: gets the constants that the text names.

    Attributes:
        used: paths of the variables that were named since it was last emptied.
        acted: whether anything was written that depends on the action.
    """

    def __init__(self, slots: Slots, action: str, constants: Constants) -> None:
        super().__init__(constants)
        self._slots = slots
        self._action = action
        self.used: set[Path] = set()
        self.acted = False

    def clause(self, clause: pst.Clause, facts: Facts) -> Code:
        """Return the condition of a `when` or an `unless`."""
        code = self.condition(clause.expr, facts)
        return code if isinstance(clause, pst.When) else self.negation(code)

    def scope(self, constraint: pst.PrincipalOrResourceConstraint, root: str) -> Code | None:
        """Return what is left to test of a scope whose type and named id fit: membership in a hierarchy."""
        match constraint:
            case pst.ScopeIn(pst.EntityUid(kind, name)) | pst.ScopeIsIn(_, pst.EntityUid(kind, name)):
                return self.within(self._path((root,), frozenset()), self.entity(str(kind), name))
            case _:
                return None

    def condition(self, expr: pst.Expr, facts: Facts) -> Code:
        """Return an expression that is a Bool or errs."""
        code = self.expression(expr, facts)
        if code.type == BOOL:
            return code
        if code.type is not None:
            return FAILS_AS_BOOL
        return Code(text=f"truth({code.text})", type=BOOL, safe=False)

    def expression(self, expr: pst.Expr, facts: Facts) -> Code:  # noqa: C901, PLR0912  # one case for each node of the tree
        """Return the code of any expression.

        Args:
            expr: the syntax tree.
            facts: paths that are known to be there.
        """
        match expr:
            case pst.BoolLit(value):
                return TRUE if value else FALSE
            case pst.LongLit(value):
                text = f"({value})" if value < 0 else str(value)
                return Code(text=text, type=LONG, safe=True, constant=(value,))
            case pst.StringLit(value):
                return Code(text=repr(value), type=STRING, safe=True, constant=(value,))
            case pst.EntityLit(uid):
                return self.entity(str(uid.type), uid.id)
            case pst.Var("action"):
                self.acted = True
                return self.entity(ACTION_TYPE, self._action)
            case pst.Var() | pst.GetAttr():
                return self._attribute(expr, facts)
            case pst.HasAttr(base, attrs):
                return self._has(base, attrs, facts)
            case pst.UnaryOp(op, arg):
                return self._unary(op, arg, facts)
            case pst.BinaryOp(op, left, right):
                return self._binary(op, left, right, facts)
            case pst.IfThenElse(test, then, other):
                condition = self.condition(test, facts)
                return self.choice(
                    condition, self.expression(then, facts | condition.facts), self.expression(other, facts)
                )
            case pst.Like(base, pattern):
                return self.like(self.expression(base, facts), pattern_parts(pattern))
            case pst.Is(base, kind, in_expr):
                code = self.of_type(self.expression(base, facts), str(kind))
                if in_expr is None:
                    return code
                within = self.within(self.expression(base, facts), self.expression(in_expr, facts))
                return self.conjunction((code, within))
            case pst.Set(elements):
                return self.set_of([self.expression(element, facts) for element in elements])
            case pst.Record(fields):
                members = {name: self.expression(member, facts) for name, member in fields.items()}
                text = ", ".join(f"{name!r}: {self.lifted(code)}" for name, code in members.items())
                safe = all(code.safe for code in members.values())
                return Code(text=f"{{{text}}}", type=None, safe=safe)
            case pst.Slot():
                raise AssertionError("templates are refused when the image is loaded")

    def _attribute(self, expr: pst.Var | pst.GetAttr, facts: Facts) -> Code:
        path = _path(expr)
        if path:
            return self._path(path, facts)
        assert isinstance(expr, pst.GetAttr)
        match expr.base:
            case pst.IfThenElse(test, then, other):
                here = pst.IfThenElse(test, pst.GetAttr(then, expr.attr), pst.GetAttr(other, expr.attr))
                return self.expression(here, facts)
            case _:
                pass
        base = self.expression(expr.base, facts)
        if base.type is not None and not holds_attributes(base.type):
            return FAILS
        self.shared.add(TABLE)
        text = f"attribute({self.lifted(base)}, {expr.attr!r}, {TABLE}, LIFTS)"
        return Code(text=text, type=None, safe=False)

    def _path(self, path: Path, facts: Facts) -> Code:
        slot = self._slots.get(path)
        if slot is None:
            return FAILS
        self.used.add(path)
        raw = isinstance(slot.type, RecordType | SetType)
        if slot.optional and path not in facts:
            text = f"({slot.name} if {slot.name} is not M else fails())"
            return Code(text=text, type=slot.type, safe=False, raw=raw)
        return Code(
            text=slot.name, type=slot.type, safe=True, raw=raw, slot=slot.name, certain=not slot.optional
        )

    def _has(self, base: pst.Expr, names: Sequence[str], facts: Facts) -> Code:
        if len(names) > 1:
            parts: list[pst.Expr] = []
            for name in names:
                parts.append(pst.HasAttr(base, (name,)))
                base = pst.GetAttr(base, name)
            return self._conjunction(parts, facts)
        name = names[0]
        match base:
            case pst.IfThenElse(test, then, other):
                here = pst.IfThenElse(test, pst.HasAttr(then, (name,)), pst.HasAttr(other, (name,)))
                return self.expression(here, facts)
            case _:
                pass
        code = self.expression(base, facts)
        if code.type is not None and not holds_attributes(code.type):
            return FAILS_AS_BOOL
        path = _path(base)
        if path and code.type is not None:
            return self._has_path(code, (*path, name))
        self.shared.add(TABLE)
        text = f"has_attribute({self.lifted(code)}, {name!r}, {TABLE})"
        return Code(text=text, type=BOOL, safe=code.safe and code.type is not None)

    def _has_path(self, base: Code, path: Path) -> Code:
        slot = self._slots.get(path)
        if slot is None:
            # Not declared, so not there; the base may still err.
            return FALSE if base.safe else Code(text=f"({base.text} is M)", type=BOOL, safe=False)
        if not slot.optional:
            return TRUE
        self.used.add(path)
        there = f"{slot.name} is not M"
        facts = frozenset(path[:length] for length in range(2, len(path) + 1))
        text = f"({there})" if base.safe else f"({base.text} is not M and {there})"
        return Code(text=text, type=BOOL, safe=base.safe, facts=facts)

    def _conjunction(self, parts: Sequence[pst.Expr], facts: Facts) -> Code:
        codes: list[Code] = []
        for part in parts:
            code = self.condition(part, facts)
            facts |= code.facts
            codes += code.conjuncts or (code,)
        return self.conjunction(codes)

    def _unary(self, op: pst.UnaryOpName, arg: pst.Expr, facts: Facts) -> Code:
        if op == "not":
            return self.negation(self.condition(arg, facts))
        code = self.expression(arg, facts)
        if op == "neg":
            return self.negative(code)
        return self.is_empty(code) if op == "is_empty" else self.call(EXTENSION_CALLS[op], code)

    def _binary(self, op: pst.BinaryOpName, left: pst.Expr, right: pst.Expr, facts: Facts) -> Code:  # noqa: C901  # one case for each operator
        if op == "and":
            return self._conjunction((left, right), facts)
        if op == "or":
            parts = _alternatives(left) + _alternatives(right)
            return self.disjunction([self.condition(part, facts) for part in parts])
        one, other = self.expression(left, facts), self.expression(right, facts)
        match op:
            case "eq":
                return self.equality(one, other)
            case "not_eq":
                return self.negation(self.equality(one, other))
            case "less" | "less_eq" | "greater" | "greater_eq":
                return self.comparison(op, one, other)
            case "add" | "sub" | "mul":
                return self.arithmetic(op, one, other)
            case "in":
                return self.within(one, other)
            case "contains":
                return self.contains(one, other)
            case "contains_all" | "contains_any":
                return self.contains_many(op, one, other)
            case "has_tag":
                return self.has_tag(one, other)
            case "get_tag":
                # Requests carry no tags, so there is never one to get.
                return FAILS
            case _:
                return self.call(EXTENSION_CALLS[op], one, other)


def _path(expr: pst.Expr) -> Path:
    """Return the path that an expression is, or nothing."""
    names: list[str] = []
    while isinstance(expr, pst.GetAttr):
        names.append(expr.attr)
        expr = expr.base
    if isinstance(expr, pst.Var) and expr.name in _ROOTS:
        return (expr.name, *reversed(names))
    return ()


def _alternatives(expr: pst.Expr) -> tuple[pst.Expr, ...]:
    if isinstance(expr, pst.BinaryOp) and expr.op == "or":
        return _alternatives(expr.left) + _alternatives(expr.right)
    return (expr,)
