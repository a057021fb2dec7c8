"""Tools of a declarative agent of the Agent Framework, and its way of writing JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import clean_address
from remit.exchange.foreign import ForeignTool
from remit.exchange.members import ForeignObject
from remit.exchange.names import fit_tool_name
from remit.exchange.remnants import listed, lose_together
from remit.exchange.schemas import fit_parameters

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.members import Findings

_BUILTINS = {
    "code_interpreter": "code_interpreter",
    "codeinterpreter": "code_interpreter",
    "file_search": "file_search",
    "filesearch": "file_search",
    "web_search": "web_search",
    "websearch": "web_search",
}
_TYPES = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "float": "number",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "record": "object",
}
_JSON_TYPES = ("string", "integer", "number", "boolean", "array", "object")
_SETTINGS = ("ranker", "scoreThreshold", "filters", "options")
_NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTools:
    """What the tools of an agent became."""

    tools: tuple[ForeignTool, ...]
    builtins: tuple[JsonObject, ...]


class FrameworkTools:
    """Reads the tools of one agent.

    Args:
        findings: where faults and remarks go.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._tools: list[ForeignTool] = []
        self._builtins: list[JsonObject] = []

    def read(self, agent: ForeignObject) -> ReadTools:
        """Read the member `tools`: a list, or tools by name."""
        if isinstance(agent.value.get("tools"), dict):
            found = [(name, tool) for name, tool in agent.members("tools")]
        else:
            found = [("", tool) for tool in agent.objects("tools")]
        for name, tool in found:
            self._read(name, tool)
        return ReadTools(tools=tuple(self._tools), builtins=tuple(self._builtins))

    def _read(self, key: str, tool: ForeignObject) -> None:
        kind = (tool.text("kind") or tool.text("type")).lower()
        if not kind:
            tool.missing("kind")
            return
        name = tool.text("name") or key
        if kind == "function":
            self._function(name, tool)
        elif kind == "mcp":
            self._server(name, tool)
        elif kind in _BUILTINS:
            self._builtin(_BUILTINS[kind], tool)
        else:
            self._findings.decide(
                tool.pointer,
                f"the tool `{printable(name)}` of kind `{printable(kind)}` is not carried: supply a function "
                "or a server for it, or do without",
            )
            return
        tool.close()

    def _function(self, written: str, tool: ForeignObject) -> None:
        if not written:
            tool.missing("name")
            return
        name = fit_tool_name(written, {known.name for known in self._tools})
        pointer = tool.at("parameters")
        schema = property_schema(tool.any("parameters"), pointer, self._findings)
        self._tools.append(
            ForeignTool(
                name=name,
                description=tool.text("description"),
                parameters=fit_parameters(schema, pointer, self._findings, tool=written),
            )
        )
        self._findings.carried(
            tool.pointer, f"function `{printable(written)}` is a tool; the embedder supplies what it runs"
        )
        if name != written:
            self._findings.decide(
                tool.at("name"), f"the function `{printable(written)}` is the tool `{name}`"
            )
        lose_together(tool, ("bindings",), "the embedder passes functions in by the name of the tool")
        lose_together(tool, ("strict",), "arguments are always checked")

    def _builtin(self, name: str, tool: ForeignObject) -> None:
        tool.text("description")
        if any(builtin["name"] == name for builtin in self._builtins):
            self._findings.lost(tool.pointer, f"`{name}` stands twice: the second is left out")
        else:
            builtin: JsonObject = {"name": name, "required": False}
            results = tool.number("maximumResultCount") if name == "file_search" else None
            if results is not None:
                builtin["config"] = {"max_num_results": results}
            lose_together(tool, _SETTINGS, "no counterpart")
            self._builtins.append(builtin)
            self._findings.carried(
                tool.pointer, f"`{name}` runs at the vendor: it is offered where a rule on `dispatch` permits"
            )
        for member in ("vectorStoreIds", "fileIds"):
            names = [text for _, text in tool.texts(member)]
            if names:
                self._findings.decide(
                    tool.at(member),
                    f"{listed(names)} are at the vendor: put the files into the project and name them",
                )
        lose_together(tool, ("connection", "bindings"), "no counterpart")

    def _server(self, name: str, tool: ForeignObject) -> None:
        connection = tool.object("connection")
        url = tool.text("url") or tool.text("serverUrl")
        if connection is not None:
            url = url or connection.text("endpoint")
            self._findings.decide(
                connection.pointer, "the server's connection is not carried: say how it is reached"
            )
        address, cut = clean_address("" if url.startswith("=") else url)
        if cut:
            self._findings.lost(
                tool.at("url"), "user, password and query of the server's address are left out"
            )
        shown = printable(name or tool.text("serverName"))
        tool.text("serverName")
        lose_together(
            tool, ("description", "serverDescription", "bindings"), "said of a server, and so of no tool"
        )
        allowed = tool.names("allowedTools")
        never, asks = _approvals(tool)
        if not address or not allowed:
            lacking = "no address" if not address else "none of its tools"
            self._findings.decide(
                tool.pointer,
                f"the file names {lacking} of the MCP server `{shown}`: declare its tools with "
                "`mcp: {url: …}` and build with `--fetch-tools`",
            )
            return
        for pointer, remote in allowed:
            own = fit_tool_name(remote, {known.name for known in self._tools})
            source: JsonObject = {"mcp": {"url": address}}
            if own != remote:
                source["tool"] = remote
            self._tools.append(
                ForeignTool(
                    name=own,
                    description="",
                    parameters={"type": "object"},
                    source=source,
                    ask=remote in asks or never.isdisjoint({remote, "*"}),
                )
            )
            self._findings.carried(
                pointer, f"`{printable(remote)}` of the MCP server at `{address}` is a tool"
            )
        self._findings.decide(
            tool.pointer,
            f"the file does not describe the tools of the MCP server at `{address}`: drop their "
            "`description` and `parameters` and build with `--fetch-tools`",
        )


def _approvals(tool: ForeignObject) -> tuple[frozenset[str], frozenset[str]]:
    """Return tools that need no approval, `*` for all, and tools that do; what is left open needs one."""
    spelled = tool.any("approvalMode")
    older = tool.text("requireApproval").lower()
    if isinstance(spelled, str):
        return (frozenset({"*"}) if spelled.lower().startswith(_NEVER) else frozenset(), frozenset())
    if spelled is None:
        return (frozenset({"*"}) if older.startswith(_NEVER) else frozenset(), frozenset())
    mode = tool.object("approvalMode")
    if mode is None:
        return frozenset(), frozenset()
    kind = mode.text("kind").lower()
    never = frozenset(text for _, text in mode.texts("neverRequireApprovalTools"))
    always = frozenset(text for _, text in mode.texts("alwaysRequireApprovalTools"))
    mode.close()
    if kind.startswith(_NEVER):
        return frozenset({"*"}), always
    return never, always


def property_schema(value: JsonValue, pointer: str, findings: Findings) -> JsonValue:
    """Return a schema of the framework as JSON Schema.

    The framework writes `kind` for `type`, properties also as a list with `name`, and `required` as a truth
    value at each property.

    Args:
        value: the schema; None where there is none.
        pointer: where it stands.
        findings: where faults go.
    """
    if value is None:
        return None
    if isinstance(value, list):
        return _object({"properties": value}, pointer, findings)
    schema = ForeignObject(value, pointer, findings)
    return _object(schema.value, pointer, findings)


def _object(schema: JsonObject, pointer: str, findings: Findings) -> JsonObject:
    owner = ForeignObject(schema, pointer, findings)
    members: JsonObject = {}
    required: list[JsonValue] = []
    if isinstance(schema.get("properties"), dict):
        found = owner.members("properties")
    else:
        found = [(item.text("name", required=True), item) for item in owner.objects("properties")]
    for name, member in found:
        members[name] = _property(member.value, member.pointer, findings)
        if member.value.get("required") is True:
            required.append(name)
    listed_names = schema.get("required")
    if isinstance(listed_names, list):
        required.extend(name for name in listed_names if isinstance(name, str) and name not in required)
    result: JsonObject = {"type": "object", "properties": members}
    if required:
        result["required"] = required
    if schema.get("strict") is True or schema.get("additionalProperties") is False:
        result["additionalProperties"] = False
    if isinstance(schema.get("description"), str):
        result["description"] = schema["description"]
    return result


def _property(value: JsonObject, pointer: str, findings: Findings) -> JsonObject:
    spelled = value.get("kind", value.get("type"))
    kind = _TYPES.get(spelled.lower(), spelled.lower()) if isinstance(spelled, str) else ""
    if kind == "object" or (not kind and "properties" in value):
        return _object(value, pointer, findings)
    schema: JsonObject = {"type": kind} if kind in _JSON_TYPES else {}
    if kind == "array" and value.get("items") is not None:
        items = ForeignObject(value["items"], f"{pointer}/items", findings)
        schema["items"] = _property(items.value, items.pointer, findings)
    for name in ("description", "default", "enum", "format", "pattern", "minimum", "maximum"):
        if value.get(name) is not None and value.get(name) != []:
            schema[name] = value[name]
    if value.get("example") is not None:
        schema["examples"] = [value["example"]]
    return schema
