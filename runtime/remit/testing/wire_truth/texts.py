"""Texts of a query or a form, read as the types that a schema wants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wire_truth.schemas import Schemas

_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def typed(schemas: Schemas, schema: JsonValue, value: JsonValue) -> JsonValue:
    """Return a value whose texts have become what the schema wants, where they can.

    Args:
        schemas: resolves the schema's references.
        schema: rewritten.
        value: texts, and arrays and objects of them.
    """
    branches = [*schemas.branches(schema)]
    items = next((branch["items"] for branch in branches if "items" in branch), None)
    if isinstance(value, list):
        return [typed(schemas, items, item) for item in value]
    if isinstance(value, dict):
        members: JsonObject = {}
        for branch in branches:
            properties = branch.get("properties")
            members |= properties if isinstance(properties, dict) else {}
        return {name: typed(schemas, members.get(name), member) for name, member in value.items()}
    if not isinstance(value, str):
        return value
    kinds = {kind for branch in branches if isinstance(kind := branch.get("type"), str)}
    if "array" in kinds and "string" not in kinds:
        return [typed(schemas, items, value)]
    return _scalar(kinds, value)


def _scalar(kinds: set[str], text: str) -> JsonValue:
    if "string" in kinds:
        return text
    if "boolean" in kinds and text in ("true", "false"):
        return text == "true"
    if "integer" in kinds and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in kinds and _NUMBER.fullmatch(text):
        return float(text)
    return text
