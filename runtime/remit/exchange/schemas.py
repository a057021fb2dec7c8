"""Parameter schemas of a foreign file made fit for a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.faults import kind_of
from remit.document.json_text import printable
from remit.document.value_schemas import schema_faults
from remit.exchange.members import without_nulls
from remit.policy.tool_schema import SchemaFaultError, cedar_record

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.members import Findings

_VALUE_KEYWORDS = ("default", "enum", "const", "examples")
_NAMES_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_DROPPED = ("$schema", "$id")


def fit_parameters(schema: JsonValue, pointer: str, findings: Findings, *, tool: str) -> JsonObject:
    """Return the parameters of a tool as a schema that a document may hold and that has a Cedar type.

    Dialect and identifier of the schema and nulls between its keywords go; nothing else changes.
    A schema that is still not acceptable gives way to one that accepts any object, and a person must decide.

    Args:
        schema: what the file says; None for a tool without parameters.
        pointer: where it stands.
        findings: where a fault (no object at all) or a remark goes.
        tool: the tool's name, for the remark.
    """
    if schema is None:
        return {"type": "object", "properties": {}}
    if not isinstance(schema, dict):
        findings.fault(
            pointer, f"the parameters of `{printable(tool)}` must be an object, not {kind_of(schema)}"
        )
        return {"type": "object"}
    fitted = _cleaned(schema)
    if isinstance(fitted, dict):
        fitted.setdefault("type", "object")
        reason = _reason(fitted)
        if not reason:
            return fitted
    else:
        reason = "it is no schema"
    findings.decide(
        pointer,
        f"the parameters of `{printable(tool)}` cannot stand in a document ({reason}), "
        "so any arguments fit: declare them anew",
    )
    return {"type": "object"}


def _reason(schema: JsonObject) -> str:
    """Return why a schema is not acceptable, or an empty text."""
    faults = schema_faults(schema, of_object=True)
    if faults:
        pointer, what = faults[0]
        return f"{what} at `{printable(pointer)}`" if pointer else what
    try:
        cedar_record(schema)
    except SchemaFaultError as error:
        return error.message
    return ""


def _cleaned(schema: JsonValue) -> JsonValue:
    """Copy a schema without dialect, identifiers, and nulls between its keywords."""
    if isinstance(schema, list):
        return [_cleaned(element) for element in schema if element is not None]
    if not isinstance(schema, dict):
        return schema
    cleaned: JsonObject = {}
    for name, member in schema.items():
        if member is None or (name in _DROPPED and isinstance(member, str)):
            if name in _VALUE_KEYWORDS:
                cleaned[name] = member
        elif name in _VALUE_KEYWORDS:
            cleaned[name] = member
        elif name in _NAMES_OF_SCHEMAS and isinstance(member, dict):
            cleaned[name] = {key: _cleaned(inner) for key, inner in member.items() if inner is not None}
        else:
            cleaned[name] = _cleaned(member)
    return cleaned


def plain_object(value: JsonValue) -> JsonObject:
    """Return a value that is known to be an object, without nulls; empty where it is none."""
    plain = without_nulls(value)
    return plain if isinstance(plain, dict) else {}
