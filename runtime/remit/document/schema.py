"""The published JSON Schema of the format, Draft 2020-12: what any tool can check without Remit.

The parser is stricter: it recomputes digests and checks names, schemas and rules against one another.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from remit.document.values import JsonObject

SCHEMA_FILE = "agent.schema.json"


@lru_cache(maxsize=1)
def _schema_text() -> str:
    return files("remit.document").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")


def json_schema() -> JsonObject:
    """Return the JSON Schema of a document, a fresh copy each time."""
    return cast("JsonObject", json.loads(_schema_text()))
