"""Cedar source text of syntax trees: what people read of a policy's parts.

INVARIANT (round trip): the text of an expression parses to the same tree; brackets stand where Cedar's
grammar needs them and nowhere else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cedarpy import pst

if TYPE_CHECKING:
    from collections.abc import Mapping

_IF, _OR, _AND, _RELATION, _ADD, _MULTIPLY, _UNARY, _MEMBER = range(8)
"""Levels of Cedar's grammar, loosest first."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SIGNS: Mapping[str, tuple[str, int]] = {
    "or": ("||", _OR),
    "and": ("&&", _AND),
    "eq": ("==", _RELATION),
    "not_eq": ("!=", _RELATION),
    "less": ("<", _RELATION),
    "less_eq": ("<=", _RELATION),
    "greater": (">", _RELATION),
    "greater_eq": (">=", _RELATION),
    "in": ("in", _RELATION),
    "add": ("+", _ADD),
    "sub": ("-", _ADD),
    "mul": ("*", _MULTIPLY),
}
_FUNCTIONS = frozenset({"datetime", "decimal", "duration", "ip"})
_METHODS: Mapping[str, str] = {
    "is_empty": "isEmpty",
    "is_ipv4": "isIpv4",
    "is_ipv6": "isIpv6",
    "is_loopback": "isLoopback",
    "is_multicast": "isMulticast",
    "to_date": "toDate",
    "to_time": "toTime",
    "to_milliseconds": "toMilliseconds",
    "to_seconds": "toSeconds",
    "to_minutes": "toMinutes",
    "to_hours": "toHours",
    "to_days": "toDays",
    "contains": "contains",
    "contains_all": "containsAll",
    "contains_any": "containsAny",
    "get_tag": "getTag",
    "has_tag": "hasTag",
    "is_in_range": "isInRange",
    "offset": "offset",
    "duration_since": "durationSince",
    "decimal_less_than": "lessThan",
    "decimal_less_eq": "lessThanOrEqual",
    "decimal_greater": "greaterThan",
    "decimal_greater_eq": "greaterThanOrEqual",
}


def expression_text(expr: pst.Expr) -> str:
    """Return the Cedar source of an expression."""
    return _write(expr)[0]


def scope_text(root: str, constraint: pst.PrincipalOrResourceConstraint | pst.ActionConstraint) -> str:
    """Return the Cedar source of one constraint of a scope.

    Args:
        root: `principal`, `action` or `resource`.
        constraint: what stands there.
    """
    match constraint:
        case pst.ScopeEq(pst.EntityUid() as uid) | pst.ActionEq(uid):
            return f"{root} == {uid_text(uid)}"
        case pst.ScopeIn(pst.EntityUid() as uid):
            return f"{root} in {uid_text(uid)}"
        case pst.ScopeIs(kind):
            return f"{root} is {kind}"
        case pst.ScopeIsIn(kind, pst.EntityUid() as uid):
            return f"{root} is {kind} in {uid_text(uid)}"
        case pst.ActionIn((uid,)):
            return f"{root} in {uid_text(uid)}"
        case pst.ActionIn(uids):
            return f"{root} in [{', '.join(uid_text(uid) for uid in uids)}]"
        case _:
            return root


def policy_text(policy: pst.Template) -> str:
    """Return the Cedar source of a whole policy, annotations included."""
    notes = "".join(f"@{name}({string_text(value)})\n" for name, value in policy.annotations.items())
    scope = ", ".join(
        scope_text(root, constraint)
        for root, constraint in (
            ("principal", policy.principal),
            ("action", policy.action),
            ("resource", policy.resource),
        )
    )
    clauses = "".join(
        f"\n{'when' if isinstance(clause, pst.When) else 'unless'} {{ {expression_text(clause.expr)} }}"
        for clause in policy.clauses
    )
    return f"{notes}{policy.effect} ({scope}){clauses};"


def uid_text(uid: pst.EntityUid) -> str:
    """Return the Cedar source of an entity."""
    return f"{uid.type}::{string_text(uid.id)}"


def string_text(text: str) -> str:
    """Return a Cedar string literal."""
    return f'"{_escaped(text)}"'


def member_text(base: str, name: str) -> str:
    """Return the Cedar source of an attribute of what `base` is the source of."""
    return f"{base}.{name}" if _plain(name) else f"{base}[{string_text(name)}]"


def record_text(members: Mapping[str, str]) -> str:
    """Return the Cedar source of a record whose members' sources are given."""
    parts = (f"{name if _plain(name) else string_text(name)}: {text}" for name, text in members.items())
    return f"{{{', '.join(parts)}}}"


def _plain(name: str) -> bool:
    return _IDENTIFIER.fullmatch(name) is not None and name not in _RESERVED


def _escaped(text: str) -> str:
    escaped = "".join(_ESCAPES.get(character, character) for character in text)
    return _UNPRINTABLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", escaped)


def _at(expr: pst.Expr, level: int) -> str:
    """Return the source of an operand, in brackets where its own level is looser than `level`."""
    text, own = _write(expr)
    return text if own >= level else f"({text})"


def _write(expr: pst.Expr) -> tuple[str, int]:  # noqa: C901, PLR0912  # one case for each node of the tree
    match expr:
        case pst.BoolLit(value):
            return ("true" if value else "false"), _MEMBER
        case pst.LongLit(value):
            return str(value), _MEMBER if value >= 0 else _UNARY
        case pst.StringLit(value):
            return string_text(value), _MEMBER
        case pst.EntityLit(uid):
            return uid_text(uid), _MEMBER
        case pst.Var(name):
            return name, _MEMBER
        case pst.Slot(name):
            return f"?{name}", _MEMBER
        case pst.GetAttr(base, attr):
            return member_text(_at(base, _MEMBER), attr), _MEMBER
        case pst.HasAttr(base, attrs):
            names = ".".join(attrs) if all(map(_plain, attrs)) else string_text(attrs[0])
            return f"{_at(base, _ADD)} has {names}", _RELATION
        case pst.UnaryOp(op, arg):
            return _unary(op, arg)
        case pst.BinaryOp(op, left, right):
            return _binary(op, left, right)
        case pst.IfThenElse(test, then, other):
            return f"if {_at(test, _IF)} then {_at(then, _IF)} else {_at(other, _IF)}", _IF
        case pst.Like(base, pattern):
            return f'{_at(base, _ADD)} like "{_pattern(pattern)}"', _RELATION
        case pst.Is(base, kind, in_expr):
            within = "" if in_expr is None else f" in {_at(in_expr, _ADD)}"
            return f"{_at(base, _ADD)} is {kind}{within}", _RELATION
        case pst.Set(elements):
            return f"[{', '.join(expression_text(element) for element in elements)}]", _MEMBER
        case pst.Record(fields):
            return record_text({name: expression_text(member) for name, member in fields.items()}), _MEMBER


def _unary(op: str, arg: pst.Expr) -> tuple[str, int]:
    if op == "not":
        return f"!{_at(arg, _MEMBER)}", _UNARY
    if op == "neg":
        # `-5` is a literal of its own, and -(5) an operation.
        text = _at(arg, _MEMBER)
        return (f"-({text})" if isinstance(arg, pst.LongLit) and arg.value >= 0 else f"-{text}"), _UNARY
    if op in _FUNCTIONS:
        return f"{op}({expression_text(arg)})", _MEMBER
    return f"{_at(arg, _MEMBER)}.{_METHODS[op]}()", _MEMBER


def _binary(op: str, left: pst.Expr, right: pst.Expr) -> tuple[str, int]:
    if op in _SIGNS:
        sign, level = _SIGNS[op]
        # Relations do not chain; the rest groups to the left.
        first = level + 1 if level == _RELATION else level
        return f"{_at(left, first)} {sign} {_at(right, level + 1)}", level
    return f"{_at(left, _MEMBER)}.{_METHODS[op]}({expression_text(right)})", _MEMBER


def _pattern(pattern: tuple[pst.PatternElem, ...]) -> str:
    pieces = (
        "*"
        if isinstance(element, pst.Wildcard)
        else "\\*"
        if element.value == "*"
        else _escaped(element.value)
        for element in pattern
    )
    return "".join(pieces)
