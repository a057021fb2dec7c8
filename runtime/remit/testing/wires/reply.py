"""What a loopback server is told to say, in words that belong to no vendor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

Finish = Literal["stop", "tool_calls", "length", "content_filter"]
UseName = Literal["web_search", "code_interpreter", "file_search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidCall:
    """A tool call that the server proposes, with its argument text as it is sent.

    Args:
        name: the tool's name.
        raw: argument text. Wires that carry text carry it exactly, piece by piece; a wire that carries
            objects (Gemini, and Messages without a stream) says in its module what it does with other text.
    """

    name: str
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidUse:
    """One use of a tool that runs at the vendor's, as the vendor reports it.

    Args:
        name: which tool.
        detail: what is reported; every member is optional.
            `status`: `completed` (default) or `failed`.
            web_search: `queries` (texts), `sources` (objects with `url` and `title`).
            code_interpreter: `code`, `logs` (texts).
            file_search: `queries` (texts), `results` (objects with `file_id`, `filename`, `text`, `score`).
    """

    name: UseName
    detail: JsonObject = field(default_factory=dict[str, "JsonValue"])

    @property
    def failed(self) -> bool:
        """Whether the use is reported as failed."""
        return self.detail.get("status") == "failed"

    def text(self, member: str) -> str:
        """Return a text of `detail`, empty where there is none."""
        value = self.detail.get(member)
        return value if isinstance(value, str) else ""

    def texts(self, member: str) -> list[str]:
        """Return the texts of an array of `detail`."""
        value = self.detail.get(member)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def objects(self, member: str) -> list[JsonObject]:
        """Return the objects of an array of `detail`."""
        value = self.detail.get(member)
        return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One written answer; the table in `remit.testing.wires` says what each wire makes of it.

    Args:
        text: streamed in a few pieces, after reasoning and uses.
        calls: streamed in pieces, each under its own index.
        finish: finish reason in the words of Chat Completions; any text, to try reasons that nobody knows.
        status: HTTP status; other than 200 the body is an error with `text` as message.
        location: for a redirecting status: where to.
        broken: the connection is cut after text and calls, before the finish reason; a body without a stream
            is cut in its middle.
        hang_s: seconds of silence after the headers and before anything else.
        input_tokens: reported usage.
        output_tokens: reported usage.
        raw_body: sent instead of all the above as the body of the answer, to try what is none.
        reasoning: opaque text that the client is to give back, sent before everything else.
        used: the vendor's own tools that were used, sent before the text.
    """

    text: str = ""
    calls: tuple[SaidCall, ...] = ()
    finish: str = "stop"
    status: int = 200
    location: str = ""
    broken: bool = False
    hang_s: float = 0.0
    input_tokens: int = 11
    output_tokens: int = 7
    raw_body: bytes = b""
    reasoning: str = ""
    used: tuple[SaidUse, ...] = ()
