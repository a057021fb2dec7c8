"""Tools and toolboxes of an Open Agent Spec agent.

Rules
1. Server, client, remote and built-in tools become tools of the embedder: the file holds no code.
   A remote tool's request is described by a remark and never sent.
2. A tool of an MCP server keeps the server's address or command, but no header, key or environment.
3. A toolbox offers what its server has at run time, which no rule could name: of its tools, only those are
   carried that it declares with their inputs.
4. `requires_confirmation` becomes a person's approval of each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.agent_spec_components import COMMON, REFERENCE, TYPE
from remit.exchange.endpoints import clean_address, without_secrets
from remit.exchange.foreign import ForeignTool
from remit.exchange.names import fit_tool_name
from remit.exchange.remnants import Remnants, listed, lose_together
from remit.exchange.schemas import fit_parameters
from remit.host.memory_tools import NAMES as MEMORY_TOOL_NAMES

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.agent_spec_components import Components
    from remit.exchange.members import Findings, ForeignObject

_READ = ("inputs", "requires_confirmation", *COMMON)
_REMOTE = (
    "url",
    "http_method",
    "headers",
    "sensitive_headers",
    "data",
    "query_params",
    "url_allow_list",
)
_SECRET_PARTS = ("headers", "sensitive_headers", "auth", "key_file", "cert_file", "ca_file", "env")
_TRANSPORTS = ("SSETransport", "SSEmTLSTransport")
_TOOLBOX = "MCPToolBox"


class ToolReader:
    """Reads the tools of one agent.

    Args:
        findings: the agent's.
        components: those of the file.
    """

    def __init__(self, findings: Findings, components: Components) -> None:
        self._findings = findings
        self._components = components
        self._tools: dict[str, ForeignTool] = {}
        self._seen: set[str] = set()
        self._taken = set(MEMORY_TOOL_NAMES)
        self.toolboxes: list[JsonValue] = []

    @property
    def tools(self) -> tuple[ForeignTool, ...]:
        """The tools read so far."""
        return tuple(self._tools.values())

    def read(self, tools: list[ForeignObject], place: str) -> None:
        """Read tools.

        Args:
            tools: the components.
            place: where they are listed.
        """
        rest = Remnants(self._findings, place, "tools")
        for tool in tools:
            # One component may be listed twice, by reference.
            if tool.pointer not in self._seen:
                self._seen.add(tool.pointer)
                self._tool(tool, rest)
        rest.close("a tool has only parameters here")

    def read_boxes(self, boxes: list[ForeignObject]) -> None:
        """Read toolboxes."""
        for box in boxes:
            if box.text(TYPE) == _TOOLBOX:
                self._box(box)
            else:
                self._findings.decide(
                    box.pointer,
                    f"toolbox `{printable(box.text('name'))}` is a `{printable(box.text(TYPE))}`, "
                    "which is not known: declare its tools",
                )

    def remark(self, place: str) -> None:
        """Remark on what is carried; once everything is read."""
        if self._tools:
            self._findings.carried(
                place, f"tools {listed(self._tools)} are carried; nothing permits them yet"
            )
        asking = [tool.name for tool in self.tools if tool.ask]
        if asking:
            self._findings.carried(place, f"each call of {listed(asking)} waits for a person's approval")

    def _tool(self, tool: ForeignObject, rest: Remnants) -> None:
        kind, name = tool.text(TYPE), tool.text("name")
        if not name:
            tool.missing("name")
            return
        source: JsonObject | None = None
        read: tuple[str, ...] = _READ
        if kind == "MCPTool":
            read = (*_READ, "client_transport")
            source = self._served(tool, name)
        elif kind == "RemoteTool":
            read = (*_READ, *_REMOTE)
            self._remark_on_request(tool, name)
        else:
            self._findings.decide(tool.pointer, _runs(kind, name))
        rest.add(tool, read)
        self._add(tool, name, source=source, ask=tool.boolean("requires_confirmation") or False)

    def _add(self, tool: ForeignObject, name: str, *, source: JsonObject | None, ask: bool) -> None:
        fitted = fit_tool_name(name, self._taken)
        self._taken.add(fitted)
        if fitted != name:
            self._findings.carried(tool.at("name"), f"tool `{printable(name)}` is called `{fitted}` here")
        self._tools[fitted] = ForeignTool(
            name=fitted,
            description=tool.text("description"),
            parameters=fit_parameters(parameters_of(tool), tool.at("inputs"), self._findings, tool=name),
            source=source,
            ask=ask,
        )

    def _remark_on_request(self, tool: ForeignObject, name: str) -> None:
        """Say what a remote tool would have sent, without what may be secret."""
        method, url = tool.text("http_method") or "a request", without_secrets(tool.text("url"))
        headers = tool.object("headers")
        allowed = [address for _, address in tool.texts("url_allow_list")]
        if allowed:
            self._findings.decide(
                tool.at("url_allow_list"),
                f"`{printable(name)}` was to reach {listed(allowed)} alone: keep to that",
            )
        sent = [part for part in ("data", "query_params") if tool.value.get(part)]
        more = f", with {listed(sent)}" if sent else ""
        self._findings.decide(
            tool.pointer,
            f"`{printable(name)}` sent {printable(method)} to `{printable(url)}`{more}: "
            "the embedder supplies a tool that does",
        )
        names = [*(() if headers is None else headers.value)]
        secret = tool.object("sensitive_headers")
        names += [] if secret is None else [header for header in secret.value if header != REFERENCE]
        if names:
            self._findings.lost(
                tool.pointer, f"headers {listed(names)} are never carried: they may be secrets"
            )

    def _served(self, owner: ForeignObject, tool: str) -> JsonObject | None:
        """Return the source of a tool of an MCP server; None where the server cannot be named."""
        server = self._server(owner, f"`{printable(tool)}`")
        return None if server is None else {"mcp": server, "tool": tool}

    def _server(self, owner: ForeignObject, what: str) -> JsonObject | None:
        transport = self._components.member(owner, "client_transport")
        if transport is None:
            self._findings.decide(owner.pointer, f"{what} names no server that is in this file: name one")
            return None
        lose_together(transport, _SECRET_PARTS, "may be secrets and are never carried")
        lose_together(transport, ("session_parameters", "retry_policy", "cwd"), "settings of the connection")
        kind, url, command = transport.text(TYPE), transport.text("url"), transport.text("command")
        if command:
            words: list[JsonValue] = [command, *(word for _, word in transport.texts("args"))]
            self._findings.decide(
                transport.pointer,
                f"{what} starts the program `{printable(command)}` on the host: "
                "say whether it may, and look for secrets in its arguments",
            )
            return {"command": words}
        address, cut = clean_address(url)
        if not address:
            self._findings.decide(
                transport.pointer,
                f"{what} runs on an MCP server at `{printable(without_secrets(url))}`, "
                "which is no address: name it",
            )
            return None
        if cut:
            self._findings.lost(
                transport.at("url"), f"user, password and query of `{printable(address)}` are left out"
            )
        stream = "; server-sent events are not spoken here, streamable HTTP is" if kind in _TRANSPORTS else ""
        self._findings.decide(
            transport.pointer,
            f"{what} runs on the MCP server `{printable(address)}`: say whether it may{stream}",
        )
        return {"url": address}

    def _box(self, box: ForeignObject) -> None:
        name = box.text("name")
        server = self._server(box, f"toolbox `{printable(name)}`")
        ask = box.boolean("requires_confirmation") or False
        named: list[str] = []
        for pointer, value in box.items("tool_filter"):
            if isinstance(value, str):
                named.append(value)
                continue
            spec = self._components.resolved(value, pointer, self._findings)
            if spec is None:
                continue
            confirmed = spec.boolean("requires_confirmation") or ask
            if spec.has("inputs") and spec.text("name"):
                source: JsonObject | None = (
                    None if server is None else {"mcp": server, "tool": spec.text("name")}
                )
                self._add(spec, spec.text("name"), source=source, ask=confirmed)
                self._findings.decide(
                    pointer,
                    f"`{printable(spec.text('name'))}` must read exactly as its server describes it: compare",
                )
            else:
                named.append(spec.text("name"))
        if named or not box.has("tool_filter"):
            which = f"the tools {listed(named)}" if named else "every tool of its server"
            confirm = "; each call was to be confirmed" if ask else ""
            self._findings.decide(
                box.pointer,
                f"toolbox `{printable(name)}` offered {which}: declare each with its parameters{confirm}",
            )
        kept: JsonObject = {"name": name, "tools": [*named], "requires_confirmation": ask}
        self.toolboxes.append(kept if server is None else {**kept, "mcp": server})
        known = ("client_transport", "tool_filter", "requires_confirmation", *COMMON)
        lose_together(box, [member for member in box.value if member not in known], "settings of the toolbox")


def parameters_of(tool: ForeignObject) -> JsonObject:
    """Return the inputs of a component as one schema; an input without a default is required."""
    properties: JsonObject = {}
    required: list[JsonValue] = []
    for declared in tool.objects("inputs"):
        title = declared.text("title")
        if not title:
            declared.missing("title")
            continue
        if title in properties:
            declared.wrong("title", f"is `{printable(title)}`, which occurs twice", "give each its own")
        properties[title] = {name: member for name, member in declared.value.items() if name != "title"}
        if "default" not in declared.value:
            required.append(title)
    return {"type": "object", "properties": properties, "required": required}


def _runs(kind: str, name: str) -> str:
    """Say where a tool ran, and that the embedder supplies it now."""
    shown = f"`{printable(name)}`"
    if kind == "ServerTool":
        return f"{shown} ran in the system that ran the agent: the embedder supplies it"
    if kind == "ClientTool":
        return f"{shown} ran in the application that called the agent: the embedder supplies it"
    if kind == "BuiltinTool":
        return f"{shown} was built into the system that ran the agent: the embedder supplies it"
    return f"{shown} is a `{printable(kind)}`, which is not known: the embedder supplies it"
