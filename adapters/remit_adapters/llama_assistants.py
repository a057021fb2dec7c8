"""Open weights behind an Assistants v2 server, for tests and demonstrations.

    with llama_model_turn(path) as turn, AssistantsServer(model=turn) as server:
        ...

Calls are made through the envelope (`envelope`), as the adapter `llama-cpp` makes them by default.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError
from remit.host.models import check_file
from remit.messages import CallProposed, Message, TextDelta, ToolCall, ToolOffer, Turn, TurnEnd
from remit.testing.loopback import Reply, SaidCall
from remit_adapters.calls import strict_arguments
from remit_adapters.chat_wire import ChatStream, wire_messages
from remit_adapters.envelope import enveloped_request, opened_events
from remit_adapters.llama_model import LoadedModel, ModelKey, acquire, release

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.messages import Role, TurnEvent
    from remit.testing.assistants_server import ModelTurn, TurnRequest

_NAME = "assistants"
_MAX_OUTPUT_TOKENS = 512
_FINISHES = {"end": "stop", "tool_calls": "tool_calls", "length": "length", "refused": "content_filter"}


@contextmanager
def llama_model_turn(
    path: Path,
    *,
    sha256: str = "",
    calls_per_tool: int = 1,
    max_output_tokens: int = _MAX_OUTPUT_TOKENS,
    context_tokens: int = 8192,
    threads: int = 2,
) -> Generator[ModelTurn]:
    """Give the weights at `path` as the model of a server; shares the loaded model with `llama-cpp`.

    Args:
        path: a GGUF file.
        sha256: what it must be, or empty.
        calls_per_tool: how often a tool is offered after one user message.
        max_output_tokens: bound of each answer; a run's own bound may be lower.
        context_tokens: context length.
        threads: threads of computation.

    Raises:
        ImportError: `xllamacpp` is not installed.
        AdapterError: the weights are not what they must be, or cannot be loaded.
    """
    key = ModelKey(
        sha256=check_file(path, sha256),
        path=path,
        native=False,
        context_tokens=context_tokens,
        threads=min(threads, os.cpu_count() or 1),
    )
    model = acquire(key)

    def answer(request: TurnRequest) -> Reply:
        bound = min(max_output_tokens, request.max_output_tokens or max_output_tokens)
        return _reply(model, request, calls_per_tool=calls_per_tool, max_output_tokens=bound)

    try:
        yield answer
    finally:
        release(key)


def _reply(model: LoadedModel, request: TurnRequest, *, calls_per_tool: int, max_output_tokens: int) -> Reply:
    turn = Turn(
        instructions=request.instructions,
        messages=tuple(_message(each) for each in request.messages),
        tools=tuple(_offer(each) for each in request.tools if each["type"] == "function"),
        max_output_tokens=max_output_tokens,
        temperature=request.temperature,
    )
    asked: JsonObject = {
        "max_tokens": max_output_tokens,
        "temperature": turn.temperature,
        "seed": turn.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if turn.tools:
        asked |= enveloped_request(turn, backend=_NAME, calls_per_tool=calls_per_tool)
    else:
        asked["messages"] = [*wire_messages(turn)]
    chunks: list[JsonObject] = []

    def take(chunk: object) -> bool:
        # INVARIANT (no exception into the engine): what is raised in a callback is lost inside it.
        several = cast("list[object]", chunk) if isinstance(chunk, list) else [chunk]
        chunks.extend(cast("JsonObject", each) for each in several if isinstance(each, dict))
        return request.stopped()

    with model.busy:
        model.chat(asked, take)
    if request.stopped():
        return Reply()
    stream = ChatStream(turn, backend=_NAME, own_ids=True)
    text = "".join(delta.text for chunk in chunks for delta in stream.feed(chunk))
    events: list[TurnEvent] = [*stream.end()]
    end = events[-1]
    if not isinstance(end, TurnEnd):
        raise AdapterError("the engine's answer has no end")
    if turn.tools:
        events = [*opened_events(turn, text, end)]
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        end = cast("TurnEnd", events[-1])
    calls = [event.call for event in events if isinstance(event, CallProposed)]
    return Reply(
        text=text,
        calls=tuple(SaidCall(name=call.name, raw=call.raw) for call in calls),
        finish=_FINISHES.get(end.stop, "content_filter"),
        input_tokens=end.usage.input_tokens,
        output_tokens=end.usage.output_tokens,
    )


def _message(value: JsonObject) -> Message:
    calls: list[ToolCall] = []
    for call in cast("list[JsonObject]", value.get("tool_calls", [])):
        function = cast("JsonObject", call["function"])
        raw = str(function["arguments"])
        calls.append(
            ToolCall(id=str(call["id"]), name=str(function["name"]), arguments=strict_arguments(raw), raw=raw)
        )
    return Message(
        role=cast("Role", value["role"]),
        text=str(value["content"]),
        tool_calls=tuple(calls),
        tool_call_id=str(value.get("tool_call_id", "")),
    )


def _offer(tool: JsonObject) -> ToolOffer:
    function = cast("JsonObject", tool["function"])
    parameters = function.get("parameters")
    return ToolOffer(
        name=str(function["name"]),
        description=str(function.get("description", "")),
        parameters=parameters if isinstance(parameters, dict) else {"type": "object", "properties": {}},
    )
