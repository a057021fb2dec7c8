"""Back-end `openai-responses`: OpenAI's Responses, stateless. Needs `openai>=3.50`.

Config, beside the members of `endpoint` and `openai_sdk`
    omit               request members that the server refuses: of temperature, include, max_output_tokens
    reasoning_effort   none, minimal, low, medium, high or xhigh, for models that reason; not sent by default

Built-ins
    code_interpreter   in a container that the vendor makes for the answer; its `files` are uploaded
    file_search        over a vector store of its `files`, or over `vector_store_ids` of its own `config`
    web_search         `allowed_domains` and `search_context_size` in its `config`

Rules
1. `store` is false and the whole thread goes out each turn; `previous_response_id` is never used.
2. `tool_choice` is never sent: servers do not enforce it, and the gate judges every call anyway.
3. The wire's least bound of an answer is 16 tokens; a lower one is sent as that.
4. What was uploaded for a built-in is deleted when the run is over; what its config names is left alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError, GovernanceError
from remit.messages import builtin_value, content_digest
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import backend_info, redeem_dispatch
from remit_adapters.openai_sdk import MEMBERS, openai_client, openai_endpoint, openai_errors
from remit_adapters.responses_wire import ResponsesStream, function_tools, input_items
from remit_adapters.vendor_files import VendorSide

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

    from openai import AsyncOpenAI, AsyncStream
    from openai.types.responses import ResponseStreamEvent

    from remit.document.model import BackendEntry, Builtin
    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext, BackendInfo, VendorObject
    from remit_adapters.endpoint import Endpoint

    _Create = Callable[..., Awaitable[AsyncStream[ResponseStreamEvent]]]

BUILTINS = ("code_interpreter", "file_search", "web_search")
_OMITTABLE = ("temperature", "include", "max_output_tokens")
_LEAST_TOKENS = 16
_EFFORTS = ("", "none", "minimal", "low", "medium", "high", "xhigh")
_INCLUDED = {
    "code_interpreter": "code_interpreter_call.outputs",
    "file_search": "file_search_call.results",
    "web_search": "web_search_call.action.sources",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesConfig:
    """The config, read; members as in the module's docstring."""

    endpoint: Endpoint
    omit: frozenset[str]
    reasoning_effort: str


class OpenAiResponsesBackend:
    """See the module's docstring."""

    def __init__(
        self, entry: BackendEntry, config: ResponsesConfig, client: AsyncOpenAI, context: BackendContext
    ) -> None:
        self._entry = entry
        self._config = config
        self._client = client
        self._side = VendorSide(client, config.endpoint, context)
        self._resources: dict[str, JsonObject] = {}
        self._uploaded = ""

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
        request = self._request(turn)
        if turn.builtins:
            # INVARIANT (one content): while files are uploaded, nobody may change what was permitted.
            request = copy.deepcopy(request)
            tools = cast("list[JsonValue]", request.setdefault("tools", []))
            tools.extend(await self._builtin_tools(turn.builtins))
        stream = ResponsesStream(turn, backend=self._entry.name, safe=self._config.endpoint.safe)
        events = self._events(request)
        try:
            async for event in events:
                for delta in stream.feed(event):
                    yield delta
        finally:
            await events.aclose()
        cost = self._config.endpoint.cost_microusd(
            input_tokens=stream.input_tokens, output_tokens=stream.output_tokens
        )
        for last in stream.end(cost_microusd=cost, detail=self._detail()):
            yield last

    async def dispose(self) -> None:
        """Delete what was uploaded and close the connections.

        Raises:
            AdapterError: something could not be deleted; a sweep will look for it.
        """
        try:
            failures = await self._side.clear(self._side.held, complete=False)
        finally:
            await self._client.close()
        if failures:
            raise AdapterError("; ".join(failures))

    async def sweep(self, left: Sequence[VendorObject]) -> tuple[str, ...]:
        """Delete what earlier runs uploaded and did not delete."""
        return await self._side.clear(left, complete=True)

    def _detail(self) -> dict[str, str]:
        return {"sdk": f"openai {version('openai')}", "base_url": self._config.endpoint.base_url}

    def _request(self, turn: Turn) -> JsonObject:
        include: list[JsonValue] = ["reasoning.encrypted_content"]
        include += [_INCLUDED[item.name] for item in turn.builtins]
        request: JsonObject = {
            "model": self._entry.model,
            "input": [*input_items(turn)],
            "store": False,
            "stream": True,
            "include": include,
            "max_output_tokens": max(_LEAST_TOKENS, turn.max_output_tokens),
            "temperature": turn.temperature,
        }
        if turn.instructions:
            request["instructions"] = turn.instructions
        if turn.tools:
            request["tools"] = [*function_tools(turn)]
        if self._config.reasoning_effort:
            request["reasoning"] = {"effort": self._config.reasoning_effort}
        return {name: value for name, value in request.items() if name not in self._config.omit}

    async def _builtin_tools(self, builtins: Sequence[Builtin]) -> list[JsonValue]:
        readers = [
            ConfigReader(value=item.config, where=f"built-in `{item.name}`: config") for item in builtins
        ]
        # Judged before anything is uploaded.
        for reader, item in zip(readers, builtins, strict=True):
            reader.only(*_BUILTIN_MEMBERS[item.name])
        # INVARIANT (one content): what an earlier turn was allowed to show is not what this one may.
        wanted = content_digest({"builtins": [builtin_value(item) for item in builtins]})
        if self._uploaded != wanted:
            try:
                await self._renew_resources(builtins)
            except GovernanceError:
                raise
            except Exception as error:
                raise self._config.endpoint.failure(error, openai_errors()) from error
            self._uploaded = wanted
        return [
            _builtin_tool(item, reader, self._resources.get(item.name, {}))
            for item, reader in zip(builtins, readers, strict=True)
        ]

    async def _renew_resources(self, builtins: Sequence[Builtin]) -> None:
        """Delete what was uploaded for other built-ins, and upload for these."""
        self._uploaded, self._resources = "", {}
        failures = await self._side.clear(self._side.held, complete=False)
        if failures:
            raise AdapterError("; ".join(failures))
        self._resources = await self._side.resources(builtins)

    async def _events(self, request: JsonObject) -> AsyncGenerator[JsonObject]:
        """Send one request and hand over its events; only `AdapterError` escapes."""
        stream: AsyncStream[ResponseStreamEvent] | None = None
        try:
            # The wire's own JSON goes out as it was permitted; typed parameters would add nothing.
            create = cast("_Create", self._client.responses.create)
            stream = await create(**request)
            async for event in self._config.endpoint.paced(stream):
                yield cast("JsonObject", event.to_dict(mode="json"))
        except AdapterError:
            raise
        except Exception as error:  # the package and its transport raise many kinds, also within a stream
            raise self._config.endpoint.failure(error, openai_errors()) from error
        finally:
            if stream is not None:
                await stream.close()


_BUILTIN_MEMBERS = {
    "code_interpreter": (),
    "file_search": ("vector_store_ids", "max_num_results"),
    "web_search": ("allowed_domains", "search_context_size"),
}


def _builtin_tool(builtin: Builtin, config: ConfigReader, made: JsonObject) -> JsonObject:
    if builtin.name == "code_interpreter":
        return {"type": "code_interpreter", "container": {"type": "auto", **made}}
    if builtin.name == "web_search":
        tool: JsonObject = {"type": "web_search"}
        if "allowed_domains" in config.value:
            tool["filters"] = {"allowed_domains": [*config.texts("allowed_domains")]}
        if "search_context_size" in config.value:
            size = config.choice("search_context_size", ("low", "medium", "high"), default="medium")
            tool["search_context_size"] = size
        return tool
    named = config.texts("vector_store_ids") if "vector_store_ids" in config.value else ()
    own = made.get("vector_store_ids")
    stores: list[JsonValue] = [*named, *(own if isinstance(own, list) else [])]
    if not stores:
        raise config.error("vector_store_ids", "is required where the built-in names no `files`")
    search: JsonObject = {"type": "file_search", "vector_store_ids": stores}
    if "max_num_results" in config.value:
        search["max_num_results"] = config.integer("max_num_results", minimum=1, maximum=50)
    return search


def open_backend(entry: BackendEntry, *, context: BackendContext) -> OpenAiResponsesBackend:
    """Open the server that `entry.config` names; nothing is sent before the first inference.

    Raises:
        ImportError: `openai` is not installed.
        AdapterError: the config is not acceptable, or the key's variable is not set.
    """
    config = ConfigReader.of_entry(entry)
    config.only(*MEMBERS, "omit", "reasoning_effort")
    endpoint, api_version = openai_endpoint(config, entry, context)
    read = ResponsesConfig(
        endpoint=endpoint,
        omit=config.choices("omit", _OMITTABLE),
        reasoning_effort=config.choice("reasoning_effort", _EFFORTS, default=""),
    )
    return OpenAiResponsesBackend(entry, read, openai_client(endpoint, api_version=api_version), context)
