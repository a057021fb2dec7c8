"""Asking the model: what it is told, and who answers, a list of written replies or a model.

Replies answer model turns, not requests: the n-th turn of the server gets the n-th reply, the last for ever.
A turn belongs to its request (a run is created, tool outputs are submitted), so that a reply with an HTTP
status answers that request.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.assistants.store import StoredRun
    from remit.testing.loopback import Reply

_SILENCE_STEP_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """What a model is asked in one turn of a run.

    Args:
        model: the model that the run names.
        instructions: the run's, with what was added to them.
        messages: the thread as chat messages, oldest first, then what this run said, called and was told.
        tools: the run's tools as the API words them; none where the run's `tool_choice` is `none`.
        max_output_tokens: what is left of the run's `max_completion_tokens`; None where it has none.
        temperature: sampling temperature.
        stopped: whether nobody wants the answer any more (cancelled, expired, deleted, closing).
    """

    model: str
    instructions: str
    messages: tuple[JsonObject, ...]
    tools: tuple[JsonObject, ...]
    max_output_tokens: int | None
    temperature: float
    stopped: Callable[[], bool]


class ModelTurn(Protocol):
    """A model behind the server. What it raises becomes the run's `last_error`."""

    def __call__(self, request: TurnRequest) -> Reply:
        """Answer; the reply's text, calls, finish and tokens count, in the same words as a written one."""
        ...


class TurnSource:
    """Where answers come from.

    Args:
        replies: written answers.
        model: answers where there are no replies.

    Raises:
        ValueError: there is neither, or both.
    """

    def __init__(self, replies: Sequence[Reply], model: ModelTurn | None) -> None:
        if bool(replies) == (model is not None):
            raise ValueError("a server needs either replies or a model")
        self._replies = tuple(replies)
        self._model = model
        self._turns = 0
        self._lock = threading.Lock()

    def claim(self) -> Reply | None:
        """Return the reply of the next turn, or None where the model is to be asked."""
        if not self._replies:
            return None
        with self._lock:
            number = min(self._turns, len(self._replies) - 1)
            self._turns += 1
        return self._replies[number]

    def answer(self, claimed: Reply | None, request: TurnRequest) -> Reply:
        """Return the answer of a turn, after its silence."""
        if claimed is None:
            assert self._model is not None
            return self._model(request)
        until = time.monotonic() + claimed.hang_s
        while time.monotonic() < until and not request.stopped():
            time.sleep(_SILENCE_STEP_S)
        return claimed


def turn_request(run: StoredRun, *, stopped: Callable[[], bool]) -> TurnRequest:
    """Return what the model is asked next in `run`."""
    most = run.value["max_completion_tokens"]
    temperature = run.value["temperature"]
    offered = () if run.value["tool_choice"] == "none" else cast("list[JsonObject]", run.value["tools"])
    return TurnRequest(
        model=str(run.value["model"]),
        instructions=str(run.value["instructions"]),
        messages=(*_thread_messages(run), *_run_messages(run)),
        tools=tuple(offered),
        max_output_tokens=max(1, most - run.output_tokens) if isinstance(most, int) else None,
        temperature=float(temperature) if isinstance(temperature, int | float) else 1.0,
        stopped=stopped,
    )


def message_text(message: JsonObject) -> str:
    """Return the words of a message; images are left out."""
    parts = cast("list[dict[str, JsonValue]]", message["content"])
    texts = (cast("JsonObject", part["text"])["value"] for part in parts if part["type"] == "text")
    return "\n".join(str(text) for text in texts)


def _thread_messages(run: StoredRun) -> list[JsonObject]:
    messages: list[JsonObject] = [
        {"role": message["role"], "content": message_text(message)}
        for message in run.thread.messages.values()
        if message["run_id"] != run.value["id"]
    ]
    strategy = run.value["truncation_strategy"]
    last = strategy.get("last_messages") if isinstance(strategy, dict) else None
    return messages[-last:] if isinstance(last, int) else messages


def _run_messages(run: StoredRun) -> list[JsonObject]:
    """Return what happened in the run so far; words and calls of one turn are one message."""
    told: list[JsonObject] = []
    for step in run.steps.values():
        details = cast("JsonObject", step["step_details"])
        if details["type"] == "message_creation":
            created = cast("JsonObject", details["message_creation"])
            message = run.thread.messages.get(str(created["message_id"]))
            told.append({"role": "assistant", "content": message_text(message) if message else ""})
            continue
        calls = [
            call for call in cast("list[JsonObject]", details["tool_calls"]) if call["type"] == "function"
        ]
        if calls:
            _add_calls(told, calls)
    return told


def _add_calls(told: list[JsonObject], calls: list[JsonObject]) -> None:
    functions = [cast("JsonObject", call["function"]) for call in calls]
    proposed: list[JsonValue] = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": function["name"], "arguments": function["arguments"]},
        }
        for call, function in zip(calls, functions, strict=True)
    ]
    if not (told and told[-1]["role"] == "assistant" and "tool_calls" not in told[-1]):
        told.append({"role": "assistant", "content": ""})
    told[-1]["tool_calls"] = proposed
    told.extend(
        {"role": "tool", "tool_call_id": call["id"], "content": function["output"] or ""}
        for call, function in zip(calls, functions, strict=True)
    )
