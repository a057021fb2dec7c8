"""Back-end `openai-chat`: any server that speaks Chat Completions. Needs `openai>=3.50`.

Config, beside the members of `endpoint` and `openai_sdk`
    tool_mode                  native (default): the wire's tool calls; envelope: a JSON answer is enforced
                               through `response_format`, for models that do not call tools by themselves
    calls_per_tool             in tool mode envelope: how often a tool is offered after one user message
                               (default 1)
    output_limit_member        max_tokens (default) or max_completion_tokens, as the server wants it
    omit                       request members that the server refuses: of temperature, seed, stream_options

Rules
1. `tool_choice` is never sent: servers do not enforce it, and the gate judges every call anyway.
2. The server of one of these wires runs no tools of its own: a document that requires a built-in is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError
from remit.messages import TurnEnd
from remit_adapters.chat_wire import ChatStream, wire_messages, wire_tools
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import backend_info, redeem_dispatch
from remit_adapters.envelope import enveloped_request, opened_events
from remit_adapters.openai_sdk import MEMBERS, openai_client, openai_endpoint, openai_errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

    from remit.document.model import BackendEntry
    from remit.document.values import JsonObject
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext, BackendInfo
    from remit_adapters.endpoint import Endpoint

    _Create = Callable[..., Awaitable[AsyncStream[ChatCompletionChunk]]]

_OMITTABLE = ("temperature", "seed", "stream_options")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig:
    """The config, read; members as in the module's docstring."""

    endpoint: Endpoint
    tool_mode: str
    calls_per_tool: int
    output_limit_member: str
    omit: frozenset[str]


class OpenAiChatBackend:
    """See the module's docstring."""

    def __init__(self, entry: BackendEntry, config: ChatConfig, client: AsyncOpenAI) -> None:
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
            AdapterError: the server cannot be reached, refuses, or breaks off.
        """
        redeem_dispatch(permit, backend=self._entry.name, turn=turn)
        enveloped = self._config.tool_mode == "envelope" and bool(turn.tools)
        request = self._request(turn, enveloped=enveloped)
        stream = ChatStream(turn, backend=self._entry.name, safe=self._config.endpoint.safe)
        text: list[str] = []
        chunks = self._chunks(request)
        try:
            async for chunk in chunks:
                for delta in stream.feed(chunk):
                    if enveloped:
                        text.append(delta.text)
                    else:
                        yield delta
        finally:
            await chunks.aclose()
        for event in stream.end(cost_microusd=self._cost(stream), detail=self._detail()):
            if enveloped and isinstance(event, TurnEnd):
                for opened in opened_events(turn, "".join(text), event):
                    yield opened
            else:
                yield event

    async def dispose(self) -> None:
        """Close the connections; nothing was made on the server's side."""
        await self._client.close()

    def _detail(self) -> dict[str, str]:
        return {
            "sdk": f"openai {version('openai')}",
            "base_url": self._config.endpoint.base_url,
            "tool_mode": self._config.tool_mode,
        }

    def _request(self, turn: Turn, *, enveloped: bool) -> JsonObject:
        request: JsonObject = {
            "model": self._entry.model,
            "temperature": turn.temperature,
            "seed": turn.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            self._config.output_limit_member: turn.max_output_tokens,
        }
        if enveloped:
            request |= enveloped_request(
                turn, backend=self._entry.name, calls_per_tool=self._config.calls_per_tool
            )
        else:
            request["messages"] = [*wire_messages(turn)]
            if turn.tools:
                request["tools"] = [*wire_tools(turn)]
        return {name: value for name, value in request.items() if name not in self._config.omit}

    async def _chunks(self, request: JsonObject) -> AsyncGenerator[JsonObject]:
        """Send one request and hand over its chunks; only `AdapterError` escapes."""
        stream: AsyncStream[ChatCompletionChunk] | None = None
        try:
            # The wire's own JSON goes out as it was permitted; typed parameters would add nothing.
            create = cast("_Create", self._client.chat.completions.create)
            stream = await create(**request)
            async for chunk in self._config.endpoint.paced(stream):
                yield cast("JsonObject", chunk.to_dict(mode="json", exclude_none=True))
        except AdapterError:
            raise
        except Exception as error:  # the package and its transport raise many kinds, also within a stream
            raise self._config.endpoint.failure(error, openai_errors()) from error
        finally:
            if stream is not None:
                await stream.close()

    def _cost(self, stream: ChatStream) -> int:
        return self._config.endpoint.cost_microusd(
            input_tokens=stream.input_tokens, output_tokens=stream.output_tokens
        )


def open_backend(entry: BackendEntry, *, context: BackendContext) -> OpenAiChatBackend:
    """Open the server that `entry.config` names; nothing is sent before the first inference.

    Raises:
        ImportError: `openai` is not installed.
        AdapterError: the config is not acceptable, or the key's variable is not set.
    """
    config = ConfigReader.of_entry(entry)
    config.only(*MEMBERS, "tool_mode", "calls_per_tool", "output_limit_member", "omit")
    endpoint, api_version = openai_endpoint(config, entry, context)
    read = ChatConfig(
        endpoint=endpoint,
        tool_mode=config.choice("tool_mode", ("native", "envelope"), default="native"),
        calls_per_tool=config.integer("calls_per_tool", minimum=1, maximum=1000, default=1),
        output_limit_member=config.choice(
            "output_limit_member", ("max_tokens", "max_completion_tokens"), default="max_tokens"
        ),
        omit=config.choices("omit", _OMITTABLE),
    )
    return OpenAiChatBackend(entry, read, openai_client(endpoint, api_version=api_version))
