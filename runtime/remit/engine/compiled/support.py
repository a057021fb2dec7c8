"""What the compiler takes, and why not the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cedarpy
from cedarpy import pst

from remit.engine.reads import inner_expressions, operands_of
from remit.engine.schema import RecordType, SetType, Type
from remit.engine.statements import check_nesting
from remit.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.engine.schema import SchemaTypes

MAX_DEPTH = 40
"""Levels of an expression; Python's own parser ends at a few hundred brackets."""

MAX_SETS = 12
"""Sets within sets of a type; Python ends at 20 nested loops."""

MAX_RECORDS = 48
"""Levels of a type; Python ends at 100 levels of indentation."""

_RESERVED = frozenset({"__entity", "__extn", "__expr"})


class Unsupported(PolicyError):  # noqa: N818  # not a mistake of anybody's: another engine decides
    """The image is decided by the reference engine alone; lists every reason."""


def unsupported_depth(policy: pst.Template, *, max_depth: int = MAX_DEPTH) -> str:
    """Return why a policy is not compiled; empty where it is."""
    levels = max((_depth(clause.expr) for clause in policy.clauses), default=0)
    return f"nests {levels} levels deep, and at most {max_depth} are compiled" if levels > max_depth else ""


def supported_policies(text: str, *, max_depth: int = MAX_DEPTH) -> dict[str, pst.Template]:
    """Return the syntax trees of an image's policies by `@id`, in image order.

    Args:
        text: the image's policies.
        max_depth: levels of an expression that are taken.

    Raises:
        Unsupported: a policy cannot be compiled.
        PolicyError: a policy nests so deeply that not even the reference engine takes it.
    """
    check_nesting(text)
    try:
        policies = cedarpy.PolicySet.from_str(text).to_pst()
    except ValueError as error:
        raise Unsupported(Fault(message=f"the policies have no syntax tree: {error}")) from error
    faults = [Fault(message=f"policy `{name}` is a template") for name in policies.templates]
    found: dict[str, pst.Template] = {}
    for position, policy in policies.static_policies.items():
        rule = policy.annotations.get("id")
        if not rule:
            faults.append(Fault(message=f"policy `{position}` has no `@id`"))
        elif rule in found:
            faults.append(Fault(message=f"the policy id `{rule}` is used twice"))
        else:
            found[rule] = policy
            why = unsupported_depth(policy, max_depth=max_depth)
            if why:
                faults.append(Fault(message=f"policy `{rule}` {why}"))
    if faults:
        raise Unsupported(*faults)
    return found


def check_types(types: SchemaTypes) -> None:
    """Refuse a schema whose values the compiler would read otherwise than Cedar.

    Raises:
        Unsupported: lists every such type.
    """
    faults: list[Fault] = []
    declared: dict[str, Type] = {f"entity type `{name}`": shape for name, shape in types.entities.items()}
    declared |= {f"the context of action `{name}`": action.context for name, action in types.actions.items()}
    for what, kind in declared.items():
        reserved = sorted(_RESERVED.intersection(_member_names(kind)))
        if reserved:
            faults.append(Fault(message=f"{what} has a member `{reserved[0]}`, which Cedar's JSON reserves"))
        if _sets(kind) > MAX_SETS:
            faults.append(Fault(message=f"{what} holds sets within sets beyond {MAX_SETS} levels"))
        if _records(kind) > MAX_RECORDS:
            faults.append(Fault(message=f"{what} is deeper than {MAX_RECORDS} levels"))
    if faults:
        raise Unsupported(*faults)


def _depth(expr: pst.Expr) -> int:
    """Return the levels of an expression; a chain of one operator is one level."""
    deepest = 0
    ahead = [(expr, 1)]
    while ahead:
        here, level = ahead.pop()
        deepest = max(deepest, level)
        if isinstance(here, pst.BinaryOp) and here.op in {"and", "or"}:
            inside = operands_of(here, here.op)
        else:
            inside = inner_expressions(here)
        ahead += [(inner, level + 1) for inner in inside]
    return deepest


def _member_names(kind: Type) -> Iterator[str]:
    match kind:
        case RecordType(attributes):
            for name, member in attributes.items():
                yield name
                yield from _member_names(member.type)
        case SetType(element):
            yield from _member_names(element)
        case _:
            pass


def _sets(kind: Type) -> int:
    match kind:
        case RecordType(attributes):
            return max((_sets(member.type) for member in attributes.values()), default=0)
        case SetType(element):
            return 1 + _sets(element)
        case _:
            return 0


def _records(kind: Type) -> int:
    match kind:
        case RecordType(attributes):
            return 1 + max((_records(member.type) for member in attributes.values()), default=0)
        case SetType(element):
            return 1 + _records(element)
        case _:
            return 0
