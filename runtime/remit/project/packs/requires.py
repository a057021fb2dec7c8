"""What a pack requires of an agent: how it says so, and whether an agent declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from remit.document.field_values import TOOL_EFFECTS
from remit.policy.packs.expansion import names_in
from remit.policy.packs.pack import Requirements, ToolRequirement
from remit.policy.packs.placeholders import placeholders, whole
from remit.project.source import FaultList, Node, check_keys, kind_of, listing, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.policy.packs.pack import Pack
    from remit.policy.packs.parameters import Parameter

TYPE_WORDS = ("string", "integer", "number", "boolean", "strings")
"""JSON Schema types of what is required; `strings` is an array of strings."""

_KEYS = ("attributes", "caller", "environment", "tools", "blocks")
_TYPED = ("attributes", "caller", "environment")
_TOOL_KEYS = ("names", "effects", "arguments")


def read_requirements(
    root: Node, parameters: Sequence[Parameter], *, faults: FaultList
) -> tuple[Requirements, frozenset[str]]:
    """Read `requires` of pack.yaml.

    Returns:
        The requirements, and the names of the parameters that they read.
    """
    if "requires" not in (root.object() or {}):
        return Requirements(), frozenset()
    node = root.member("requires")
    if not check_keys(node, known=_KEYS, what="`requires`", faults=faults):
        return Requirements(), frozenset()
    members = node.object() or {}
    reader = _Reader({item.name: item for item in parameters}, faults)
    typed = {key: reader.typed(node.member(key)) for key in _TYPED if key in members}
    tools = tuple(reader.tools(node.member("tools"))) if "tools" in members else ()
    blocks = reader.names(node.member("blocks")) if "blocks" in members else ()
    return Requirements(**typed, tools=tools, blocks=blocks), frozenset(reader.used)


class _Reader:
    def __init__(self, parameters: dict[str, Parameter], faults: FaultList) -> None:
        self._parameters = parameters
        self._faults = faults
        self.used: set[str] = set()

    def typed(self, node: Node) -> dict[str, str]:
        if not isinstance(node.value, dict):
            self._faults.add(
                node.fault(f"this is {kind_of(node.value)}, not a mapping", "write `name: string`")
            )
            return {}
        return {name: self._type(child) for name, child in node.members()}

    def _type(self, node: Node) -> str:
        if node.value in TYPE_WORDS:
            return str(node.value)
        hint = nearest(str(node.value), TYPE_WORDS) or f"types are {listing(TYPE_WORDS)}"
        self._faults.add(node.fault(f"`{node.value}` is no type", hint))
        return "string"

    def tools(self, node: Node) -> Iterator[ToolRequirement]:
        if not isinstance(node.value, list):
            self._faults.add(
                node.fault(f"`tools` is {kind_of(node.value)}, not a list", "begin each with `- `")
            )
            return
        for item in node.items():
            what = "a required tool"
            if not check_keys(item, known=_TOOL_KEYS, required=("names",), what=what, faults=self._faults):
                continue
            members = item.object() or {}
            yield ToolRequirement(
                names=self.names(item.member("names")) if "names" in members else (),
                effects=self._effects(item.member("effects")) if "effects" in members else (),
                arguments=self._arguments(item.member("arguments")) if "arguments" in members else (),
            )

    def _effects(self, node: Node) -> tuple[str, ...]:
        for item in node.items() if isinstance(node.value, list) else (node,):
            if isinstance(item.value, str) and not whole(item.value) and item.value not in TOOL_EFFECTS:
                hint = nearest(item.value, TOOL_EFFECTS) or f"effects are {listing(TOOL_EFFECTS)}"
                self._faults.add(item.fault(f"`{item.value}` is no effect of a tool", hint))
        return self.names(node)

    def _arguments(self, node: Node) -> tuple[tuple[str, str], ...]:
        if not isinstance(node.value, list):
            hint = "write such as `- {name: amount, type: integer}`"
            self._faults.add(node.fault(f"`arguments` is {kind_of(node.value)}, not a list", hint))
            return ()
        found: list[tuple[str, str]] = []
        for item in node.items():
            keys = ("name", "type")
            if check_keys(item, known=keys, required=keys, what="a required argument", faults=self._faults):
                members = item.object() or {}
                if {*keys} <= members.keys():
                    name = "".join(self.names(item.member("name")))
                    found.append((name, self._type(item.member("type"))))
        return tuple(found)

    def names(self, node: Node) -> tuple[str, ...]:
        """Read one name or a list of names; each is plain or a whole placeholder."""
        listed = list(node.items()) if isinstance(node.value, list) else [node]
        found: list[str] = []
        for item in listed:
            if not isinstance(item.value, str) or not item.value:
                self._faults.add(item.fault(f"a name is {kind_of(item.value)}", "write a text"))
                continue
            found.append(item.value)
            if placeholders(item.value):
                self._placeholder(item, whole(item.value))
        return tuple(found)

    def _placeholder(self, node: Node, name: str) -> None:
        parameter = self._parameters.get(name)
        if parameter is None:
            shown = name or str(node.value)
            hint = nearest(shown, self._parameters) or f"parameters are {listing(self._parameters) or 'none'}"
            self._faults.add(node.fault(f"no parameter is called `{shown}`", hint))
            return
        self.used.add(name)
        if parameter.type.scalar not in ("String", "entity"):
            message = f"`{name}` is a {parameter.type}, and names are texts"
            self._faults.add(node.fault(message, "use a parameter of type string, or a list of them"))


def unmet(
    pack: Pack, values: JsonObject, *, governance: JsonObject, tools: JsonValue, blocks: JsonValue
) -> tuple[tuple[str, str], ...]:
    """Return `(what an agent lacks for a pack, what to do)`; empty where it lacks nothing.

    What is required by way of a parameter without a value is not required.

    Args:
        pack: the pack.
        values: every parameter that has a value.
        governance: the agent's governance field.
        tools: its declared tools.
        blocks: its declared memory blocks.
    """
    needs = pack.requirements
    return (
        *_attributes(needs.attributes, governance),
        *_schema("caller", "caller", needs.caller, governance.get("caller")),
        *_schema("environment", "environment.schema", needs.environment, _environment(governance)),
        *(lack for item in needs.tools for lack in _tools(item, values, _by_name(tools))),
        *(
            (f"no memory block is called `{name}`", f"declare it under `memory`; blocks are {_known(blocks)}")
            for name in _filled(needs.blocks, values)
            if name not in _by_name(blocks)
        ),
    )


def _environment(governance: JsonObject) -> JsonValue:
    environment = governance.get("environment")
    return environment.get("schema") if isinstance(environment, dict) else None


def _by_name(items: JsonValue) -> dict[str, JsonObject]:
    listed = items if isinstance(items, list) else []
    return {str(item.get("name")): item for item in listed if isinstance(item, dict)}


def _known(items: JsonValue) -> str:
    return listing(_by_name(items)) or "none"


def _filled(names: tuple[str, ...], values: JsonObject) -> tuple[str, ...]:
    """Return the names with placeholders filled in; those of parameters without a value are left out."""
    known: list[JsonValue] = [name for name in names if not whole(name) or whole(name) in values]
    return tuple(str(name) for name in cast("list[JsonValue]", names_in(known, values)))


def _attributes(needed: Mapping[str, str], governance: JsonObject) -> Iterator[tuple[str, str]]:
    held = governance.get("attributes")
    attributes = held if isinstance(held, dict) else {}
    for name, kind in needed.items():
        if name not in attributes:
            yield f"`attributes` has no `{name}`", f"add it ({kind})"
        elif not _is(attributes[name], kind):
            yield f"the attribute `{name}` is {kind_of(attributes[name])}", f"it must be of type {kind}"


def _is(value: JsonValue, kind: str) -> bool:
    if kind == "strings":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str)
    whole_number = isinstance(value, int) and not isinstance(value, bool)
    return whole_number if kind == "integer" else isinstance(value, float)


def _schema(what: str, where: str, needed: Mapping[str, str], schema: JsonValue) -> Iterator[tuple[str, str]]:
    """Check that a schema requires members: an optional one could be absent where a rule reads it."""
    declared = schema if isinstance(schema, dict) else {}
    properties, required = declared.get("properties"), declared.get("required")
    for name, kind in needed.items():
        member = properties.get(name) if isinstance(properties, dict) else None
        if not isinstance(member, dict):
            yield (
                f"`{what}` declares no `{name}`",
                f"add `{name}: {_written(kind)}` under `{where}.properties`",
            )
        elif not _typed(member, kind):
            yield f"`{name}` of `{what}` is of another type", f"it must be {_written(kind)}"
        elif not isinstance(required, list) or name not in required:
            yield f"`{name}` of `{what}` may be absent", f"list it under `{where}.required`"


def _written(kind: str) -> str:
    return "{type: array, items: {type: string}}" if kind == "strings" else f"{{type: {kind}}}"


def _typed(member: JsonObject, kind: str) -> bool:
    if kind != "strings":
        return member.get("type") == kind
    items = member.get("items")
    return member.get("type") == "array" and isinstance(items, dict) and items.get("type") == "string"


def _tools(
    need: ToolRequirement, values: JsonObject, tools: Mapping[str, JsonObject]
) -> Iterator[tuple[str, str]]:
    for name in _filled(need.names, values):
        tool = tools.get(name)
        if tool is None:
            yield (
                f"no tool is called `{name}`",
                nearest(name, tools) or f"tools are {listing(tools) or 'none'}",
            )
            continue
        effects = _filled(need.effects, values)
        if effects and tool.get("effect") not in effects:
            yield f"the tool `{name}` has the effect `{tool.get('effect')}`", f"it must be {listing(effects)}"
        needed: dict[str, str] = {}
        for argument, kind in need.arguments:
            needed.update(dict.fromkeys(_filled((argument,), values), kind))
        yield from _schema(f"{name}", "parameters", needed, tool.get("parameters"))
