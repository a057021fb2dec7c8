"""Toolsets of a Docker agent file: which of their tools a document can hold.

Tools of MCP servers are carried where the file names them.
Tools for shell, files, web pages, scripts and HTTP calls are carried by name and schema; what they do is
supplied by the embedder.
What the agent does by itself (thinking, lists, plans, memory) has a counterpart in Remit or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import clean_address
from remit.exchange.foreign import ForeignTool
from remit.exchange.names import fit_tool_name
from remit.exchange.remnants import listed, lose_together
from remit.exchange.schemas import fit_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.document.model import ToolEffect
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.members import Findings, ForeignObject


def _schema(required: tuple[str, ...], **properties: JsonValue) -> JsonObject:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


_TEXT: JsonObject = {"type": "string"}
_TEXTS: JsonObject = {"type": "array", "items": {"type": "string"}}
_COUNT: JsonObject = {"type": "integer"}
_FLAG: JsonObject = {"type": "boolean"}
_EDIT: JsonObject = _schema(("oldText", "newText"), oldText=_TEXT, newText=_TEXT)

_BUILT_IN: dict[str, tuple[tuple[str, str, ToolEffect, JsonObject], ...]] = {
    "shell": (
        (
            "shell",
            "Run a command in the shell.",
            "external",
            _schema(("cmd",), cmd=_TEXT, cwd=_TEXT, timeout=_COUNT),
        ),
    ),
    "fetch": (
        (
            "fetch",
            "Read pages of the web.",
            "external",
            _schema(("urls",), urls=_TEXTS, timeout=_COUNT, format=_TEXT),
        ),
    ),
    "filesystem": (
        ("read_file", "Read a file.", "read", _schema(("path",), path=_TEXT, line=_COUNT, limit=_COUNT)),
        ("read_multiple_files", "Read several files.", "read", _schema(("paths",), paths=_TEXTS, json=_FLAG)),
        ("list_directory", "List a folder.", "read", _schema(("path",), path=_TEXT)),
        ("directory_tree", "Show a folder and what lies below it.", "read", _schema(("path",), path=_TEXT)),
        (
            "search_files_content",
            "Search the content of files.",
            "read",
            _schema(("path", "query"), path=_TEXT, query=_TEXT, is_regex=_FLAG, excludePatterns=_TEXTS),
        ),
        ("write_file", "Write a file.", "write", _schema(("path", "content"), path=_TEXT, content=_TEXT)),
        (
            "edit_file",
            "Replace text in a file.",
            "write",
            _schema(("path", "edits"), path=_TEXT, edits={"type": "array", "items": _EDIT}),
        ),
        ("create_directory", "Make folders.", "write", _schema(("paths",), paths=_TEXTS)),
        ("remove_directory", "Remove folders.", "write", _schema(("paths",), paths=_TEXTS)),
    ),
}
_BUILT_IN["file"] = _BUILT_IN["filesystem"]
_WITHIN = {
    "think": "the model thinks without a tool",
    "todo": "Remit keeps no lists: give the agent a memory block for them",
    "tasks": "Remit keeps no lists: give the agent a memory block for them",
    "plan": "Remit keeps no plans: give the agent a memory block for them",
    "session_plan": "Remit keeps no plans: give the agent a memory block for them",
    "session_context": "the runtime keeps the thread",
    "memory": "memory is in blocks of the document, under rules",
    "model_picker": "the order of the back-ends chooses the model",
    "background_agents": "each agent of the file is a document of its own",
    "user_prompt": "the embedder talks to people",
}
_LIMITS = (
    "allow_list",
    "deny_list",
    "allowed_domains",
    "blocked_domains",
    "allowed_servers",
    "blocked_servers",
)
_MINOR = (
    *("instruction", "toon", "model", "defer", "shared", "lifecycle", "version", "working_dir", "ignore_vcs"),
    *("timeout", "sudo_askpass", "safer", "recall", "post_edit", "path", "models", "file_types", "config"),
    *("allow_private_ips",),
)
_SECRETS = ("env", "headers")


class Toolsets:
    """Reads the toolsets of one agent.

    Args:
        servers: the file's reusable MCP servers, by name.
        findings: where faults and remarks go.
    """

    def __init__(self, servers: Mapping[str, ForeignObject], findings: Findings) -> None:
        self._servers = servers
        self._findings = findings
        self.tools: list[ForeignTool] = []

    def add(self, toolset: ForeignObject, *, readonly: bool) -> None:
        """Read one toolset.

        Args:
            toolset: its object.
            readonly: whether the agent may only use tools that change nothing.
        """
        kind = toolset.text("type", required=True)
        only = {name for _, name in toolset.names("tools")}
        readonly = readonly or toolset.boolean("readonly") is True
        readers: dict[str, Callable[[ForeignObject], None]] = {
            "mcp": lambda found: self._server(found, only),
            "script": self._scripts,
            "api": self._api,
        }
        before = len(self.tools)
        if kind in _BUILT_IN:
            self._built_in(toolset, kind, only, readonly=readonly)
        elif kind in readers:
            readers[kind](toolset)
        elif kind in _WITHIN:
            self._findings.lost(toolset.pointer, f"toolset `{kind}`: {_WITHIN[kind]}")
        elif kind:
            self._findings.decide(
                toolset.pointer,
                f"toolset `{printable(kind)}` is not carried: supply functions or a server, or do without",
            )
        if readonly and kind not in _BUILT_IN and len(self.tools) > before:
            self._findings.decide(
                toolset.pointer,
                "`readonly` leaves tools that change nothing; the file does not say which: drop the others",
            )
        self._rest(toolset)

    def _rest(self, toolset: ForeignObject) -> None:
        limits = [name for name in _LIMITS if toolset.has(name)]
        if limits:
            self._findings.decide(
                toolset.at(limits[0]),
                f"{listed(limits)} limit what the tools reach: what you supply must keep to it",
            )
        for name in _SECRETS:
            found = toolset.object(name)
            if found is not None and found.value:
                self._findings.lost(
                    found.pointer, f"`{name}` may hold secrets and are left out: {listed(found.value)}"
                )
        lose_together(toolset, _MINOR, "no counterpart")
        toolset.close()

    def _add(self, tool: ForeignTool, pointer: str) -> bool:
        if any(known.name == tool.name for known in self.tools):
            self._findings.lost(pointer, f"the tool `{tool.name}` is there twice: the second is left out")
            return False
        self.tools.append(tool)
        return True

    def _built_in(self, toolset: ForeignObject, kind: str, only: set[str], *, readonly: bool) -> None:
        carried: list[str] = []
        for name, description, effect, parameters in _BUILT_IN[kind]:
            if (only and name not in only) or (readonly and effect != "read"):
                continue
            tool = ForeignTool(name=name, description=description, parameters=parameters, effect=effect)
            if self._add(tool, toolset.pointer):
                carried.append(name)
        unknown = only - {name for name, *_ in _BUILT_IN[kind]}
        if unknown:
            self._findings.lost(toolset.at("tools"), f"{listed(sorted(unknown))} are no tools of `{kind}`")
        if carried:
            self._findings.carried(toolset.pointer, f"toolset `{kind}` is {listed(carried)}")
            self._findings.decide(
                toolset.pointer, f"nothing runs {listed(carried)} yet: supply functions, or drop them"
            )

    def _server(self, toolset: ForeignObject, only: set[str]) -> None:
        reference = toolset.text("ref")
        named = self._servers.get(reference)
        server = named if named is not None else toolset
        only = only or {name for _, name in server.names("tools")}
        shown = printable(toolset.text("name") or server.text("name") or reference or "mcp")
        source = self._source(server, reference if named is None else "")
        if named is not None:
            self._rest(server)
        if source is None or not only:
            what = (
                "which tools it offers" if source is not None else "a program or address that Remit could use"
            )
            self._findings.decide(
                toolset.pointer,
                f"the file does not say of the MCP server `{shown}` {what}: declare its tools with "
                "`mcp:` and build with `--fetch-tools`",
            )
            return
        for remote in sorted(only):
            self._remote_tool(remote, source, toolset)
        self._findings.decide(
            toolset.pointer,
            f"the file does not describe the tools of the MCP server `{shown}`: drop their `description` and "
            "`parameters` and build with `--fetch-tools`",
        )

    def _remote_tool(self, remote: str, source: JsonObject, toolset: ForeignObject) -> None:
        name = fit_tool_name(remote)
        place: JsonObject = {"mcp": source} if name == remote else {"mcp": source, "tool": remote}
        tool = ForeignTool(name=name, description="", parameters={"type": "object"}, source=place)
        if self._add(tool, toolset.pointer):
            self._findings.carried(toolset.at("tools"), f"`{printable(remote)}` of the MCP server is a tool")

    def _source(self, server: ForeignObject, reference: str) -> JsonObject | None:
        """Return how a server is reached; None where the file names no program or address."""
        command = server.text("command")
        arguments = [text for _, text in server.texts("args")]
        remote = server.object("remote")
        if reference.startswith("docker:"):
            self._findings.decide(
                server.pointer,
                f"`{printable(reference)}` is an image of a catalogue, which Remit does not start",
            )
            return None
        if remote is not None:
            address, cut = clean_address(remote.text("url", required=True))
            if cut:
                self._findings.lost(remote.at("url"), "user, password and query of the address are left out")
            for name in ("headers", "oauth"):
                if remote.has(name):
                    self._findings.lost(remote.at(name), f"`{name}` may hold secrets and are left out")
            lose_together(remote, ("transport_type",), "Remit speaks streamable HTTP")
            remote.close()
            return {"url": address} if address else None
        if not command:
            return None
        line = [command, *arguments]
        if any("$" in word for word in line):
            self._findings.decide(
                server.at("args"), "variables in a command are not expanded: write their values"
            )
        self._findings.decide(
            server.at("command"),
            f"`{printable(' '.join(line))}` would be started on the agent's host: say whether it may",
        )
        return {"command": list(line)}

    def _scripts(self, toolset: ForeignObject) -> None:
        for written, script in toolset.members("shell"):
            self._function(
                written,
                script,
                description=script.text("description"),
                what="ran a command line of the file, which is not carried",
            )
            script.any("cmd")
            lose_together(script, ("env", "working_dir"), "no counterpart")
            script.close()

    def _api(self, toolset: ForeignObject) -> None:
        config = toolset.object("api_config")
        if config is None:
            return
        address, _ = clean_address(config.text("endpoint"))
        call = f"{printable(config.text('method'))} {printable(address)}".strip()
        self._function(
            config.text("name", required=True),
            config,
            description=config.text("instruction"),
            what=f"called `{call}`, which is not carried",
        )
        lose_together(config, ("headers", "output_schema"), "no counterpart")
        config.close()

    def _function(self, written: str, owner: ForeignObject, *, description: str, what: str) -> None:
        name = fit_tool_name(written)
        arguments = owner.object("args")
        properties: JsonObject = {} if arguments is None else dict(arguments.value)
        required = (
            [text for _, text in owner.texts("required")] if owner.has("required") else list(properties)
        )
        schema: JsonObject = {"type": "object", "properties": properties, "required": list(required)}
        tool = ForeignTool(
            name=name,
            description=description,
            parameters=fit_parameters(schema, owner.at("args"), self._findings, tool=written),
        )
        if self._add(tool, owner.pointer):
            self._findings.carried(owner.pointer, f"`{printable(written)}` is the tool `{name}`")
            self._findings.decide(owner.pointer, f"`{printable(written)}` {what}: supply a function")
