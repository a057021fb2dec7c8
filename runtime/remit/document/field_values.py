"""The fields governance, capabilities and execution state, read into typed views."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from remit.document.faults import (
    DIGEST,
    HEX_64,
    NAME,
    PACK_NAME,
    SHAPES,
    TIME,
    FaultLog,
    Members,
    kind_of,
)
from remit.document.instants import is_reached
from remit.document.json_text import printable
from remit.document.model import (
    BackendEntry,
    Builtin,
    BuiltinFile,
    Capabilities,
    ExecutionState,
    Governance,
    Lifecycle,
    Limits,
    PackPin,
    PendingApproval,
    Tool,
    ToolEffect,
)
from remit.document.rule_values import (
    ACTIVATION,
    DISPATCH,
    MUTATION,
    RESERVED_TOOL_NAMES,
    TERMINATION,
    RuleReader,
    anywhere,
    at_tool,
)
from remit.document.value_schemas import Conformance, schema_faults

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

LIFECYCLES = ("draft", "ready", "active", "suspended", "awaiting_approval", "terminated")
BUILTINS = ("code_interpreter", "file_search", "web_search")
TOOL_EFFECTS = ("read", "write", "external")
SOURCE_KINDS = ("python", "mcp", "embedder")
REQUIRED_ATTRIBUTES = ("jurisdiction", "risk_tier", "owner")
PYTHON_SOURCE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
FILE_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.{1,2}(?:/|$))(?!.*//)[^\\:\x00-\x1f\x7f]+(?<!/)")
SHAPES[FILE_PATH] = "a path inside the project folder, with `/`"
SHAPES[PYTHON_SOURCE] = "a function: `module:function`"
_ANY_OBJECT: JsonObject = {"type": "object"}


def schema_member(owner: Members, name: str, *, required: bool, of_object: bool) -> JsonObject | None:
    """Read a member that is a JSON Schema; None where it is absent or unacceptable."""
    if not required and not owner.has(name):
        return None
    schema = owner.object(name, required=required, nulls=True)
    if not isinstance(owner.value.get(name), dict):
        return None
    faults = schema_faults(schema, of_object=of_object)
    for pointer, what in faults:
        owner.log.add(
            owner.at(name) + pointer, f"`{printable(owner.at(name))}` holds no acceptable schema: {what}"
        )
    return None if faults else schema


def unique(names: list[str], name: str, owner: Members, member: str = "name") -> None:
    """Note a name that occurs a second time."""
    if name and name in names:
        owner.wrong(member, f"is `{printable(name)}`, which occurs twice", "give each its own")
    names.append(name)


def read_governance(value: JsonValue, log: FaultLog, rules: RuleReader, tools: tuple[str, ...]) -> Governance:
    """Read the governance field; `tools` are the names that rules may name."""
    members = Members(value, "/governance", log)
    attributes = _attributes(members)
    environment_schema, environment = _environment(members, log)
    governance = Governance(
        attributes=attributes,
        caller_schema=schema_member(members, "caller", required=False, of_object=True) or _ANY_OBJECT,
        environment_schema=environment_schema,
        environment=environment,
        activation=rules.rules(members, "activation", ACTIVATION, required=True),
        mutation=rules.rules(members, "mutation", MUTATION, required=True),
        termination=rules.rules(members, "termination", TERMINATION, required=True),
        rules=rules.rules(members, "rules", anywhere(tools), required=False),
        limits=_limits(members, log),
        packs=_pins(members, log),
        trusted_keys=_trusted_keys(members, log),
        value=members.value,
    )
    members.close()
    return governance


def _attributes(governance: Members) -> JsonObject:
    attributes = governance.object("attributes")
    if not isinstance(governance.value.get("attributes"), dict):
        return attributes
    inner = Members(attributes, governance.at("attributes"), governance.log)
    for name in REQUIRED_ATTRIBUTES:
        inner.text(name)
    for name in attributes:
        if NAME.fullmatch(name) is None:
            governance.log.add(
                inner.at(name), f"the attribute `{printable(name)}` is not {SHAPES[NAME]}", at_name=True
            )
    return attributes


def _environment(governance: Members, log: FaultLog) -> tuple[JsonObject, JsonObject]:
    if not governance.has("environment"):
        return _ANY_OBJECT, {}
    members = Members(governance.value["environment"], governance.at("environment"), log)
    schema = schema_member(members, "schema", required=True, of_object=True)
    values = members.object("values", required=False)
    if schema is not None:
        # The embedder may supply what the declared defaults leave out, so nothing is required of them here.
        optional = {name: member for name, member in schema.items() if name != "required"}
        for pointer, what in Conformance(optional).faults(values):
            log.add(
                members.at("values") + pointer,
                f"`values` does not fit `schema` in `{members.pointer}`: {what}",
            )
    members.close()
    return schema or _ANY_OBJECT, values


def _limits(governance: Members, log: FaultLog) -> Limits:
    default = Limits()
    if not governance.has("limits"):
        return default
    members = Members(governance.value["limits"], governance.at("limits"), log)
    limits = Limits(
        max_turns=members.integer("max_turns", default=default.max_turns, minimum=1),
        max_tool_calls=members.integer("max_tool_calls", default=default.max_tool_calls),
        max_wall_time_s=members.seconds("max_wall_time_s", default=default.max_wall_time_s),
        max_output_tokens=members.integer("max_output_tokens", default=default.max_output_tokens, minimum=1),
        max_consecutive_denials=members.integer(
            "max_consecutive_denials", default=default.max_consecutive_denials, minimum=1
        ),
    )
    members.close()
    return limits


def _pins(governance: Members, log: FaultLog) -> tuple[PackPin, ...]:
    names: list[str] = []
    pins: list[PackPin] = []
    for pointer, value in governance.items("packs", required=False):
        members = Members(value, pointer, log)
        name = members.text("name", shape=NAME)
        alias = members.text("as", required=False, shape=PACK_NAME)
        unique(names, alias or name, members, "as" if alias else "name")
        pin = PackPin(
            name=name,
            version=members.text("version"),
            digest=members.text("digest", shape=DIGEST),
            alias=alias or name,
            parameters=members.object("parameters") if members.has("parameters") else None,
        )
        members.close()
        pins.append(pin)
    return tuple(pins)


def _trusted_keys(governance: Members, log: FaultLog) -> tuple[JsonObject, ...]:
    names: list[str] = []
    keys: list[JsonObject] = []
    for pointer, value in governance.items("trusted_keys", required=False):
        members = Members(value, pointer, log)
        unique(names, members.text("name"), members)
        members.text("public_key")
        members.close()
        keys.append(members.value)
    return tuple(keys)


def read_capabilities(value: JsonValue, log: FaultLog, rules: RuleReader) -> Capabilities:
    """Read the capabilities field."""
    members = Members(value, "/capabilities", log)
    tool_names: list[str] = []
    backend_names: list[str] = []
    builtin_names: list[str] = []
    capabilities = Capabilities(
        instructions=members.text("instructions", empty=True),
        tools=tuple(_tool(item, pointer, log, rules, tool_names) for pointer, item in members.items("tools")),
        builtins=tuple(
            _builtin(item, pointer, log, builtin_names)
            for pointer, item in members.items("builtins", required=False)
        ),
        backends=tuple(
            _backend(item, pointer, log, backend_names) for pointer, item in members.items("backends")
        ),
        dispatch=rules.rules(members, "dispatch", DISPATCH, required=False),
        value=members.value,
    )
    members.close()
    return capabilities


def _tool(value: JsonValue, pointer: str, log: FaultLog, rules: RuleReader, names: list[str]) -> Tool:
    members = Members(value, pointer, log)
    name = members.text("name", shape=NAME)
    unique(names, name, members)
    if name in RESERVED_TOOL_NAMES:
        members.wrong("name", f"is `{name}`, which is an action of Remit itself", "rename the tool")
    tool = Tool(
        name=name,
        description=members.text("description", empty=True),
        parameters=schema_member(members, "parameters", required=True, of_object=True) or _ANY_OBJECT,
        effect=cast("ToolEffect", members.text("effect", choices=TOOL_EFFECTS) or "external"),
        source=_source(members, log),
        rules=rules.rules(members, "rules", at_tool(name), required=False),
        timeout_s=members.seconds("timeout_s", default=30.0),
        max_result_bytes=members.integer("max_result_bytes", default=65536, minimum=1),
        idempotent=members.boolean("idempotent"),
    )
    members.close()
    return tool


def _source(tool: Members, log: FaultLog) -> JsonObject:
    source = tool.object("source")
    if not isinstance(tool.value.get("source"), dict):
        return source
    members = Members(source, tool.at("source"), log)
    kinds = [kind for kind in SOURCE_KINDS if members.has(kind)]
    if len(kinds) != 1:
        named = " and ".join(f"`{kind}`" for kind in kinds) or "no kind of source"
        tool.wrong(
            "source", f"has {named}", f"name exactly one of {', '.join(f'`{kind}`' for kind in SOURCE_KINDS)}"
        )
    if "python" in kinds:
        members.text("python", shape=PYTHON_SOURCE)
    if "mcp" in kinds:
        members.text("tool", required=False)
        _server(members, log)
    if "embedder" in kinds and source["embedder"] is not True:
        members.wrong("embedder", "must be true", "the embedder supplies the function by the tool's name")
    return source


def _server(source: Members, log: FaultLog) -> None:
    """Read the `mcp` member of a tool's source; what else stands in it is the adapter's."""
    server = Members(source.value["mcp"], source.at("mcp"), log)
    command, url = server.has("command"), server.has("url")
    if command == url and server.is_object:
        source.wrong("mcp", f"has {'both' if command else 'neither'} `command` and `url`", "name exactly one")
    if command:
        for where, word in server.items("command"):
            if not isinstance(word, str):
                log.add(where, f"`{where}` must be a string, not {kind_of(word)}")
        if server.value.get("command") == []:
            server.wrong("command", "must name a program")
    if url:
        server.text("url")


def _backend(value: JsonValue, pointer: str, log: FaultLog, names: list[str]) -> BackendEntry:
    members = Members(value, pointer, log)
    name = members.text("name", shape=NAME)
    unique(names, name, members)
    backend = BackendEntry(
        name=name,
        adapter=members.text("adapter"),
        provider=members.text("provider"),
        region=members.text("region"),
        model=members.text("model"),
        config=members.object("config", required=False),
    )
    members.close()
    return backend


def _builtin(value: JsonValue, pointer: str, log: FaultLog, names: list[str]) -> Builtin:
    members = Members(value, pointer, log)
    name = members.text("name", choices=BUILTINS)
    unique(names, name, members)
    paths: list[str] = []
    builtin = Builtin(
        name=name,
        required=members.boolean("required"),
        files=tuple(
            _builtin_file(item, where, log, paths) for where, item in members.items("files", required=False)
        ),
        config=members.object("config", required=False),
    )
    members.close()
    return builtin


def _builtin_file(value: JsonValue, pointer: str, log: FaultLog, paths: list[str]) -> BuiltinFile:
    members = Members(value, pointer, log)
    path = members.text("path", shape=FILE_PATH)
    unique(paths, path, members, "path")
    file = BuiltinFile(
        path=path,
        sha256=members.text("sha256", shape=HEX_64),
        classification=members.text("classification"),
    )
    members.close()
    return file


def read_execution_state(value: JsonValue, log: FaultLog) -> ExecutionState:
    """Read the execution state field."""
    members = Members(value, "/execution_state", log)
    lifecycle = members.text("lifecycle", choices=LIFECYCLES)
    counters: dict[str, int] = {}
    usage = members.object("usage")
    inner = Members(usage, members.at("usage"), log)
    for name in usage:
        if NAME.fullmatch(name) is None:
            log.add(inner.at(name), f"the counter `{printable(name)}` is not {SHAPES[NAME]}", at_name=True)
        elif not name.startswith("x-"):
            counters[name] = inner.integer(name, default=0)
    ids: list[str] = []
    state = ExecutionState(
        lifecycle=cast("Lifecycle", lifecycle or "draft"),
        usage=counters,
        pending=tuple(_pending(item, pointer, log, ids) for pointer, item in members.items("pending")),
        value=members.value,
    )
    members.close()
    return state


def _pending(value: JsonValue, pointer: str, log: FaultLog, ids: list[str]) -> PendingApproval:
    members = Members(value, pointer, log)
    name = members.text("id")
    unique(ids, name, members, "id")
    pending = PendingApproval(
        id=name,
        run=members.text("run"),
        action=members.text("action", shape=NAME),
        rules=members.texts("rules", required=True),
        by=members.text("by"),
        request=members.text("request", shape=DIGEST),
        because=members.text("because", required=False, empty=True),
        until=members.text("until", required=False, shape=TIME),
    )
    try:
        is_reached(pending.until, pending.until)
    except ValueError:
        members.wrong("until", f"is `{pending.until}`, which is no day of any month")
    members.close()
    return pending


def tool_names(value: JsonValue) -> tuple[str, ...]:
    """Return the names of a capabilities value's tools, as far as they can be read."""
    tools = value.get("tools") if isinstance(value, dict) else None
    names: list[str] = []
    for tool in tools if isinstance(tools, list) else []:
        name = tool.get("name") if isinstance(tool, dict) else None
        if isinstance(name, str):
            names.append(name)
    return tuple(names)


def pack_names(value: JsonValue) -> tuple[str, ...]:
    """Return what the rules of a governance value's pinned packs are called after, as far as can be read."""
    pins = value.get("packs") if isinstance(value, dict) else None
    names: list[str] = []
    for pin in pins if isinstance(pins, list) else []:
        name = pin.get("as", pin.get("name")) if isinstance(pin, dict) else None
        if isinstance(name, str):
            names.append(name)
    return tuple(names)
