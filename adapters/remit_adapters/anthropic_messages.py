"""Back-end `anthropic`: Anthropic's Messages. Needs `anthropic>=2.12`.

Config, beside the members of `endpoint`; `base_url` is without `/v1`
    temperature   omit (default): the vendor takes none any more; send: for other servers of this wire
    code_tool     which tool `code_interpreter` is: code_execution_20250522 (default), which runs Python, or
                  code_execution_20250825, which also runs commands and edits files in its sandbox

Built-ins
    code_interpreter   in a sandbox that the vendor makes, keeps for a while and lets nobody delete
    web_search         `max_uses`, and `allowed_domains` or `blocked_domains`, in its `config`

Rules
1. `tool_choice` is never sent: the gate judges every call anyway. The wire has no seed.
2. A built-in with `files` is refused before anything is sent: this adapter uploads nothing.
3. Cached tokens of a prompt count and cost as any other: the price is an upper bound.
"""

from __future__ import annotations

import asyncio
import copy
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import backend_info, redeem_dispatch
from remit_adapters.endpoint import MEMBERS, ErrorKinds, read_endpoint
from remit_adapters.messages_builtins import CODE_TOOLS, OFFERED, builtin_tools
from remit_adapters.messages_stream import MessagesStream
from remit_adapters.messages_wire import open_container, wire_messages, wire_tools
from remit_adapters.transport import http_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.types import RawMessageStreamEvent

    from remit.document.model import BackendEntry
    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext, BackendInfo
    from remit_adapters.endpoint import Endpoint

    _Create = Callable[..., Awaitable[AsyncStream[RawMessageStreamEvent]]]

BUILTINS = OFFERED
_LEAVE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesConfig:
    """The config, read; members as in the module's docstring."""

    endpoint: Endpoint
    temperature: str
    code_tool: str


class AnthropicBackend:
    """See the module's docstring."""

    def __init__(self, entry: BackendEntry, config: MessagesConfig, client: AsyncAnthropic) -> None:
        self._entry = entry
        self._config = config
        self._client = client

    @property
    def info(self) -> BackendInfo:
        """What it is."""
        return backend_info(self._entry, self._detail())

    async def infer(self, permit: Permit, turn: Turn) -> AsyncIterator[TurnEvent]:
        """Redeem the permit, send the turn and stream the answer; closing the iterator closes the connection.

        Raises:
            PermitError: no valid permit; nothing was sent.
            AdapterError: a built-in cannot be offered; the server cannot be reached, refuses, or breaks off.
        """
        redeem_dispatch(permit, backend=self._entry.name, turn=turn)
        # INVARIANT (one content): while the package waits, nobody may change what was permitted.
        request = copy.deepcopy(self._request(turn))
        stream = MessagesStream(turn, endpoint=self._config.endpoint)
        facts: dict[str, str] = {}
        events = self._events(request, facts)
        try:
            async for data in events:
                for delta in stream.feed(data):
                    yield delta
                if stream.ended:
                    await _take_leave(events)
                    break
        finally:
            await events.aclose()
        cost = self._config.endpoint.cost_microusd(
            input_tokens=stream.input_tokens, output_tokens=stream.output_tokens
        )
        for event in stream.end(cost_microusd=cost, detail={**facts, **self._detail()}):
            yield event

    async def dispose(self) -> None:
        """Close the connections; sandboxes of `code_interpreter` end at the vendor's own time."""
        await self._client.close()

    def _detail(self) -> dict[str, str]:
        return {"sdk": f"anthropic {version('anthropic')}", "base_url": self._config.endpoint.base_url}

    def _request(self, turn: Turn) -> JsonObject:
        request: JsonObject = {
            "model": self._entry.model,
            "max_tokens": turn.max_output_tokens,
            "messages": [*wire_messages(turn)],
            "stream": True,
        }
        if turn.instructions.strip():
            request["system"] = turn.instructions
        tools: list[JsonValue] = [
            *wire_tools(turn),
            *builtin_tools(turn, backend=self._entry.name, code_tool=self._config.code_tool),
        ]
        if tools:
            request["tools"] = tools
        container = open_container(turn)
        if container:
            request["container"] = container
        if self._config.temperature == "send":
            request["extra_body"] = {"temperature": turn.temperature}
        return request

    async def _events(self, request: JsonObject, facts: dict[str, str]) -> AsyncGenerator[str]:
        """Send one request and hand over the data of its events; only `AdapterError` escapes.

        Args:
            request: parameters of the package's method.
            facts: receives what the response's headers say.
        """
        import anthropic

        stream: AsyncStream[RawMessageStreamEvent] | None = None
        try:
            # The wire's own JSON goes out as it was permitted; typed parameters would add nothing.
            create = cast("_Create", self._client.messages.create)
            stream = await create(**request)
            request_id = stream.response.headers.get("request-id", "")
            if request_id:
                facts["request_id"] = request_id
            # As they come, since blocks go back as they came, also those that the package does not know.
            events = anthropic.AsyncStream.raw_events(stream.response)
            async for event in self._config.endpoint.paced(events):
                if event.data:
                    yield event.data
        except AdapterError:
            raise
        except Exception as error:  # the package and its transport raise many kinds, also within a stream
            raise self._config.endpoint.failure(error, _error_kinds()) from error
        finally:
            if stream is not None:
                with suppress(Exception):
                    await stream.close()


async def _take_leave(events: AsyncGenerator[str]) -> None:
    """Let the server end its answer, so that the connection serves the next turn; it is complete already."""
    with suppress(AdapterError, TimeoutError):
        async with asyncio.timeout(_LEAVE_S):
            async for _ in events:
                pass


def _error_kinds() -> ErrorKinds:
    import anthropic

    def status(error: Exception) -> tuple[int, str] | None:
        if isinstance(error, anthropic.APIStatusError):
            return error.status_code, error.api_message or error.message
        return None

    return ErrorKinds(
        timeout=anthropic.APITimeoutError, connection=anthropic.APIConnectionError, status=status
    )


def _client(endpoint: Endpoint) -> AsyncAnthropic:
    """Return a client that takes nothing from the environment; nothing is sent by making one."""
    import anthropic

    class Client(anthropic.AsyncAnthropic):
        def __init__(self) -> None:
            super().__init__(
                # A key and an address that are given keep the package from looking for its own.
                api_key=endpoint.api_key,
                base_url=endpoint.base_url,
                timeout=endpoint.timeout_s,
                max_retries=endpoint.max_retries,
                # Spans may hold content, and would take it to wherever the process sends its traces.
                open_telemetry=False,
                http_client=http_client(endpoint),
            )
            # INVARIANT (no ambient settings): the package fills this from `ANTHROPIC_CUSTOM_HEADERS`.
            self._custom_headers = {}

    return Client()


def open_backend(entry: BackendEntry, *, context: BackendContext) -> AnthropicBackend:
    """Open the server that `entry.config` names; nothing is sent before the first inference.

    Raises:
        ImportError: `anthropic` is not installed.
        AdapterError: the config is not acceptable, or the key's variable is not set.
    """
    config = ConfigReader.of_entry(entry)
    config.only(*MEMBERS, "temperature", "code_tool")
    endpoint = read_endpoint(config, entry, context, path_hint="does not end in `/v1`")
    read = MessagesConfig(
        endpoint=endpoint,
        temperature=config.choice("temperature", ("omit", "send"), default="omit"),
        code_tool=config.choice("code_tool", CODE_TOOLS, default=CODE_TOOLS[0]),
    )
    return AnthropicBackend(entry, read, _client(endpoint))
