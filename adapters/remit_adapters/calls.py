"""Tool-call arguments as models write them: strictly parsed, or kept as text and nothing more."""

from __future__ import annotations

from remit.document.json_text import parse_json
from remit.document.values import JsonObject, canonical_bytes
from remit.errors import DocumentError

MAX_ARGUMENT_BYTES = 1 << 20
"""Longer argument text is not parsed; it is kept as text, and the gate refuses what has no arguments."""


def strict_arguments(raw: str) -> JsonObject | None:
    """Parse the argument text of a call.

    Args:
        raw: the text exactly as received; empty text means no arguments.

    Returns:
        The arguments, or None where the text is not one strict JSON object (duplicate keys, NaN,
        trailing text, numbers or strings outside I-JSON).

    Sources: RFC 7493; DESIGN 4 (strict parse).
    """
    if not raw.strip():
        return {}
    try:
        data = raw.encode("utf-8")
        if len(data) > MAX_ARGUMENT_BYTES:
            return None
        value = parse_json(data).value
        if not isinstance(value, dict):
            return None
        canonical_bytes(value)
    except (DocumentError, ValueError, RecursionError):
        return None
    return value


def sent_arguments(raw: str, arguments: JsonObject | None) -> str:
    """Argument text to show to a model again as part of the thread.

    Args:
        raw: the text as received.
        arguments: what it parsed to, or None.

    Returns:
        `raw` itself where it was a JSON object, else a JSON object that holds it as text, since servers parse
        the arguments of past calls and refuse the whole turn over one that is malformed.
    """
    if arguments is None:
        return canonical_bytes({"malformed_arguments": raw}).decode("utf-8")
    return raw if raw.strip() else "{}"
