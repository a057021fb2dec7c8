"""Gemini generateContent: whole responses, one for each piece.

With `alt=sse` a stream is server-sent events, without it one JSON array.
The last response has the finish reason.
Left out: argument text, since this wire carries objects.
A call whose `raw` is no strict JSON object is not sent.
An answer that would have ended well then ends with `MALFORMED_FUNCTION_CALL` and says the text in
`finishMessage`, as the service does when its model writes such a call.
`reasoning` is sent in Base64 as `thoughtSignature`: on the first call, else on an empty last part.
Thoughts in words are sent where `thinkingConfig.includeThoughts` asks for them.
Uses of `code_interpreter` are parts; the others are grounding metadata of the last response.

Sources: Gemini API reference, models.generateContent; guides on thought signatures, code execution and
grounding.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.json_text import parse_json
from remit.errors import DocumentError
from remit.testing.wires.answer import MODEL, Asked, Event, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wires.reply import Reply, SaidUse

THOUGHT = "weighing the request"
"""What a thought in words says; no text of the answer."""
MALFORMED = "MALFORMED_FUNCTION_CALL"
_FINISHES = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiWire:
    """See the module's docstring."""

    @property
    def silence(self) -> bytes:
        """What keeps a silent stream open: an empty line, as the vendor's client reads comments as data."""
        return b"\n"

    def streams(self, asked: Asked) -> bool:
        """Whether the request asks for server-sent events."""
        return _many(asked) and asked.query.get("alt") == "sse"

    def answer(self, reply: Reply, asked: Asked) -> GeminiAnswer:
        """Return `reply` as this wire says it to `asked`."""
        thinking = asked.object("generationConfig").get("thinkingConfig")
        thoughts = isinstance(thinking, dict) and thinking.get("includeThoughts") is True
        return GeminiAnswer(reply=reply, thoughts=thoughts, many=_many(asked))

    def error(self, status: int, message: str) -> JsonObject:
        """Return the error envelope for an HTTP status."""
        return {
            "error": {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")},
        }


def _many(asked: Asked) -> bool:
    return asked.path.endswith(":streamGenerateContent")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeminiAnswer:
    """One answer.

    Args:
        reply: what is said.
        thoughts: whether thoughts in words were asked for.
        many: whether the body is an array of responses.
    """

    reply: Reply
    thoughts: bool
    many: bool

    def said(self) -> Iterator[Event]:
        """Yield everything before the finish reason."""
        for part in self._parts():
            yield Event(data=self._response({"content": _content([part]), "index": 0}))

    def ended(self) -> Iterator[Event]:
        """Yield the finish reason, the usage, and what marks the end."""
        yield Event(data=self._response(self._last(self._last_parts())))

    def body(self) -> JsonValue:
        """Return the whole answer as one JSON value."""
        if self.many:
            return [event.data for event in (*self.said(), *self.ended())]
        parts: list[JsonValue] = []
        text = ""
        for part in self._parts():
            if "text" in part and "thought" not in part:
                text += str(part["text"])
                continue
            if text:
                parts.append({"text": text})
                text = ""
            parts.append(part)
        if text:
            parts.append({"text": text})
        return self._response(self._last([*parts, *self._last_parts()]))

    def _response(self, candidate: JsonObject) -> JsonObject:
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": self.reply.input_tokens,
                "candidatesTokenCount": self.reply.output_tokens,
                "totalTokenCount": self.reply.input_tokens + self.reply.output_tokens,
            },
            "modelVersion": MODEL,
            "responseId": "response-1",
        }

    def _last(self, parts: list[JsonValue]) -> JsonObject:
        finish = _FINISHES.get(self.reply.finish, self.reply.finish)
        candidate: JsonObject = {"content": _content(parts), "index": 0, "finishReason": finish}
        malformed = [call for call in self.reply.calls if strict_object(call.raw) is None]
        if malformed and finish == "STOP":
            candidate["finishReason"] = MALFORMED
            said = "; ".join(f"{call.name}({call.raw})" for call in malformed)
            candidate["finishMessage"] = f"Malformed function call: {said}"
        grounding = _grounding(self.reply.used)
        if grounding:
            candidate["groundingMetadata"] = grounding
        return candidate

    def _parts(self) -> Iterator[JsonObject]:
        if self.thoughts and self.reply.reasoning:
            yield {"text": THOUGHT, "thought": True}
        for use in self.reply.used:
            if use.name == "code_interpreter":
                yield {"executableCode": {"language": "PYTHON", "code": use.text("code")}}
                outcome = "OUTCOME_FAILED" if use.failed else "OUTCOME_OK"
                yield {"codeExecutionResult": {"outcome": outcome, "output": use.text("logs")}}
        for piece in pieces(self.reply.text):
            yield {"text": piece}
        signature = self._signature()
        for index, call in enumerate(self.reply.calls):
            args = strict_object(call.raw)
            if args is not None:
                yield {
                    "functionCall": {"id": f"call_{index}", "name": call.name, "args": args},
                    **signature,
                }
                signature = {}

    def _last_parts(self) -> list[JsonValue]:
        signed_call = any(strict_object(call.raw) is not None for call in self.reply.calls)
        return [{"text": "", **({} if signed_call else self._signature())}]

    def _signature(self) -> JsonObject:
        if not self.reply.reasoning:
            return {}
        return {"thoughtSignature": base64.b64encode(self.reply.reasoning.encode()).decode()}


def strict_object(raw: str) -> JsonObject | None:
    """Return the strict JSON object that `raw` is, or None."""
    try:
        value = parse_json(raw.encode(errors="surrogatepass")).value
    except DocumentError:
        return None
    return value if isinstance(value, dict) else None


def _content(parts: list[JsonValue]) -> JsonObject:
    return {"role": "model", "parts": parts}


def _grounding(used: tuple[SaidUse, ...]) -> JsonObject:
    queries: list[JsonValue] = []
    chunks: list[JsonValue] = []
    for use in used:
        if use.name == "web_search":
            queries.extend(use.texts("queries"))
            chunks.extend(
                {"web": {"uri": source.get("url", ""), "title": source.get("title", "")}}
                for source in use.objects("sources")
            )
        elif use.name == "file_search":
            chunks.extend(
                {"retrievedContext": {"title": found.get("filename", ""), "text": found.get("text", "")}}
                for found in use.objects("results")
            )
    if not any(use.name != "code_interpreter" for use in used):
        return {}
    metadata: JsonObject = {"groundingChunks": chunks}
    if queries:
        metadata["webSearchQueries"] = queries
        metadata["searchEntryPoint"] = {"renderedContent": "<div>searches</div>"}
    return metadata
