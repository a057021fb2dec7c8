"""Back-end `google`: Gemini's generateContent. Needs `google-genai>=3.4`.

Config, beside the members of `endpoint`; `base_url` is without the API version
    api_version      part of each path (default v1beta)
    tool_schema      json (default): parameters go out as JSON Schema; openapi: as the vendor's older
                     `Schema`, for gateways that drop the other
    unsigned_calls   marked (default): past calls without a signature, such as another back-end's, get the
                     vendor's marker for that, since newer models refuse them without; plain: as they are
    omit             request members that the server refuses: of temperature, seed, store

Built-ins
    code_interpreter   in a sandbox that the vendor makes for the answer
    web_search         with Google Search; it has no settings

Rules
1. `store` is false: the vendor is not to log what the document did not say that it may keep.
2. The package never sees the tools, and its automatic calling is off: it cannot run one.
   No call is ever forced: the gate judges every call anyway.
3. The package's automatic continuation is off: an answer that is to be continued is `paused`, and going on
   needs a permit of its own.
4. A built-in with `files` is refused before anything is sent: this adapter uploads nothing.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol, cast

from remit.errors import AdapterError
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import backend_info, redeem_dispatch
from remit_adapters.endpoint import MEMBERS, ErrorKinds, read_endpoint
from remit_adapters.gemini_stream import GeminiStream
from remit_adapters.gemini_tools import OFFERED, SCHEMAS, wire_tools
from remit_adapters.gemini_wire import continuation_token, wire_contents
from remit_adapters.transport import http_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    import httpx2
    from google.genai import Client
    from google.genai.types import Content, GenerateContentConfig, GenerateContentResponse

    from remit.document.model import BackendEntry
    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext, BackendInfo
    from remit_adapters.endpoint import Endpoint

    class _Models(Protocol):
        async def generate_content_stream(
            self, *, model: str, contents: list[Content], config: GenerateContentConfig
        ) -> AsyncIterator[GenerateContentResponse]: ...


BUILTINS = OFFERED
_OMITTABLE = ("temperature", "seed", "store")
_SEGMENT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiConfig:
    """The config, read; members as in the module's docstring."""

    endpoint: Endpoint
    api_version: str
    tool_schema: str
    mark_unsigned: bool
    omit: frozenset[str]


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """One inference, as the transport sees it.

    Args:
        responses: what was opened for it, to be closed with it.
        waiting: bound of the wait for the first response to say something.
    """

    responses: list[httpx2.Response] = field(default_factory=list["httpx2.Response"])
    waiting: asyncio.Timeout | None = None


_EXCHANGE: ContextVar[_Exchange | None] = ContextVar("_EXCHANGE", default=None)
"""The inference of this task; the package hides its transport, and asks for nothing before the first item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What the package's method is given."""

    contents: list[Content]
    config: GenerateContentConfig


class GoogleBackend:
    """See the module's docstring."""

    def __init__(
        self, entry: BackendEntry, config: GeminiConfig, client: Client, transport: httpx2.AsyncClient
    ) -> None:
        self._entry = entry
        self._config = config
        self._client = client
        self._transport = transport

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
        request = self._request(turn)
        stream = GeminiStream(turn, endpoint=self._config.endpoint)
        responses = self._responses(request)
        try:
            async for response in responses:
                for delta in stream.feed(response):
                    yield delta
        finally:
            await responses.aclose()
        cost = self._config.endpoint.cost_microusd(
            input_tokens=stream.input_tokens, output_tokens=stream.output_tokens
        )
        for event in stream.end(cost_microusd=cost, detail=self._detail()):
            yield event

    async def dispose(self) -> None:
        """Close the connections; nothing was made on the vendor's side."""
        await self._transport.aclose()
        self._client.close()

    def _detail(self) -> dict[str, str]:
        return {
            "sdk": f"google-genai {version('google-genai')}",
            "base_url": self._config.endpoint.base_url,
            "api_version": self._config.api_version,
        }

    def _request(self, turn: Turn) -> _Request:
        """Build what is sent, all of it, before anything else may happen."""
        from google.genai import types

        config = self._config
        contents = wire_contents(turn, backend=self._entry.name, mark_unsigned=config.mark_unsigned)
        try:
            # From text, since the package reads Base64 there and nowhere else.
            typed = [types.Content.model_validate_json(json.dumps(content)) for content in contents]
            token = base64.b64decode(continuation_token(turn))
        except ValueError as error:
            raise AdapterError(
                f"back-end `{self._entry.name}`: the thread cannot be read by google-genai "
                f"{version('google-genai')}: {config.endpoint.safe(str(error))}"
            ) from error
        members = wire_tools(turn, backend=self._entry.name, schema=config.tool_schema)
        if "store" not in config.omit:
            members["store"] = False
        made = types.GenerateContentConfig(
            max_output_tokens=turn.max_output_tokens,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,
            # The wire's own JSON goes out as it was permitted (rule 2).
            http_options=types.HttpOptions(extra_body=copy.deepcopy(members)),
        )
        if turn.instructions.strip():
            made.system_instruction = types.Content(parts=[types.Part(text=turn.instructions)])
        if "temperature" not in config.omit:
            made.temperature = turn.temperature
        if "seed" not in config.omit:
            made.seed = turn.seed
        if token:
            made.continuation_token = token
        return _Request(contents=typed, config=made)

    async def _responses(self, request: _Request) -> AsyncGenerator[JsonObject]:
        """Send one request and hand over its responses; only `AdapterError` escapes."""
        exchange = _Exchange()
        try:
            models = cast("_Models", self._client.aio.models)
            stream = await models.generate_content_stream(
                model=self._entry.model, contents=request.contents, config=request.config
            )
            first = await _first(stream, exchange)
            if first is not None:
                yield _wire_response(first)
                async for response in self._config.endpoint.paced(stream):
                    yield _wire_response(response)
        except AdapterError:
            raise
        except Exception as error:  # the package and its transport raise many kinds, also within a stream
            raise self._config.endpoint.failure(error, _error_kinds()) from error
        finally:
            # The package's own iterators are left to the garbage collector.
            for opened in exchange.responses:
                with suppress(Exception):
                    await opened.aclose()


async def _first(
    stream: AsyncIterator[GenerateContentResponse], exchange: _Exchange
) -> GenerateContentResponse | None:
    """Send the request, with its repetitions, and return the first response to it."""
    token = _EXCHANGE.set(exchange)
    try:
        async with asyncio.timeout(None) as exchange.waiting:
            return await anext(stream, None)
    finally:
        _EXCHANGE.reset(token)
        exchange.waiting = None


def _wire_response(response: GenerateContentResponse) -> JsonObject:
    dumped = response.model_dump(by_alias=True, exclude_none=True, exclude={"sdk_http_response", "parsed"})
    return cast("JsonObject", _wire_value(dumped))


def _wire_value(value: object) -> JsonValue:
    """Return a value of the package as the wire has it."""
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {name: _wire_value(member) for name, member in members.items()}
    if isinstance(value, list):
        return [_wire_value(item) for item in cast("list[object]", value)]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Enum):
        return cast("str", value.value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _error_kinds() -> ErrorKinds:
    import httpx2
    from google.genai import errors

    def status(error: Exception) -> tuple[int, str] | None:
        # The package's types promise more than it keeps of what a server may send.
        code: object = error.code if isinstance(error, errors.APIError) else None
        if isinstance(error, errors.APIError) and isinstance(code, int):
            return code, str(error.message or error.status or "no reason given")
        return None

    return ErrorKinds(timeout=httpx2.TimeoutException, connection=httpx2.ConnectError, status=status)


def _transport(endpoint: Endpoint) -> httpx2.AsyncClient:
    async def asked(request: httpx2.Request) -> None:
        # The package would have the server give up after `timeout_s` in all, which is the longest silence.
        request.headers.pop("x-server-timeout", None)

    async def answered(response: httpx2.Response) -> None:
        exchange = _EXCHANGE.get()
        if exchange is None or exchange.waiting is None:
            return
        exchange.responses.append(response)
        if response.status_code == _OK:
            exchange.waiting.reschedule(asyncio.get_running_loop().time() + endpoint.timeout_s)
            return
        async with asyncio.timeout(endpoint.timeout_s):
            await response.aread()

    return http_client(endpoint, hooks={"request": [asked], "response": [answered]})


def _client(endpoint: Endpoint, transport: httpx2.AsyncClient, *, api_version: str) -> Client:
    """Return a client that takes nothing from the environment; nothing is sent by making one."""
    from google import genai
    from google.genai import types
    from google.genai.client import DebugConfig

    return genai.Client(
        # INVARIANT (no ambient settings): the package reads what is not given from the environment.
        vertexai=False,
        api_key=endpoint.api_key,
        debug_config=DebugConfig(client_mode="api", replays_directory="", replay_id=""),
        http_options=types.HttpOptions(
            base_url=endpoint.base_url,
            api_version=api_version,
            timeout=int(endpoint.timeout_s * 1000),
            retry_options=types.HttpRetryOptions(attempts=endpoint.max_retries + 1),
            httpx_async_client=transport,
        ),
    )


def open_backend(entry: BackendEntry, *, context: BackendContext) -> GoogleBackend:
    """Open the server that `entry.config` names; nothing is sent before the first inference.

    Raises:
        ImportError: `google-genai` is not installed.
        AdapterError: the config is not acceptable, or the key's variable is not set.
    """
    config = ConfigReader.of_entry(entry)
    config.only(*MEMBERS, "api_version", "tool_schema", "unsigned_calls", "omit")
    endpoint = read_endpoint(
        config, entry, context, path_hint="does not hold the API version, which is `api_version`"
    )
    api_version = config.text("api_version", default="v1beta")
    if not api_version or not set(api_version) <= _SEGMENT:
        raise config.error("api_version", f"`{api_version}` is not a version such as `v1beta`")
    read = GeminiConfig(
        endpoint=endpoint,
        api_version=api_version,
        tool_schema=config.choice("tool_schema", SCHEMAS, default=SCHEMAS[0]),
        mark_unsigned=config.choice("unsigned_calls", ("marked", "plain"), default="marked") == "marked",
        omit=config.choices("omit", _OMITTABLE),
    )
    transport = _transport(endpoint)
    return GoogleBackend(entry, read, _client(endpoint, transport, api_version=api_version), transport)
