"""Tools of a project folder: what the author gives, and what the function or the MCP server says of itself.

Building the document of a Python tool whose name, description or parameters the author left out imports the
project's own module, and `--fetch-tools` starts or calls the project's own MCP servers.
Both are the owner's acts on the owner's code; a built document is never imported from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.field_values import SOURCE_KINDS
from remit.project.source import FaultList, Node, check_keys
from remit.project.tool_sources import describe_mcp, describe_python

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject

TOOL_KEYS = (
    "python",
    "mcp",
    "embedder",
    "name",
    "description",
    "parameters",
    "effect",
    "timeout_s",
    "max_result_bytes",
    "idempotent",
    "rules",
)
_DERIVED = ("name", "description", "parameters")
_MCP_KEYS = ("command", "url", "server", "tool", "env", "cwd", "headers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """A tool as the document holds it.

    Args:
        value: the tool without `rules`.
        node: the tool in the author's file.
    """

    value: JsonObject
    node: Node


def read_tool(node: Node, *, folder: Path, fetch: bool, faults: FaultList) -> ToolEntry | None:
    """Read one item of `tools`.

    Args:
        node: the item.
        folder: the project folder, where Python modules are found.
        fetch: whether MCP servers may be asked.
        faults: receives whatever is wrong.
    """
    if not check_keys(node, known=TOOL_KEYS, required=("effect",), what="a tool", faults=faults):
        return None
    members = node.object() or {}
    value: JsonObject = {
        key: member for key, member in members.items() if key not in {*SOURCE_KINDS, "rules"}
    }
    sources = [kind for kind in SOURCE_KINDS if kind in members]
    if len(sources) != 1:
        faults.add(
            node.fault(
                "a tool has exactly one source",
                'write `python: "module:function"`, `mcp: {command: […]}` or `embedder: true`',
            )
        )
        return None
    if "python" in members:
        return _python_tool(node, value, folder=folder, faults=faults)
    if "embedder" in members:
        return _embedder_tool(node, value, faults=faults)
    return _mcp_tool(node, value, folder=folder, fetch=fetch, faults=faults)


def _python_tool(node: Node, value: JsonObject, *, folder: Path, faults: FaultList) -> ToolEntry | None:
    source = node.member("python")
    if not isinstance(source.value, str) or source.value.count(":") != 1:
        faults.add(source.fault(f"`{source.value}` is not `module:function`", "such as `tools:refund`"))
        return None
    value["source"] = {"python": source.value}
    missing = [key for key in _DERIVED if key not in value]
    if missing:
        described = describe_python(folder, source, faults=faults)
        if described is None:
            return None
        derived: JsonObject = {
            "name": described.name,
            "description": described.description,
            "parameters": described.parameters,
        }
        value.update({key: derived[key] for key in missing})
        if not value["description"]:
            faults.add(
                source.fault(
                    f"the function behind `{source.value}` has no docstring, so the tool has no description",
                    "write a docstring, or give `description:`",
                )
            )
    return ToolEntry(value=value, node=node)


def _embedder_tool(node: Node, value: JsonObject, *, faults: FaultList) -> ToolEntry | None:
    source = node.member("embedder")
    if source.value is not True:
        faults.add(source.fault("`embedder` is not true", "write `embedder: true`, or name another source"))
        return None
    missing = [key for key in _DERIVED if key not in value]
    if missing:
        faults.add(
            node.fault(
                "a tool of the embedder lacks " + " and ".join(f"`{key}`" for key in missing),
                "give them: nothing here says what the embedder's function takes",
            )
        )
        return None
    value["source"] = {"embedder": True}
    return ToolEntry(value=value, node=node)


def _mcp_tool(
    node: Node, value: JsonObject, *, folder: Path, fetch: bool, faults: FaultList
) -> ToolEntry | None:
    source = node.member("mcp")
    if not check_keys(source, known=_MCP_KEYS, what="an MCP source", faults=faults):
        return None
    server = dict(source.object() or {})
    tool = server.get("tool", value.get("name"))
    if not isinstance(tool, str) or not tool:
        faults.add(
            source.fault("an MCP tool has no name", "give `name:` of the tool, or `tool:` of the server")
        )
        return None
    value.setdefault("name", tool)
    server.pop("tool", None)
    value["source"] = {"mcp": server} if tool == value["name"] else {"mcp": server, "tool": tool}
    missing = [key for key in ("description", "parameters") if key not in value]
    if missing and not fetch:
        faults.add(
            node.fault(
                f"the MCP tool `{tool}` lacks " + " and ".join(f"`{key}`" for key in missing),
                "give them, or ask the server with `remit build --fetch-tools`",
            )
        )
        return None
    if missing:
        described = describe_mcp(folder, source, server, tool=tool, faults=faults)
        if described is None:
            return None
        derived: JsonObject = {"description": described.description, "parameters": described.parameters}
        value.update({key: derived[key] for key in missing})
    return ToolEntry(value=value, node=node)
