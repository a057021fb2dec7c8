"""The Assistants v2 wire: a turn as a thread and a run, a run's events as turn events.

Rules
1. A thread holds user and assistant messages alone: past calls and results are shown in it as text.
2. Only `required_action` of the run proposes calls; text is text.
3. Tokens of a run are reported at its end. Until then they are estimated, four bytes a token, so that budgets
   see them in time; at the end the rest is added.
4. A stream that ends before the run stands was cut off: an `AdapterError`, not an answer.
5. Statuses and reasons that are not known here are `refused`.

Sources: OpenAI API reference, Assistants v2 (runs, run steps, streaming events).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remit.document.values import canonical_bytes
from remit.errors import AdapterError
from remit.messages import (
    BuiltinUse,
    CallProposed,
    StopReason,
    TextDelta,
    TokenUsage,
    TurnEnd,
    turn_value,
)
from remit_adapters.answers import AnswerBudget, SentCall, finished_calls
from remit_adapters.calls import sent_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Message, ToolCall, ToolOffer, Turn, TurnEvent
    from remit_adapters.endpoint import Endpoint

STANDING = ("requires_action", "completed", "incomplete", "failed", "cancelled", "expired")
"""Statuses in which a run waits for nobody but us, or for nothing any more."""
OPEN = ("queued", "in_progress", "requires_action", "cancelling")
_INCOMPLETE: dict[str, StopReason] = {
    "max_completion_tokens": "length",
    "max_prompt_tokens": "length",
    "content_filter": "refused",
}
_OVER = ("rate_limit_exceeded", "server_error")
_BUILT_IN = ("code_interpreter", "file_search")
_BYTES_PER_TOKEN = 4


def thread_messages(messages: Sequence[Message]) -> list[JsonObject]:
    """Return a thread's past as messages of the wire (rule 1), in order."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    shown: list[JsonObject] = []
    for message in messages:
        role = "user" if message.role == "tool" else message.role
        text = message.text
        if message.role == "tool":
            text = f"[result of {names.get(message.tool_call_id, 'a tool')}] {message.text}"
        for call in message.tool_calls:
            line = f"[called {call.name} with {sent_arguments(call.raw, call.arguments)}]"
            text = f"{text}\n{line}" if text else line
        if not text:
            continue  # the wire refuses empty messages
        if shown and message.role == "tool" and shown[-1]["role"] == "user":
            shown[-1]["content"] = f"{shown[-1]['content']}\n{text}"
        else:
            shown.append({"role": role, "content": text})
    return shown


def function_tool(offer: ToolOffer) -> JsonObject:
    """Return a tool that the model may propose."""
    return {
        "type": "function",
        "function": {"name": offer.name, "description": offer.description, "parameters": offer.parameters},
    }


class RunAnswer:
    """One answer of a run: from its start, or from the outputs given to it, to where it stands again.

    Args:
        turn: what was asked.
        backend: the document's name of the back-end, for messages.
        safe: makes a server's words fit for a message, without the key.
    """

    def __init__(self, turn: Turn, *, backend: str, safe: Callable[[str], str] = str) -> None:
        self._safe = safe
        self._turn = turn
        self._backend = backend
        self._budget = AnswerBudget(backend)
        self._used: list[BuiltinUse] = []
        self._bytes = 0
        self.run: JsonObject | None = None
        self.run_id = ""

    @property
    def stands(self) -> bool:
        """Whether the run stands: it is over, or waits for outputs."""
        return self.run is not None and self.run.get("status") in STANDING

    def feed(self, event: JsonObject) -> Iterator[TextDelta]:
        """Take one event `{event, data}`; return the text it holds.

        Raises:
            AdapterError: it is an error, or not an event of this wire.
        """
        name, data = event.get("event"), event.get("data")
        if name is None and "error" in event:
            raise self.failed(event["error"])
        if not isinstance(name, str):
            return  # an event that is none of this wire's, such as a sign of life
        if not isinstance(data, dict):
            raise self._unreadable("an event has no `data`")
        if name == "error":
            raise self.failed(data.get("error", data))
        if name.startswith("thread.run.step."):
            if name == "thread.run.step.completed":
                self.step(data)
        elif name.startswith("thread.run."):
            self.take(data)
        elif name == "thread.message.delta":
            yield from self._delta(data)

    def take(self, run: JsonObject) -> None:
        """Take the run as it is now.

        Raises:
            AdapterError: it is not a run.
        """
        number = run.get("id")
        if not isinstance(number, str) or not isinstance(run.get("status"), str):
            raise self._unreadable("a run has no `id` and `status`")
        self._budget.take(json.dumps(run.get("required_action")))
        self.run, self.run_id = run, number

    def message(self, message: JsonObject) -> Iterator[TextDelta]:
        """Take a whole message of the assistant, where the answer was polled for."""
        yield from self._delta({"delta": {"content": message.get("content")}})

    def step(self, step: JsonObject) -> None:
        """Take a finished step of the run: what it says about the vendor's own tools."""
        details = step.get("step_details")
        calls = details.get("tool_calls") if isinstance(details, dict) else None
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict) and call.get("type") in _BUILT_IN:
                kind = str(call["type"])
                reported = call.get(kind)
                self._budget.take(json.dumps(reported))
                self._used.append(
                    BuiltinUse(name=kind, detail=reported if isinstance(reported, dict) else {})
                )

    def end(self, *, endpoint: Endpoint, counted: TokenUsage, detail: dict[str, str]) -> Iterator[TurnEvent]:
        """Return the proposed calls and the one `TurnEnd`.

        Args:
            endpoint: the prices.
            counted: what earlier answers of the same run were counted for.
            detail: facts to record.

        Raises:
            AdapterError: the run failed, or the stream ended before it stood.
        """
        run = self.run
        if run is None or not self.stands:
            raise AdapterError(
                f"back-end `{self._backend}`: the stream broke off before the run stood still", retryable=True
            )
        stop, reason = self._stop_or_failure(run, endpoint, counted)
        calls: list[ToolCall] = []
        if stop == "tool_calls":
            sent = list(self._sent_calls(run))
            self._budget.calls(len(sent))
            calls = list(finished_calls(self._turn, sent, whole=True))
            # It waits for something that is no call: rule 5.
            stop = stop if calls else "refused"
            for call in calls:
                yield CallProposed(call=call)
        usage, estimated = self._usage(run, calls, counted)
        cost = endpoint.cost_microusd(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        facts = {"run": self.run_id, "status": reason, "usage": "estimated" if estimated else "reported"}
        model = run.get("model")
        yield TurnEnd(
            stop=stop,
            usage=TokenUsage(
                input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cost_microusd=cost
            ),
            model=model if isinstance(model, str) else "",
            detail={**facts, **detail},
            used=tuple(self._used),
        )

    def sent_ids(self) -> tuple[str, ...]:
        """Return the vendor's ids of the calls that the run waits for, in order."""
        return tuple(call.id for call in self._sent_calls(self.run or {}))

    def failed(self, error: JsonValue) -> AdapterError:
        """Return what an error in the vendor's words amounts to."""
        members = error if isinstance(error, dict) else {}
        said, code = members.get("message"), members.get("code")
        words = " ".join(said.split()) if isinstance(said, str) and said else "no reason given"
        return AdapterError(
            f"back-end `{self._backend}` failed: {self._safe(words)}", retryable=code in _OVER
        )

    def _delta(self, data: JsonObject) -> Iterator[TextDelta]:
        delta = data.get("delta")
        parts = delta.get("content") if isinstance(delta, dict) else None
        for part in parts if isinstance(parts, list) else []:
            members = part if isinstance(part, dict) else {}
            held = members.get("text")
            text = held.get("value") if isinstance(held, dict) else None
            refusal = members.get("refusal")
            said = text if isinstance(text, str) else refusal
            if isinstance(said, str) and said:
                self._budget.take(said)
                self._bytes += len(said.encode("utf-8", "replace"))
                yield TextDelta(text=said)

    def _stop_or_failure(
        self, run: JsonObject, endpoint: Endpoint, counted: TokenUsage
    ) -> tuple[StopReason, str]:
        """Return why the answer ended; what a failed run used up goes with its failure."""
        try:
            return self._stop(run)
        except AdapterError as error:
            usage, estimated = self._usage(run, [], counted)
            if not estimated:
                error.tokens = usage.input_tokens + usage.output_tokens
                error.cost_microusd = endpoint.cost_microusd(
                    input_tokens=usage.input_tokens, output_tokens=usage.output_tokens
                )
            raise

    def _stop(self, run: JsonObject) -> tuple[StopReason, str]:
        status = str(run.get("status"))
        if status == "requires_action":
            return "tool_calls", status
        if status == "completed":
            return "end", status
        if status == "incomplete":
            details = run.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else ""
            return _INCOMPLETE.get(str(reason), "refused"), f"incomplete: {reason}"
        if status == "failed":
            raise self.failed(run.get("last_error"))
        if status == "expired":
            raise AdapterError(
                f"back-end `{self._backend}`: the run expired before it was answered", retryable=True
            )
        return ("cancelled" if status == "cancelled" else "refused"), status

    def _sent_calls(self, run: JsonObject) -> Iterator[SentCall]:
        action = run.get("required_action")
        outputs = action.get("submit_tool_outputs") if isinstance(action, dict) else None
        calls = outputs.get("tool_calls") if isinstance(outputs, dict) else None
        for call in calls if isinstance(calls, list) else []:
            members = call if isinstance(call, dict) else {}
            function = members.get("function")
            named = function if isinstance(function, dict) else {}
            number, name, raw = members.get("id"), named.get("name"), named.get("arguments")
            if not (isinstance(number, str) and isinstance(name, str) and isinstance(raw, str)):
                raise self._unreadable("a required call has no `id`, `name` and `arguments`")
            yield SentCall(id=number, name=name, raw=raw)

    def _usage(self, run: JsonObject, calls: list[ToolCall], counted: TokenUsage) -> tuple[TokenUsage, bool]:
        """Return what this answer counts for, and whether it is an estimate (rule 3)."""
        reported = run.get("usage")
        if isinstance(reported, dict):
            given, made = _count(reported.get("prompt_tokens")), _count(reported.get("completion_tokens"))
            rest = TokenUsage(
                input_tokens=max(0, given - counted.input_tokens),
                output_tokens=max(0, made - counted.output_tokens),
            )
            return rest, False
        said = self._bytes + sum(len(call.name) + len(call.raw.encode("utf-8", "replace")) for call in calls)
        given_bytes = len(canonical_bytes(turn_value(self._turn)))
        return (
            TokenUsage(
                input_tokens=-(-given_bytes // _BYTES_PER_TOKEN), output_tokens=-(-said // _BYTES_PER_TOKEN)
            ),
            True,
        )

    def _unreadable(self, reason: str) -> AdapterError:
        return AdapterError(
            f"back-end `{self._backend}` sent something that is not a stream of a run: {reason}"
        )


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
