"""Tools of a Letta agent.

Rules
1. Source code is never carried and never run; its SHA-256 is noted, so that a person can compare.
2. Letta's own tools are lost: Remit has memory tools of its own, and an answer is the model's text.
3. A tool of an MCP server keeps the server's address or command, but no environment, token or header.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import clean_address
from remit.exchange.foreign import ForeignTool
from remit.exchange.members import ForeignObject
from remit.exchange.names import fit_tool_name
from remit.exchange.remnants import Remnants, listed, lose_together
from remit.exchange.schemas import fit_parameters
from remit.host.memory_tools import NAMES as MEMORY_TOOL_NAMES

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.letta_parts import Part
    from remit.exchange.members import Findings

SPEAK = "send_message"
_OWN_TYPES = frozenset(
    (
        "letta_core",
        "letta_memory_core",
        "letta_sleeptime_core",
        "letta_voice_sleeptime_core",
        "letta_multi_agent_core",
        "letta_builtin",
        "letta_files_core",
    )
)
_OWN: tuple[tuple[str, frozenset[str]], ...] = (
    ("an agent's answer is its text", frozenset({SPEAK})),
    (
        "agents do not call each other here",
        frozenset(
            {
                "send_message_to_agent_and_wait_for_reply",
                "send_message_to_agent_async",
                "send_message_to_agents_matching_tags",
                "send_message_to_agents_matching_all_tags",
            }
        ),
    ),
    (
        "files of the agent become memory",
        frozenset({"open_files", "grep_files", "semantic_search_files"}),
    ),
    (
        "Remit has memory tools of its own",
        frozenset(
            {
                "archival_memory_insert",
                "archival_memory_search",
                "conversation_search",
                "conversation_search_date",
                "core_memory_append",
                "core_memory_replace",
                "memory",
                "memory_apply_patch",
                "memory_insert",
                "memory_replace",
                "memory_rethink",
                "memory_finish_edits",
                "rethink_memory",
                "finish_rethinking_memory",
                "store_memories",
                "search_memory",
            }
        ),
    ),
)
"""Letta's own tools by the reason for which they are lost; all others ran at Letta's."""

_OWN_NAMES = frozenset(name for _, names in _OWN for name in names)
_HEARTBEAT = "request_heartbeat"
_READ = (
    "id",
    "name",
    "tool_type",
    "description",
    "source_code",
    "source_type",
    "json_schema",
    "args_json_schema",
    "default_requires_approval",
    "metadata_",
    "pip_requirements",
    "npm_requirements",
)
_SERVER_READ = ("id", "server_name", "server_type", "server_url", "stdio_config")
_SECRETS = ("token", "token_enc", "custom_headers", "custom_headers_enc", "auth_header", "auth_token")
_DIGITS = 12


class ToolReader:
    """Reads the tools of one agent.

    Args:
        findings: the agent's.
        servers: MCP servers of the file.
        ask: names of tools whose calls a tool rule lets a person approve.
    """

    def __init__(self, findings: Findings, servers: list[ForeignObject], ask: set[str]) -> None:
        self._findings = findings
        self._servers = {server.text("server_name"): server for server in servers}
        self._ask = ask
        self._own: list[str] = []
        self._beating: list[str] = []
        self._taken = set(MEMORY_TOOL_NAMES)
        self.by_name: dict[str, ForeignTool] = {}
        self.sources: JsonObject = {}

    @property
    def tools(self) -> tuple[ForeignTool, ...]:
        """The tools that are carried."""
        return tuple(self.by_name.values())

    @property
    def speaks_by_tool(self) -> bool:
        """Whether the agent answered by calling a tool, so that its text was its thoughts."""
        return SPEAK in self._own

    def read(self, parts: list[Part], place: str) -> None:
        """Read tools.

        Args:
            parts: the agent's tools.
            place: where they are listed, for remarks about all of them.
        """
        rest = Remnants(self._findings, place, "tools")
        for part in parts:
            tool = ForeignObject(part.value, part.pointer, self._findings)
            if tool.is_object:
                self._tool(tool)
                rest.add(tool, _READ)
        rest.close("ids, tags and limits of Letta's own")
        self._remark_on_own(place)
        if self._beating:
            self._findings.lost(place, f"`{_HEARTBEAT}` of {listed(self._beating)} steered Letta's own loop")
        if self.by_name:
            names = listed(tool.name for tool in self.tools)
            self._findings.carried(place, f"tools {names} are carried; nothing permits them yet")
        asking = [tool.name for tool in self.tools if tool.ask]
        if asking:
            self._findings.carried(place, f"each call of {listed(asking)} waits for a person's approval")

    def _tool(self, tool: ForeignObject) -> None:
        declared = _unwrapped(tool.object("json_schema"))
        name = tool.text("name") or ("" if declared is None else declared.text("name"))
        kind = tool.text("tool_type")
        approved = tool.boolean("default_requires_approval") or False
        if not name:
            tool.missing("name")
            return
        if kind in _OWN_TYPES or (not kind and name in _OWN_NAMES):
            self._own.append(name)
            return
        if name in self.by_name:
            self._findings.lost(tool.pointer, f"a second tool called `{printable(name)}` is lost")
            return
        fitted = fit_tool_name(name, self._taken)
        self._taken.add(fitted)
        if fitted != name:
            self._findings.carried(tool.at("name"), f"tool `{printable(name)}` is called `{fitted}` here")
        described = tool.text("description") or ("" if declared is None else declared.text("description"))
        self.by_name[name] = ForeignTool(
            name=fitted,
            description=described,
            parameters=self._parameters(tool, declared, name),
            source=self._source(tool, name),
            ask=approved or name in self._ask,
        )

    def _parameters(self, tool: ForeignObject, declared: ForeignObject | None, name: str) -> JsonObject:
        pointer, schema = tool.at("args_json_schema"), tool.any("args_json_schema")
        if declared is not None and declared.has("parameters"):
            pointer, schema = declared.at("parameters"), declared.any("parameters")
        elif declared is not None and declared.has("properties"):
            pointer, schema = declared.pointer, declared.value
        elif schema is None:
            self._findings.decide(
                tool.pointer, f"`{printable(name)}` declares no parameters, so it takes none: check that"
            )
        return fit_parameters(self._without_heartbeat(schema, name), pointer, self._findings, tool=name)

    def _without_heartbeat(self, schema: JsonValue, tool: str) -> JsonValue:
        """Leave out the argument with which a model asked to go on; here the host goes on by itself."""
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(schema, dict) or not isinstance(properties, dict) or _HEARTBEAT not in properties:
            return schema
        self._beating.append(tool)
        required = schema.get("required")
        kept: JsonObject = {
            **schema,
            "properties": {name: item for name, item in properties.items() if name != _HEARTBEAT},
        }
        if isinstance(required, list):
            kept["required"] = [name for name in required if name != _HEARTBEAT]
        return kept

    def _source(self, tool: ForeignObject, name: str) -> JsonObject | None:
        """Return where a tool runs, and say what becomes of its code."""
        code, language = tool.text("source_code"), tool.text("source_type")
        if tool.text("tool_type") == "external_mcp":
            return self._served(tool, name)
        if not code:
            self._findings.decide(
                tool.pointer, f"`{printable(name)}` has no code in the file: the embedder supplies the tool"
            )
            return None
        digest = hashlib.sha256(code.encode()).hexdigest()
        wants = [
            requirement.text("name")
            for member in ("pip_requirements", "npm_requirements")
            for requirement in tool.objects(member)
        ]
        needs = f" (it needed {listed(wants)})" if wants else ""
        self._findings.decide(
            tool.at("source_code"),
            f"the code of `{printable(name)}`, sha256 {digest[:_DIGITS]}…, is neither carried nor run: "
            f"the embedder supplies the tool{needs}",
        )
        self.sources[name] = {"source_type": language, "source_sha256": digest}
        return None

    def _served(self, tool: ForeignObject, name: str) -> JsonObject | None:
        """Return the source of a tool that an MCP server of the file offers."""
        server_name = self._server_name(tool)
        server = self._servers.get(server_name)
        stdio = None if server is None else server.object("stdio_config")
        if server is not None:
            lose_together(server, _SECRETS, "secrets of the MCP server are never carried")
        if server is not None and server.text("server_url"):
            url, cut = clean_address(server.text("server_url"))
            if cut:
                self._findings.lost(
                    server.at("server_url"), f"user, password and query of `{printable(url)}` are left out"
                )
            if url:
                self._findings.decide(
                    tool.pointer,
                    f"`{printable(name)}` runs on the MCP server `{printable(url)}`: say whether it may",
                )
                return {"mcp": {"url": url}, "tool": name}
        if stdio is not None and stdio.text("command"):
            command: list[JsonValue] = [stdio.text("command"), *(word for _, word in stdio.texts("args"))]
            self._findings.decide(
                tool.pointer,
                f"`{printable(name)}` starts the program `{printable(stdio.text('command'))}` on the host: "
                "say whether it may, and look for secrets in its arguments; its environment is not carried",
            )
            return {"mcp": {"command": command}, "tool": name}
        self._findings.decide(
            tool.pointer,
            f"`{printable(name)}` ran on the MCP server `{printable(server_name)}`, "
            "whose address the file lacks: name it, or let the embedder supply the tool",
        )
        return None

    @staticmethod
    def _server_name(tool: ForeignObject) -> str:
        metadata = tool.object("metadata_")
        described = None if metadata is None else metadata.object("mcp")
        if described is not None and described.text("server_name"):
            return described.text("server_name")
        return next((tag[4:] for _, tag in tool.texts("tags") if tag.startswith("mcp:")), "")

    def _remark_on_own(self, place: str) -> None:
        left = list(self._own)
        for reason, names in _OWN:
            found = [name for name in left if name in names]
            left = [name for name in left if name not in names]
            if found:
                self._findings.lost(place, f"Letta's own {listed(found)}: {reason}")
        if left:
            self._findings.decide(
                place,
                f"{listed(left)} ran at Letta's: declare a built-in of the back-end or a tool of your own "
                "where the agent needs one",
            )


def _unwrapped(schema: ForeignObject | None) -> ForeignObject | None:
    """Return a function declaration from within the wrapper that some exporters put around it."""
    if schema is None or not schema.has("function"):
        return schema
    return schema.object("function")
