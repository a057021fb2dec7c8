"""What the validator accepts although it can never have been meant.

Rules
1. `has` of an attribute that no request of the rule can carry is always false: Cedar says nothing about it.
2. A tool, back-end or block named by a rule must be declared: a comparison with another is always false.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cedarpy import pst

from remit.engine.reads import expressions_in
from remit.engine.request import NAMESPACE
from remit.policy.diagnostics import Finding, attribute_patterns
from remit.policy.vocabulary import Vocabulary, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from remit.document.values import JsonObject


def lint_findings(
    policy: pst.Template,
    vocabulary: Vocabulary,
    declared: Mapping[str, tuple[str, ...]],
    actions: frozenset[str],
) -> tuple[Finding, ...]:
    """Return what is wrong with a valid policy, in a stable order.

    Args:
        policy: its syntax tree.
        vocabulary: what the schema offers.
        declared: names that the document declares, by entity type.
        actions: actions that the policy's scope admits.
    """
    nodes = [node for clause in policy.clauses for node in expressions_in(clause.expr)]
    scopes: list[object] = [getattr(scope, "entity", None) for scope in (policy.principal, policy.resource)]
    named = {uid for uid in scopes if isinstance(uid, pst.EntityUid)}
    named |= {node.value for node in nodes if isinstance(node, pst.EntityLit)}
    found = [*_undeclared(named, declared)]
    for node in nodes:
        if isinstance(node, pst.HasAttr):
            found.extend(_absent(node, vocabulary, actions))
    return tuple(dict.fromkeys(found))


def _undeclared(named: Iterable[pst.EntityUid], declared: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Report the entities of the types that a document declares that it does not declare."""
    about = [uid for uid in named if uid.type.namespace == (NAMESPACE,) and uid.type.basename in declared]
    for uid in sorted(about, key=str):
        names = declared[uid.type.basename]
        if uid.id not in names:
            word = {"Tool": "tool", "Backend": "back-end", "Block": "block"}[uid.type.basename]
            cause = suggestion(uid.id, names) or f"the document declares no {word}"
            yield Finding(
                message=f"unknown {word} `{uid.id}`: {cause}",
                patterns=(
                    rf"{uid.type.basename}::(?P<token>\"{re.escape(uid.id)}\")",
                    re.escape(f'"{uid.id}"'),
                ),
            )


def _absent(node: pst.HasAttr, vocabulary: Vocabulary, actions: frozenset[str]) -> Iterator[Finding]:
    path = _path(node.base)
    if path is None:
        return
    root, *steps = path
    bases = [base for action in sorted(actions) for base in _bases(root, action, vocabulary)]
    steps += node.attrs[:-1]
    name = node.attrs[-1]
    members = [found for base in bases if (found := vocabulary.members_at(base, steps)) is not None]
    if not members or any(name in found for found in members):
        return
    known = {member for found in members for member in found}
    cause = suggestion(name, known)
    yield Finding(
        message=f"attribute `{name}` is never in `{'.'.join((root, *steps))}`"
        + (f": {cause}" if cause else ": it has none"),
        patterns=attribute_patterns(name),
    )


def _bases(root: str, action: str, vocabulary: Vocabulary) -> list[JsonObject]:
    if root == "context":
        context = vocabulary.context_type(action)
        return [context] if context is not None else []
    return [{"type": "Entity", "name": name} for name in vocabulary.applies(action, root)]


def _path(expr: pst.Expr) -> tuple[str, ...] | None:
    """Return the path of a chain of attributes from a request variable, or None."""
    steps: list[str] = []
    while isinstance(expr, pst.GetAttr):
        steps.append(expr.attr)
        expr = expr.base
    if isinstance(expr, pst.Var) and expr.name != "action":
        return (expr.name, *reversed(steps))
    return None
