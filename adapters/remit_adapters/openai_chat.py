"""Back-end `openai-chat`: any server that speaks Chat Completions. Needs `openai>=3.50`.

Config
    base_url                   where requests go, such as `http://127.0.0.1:8080/v1`; required, so that the
                               document says where its content is sent
    api_key_env                environment variable that holds the key; none where the server needs none
    tool_mode                  native (default): the wire's tool calls; envelope: a JSON answer is enforced
                               through `response_format`, for models that do not call tools by themselves
    calls_per_tool             in tool mode envelope: how often a tool is offered after one user message
                               (default 1)
    timeout_s                  longest silence of the server in seconds (default 120)
    max_retries                attempts after the first, with the package's back-off (default 2, at most 5)
    output_limit_member        max_tokens (default) or max_completion_tokens, as the server wants it
    omit                       request members that the server refuses: of temperature, seed, stream_options
    input_microusd_per_mtok    price of a million input tokens, in millionths of a US dollar (default 0)
    output_microusd_per_mtok   the same for output

Rules
1. Content goes to `base_url` and nowhere else: redirects are not followed, and no ambient endpoint is used.
2. `tool_choice` is never sent: servers do not enforce it, and the gate judges every call anyway.
3. The key appears in no message and no event.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from remit.errors import AdapterError
from remit.messages import TurnEnd
from remit.ports import BackendInfo
from remit_adapters.chat_wire import ChatStream, wire_messages, wire_tools
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import redeem_dispatch
from remit_adapters.envelope import enveloped_request, opened_events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

    from remit.document.model import BackendEntry
    from remit.document.values import JsonObject
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext

    _Create = Callable[..., Awaitable[AsyncStream[ChatCompletionChunk]]]

_NO_KEY = "none"
_OMITTABLE = ("temperature", "seed", "stream_options")
_MTOK = 1_000_000
_MAX_REASON = 300
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig:
    """The config, read; members as in the module's docstring."""

    base_url: str
    api_key_env: str
    api_key: str
    tool_mode: str
    calls_per_tool: int
    timeout_s: float
    max_retries: int
    output_limit_member: str
    omit: frozenset[str]
    input_microusd_per_mtok: int
    output_microusd_per_mtok: int


class OpenAiChatBackend:
    """See the module's docstring."""

    def __init__(self, entry: BackendEntry, config: ChatConfig, client: AsyncOpenAI) -> None:
        self._entry = entry
        self._config = config
        self._client = client

    @property
    def info(self) -> BackendInfo:
        """What it is."""
        return BackendInfo(
            adapter="openai-chat",
            provider=self._entry.provider,
            region=self._entry.region,
            model=self._entry.model,
            detail=self._detail(),
        )

    async def infer(self, permit: Permit, turn: Turn) -> AsyncIterator[TurnEvent]:
        """Redeem the permit, send the turn and stream the answer; closing the iterator closes the connection.

        Raises:
            PermitError: no valid permit; nothing was sent.
            AdapterError: the server cannot be reached, refuses, or breaks off.
        """
        redeem_dispatch(permit, backend=self._entry.name, turn=turn)
        enveloped = self._config.tool_mode == "envelope" and bool(turn.tools)
        request = self._request(turn, enveloped=enveloped)
        stream = ChatStream(turn, backend=self._entry.name)
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
            "base_url": self._config.base_url,
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
            async for chunk in stream:
                yield cast("JsonObject", chunk.to_dict(mode="json", exclude_none=True))
        except AdapterError:
            raise
        except Exception as error:  # the package and its transport raise many kinds, also within a stream
            raise self._failure(error) from error
        finally:
            if stream is not None:
                await stream.close()

    def _cost(self, stream: ChatStream) -> int:
        millionths = (
            stream.input_tokens * self._config.input_microusd_per_mtok
            + stream.output_tokens * self._config.output_microusd_per_mtok
        )
        return -(-millionths // _MTOK)

    def _failure(self, error: Exception) -> AdapterError:
        import openai

        where = f"back-end `{self._entry.name}` at `{self._config.base_url}`"
        if isinstance(error, openai.APITimeoutError):
            return AdapterError(
                f"{where} did not answer within {self._config.timeout_s:g} s; raise `timeout_s` or try again",
                retryable=True,
            )
        if isinstance(error, openai.APIStatusError):
            return self._status_failure(error.status_code, error.message, where)
        reason = self._safe(str(error) or type(error).__name__)
        if isinstance(error, openai.APIConnectionError):
            cause = self._safe(str(error.__cause__ or error))
            return AdapterError(
                f"{where} cannot be reached: {cause}; is the server running, and is `base_url` right?",
                retryable=True,
            )
        return AdapterError(f"{where} broke off: {reason}", retryable=True)

    def _status_failure(self, status: int, message: str, where: str) -> AdapterError:
        said = f"{where} answered {status}: {self._safe(message)}"
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            key = self._config.api_key_env
            way = (
                f"check the key in `{key}`"
                if key
                else "name the variable that holds the key in `api_key_env`"
            )
            return AdapterError(f"{said}; {way}")
        if status == _NOT_FOUND:
            return AdapterError(
                f"{said}; check `model` (`{self._entry.model}`) and that `base_url` ends in `/v1`"
            )
        if status == _TOO_MANY:
            return AdapterError(f"{said}; wait, or ask the provider for a higher limit", retryable=True)
        if status >= _SERVER_ERROR:
            return AdapterError(f"{said}; try again later", retryable=True)
        if status < 400:  # noqa: PLR2004  # the boundary of HTTP's own classes
            return AdapterError(f"{said}; redirects are not followed: put the final address into `base_url`")
        return AdapterError(said)

    def _safe(self, text: str) -> str:
        """Cut a server's words to a line, without the key."""
        text = " ".join(text.split())
        if self._config.api_key not in ("", _NO_KEY):
            text = text.replace(self._config.api_key, "***")
        return text[:_MAX_REASON].rstrip(".")


def open_backend(entry: BackendEntry, *, context: BackendContext) -> OpenAiChatBackend:
    """Open the server that `entry.config` names; nothing is sent before the first inference.

    Raises:
        ImportError: `openai` is not installed.
        AdapterError: the config is not acceptable, or the key's variable is not set.
    """
    import openai

    config = _read(entry, context)
    client = openai.AsyncOpenAI(
        api_key=config.api_key,
        base_url=config.base_url,
        timeout=config.timeout_s,
        max_retries=config.max_retries,
        http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
    )
    # INVARIANT (no ambient settings): the package reads these from the environment when not given.
    client.organization = None
    client.project = None
    return OpenAiChatBackend(entry, config, client)


def _read(entry: BackendEntry, context: BackendContext) -> ChatConfig:
    config = ConfigReader.of_entry(entry)
    config.only(
        "base_url",
        "api_key_env",
        "tool_mode",
        "calls_per_tool",
        "timeout_s",
        "max_retries",
        "output_limit_member",
        "omit",
        "input_microusd_per_mtok",
        "output_microusd_per_mtok",
    )
    base_url = config.text("base_url")
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise config.error("base_url", f"`{base_url}` is not an http or https address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise config.error("base_url", "holds more than an address; secrets belong to `api_key_env`")
    api_key_env = config.text("api_key_env", default="")
    api_key = context.environment.get(api_key_env, "") if api_key_env else _NO_KEY
    if not api_key:
        raise config.error("api_key_env", f"the environment variable `{api_key_env}` is not set")
    return ChatConfig(
        base_url=base_url,
        api_key_env=api_key_env,
        api_key=api_key,
        tool_mode=config.choice("tool_mode", ("native", "envelope"), default="native"),
        calls_per_tool=config.integer("calls_per_tool", minimum=1, maximum=1000, default=1),
        timeout_s=config.number("timeout_s", minimum=0.1, maximum=3600.0, default=120.0),
        max_retries=config.integer("max_retries", minimum=0, maximum=5, default=2),
        output_limit_member=config.choice(
            "output_limit_member", ("max_tokens", "max_completion_tokens"), default="max_tokens"
        ),
        omit=config.choices("omit", _OMITTABLE),
        input_microusd_per_mtok=config.integer("input_microusd_per_mtok", default=0),
        output_microusd_per_mtok=config.integer("output_microusd_per_mtok", default=0),
    )
