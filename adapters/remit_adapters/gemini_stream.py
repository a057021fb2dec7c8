"""The generateContent wire, inwards: a stream of responses as turn events.

Rules
1. Only `functionCall` parts become proposed calls; text is text, and thoughts are not text of the answer.
2. An answer with a signature, or with parts that are neither text nor calls, is carried whole, and so is
   every one that is to be continued.
3. A stream that ends without a finish reason was cut off: an `AdapterError`, not an answer.
4. Finish reasons that are not known here, and blocked prompts, are `refused`.

Sources: Gemini API reference, generateContent; guides on thinking, thought signatures and grounding.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit.messages import CallProposed, StopReason, TextDelta, TokenUsage, TurnEnd
from remit_adapters.answers import AnswerBudget, SentCall, finished_calls
from remit_adapters.gemini_tools import GeminiUses
from remit_adapters.gemini_wire import wire_name
from remit_adapters.vendor_json import (
    argument_text,
    count_of,
    json_text,
    object_of,
    sent_object,
    shown,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.messages import ToolCall, Turn, TurnEvent
    from remit_adapters.endpoint import Endpoint

_MAX_PARTS = 4096
_STOPS: dict[str, StopReason] = {"STOP": "end", "MAX_TOKENS": "length", "CONTINUATION": "paused"}
_REFUSED, _SERVER_ERROR = 400, 500


class GeminiStream:
    """Turns the responses of one answer into turn events.

    Args:
        turn: what was asked.
        endpoint: words errors.
    """

    def __init__(self, turn: Turn, *, endpoint: Endpoint) -> None:
        self._turn = turn
        self._endpoint = endpoint
        self._budget = AnswerBudget(endpoint.backend)
        self._parts: list[JsonObject] = []
        self._text: list[str] = []
        self._uses = GeminiUses()
        self._finish = ""
        self._blocked = ""
        self._token = ""
        self._facts: dict[str, str] = {}
        self.model = ""
        self.input_tokens = 0
        self.output_tokens = 0

    def feed(self, response: JsonObject) -> Iterator[TextDelta]:
        """Take one response; return the text it holds.

        Raises:
            AdapterError: it is an error, or not a response of this wire.
        """
        self._take(response)
        if "error" in response:
            error = object_of(response["error"])
            code = count_of(error.get("code"))
            words = text_of(error.get("message")) or "no reason given"
            raise self._endpoint.refusal(code if code >= _REFUSED else _SERVER_ERROR, words)
        self.model = text_of(response.get("modelVersion")) or self.model
        self._count(response.get("usageMetadata"))
        if text_of(response.get("responseId")):
            self._facts["response_id"] = shown(text_of(response["responseId"]))
        feedback = object_of(response.get("promptFeedback"))
        self._blocked = text_of(feedback.get("blockReason")) or self._blocked
        candidates = response.get("candidates", [])
        if not isinstance(candidates, list):
            raise self._unreadable("`candidates` is not an array")
        for candidate in candidates:
            if not isinstance(candidate, dict):
                raise self._unreadable("a candidate is not an object")
            if candidate.get("index", 0) == 0:
                yield from self._candidate(candidate)

    def end(self, *, cost_microusd: int, detail: dict[str, str]) -> Iterator[TurnEvent]:
        """Return the proposed calls and the one `TurnEnd`.

        Args:
            cost_microusd: cost of the call.
            detail: facts to record with it.

        Raises:
            AdapterError: the stream ended without a finish reason.
        """
        self._close_text()
        if not self._finish and not self._blocked:
            raise AdapterError(
                f"back-end `{self._endpoint.backend}`: the stream broke off before the answer was finished",
                retryable=True,
            )
        proposing = [object_of(part["functionCall"]) for part in self._parts if "functionCall" in part]
        stop: StopReason = "refused" if self._blocked else _STOPS.get(self._finish, "refused")
        if stop == "end" and proposing:
            stop = "tool_calls"
        if stop == "paused" and not self._token:
            stop = "length"
        calls: list[ToolCall] = []
        if stop != "refused":
            self._budget.calls(len(proposing))
            calls.extend(finished_calls(self._turn, map(_sent, proposing), whole=stop != "length"))
        yield from (CallProposed(call=call) for call in calls)
        facts = {"finish_reason": shown(self._finish or f"blocked: {self._blocked}"), **self._facts}
        yield TurnEnd(
            stop=stop,
            usage=TokenUsage(
                input_tokens=self.input_tokens, output_tokens=self.output_tokens, cost_microusd=cost_microusd
            ),
            model=self.model,
            detail={**facts, **detail},
            used=self._uses.reported(),
            carried=self._carried(stop, calls),
        )

    def _count(self, usage: JsonValue) -> None:
        """Take usage, of which the vendor sends the sum so far."""
        members = object_of(usage)
        if members:
            self.input_tokens = count_of(members.get("promptTokenCount")) + count_of(
                members.get("toolUsePromptTokenCount")
            )
            self.output_tokens = count_of(members.get("candidatesTokenCount")) + count_of(
                members.get("thoughtsTokenCount")
            )

    def _candidate(self, candidate: JsonObject) -> Iterator[TextDelta]:
        self._finish = text_of(candidate.get("finishReason")) or self._finish
        self._token = text_of(candidate.get("continuationToken")) or self._token
        if text_of(candidate.get("finishMessage")):
            self._facts["finish_message"] = shown(text_of(candidate["finishMessage"]))
        grounding = candidate.get("groundingMetadata")
        if isinstance(grounding, dict):
            self._uses.grounding(grounding)
        content = candidate.get("content")
        if content is None:
            return
        parts = content.get("parts", []) if isinstance(content, dict) else None
        if not isinstance(parts, list):
            raise self._unreadable("`content` has no array of `parts`")
        for part in parts:
            if not isinstance(part, dict):
                raise self._unreadable("a part is not an object")
            yield from self._part(part)

    def _part(self, part: JsonObject) -> Iterator[TextDelta]:
        if not part.get("thought"):
            part = {member: value for member, value in part.items() if member != "thought"}
        text = part.get("text")
        if _is_plain_text(part):
            if isinstance(text, str) and text:
                self._text.append(text)
                yield TextDelta(text=text)
            return
        self._close_text()
        if len(self._parts) >= _MAX_PARTS:
            raise self._unreadable("too many parts")
        if "functionCall" in part:
            call = part["functionCall"]
            if not isinstance(call, dict) or not isinstance(call.get("args", {}), dict):
                raise self._unreadable("`functionCall` is not an object with an object of `args`")
        self._parts.append(part)
        self._uses.part(part)
        if isinstance(text, str) and text and "thought" not in part:
            yield TextDelta(text=text)

    def _take(self, response: JsonObject) -> None:
        """Count a response, and see that what it says can be written down: the package reads JSON loosely."""
        try:
            text = json.dumps(response, ensure_ascii=False)
            text.encode("utf-8")
        except (ValueError, RecursionError) as error:
            raise self._unreadable(
                "a response has text that is no Unicode, or is nested too deeply"
            ) from error
        self._budget.take(text)

    def _close_text(self) -> None:
        """Make one part of the pieces of plain text so far; signed parts must stay apart from others."""
        if self._text:
            self._parts.append({"text": "".join(self._text)})
            self._text = []

    def _carried(self, stop: StopReason, calls: list[ToolCall]) -> str:
        """Return the content as text (rule 2), under the ids that our thread knows the calls by."""
        if stop == "refused" or (stop != "paused" and all(_is_plain(part) for part in self._parts)):
            return ""
        proposed = iter(calls)
        parts: list[JsonValue] = []
        for part in self._parts:
            if "functionCall" in part:
                call = next(proposed)
                given: JsonObject = {
                    "id": call.id,
                    "name": wire_name(call.name),
                    "args": sent_object(call.raw, call.arguments),
                }
                parts.append({**part, "functionCall": given})
            else:
                parts.append(part)
        carried: JsonObject = {"content": {"role": "model", "parts": parts}}
        if stop == "paused":
            carried["continuationToken"] = self._token
        try:
            return json_text(carried)
        except ValueError as error:
            raise self._unreadable(f"it cannot be kept for going back: {error}") from error

    def _unreadable(self, reason: str) -> AdapterError:
        return AdapterError(
            f"back-end `{self._endpoint.backend}` sent something that is not a stream of responses: {reason}"
        )


def _sent(call: JsonObject) -> SentCall:
    return SentCall(
        id=text_of(call.get("id")),
        name=text_of(call.get("name")),
        raw=argument_text(object_of(call.get("args"))),
    )


def _is_plain_text(part: JsonObject) -> bool:
    return set(part) <= {"text"}


def _is_plain(part: JsonObject) -> bool:
    return _is_plain_text(part) or set(part) == {"functionCall"}
