"""Where a tool's source is found: the entry-point group `remit.tools`, and nowhere else.

An entry point's name is the member of `source` that it serves (`python`, `mcp`); it names a function
`open_tools(tools: Sequence[Tool], *, context: ToolContext) -> ToolSource`.

Rules
1. Each tool of a document has exactly one source; a tool without one, or with two, is refused.
2. Before anything runs every source describes its tools; a tool that is missing is refused, naming it.
3. Sources are opened and closed by the run; `close` is called whatever happens.
4. A tool with the source `embedder` is a function that the embedder passed in, and `python` runs it.
   All that are missing are named in one refusal.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError
from remit.host.installed import installed
from remit.host.tools import describe_function, is_marked
from remit.ports import Invocation, ToolContext, ToolDescription, ToolResult, ToolSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from remit.document.model import Document, Tool
    from remit.host.agent import Surroundings
    from remit.permit import Permit

GROUP = "remit.tools"
EMBEDDER = "embedder"
_SERVED_BY = {EMBEDDER: "python"}


def tool_context(
    *,
    folder: Path | None,
    functions: Mapping[str, Callable[..., object]],
    servers: Mapping[str, object],
) -> ToolContext:
    """Describe the surroundings of this process to tool sources."""
    return ToolContext(folder=folder, environment=dict(os.environ), functions=functions, servers=servers)


def supplied_functions(
    document: Document, functions: Iterable[Callable[..., object]]
) -> Mapping[str, Callable[..., object]]:
    """Return the functions that an embedder passed in, by tool name.

    Every function must be typed, except one that has the name of a tool with the source `embedder`: that may
    be a plain callable, because the document says what it takes.

    Raises:
        DocumentError: a function is not typed, or its name is no tool name.
    """
    promised = {tool.name for tool in document.capabilities.tools if EMBEDDER in tool.source}
    named: dict[str, Callable[..., object]] = {}
    for function in functions:
        name = str(getattr(function, "__name__", ""))
        plain = name in promised and not is_marked(function)
        named[name if plain else describe_function(function).name] = function
    return named


class ToolSources:
    """All tools of a document, by name, behind the sources that run them."""

    def __init__(self, by_tool: Mapping[str, ToolSource]) -> None:
        self._by_tool = dict(by_tool)
        self._sources = tuple({id(source): source for source in by_tool.values()}.values())

    async def check(self) -> None:
        """Ask every source for its tools.

        Raises:
            AdapterError: a source cannot be reached, lacks a tool, or offers another than the document says.
        """
        for source in self._sources:
            offered = {description.name for description in await source.describe()}
            for name, owner in self._by_tool.items():
                if owner is source and name not in offered:
                    raise AdapterError(f"tool `{name}`: its source does not offer it")

    async def describe(self) -> tuple[ToolDescription, ...]:
        """Return the tools of all sources."""
        return tuple([item for source in self._sources for item in await source.describe()])

    async def call(self, permit: Permit, invocation: Invocation) -> ToolResult:
        """Let the tool's source redeem the permit and run it.

        Raises:
            PermitError: no valid permit; nothing ran.
            AdapterError: the source failed; the outcome is unknown.
        """
        return await self._by_tool[invocation.tool].call(permit, invocation)

    async def close(self) -> None:
        """Close every source; the first failure is raised after all were tried."""
        failures: list[Exception] = []
        for source in self._sources:
            try:
                await source.close()
            except Exception as error:  # noqa: BLE001  # every one must be closed
                failures.append(error)
        if failures:
            raise failures[0]


def open_sources(document: Document, *, context: ToolContext) -> ToolSources:
    """Open the sources of all tools of `document`, without running or connecting to anything yet.

    Raises:
        AdapterError: a tool names no source, two sources, or one that is not installed or not acceptable.
    """
    groups: dict[str, list[Tool]] = {}
    known = {point.name for point in installed(GROUP)} | {EMBEDDER}
    _refuse_missing(document, context)
    for tool in document.capabilities.tools:
        named = sorted(known & set(tool.source))
        if len(named) != 1:
            kinds = ", ".join(f"`{name}`" for name in sorted(known))
            raise AdapterError(f"tool `{tool.name}`: its source must name exactly one of {kinds}")
        groups.setdefault(_SERVED_BY.get(named[0], named[0]), []).append(tool)
    by_tool: dict[str, ToolSource] = {}
    for name, tools in groups.items():
        source = _opener(name)(tuple(tools), context=context)
        by_tool.update({tool.name: source for tool in tools})
    return ToolSources(by_tool)


def sources_around(document: Document, around: Surroundings) -> ToolSources:
    """Open the sources of all tools of `document` in the surroundings of an agent.

    Raises:
        AdapterError: as `open_sources`.
    """
    context = tool_context(folder=around.folder, functions=around.functions, servers=around.servers)
    return open_sources(document, context=context)


def _refuse_missing(document: Document, context: ToolContext) -> None:
    """Refuse a document whose embedder has not supplied what it promised to."""
    missing = [
        f"`{tool.name}`"
        for tool in document.capabilities.tools
        if EMBEDDER in tool.source and tool.name not in context.functions
    ]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise AdapterError(
            f"tool{plural} {', '.join(missing)}: the embedder supplies no function of that name; "
            "pass one with `Runtime.open(…, tools=[function])`, or give the tool a source of its own"
        )


def _opener(name: str) -> Callable[..., ToolSource]:
    points = installed(GROUP, name)
    if len({point.value for point in points}) > 1:
        # INVARIANT (one adapter a name): a second distribution must not shadow the one that was reviewed.
        places = ", ".join(sorted(f"`{point.value}`" for point in points))
        raise AdapterError(f"several tool sources are called `{name}`: {places}")
    try:
        return cast("Callable[..., ToolSource]", points[0].load())
    except ImportError as error:
        raise AdapterError(f"tool source `{name}` cannot be imported: {error}; install its extra") from error
