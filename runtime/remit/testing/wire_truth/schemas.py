"""Schemas of an OpenAPI description as JSON Schemas, rewritten one component at a time when first used.

Three readings of each component
    plain    as described
    closed   members that are not named are refused, here and below
    inner    a part of a composition: refused below, but not here, where other parts name members too

A rewritten `$ref` is `READING:COMPONENT/MEMBER/…`, and the keyword `closed` lists the members that are named.
Words that constrain nothing (descriptions, examples, defaults) are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from remit.document.values import JsonObject, JsonValue

Reading = Literal["plain", "closed", "inner"]
_REFERENCE = "#/components/schemas/"
_UNIONS = ("anyOf", "oneOf")
_NULL: JsonObject = {"type": "null"}
_KEPT = frozenset(
    (
        "type",
        "enum",
        "const",
        "required",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "pattern",
    )
)
_TAGS = ("type", "object", "role", "event")
_MAX_DEPTH = 12


class Schemas:
    """The components of one description.

    Args:
        components: `components.schemas`, as described.
        complete: whether the description names every member there is; then even the plain reading is closed.
    """

    def __init__(self, components: Mapping[str, JsonValue], *, complete: bool = False) -> None:
        self._components = components
        self._complete = complete
        self._rewritten: dict[str, JsonValue] = {}
        self._outlines: dict[int, tuple[JsonValue, Outline]] = {}

    def reference(self, name: str, reading: Reading) -> JsonObject:
        """Return a schema that refers to a component."""
        return {"$ref": f"{reading}:{name}"}

    def inline(self, schema: JsonValue, reading: Reading) -> JsonValue:
        """Return a schema of the description that is no component, rewritten."""
        return self._rewrite(schema, self._read_as(reading), "")

    def resolve(self, reference: str) -> JsonValue:
        """Return the rewritten schema that a rewritten reference names.

        Raises:
            KeyError: the description has no such component.
        """
        found = self._rewritten.get(reference)
        if found is None:
            reading, _, name = reference.partition(":")
            read = self._read_as(cast("Reading", reading))
            found = self._rewrite(self._raw(name), read, name.partition("/")[0])
            self._rewritten[reference] = found
        return found

    def outline(self, schema: JsonValue) -> Outline:
        """Return which values a rewritten schema can fit at all."""
        known = self._outlines.get(id(schema))
        if known is None:
            # The schema is kept beside its outline, so that its id stays its own.
            known = (schema, self._outlined(schema, 0))
            self._outlines[id(schema)] = known
        return known[1]

    def branches(self, schema: JsonValue) -> Iterator[JsonObject]:
        """Yield the object schemas that a rewritten schema is a union of."""
        if not isinstance(schema, dict):
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield from self.branches(self.resolve(reference))
            return
        unions = [schema.get(word) for word in _UNIONS if word in schema]
        if not unions:
            yield schema
        for union in unions:
            for branch in cast("list[JsonValue]", union):
                yield from self.branches(branch)

    def _read_as(self, reading: Reading) -> Reading:
        return "closed" if self._complete and reading == "plain" else reading

    def _raw(self, name: str) -> JsonValue:
        component, *tokens = name.split("/")
        value = self._components[component]
        for token in tokens:
            value = value[int(token)] if isinstance(value, list) else cast("JsonObject", value)[token]
        return value

    def _rewrite(self, node: JsonValue, reading: Reading, component: str) -> JsonValue:
        """Rewrite one schema; `component` is what a recursive reference means."""
        if not isinstance(node, dict):
            return node
        nullable = node.get("nullable") is True
        parts = node.get("allOf")
        if isinstance(parts, list) and {"nullable": True} in parts:
            nullable = True
            node = {**node, "allOf": [part for part in parts if part != {"nullable": True}]}
        below: Reading = "plain" if reading == "plain" else "closed"
        written: JsonObject = {word: value for word, value in node.items() if word in _KEPT}
        self._rewrite_members(node, written, below, component)
        self._rewrite_composition(node, written, reading, component)
        if reading == "closed" and ("properties" in node or "allOf" in node):
            names = self._names(node, 0)
            if names and node.get("additionalProperties") is not False:
                written["closed"] = [*sorted(names)]
        return {"anyOf": [written, _NULL]} if nullable else written

    def _rewrite_members(self, node: JsonObject, written: JsonObject, below: Reading, component: str) -> None:
        properties = node.get("properties")
        if isinstance(properties, dict):
            written["properties"] = {
                name: self._rewrite(member, below, component) for name, member in properties.items()
            }
        for word in ("items", "additionalProperties", "propertyNames", "not"):
            if word in node:
                written[word] = self._rewrite(node[word], below if word != "not" else "plain", component)

    def _rewrite_composition(
        self, node: JsonObject, written: JsonObject, reading: Reading, component: str
    ) -> None:
        mixed = "properties" in node or "allOf" in node
        part: Reading = "plain" if reading == "plain" else "inner"
        branch: Reading = part if mixed else reading
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_REFERENCE):
            written["$ref"] = f"{branch}:{reference.removeprefix(_REFERENCE)}"
        elif isinstance(node.get("$recursiveRef"), str):
            written["$ref"] = f"{branch}:{component}"
        if isinstance(parts := node.get("allOf"), list):
            written["allOf"] = [self._rewrite(member, part, component) for member in parts]
        for word in _UNIONS:
            if isinstance(members := node.get(word), list):
                written[word] = [self._rewrite(member, branch, component) for member in members]

    def _names(self, node: JsonValue, depth: int) -> frozenset[str] | None:
        """Return every member that a described schema names; None where it takes others too."""
        if not isinstance(node, dict) or depth > _MAX_DEPTH:
            return None
        more = node.get("additionalProperties", False)
        if more is not False or "patternProperties" in node:
            return None
        names: set[str] = set()
        properties = node.get("properties")
        if isinstance(properties, dict):
            names.update(properties)
        below: list[JsonValue] = []
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_REFERENCE):
            below.append(self._raw(reference.removeprefix(_REFERENCE)))
        for word in ("allOf", *_UNIONS):
            members = node.get(word)
            below.extend(members if isinstance(members, list) else [])
        if not below and not isinstance(properties, dict):
            # A part that only demands members, or takes no object at all, names none.
            # A free object takes any.
            silent = "required" in node or "nullable" in node or node.get("type", "object") != "object"
            return frozenset() if silent else None
        for member in below:
            found = self._names(member, depth + 1)
            if found is None:
                return None
            names |= found
        return frozenset(names)

    def _outlined(self, schema: JsonValue, depth: int) -> Outline:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return Outline()
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._outlined(self.resolve(reference), depth + 1)
        for word in _UNIONS:
            members = schema.get(word)
            if isinstance(members, list):
                return _either([self._outlined(member, depth + 1) for member in members])
        parts = schema.get("allOf")
        if isinstance(parts, list):
            return _both([self._outlined(member, depth + 1) for member in parts])
        kind = schema.get("type")
        kinds = frozenset([kind]) if isinstance(kind, str) else None
        properties = schema.get("properties")
        tags: dict[str, frozenset[str]] = {}
        if isinstance(properties, dict):
            kinds = kinds or frozenset(["object"])
            for tag in _TAGS:
                values = self._values(properties.get(tag), depth + 1)
                if values:
                    tags[tag] = values
        return Outline(kinds=kinds, tags=tags)

    def _values(self, schema: JsonValue, depth: int) -> frozenset[str]:
        """Return the texts that a schema allows; empty where it allows any."""
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return frozenset()
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._values(self.resolve(reference), depth + 1)
        if isinstance(schema.get("const"), str):
            return frozenset([cast("str", schema["const"])])
        values = schema.get("enum")
        if isinstance(values, list):
            return frozenset(value for value in values if isinstance(value, str))
        for word in _UNIONS:
            members = schema.get(word)
            if isinstance(members, list):
                found = [self._values(member, depth + 1) for member in members if member != _NULL]
                return frozenset[str]().union(*found) if all(found) else frozenset()
        return frozenset()


class Outline:
    """Which values a schema can fit, seen from afar.

    Args:
        kinds: JSON types; None where any.
        tags: for members that tell objects apart: the texts they may be, where present.
    """

    __slots__ = ("kinds", "tags")

    def __init__(
        self, *, kinds: frozenset[str] | None = None, tags: dict[str, frozenset[str]] | None = None
    ) -> None:
        self.kinds = kinds
        self.tags = tags or {}

    def fits(self, value: object) -> bool:
        """Whether a value may fit; False is certain."""
        if self.kinds is not None and not any(is_kind(value, kind) for kind in self.kinds):
            return False
        if isinstance(value, dict):
            members = cast("JsonObject", value)
            for tag, values in self.tags.items():
                said = members.get(tag)
                if isinstance(said, str) and said not in values:
                    return False
        return True


def is_kind(value: object, kind: str) -> bool:
    """Whether a value is of a JSON Schema type."""
    if kind == "integer":
        whole = isinstance(value, float) and value.is_integer()
        return whole or (isinstance(value, int) and not isinstance(value, bool))
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "null":
        return value is None
    types: dict[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool}
    return isinstance(value, types[kind]) if kind in types else True


def _either(outlines: list[Outline]) -> Outline:
    kinds: set[str] = set()
    for outline in outlines:
        if outline.kinds is None:
            return Outline()
        kinds |= outline.kinds
    objects = [outline for outline in outlines if outline.kinds and "object" in outline.kinds]
    tags = {
        tag: frozenset[str]().union(*(outline.tags[tag] for outline in objects))
        for tag in _TAGS
        if objects and all(tag in outline.tags for outline in objects)
    }
    return Outline(kinds=frozenset(kinds), tags=tags)


def _both(outlines: list[Outline]) -> Outline:
    kinds: frozenset[str] | None = None
    tags: dict[str, frozenset[str]] = {}
    for outline in outlines:
        if outline.kinds is not None:
            kinds = outline.kinds if kinds is None else (kinds & outline.kinds) or None
        for tag, values in outline.tags.items():
            tags[tag] = tags[tag] & values if tag in tags else values
    return Outline(kinds=kinds, tags=tags)
