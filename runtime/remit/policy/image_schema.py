"""The schema of one document: the base schema with what the document declares."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

from remit.engine.request import NAMESPACE
from remit.policy.base import base_schema_text
from remit.policy.origins import Origins, fault_at
from remit.policy.tool_schema import (
    SchemaFaultError,
    base_schema,
    cedar_record,
    unreadable_types,
    value_schema,
)

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.errors import Fault

_DECIMAL_PLACES = 10_000
_DECIMAL_LIMIT = 922_337_203_685_477


def document_schema(document: Document, origins: Origins) -> tuple[JsonObject, tuple[Fault, ...]]:
    """Return the Cedar schema of `document` in JSON form, and every fault found in what it declares.

    With faults, the schema lacks what they concern.
    """
    return _Assembly(document, origins).build()


class _Assembly:
    def __init__(self, document: Document, origins: Origins) -> None:
        self._document = document
        self._origins = origins
        self._faults: list[Fault] = []
        self._schema = copy.deepcopy(base_schema(base_schema_text()))
        self._space = cast("dict[str, JsonObject]", self._schema[NAMESPACE])

    def build(self) -> tuple[JsonObject, tuple[Fault, ...]]:
        governance = self._document.governance
        self._check_attributes(governance.attributes)
        try:
            attributes = value_schema(governance.attributes)
        except SchemaFaultError as error:
            self._fault(f"/governance/attributes{error.path}", error.message)
        else:
            self._extend("Agent", attributes, "/governance/attributes", "")
        self._extend("Caller", governance.caller_schema, "/governance/caller", "/properties")
        environment = self._record(governance.environment_schema, "/governance/environment/schema")
        self._space["commonTypes"]["Environment"] = environment
        for index, tool in enumerate(self._document.capabilities.tools):
            pointer = f"/capabilities/tools/{index}"
            if tool.name in self._space["actions"]:
                self._fault(
                    f"{pointer}/name",
                    f"tool name `{tool.name}` is taken: it is an action already",
                    "rename it",
                )
                continue
            self._add_tool(tool.name, self._record(tool.parameters, f"{pointer}/parameters"))
        return self._schema, tuple(self._faults)

    def _check_attributes(self, attributes: JsonObject) -> None:
        for name, value in attributes.items():
            for number in _floats(value):
                if abs(number) > _DECIMAL_LIMIT or round(number, 4) != number:
                    self._fault(
                        f"/governance/attributes/{_step(name)}",
                        f"`{number!r}` is no Cedar decimal: it has more than four digits after the point",
                        "round it, or write it as text",
                    )

    def _extend(self, entity: str, schema: JsonObject, pointer: str, members: str) -> None:
        """Add the members of a JSON Schema to the attributes of an entity type."""
        types = cast("dict[str, JsonObject]", self._space["entityTypes"])
        shape = cast("JsonObject", types[entity]["shape"])
        attributes = cast("dict[str, JsonValue]", shape["attributes"])
        declared = cast("dict[str, JsonValue]", self._record(schema, pointer)["attributes"])
        for name, cedar_type in declared.items():
            if name in attributes:
                self._fault(
                    f"{pointer}{members}/{_step(name)}",
                    f"attribute `{name}` is taken: every {entity} has one already",
                    "rename it",
                )
            else:
                attributes[name] = cedar_type

    def _record(self, schema: JsonObject, pointer: str) -> JsonObject:
        try:
            record = cedar_record(schema or {"type": "object"})
        except SchemaFaultError as error:
            self._fault(f"{pointer}{error.path}", error.message)
            return {"type": "Record", "attributes": {}}
        for name in unreadable_types(record):
            self._space["entityTypes"].setdefault(name, {})
        return record

    def _add_tool(self, name: str, record: JsonObject) -> None:
        common = cast("JsonObject", self._space["commonTypes"]["Common"])
        members = cast("JsonObject", common["attributes"])
        self._space["actions"][name] = {
            "appliesTo": {
                "principalTypes": ["Agent"],
                "resourceTypes": ["Tool"],
                "context": {"type": "Record", "attributes": {**members, "input": record}},
            },
            "memberOf": [{"id": "call_tool"}],
        }

    def _fault(self, pointer: str, message: str, hint: str = "") -> None:
        self._faults.append(fault_at(self._origins, pointer, message, hint=hint))


def _floats(value: JsonValue) -> list[float]:
    if isinstance(value, float):
        return [value]
    if isinstance(value, list):
        return [number for item in value for number in _floats(item)]
    if isinstance(value, dict):
        return [number for item in value.values() for number in _floats(item)]
    return []


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
