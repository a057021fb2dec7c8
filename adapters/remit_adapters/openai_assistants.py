"""Back-end `openai-assistants`: Assistants v2, materialized for a run and thrown away. Needs `openai>=3.50`.

OpenAI closed its hosted endpoint on 2026-08-26, so `base_url` names a server that still speaks the protocol.

Config, beside the members of `endpoint` and `openai_sdk`
    mode              stream (default) or poll; in poll, `timeout_s` bounds a whole answer
    poll_interval_s   how often a polled run is looked at, in seconds (default 0.5)
    metadata          up to 15 texts by name, kept with the assistant
    omit              request members that the server refuses: of temperature, max_completion_tokens

Built-ins
    code_interpreter   over its `files`
    file_search        over a vector store of its `files`, or over `vector_store_ids` of its own `config`

Rules
1. The assistant and an empty thread are made when they are needed; what is said goes out with the run, so
   that a thread whose id was lost in a crash holds nothing.
2. Each object is in the register before it is asked for, and before it is used (`vendor_files`).
3. A run that waits for outputs gets exactly the outputs of exactly its calls, where the turn goes on from
   what it was answered. Any other turn cancels it and starts on a new thread, made from the whole turn.
4. A run is cancelled when the answer is not waited for, and when the back-end is disposed of: after a denial,
   a kill or a termination.
5. Threads cannot be listed. Making one is never repeated, and is asked for by a process that outlives this
   one. Where that dies too, with its machine, a thread whose id was never heard of stays a doubt.
6. `tool_choice` is never sent. The wire's least bound of tokens is 256 a run, over all of its answers.

The package's generic verbs are used: its typed Assistants are deprecated and may leave it.
"""

from __future__ import annotations

import asyncio
import copy
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError, GovernanceError
from remit.messages import CallProposed, TextDelta, TokenUsage, TurnEnd, builtin_value, content_digest
from remit_adapters.assistants_wire import OPEN, RunAnswer, function_tool, thread_messages
from remit_adapters.config import ConfigReader
from remit_adapters.dispatch import backend_info, redeem_dispatch
from remit_adapters.openai_sdk import MEMBERS, openai_client, openai_endpoint, openai_errors
from remit_adapters.vendor_files import BETA, VendorSide

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from openai import AsyncOpenAI

    from remit.document.model import BackendEntry, Builtin
    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Turn, TurnEvent
    from remit.permit import Permit
    from remit.ports import BackendContext, BackendInfo, VendorObject
    from remit_adapters.endpoint import Endpoint

BUILTINS = ("code_interpreter", "file_search")
WHY_BASE_URL = (
    "OpenAI's hosted Assistants endpoint was closed on 2026-08-26; name a server that speaks Assistants v2, "
    "or move to the adapter `openai-responses`"
)
_OMITTABLE = ("temperature", "max_completion_tokens")
_LEAST_TOKENS = 256
_MAX_METADATA = 15
_MAX_NAME, _MAX_TEXT = 64, 512
_CANCEL_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantsConfig:
    """The config, read; members as in the module's docstring."""

    endpoint: Endpoint
    mode: str
    poll_interval_s: float
    metadata: JsonObject
    omit: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A run that waits for outputs.

    Args:
        turn: what it was asked.
        text: what it said.
        run: the vendor's id.
        calls: our id and the vendor's id of each call.
        counted: the tokens that were counted so far.
    """

    turn: Turn
    text: str
    run: str
    calls: tuple[tuple[str, str], ...]
    counted: TokenUsage


class OpenAiAssistantsBackend:
    """See the module's docstring."""

    def __init__(
        self, entry: BackendEntry, config: AssistantsConfig, client: AsyncOpenAI, context: BackendContext
    ) -> None:
        self._entry = entry
        self._config = config
        self._client = client
        self._side = VendorSide(client, config.endpoint, context)
        self._assistant = ""
        self._shape = ""
        self._instructions = ""
        self._thread = ""
        self._run = ""
        self._waiting: _Waiting | None = None
        self._seen: set[str] = set()

    @property
    def info(self) -> BackendInfo:
        """What it is."""
        return backend_info(self._entry, self._detail())

    async def infer(self, permit: Permit, turn: Turn) -> AsyncIterator[TurnEvent]:
        """Redeem the permit, start or go on with the vendor's run and stream its answer.

        Closing the iterator cancels the run.

        Raises:
            PermitError: no valid permit; nothing was sent.
            AdapterError: the server cannot be reached, refuses, or breaks off.
            LedgerError: what would be made on the vendor's side cannot be recorded; it was not made.
        """
        redeem_dispatch(permit, backend=self._entry.name, turn=turn)
        # INVARIANT (one content): what is sent is built here, before control is given up for the first time,
        # and copied where it holds schemas and configs that others hold too.
        waiting = self._waiting_for(turn)
        request = self._run_request(turn) if waiting is None else _outputs(waiting, turn)
        shape = copy.deepcopy(self._assistant_shape(turn)) if waiting is None else {}
        builtins = copy.deepcopy(turn.builtins)
        self._waiting = None
        answer = RunAnswer(turn, backend=self._entry.name, safe=self._config.endpoint.safe)
        said: list[str] = []
        try:
            if waiting is None:
                await self._prepare(replace(turn, builtins=builtins), shape, request)
                path = f"/threads/{self._thread}/runs"
            else:
                path = f"/threads/{self._thread}/runs/{waiting.run}/submit_tool_outputs"
            source = self._streamed if self._config.mode == "stream" else self._polled
            async with aclosing(source(path, request, answer)) as pieces:
                async for piece in pieces:
                    said.append(piece.text)
                    yield piece
            counted = TokenUsage() if waiting is None else waiting.counted
            events = list(answer.end(endpoint=self._config.endpoint, counted=counted, detail=self._detail()))
        except GovernanceError:
            raise
        except Exception as error:  # the package and its transport raise many kinds, also within a stream
            raise self._config.endpoint.failure(error, openai_errors()) from error
        finally:
            if answer.run_id:
                self._run = answer.run_id
            if not answer.stands and self._run:
                await self._cancel_quickly()
        self._remember(turn, "".join(said), answer, events, counted)
        for event in events:
            yield event

    async def dispose(self) -> None:
        """Cancel what runs and delete everything that was made; idempotent.

        Raises:
            AdapterError: something could not be deleted; a sweep will look for it.
        """
        self._waiting = None
        try:
            failures = await self._clear(self._side.held, complete=False)
        finally:
            self._assistant = self._thread = self._run = self._shape = ""
            await self._client.close()
        if failures:
            raise AdapterError("; ".join(failures))

    async def sweep(self, left: Sequence[VendorObject]) -> tuple[str, ...]:
        """Delete what earlier runs made and did not delete."""
        return await self._clear(left, complete=True)

    # What is asked for.

    def _detail(self) -> dict[str, str]:
        return {
            "sdk": f"openai {version('openai')}",
            "base_url": self._config.endpoint.base_url,
            "mode": self._config.mode,
        }

    def _run_request(self, turn: Turn) -> JsonObject:
        messages: list[JsonValue] = [*thread_messages(turn.messages)]
        request: JsonObject = {
            "additional_messages": messages,
            "max_completion_tokens": max(_LEAST_TOKENS, turn.max_output_tokens),
            "temperature": turn.temperature,
        }
        return {name: value for name, value in request.items() if name not in self._config.omit}

    def _assistant_shape(self, turn: Turn) -> JsonObject:
        """Return the assistant that `turn` needs, without what is uploaded for it."""
        tools: list[JsonValue] = [*(function_tool(offer) for offer in turn.tools)]
        tools += [_builtin_tool(item) for item in turn.builtins]
        shape: JsonObject = {
            "model": self._entry.model,
            "tools": tools,
            "metadata": {**self._config.metadata},
        }
        if turn.instructions:
            shape["instructions"] = turn.instructions
        return shape

    async def _prepare(self, turn: Turn, shape: JsonObject, request: JsonObject) -> None:
        """Make sure of an assistant and an empty thread for a new run (rule 3)."""
        if self._thread:
            await self._drop_thread()
        fixed = content_digest(
            {"tools": shape["tools"], "builtins": [builtin_value(item) for item in turn.builtins]}
        )
        if not self._assistant or fixed != self._shape:
            await self._renew_assistant(turn, shape)
            self._shape = fixed
        elif self._instructions != turn.instructions:
            request["instructions"] = turn.instructions
        request["assistant_id"] = self._assistant
        made = await self._side.create("thread", "/threads", {}, listed=False)
        self._thread, self._run = str(made["id"]), ""

    async def _renew_assistant(self, turn: Turn, shape: JsonObject) -> None:
        if self._side.held:
            failures = await self._side.clear(self._side.held, complete=False)
            if failures:
                raise AdapterError("; ".join(failures))
        resources = _named_stores(turn.builtins, await self._side.resources(turn.builtins))
        body: JsonObject = {**shape, "tool_resources": resources} if resources else shape
        made = await self._side.create("assistant", "/assistants", body)
        self._assistant, self._instructions = str(made["id"]), turn.instructions

    # What comes back.

    async def _streamed(self, path: str, body: JsonObject, answer: RunAnswer) -> AsyncGenerator[TextDelta]:
        from openai import AsyncStream

        # The package gives raw JSON for `object`, and marks an Assistants event with its name.
        stream = await self._client.post(
            path,
            cast_to=object,
            body={**body, "stream": True},
            options={"headers": BETA},
            stream=True,
            stream_cls=AsyncStream[object],
        )
        try:
            async for event in self._config.endpoint.paced(stream):
                value: object = event
                for piece in answer.feed(cast("JsonObject", value) if isinstance(value, dict) else {}):
                    yield piece
        finally:
            await stream.close()

    async def _polled(self, path: str, body: JsonObject, answer: RunAnswer) -> AsyncGenerator[TextDelta]:
        run = await self._side.post(path, body)
        answer.take(run)
        until = asyncio.get_running_loop().time() + self._config.endpoint.timeout_s
        while not answer.stands:
            if asyncio.get_running_loop().time() > until:
                raise TimeoutError
            await asyncio.sleep(self._config.poll_interval_s)
            answer.take(await self._side.get(f"/threads/{self._thread}/runs/{answer.run_id}"))
        known = self._seen
        async for step in self._side.listed(
            f"/threads/{self._thread}/runs/{answer.run_id}/steps", order="asc"
        ):
            number = str(step.get("id"))
            if (step.get("type"), step.get("status")) == ("tool_calls", "completed") and number not in known:
                known.add(number)
                answer.step(step)
        async for message in self._side.listed(
            f"/threads/{self._thread}/messages", order="asc", run_id=answer.run_id
        ):
            number = str(message.get("id"))
            if message.get("role") == "assistant" and number not in known:
                known.add(number)
                for piece in answer.message(message):
                    yield piece

    def _waiting_for(self, turn: Turn) -> _Waiting | None:
        """Return the run that `turn` goes on with, or None where it is another conversation (rule 3)."""
        waiting = self._waiting
        if waiting is None or replace(turn, messages=()) != replace(waiting.turn, messages=()):
            return None
        past = waiting.turn.messages
        if turn.messages[: len(past)] != past or len(turn.messages) <= len(past):
            return None
        own, results = turn.messages[len(past)], turn.messages[len(past) + 1 :]
        ids = tuple(call for call, _ in waiting.calls)
        same = (
            own.role == "assistant"
            and own.text == waiting.text
            and tuple(call.id for call in own.tool_calls) == ids
            and all(message.role == "tool" for message in results)
            and sorted(message.tool_call_id for message in results) == sorted(ids)
        )
        return waiting if same else None

    def _remember(
        self, turn: Turn, text: str, answer: RunAnswer, events: list[TurnEvent], counted: TokenUsage
    ) -> None:
        end = events[-1]
        if not isinstance(end, TurnEnd) or end.stop != "tool_calls":
            return
        ours = [event.call.id for event in events if isinstance(event, CallProposed)]
        self._waiting = _Waiting(
            turn=turn,
            text=text,
            run=answer.run_id,
            calls=tuple(zip(ours, answer.sent_ids(), strict=True)),
            counted=TokenUsage(
                input_tokens=counted.input_tokens + end.usage.input_tokens,
                output_tokens=counted.output_tokens + end.usage.output_tokens,
            ),
        )

    # Clean-up.

    async def _cancel_quickly(self) -> None:
        """Cancel the run that nobody waits for; should that fail, disposing of it tries again."""
        with suppress(Exception, asyncio.CancelledError):
            await asyncio.wait_for(self._cancel(self._thread, self._run), _CANCEL_S)

    async def _cancel(self, thread: str, run: str) -> None:
        await self._side.post(f"/threads/{thread}/runs/{run}/cancel", {}, retries=False)

    async def _drop_thread(self) -> None:
        things = [item for item in self._side.held if item.kind == "thread"]
        failures = await self._clear_threads(things)
        self._thread = self._run = ""
        if failures:
            raise AdapterError("; ".join(failures))

    async def _clear(self, things: Sequence[VendorObject], *, complete: bool) -> tuple[str, ...]:
        threads = [item for item in things if item.kind == "thread"]
        failures = await self._clear_threads(threads)
        return (*failures, *await self._side.clear(things, complete=complete))

    async def _clear_threads(self, threads: Sequence[VendorObject]) -> tuple[str, ...]:
        doubts: list[str] = []
        for planned in threads:
            thread = planned if planned.id else await self._side.settled(planned)
            if thread is None:
                continue
            if not thread.id:
                doubts.append(self._thread_doubt(thread))
                continue
            # A run that cannot be cancelled must not keep its thread from being deleted.
            with suppress(Exception):
                async for run in self._side.listed(f"/threads/{thread.id}/runs"):
                    if run.get("status") in OPEN and run.get("status") != "cancelling":
                        with suppress(Exception):
                            await self._cancel(thread.id, str(run.get("id")))
            try:
                await self._side.delete(thread, f"/threads/{thread.id}")
            except Exception as error:  # noqa: BLE001  # the others must be tried all the same
                failure = self._config.endpoint.failure(error, openai_errors())
                doubts.append(f"thread `{thread.id}`: {failure}")
        return tuple(doubts)

    def _thread_doubt(self, thread: VendorObject) -> str:
        where = f"back-end `{self._entry.name}` at `{self._config.endpoint.base_url}`"
        if thread.recent:
            return (
                f"{where}: the making of a thread (`{thread.tag}`) may be under way; sweep again in a while"
            )
        return (
            f"{where}: a thread (`{thread.tag}`) may have been made whose id never arrived; "
            "it is empty, and the protocol has no way to list threads"
        )


def _outputs(waiting: _Waiting, turn: Turn) -> JsonObject:
    results = {
        message.tool_call_id: message.text for message in turn.messages[len(waiting.turn.messages) + 1 :]
    }
    return {
        "tool_outputs": [{"tool_call_id": theirs, "output": results[ours]} for ours, theirs in waiting.calls]
    }


_BUILTIN_MEMBERS = {"code_interpreter": (), "file_search": ("vector_store_ids", "max_num_results")}


def _builtin_tool(builtin: Builtin) -> JsonObject:
    config = ConfigReader(value=builtin.config, where=f"built-in `{builtin.name}`: config")
    config.only(*_BUILTIN_MEMBERS[builtin.name])
    tool: JsonObject = {"type": builtin.name}
    if "max_num_results" in config.value:
        most = config.integer("max_num_results", minimum=1, maximum=50)
        tool["file_search"] = {"max_num_results": most}
    if "vector_store_ids" in config.value:
        config.texts("vector_store_ids")
    return tool


def _named_stores(builtins: Sequence[Builtin], made: dict[str, JsonObject]) -> JsonObject:
    """Return `tool_resources`: what was uploaded, and the vector stores that a config names."""
    resources: JsonObject = {**made}
    for builtin in builtins:
        named = builtin.config.get("vector_store_ids")
        if isinstance(named, list):
            own = made.get(builtin.name, {}).get("vector_store_ids")
            stores: list[JsonValue] = [*named, *(own if isinstance(own, list) else [])]
            resources[builtin.name] = {"vector_store_ids": stores}
    return resources


def _metadata(config: ConfigReader) -> JsonObject:
    if "metadata" not in config.value:
        return {}
    value = config.object("metadata").value
    if len(value) > _MAX_METADATA:
        raise config.error("metadata", f"holds more than {_MAX_METADATA} members")
    for name, text in value.items():
        if not isinstance(text, str) or len(name) > _MAX_NAME or len(text) > _MAX_TEXT:
            raise config.error(
                "metadata",
                f"`{name}`: names have up to {_MAX_NAME} characters, values are texts of {_MAX_TEXT}",
            )
    return value


def open_backend(entry: BackendEntry, *, context: BackendContext) -> OpenAiAssistantsBackend:
    """Open the server that `entry.config` names; nothing is sent before the first inference.

    Raises:
        ImportError: `openai` is not installed.
        AdapterError: the config is not acceptable, or the key's variable is not set.
    """
    config = ConfigReader.of_entry(entry)
    config.only(*MEMBERS, "mode", "poll_interval_s", "metadata", "omit")
    endpoint, api_version = openai_endpoint(config, entry, context, why_base_url=WHY_BASE_URL)
    read = AssistantsConfig(
        endpoint=endpoint,
        mode=config.choice("mode", ("stream", "poll"), default="stream"),
        poll_interval_s=config.number("poll_interval_s", minimum=0.01, maximum=60.0, default=0.5),
        metadata=_metadata(config),
        omit=config.choices("omit", _OMITTABLE),
    )
    return OpenAiAssistantsBackend(entry, read, openai_client(endpoint, api_version=api_version), context)
