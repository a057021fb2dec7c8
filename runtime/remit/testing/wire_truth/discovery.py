"""Google's discovery document as JSON Schemas and operations.

Rules
1. A reference is the id of a schema.
   An object with `properties` takes no other member, since it is a message.
2. 64-bit integers are texts of digits, or numbers, as the JSON mapping of protocol buffers allows.
3. Bytes are Base64 text.
4. In a request, names may be those of the message definition, with underscores.
5. A description that begins with `Required.` makes a member required.

Sources: Google API discovery service, document reference; protocol buffers, ProtoJSON format; AIP-193.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.testing.wire_truth.exemptions import corrected
from remit.testing.wire_truth.operations import Events, Operation, Operations, Parameter
from remit.testing.wire_truth.schemas import Schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wire_truth.exemptions import Exemption

_REQUIRED = re.compile(r"\s*Required\b")
_UNDERSCORE = re.compile(r"_([a-z0-9])")
_DIGITS = r"^-?[0-9]+$"
_BASE64 = r"^[A-Za-z0-9+/_-]*={0,2}$"
_ERROR: JsonObject = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "status": {
                    "type": "string",
                    "enum": [
                        "CANCELLED",
                        "UNKNOWN",
                        "INVALID_ARGUMENT",
                        "DEADLINE_EXCEEDED",
                        "NOT_FOUND",
                        "ALREADY_EXISTS",
                        "PERMISSION_DENIED",
                        "UNAUTHENTICATED",
                        "RESOURCE_EXHAUSTED",
                        "FAILED_PRECONDITION",
                        "ABORTED",
                        "OUT_OF_RANGE",
                        "UNIMPLEMENTED",
                        "INTERNAL",
                        "UNAVAILABLE",
                        "DATA_LOSS",
                    ],
                },
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """A discovery document, ready for use; members as in `Description`."""

    schemas: Schemas
    operations: Operations
    error: JsonValue
    query: frozenset[str]
    idle: tuple[Exemption, ...]


def discovered(document: JsonObject) -> Discovered:
    """Read a discovery document."""
    described = _object(document.get("schemas"))
    components: JsonObject = {name: converted(_object(schema)) for name, schema in described.items()}
    fixed, idle = corrected("gemini", components)
    schemas = Schemas(fixed, complete=True)
    operations = tuple(_operations(_object(document.get("resources")), schemas))
    return Discovered(
        schemas=schemas,
        operations=Operations(operations),
        error=_ERROR,
        query=frozenset(_object(document.get("parameters"))),
        idle=idle,
    )


def converted(schema: JsonObject) -> JsonObject:
    """Return a schema of a discovery document as JSON Schema with OpenAPI's references."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return {"$ref": f"#/components/schemas/{reference}"}
    kind, form = schema.get("type"), schema.get("format")
    if kind == "any":
        return {}
    if form in ("int64", "uint64"):
        return {"anyOf": [{"type": "string", "pattern": _DIGITS}, {"type": "integer"}]}
    made: JsonObject = {"type": kind}
    if form == "byte":
        made["pattern"] = _BASE64
    if "enum" in schema:
        made["enum"] = schema["enum"]
    if "items" in schema:
        made["items"] = converted(_object(schema["items"]))
    if "additionalProperties" in schema:
        made["additionalProperties"] = converted(_object(schema["additionalProperties"]))
    properties = schema.get("properties")
    if isinstance(properties, dict):
        made["properties"] = {name: converted(_object(member)) for name, member in properties.items()}
        made["additionalProperties"] = False
        needed: list[JsonValue] = [
            name
            for name, member in properties.items()
            if _REQUIRED.match(str(_object(member).get("description", "")))
        ]
        if needed:
            made["required"] = needed
    return made


def with_json_names(schemas: Schemas, schema: JsonValue, value: JsonValue) -> JsonValue:
    """Return a request's value with the names of the description.

    A service reads a member under its JSON name and under the name of its message definition
    (`maxItems`, `max_items`), and the vendor's client sends both kinds.
    """
    branches = [*schemas.branches(schema)]
    if isinstance(value, list):
        items = next((branch["items"] for branch in branches if "items" in branch), None)
        return [with_json_names(schemas, items, item) for item in value]
    if not isinstance(value, dict):
        return value
    members: JsonObject = {}
    more: JsonValue = None
    for branch in branches:
        members |= _object(branch.get("properties"))
        more = branch.get("additionalProperties", more)
    named: JsonObject = {}
    for name, member in value.items():
        json_name = _UNDERSCORE.sub(lambda found: found[1].upper(), name)
        known = name if name in members or json_name not in members else json_name
        named[known] = with_json_names(schemas, members.get(known, more), member)
    return named


def _operations(resources: JsonObject, schemas: Schemas) -> Iterator[Operation]:
    for resource in resources.values():
        for method in _object(_object(resource).get("methods")).values():
            yield from _operation(_object(method), schemas)
        yield from _operations(_object(_object(resource).get("resources")), schemas)


def _operation(method: JsonObject, schemas: Schemas) -> Iterator[Operation]:
    answer = schemas.inline(converted(_object(method.get("response"))), "plain")
    body = schemas.inline(converted(_object(method.get("request"))), "closed")
    verb = str(method.get("httpMethod"))
    name = str(method.get("id")).removeprefix("generativelanguage.")
    streams = "streamGenerateContent" in name
    plain = Operation(
        name=name,
        method=verb,
        path="/" + str(method.get("flatPath")),
        query=tuple(_query(method, schemas)),
        bodies={"application/json": body} if "request" in method else {},
        body_required="request" in method,
        answers={"200": answer},
        events=Events(plain=answer) if streams else None,
        many=streams,
    )
    yield plain
    protocols = _object(_object(method.get("mediaUpload")).get("protocols"))
    for protocol in protocols.values():
        yield Operation(
            name=name,
            method=verb,
            path=str(_object(protocol).get("path")),
            query=plain.query,
            bodies={"*/*": None},
            answers={"200": {"anyOf": [answer, {"type": "null"}]}},
        )


def _query(method: JsonObject, schemas: Schemas) -> Iterator[Parameter]:
    for name, parameter in _object(method.get("parameters")).items():
        described = _object(parameter)
        if described.get("location") == "query":
            schema = schemas.inline(converted(described), "plain")
            yield Parameter(name=name, required=described.get("required") is True, schema=schema)


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
