"""Names of a foreign file made fit for a document: tools, blocks, back-ends, rules and memory keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.document.rule_values import RESERVED_TOOL_NAMES

if TYPE_CHECKING:
    from collections.abc import Container

MAX_NAME = 64
MAX_KEY = 128


def fit_name(text: str, taken: Container[str] = (), *, default: str = "unnamed") -> str:
    """Return a name for a document: ASCII letters, digits, `_`, `-`, not starting with a digit or `-`.

    A name that is fit and free stays as it is.

    Args:
        text: the name in the file.
        taken: names that are in use; a number is appended where the name is among them.
        default: what to use where nothing of the text can stay.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("-")
    if not name.strip("_"):
        name = default
    if name[0].isdigit():
        name = f"_{name}"
    return _free(name, taken, MAX_NAME)


def fit_tool_name(text: str, taken: Container[str] = ()) -> str:
    """Return a name for a tool, as `fit_name`, that is no action of Remit itself."""
    name = fit_name(text, default="tool")
    return fit_name(f"{name}_tool" if name in RESERVED_TOOL_NAMES else name, taken)


def fit_key(text: str, taken: Container[str] = (), *, default: str = "entry") -> str:
    """Return a key for a memory entry: up to 128 ASCII letters, digits and `_.:/@+-`, unused so far."""
    key = re.sub(r"[^A-Za-z0-9_.:/@+-]+", "_", text).lstrip(".:/@+-")
    return _free(key if key.strip("_") else default, taken, MAX_KEY)


def _free(name: str, taken: Container[str], limit: int) -> str:
    candidate, number = name[:limit], 1
    while candidate in taken:
        number += 1
        suffix = f"_{number}"
        candidate = name[: limit - len(suffix)] + suffix
    return candidate
