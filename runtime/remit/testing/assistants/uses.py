"""Built-ins as a run's steps report them.

A search's `queries` have no place on this wire, and `web_search` has none at all.
What was found is told only where `include[]` asks for it, as everywhere in this API.

Sources: OpenAI API reference, run steps (step details, `include[]`).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.loopback import SaidUse

_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


def use_object(use: SaidUse) -> JsonObject | None:
    """Return what a step says about a use, under its name; None where the wire has no such built-in."""
    if use.name == "code_interpreter":
        outputs: list[JsonValue] = [{"type": "logs", "logs": use.text("logs")}] if use.text("logs") else []
        return {"input": use.text("code"), "outputs": outputs}
    if use.name == "file_search":
        return {"results": [_result(each) for each in use.objects("results")]}
    return None


def use_delta(members: JsonObject) -> JsonObject:
    """Return the same as an event's delta says it: outputs carry their index there."""
    outputs = members.get("outputs")
    if not isinstance(outputs, list):
        return members
    numbered = enumerate(cast("list[JsonObject]", outputs))
    return {**members, "outputs": [{"index": index, **output} for index, output in numbered]}


def wants_content(query: Mapping[str, str]) -> bool:
    """Whether a request asks for what a search found."""
    return query.get("include[]") == _CONTENT


def without_content(value: JsonObject) -> JsonObject:
    """Return a copy of a step, or of its delta, that keeps to itself what a search found."""
    shown = copy.deepcopy(value)
    delta = shown.get("delta")
    details = (delta if isinstance(delta, dict) else shown).get("step_details")
    calls = details.get("tool_calls") if isinstance(details, dict) else None
    for call in cast("list[JsonObject]", calls if isinstance(calls, list) else []):
        search = call.get("file_search")
        results = search.get("results") if isinstance(search, dict) else None
        for result in cast("list[JsonObject]", results if isinstance(results, list) else []):
            result.pop("content", None)
    return shown


def _result(found: JsonObject) -> JsonValue:
    return {
        "file_id": found.get("file_id", ""),
        "file_name": found.get("filename", ""),
        "score": found.get("score", 0),
        "content": [{"type": "text", "text": found.get("text", "")}],
    }
