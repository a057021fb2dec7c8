"""JSON Schemas inside a document: whether one is acceptable, and whether a value conforms to one.

Rules
1. A schema is valid Draft 2020-12 by its meta-schema, and its patterns compile.
2. It refers only within itself (`#…`), so that nothing is ever fetched.
3. null stands only under `default`, `enum`, `const` and `examples`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from remit.document.json_text import printable
from remit.document.value_faults import steps_told, value_fault
from remit.document.values import JsonObject, JsonValue, canonical_bytes, pointer_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jsonschema import Draft202012Validator, ValidationError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VALUE_KEYWORDS = ("default", "enum", "const", "examples")
_MAPS_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_CACHED = 512


def schema_faults(schema: JsonObject, *, of_object: bool = False) -> tuple[tuple[str, str], ...]:
    """Return `(pointer within the schema, what is wrong)` for everything that makes a schema unacceptable.

    Args:
        schema: the schema.
        of_object: whether it must describe objects (`"type": "object"`).
    """
    faults = _schema_faults(canonical_bytes(schema))
    if of_object and schema.get("type") != "object":
        faults = (*faults, ("", 'the schema must have `"type": "object"`'))
    return faults


@lru_cache(maxsize=_CACHED)
def _schema_faults(canonical: bytes) -> tuple[tuple[str, str], ...]:
    import json

    from jsonschema import Draft202012Validator

    schema = cast("JsonObject", json.loads(canonical))
    faults: list[tuple[str, str]] = []
    if schema.get("$schema", DIALECT) != DIALECT:
        faults.append(("/$schema", f"`$schema` is not `{DIALECT}`"))
    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    try:
        for error in meta.iter_errors(schema):  # pyright: ignore[reportUnknownMemberType]
            pointer = "".join(pointer_to("", token) for token in error.absolute_path)
            faults.append((pointer, f"is no JSON Schema: {printable(error.message)}"))
    except RecursionError:
        faults.append(("", "is no JSON Schema: nested too deep to check"))
    faults.extend(_own_faults(schema, schema, ""))
    return tuple(dict.fromkeys(faults))


def _own_faults(value: JsonValue, root: JsonObject, pointer: str) -> Iterator[tuple[str, str]]:
    """Apply rules 2 and 3 and compile patterns; `value` stands where a schema stands."""
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield from _own_faults(element, root, pointer_to(pointer, index))
        return
    if value is None:
        yield pointer, "null may not stand here in a schema"
    if not isinstance(value, dict):
        return
    for name, member in value.items():
        if name not in _VALUE_KEYWORDS:
            yield from _keyword_faults(name, member, root, pointer_to(pointer, name))


def _keyword_faults(name: str, member: JsonValue, root: JsonObject, place: str) -> Iterator[tuple[str, str]]:
    """Judge one keyword of a schema."""
    if name in ("$ref", "$dynamicRef") and isinstance(member, str):
        yield from _reference_fault(member, root, place)
    elif name == "$id":
        yield place, "`$id` may not stand in a document's schema: references stay within it"
    elif name == "pattern" and isinstance(member, str):
        yield from _pattern_fault(member, place)
    elif name in _MAPS_OF_SCHEMAS and isinstance(member, dict):
        for key, schema in member.items():
            if name == "patternProperties":
                yield from _pattern_fault(key, pointer_to(place, key))
            yield from _own_faults(schema, root, pointer_to(place, key))
    else:
        yield from _own_faults(member, root, place)


def _reference_fault(reference: str, root: JsonObject, place: str) -> Iterator[tuple[str, str]]:
    if not reference.startswith("#"):
        yield place, f"the reference `{printable(reference)}` leaves the document: only `#…` is followed"
    elif not _resolves(reference, root):
        yield place, f"the reference `{printable(reference)}` leads nowhere"


def _pattern_fault(pattern: str, place: str) -> Iterator[tuple[str, str]]:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        yield place, f"the pattern `{printable(pattern)}` does not compile: {printable(str(error))}"


def _resolves(reference: str, root: JsonObject) -> bool:
    if reference == "#":
        return True
    if not reference.startswith("#/"):
        return _has_anchor(root, reference[1:])
    node: JsonValue = root
    for token in reference[2:].split("/"):
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(node):
            node = node[int(name[:9])]
        else:
            return False
    return isinstance(node, (dict, bool))


def _has_anchor(value: JsonValue, name: str) -> bool:
    if isinstance(value, dict):
        if name in (value.get("$anchor"), value.get("$dynamicAnchor")):
            return True
        return any(_has_anchor(member, name) for member in value.values())
    return isinstance(value, list) and any(_has_anchor(element, name) for element in value)


@lru_cache(maxsize=_CACHED)
def _validator(canonical: bytes) -> Draft202012Validator:
    import json

    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry retrieves nothing: rule 2 holds even if a reference slipped through.
    registry: Registry[Any] = Registry()
    return Draft202012Validator(json.loads(canonical), registry=registry)


class Conformance:
    """Checks values against one acceptable schema.

    Args:
        schema: a schema without `schema_faults`.
    """

    def __init__(self, schema: JsonObject) -> None:
        self._text_only = schema == {"type": "string"}
        self._canonical = canonical_bytes(schema)
        self._schema = schema

    def faults(self, value: JsonValue) -> tuple[tuple[str, str], ...]:
        """Return `(pointer within the value, what is wrong)`; empty where the value conforms.

        For the author of the value: what is wrong may quote it.
        """
        return self._found(value, lambda error: (_pointer(error.absolute_path), printable(error.message)))

    def told_faults(self, value: JsonValue) -> tuple[tuple[str, str], ...]:
        """Return the same without anything of the value, for people and for records that are never erased."""
        return self._found(
            value,
            lambda error: (_pointer(steps_told(error.absolute_path, self._schema)), value_fault(error)),
        )

    def _found(
        self, value: JsonValue, told: Callable[[ValidationError], tuple[str, str]]
    ) -> tuple[tuple[str, str], ...]:
        if self._text_only and isinstance(value, str):
            return ()
        from referencing.exceptions import Unresolvable

        try:
            return tuple(
                told(error)
                for error in _validator(self._canonical).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]
            )
        except RecursionError:
            return (("", "the schema refers to itself without end"),)
        except Unresolvable:
            return (("", "the schema has a reference that leads nowhere"),)


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(pointer_to("", token) for token in path)
