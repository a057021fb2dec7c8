"""JSON values as Remit admits them (I-JSON, RFC 7493, made stricter) and their canonical bytes.

A value that went through `remit.document.json_text.parse` or `check_value` satisfies rule R1:
objects with unique string keys, integers within ±(2^53−1), finite floats that are not integral,
strings without lone surrogates, depth at most 64, no null except where a schema declares it.
"""

from __future__ import annotations

import hashlib
from typing import cast

import rfc8785

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 64
SPEC = "remit/1"


def canonical_bytes(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`.

    Raises:
        ValueError: the value lies outside the I-JSON domain (callers pass checked values).
    """
    return rfc8785.dumps(cast("dict[str, object]", value))  # type: ignore[arg-type]  # rfc8785's recursive alias


def tagged_sha256(name: str, data: bytes) -> bytes:
    """SHA-256 over `remit/1/<name>`, a zero byte and `data`: a digest that cannot be confused with another kind."""
    return hashlib.sha256(f"{SPEC}/{name}".encode() + b"\x00" + data).digest()


def digest_text(raw: bytes) -> str:
    """Write 32 digest bytes as `sha256:<hex>`."""
    return "sha256:" + raw.hex()
