"""What the policies of an image can read, action by action.

A *path* is a tuple that starts with `principal`, `resource` or `context`: `("context", "input", "amount")`.

Rules
1. A path to a plain value or a record reads that value and everything beneath it.
2. A path to an entity (`principal`, `resource`, `context.caller`) reads which entity it is.
   Its attributes have paths of their own (`("context", "caller", "kind")`);
   `"*"` as the last step reads all of them.
3. `has` reads: what a policy can test for being there, it can read.
4. Comparing or passing on a record reads all of it. Where the syntax tree leaves a doubt, everything is read.
5. No path is listed that a shorter path of rule 1 already covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, cast, get_args

import cedarpy
from cedarpy import pst

from remit.engine.request import NAMESPACE

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.engine.image import PolicyImage

Path = tuple[str, ...]

ENTITY_PATHS: frozenset[Path] = frozenset({("principal",), ("resource",), ("context", "caller")})
"""Paths that name entities in the base schema; see rule 2."""

EVERYTHING: frozenset[Path] = frozenset(
    {
        ("principal",),
        ("principal", "*"),
        ("resource",),
        ("resource", "*"),
        ("context",),
        ("context", "caller", "*"),
    }
)
"""Paths that together read all of a request."""

_ROOTS = frozenset({"principal", "resource", "context"})
_EXPRESSIONS = cast("tuple[type[pst.Expr], ...]", get_args(pst.Expr))
_PARTS: Mapping[type[pst.Expr], tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind)) for kind in _EXPRESSIONS
}
_SIMPLE: frozenset[type] = frozenset({str, int, bool, type(None)})


def read_paths(
    image: PolicyImage, policies: Iterable[pst.Template] | None = None
) -> Mapping[str, frozenset[Path]]:
    """Return, for every action of the image's schema, the paths that its policies can read.

    A policy set whose syntax tree cannot be had reads everything.

    Args:
        image: the policies and their schema.
        policies: their syntax trees, where they are at hand.
    """
    members = action_members(image.schema)
    if policies is None:
        try:
            policies = tuple(cedarpy.PolicySet.from_str(image.policies).to_pst().static_policies.values())
        except (ValueError, RecursionError):
            return dict.fromkeys(members, EVERYTHING)
    found: dict[str, set[Path]] = {action: set() for action in members}
    for policy in policies:
        paths = policy_paths(policy)
        for action in policy_actions(policy, members):
            found[action] |= paths
    return {action: shortest(paths) for action, paths in found.items()}


def action_members(schema: JsonObject) -> Mapping[str, frozenset[str]]:
    """Return every action of a schema with the actions that are `in` it, itself included."""
    namespace = cast("JsonObject", schema.get(NAMESPACE, {}))
    actions = cast("dict[str, JsonObject]", namespace.get("actions", {}))
    parents = {
        name: [cast("str", group["id"]) for group in cast("list[JsonObject]", action.get("memberOf") or [])]
        for name, action in actions.items()
    }
    members: dict[str, set[str]] = {name: {name} for name in actions}
    for name in actions:
        above = list(parents[name])
        seen: set[str] = set()
        while above:
            group = above.pop()
            if group in seen or group not in members:
                continue
            seen.add(group)
            members[group].add(name)
            above.extend(parents[group])
    return {name: frozenset(inside) for name, inside in members.items()}


def policy_actions(policy: pst.Template, members: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the actions that a policy's scope admits; an action unknown to the schema admits none.

    Args:
        policy: a policy's syntax tree.
        members: what `action_members` returned for the schema.
    """
    if isinstance(policy.action, pst.ActionEq):
        return frozenset({policy.action.entity.id} & members.keys())
    if isinstance(policy.action, pst.ActionIn):
        inside = (members.get(uid.id, frozenset[str]()) for uid in policy.action.entities)
        return frozenset[str]().union(*inside)
    return frozenset(members)


def policy_paths(policy: pst.Template) -> frozenset[Path]:
    """Return the paths that one policy can read."""
    reads: set[Path] = set()
    try:
        for clause in policy.clauses:
            _read(clause.expr, reads)
    except RecursionError:
        return EVERYTHING
    return shortest(reads)


def joined_paths(policies: Iterable[frozenset[Path]]) -> frozenset[Path]:
    """Return the paths that several policies can read together, each given by `policy_paths`."""
    return shortest(set[Path]().union(*policies))


def _read(expr: pst.Expr, reads: set[Path]) -> None:
    """Add what evaluating `expr` to a value reads."""
    if isinstance(expr, pst.Var | pst.GetAttr | pst.IfThenElse):
        for path in _flow(expr, reads):
            reads.add(path)
        return
    if isinstance(expr, pst.HasAttr):
        for path in _flow(expr.base, reads):
            reads.add((*path, *expr.attrs))
        return
    for child in inner_expressions(expr):
        _read(child, reads)


def _flow(expr: pst.Expr, reads: set[Path]) -> frozenset[Path]:
    """Return the paths whose value `expr` can be; what choosing among them reads goes to `reads`."""
    if isinstance(expr, pst.Var):
        return frozenset({(expr.name,)}) if expr.name in _ROOTS else frozenset()
    if isinstance(expr, pst.GetAttr):
        return frozenset((*path, expr.attr) for path in _flow(expr.base, reads))
    if isinstance(expr, pst.IfThenElse):
        _read(expr.cond, reads)
        return _flow(expr.then_expr, reads) | _flow(expr.else_expr, reads)
    if isinstance(expr, pst.Record | pst.BinaryOp | pst.Slot | pst.EntityLit):
        # A member taken out of a literal record, a tag, or an entity that the request does not name.
        reads |= EVERYTHING
        return frozenset()
    _read(expr, reads)
    return frozenset()


def inner_expressions(expr: pst.Expr) -> Iterator[pst.Expr]:
    """Yield the expressions directly inside `expr`."""
    for name in _PARTS[type(expr)]:
        value: object = getattr(expr, name)
        kind = type(value)
        if kind in _PARTS:
            yield cast("pst.Expr", value)
        elif kind in _SIMPLE:
            # Asked first: whether something is a mapping takes long to say.
            continue
        elif isinstance(value, Mapping):
            yield from cast("Mapping[str, pst.Expr]", value).values()
        elif isinstance(value, tuple):
            for item in cast("tuple[object, ...]", value):
                if type(item) in _PARTS:
                    yield cast("pst.Expr", item)


def expressions_in(expr: pst.Expr) -> Iterator[pst.Expr]:
    """Yield an expression and all within it, however deep."""
    ahead = [expr]
    while ahead:
        here = ahead.pop()
        yield here
        ahead.extend(inner_expressions(here))


def operands_of(expr: pst.Expr, op: str) -> Iterator[pst.Expr]:
    """Yield the operands of a chain of one connective, `and` or `or`; of anything else, itself."""
    if isinstance(expr, pst.BinaryOp) and expr.op == op:
        yield from operands_of(expr.left, op)
        yield from operands_of(expr.right, op)
    else:
        yield expr


def shortest(paths: Iterable[Path]) -> frozenset[Path]:
    """Leave out every path that a shorter one covers (rule 5); a path to an entity covers nothing beneath."""
    given = frozenset(paths)
    kept: set[Path] = set()
    for path in given:
        covered = any(_covers(path[:length], path, given) for length in range(1, len(path)))
        if not covered:
            kept.add(path)
    return frozenset(kept)


def _covers(shorter: Path, path: Path, paths: frozenset[Path]) -> bool:
    if shorter in ENTITY_PATHS:
        return path[-1] != "*" and (*shorter, "*") in paths
    if shorter not in paths:
        return False
    between = (path[:length] for length in range(len(shorter) + 1, len(path)))
    return not any(step in ENTITY_PATHS for step in between)
