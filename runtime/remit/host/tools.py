"""Typed Python functions as tools: the JSON Schema comes from the signature, the words from the docstring.

Rules
1. Every parameter is annotated and can be passed by name; anything else is refused, naming the parameter.
2. A parameter without a default is required. `X | None = None` is optional and never null on the wire.
3. Unknown arguments are refused; values are converted by pydantic in its strict JSON mode.
4. The first paragraph of the docstring is the description; a Google-style `Args:` section describes
   parameters.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, cast

from remit.errors import DocumentError, Fault

if typing.TYPE_CHECKING:
    from remit.document.model import ToolEffect
    from remit.document.values import JsonObject, JsonValue

_F = TypeVar("_F", bound=Callable[..., object])
_MARK = "__remit_tool__"
NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMark:
    """What `tool` was told about a function; None where the default holds."""

    name: str | None = None
    effect: ToolEffect = "write"
    timeout_s: float = 30.0
    max_result_bytes: int = 65536
    idempotent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool:
    """A typed Python function as a tool.

    Args:
        name: its name as a tool.
        description: what the model is told.
        parameters: JSON Schema (type object, closed) of the arguments.
        mark: effect, timeout and size cap.
        function: what runs.
        convert: checks JSON arguments and turns them into the function's own types.
    """

    name: str
    description: str
    parameters: JsonObject
    mark: ToolMark
    function: Callable[..., object]
    convert: Callable[[JsonObject], Mapping[str, object]] = field(repr=False)

    def declaration(self, source: str) -> JsonObject:
        """Return the tool as a member of `capabilities.tools`.

        Args:
            source: `module:function`, where the runtime finds it.
        """
        return {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "effect": self.mark.effect,
            "source": {"python": source},
            "timeout_s": int(self.mark.timeout_s)
            if float(self.mark.timeout_s).is_integer()
            else self.mark.timeout_s,
            "max_result_bytes": self.mark.max_result_bytes,
            "idempotent": self.mark.idempotent,
        }


@typing.overload
def tool(function: _F, /) -> _F: ...
@typing.overload
def tool(
    *,
    name: str | None = None,
    effect: ToolEffect = "write",
    timeout_s: float = 30.0,
    max_result_bytes: int = 65536,
    idempotent: bool = False,
) -> Callable[[_F], _F]: ...
def tool(
    function: _F | None = None,
    /,
    *,
    name: str | None = None,
    effect: ToolEffect = "write",
    timeout_s: float = 30.0,
    max_result_bytes: int = 65536,
    idempotent: bool = False,
) -> _F | Callable[[_F], _F]:
    """Mark a typed function as a tool; the function itself stays as it is.

    Args:
        function: the function, where the decorator stands without parentheses.
        name: name as a tool; the function's own where None.
        effect: read, write or external.
        timeout_s: seconds after which a call is abandoned with an unknown outcome.
        max_result_bytes: larger results are refused.
        idempotent: whether repeating a call with the same key is harmless.
    """
    mark = ToolMark(
        name=name,
        effect=effect,
        timeout_s=timeout_s,
        max_result_bytes=max_result_bytes,
        idempotent=idempotent,
    )

    def apply(target: _F) -> _F:
        setattr(target, _MARK, mark)
        return target

    return apply if function is None else apply(function)


def is_marked(value: object) -> bool:
    """Whether `value` is a function that `tool` marked."""
    return callable(value) and isinstance(getattr(value, _MARK, None), ToolMark)


def describe_function(function: Callable[..., object]) -> FunctionTool:
    """Derive the tool from a function's signature and docstring.

    Raises:
        DocumentError: a parameter is not annotated, has no JSON Schema, or cannot be passed by name.
    """
    found: object = getattr(function, _MARK, None)
    mark = found if isinstance(found, ToolMark) else ToolMark()
    name = mark.name or str(getattr(function, "__name__", ""))
    if not NAME_PATTERN.fullmatch(name):
        raise _fault(name, "is no tool name", "use ASCII letters, digits, `_` and `-`, at most 64")
    description, words = _docstring(function)
    fields = _fields(function, name, words)
    adapter = _adapter(name, fields)
    schema = _schema(adapter, name)
    _defaults(schema, function)

    def convert(arguments: JsonObject) -> Mapping[str, object]:
        text = json.dumps(arguments)
        return cast("Mapping[str, object]", adapter.validate_json(text, strict=True))

    return FunctionTool(
        name=name, description=description, parameters=schema, mark=mark, function=function, convert=convert
    )


def _fault(name: str, message: str, hint: str = "") -> DocumentError:
    return DocumentError(Fault(message=f"tool `{name}` {message}", hint=hint))


def _fields(function: Callable[..., object], name: str, words: Mapping[str, str]) -> dict[str, object]:
    """Return the members of a `TypedDict` that stands for the signature."""
    from typing import NotRequired, Required

    from pydantic import Field

    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise _fault(name, f"has a signature that cannot be read: {error}") from error
    fields: dict[str, object] = {}
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise _fault(
                name,
                f"has a parameter `{parameter.name}` that cannot be passed by name",
                "declare each argument as a named parameter",
            )
        if parameter.name not in hints:
            raise _fault(
                name,
                f"has a parameter `{parameter.name}` without a type annotation",
                "annotate it: the argument's JSON Schema comes from it",
            )
        annotation: Any = hints[parameter.name]
        optional = parameter.default is not parameter.empty
        if optional and parameter.default is None:
            annotation = _without_none(annotation)
        if parameter.name in words:
            annotation = Annotated[annotation, Field(description=words[parameter.name])]
        fields[parameter.name] = NotRequired[annotation] if optional else Required[annotation]
    return fields


def _without_none(annotation: Any) -> Any:  # noqa: ANN401  # a type expression has no narrower type
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        inner, *rest = typing.get_args(annotation)
        return Annotated[(_without_none(inner), *rest)]
    if origin not in (typing.Union, types.UnionType):
        return annotation
    members = tuple(item for item in typing.get_args(annotation) if item is not type(None))
    return typing.Union[members]  # noqa: UP007


def _adapter(name: str, fields: dict[str, object]) -> Any:  # noqa: ANN401  # of a run-time type
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
    from typing_extensions import TypedDict

    # A cast, because type checkers admit only literal members; pydantic needs the backport before Python
    # 3.12.
    shape = cast("Callable[[str, dict[str, object]], Any]", TypedDict)("Arguments", fields)
    shape.__pydantic_config__ = ConfigDict(extra="forbid")
    try:
        return TypeAdapter(shape)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise _fault(name, f"has a parameter without a JSON Schema: {_first_line(error)}") from error


def _schema(adapter: Any, name: str) -> JsonObject:  # noqa: ANN401  # see _adapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        schema = cast("JsonObject", adapter.json_schema())
    except PydanticInvalidForJsonSchema as error:
        raise _fault(name, f"has a parameter without a JSON Schema: {_first_line(error)}") from error
    definitions = cast("dict[str, JsonValue]", schema.pop("$defs", {}))
    inlined = cast("JsonObject", _inline(schema, definitions, (), name))
    inlined.setdefault("properties", {})
    return inlined


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _inline(
    value: JsonValue, definitions: Mapping[str, JsonValue], path: tuple[str, ...], name: str
) -> JsonValue:
    """Replace `$ref`s by what they name and drop generated titles, so that readers see plain schemas."""
    if isinstance(value, list):
        return [_inline(item, definitions, path, name) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        target = reference.rpartition("/")[2]
        if target in path:
            raise _fault(
                name, f"has a parameter of the recursive type `{target}`", "use a type of bounded depth"
            )
        found = cast("JsonObject", copy.deepcopy(definitions[target]))
        rest = {key: item for key, item in value.items() if key != "$ref"}
        return _inline({**found, **rest}, definitions, (*path, target), name)
    result: JsonObject = {}
    for key, item in value.items():
        if key == "title" and isinstance(item, str):
            continue
        if key == "properties" and isinstance(item, dict):
            result[key] = {n: _inline(s, definitions, path, name) for n, s in item.items()}
        elif key in ("default", "enum", "const", "examples"):
            result[key] = item
        else:
            result[key] = _inline(item, definitions, path, name)
    return result


def _defaults(schema: JsonObject, function: Callable[..., object]) -> None:
    """Tell the model the defaults that are plain JSON."""
    properties = cast("dict[str, JsonValue]", schema["properties"])
    for parameter in inspect.signature(function).parameters.values():
        member = properties.get(parameter.name)
        if isinstance(member, dict) and isinstance(parameter.default, (bool, int, str)):
            member["default"] = cast("JsonValue", parameter.default)


def _docstring(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """Return the description and the words about each parameter."""
    text = inspect.getdoc(function) or ""
    head, _, _ = text.partition("\n\n")
    description = " ".join(head.split())
    words: dict[str, str] = {}
    inside = False
    current = ""
    indent = 0
    for line in text.splitlines():
        stripped = line.strip()
        if stripped in ("Args:", "Arguments:", "Parameters:"):
            inside = True
            continue
        if not inside or not stripped:
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            break
        match = re.match(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)", stripped)
        indent = indent or depth
        if match and depth <= indent:
            current = match.group(1)
            words[current] = match.group(2)
        elif current:
            words[current] = f"{words[current]} {stripped}".strip()
    return description, words
