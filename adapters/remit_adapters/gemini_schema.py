"""A tool's JSON Schema as the vendor's older `Schema`, for gateways that know no other.

What `Schema` cannot say is left out: it only helps the model to write arguments, which the gate judges by the
tool's own schema.

Sources: Gemini API reference, Schema; JSON Schema 2020-12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit_adapters.vendor_json import object_of, objects_of, text_of, texts_of

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

_TYPES = {
    "array": "ARRAY",
    "boolean": "BOOLEAN",
    "integer": "INTEGER",
    "null": "NULL",
    "number": "NUMBER",
    "object": "OBJECT",
    "string": "STRING",
}
_SAME = (
    "title",
    "description",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
)


def openapi_schema(schema: JsonObject) -> JsonObject:
    """Return `schema` as a `Schema`; references are put in place, those that lead back become objects."""
    return _converted(schema, schema, ())


def _converted(schema: JsonObject, root: JsonObject, within: tuple[str, ...]) -> JsonObject:
    reference = text_of(schema.get("$ref"))
    if reference:
        if reference in within:
            return {"type": "OBJECT"}
        beside = {member: value for member, value in schema.items() if member != "$ref"}
        return _converted({**_referred(root, reference), **beside}, root, (*within, reference))
    made: JsonObject = {}
    for part in objects_of(schema.get("allOf")):
        made = _joined(made, _converted(part, root, within))
    own: JsonObject = {member: schema[member] for member in _SAME if member in schema}
    own |= _kind(schema)
    properties = object_of(schema.get("properties"))
    if properties:
        own["properties"] = {
            name: _converted(object_of(value), root, within) for name, value in properties.items()
        }
        required: list[JsonValue] = [name for name in texts_of(schema.get("required")) if name in properties]
        if required:
            own["required"] = required
    items = object_of(schema.get("items")) or {"anyOf": schema.get("prefixItems")}
    if own.get("type") == "ARRAY":
        own["items"] = _converted(items, root, within)
    made = _joined(made, own)
    variants = objects_of(schema.get("anyOf")) + objects_of(schema.get("oneOf"))
    return _with_variants(made, [_converted(variant, root, within) for variant in variants])


def _kind(schema: JsonObject) -> JsonObject:
    """Return type, nullability and enumerated values."""
    given = schema.get("type")
    names = [given] if isinstance(given, str) else texts_of(given)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    listed = values if isinstance(values, list) else []
    kinds = [_TYPES[name] for name in names if name in _TYPES and name != "null"]
    if not kinds:
        kinds = _guessed(schema, listed)
    made: JsonObject = {}
    if len(kinds) == 1:
        made["type"] = kinds[0]
    elif kinds:
        made["anyOf"] = [{"type": kind} for kind in kinds]
    elif "null" in names:
        made["type"] = "NULL"
    if ("null" in names and kinds) or None in listed:
        made["nullable"] = True
    texts: list[JsonValue] = [*texts_of(listed)]
    # Values other than text cannot be listed on this wire.
    if texts and made.get("type") == "STRING":
        made["enum"] = texts
    return made


def _guessed(schema: JsonObject, listed: list[JsonValue]) -> list[str]:
    if "properties" in schema:
        return ["OBJECT"]
    if "items" in schema or "prefixItems" in schema:
        return ["ARRAY"]
    if texts_of(listed):
        return ["STRING"]
    return []


def _with_variants(made: JsonObject, variants: list[JsonObject]) -> JsonObject:
    some = [variant for variant in variants if variant.get("type") != "NULL"]
    if len(some) < len(variants):
        made = {**made, "nullable": True}
    if len(some) == 1:
        made = _joined(some[0], made)
    elif some and "anyOf" not in made:
        made = {**made, "anyOf": [*some]}
    if "type" not in made and "anyOf" not in made:
        # The wire wants a type; text stands for anything.
        made = {"type": "STRING", **made}
    return made


def _joined(first: JsonObject, second: JsonObject) -> JsonObject:
    """Return what holds under both, as far as it can be said."""
    both = {**first, **second}
    if "properties" in first and "properties" in second:
        both["properties"] = {**object_of(first["properties"]), **object_of(second["properties"])}
        wanted = {*texts_of(first.get("required")), *texts_of(second.get("required"))}
        both["required"] = [*sorted(wanted)]
    return both


def _referred(root: JsonObject, reference: str) -> JsonObject:
    if not reference.startswith("#"):
        return {}
    here: JsonValue = root
    for token in reference[1:].split("/")[1:]:
        here = object_of(here).get(token.replace("~1", "/").replace("~0", "~"))
    return object_of(here)
