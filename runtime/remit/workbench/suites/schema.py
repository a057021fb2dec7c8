"""The published JSON Schema of case files, by which editors complete and check them.

The reader is stricter: it knows the agent's tools, blocks and rules, and refuses what can never fail.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from remit.document.values import JsonObject

SCHEMA_FILE = "cases.schema.json"


def cases_schema() -> JsonObject:
    """Return the JSON Schema of a case file, a fresh copy each time."""
    text = files("remit.workbench.suites").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    return cast("JsonObject", json.loads(text))
