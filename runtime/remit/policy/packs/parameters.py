"""Parameters of a pack: their types, their values, and the Cedar literal of a value.

The type comes from the parameter's JSON Schema alone, so that a rule's shape is known before any value is:

    string                                  String
    string, format date or date-time        datetime
    string, x-cedar duration or ip          duration, ipaddr
    string, x-cedar Caller, Tool, Backend,  an entity of that type
      Block
    integer                                 Long
    number                                  decimal
    boolean                                 Bool
    array of one of these                   Set of it; `minItems` is at least 1

Strict validation refuses an empty set, which has no type, so none can be given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from remit.document.value_schemas import Conformance, schema_faults
from remit.engine import scalars
from remit.engine.request import NAMESPACE
from remit.policy.cedar_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from remit.document.values import JsonObject, JsonValue

Scalar = Literal["String", "Long", "decimal", "Bool", "datetime", "duration", "ip", "entity"]

ENTITY_TYPES = ("Caller", "Tool", "Backend", "Block")
CEDAR_KEYWORD = "x-cedar"
_WORDS = ("datetime", "duration", "ip", *ENTITY_TYPES)
_SCALARS: Mapping[str, Scalar] = {
    "string": "String",
    "integer": "Long",
    "number": "decimal",
    "boolean": "Bool",
}
_FORMATS = ("date", "date-time")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterType:
    """The Cedar type of a parameter.

    Args:
        scalar: the type of its value, or of its elements.
        entity: name of the entity type where `scalar` is `entity`.
        many: whether it is a set.
    """

    scalar: Scalar
    entity: str = ""
    many: bool = False

    def __str__(self) -> str:
        name = self.entity or ("ipaddr" if self.scalar == "ip" else self.scalar)
        return f"Set of {name}" if self.many else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a pack.

    Args:
        name: its name.
        type: its Cedar type.
        schema: its JSON Schema.
        required: whether whoever uses the pack must give it.
        default: the value where none is given; None where there is no default.
    """

    name: str
    type: ParameterType
    schema: JsonObject
    required: bool
    default: JsonValue = None

    @property
    def optional(self) -> bool:
        """Whether rules may find it without a value."""
        return not self.required and self.default is None

    @property
    def description(self) -> str:
        """What it is for; may be empty."""
        return str(self.schema.get("description", ""))


class ParameterFaultError(ValueError):
    """A value does not fit its parameter.

    Attributes:
        path: JSON pointer within the parameters' object.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def parameters_of(schema: JsonObject) -> tuple[Parameter, ...]:
    """Read the parameters that a schema declares, in its order.

    Args:
        schema: one without `parameter_schema_faults`.
    """
    required = cast("list[str]", schema.get("required", []))
    declared = cast("dict[str, JsonObject]", schema.get("properties", {}))
    return tuple(
        Parameter(
            name=name,
            type=_type_of(member),
            schema=member,
            required=name in required,
            default=member.get("default"),
        )
        for name, member in declared.items()
    )


def parameter_schema_faults(schema: JsonObject) -> tuple[tuple[str, str, str], ...]:
    """Return `(pointer within the schema, what is wrong, what to do)` of a pack's `parameters`."""
    faults = [(pointer, what, "") for pointer, what in schema_faults(schema, of_object=True)]
    if faults:
        return tuple(faults)
    if schema.get("additionalProperties", False) is not False:
        faults.append(
            (
                "/additionalProperties",
                "a pack's parameters are a closed list",
                "leave it out, or write `false`",
            )
        )
    declared = schema.get("properties", {})
    if not isinstance(declared, dict):
        return (
            *faults,
            ("/properties", "`properties` is no mapping of parameters", "name one parameter each"),
        )
    for name, member in declared.items():
        faults.extend(
            (f"/properties/{name}{path}", what, hint) for path, what, hint in _member_faults(member)
        )
    required = schema.get("required", [])
    for index, item in enumerate(required if isinstance(required, list) else []):
        member = declared.get(str(item))
        if member is None:
            faults.append((f"/required/{index}", f"no parameter is called `{item}`", "declare it"))
        elif isinstance(member, dict) and "default" in member:
            faults.append(
                (f"/required/{index}", f"`{item}` is required and has a default", "keep one of the two")
            )
    return tuple(faults)


def _member_faults(schema: JsonValue) -> Iterator[tuple[str, str, str]]:
    if not isinstance(schema, dict):
        yield "", "a parameter's schema is no mapping", "write such as `{type: string}`"
        return
    item = schema
    path = ""
    if schema.get("type") == "array":
        items = schema.get("items")
        if not isinstance(items, dict):
            yield "", "a list parameter says nothing of its elements", "write `items: {type: string}`"
            return
        least = schema.get("minItems", 0)
        if not isinstance(least, int) or least < 1:
            yield "", "the list may be empty, and Cedar has no empty set", "write `minItems: 1`"
        item, path = items, "/items"
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in _SCALARS:
        shown = f"`{kind}`" if isinstance(kind, str) else "missing or more than one"
        yield path, f"a parameter's type is {shown}", "use string, integer, number, boolean or a list of one"
        return
    word = item.get(CEDAR_KEYWORD, "")
    if word and (kind != "string" or word not in _WORDS):
        hint = f"it stands at a string, and is one of {', '.join(_WORDS)}"
        yield f"{path}/{CEDAR_KEYWORD}", f"`{CEDAR_KEYWORD}: {word}` is not known", hint
        return
    if "default" in schema:
        try:
            admit(schema, schema["default"])
        except ParameterFaultError as error:
            yield "/default" + error.path, f"the default does not fit: {error}", ""


def _type_of(schema: JsonObject) -> ParameterType:
    many = schema.get("type") == "array"
    item = cast("JsonObject", schema["items"]) if many else schema
    word = item.get(CEDAR_KEYWORD)
    if word in ENTITY_TYPES:
        return ParameterType(scalar="entity", entity=str(word), many=many)
    if word in ("datetime", "duration", "ip"):
        return ParameterType(scalar=cast("Scalar", word), many=many)
    if item.get("type") == "string" and item.get("format") in _FORMATS:
        return ParameterType(scalar="datetime", many=many)
    return ParameterType(scalar=_SCALARS[str(item["type"])], many=many)


def admit(schema: JsonObject, value: JsonValue) -> None:
    """Check one value against its parameter's schema and Cedar type.

    Raises:
        ParameterFaultError: the value does not fit.
    """
    for path, what in Conformance(schema).faults(value):
        raise ParameterFaultError(path, what)
    cedar_literal(_type_of(schema), value)


def cedar_literal(kind: ParameterType, value: JsonValue) -> str:
    """Write a value as one Cedar literal of its parameter's type.

    Raises:
        ParameterFaultError: the value has no such literal.
    """
    if not kind.many:
        return _scalar(kind, value, "")
    if not isinstance(value, list) or not value:
        raise ParameterFaultError("", "is no list with at least one element")
    return f"[{', '.join(_scalar(kind, item, f'/{index}') for index, item in enumerate(value))}]"


def _scalar(kind: ParameterType, value: JsonValue, path: str) -> str:
    try:
        if isinstance(value, bool):
            return _boolean(kind, value=value)
        if isinstance(value, str):
            return _text(kind, value)
        if isinstance(value, int) and kind.scalar == "Long":
            # A minus sign glues to what stands before it: `x -1` would be a subtraction.
            return str(value) if value >= 0 else f"({value})"
        if isinstance(value, (int, float)) and kind.scalar == "decimal":
            return f"decimal({quoted(scalars.decimal_text(value))})"
    except ValueError as error:
        raise ParameterFaultError(path, str(error)) from error
    raise ParameterFaultError(path, f"is no {kind.entity or kind.scalar}")


def _boolean(kind: ParameterType, *, value: bool) -> str:
    if kind.scalar != "Bool":
        raise ValueError(f"is a truth value, no {kind.entity or kind.scalar}")
    return "true" if value else "false"


def _text(kind: ParameterType, value: str) -> str:
    if kind.scalar == "String":
        return quoted(scalars.string_text(value))
    if kind.scalar == "entity":
        return f"{NAMESPACE}::{kind.entity}::{quoted(scalars.string_text(value))}"
    if kind.scalar == "datetime":
        return f"datetime({quoted(scalars.datetime_text(value))})"
    if kind.scalar == "duration":
        return f"duration({quoted(scalars.duration_text(value))})"
    if kind.scalar == "ip":
        return f"ip({quoted(scalars.ip_text(value))})"
    raise ValueError(f"is a text, no {kind.scalar}")
