"""A request as the walk over the trees needs it: what the reference engine's ingress lets through, as values.

Rules
1. The ingress walk (`remit.engine.ingress`) is the reference engine's own: what it refuses is refused here.
2. What Cedar refuses behind it is refused too: a parent of a type that the schema does not allow, a cycle.
3. Values hold what policies can read and no more, as the reference engine's context does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from remit.engine.compiled.lifting import entity_lifts, lifter
from remit.engine.hierarchy import all_ancestors
from remit.engine.ingress import Reads, Walk, projected, read_tree
from remit.engine.request import NAMESPACE
from remit.engine.schema import resolve_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remit.document.values import JsonObject
    from remit.engine.compiled.values import Lifts, Table, Uid, Value
    from remit.engine.reads import Path
    from remit.engine.request import Entity, Request
    from remit.engine.schema import ActionType, SchemaTypes

ACTION_TYPE = f"{NAMESPACE}::Action"
_NOTHING = Reads()
_NO_UIDS: frozenset[Uid] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, ready to be walked.

    Args:
        principal: who acts.
        action: what is asked.
        resource: what is acted upon.
        context: the readable part of the context.
        table: raw attributes of all entities.
        lifts: from raw attributes to values.
        above: all ancestors, by entity.
    """

    principal: Uid
    action: Uid
    resource: Uid
    context: Value
    table: Table
    lifts: Lifts
    above: Mapping[Uid, frozenset[Uid]]


class _Readable(NamedTuple):
    """What policies can read of one action's requests."""

    principal: Reads
    resource: Reads
    context: Reads
    lift: Callable[[object], Value]


class Intake:
    """Turns requests under one schema into what the walk needs.

    Args:
        schema: the image's schema in JSON form.

    Raises:
        PolicyError: it does not resolve.
    """

    def __init__(self, schema: JsonObject) -> None:
        self.types: SchemaTypes = resolve_schema(schema)
        self._lifts = entity_lifts(self.types.entities)
        self._allowed = {kind: _all_above(kind, self.types.parents) for kind in self.types.parents}
        self._readable: dict[tuple[str, frozenset[Path]], _Readable] = {}

    def take(self, request: Request, reads: frozenset[Path]) -> Asked | tuple[str, ...]:
        """Return the request as values, or why it cannot be asked.

        Args:
            request: whose action the schema knows.
            reads: what the policies for that action can read.
        """
        action = self.types.actions[request.action]
        readable = self._readable_of(action, reads)
        principal, resource = _uid(request.principal), _uid(request.resource)
        walk = Walk(self.types.entities)
        walk.entity(request.principal, "principal", readable.principal)
        walk.entity(request.resource, "resource", readable.resource)
        for entity in request.entities:
            walk.entity(entity, str(entity.ref), _NOTHING)
        walk.context(request.context, action.context, readable.context)
        walk.table()
        faults = tuple(walk.faults) or self._misplaced(request, action)
        if faults:
            return faults
        given = (request.principal, request.resource, *request.entities)
        above = self._above(given, action)
        if above is None:
            return ("the entities' parents form a cycle",)
        # The walk has seen to it that an entity given twice is the same twice.
        table = cast("Table", {_uid(entity): entity.attributes for entity in given})
        return Asked(
            principal=principal,
            action=(ACTION_TYPE, request.action),
            resource=resource,
            context=readable.lift(request.context),
            table=table,
            lifts=self._lifts,
            above=above,
        )

    def _readable_of(self, action: ActionType, reads: frozenset[Path]) -> _Readable:
        found = self._readable.get((action.name, reads))
        if found is None:
            context = read_tree(reads, "context")
            found = self._readable[action.name, reads] = _Readable(
                read_tree(reads, "principal"),
                read_tree(reads, "resource"),
                context,
                lifter(projected(action.context, context)),
            )
        return found

    def _misplaced(self, request: Request, action: ActionType) -> tuple[str, ...]:
        faults: list[str] = []
        if _uid(request.principal)[0] not in action.principals:
            faults.append(f"a principal of type `{request.principal.ref.type}` cannot `{request.action}`")
        if _uid(request.resource)[0] not in action.resources:
            faults.append(f"`{request.action}` cannot be asked upon a `{request.resource.ref.type}`")
        for entity in (request.principal, request.resource, *request.entities):
            allowed = self._allowed[_uid(entity)[0]]
            faults += [
                f"`{entity.ref}` has a parent of type `{parent.type}`, which the schema does not allow"
                for parent in entity.parents
                if f"{NAMESPACE}::{parent.type}" not in allowed
            ]
        return tuple(faults)

    @staticmethod
    def _above(given: Sequence[Entity], action: ActionType) -> Mapping[Uid, frozenset[Uid]] | None:
        """Return all ancestors of everything, or nothing where something is above itself."""
        direct = {
            _uid(entity): [(f"{NAMESPACE}::{parent.type}", parent.id) for parent in entity.parents]
            for entity in given
        }
        groups = frozenset((ACTION_TYPE, group) for group in action.ancestors - {action.name})
        above = all_ancestors(direct)
        return None if above is None else {(ACTION_TYPE, action.name): groups, **above}


def _all_above(kind: str, parents: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return the types that an entity type may be in, through however many others."""
    reached: set[str] = set()
    ahead = list(parents[kind])
    while ahead:
        above = ahead.pop()
        if above not in reached:
            reached.add(above)
            ahead.extend(parents.get(above, ()))
    return frozenset(reached)


def _uid(entity: Entity) -> Uid:
    return (f"{NAMESPACE}::{entity.ref.type}", entity.ref.id)
