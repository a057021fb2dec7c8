"""Paths as local variables: every path that policies read is loaded once for each decision.

A variable holds `MISSING` where the path is not there, also where something above it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.engine.compiled.code import is_primitive
from remit.engine.schema import EntityType, Primitive, RecordType, Type
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.engine.ingress import Reads
    from remit.engine.reads import Path

PRINCIPAL, RESOURCE, CONTEXT, TABLE, ABOVE = "pu", "ru", "c", "tb", "up"
"""Variables of every program: the two uids, the raw context, all entities' attributes, all ancestors."""

_ROOT_ATTRIBUTES: Mapping[Path, str] = {("principal",): "pa", ("resource",): "ra"}


class Slot(Value, frozen=True, kw_only=True):
    """One variable.

    Args:
        name: of the variable.
        path: what it holds.
        type: its declared type.
        optional: it can hold `MISSING`.
    """

    name: str
    path: Path
    type: Type
    optional: bool


@dataclass(slots=True)
class SlotNames:
    """One name for a path in all programs of an engine, so that equal policies become equal source."""

    _names: dict[Path, str] = field(default_factory=dict["Path", str])

    def of(self, path: Path) -> str:
        """Return the name of the variable for a path."""
        return self._names.setdefault(path, f"s{len(self._names)}")

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths that have a name, in the order of their numbers."""
        return tuple(self._names)

    def restore(self, paths: Iterable[Path]) -> None:
        """Name paths as in the engine whose `paths` they are."""
        for path in paths:
            self.of(path)


def needed_entities(declared: RecordType, reads: Reads, above: Path) -> frozenset[Path]:
    """Return the paths that name an entity which must be there, because policies read its attributes."""
    found: set[Path] = set()
    for name, below in reads.members.items():
        member = declared.attributes.get(name)
        if member is None:
            continue
        if isinstance(member.type, EntityType) and below.members:
            found.add((*above, name))
        elif isinstance(member.type, RecordType):
            found |= needed_entities(member.type, below, (*above, name))
    return frozenset(found)


class Slots:
    """The variables of one program.

    Args:
        entities: attributes by entity type.
        roots: declared types of `principal`, `resource` and `context`.
        needed: paths whose entity is certain to be there.
        names: shared by the programs of an engine.

    Attributes:
        asked: paths that were asked for since it was last emptied.
    """

    def __init__(
        self,
        entities: Mapping[str, RecordType],
        roots: Mapping[str, Type],
        needed: frozenset[Path],
        names: SlotNames,
    ) -> None:
        self._entities = entities
        self._needed = needed
        self._names = names
        variables = {"principal": PRINCIPAL, "resource": RESOURCE, "context": CONTEXT}
        self._slots: dict[Path, Slot | None] = {
            (root,): Slot(name=variables[root], path=(root,), type=kind, optional=False)
            for root, kind in roots.items()
        }
        self.asked: set[Path] = set()

    def get(self, path: Path) -> Slot | None:
        """Return the variable for a path, or nothing where its schema says that reading it always errs."""
        self.asked.add(path)
        if path not in self._slots:
            self._slots[path] = self._resolve(path)
        return self._slots[path]

    def _resolve(self, path: Path) -> Slot | None:
        if len(path) == 1:
            return None
        parent = self.get(path[:-1])
        if parent is None:
            return None
        if isinstance(parent.type, EntityType):
            declared = self._entities.get(parent.type.name)
            certain = len(parent.path) == 1 or (parent.path in self._needed and not parent.optional)
        elif isinstance(parent.type, RecordType):
            declared, certain = parent.type, not parent.optional
        else:
            return None
        member = declared.attributes.get(path[-1]) if declared is not None else None
        if member is None:
            return None
        return Slot(
            name=self._names.of(path),
            path=path,
            type=member.type,
            optional=not (certain and member.required),
        )

    def loads(self, wanted: Iterable[Path], loaded: set[Path]) -> list[str]:
        """Return the statements that fill variables.

        Args:
            wanted: paths of variables.
            loaded: what the ingress code has filled already; gets what these statements fill.
        """
        lines: list[str] = []
        for path in wanted:
            for length in range(2, len(path) + 1):
                here = path[:length]
                if here not in loaded:
                    loaded.add(here)
                    lines += self._load(here, loaded)
        return lines

    def _load(self, path: Path, loaded: set[Path]) -> list[str]:
        slot, parent = self.get(path), self.get(path[:-1])
        assert slot is not None
        assert parent is not None
        lines: list[str] = []
        if isinstance(parent.type, EntityType):
            source = _ROOT_ATTRIBUTES.get(parent.path, f"d{parent.name}")
            certain = parent.path in _ROOT_ATTRIBUTES or (parent.path in self._needed and not parent.optional)
            declared = self._entities[parent.type.name]
            behind = (*parent.path, "*")
            if parent.path not in _ROOT_ATTRIBUTES and behind not in loaded:
                loaded.add(behind)
                lines.append(f"{source} = {TABLE}.get({parent.name}, M)")
        else:
            assert isinstance(parent.type, RecordType)
            source, certain, declared = parent.name, not parent.optional, parent.type
        name = path[-1]
        member = declared.attributes[name]
        value = f"{source}[{name!r}]" if member.required else f"{source}.get({name!r}, M)"
        if not certain:
            value = f"M if {source} is M else {value}"
        lines.append(f"{slot.name} = {value}")
        converted = conversion(slot.name, slot.type)
        if converted:
            lines.append(
                f"if {slot.name} is not M: {slot.name} = {converted}"
                if slot.optional
                else f"{slot.name} = {converted}"
            )
        return lines


def conversion(name: str, declared: Type) -> str:
    """Return the expression from raw to value for the types whose variables hold values."""
    if isinstance(declared, EntityType):
        return f"({declared.name!r}, {name}['id'])"
    if isinstance(declared, Primitive) and not is_primitive(declared, "Bool", "Long", "String"):
        return f"read_{declared.name}({name})"
    return ""
