"""What is wrong with a value, told without the value: position, kind, and what its schema expects.

Such a message stands in the body of a ledger's record, which is never erased, and a value may be data of a
person. What is told of a value is therefore its JSON type and where it stands; everything else in the message
was written by the schema's author. Member names that the schema does not declare are the value's own, and are
not told either.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import jsonschema

    from remit.document.values import JsonObject, JsonValue

UNDECLARED: Final = "*"
"""Stands in a position for a member name that the schema does not declare."""

_SHOWN: Final = 160


def declared_names(schema: JsonValue) -> frozenset[str]:
    """Return the names of all members that a schema declares, at whatever depth."""
    found: set[str] = set()
    left = [schema]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            members = item.get("properties")
            if isinstance(members, dict):
                found.update(members)
            left.extend(item.values())
    return frozenset(found)


def steps_told(path: Iterable[str | int], schema: JsonObject) -> tuple[str | int, ...]:
    """Return the steps to a position as they may be told: an undeclared name is `UNDECLARED`."""
    names = declared_names(schema)
    return tuple(step if isinstance(step, int) or step in names else UNDECLARED for step in path)


def value_fault(error: jsonschema.ValidationError) -> str:
    """Say what jsonschema found, without anything of the value but its JSON type."""
    keyword = cast("str | None", error.validator)
    expected = cast("JsonValue", error.validator_value)
    told = _TOLD.get(keyword or "")
    if keyword in _AUTHORED:
        text = str(error.message)
    elif keyword is None:
        text = "the schema allows nothing here"
    elif told is None:
        text = f"does not fit `{keyword}` of the schema"
    else:
        text = told(expected, cast("JsonValue", error.instance))
    if "propertyNames" in error.absolute_schema_path:
        text = f"the name of a member: {text}"
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def _type(expected: JsonValue, value: JsonValue) -> str:
    kinds = [str(kind) for kind in (expected if isinstance(expected, list) else [expected])]
    return f"is {_kind(value)}, expected is {' or '.join(_ARTICLES.get(kind, kind) for kind in kinds)}"


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number"
    return "an array" if isinstance(value, list) else "an object"


def _plain(sentence: str) -> Callable[[JsonValue, JsonValue], str]:
    return lambda expected, _: sentence.format(json.dumps(expected, ensure_ascii=False))


_ARTICLES: Final = {
    "string": "a text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}
_AUTHORED: Final = frozenset({"required", "dependentRequired"})
"""Keywords whose message names what the schema's author wrote, and nothing else."""

_TOLD: Final[dict[str, Callable[[JsonValue, JsonValue], str]]] = {
    "type": _type,
    "enum": _plain("is none of {}"),
    "const": _plain("is not {}"),
    "minimum": _plain("is less than {}"),
    "maximum": _plain("is more than {}"),
    "exclusiveMinimum": _plain("is not more than {}"),
    "exclusiveMaximum": _plain("is not less than {}"),
    "multipleOf": _plain("is no multiple of {}"),
    "minLength": _plain("is shorter than {} characters"),
    "maxLength": _plain("is longer than {} characters"),
    "minItems": _plain("has fewer than {} elements"),
    "maxItems": _plain("has more than {} elements"),
    "minProperties": _plain("has fewer than {} members"),
    "maxProperties": _plain("has more than {} members"),
    "uniqueItems": _plain("has an element twice"),
    "pattern": _plain("does not match {}"),
    "format": _plain("is no {}"),
    "additionalProperties": _plain("has a member that the schema does not declare"),
    "unevaluatedProperties": _plain("has a member that the schema does not declare"),
    "anyOf": _plain("fits none of the alternatives that the schema allows"),
    "oneOf": _plain("does not fit exactly one of the alternatives that the schema allows"),
}
