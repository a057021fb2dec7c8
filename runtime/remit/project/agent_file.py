"""`agent.yaml`: the parts of the document that people write, and where each was written.

The document's own strict reader judges the values; this module judges the keys, resolves what is written
elsewhere (instructions, tools) and keeps the origin of every member.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.document.field_values import SOURCE_KINDS
from remit.document.values import SPEC, JsonObject, JsonValue
from remit.errors import DocumentError
from remit.project.origins import OriginMap
from remit.project.rule_files import check_rule
from remit.project.source import FaultList, Node, check_keys, escape, kind_of, read_bytes, read_text
from remit.project.tool_entries import read_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AGENT_KEYS = (
    "spec",
    "nonce",
    "attributes",
    "caller",
    "environment",
    "limits",
    "instructions",
    "tools",
    "builtins",
    "memory",
    "backends",
    "packs",
    "trusted_keys",
    "lifecycle",
)
_REQUIRED = ("spec", "attributes", "instructions", "backends")
_GOVERNANCE = ("attributes", "caller", "environment", "limits", "trusted_keys")
_LIFECYCLES = ("ready", "draft")
_NONCE = re.compile(r"[0-9a-f]{32}\Z")
_TEXT_FILE = re.compile(r"[^\n]+\.(md|txt)\Z")


@dataclass(slots=True, kw_only=True)
class AgentParts:
    """The document's fields while they are being put together.

    Attributes:
        memory, governance, capabilities, execution_state: the field values so far.
        extensions: top-level members whose name starts with `x-`.
        nonce: of the genesis operation; empty where it is missing.
        tools, blocks: list position by name.
        unread: names of tools that are at fault themselves.
        origins: where everything was written.
    """

    memory: JsonObject
    governance: JsonObject
    capabilities: JsonObject
    execution_state: JsonObject
    extensions: JsonObject = field(default_factory=dict[str, JsonValue])
    nonce: str = ""
    tools: dict[str, int] = field(default_factory=dict[str, int])
    blocks: dict[str, int] = field(default_factory=dict[str, int])
    unread: list[str] = field(default_factory=list[str])
    origins: OriginMap = field(default_factory=OriginMap)


def read_agent(root: Node, *, folder: Path, fetch: bool, faults: FaultList) -> AgentParts:
    """Read `agent.yaml`.

    Args:
        root: the file's whole value.
        folder: the project folder.
        fetch: whether MCP servers may be asked for missing descriptions.
        faults: receives whatever is wrong.
    """
    parts = AgentParts(
        memory={"blocks": []},
        governance={"attributes": {}, "activation": [], "mutation": [], "termination": [], "rules": []},
        capabilities={"instructions": "", "tools": [], "backends": [], "dispatch": []},
        execution_state={"lifecycle": "ready", "usage": {}, "pending": []},
    )
    if not check_keys(root, known=AGENT_KEYS, required=_REQUIRED, what="agent.yaml", faults=faults):
        return parts
    members = root.object() or {}
    _read_spec(root, faults=faults)
    parts.nonce = _read_nonce(root, faults=faults)
    for key, node in root.members():
        if key in _GOVERNANCE:
            parts.governance[key] = node.value
            parts.origins.map(f"/governance/{key}", node)
        elif key.startswith("x-"):
            parts.extensions[key] = node.value
            parts.origins.map(f"/{escape(key)}", node)
    readers: dict[str, Callable[[Node], None]] = {
        "lifecycle": lambda node: _read_lifecycle(node, parts, faults=faults),
        "instructions": lambda node: _take_instructions(node, parts, folder=folder, faults=faults),
        "backends": lambda node: _read_backends(node, parts, faults=faults),
        "builtins": lambda node: _read_builtins(node, parts, folder=folder, faults=faults),
        "tools": lambda node: _read_tools(node, parts, folder=folder, fetch=fetch, faults=faults),
        "memory": lambda node: _read_blocks(node, parts, faults=faults),
    }
    for key, read in readers.items():
        if key in members:
            read(root.member(key))
    return parts


def _read_spec(root: Node, *, faults: FaultList) -> None:
    members = root.object() or {}
    if "spec" in members and members["spec"] != SPEC:
        faults.add(root.member("spec").fault(f"`spec` is `{members['spec']}`", f"write `spec: {SPEC}`"))


def _read_nonce(root: Node, *, faults: FaultList) -> str:
    members = root.object() or {}
    fresh = secrets.token_hex(16)
    if "nonce" not in members:
        faults.add(
            root.fault(
                "agent.yaml lacks `nonce`, which tells this agent from another one with equal content",
                f'add `nonce: "{fresh}"` once and keep it',
            )
        )
        return ""
    nonce = members["nonce"]
    if not isinstance(nonce, str) or not _NONCE.match(nonce):
        faults.add(
            root.member("nonce").fault(
                f"`nonce` is `{nonce}`, not a text of 32 lower-case hex digits",
                f'write such as `nonce: "{fresh}"`, in quotes where it holds digits alone',
            )
        )
        return ""
    return nonce


def _read_lifecycle(node: Node, parts: AgentParts, *, faults: FaultList) -> None:
    if node.value not in _LIFECYCLES:
        faults.add(node.fault(f"`lifecycle` is `{node.value}`", "a project is `ready` or `draft`"))
        return
    parts.execution_state["lifecycle"] = node.value
    parts.origins.map("/execution_state/lifecycle", node)


def _take_instructions(node: Node, parts: AgentParts, *, folder: Path, faults: FaultList) -> None:
    parts.capabilities["instructions"] = _read_instructions(node, folder=folder, faults=faults)
    parts.origins.map("/capabilities/instructions", node)


def _read_instructions(node: Node, *, folder: Path, faults: FaultList) -> str:
    value = node.value
    if isinstance(value, list):
        return "\n\n".join(_read_prompt(item, folder=folder, faults=faults) for item in node.items())
    if isinstance(value, dict):
        check_keys(node, known=("file", "text"), what="instructions", faults=faults)
        if "text" in value and "file" not in value:
            return _words(node.member("text"), faults=faults)
        if "file" in value and "text" not in value:
            return _read_prompt(node.member("file"), folder=folder, faults=faults)
        faults.add(node.fault("instructions are either a `file` or a `text`", "keep one of the two"))
        return ""
    if isinstance(value, str) and _TEXT_FILE.match(value) and " " not in value:
        return _read_prompt(node, folder=folder, faults=faults)
    return _words(node, faults=faults)


def _words(node: Node, *, faults: FaultList) -> str:
    if isinstance(node.value, str):
        return node.value
    faults.add(
        node.fault(f"the text is {kind_of(node.value)}", "write words, or a path such as `prompts/x.md`")
    )
    return ""


def _read_prompt(node: Node, *, folder: Path, faults: FaultList) -> str:
    if not isinstance(node.value, str):
        faults.add(node.fault(f"the path is {kind_of(node.value)}", "write such as `prompts/system.md`"))
        return ""
    try:
        return read_text(folder, node.value).text.strip("\n")
    except DocumentError as error:
        for fault in error.faults:
            faults.add(fault if fault.line else node.fault(fault.message, "check the path in agent.yaml"))
        return ""


def _read_backends(node: Node, parts: AgentParts, *, faults: FaultList) -> None:
    parts.capabilities["backends"] = node.value
    parts.origins.map("/capabilities/backends", node)
    if isinstance(node.value, list) and not node.value:
        faults.add(node.fault("`backends` is empty, so nothing could run this agent", "name at least one"))


def _read_builtins(node: Node, parts: AgentParts, *, folder: Path, faults: FaultList) -> None:
    """Read the vendor's own tools; a file without `sha256` gets the digest of what lies in the folder."""
    parts.origins.map("/capabilities/builtins", node)
    if not isinstance(node.value, list):
        faults.add(
            node.fault(f"`builtins` is {kind_of(node.value)}, not a list", "begin each with `- name: `")
        )
        return
    parts.capabilities["builtins"] = [
        _builtin(item, folder=folder, faults=faults) if isinstance(item.value, dict) else item.value
        for item in node.items()
    ]


def _builtin(node: Node, *, folder: Path, faults: FaultList) -> JsonObject:
    value = dict(node.object() or {})
    if not isinstance(value.get("files"), list):
        return value
    files: list[JsonValue] = []
    for item in node.member("files").items():
        file = item.object()
        path = (file or {}).get("path")
        if file is None or "sha256" in file or not isinstance(path, str):
            files.append(item.value)
            continue
        try:
            content = read_bytes(folder, path, file=item.source.file)
        except DocumentError as error:
            for fault in error.faults:
                faults.add(item.member("path").fault(fault.message, "check the path in agent.yaml"))
            continue
        files.append({**file, "sha256": hashlib.sha256(content).hexdigest()})
    value["files"] = files
    return value


def _read_rules(node: Node, pointer: str, parts: AgentParts, *, faults: FaultList) -> list[JsonValue]:
    if not isinstance(node.value, list):
        faults.add(node.fault(f"`rules` is {kind_of(node.value)}, not a list", "begin each rule with `- `"))
        return []
    rules: list[JsonValue] = []
    for item in node.items():
        rule = check_rule(item, faults=faults)
        if rule is None:
            continue
        if "place" in (item.object() or {}):
            faults.add(
                item.member("place").fault("a rule that stands here has its place already", "drop `place`")
            )
        parts.origins.map(f"{pointer}/{len(rules)}", item)
        rules.append(rule)
    return rules


def _read_tools(node: Node, parts: AgentParts, *, folder: Path, fetch: bool, faults: FaultList) -> None:
    if not isinstance(node.value, list):
        faults.add(node.fault(f"`tools` is {kind_of(node.value)}, not a list", "begin each tool with `- `"))
        return
    tools: list[JsonValue] = []
    for item in node.items():
        entry = read_tool(item, folder=folder, fetch=fetch, faults=faults)
        if entry is None:
            parts.unread.extend(_names_of(item))
            continue
        pointer = f"/capabilities/tools/{len(tools)}"
        parts.origins.map(pointer, item)
        source = next(kind for kind in SOURCE_KINDS if kind in (item.object() or {}))
        parts.origins.map(f"{pointer}/source/{source}", item.member(source))
        name = entry.value.get("name")
        if isinstance(name, str):
            if name in parts.tools:
                faults.add(item.fault(f"two tools are called `{name}`", "give one of them another `name:`"))
            parts.tools[name] = len(tools)
        if "rules" in (item.object() or {}):
            rules = _read_rules(item.member("rules"), f"{pointer}/rules", parts, faults=faults)
            entry.value["rules"] = rules
        tools.append(entry.value)
    parts.capabilities["tools"] = tools


def _names_of(node: Node) -> tuple[str, ...]:
    members = node.object() or {}
    given = (members.get("name"), str(members.get("python", "")).rpartition(":")[2])
    return tuple(name for name in given if isinstance(name, str) and name)


_BLOCK_KEYS = ("name", "description", "schema", "classification", "retention_days", "subject", "rules")


def _read_blocks(node: Node, parts: AgentParts, *, faults: FaultList) -> None:
    if not isinstance(node.value, list):
        faults.add(
            node.fault(f"`memory` is {kind_of(node.value)}, not a list of blocks", "begin each with `- `")
        )
        return
    blocks: list[JsonValue] = []
    for item in node.items():
        if not check_keys(item, known=_BLOCK_KEYS, required=_BLOCK_KEYS[:4], what="a block", faults=faults):
            continue
        members = item.object() or {}
        pointer = f"/memory/blocks/{len(blocks)}"
        parts.origins.map(pointer, item)
        block = dict(members)
        if "rules" in members:
            block["rules"] = _read_rules(item.member("rules"), f"{pointer}/rules", parts, faults=faults)
        name = members.get("name")
        if isinstance(name, str):
            parts.blocks[name] = len(blocks)
        blocks.append(block)
    parts.memory["blocks"] = blocks
