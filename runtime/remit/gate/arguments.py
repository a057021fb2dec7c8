"""Tool arguments against the tool's JSON Schema, before any rule sees them.

Draft 2020-12, with `format` checked for `date-time` and `date` alone, because rules compare those as
datetimes.
Patterns come from the document's author and are searched in arguments from the model; Python's regular
expressions can
take exponential time, so a text longer than `MAX_PATTERN_TEXT` under a pattern is a fault, and so is a
pattern with
nested repetition: it can be exponential from a few dozen characters on.
"""

from __future__ import annotations

import json
import marshal
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import jsonschema
import referencing
from jsonschema import validators

from remit.document.value_faults import steps_told, value_fault
from remit.engine.scalars import datetime_text
from remit.gate.acceptance import Acceptance, acceptance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.document.values import JsonObject, JsonValue

MAX_FAULTS = 8
"""Faults beyond this number are not listed."""

MAX_PATTERN_TEXT = 4096
"""Characters of a text that a schema's `pattern` may be searched in."""

_NESTED = "the tool's pattern nests repetitions and is not searched"
_LONG = f"text under a pattern is longer than {MAX_PATTERN_TEXT} characters"
_UNSEARCHED = (_NESTED, _LONG)
_NESTED_REPETITION = re.compile(
    r"[*+}]\)[*+{]|[*+}]\)\?[*+{]|\([^()]*[*+][^()]*\)[*+{]|\([^()]*\|[^()]*\)[*+]"
)


def argument_faults(arguments: object, parameters: JsonObject) -> tuple[str, ...]:
    """Return what is wrong with a tool's arguments, without their values; empty where they fit.

    Args:
        arguments: what the model proposed; None where it was no JSON object at all.
        parameters: the tool's JSON Schema.
    """
    if not isinstance(arguments, dict):
        return ("the arguments are not a JSON object",)
    try:
        prepared = _prepared_for(parameters)
        if prepared.accepts is not None and prepared.accepts(cast("JsonValue", arguments)):
            return ()
        errors = islice(prepared.validator.iter_errors(arguments), MAX_FAULTS)
        return tuple(_sentence(error, parameters) for error in errors)
    except RecursionError:
        return ("the arguments are nested too deeply",)
    except Exception as error:  # noqa: BLE001  # a schema that cannot be applied (a dangling $ref, a bad pattern) must not let arguments pass
        return (f"the tool's schema cannot be applied: {type(error).__name__}",)


def _sentence(error: jsonschema.ValidationError, parameters: JsonObject) -> str:
    steps = steps_told(error.absolute_path, parameters)
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    told = str(error.message) if error.message in _UNSEARCHED else value_fault(error)
    text = f"`arguments{place}`: {told}" if place else told
    return text.encode("utf-8", "backslashreplace").decode()


_FORMATS = jsonschema.FormatChecker(formats=())


def _is_datetime(value: object) -> bool:
    """Accept RFC 3339 `date-time`; a date alone is none."""
    if not isinstance(value, str):
        return True
    datetime_text(value)
    return len(value) > len("2026-01-01")


def _is_date(value: object) -> bool:
    if not isinstance(value, str):
        return True
    datetime_text(value)
    return len(value) == len("2026-01-01")


_FORMATS.checks("date-time", raises=ValueError)(_is_datetime)
_FORMATS.checks("date", raises=ValueError)(_is_date)


def _pattern(
    validator: object, pattern: object, instance: object, schema: object
) -> Iterator[jsonschema.ValidationError]:
    del validator, schema
    if not isinstance(instance, str) or not isinstance(pattern, str):
        return
    if _NESTED_REPETITION.search(pattern):
        yield jsonschema.ValidationError(_NESTED)
    elif len(instance) > MAX_PATTERN_TEXT:
        yield jsonschema.ValidationError(_LONG)
    elif not re.search(pattern, instance):
        yield jsonschema.ValidationError("the text does not match")


_Draft = cast("Callable[..., Any]", validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern}))  # pyright: ignore[reportUnknownMemberType]  # jsonschema ships no types


_NO_REMOTE = cast("Callable[[], Any]", referencing.Registry)()


_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A tool's schema, ready.

    Args:
        validator: jsonschema's, the judge of every fault.
        accepts: says yes quickly to most arguments that fit; None where the schema asks for more.
    """

    validator: Any
    accepts: Acceptance | None


_prepared_by_bytes: dict[bytes, _Prepared] = {}
_MAX_PREPARED = 512


def _prepared_for(parameters: JsonObject) -> _Prepared:
    """Return a schema ready; its content alone decides which, so one that somebody changes is another one."""
    try:
        # Version 2 has no references between values: equal contents in the same order are equal bytes.
        key = marshal.dumps(parameters, 2)
    except ValueError:
        return _prepared(_text(parameters))
    prepared = _prepared_by_bytes.get(key)
    if prepared is None:
        prepared = _prepared(_text(marshal.loads(key)))  # noqa: S302  # these bytes were made above
        if len(_prepared_by_bytes) >= _MAX_PREPARED:
            _prepared_by_bytes.clear()
        _prepared_by_bytes[key] = prepared
    return prepared


@lru_cache(maxsize=512)
def _prepared(text: str) -> _Prepared:
    schema = cast("JsonObject", json.loads(text))
    jsonschema.Draft202012Validator.check_schema(schema)
    # An empty registry: jsonschema's default would fetch a remote `$ref` over the network.
    validator = _Draft(schema, format_checker=_FORMATS, registry=_NO_REMOTE)
    return _Prepared(validator=validator, accepts=acceptance_of(schema))
