"""A quick yes for tool arguments that fit plain schemas; every no and every doubt is left to jsonschema.

Rules
1. A yes is a promise: jsonschema would find no fault (a property test compares the two).
2. A no means nothing: the caller asks jsonschema, which also finds the words.
3. A schema with a keyword that is not listed here has no quick answer.

Why: jsonschema takes longer over five plain arguments than everything else between the ask and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

Acceptance = Callable[["JsonValue"], bool]
"""True: the value certainly fits."""

_NOTES = frozenset({"$comment", "default", "deprecated", "description", "examples", "title"})
"""Keywords that assert nothing."""

_TYPES: dict[str, frozenset[type]] = {
    "array": frozenset({list}),
    "boolean": frozenset({bool}),
    # An integral float is an integer too; that is left to jsonschema.
    "integer": frozenset({int}),
    "null": frozenset({type(None)}),
    "number": frozenset({int, float}),
    "object": frozenset({dict}),
    "string": frozenset({str}),
}
_ANY: frozenset[type] = frozenset({bool, dict, float, int, list, str, type(None)})
_MAX_DEPTH = 16
"""Schemas nested deeper have no quick answer."""


def acceptance_of(schema: object, *, depth: int = 0) -> Acceptance | None:
    """Return the quick yes of a JSON Schema that is known to be one; None where it has none.

    Args:
        schema: the schema.
        depth: how deep it stands within another.
    """
    if schema is True:
        return _any
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    members = cast("JsonObject", schema)
    words = {name: value for name, value in members.items() if name not in _NOTES}
    kinds = _kinds(words.pop("type", None))
    if kinds is None:
        return None
    if kinds == _TYPES["object"]:
        return _object(words, depth)
    if kinds == _TYPES["array"]:
        return _array(words, depth)
    return _scalar(words, kinds)


def _kinds(named: JsonValue) -> frozenset[type] | None:
    if named is None:
        return _ANY
    found: set[type] = set()
    for name in named if isinstance(named, list) else [named]:
        kinds = _TYPES.get(name) if isinstance(name, str) else None
        if kinds is None:
            return None
        found |= kinds
    return frozenset(found)


def _scalar(words: JsonObject, kinds: frozenset[type]) -> Acceptance | None:
    if not words:
        return lambda value: type(value) in kinds
    # Texts alone: between numbers and booleans, JSON and Python differ about what is equal.
    choices = words.get("enum")
    if set(words) != {"enum"} or kinds != _TYPES["string"] or not isinstance(choices, list):
        return None
    allowed = frozenset(choice for choice in choices if isinstance(choice, str))
    return lambda value: type(value) is str and value in allowed


def _array(words: JsonObject, depth: int) -> Acceptance | None:
    if not words:
        return lambda value: type(value) is list
    if set(words) != {"items"}:
        return None
    item = acceptance_of(words["items"], depth=depth + 1)
    if item is None:
        return None
    return lambda value: type(value) is list and all(map(item, value))


def _object(words: JsonObject, depth: int) -> Acceptance | None:
    if not words.keys() <= {"additionalProperties", "properties", "required"}:
        return None
    properties = words.get("properties", {})
    required = words.get("required", [])
    further = words.get("additionalProperties", True)
    if not isinstance(properties, dict) or not isinstance(required, list) or not isinstance(further, bool):
        return None
    parts = {name: acceptance_of(part, depth=depth + 1) for name, part in properties.items()}
    known = {name: part for name, part in parts.items() if part is not None}
    if len(known) < len(parts):
        return None
    needed = frozenset(name for name in required if isinstance(name, str))

    def accepts(value: JsonValue) -> bool:
        if type(value) is not dict or not needed <= value.keys():
            return False
        for name, member in value.items():
            part = known.get(name)
            if part is None:
                if not further:
                    return False
            elif not part(member):
                return False
        return True

    return accepts


def _any(value: JsonValue) -> bool:
    del value
    return True
