"""From a request's checked JSON to Cedar's values, guided by the declared type."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from remit.engine.compiled.extensions import read_datetime, read_decimal, read_duration, read_ip
from remit.engine.compiled.values import key
from remit.engine.schema import EntityType, Primitive, RecordType, SetType, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.engine.compiled.values import Lifts, Value

READERS: Mapping[str, Callable[[object], Value]] = {
    "decimal": read_decimal,
    "datetime": read_datetime,
    "duration": read_duration,
    "ipaddr": read_ip,
}
"""Of the extension types: raise `ValueError` where the ingress walk finds a fault."""


def same(value: object) -> Value:
    """Return what is raw and value alike."""
    return value


def lifter(declared: Type) -> Callable[[object], Value]:
    """Return the function from raw to value for one type; its argument has passed the ingress check."""
    match declared:
        case Primitive(name):
            return READERS.get(name, same)
        case EntityType(name):
            return lambda raw: (name, cast("dict[str, object]", raw)["id"])
        case SetType(element):
            lift = lifter(element)
            return lambda raw: frozenset(key(lift(item)) for item in cast("list[object]", raw))
        case RecordType(attributes):
            members = tuple((name, lifter(member.type)) for name, member in attributes.items())

            def lift_record(raw: object) -> Value:
                given = cast("dict[str, object]", raw)
                return {name: lift(given[name]) for name, lift in members if name in given}

            return lift_record


def entity_lifts(entities: Mapping[str, RecordType]) -> Lifts:
    """Return the lifters of all attributes of all entity types."""
    return {
        kind: {name: lifter(member.type) for name, member in declared.attributes.items()}
        for kind, declared in entities.items()
    }
