"""What a tool may give back: JSON that every reader understands, below a size, or an error value.

Sources of the bounds: RFC 7493 (I-JSON) and rule R1 of `remit.document.values`; null is admitted here.
"""

from __future__ import annotations

import json
import math
from typing import cast

from remit.document.values import MAX_DEPTH, MAX_SAFE_INTEGER, JsonValue
from remit.ports import ToolResult

MAX_ERROR_CHARACTERS = 2000


class UnfitResultError(ValueError):
    """A tool's result is no JSON value that may be passed on."""


def error_result(message: str) -> ToolResult:
    """Return a failed result with `message`, cut to a bearable length and free of lone surrogates."""
    text = message.encode("utf-8", "replace").decode("utf-8")
    if len(text) > MAX_ERROR_CHARACTERS:
        text = text[:MAX_ERROR_CHARACTERS] + " …"
    return ToolResult(ok=False, value={"error": text})


def fit_result(value: object, *, max_bytes: int, tool: str) -> ToolResult:
    """Return `value` as a result, or an error result where it is not JSON or too large.

    Args:
        value: what the tool returned, already turned into plain Python JSON types.
        max_bytes: upper bound of its UTF-8 JSON text.
        tool: the tool's name, for messages.
    """
    try:
        fitted = _fit(value, "", 0)
        size = len(json.dumps(fitted, ensure_ascii=False, separators=(",", ":")).encode())
    except UnfitResultError as error:
        return error_result(f"tool `{tool}` returned no acceptable JSON: {error}")
    except (RecursionError, ValueError, TypeError):
        return error_result(f"tool `{tool}` returned no acceptable JSON")
    if size > max_bytes:
        return error_result(
            f"tool `{tool}` returned {size} bytes, more than the {max_bytes} that the document allows"
        )
    return ToolResult(ok=True, value=fitted)


def _fit(value: object, place: str, depth: int) -> JsonValue:  # noqa: C901  # one branch for each JSON type
    if depth > MAX_DEPTH:
        raise UnfitResultError(f"nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _fit_text(value, place)
    if isinstance(value, int):
        return _fit_integer(value, place)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnfitResultError(f"`{value}` at `{place or '/'}` is no JSON number")
        return _fit_integer(int(value), place) if value.is_integer() else value
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        return [_fit(item, f"{place}/{index}", depth + 1) for index, item in enumerate(items)]
    if isinstance(value, dict):
        members = cast("dict[object, object]", value)
        result: dict[str, JsonValue] = {}
        for key, item in members.items():
            if not isinstance(key, str):
                raise UnfitResultError(f"a member name at `{place or '/'}` is no text")
            result[_fit_text(key, place)] = _fit(item, f"{place}/{key}", depth + 1)
        return result
    raise UnfitResultError(f"a `{type(value).__name__}` at `{place or '/'}` is no JSON value")


def _fit_text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnfitResultError(f"the text at `{place or '/'}` holds a lone surrogate") from None
    return value


def _fit_integer(value: int, place: str) -> int:
    if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        raise UnfitResultError(f"the integer at `{place or '/'}` lies beyond 2^53 - 1")
    return value
