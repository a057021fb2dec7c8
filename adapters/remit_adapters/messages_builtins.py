"""Anthropic's own tools: as a request offers them, and as an answer reports their use.

Sources: Anthropic API reference, web search tool, code execution tool.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remit.messages import BuiltinUse
from remit_adapters.builtin_offers import nothing_to_set, offered_without_files
from remit_adapters.vendor_json import object_of, objects_of, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Turn
    from remit_adapters.config import ConfigReader

OFFERED = ("code_interpreter", "web_search")
CODE_TOOLS = ("code_execution_20250522", "code_execution_20250825")
"""The older one runs Python alone; the newer one also runs commands and edits files in its sandbox."""
_SEARCH_TOOL = "web_search_20250305"
"""Newer ones run code of their own, which nobody would have allowed."""
_OURS = {
    "web_search": "web_search",
    "code_execution": "code_interpreter",
    "bash_code_execution": "code_interpreter",
    "text_editor_code_execution": "code_interpreter",
}
_RESULT = "_tool_result"
_MAX_SOURCES = 64


def builtin_tools(turn: Turn, *, backend: str, code_tool: str) -> list[JsonObject]:
    """Return the built-ins that `turn` offers as the vendor's tools.

    Args:
        turn: what is about to be sent.
        backend: the document's name of the back-end, for messages.
        code_tool: one of `CODE_TOOLS`.

    Raises:
        AdapterError: a built-in that cannot be offered, has files, or a config that is not acceptable.
    """
    tools: list[JsonObject] = []
    for item, reader in offered_without_files(turn, backend=backend, names=OFFERED):
        if item.name == "web_search":
            tools.append({"type": _SEARCH_TOOL, "name": "web_search", **_search_settings(reader)})
        else:
            nothing_to_set(reader)
            tools.append({"type": code_tool, "name": "code_execution"})
    return tools


def _search_settings(reader: ConfigReader) -> JsonObject:
    reader.only("max_uses", "allowed_domains", "blocked_domains")
    settings: JsonObject = {}
    if "max_uses" in reader.value:
        settings["max_uses"] = reader.integer("max_uses", minimum=1)
    for member in ("allowed_domains", "blocked_domains"):
        if member in reader.value:
            settings[member] = [*reader.texts(member)]
    if "allowed_domains" in settings and "blocked_domains" in settings:
        raise reader.error("blocked_domains", "cannot be set beside `allowed_domains`; keep one of them")
    return settings


def builtin_uses(blocks: Sequence[JsonObject], *, searches: int) -> tuple[BuiltinUse, ...]:
    """Return what an answer's blocks report, in order.

    Args:
        blocks: all blocks of the answer.
        searches: how many web searches the vendor counts for it.
    """
    results = {
        text_of(block.get("tool_use_id")): block
        for block in blocks
        if text_of(block.get("type")).endswith(_RESULT)
    }
    uses: list[BuiltinUse] = []
    for block in blocks:
        kind = text_of(block.get("type"))
        if kind == "server_tool_use":
            result = results.pop(text_of(block.get("id")), None)
            uses.append(_use(text_of(block.get("name")), object_of(block.get("input")), result))
        elif results.get(text_of(block.get("tool_use_id"))) is block:
            # The use stands in the answer before, which was paused.
            del results[text_of(block.get("tool_use_id"))]
            uses.append(_use(kind.removesuffix(_RESULT), {}, block))
    if searches:
        counted = [number for number, use in enumerate(uses) if use.name == "web_search"]
        if counted:
            last = uses[counted[-1]]
            uses[counted[-1]] = BuiltinUse(name=last.name, detail={**last.detail, "requests": searches})
        else:
            uses.append(BuiltinUse(name="web_search", detail={"requests": searches}))
    return tuple(uses)


def _use(vendor_name: str, given: JsonObject, result: JsonObject | None) -> BuiltinUse:
    name = _OURS.get(vendor_name, shown(vendor_name))
    detail: JsonObject = {"status": "unfinished" if result is None else "completed"}
    if name == "web_search":
        if text_of(given.get("query")):
            detail["queries"] = [shown(text_of(given.get("query")))]
    elif text_of(given.get("code")) or (vendor_name == "bash_code_execution" and given):
        detail["code"] = shown(text_of(given.get("code")) or text_of(given.get("command")))
    elif given:
        detail["input"] = shown(json.dumps(given, ensure_ascii=False))
    if result is not None:
        detail |= _outcome(result.get("content"))
    return BuiltinUse(name=name, detail=detail)


def _outcome(content: JsonValue) -> JsonObject:
    """Return what came of a use; encrypted content stays out."""
    if isinstance(content, list):
        found = [item for item in objects_of(content) if text_of(item.get("url"))]
        sources: list[JsonValue] = [
            {"url": shown(text_of(item.get("url"))), "title": shown(text_of(item.get("title")))}
            for item in found[:_MAX_SOURCES]
        ]
        return {"sources": sources}
    members = object_of(content)
    if "error_code" in members:
        return {"status": "failed", "error": shown(text_of(members["error_code"]))}
    outcome: JsonObject = {}
    logs = text_of(members.get("stdout")) + text_of(members.get("stderr"))
    if logs:
        outcome["logs"] = shown(logs)
    code = members.get("return_code")
    if isinstance(code, int) and not isinstance(code, bool):
        outcome["return_code"] = code
        if code != 0:
            outcome["status"] = "failed"
    return outcome
