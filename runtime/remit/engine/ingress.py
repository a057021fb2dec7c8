"""The ingress walk: a request's plain JSON becomes Cedar's, or every reason why it cannot.

Rules
1. What a policy can read (`remit.engine.reads`) is checked whole, down to the last member, before anything
   is left
   out: a projection never hides what Cedar would refuse.
2. What no policy can read does not cross and need not be representable.
3. Nothing is rounded, cut, or taken for another type; `true` is not 1.
4. A member that the schema does not declare is refused where a policy can read it:
   Cedar refuses it too, and a rule that tests for it never fires.
5. A readable reference must name an entity that is there if a policy can read its attributes:
   in Cedar `has` on a missing entity is silently false.
6. Attributes of entities are checked whole, read or not: they are few, and the embedder's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from remit.engine import scalars
from remit.engine.request import NAMESPACE, Entity, EntityRef
from remit.engine.schema import Attribute, EntityType, Primitive, RecordType, SetType, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from remit.document.values import JsonObject, JsonValue

MAX_FAULTS = 16
"""Faults beyond this number are not listed."""


@dataclass(slots=True)
class Reads:
    """What policies can read of a value.

    Args:
        whole: everything beneath it.
        members: more precisely, which members; `*` stands for all attributes of an entity.
    """

    whole: bool = False
    members: dict[str, Reads] = field(default_factory=dict[str, "Reads"])


WHOLE = Reads(whole=True)
"""Everything beneath a value."""


def read_tree(paths: Iterable[tuple[str, ...]], root: str) -> Reads:
    """Return the paths beneath `root` (`principal`, `resource` or `context`) as a tree."""
    tree = Reads()
    # Sorted, so that faults come in one order in every process.
    for path in sorted(paths):
        if not path or path[0] != root:
            continue
        node = tree
        for step in path[1:]:
            node = node.members.setdefault(step, Reads())
        node.whole = True
    return tree


def projected(record: RecordType, reads: Reads) -> RecordType:
    """Return the part of a record type that can be read."""
    if reads.whole:
        return record
    kept: dict[str, Attribute] = {}
    for name, below in reads.members.items():
        declared = record.attributes.get(name)
        if declared is None:
            continue
        kind = declared.type
        kept[name] = (
            Attribute(projected(kind, below), declared.required) if isinstance(kind, RecordType) else declared
        )
    return RecordType(kept)


class Walk:
    """One request's walk; collects faults instead of stopping at the first.

    Attributes:
        faults: one readable sentence each, in input order.
    """

    def __init__(self, entities: Mapping[str, RecordType]) -> None:
        self.faults: list[str] = []
        self._types = entities
        self._table: dict[tuple[str, str], JsonObject] = {}
        self._needed: list[tuple[str, str, str]] = []

    def context(self, value: JsonValue, declared: RecordType, reads: Reads) -> JsonObject:
        """Return the readable part of a context in Cedar's JSON."""
        converted = self._record(value, declared, reads, "context", whole=reads.whole)
        return converted if isinstance(converted, dict) else {}

    def entity(self, entity: Entity, what: str, reads: Reads) -> None:
        """Convert an entity and keep it; the same entity may be given again with the same content."""
        ref = entity.ref
        if not self._known(ref, what):
            return
        declared = self._types[_full(ref.type)]
        key = (_full(ref.type), ref.id)
        parents: list[JsonValue] = [
            {"type": _full(parent.type), "id": parent.id}
            for parent in entity.parents
            if self._known(parent, f"a parent of {what}")
        ]
        converted: JsonObject = {
            "uid": {"type": key[0], "id": key[1]},
            "attrs": self._record(entity.attributes, declared, reads, what, whole=True),
            "parents": parents,
        }
        if self._table.setdefault(key, converted) != converted:
            self._fault(what, f"is {_short(str(ref))}, which was given before with other attributes")

    def table(self) -> list[JsonObject]:
        """Return all entities, having checked that none is missing (rule 5)."""
        for kind, name, path in self._needed:
            if (kind, name) not in self._table:
                self._fault(path, f"names an entity of type {kind} that was not given")
        return list(self._table.values())

    def _known(self, ref: EntityRef, what: str) -> bool:
        if _full(ref.type) not in self._types:
            self._fault(what, f"has the entity type `{_short(ref.type)}`, which the schema does not declare")
            return False
        return self._scalar(ref.id, what, "String") is not None

    def _fault(self, path: str, why: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(f"`{path}` {why}")

    def _record(
        self, value: JsonValue, declared: RecordType, reads: Reads, path: str, *, whole: bool
    ) -> JsonValue:
        if not isinstance(value, dict):
            self._mismatch(value, "Record", path)
            return None
        if whole:
            for name in value:
                if name not in declared.attributes:
                    self._undeclared(name, path)
            names: Iterable[str] = declared.attributes
        else:
            names = reads.members
        converted: JsonObject = {}
        for name in names:
            member = declared.attributes.get(name)
            if member is None:
                if name in value:
                    self._undeclared(name, path)
                continue
            here = _below(path, name)
            if name not in value:
                if member.required:
                    self._fault(here, "is missing: the schema requires it")
                continue
            below = reads.members.get(name, WHOLE)
            converted[name] = self._value(value[name], member.type, below, here, whole=whole or below.whole)
        return converted

    def _value(self, value: JsonValue, declared: Type, reads: Reads, path: str, *, whole: bool) -> JsonValue:
        match declared:
            case Primitive(name):
                return self._scalar(value, path, name)
            case RecordType():
                return self._record(value, declared, reads, path, whole=whole)
            case SetType(element):
                if not isinstance(value, list):
                    self._mismatch(value, "Set", path)
                    return None
                return [
                    self._value(item, element, WHOLE, f"{path}[{index}]", whole=True)
                    for index, item in enumerate(value)
                ]
            case EntityType(name):
                return self._reference(value, name, reads, path)

    def _reference(self, value: JsonValue, declared: str, reads: Reads, path: str) -> JsonValue:
        if not isinstance(value, dict) or value.keys() != {"type", "id"}:
            self._mismatch(value, f"a reference `{{type, id}}` to {declared}", path)
            return None
        kind, name = value["type"], value["id"]
        if not isinstance(kind, str) or _full(kind) != declared:
            self._fault(path, f"is a reference to another type than {declared}")
            return None
        if self._scalar(name, f"{path}.id", "String") is None:
            return None
        if reads.members:
            self._needed.append((declared, cast("str", name), path))
        return {"__entity": {"type": declared, "id": name}}

    def _scalar(self, value: JsonValue, path: str, declared: str) -> JsonValue:
        try:
            # `type(...) is` and not isinstance: a bool is an int in Python, and a subclass may answer
            # differently
            # each time it is asked.
            if declared == "Bool" and type(value) is bool:
                return value
            if declared == "Long" and type(value) is int:
                return scalars.long_text(value)
            if declared == "decimal" and (type(value) is int or type(value) is float):
                return {"__extn": {"fn": "decimal", "arg": scalars.decimal_text(value)}}
            if type(value) is str:
                if declared == "String":
                    return scalars.string_text(value)
                extension = _TEXT_EXTENSIONS.get(declared)
                if extension is not None:
                    name, text = extension
                    return {"__extn": {"fn": name, "arg": text(value)}}
        except ValueError as error:
            self._fault(path, f"cannot be read by the policy engine: {error}")
            return None
        self._mismatch(value, declared, path)
        return None

    def _mismatch(self, value: JsonValue, declared: str, path: str) -> None:
        self._fault(path, f"is {_kind(value)}, the schema declares {declared}")

    def _undeclared(self, name: object, path: str) -> None:
        self._fault(_below(path, name), "is not declared in the schema")


_TEXT_EXTENSIONS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "datetime": ("datetime", scalars.datetime_text),
    "duration": ("duration", scalars.duration_text),
    "ipaddr": ("ip", scalars.ip_text),
}


def _full(kind: str) -> str:
    return f"{NAMESPACE}::{kind}"


_SHOWN = 80


def _short(text: object) -> str:
    shown = str(text).encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def _below(path: str, name: object) -> str:
    if isinstance(name, str) and name.isidentifier() and len(name) <= _SHOWN:
        return f"{path}.{name}"
    return f'{path}["{_short(name)}"]'


def _kind(value: object) -> str:
    match value:
        case None:
            return "null, which Cedar does not have"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a number with a fraction"
        case str():
            return "text"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return "no JSON value"
