"""What of an agent is nested too deep to stand inside a document, which adds levels of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.document.values import MAX_DEPTH, JsonObject, JsonValue, pointer_to
from remit.exchange.foreign import ForeignAgent, ForeignBlock, ForeignTool, Remark
from remit.exchange.members import without_nulls

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM = 8
"""Levels that a document adds at most around a value of the file."""


def bounded(agent: ForeignAgent) -> ForeignAgent:
    """Return the agent without what is nested too deep, and with a remark about each such thing."""
    remarks: list[Remark] = []
    return replace(
        agent,
        tools=tuple(_tool(tool, remarks) for tool in agent.tools),
        builtins=tuple(_builtin(builtin, remarks) for builtin in agent.builtins),
        blocks=tuple(_block(block, remarks) for block in agent.blocks),
        extensions=_extensions(agent.extensions, remarks),
        remarks=(*agent.remarks, *remarks),
    )


def _too_deep(value: JsonValue) -> bool:
    return _depth(value) > MAX_DEPTH - ROOM


def _depth(value: JsonValue) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(_depth, below), default=0)


def _lost(what: str, remarks: list[Remark], pointer: str = "") -> None:
    remarks.append(Remark(fate="lost", what=f"{what} is nested too deep to be kept", pointer=pointer))


def _tool(tool: ForeignTool, remarks: list[Remark]) -> ForeignTool:
    if not _too_deep(tool.parameters):
        return tool
    _lost(f"what the parameters of `{tool.name}` say", remarks)
    return replace(tool, parameters={"type": "object"})


def _builtin(builtin: JsonObject, remarks: list[Remark]) -> JsonObject:
    if not _too_deep(builtin):
        return builtin
    _lost(f"the configuration of `{printable(str(builtin.get('name')))}`", remarks)
    return {name: builtin[name] for name in ("name", "required") if name in builtin}


def _block(block: ForeignBlock, remarks: list[Remark]) -> ForeignBlock:
    kept = tuple(entry for entry in block.entries if not _too_deep(entry.value))
    if len(kept) != len(block.entries):
        _lost(f"each of {len(block.entries) - len(kept)} entries of the memory block `{block.name}`", remarks)
    return block if len(kept) == len(block.entries) else replace(block, entries=kept)


def _extensions(value: JsonObject, remarks: list[Remark]) -> JsonObject:
    plain = without_nulls(value)
    members: JsonObject = plain if isinstance(plain, dict) else {}
    deep: Sequence[str] = [name for name, member in members.items() if _too_deep(member)]
    for name in deep:
        _lost(f"`{printable(name)}`", remarks, pointer_to("", name))
    return {name: member for name, member in members.items() if name not in deep}
