"""A vendor's JSON, read without trust: what is of another type than expected counts as absent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from remit.document.json_text import parse_json
from remit.document.values import canonical_bytes
from remit.errors import DocumentError
from remit_adapters.calls import sent_arguments

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

_MAX_SHOWN = 4000
_TOO_DEEP = "(arguments that are nested too deeply to be written down)"


def text_of(value: JsonValue) -> str:
    """Return a string, empty where it is none."""
    return value if isinstance(value, str) else ""


def count_of(value: JsonValue) -> int:
    """Return a count, 0 where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def object_of(value: JsonValue) -> JsonObject:
    """Return an object, empty where it is none."""
    return value if isinstance(value, dict) else {}


def objects_of(value: JsonValue) -> list[JsonObject]:
    """Return the objects of an array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts_of(value: JsonValue) -> list[str]:
    """Return the non-empty strings of an array."""
    return [item for item in value if isinstance(item, str) and item] if isinstance(value, list) else []


def shown(text: str) -> str:
    """Cut what a vendor reports to what is worth recording."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text):,} characters)"


def strict_object(text: str) -> JsonObject | None:
    """Parse one strict JSON object, or return None."""
    try:
        value = parse_json(text.encode("utf-8")).value
    except (DocumentError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None


def json_text(value: JsonObject) -> str:
    """Write down a vendor's own items.

    Raises:
        ValueError: they hold NaN or infinity, or are nested too deeply.
    """
    try:
        # Only ASCII: a lone surrogate must not get into a text that is digested.
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def written_object(text: str) -> JsonObject | None:
    """Read what `json_text` wrote; None where the text is no object, and so somebody else's."""
    try:
        value = cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def argument_text(arguments: JsonObject) -> str:
    """Return the argument text of a wire that carries objects.

    Returns:
        The canonical form; where there is none, text that is no strict JSON object either.
    """
    try:
        return canonical_bytes(arguments).decode("utf-8")
    except (ValueError, RecursionError):
        pass
    try:
        return json.dumps(arguments)
    except (ValueError, RecursionError):
        return _TOO_DEEP


def sent_object(raw: str, arguments: JsonObject | None) -> JsonObject:
    """Return the arguments of a past call for a wire that carries objects; see `calls.sent_arguments`."""
    return cast("JsonObject", json.loads(sent_arguments(raw, arguments)))
