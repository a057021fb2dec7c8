"""Tools of MCP servers: standard input/output, streamable HTTP, or a server object in this process.

    {"mcp": {"command": ["python", "server.py"], "env": ["TOKEN"], "cwd": "."}, "tool": "refund"}
    {"mcp": {"url": "https://tools.example/mcp"}}
    {"mcp": {"server": "orders"}}            an object that the embedder passed in

Version floor: mcp 2.3.

Rules
1. Before anything runs, description and parameters of every tool must equal what the server offers; drift is
   refused.
2. The server may not ask us for anything: no sampling, no elicitation, no roots.
3. `call` redeems its permit before a byte is sent.
4. A call that times out or whose connection fails has an unknown outcome: `AdapterError`.
5. A server's standard error stays off our standard output, and variables reach it only where `env` names
   them.
6. One task owns each connection from opening to closing, because the SDK's cancel scopes are bound to a task.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from remit.document.values import JsonObject, JsonValue, canonical_bytes
from remit.errors import AdapterError
from remit.host.tool_values import error_result, fit_result
from remit.permit import Permit, redeem
from remit.ports import Invocation, ToolContext, ToolDescription, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mcp import Client
    from mcp.types import CallToolResult

    from remit.document.model import Tool

CONNECT_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 10.0


def open_tools(tools: Sequence[Tool], *, context: ToolContext) -> McpTools:
    """Open the servers behind `tools`; connections are made by `describe`.

    Args:
        tools: tools of the document whose source has the member `mcp`.
        context: folder, environment variables and servers of this process.

    Raises:
        AdapterError: a source is not of one of the three forms.
    """
    connections: dict[bytes, _Connection] = {}
    placed: dict[str, _Placed] = {}
    for tool in tools:
        config = tool.source.get("mcp")
        if not isinstance(config, dict):
            raise AdapterError(f"tool `{tool.name}`: source `mcp` must be an object")
        remote = tool.source.get("tool", tool.name)
        if not isinstance(remote, str):
            raise AdapterError(f"tool `{tool.name}`: source member `tool` must be text")
        identity = canonical_bytes(config)
        if identity not in connections:
            connections[identity] = _Connection(_target(tool.name, config, context))
        placed[tool.name] = _Placed(tool, remote, connections[identity])
    return McpTools(placed, tuple(connections.values()))


class _Placed:
    """A tool, its name on the server, and the connection to that server."""

    __slots__ = ("connection", "remote", "tool")

    def __init__(self, tool: Tool, remote: str, connection: _Connection) -> None:
        self.tool = tool
        self.remote = remote
        self.connection = connection


class McpTools:
    """Calls tools of MCP servers, only under a permit."""

    def __init__(self, tools: Mapping[str, _Placed], connections: Sequence[_Connection]) -> None:
        self._tools = dict(tools)
        self._connections = tuple(connections)
        self._checked = False
        self._closed = False

    async def describe(self) -> tuple[ToolDescription, ...]:
        """Connect, and compare every tool of the document with what its server offers.

        Raises:
            AdapterError: a server cannot be reached, or a tool is missing or has drifted.
        """
        found: list[ToolDescription] = []
        for name, placed in self._tools.items():
            offered = (await placed.connection.offers()).get(placed.remote)
            if offered is None:
                raise AdapterError(f"tool `{name}`: the server has no tool `{placed.remote}`")
            _check_drift(placed.tool, offered)
            found.append(
                ToolDescription(name=name, description=offered.description, parameters=offered.parameters)
            )
        self._checked = True
        return tuple(found)

    async def call(self, permit: Permit, invocation: Invocation) -> ToolResult:
        """Redeem the permit for exactly `invocation` and call the server.

        Raises:
            PermitError: no valid permit; nothing was sent.
            AdapterError: the server failed or did not answer in time: the outcome is unknown.
        """
        # INVARIANT (one content): what is checked is sent, whoever else holds the arguments meanwhile.
        invocation = replace(invocation, arguments=copy.deepcopy(invocation.arguments))
        redeem(permit, effect="call_tool", target=invocation.tool, digest=invocation.digest())
        placed = self._tools.get(invocation.tool)
        if self._closed or placed is None:
            raise AdapterError(f"tool `{invocation.tool}`: this source does not have it; nothing ran")
        if not self._checked:
            await self.describe()
        return await placed.connection.call(placed.tool, placed.remote, invocation.arguments)

    async def close(self) -> None:
        """Close all connections and end the servers that we started; idempotent."""
        self._closed = True
        for connection in self._connections:
            await connection.close()


class _Connection:
    """One client in a task of its own."""

    def __init__(self, target: _Target) -> None:
        self._target = target
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._offers: dict[str, ToolDescription] | None = None
        self._client: Client | None = None

    async def offers(self) -> Mapping[str, ToolDescription]:
        """Return what the server offers, by the server's names."""
        if self._offers is None:
            client = await self._connected()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._offers = await _list_tools(client)
            except Exception as error:
                raise AdapterError(
                    f"{self._target.label} does not list its tools: {_cause(error)}", retryable=True
                ) from error
        return self._offers

    async def call(self, tool: Tool, remote: str, arguments: JsonObject) -> ToolResult:
        """Call a tool and turn the answer into a result."""
        client = await self._connected()
        try:
            async with asyncio.timeout(tool.timeout_s):
                answer = await client.call_tool(remote, cast("dict[str, Any]", arguments))
        except TimeoutError as error:
            raise AdapterError(
                f"tool `{tool.name}` did not answer within {tool.timeout_s:g} s: its outcome is unknown"
            ) from error
        except Exception as error:
            raise AdapterError(
                f"tool `{tool.name}`: {self._target.label} failed, the outcome is unknown: {_cause(error)}"
            ) from error
        return _result(tool, answer)

    async def close(self) -> None:
        """End the owning task, and with it the server if we started it."""
        self._stop.set()
        task, self._task = self._task, None
        if task is not None:
            done, _ = await asyncio.wait({task}, timeout=CLOSE_TIMEOUT_S)
            if not done:
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=CLOSE_TIMEOUT_S)
            for ended in done:
                with suppress(asyncio.CancelledError):
                    ended.exception()  # a connection that broke has been reported by the call that it broke
        self._client = None

    async def _connected(self) -> Client:
        if self._client is not None and self._task is not None and not self._task.done():
            return self._client
        if self._stop.is_set():
            raise AdapterError(f"{self._target.label} is closed; nothing was sent")
        ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._own(ready))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                client = await asyncio.shield(ready)
        except TimeoutError as error:
            self._task.cancel()
            raise AdapterError(
                f"{self._target.label} did not answer within {CONNECT_TIMEOUT_S:g} s", retryable=True
            ) from error
        self._client = client
        return client

    async def _own(self, ready: asyncio.Future[Client]) -> None:
        try:
            async with self._target.client() as client:
                ready.set_result(client)
                await self._stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(
                    AdapterError(f"{self._target.label} cannot be reached: {_cause(error)}", retryable=True)
                )
                if isinstance(error, Exception):
                    return
            raise


class _Target:
    """What to connect to."""

    __slots__ = ("_make", "label")

    def __init__(self, label: str, make: Callable[[], Any]) -> None:  # any of the SDK's transports
        self.label = label
        self._make = make

    def client(self) -> Client:
        """Return a new client that has not connected yet."""
        from mcp import Client

        # INVARIANT (no requests from servers): no callback is passed, so no such capability is offered.
        return Client(self._make(), cache=None)


def _target(name: str, config: JsonObject, context: ToolContext) -> _Target:
    kinds = [kind for kind in ("command", "url", "server") if kind in config]
    if len(kinds) != 1:
        raise AdapterError(f"tool `{name}`: source `mcp` must have exactly one of `command`, `url`, `server`")
    if kinds == ["server"]:
        key = config["server"]
        server = context.servers.get(key) if isinstance(key, str) else None
        if server is None:
            raise AdapterError(f"tool `{name}`: no MCP server `{key}` was passed in by the embedder")
        return _Target(f"MCP server `{key}`", lambda: server)
    if kinds == ["url"]:
        url = config["url"]
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise AdapterError(f"tool `{name}`: `{url}` is no http or https address")
        return _Target(f"MCP server `{url}`", lambda: url)
    return _stdio_target(name, config, context)


def _stdio_target(name: str, config: JsonObject, context: ToolContext) -> _Target:
    command = config["command"]
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise AdapterError(f"tool `{name}`: `command` must be a list of texts, the program first")
    wanted = config.get("env", [])
    if not isinstance(wanted, list) or not all(isinstance(part, str) for part in wanted):
        raise AdapterError(f"tool `{name}`: `env` must list names of environment variables")
    program, *arguments = cast("list[str]", command)
    missing = [variable for variable in cast("list[str]", wanted) if variable not in context.environment]
    if missing:
        raise AdapterError(f"tool `{name}`: environment variable `{missing[0]}` is not set")
    environment = {variable: context.environment[variable] for variable in cast("list[str]", wanted)}
    folder = None if context.folder is None else str(context.folder)
    if program in ("python", "python3"):
        program = sys.executable  # the environment that the embedder runs in, not whatever PATH holds

    def make() -> object:
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        parameters = StdioServerParameters(command=program, args=arguments, env=environment, cwd=folder)
        return stdio_client(parameters, errlog=_error_stream())

    return _Target(f"MCP server `{program}`", make)


def _error_stream() -> TextIO:
    """Return a stream with a file descriptor that is not standard output."""
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return Path(os.devnull).open("w", encoding="utf-8")  # lives as long as the server
    return sys.stderr


async def _list_tools(client: Client) -> dict[str, ToolDescription]:
    offers: dict[str, ToolDescription] = {}
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            offers[tool.name] = ToolDescription(
                name=tool.name,
                description=tool.description or "",
                parameters=cast("JsonObject", tool.input_schema),
            )
        cursor = page.next_cursor
        if not cursor:
            return offers


def _check_drift(tool: Tool, offered: ToolDescription) -> None:
    if tool.description.strip() != offered.description.strip():
        raise AdapterError(
            f"tool `{tool.name}` has drifted: the server's description is not the document's; "
            "review the change and amend the document"
        )
    if canonical_bytes(_plain(tool.parameters)) != canonical_bytes(_plain(offered.parameters)):
        raise AdapterError(
            f"tool `{tool.name}` has drifted: the server's parameters are not the document's; "
            "review the change and amend the document"
        )


def _plain(schema: JsonValue, *, names: bool = False) -> JsonValue:
    """Drop what carries no meaning for a call: generated titles, the dialect's name, `x-` members."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if isinstance(schema, float) and schema.is_integer():
        return int(schema)
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(value, names=not names and key in ("properties", "$defs"))
        for key, value in schema.items()
        if names or not (key in ("title", "$schema") or key.startswith("x-"))
    }


def _result(tool: Tool, answer: CallToolResult) -> ToolResult:
    texts: list[str] = []
    for block in answer.content:
        text = getattr(block, "text", None)
        texts.append(text if isinstance(text, str) else f"[{block.type} left out]")
    joined = "\n".join(texts)
    if answer.is_error:
        return error_result(joined or f"tool `{tool.name}` reported an error")
    if answer.structured_content is not None:
        return fit_result(answer.structured_content, max_bytes=tool.max_result_bytes, tool=tool.name)
    return fit_result(_parsed(joined), max_bytes=tool.max_result_bytes, tool=tool.name)


def _parsed(text: str) -> object:
    """Return the JSON object or array that `text` is, so that its members can be redacted, else the text."""
    if not text.startswith(("{", "[")):
        return text
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return text


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = group.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
