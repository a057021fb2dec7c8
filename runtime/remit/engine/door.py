"""One action, one type of principal and one type of resource: the short way from a request to a decision.

Rules
1. A request that is not plainly as the schema declares is not answered here, nor is one where a policy errs:
   `remit.engine.cedar` takes the long way, which words what is wrong.
2. All that policies of the action can read is checked; then only what the chosen ones can read crosses.
3. An attribute crosses for every entity of its type as soon as a chosen policy can read it of one: the same
   entity may be reached by another path.
4. Cedar decides without the schema: what crosses says its own types, and was checked against the schema.
   Where no policy can apply nothing is asked, as Cedar denies an empty set.
5. Policies are asked in parts. A forbid that applies in any part denies, and all such are the reasons;
   else a permit that applies in any part allows, and all such are. That is how Cedar decides the whole set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from remit.engine import scalars
from remit.engine.binding import NOBODY
from remit.engine.crossing import RESERVED, Crossing
from remit.engine.entity_kinds import (
    PREFIX,
    action_text,
    ancestors,
    holds_entities,
    member_names,
    parents_text,
    read_attributes,
)
from remit.engine.ingress import read_tree
from remit.engine.pools import Root, choice
from remit.engine.reads import ENTITY_PATHS, Path, shortest
from remit.engine.schema import ActionType, EntityType, Type

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from remit.engine.binding import EntityTexts
    from remit.engine.crossing import Values, Write
    from remit.engine.entity_kinds import EntityKind, Given
    from remit.engine.policy_index import IndexedPolicy, Uid
    from remit.engine.pools import Pool, Pools
    from remit.engine.request import Entity, Kind, Request
    from remit.engine.schema import SchemaTypes
    from remit.engine.slices import Slices

Held = tuple["EntityKind", "Entity", "Values"]
"""An entity that was checked."""

Above = dict["Uid", frozenset["Uid"]]
Within = tuple["Iterable[Uid]", ...]
_APART: Above = {}
"""No entity is in another."""

MAX_READY = 1_024
"""Choices of policies that one door is ready for; beyond that they are made ready anew."""

MAX_SPENT = 4_096
"""Choices that are not cut out yet, and of which it is remembered how often they came."""

PARSED, CUT = 4, 20
"""What it costs to parse a policy, and to make ready to ask about any: a policy is evaluated in about 4 µs if
what it reads must cross for it, and parsed in 12."""

Found = tuple["Kind", tuple[str, ...]]
"""Kind of decision, and the reasons."""

ERRS: Literal["errs"] = "errs"
"""A policy errs, or Cedar gave no decision."""

_NOTHING: Found = ("not_permitted", ())
_CONTEXT, _PRINCIPAL, _RESOURCE = range(3)


class Ready(NamedTuple):
    """Some policies, ready to be asked.

    Args:
        key: of their slice.
        rows: their numbers in the image.
        context: writes what they can read of a context, if they can read any.
        attributes: writes what they can read of an entity, by type without the namespace.
        actions: entities of the action and its groups, if they can ask about them.
    """

    key: Hashable
    rows: tuple[int, ...]
    context: Write | None
    attributes: Mapping[str, Write]
    actions: str


class Shared(NamedTuple):
    """What all doors of an engine share.

    Args:
        types: the schema.
        kinds: by entity type without the namespace.
        policies: index of the image's policies.
        slices: the same policies, to be cut.
        pools: the same policies, to be chosen from.
        entities: that were asked about before.
    """

    types: SchemaTypes
    kinds: Mapping[str, EntityKind]
    policies: Sequence[IndexedPolicy]
    slices: Slices
    pools: Pools
    entities: EntityTexts


def opens(types: SchemaTypes) -> bool:
    """Return whether requests of a schema can take the short way: Cedar's JSON reads them without it."""
    declared: list[Type] = [*types.entities.values(), *(action.context for action in types.actions.values())]
    return not any(RESERVED & member_names(one) for one in declared)


class Door:
    """The short way.

    Args:
        shared: what it shares with others.
        action: what is asked.
        reads: the paths that the action's policies can read.
        principal: the principal's type.
        resource: the resource's type.
    """

    def __init__(
        self,
        shared: Shared,
        action: ActionType,
        reads: frozenset[Path],
        principal: EntityKind,
        resource: EntityKind,
    ) -> None:
        self._shared = shared
        self._action = action
        self._kinds = (principal, resource)
        self._check_principal = principal.check_for(read_tree(reads, "principal"))
        self._check_resource = resource.check_for(read_tree(reads, "resource"))
        self._crossing = Crossing(action.context, read_tree(reads, "context"))
        self._check_context = self._crossing.check
        self._uid = {"type": f"{PREFIX}Action", "id": action.name}
        self._types: Mapping[str, Type] = {
            "principal": EntityType(principal.full),
            "resource": EntityType(resource.full),
            "context": action.context,
        }
        self._ready: dict[Hashable, Ready] = {}
        self._writers: dict[frozenset[Path], tuple[Write | None, Mapping[str, Write]]] = {}
        self._spent: dict[Hashable, int] = {}
        self._pools = tuple(shared.pools.of(action, (principal.full, resource.full), self._roots()))
        self._choose = choice(self._pools, ("context", "principal", "resource"))
        self._grouped = any(pool.groups for pool in self._pools)
        # Only references whose entity must be there look at what was given.
        self._refers = any(map(holds_entities, (action.context, principal.declared, resource.declared)))

    def decide(self, request: Request) -> Found | Literal["errs"] | None:
        """Answer a request, or say that a policy errs, or nothing where the long way must be taken.

        May raise where a request is not what it should be.
        """
        principal, resource, entities = request.principal, request.resource, request.entities
        ids = _names(principal.ref.id, resource.ref.id)
        kinds = self._kinds
        more = entities != ()
        one = kinds[0] is kinds[1] and ids[0] == ids[1]
        given: Given = {}
        if more or self._refers:
            given = {(kinds[0].local, ids[0]): principal, (kinds[1].local, ids[1]): resource}
            if more and not self._gather(entities, given):
                return None
        context = self._check_context(request.context, given)
        acting = self._check_principal(principal.attributes, given)
        acted = self._check_resource(resource.attributes, given)
        if context is None or acting is None or acted is None:
            return None
        if one and (acting != acted or principal.parents != resource.parents):
            return None
        held: list[Held] = [(kinds[0], principal, acting)]
        if not one:
            held.append((kinds[1], resource, acted))
        if more and not self._hold(given, held):
            return None
        above = _APART
        if more or principal.parents != () or resource.parents != ():
            found = ancestors([(kind, entity) for kind, entity, _ in held], self._shared.kinds)
            if found is None:
                return None
            above = found
        within: Within = ()
        if self._grouped:
            uids = ((kinds[0].full, ids[0]), (kinds[1].full, ids[1]))
            within = tuple([above.get(uid, (uid,)) for uid in uids])
        masks = self._choose(context, acting, acted, ids, within)
        return self._ask(masks, ids, context, held, linked=bool(above)) if any(masks) else _NOTHING

    def _gather(self, entities: tuple[Entity, ...], given: Given) -> bool:
        """Add the further entities; return whether each is of a known type and given once."""
        if type(entities) is not tuple:  # pyright: ignore[reportUnnecessaryComparison]  # a generator would be used up here
            return False
        for entity in entities:
            local = entity.ref.type
            if local not in self._shared.kinds:
                return False
            if given.setdefault((local, _name(entity.ref.id)), entity) is not entity:
                return False
        return True

    def _hold(self, given: Given, held: list[Held]) -> bool:
        """Check the further entities and add them; return whether all are as declared."""
        for (local, _), entity in list(given.items())[len(held) :]:
            kind = self._shared.kinds[local]
            values = kind.check(entity.attributes, ())
            if values is None:
                return False
            held.append((kind, entity, values))
        return True

    def _ask(
        self, masks: Sequence[int], ids: tuple[str, str], context: Values, held: list[Held], *, linked: bool
    ) -> Found | Literal["errs"]:
        permits: tuple[str, ...] = ()
        forbids: tuple[str, ...] = ()
        for pool, mask in zip(self._pools, masks, strict=True):
            if not mask:
                continue
            key = (pool.key, mask)
            ready = self._ready.get(key)
            chosen = None if ready is None else self._shared.slices.get(ready.key)
            if ready is None or chosen is None:
                ready = self._chosen(pool, key)
                chosen = self._shared.slices.cut(ready.key, ready.rows)
            request: dict[str, object] = {
                "principal": {"type": self._kinds[0].full, "id": ids[0]},
                "action": self._uid,
                "resource": {"type": self._kinds[1].full, "id": ids[1]},
            }
            if ready.context is not None:
                request["context"] = ready.context(context)
            entities: object = NOBODY
            if linked or ready.attributes or ready.actions:
                entities = self._shared.entities.prepared(_entities(ready, held, linked=linked))
            answer = chosen.policies.ask(request, entities)
            grounds = answer.diagnostics
            if answer.decision == "NoDecision" or grounds.errors:
                return ERRS
            names = chosen.named(grounds.reason)
            if answer.decision == "Allow":
                permits = tuple(sorted(permits + names)) if permits else names
            else:
                forbids = tuple(sorted(forbids + names)) if forbids else names
        if forbids:
            return ("forbidden", forbids)
        return ("allowed", permits) if permits else _NOTHING

    def _chosen(self, pool: Pool, key: tuple[int, int]) -> Ready:
        """Return what is asked for a choice of policies: these alone, or all of the pool.

        To evaluate policies that cannot apply costs less than to parse those that can; so a choice is cut out
        when it has come back so often that it would have been the cheaper way.
        """
        mask = key[1]
        count = mask.bit_count()
        if mask != pool.all:
            spent = self._spent.get(key, 0) + len(pool.rows) - count
            if spent < CUT + PARSED * count:
                if len(self._spent) >= MAX_SPENT:
                    self._spent.clear()
                self._spent[key] = spent
                return self._chosen(pool, (pool.key, pool.all))
            self._spent.pop(key, None)
        known = self._ready.get(key)
        if known is not None:
            return known
        if len(self._ready) >= MAX_READY:
            self._ready.clear()
        ready = self._ready[key] = self._made_ready(key, pool.chosen(mask))
        return ready

    def _made_ready(self, key: Hashable, rows: tuple[int, ...]) -> Ready:
        policies = [self._shared.policies[row] for row in rows]
        paths = frozenset[Path]().union(*(policy.reads for policy in policies))
        grouped = len(self._action.ancestors) > 1 and any(p.acts or p.action.groups for p in policies)
        context, attributes = self._written(paths)
        return Ready(
            key=key,
            rows=rows,
            context=context,
            attributes=attributes,
            actions=action_text(self._action.name, self._action.ancestors) if grouped else "",
        )

    def _written(self, paths: frozenset[Path]) -> tuple[Write | None, Mapping[str, Write]]:
        """Return what writes the paths: of the context, and of entities by type.

        No tag is among them: a schema that Remit takes over has none, so that no entity has any.
        """
        known = self._writers.get(paths)
        if known is not None:
            return known
        wanted = read_attributes(paths, self._types, self._shared.types, ENTITY_PATHS)
        kinds = self._shared.kinds.values()
        if wanted is None:
            wanted = {kind.full: kind.all_attributes() for kind in kinds}
        context = read_tree(shortest(paths), "context")
        made = (
            self._crossing.writer(context) if context.whole or context.members else None,
            {kind.local: kind.writer(wanted[kind.full]) for kind in kinds if kind.full in wanted},
        )
        if len(self._writers) >= MAX_READY:
            self._writers.clear()
        self._writers[paths] = made
        return made

    def _roots(self) -> Mapping[str, Root]:
        principal, resource = self._kinds
        return {
            "context": Root(_CONTEXT, self._action.context, self._crossing.slots),
            "principal": Root(_PRINCIPAL, principal.declared, principal.slots),
            "resource": Root(_RESOURCE, resource.declared, resource.slots),
        }


def _entities(ready: Ready, held: list[Held], *, linked: bool) -> str:
    """Return the entities that cross.

    Args:
        ready: who is asked.
        held: all entities of the request.
        linked: whether any has a parent; then all cross, as any can be part of a chain.
    """
    texts = [ready.actions] if ready.actions else []
    for kind, entity, values in held:
        write = ready.attributes.get(kind.local)
        if write is not None or linked:
            attributes = "{}" if write is None else write(values)
            texts.append(kind.text(entity.ref.id, attributes, parents_text(entity) if linked else ""))
    return f"[{','.join(texts)}]"


def _names(one: object, other: object) -> tuple[str, str]:
    if type(one) is str and type(other) is str and one.isascii() and other.isascii():
        return one, other
    return _name(one), _name(other)


def _name(name: object) -> str:
    if type(name) is not str:
        raise TypeError
    return name if name.isascii() else scalars.string_text(name)
