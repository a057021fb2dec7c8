"""JSON Schema to Cedar type, through Cedar's own generator.

What the generator does not know is reduced to what it knows first; nothing here maps a type by itself.

Rules
1. `enum` and `const` count by the type of their values: an enumeration of strings is a string.
2. A union with `null` is the other alternative, and then optional: a policy must ask with `has`.
3. `integer` beside `number` is a number. Other unions, recursive types and schemas without a type have no
   counterpart: their Cedar type is the empty entity type `Unknown`, which no policy can look into.
4. Of all formats only `date-time` is a type of its own; other text is text.
5. `additionalProperties` is not shown to policies: what a policy reads must be declared.
6. Member names go to the generator as `p0`, `p1`, … and are put back after it, so any JSON name will do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from cedar_mcp_schema_generator import generate_schema

from remit.document.values import JsonObject, JsonValue
from remit.engine.request import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

_STUB = """
namespace Remit {
  @mcp_principal("Agent") entity Agent;
  @mcp_resource("Tool") entity Tool;
  @mcp_action("call_tool") action "call_tool";
}
"""
_CONFIG: dict[str, object] = {
    "objectsAsRecords": True,
    "numbersAsDecimal": True,
    "eraseAnnotations": True,
    "flattenNamespaces": True,
}
_MAX_NODES = 5_000
_MAX_DEPTH = 32
_SCALARS = {"string", "integer", "number", "boolean"}
_CEDAR_TYPES = {"String", "Long", "Bool", "Boolean", "decimal", "datetime", "duration", "ipaddr"}
_UNTYPED: JsonObject = {}


class SchemaFaultError(Exception):
    """A JSON Schema that cannot become a Cedar type.

    Attributes:
        message: see `Fault`.
        path: JSON pointer of the member concerned within the schema.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path


def base_schema(text: str) -> JsonObject:
    """Return the JSON form of a base schema written in Cedar's syntax.

    Raises:
        SchemaFaultError: the text is not a schema with the generator's annotations.
    """
    return _generated(text, [])


def cedar_record(schema: JsonObject) -> JsonObject:
    """Return the Cedar record type, in JSON form and complete in itself, of a JSON Schema of type object.

    Raises:
        SchemaFaultError: the schema is no object schema, refers to what is not there, or is too large.
    """
    reduction = _Reduction(schema)
    reduced, _ = reduction.reduce(schema, "", ())
    if reduced.get("type") != "object":
        raise SchemaFaultError("the schema must have type `object`", "/type" if "type" in schema else "")
    output = _generated(_STUB, [{"name": "t", "description": "", "inputSchema": reduced}])
    types = cast("dict[str, JsonObject]", cast("JsonObject", output[NAMESPACE])["commonTypes"])
    return _inlined(types["tInput"], types, reduction.names)


def value_schema(value: JsonValue) -> JsonObject:
    """Return the JSON Schema of exactly the type of `value`; all members required.

    Raises:
        SchemaFaultError: a null, or an array whose items differ in type.
    """
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer"}
    if isinstance(value, float):
        return {"type": "number"}
    if isinstance(value, str):
        return {"type": "string"}
    if isinstance(value, list):
        return {"type": "array", "items": _items_schema(value)}
    if value is None:
        raise SchemaFaultError("null has no Cedar type: leave the attribute out")
    properties: JsonObject = {}
    for name, member in value.items():
        try:
            properties[name] = value_schema(member)
        except SchemaFaultError as error:
            raise SchemaFaultError(error.message, f"/{_step(name)}{error.path}") from error
    return {"type": "object", "properties": properties, "required": list[JsonValue](value)}


def _items_schema(items: list[JsonValue]) -> JsonObject:
    schemas = [value_schema(item) for item in items]
    if not schemas:
        return {"type": "string"}
    if {"type": "number"} in schemas and all(schema["type"] in {"number", "integer"} for schema in schemas):
        return {"type": "number"}
    if any(schema != schemas[0] for schema in schemas):
        raise SchemaFaultError("the items of an array must have one type: Cedar sets hold one type")
    return schemas[0]


def unreadable_types(cedar_type: JsonObject) -> frozenset[str]:
    """Return the names of the entity types without content that stand in a type for what Cedar cannot say."""
    if cedar_type.get("type") == "Entity":
        return frozenset({cast("str", cedar_type["name"]).rpartition("::")[2]})
    return frozenset[str]().union(*(unreadable_types(inner) for inner in _inner_types(cedar_type)))


def _inner_types(cedar_type: JsonObject) -> Iterator[JsonObject]:
    if cedar_type.get("type") == "Record":
        yield from cast("dict[str, JsonObject]", cedar_type["attributes"]).values()
    elif cedar_type.get("type") == "Set":
        yield cast("JsonObject", cedar_type["element"])


def _generated(stub: str, tools: list[dict[str, object]]) -> JsonObject:
    result = generate_schema(stub, tools, config=_CONFIG)
    if not result["isOk"]:
        raise SchemaFaultError(f"no Cedar type for this schema: {result['error']}")
    return cast("JsonObject", json.loads(cast("str", result["schemaJson"])))


def _inlined(cedar_type: JsonObject, types: dict[str, JsonObject], names: dict[str, str]) -> JsonObject:
    kind = cedar_type["type"]
    name = cast("str", cedar_type.get("name", kind))
    short = name.rpartition("::")[2]
    if kind not in {"Record", "Set", "Entity"} and name not in _CEDAR_TYPES and short in types:
        kept: JsonObject = {} if cedar_type.get("required", True) else {"required": False}
        return {**_inlined(types[short], types, names), **kept}
    if kind == "Record":
        attributes = cast("dict[str, JsonObject]", cedar_type["attributes"])
        inner: JsonObject = {names[key]: _inlined(item, types, names) for key, item in attributes.items()}
        return {**cedar_type, "attributes": inner}
    if kind == "Set":
        return {**cedar_type, "element": _inlined(cast("JsonObject", cedar_type["element"]), types, names)}
    return cedar_type


class _Reduction:
    """One schema on its way to the generator; counts nodes so that references cannot explode."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._nodes = 0
        self.names: dict[str, str] = {}

    def reduce(self, schema: JsonValue, path: str, open_refs: tuple[str, ...]) -> tuple[JsonObject, bool]:
        """Return the reduced schema and whether null is admitted beside it."""
        self._nodes += 1
        if self._nodes > _MAX_NODES or path.count("/") + len(open_refs) > 2 * _MAX_DEPTH:
            raise SchemaFaultError(
                f"the schema is too large: over {_MAX_NODES} members or {_MAX_DEPTH} levels"
            )
        if isinstance(schema, bool):
            return _UNTYPED, False
        if not isinstance(schema, dict):
            raise SchemaFaultError("a schema must be an object, true or false", path)
        reference = schema.get("$ref")
        if reference is not None:
            if reference in open_refs:
                return _UNTYPED, True
            target = self._target(reference, path)
            return self.reduce(target, path, (*open_refs, cast("str", reference)))
        for key in ("anyOf", "oneOf", "allOf"):
            choices = schema.get(key)
            if isinstance(choices, list):
                return self._choice(schema, key, choices, path, open_refs)
        kinds = _kinds(schema, path)
        nullable = "null" in kinds
        kinds.discard("null")
        if kinds == {"integer", "number"}:
            kinds = {"number"}
        if len(kinds) != 1:
            return _UNTYPED, nullable
        return self._typed(schema, kinds.pop(), path, open_refs), nullable

    def _typed(self, schema: JsonObject, kind: str, path: str, open_refs: tuple[str, ...]) -> JsonObject:
        if kind == "object":
            return self._object(schema, path, open_refs)
        if kind == "array":
            items, _ = self.reduce(schema.get("items", True), f"{path}/items", open_refs)
            return {"type": "array", "items": items}
        if kind == "string" and schema.get("format") == "date-time":
            return {"type": "string", "format": "date-time"}
        return {"type": kind}

    def _object(self, schema: JsonObject, path: str, open_refs: tuple[str, ...]) -> JsonObject:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict):
            raise SchemaFaultError("`properties` must be an object", f"{path}/properties")
        if not isinstance(required, list):
            raise SchemaFaultError("`required` must be an array", f"{path}/required")
        members: JsonObject = {}
        needed: list[JsonValue] = []
        for name, member in properties.items():
            inner, nullable = self.reduce(member, f"{path}/properties/{_step(name)}", open_refs)
            alias = f"p{len(self.names)}"
            self.names[alias] = name
            members[alias] = inner
            if name in required and not nullable:
                needed.append(alias)
        return {"type": "object", "properties": members, "required": needed}

    def _choice(
        self, schema: JsonObject, key: str, choices: list[JsonValue], path: str, open_refs: tuple[str, ...]
    ) -> tuple[JsonObject, bool]:
        nullable = False
        found: list[JsonObject] = []
        beside = {name for name in schema if name in {"type", "properties", "required", "items"}}
        for index, choice in enumerate(choices):
            if choice == {"type": "null"}:
                nullable = True
                continue
            inner, also = self.reduce(choice, f"{path}/{key}/{index}", open_refs)
            nullable = nullable or also
            if not any(self._same(inner, other) for other in found):
                found.append(inner)
        if len(found) == 1 and not beside:
            return found[0], nullable
        if (
            not beside
            and found
            and all(choice in ({"type": "number"}, {"type": "integer"}) for choice in found)
        ):
            return {"type": "number"}, nullable
        if beside:
            plain = {name: value for name, value in schema.items() if name != key}
            inner, also = self.reduce(plain, path, open_refs)
            return inner, nullable or also
        return _UNTYPED, nullable

    def _same(self, left: JsonObject, right: JsonObject) -> bool:
        return left == right and left.get("type") in _SCALARS

    def _target(self, reference: JsonValue, path: str) -> JsonValue:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaFaultError(
                "`$ref` must point into the same schema, like `#/$defs/Name`", f"{path}/$ref"
            )
        target: JsonValue = self._root
        for raw in reference.split("/")[1:]:
            step = raw.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or step not in target:
                raise SchemaFaultError(f"`$ref` points at nothing: `{reference}`", f"{path}/$ref")
            target = target[step]
        return target


def _kinds(schema: JsonObject, path: str) -> set[str]:
    declared = schema.get("type")
    if isinstance(declared, str):
        kinds = {declared}
    elif isinstance(declared, list):
        kinds = {str(kind) for kind in declared}
    elif declared is not None:
        raise SchemaFaultError("`type` must be a string or an array of strings", f"{path}/type")
    elif "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        kinds = {_kind_of(value) for value in values} if isinstance(values, list) else set[str]()
    elif "properties" in schema:
        kinds = {"object"}
    else:
        kinds = set[str]()
    unknown = sorted(kinds - _SCALARS - {"object", "array", "null"})
    if unknown:
        raise SchemaFaultError(f"unknown type `{unknown[0]}`", f"{path}/type")
    return kinds


def _kind_of(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
