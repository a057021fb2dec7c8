"""Entity types as the short way needs them: what checks an entity, what writes it, and who is in what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine import scalars
from remit.engine.crossing import WHOLE, Crossing, quoted
from remit.engine.hierarchy import all_ancestors
from remit.engine.ingress import Reads
from remit.engine.request import NAMESPACE, Entity, EntityRef
from remit.engine.schema import EntityType, RecordType, SchemaTypes, SetType, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.engine.crossing import Check, Write
    from remit.engine.policy_index import Uid
    from remit.engine.reads import Path

PREFIX = f"{NAMESPACE}::"


class EntityKind:
    """One entity type.

    Args:
        full: its fully qualified name.
        types: the schema.

    Attributes:
        full: the same.
        declared: its attributes.
        local: the name without the namespace.
        check: from attributes to values; see `Crossing.check`.
        slots: where the values are.
    """

    __slots__ = ("_crossing", "_parents", "_start", "_writers", "check", "declared", "full", "local", "slots")

    def __init__(self, full: str, types: SchemaTypes) -> None:
        self.full = full
        self.local = full.removeprefix(PREFIX)
        self.declared = types.entities[full]
        self._crossing = Crossing(self.declared, WHOLE)
        self._parents = frozenset(parent.removeprefix(PREFIX) for parent in types.parents[full])
        self._start = f'{{"uid":{{"type":{quoted(full)},"id":'
        self._writers: dict[frozenset[str], Write] = {}
        self.check = self._crossing.check
        self.slots = self._crossing.slots

    def check_for(self, reads: Reads) -> Check:
        """Return a check that also wants the entities whose attributes are read by way of this one."""
        if not any(below.members for below in reads.members.values()) or not holds_entities(self.declared):
            return self.check
        return Crossing(self.declared, Reads(whole=True, members=reads.members)).check

    def all_attributes(self) -> frozenset[str]:
        """Return the names of the declared attributes."""
        return frozenset(self.declared.attributes)

    def writer(self, attributes: frozenset[str]) -> Write:
        """Return what writes these attributes of an entity as a JSON object."""
        writer = self._writers.get(attributes)
        if writer is None:
            writer = self._crossing.writer(Reads(members=dict.fromkeys(sorted(attributes), WHOLE)))
            self._writers[attributes] = writer
        return writer

    def text(self, name: str, attributes: str, parents: str = "") -> str:
        """Return an entity in Cedar's JSON.

        Args:
            name: its id.
            attributes: a JSON object.
            parents: JSON objects with commas between them.
        """
        return f'{self._start}{quoted(name)}}},"attrs":{attributes},"parents":[{parents}]}}'

    def admits(self, parent: EntityRef) -> bool:
        """Return whether an entity may be a direct parent, which must be declared and have a readable id."""
        name = parent.id
        return parent.type in self._parents and type(name) is str and scalars.string_text(name) is name


Given = dict[tuple[str, str], Entity]
"""All entities of a request, by type without the namespace and id."""


def ancestors(
    entities: Iterable[tuple[EntityKind, Entity]], kinds: Mapping[str, EntityKind]
) -> dict[Uid, frozenset[Uid]] | None:
    """Return, by entity, everything that it is in, itself included.

    Empty where nothing is in anything; nothing where Cedar must look: at a cycle, or at a parent that is not
    plainly as declared.
    """
    direct: dict[Uid, list[Uid]] = {}
    for kind, entity in entities:
        if entity.parents == ():
            continue
        if type(entity.parents) is not tuple or not all(map(kind.admits, entity.parents)):
            return None
        direct[kind.full, entity.ref.id] = [(kinds[p.type].full, p.id) for p in entity.parents]
    found = all_ancestors(direct)
    return None if found is None else {uid: above | {uid} for uid, above in found.items()}


def parents_text(entity: Entity) -> str:
    """Return an entity's direct parents as JSON objects with commas between them."""
    return ",".join(
        f'{{"type":{quoted(PREFIX + parent.type)},"id":{quoted(parent.id)}}}' for parent in entity.parents
    )


def action_text(name: str, above: frozenset[str]) -> str:
    """Return the entities of an action and its groups, as a schema would declare them."""
    kind = quoted(f"{PREFIX}Action")
    uids = {each: f'{{"type":{kind},"id":{quoted(each)}}}' for each in sorted(above | {name})}
    parents = {name: ",".join(uids[group] for group in sorted(above - {name}))}
    return ",".join(
        f'{{"uid":{uid},"attrs":{{}},"parents":[{parents.get(each, "")}]}}' for each, uid in uids.items()
    )


def read_attributes(
    paths: Iterable[Path], roots: Mapping[str, Type], types: SchemaTypes, entity_paths: frozenset[Path]
) -> Mapping[str, frozenset[str]] | None:
    """Return which attributes are read of which entity types; nothing where it may be any.

    Args:
        paths: what is read.
        roots: declared types of `principal`, `resource` and `context`.
        types: the schema.
        entity_paths: paths to entities whose attributes are listed even beside the path itself.
    """
    wanted: dict[str, set[str]] = {}
    for path in paths:
        here: Type | None = roots[path[0]]
        for step in path[1:]:
            if isinstance(here, EntityType):
                if step == "*":
                    return None
                wanted.setdefault(here.name, set()).add(step)
                here = types.entities[here.name]
            if not isinstance(here, RecordType) or step not in here.attributes:
                # Reading it errs, or tests for what is not there.
                here = None
                break
            here = here.attributes[step].type
        if isinstance(here, EntityType) and path not in entity_paths:
            # Rule 5 of `remit.engine.reads`: what is read of the entity may not be listed.
            return None
        if isinstance(here, RecordType) and holds_entities(here):
            return None
    return {kind: frozenset(names) for kind, names in wanted.items()}


def holds_entities(declared: Type) -> bool:
    """Return whether a type holds an entity somewhere; sets count, too."""
    match declared:
        case RecordType(attributes):
            return any(holds_entities(member.type) for member in attributes.values())
        case SetType(element):
            return holds_entities(element)
        case _:
            return isinstance(declared, EntityType)


def member_names(declared: Type) -> frozenset[str]:
    """Return the names of all members, at any depth."""
    match declared:
        case RecordType(attributes):
            return frozenset(attributes).union(*(member_names(a.type) for a in attributes.values()))
        case SetType(element):
            return member_names(element)
        case _:
            return frozenset()
