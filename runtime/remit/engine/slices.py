"""Policies cut to those that can apply: what makes the cost follow the matching rules and not all rules.

INVARIANT (slicing): a policy is left out of a slice only where one of its three scope constraints is false
for every
request of the slice. A policy whose scope does not match neither applies nor errors (Cedar's `scope &&
clauses`,
the scope itself cannot error), so decision, reasons and errors are those of the whole set.
Left out by: action (`==`, `in`, with the groups of the schema), entity type of principal and resource
(`==`, `is`,
`is … in`), entity id of principal and resource (`==`). A plain `in` on principal or resource is always kept.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import cedarpy
from cedarpy import pst

from remit.engine.request import NAMESPACE
from remit.engine.statements import check_nesting, scan_statements
from remit.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.engine.schema import ActionType

_ACTION_TYPE = pst.EntityType("Action", (NAMESPACE,))


class Scope(NamedTuple):
    """What a slice is cut for: the ids of principal and resource only where a policy names them."""

    action: str
    principal: str
    principal_id: str | None
    resource: str
    resource_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Prepared policies.

    Args:
        handle: for `cedarpy.is_authorized`.
        rules: rule id by the policy id that cedarpy reports; the same text unless the image has no syntax
            tree.
    """

    handle: cedarpy.PolicySet
    rules: Mapping[str, str]


class PolicySlices:
    """All policies of an image, cut on demand; safe for threads: a slice made twice is the same slice.

    Args:
        text: the image's policies.

    Raises:
        PolicyError: the text does not parse, holds a template, nests too deeply, or an id is missing or
        repeated.
    """

    def __init__(self, text: str) -> None:
        check_nesting(text)
        try:
            whole = cedarpy.PolicySet.from_str(text)
        except ValueError as error:
            raise PolicyError(Fault(message=f"the policy image does not parse: {error}")) from error
        if whole.templates():
            raise PolicyError(
                Fault(message="the policy image holds a policy template", hint="write the policy out")
            )
        self._count = len(whole)
        self._policies: Mapping[str, pst.Template] | None = None
        self._whole: Slice | None = None
        try:
            tree = whole.to_pst()
        except ValueError:
            # Nested beyond what the binding's syntax tree holds (100 levels) though Cedar evaluates it:
            # the set stays whole, under the parser's own ids.
            self._whole = Slice(handle=whole, rules=_positional_ids(text, len(whole)))
            self._named: dict[str, frozenset[str]] = {}
        else:
            self._policies = _own_ids(tree)
            self._named = _named_ids(self._policies)
        self._slices: dict[Scope, Slice] = {}

    def __len__(self) -> int:
        return self._count

    def cut(self, action: ActionType, principal: tuple[str, str], resource: tuple[str, str]) -> Slice:
        """Return the policies that can apply.

        Args:
            action: what is asked.
            principal: fully qualified entity type and id.
            resource: likewise.
        """
        if self._policies is None:
            assert self._whole is not None
            return self._whole
        scope = Scope(
            action.name,
            principal[0],
            principal[1] if principal[1] in self._named.get(principal[0], ()) else None,
            resource[0],
            resource[1] if resource[1] in self._named.get(resource[0], ()) else None,
        )
        known = self._slices.get(scope)
        if known is None:
            known = self._slices[scope] = _slice(self._policies, scope, action)
        return known


def _slice(policies: Mapping[str, pst.Template], scope: Scope, action: ActionType) -> Slice:
    kept = {
        rule: policy
        for rule, policy in policies.items()
        if _action_fits(policy.action, action)
        and _entity_fits(policy.principal, scope.principal, scope.principal_id)
        and _entity_fits(policy.resource, scope.resource, scope.resource_id)
    }
    tree = pst.PolicySet(templates=pst.FrozenMap({}), static_policies=pst.FrozenMap(kept), template_links=())
    return Slice(handle=cedarpy.PolicySet.from_pst(tree), rules={rule: rule for rule in kept})


def _action_fits(constraint: pst.ActionConstraint, action: ActionType) -> bool:
    match constraint:
        case pst.ActionEq(entity):
            return entity.type == _ACTION_TYPE and entity.id == action.name
        case pst.ActionIn(entities):
            return any(e.type == _ACTION_TYPE and e.id in action.ancestors for e in entities)
        case _:
            return True


def _entity_fits(constraint: pst.PrincipalOrResourceConstraint, kind: str, entity_id: str | None) -> bool:
    match constraint:
        case pst.ScopeEq(pst.EntityUid(type=named, id=name)):
            # `entity_id` is None where no policy names the id at hand, so it is not this one either.
            return str(named) == kind and name == entity_id
        case pst.ScopeIs(named) | pst.ScopeIsIn(entity_type=named):
            return str(named) == kind
        case _:
            return True


def _own_ids(tree: pst.PolicySet) -> Mapping[str, pst.Template]:
    """Give every policy its `@id` as its id, so that reasons and errors name the rule."""
    policies: dict[str, pst.Template] = {}
    faults: list[Fault] = []
    for position, policy in tree.static_policies.items():
        rule = policy.annotations.get("id")
        if not rule:
            faults.append(Fault(message=f"policy `{position}` has no `@id`"))
        elif rule in policies:
            faults.append(Fault(message=f"the policy id `{rule}` is used twice"))
        else:
            policies[rule] = replace(policy, id=rule)
    if faults:
        raise PolicyError(*faults)
    return policies


def _named_ids(policies: Mapping[str, pst.Template]) -> dict[str, frozenset[str]]:
    """Return, by entity type, the ids that a scope names with `==`: the only ids that a slice depends on."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for policy in policies.values():
        for constraint in (policy.principal, policy.resource):
            match constraint:
                case pst.ScopeEq(pst.EntityUid(type=kind, id=name)):
                    named[str(kind)].add(name)
                case _:
                    pass
    return {kind: frozenset(ids) for kind, ids in named.items()}


def _positional_ids(text: str, count: int) -> Mapping[str, str]:
    statements = scan_statements(text)
    ids = [statement.id for statement in statements]
    if len(ids) != count or not all(ids) or len(set(ids)) != count or any("\\" in rule for rule in ids):
        raise PolicyError(
            Fault(
                message="a policy nests too deeply, and the image's policies cannot be told apart by `@id`",
                hint='compare with a set, such as `["a", "b"].contains(x)`, and use plain `@id`s',
            )
        )
    return {f"policy{number}": rule for number, rule in enumerate(ids)}
