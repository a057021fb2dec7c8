"""What is known of each policy of an image without parsing it again: where it stands, when it can apply.

INVARIANT (index): an entry says no more than the policy's own syntax tree.
Whoever leaves a policy out on its word leaves out what can neither apply nor err.
So an index is as good as the policies: who can write one can hide a forbid.
It is taken from the text at load, or from bytes that the caller trusts as it trusts the image.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import cedarpy
from cedarpy import pst

from remit.engine.guards import Guard, guards
from remit.engine.reads import EVERYTHING, Path, expressions_in, policy_paths, shortest
from remit.engine.request import NAMESPACE
from remit.engine.statements import Statement, check_nesting, scan_statements
from remit.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from remit.engine.guards import Constant, Order
    from remit.engine.image import PolicyImage
    from remit.engine.schema import ActionType

FORMAT = f"remit/1/policy-index/cedarpy {importlib.metadata.version('cedarpy')}"
"""Meaning of the bytes; another version of the binding may see another tree in the same text."""

CHUNK = 200
"""Policies whose syntax tree is held at once: bounds the peak of memory."""

_ACTION_TYPE = pst.EntityType("Action", (NAMESPACE,))
Visit = Callable[[int, pst.Template], None]
Uid = tuple[str, str]
"""Fully qualified entity type, and id."""


class ActionScope(NamedTuple):
    """Which actions a policy is about.

    Args:
        names: without the namespace; nothing means any action.
        groups: whether the names may also be groups that the action is in.
    """

    names: tuple[str, ...] | None
    groups: bool

    def admits(self, name: str, ancestors: frozenset[str]) -> bool:
        """Return whether an action fits, given the groups that it is in and itself."""
        if self.names is None:
            return True
        return not ancestors.isdisjoint(self.names) if self.groups else name in self.names


class EntityScope(NamedTuple):
    """Which principals or resources a policy is about; all that is given must hold.

    Args:
        type: fully qualified entity type.
        id: of the entity, as in `==`.
        group: the entity is in it, as in `in`.
    """

    type: str | None = None
    id: str | None = None
    group: Uid | None = None


class IndexedPolicy(NamedTuple):
    """One policy.

    Args:
        rule: its `@id`.
        start: where it stands in the image's policies, in characters.
        end: likewise.
        action: its scope.
        principal: likewise.
        resource: likewise.
        guards: how its condition begins, in the order of evaluation.
        reads: the paths that its condition can read.
        acts: whether its condition can tell actions apart, beyond what the scope does.
    """

    rule: str
    start: int
    end: int
    action: ActionScope
    principal: EntityScope
    resource: EntityScope
    guards: tuple[Guard, ...]
    reads: frozenset[Path]
    acts: bool

    @property
    def filtered(self) -> bool:
        """Whether there is anything to tell from a request that the policy cannot apply, beside its types."""
        scopes = (self.principal, self.resource)
        return bool(self.guards) or any(s.id is not None or s.group is not None for s in scopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyIndex:
    """The policies of one image.

    Args:
        text: `sha256:<hex>` of the policies that it belongs to.
        policies: in image order.
    """

    text: str
    policies: tuple[IndexedPolicy, ...]

    @classmethod
    def of(cls, image: PolicyImage, *, visit: Visit | None = None) -> PolicyIndex:
        """Index an image's policies, a few at a time.

        Args:
            image: whose policies.
            visit: called with the number and the syntax tree of every policy that has one, so that it need
                not be parsed again.

        Raises:
            PolicyError: the text does not parse, holds a template, nests too deeply, or an id is missing or
                repeated.
        """
        text = image.policies
        statements = scan_statements(text)
        check_nesting(text, statements)
        policies = tuple(_indexed(text, statements, visit or _ignored))
        _check_ids(policies)
        return cls(text=_digest(text), policies=policies)

    def check(self, image: PolicyImage) -> None:
        """Refuse an image that the index does not belong to.

        Raises:
            PolicyError: the policies are others.
        """
        if self.text != _digest(image.policies):
            raise PolicyError(
                Fault(message="the policy index belongs to other policies", hint="index the image again")
            )

    def reads(self, actions: Mapping[str, ActionType]) -> Mapping[str, frozenset[Path]]:
        """Return, for every action, the paths that its policies can read."""
        by_scope: defaultdict[ActionScope, set[Path]] = defaultdict(set)
        for policy in self.policies:
            by_scope[policy.action] |= policy.reads
        return {
            name: shortest(
                path
                for scope, paths in by_scope.items()
                if scope.admits(name, action.ancestors)
                for path in paths
            )
            for name, action in actions.items()
        }

    def to_bytes(self) -> bytes:
        """Return the index as JSON; the same index gives the same bytes."""
        numbers: dict[frozenset[Path], int] = {}
        rows: list[object] = []
        for policy in self.policies:
            reads = numbers.setdefault(policy.reads, len(numbers))
            rows.append((*policy[:7], reads, policy.acts))
        content = {
            "format": FORMAT,
            "text": self.text,
            "reads": [sorted(paths) for paths in numbers],
            "policies": rows,
        }
        return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> PolicyIndex:
        """Read what `to_bytes` wrote.

        The bytes must be trusted as the image is: see the module's invariant.

        Raises:
            PolicyError: they are not such an index, or one of another version.
        """
        try:
            content = json.loads(data)
            if content["format"] != FORMAT:
                raise PolicyError(
                    Fault(message="the policy index is of another version", hint="index the image again")
                )
            reads = tuple(frozenset(tuple(path) for path in paths) for paths in content["reads"])
            policies = tuple(_from_row(row, reads) for row in content["policies"])
            return cls(text=content["text"], policies=policies)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise PolicyError(
                Fault(
                    message=f"the policy index cannot be read: {type(error).__name__}: {error}",
                    hint="index the image again",
                )
            ) from error


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _from_row(row: list[object], reads: Sequence[frozenset[Path]]) -> IndexedPolicy:
    rule, start, end, action, principal, resource, guards, number, acts = row
    names, groups = cast("tuple[list[str] | None, bool]", action)
    return IndexedPolicy(
        cast("str", rule),
        cast("int", start),
        cast("int", end),
        ActionScope(None if names is None else tuple(names), groups),
        _entity_row(principal),
        _entity_row(resource),
        tuple(
            Guard(tuple(path), order, tuple(constants))
            for path, order, constants in cast("list[tuple[list[str], Order, list[Constant]]]", guards)
        ),
        reads[cast("int", number)],
        cast("bool", acts),
    )


def _entity_row(row: object) -> EntityScope:
    kind, name, group = cast("tuple[str | None, str | None, list[str] | None]", row)
    if group is None:
        return EntityScope(kind, name)
    group_type, group_id = group
    return EntityScope(kind, name, (group_type, group_id))


def _indexed(text: str, statements: Sequence[Statement], visit: Visit) -> Iterator[IndexedPolicy]:
    for first in range(0, len(statements), CHUNK):
        chunk = statements[first : first + CHUNK]
        yield from _chunk(text, chunk, first, visit)
    behind = statements[-1].end if statements else 0
    if len(_parsed(text, text[behind:])):
        raise _untold(len(statements))


def _chunk(text: str, statements: Sequence[Statement], first: int, visit: Visit) -> Iterator[IndexedPolicy]:
    """Yield the index of a few policies.

    Args:
        text: all policies.
        statements: some that follow one another.
        first: number of the first of them.
        visit: told the trees.
    """
    handle = _parsed(text, text[statements[0].start : statements[-1].end])
    if handle.templates():
        raise PolicyError(
            Fault(message="the policy image holds a policy template", hint="write the policy out")
        )
    if len(handle) != len(statements):
        raise _untold(first)
    try:
        policies = handle.to_pst().static_policies
    except ValueError:
        # Nested beyond what the binding's syntax tree holds (100 levels), though Cedar evaluates it.
        if len(statements) == 1:
            yield _unknown(statements[0], first)
            return
        for number, statement in enumerate(statements):
            yield from _chunk(text, (statement,), first + number, visit)
        return
    for number, statement in enumerate(statements):
        policy = policies[f"policy{number}"]
        rule = policy.annotations.get("id") or ""
        if not rule:
            raise PolicyError(Fault(message=f"policy `policy{first + number}` has no `@id`"))
        visit(first + number, policy)
        yield IndexedPolicy(
            rule,
            statement.start,
            statement.end,
            _action_scope(policy.action),
            _entity_scope(policy.principal),
            _entity_scope(policy.resource),
            guards(policy),
            policy_paths(policy),
            any(_acts(clause.expr) for clause in policy.clauses),
        )


def _ignored(_: int, __: pst.Template) -> None:
    """Keep nothing of a syntax tree."""


def _parsed(text: str, part: str) -> cedarpy.PolicySet:
    try:
        return cedarpy.PolicySet.from_str(part)
    except ValueError as error:
        why: Exception = error
        try:
            # For the position in the whole text.
            cedarpy.PolicySet.from_str(text)
        except ValueError as whole:
            why = whole
        raise PolicyError(Fault(message=f"the policy image does not parse: {why}")) from error


def _untold(number: int) -> PolicyError:
    return PolicyError(
        Fault(message=f"the policies from `policy{number}` on cannot be told apart by their semicolons")
    )


def _unknown(statement: Statement, number: int) -> IndexedPolicy:
    """Return the entry of a policy without a syntax tree: it can always apply, and reads everything."""
    if not statement.id or "\\" in statement.id:
        raise PolicyError(
            Fault(
                message=f"policy `policy{number}` nests too deeply, and has no plain `@id`",
                hint='compare with a set, such as `["a", "b"].contains(x)`, and use a plain `@id`',
            )
        )
    anybody = EntityScope()
    everything = ActionScope(None, groups=False)
    return IndexedPolicy(
        statement.id,
        statement.start,
        statement.end,
        everything,
        anybody,
        anybody,
        (),
        EVERYTHING,
        acts=True,
    )


def _check_ids(policies: Sequence[IndexedPolicy]) -> None:
    seen: set[str] = set()
    faults: list[Fault] = []
    for policy in policies:
        if policy.rule in seen:
            faults.append(Fault(message=f"the policy id `{policy.rule}` is used twice"))
        seen.add(policy.rule)
    if faults:
        raise PolicyError(*faults)


def _action_scope(constraint: pst.ActionConstraint) -> ActionScope:
    match constraint:
        case pst.ActionEq(entity):
            return ActionScope((entity.id,) if entity.type == _ACTION_TYPE else (), groups=False)
        case pst.ActionIn(entities):
            return ActionScope(tuple(e.id for e in entities if e.type == _ACTION_TYPE), groups=True)
        case _:
            return ActionScope(None, groups=False)


def _entity_scope(constraint: pst.PrincipalOrResourceConstraint) -> EntityScope:
    match constraint:
        case pst.ScopeEq(pst.EntityUid(type=kind, id=name)):
            return EntityScope(str(kind), name)
        case pst.ScopeIs(kind):
            return EntityScope(str(kind))
        case pst.ScopeIsIn(entity_type=kind, entity=pst.EntityUid(type=group, id=name)):
            return EntityScope(str(kind), None, (str(group), name))
        case pst.ScopeIn(pst.EntityUid(type=group, id=name)):
            return EntityScope(None, None, (str(group), name))
        case _:
            return EntityScope()


def _acts(expr: pst.Expr) -> bool:
    """Return whether a condition can read the action or its groups."""
    return any(
        (isinstance(here, pst.Var) and here.name == "action")
        or (isinstance(here, pst.EntityLit) and here.value.type == _ACTION_TYPE)
        for here in expressions_in(expr)
    )
