"""Messages of a Letta agent as memory entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import parse_json, printable
from remit.document.values import canonical_bytes
from remit.errors import DocumentError
from remit.exchange.letta_tools import SPEAK
from remit.exchange.remnants import Remnants

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.members import Findings, ForeignObject

_TEXT: JsonObject = {"type": "string"}
THREAD_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "role": _TEXT,
        "text": _TEXT,
        "thoughts": _TEXT,
        "at": _TEXT,
        "name": _TEXT,
        "calls": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": _TEXT, "name": _TEXT, "arguments": _TEXT},
                "required": ["name", "arguments"],
            },
        },
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "call": _TEXT,
                    "status": _TEXT,
                    "text": _TEXT,
                    "reason": _TEXT,
                    "approved": {"type": "boolean"},
                },
            },
        },
        "approved": {"type": "boolean"},
        "reason": _TEXT,
    },
    "required": ["role", "text"],
}
"""Schema of an entry of the block `thread`."""

_COMPILED = ("<memory_metadata>", "<memory_blocks>", "### Memory [")
_READ = (
    "type",
    "role",
    "content",
    "text",
    "name",
    "created_at",
    "date",
    "tool_calls",
    "tool_call_id",
    "tool_returns",
    "approvals",
    "approve",
    "denial_reason",
)
_PACKED = "user_message"


class MessageReader:
    """Reads messages of one agent.

    Args:
        findings: the agent's.
        place: where the messages stand.
        speaks_by_tool: whether the agent answered by calling `send_message`: then its text was its thoughts.
        system: the agent's instructions, from which compiled system messages are known.
    """

    def __init__(self, findings: Findings, place: str, *, speaks_by_tool: bool, system: str) -> None:
        self._findings = findings
        self._place = place
        self._speaks_by_tool = speaks_by_tool
        self._system = system.strip()
        self._rest = Remnants(findings, place, "messages")
        self._compiled = 0
        self._dropped: dict[str, int] = {}

    def read(self, message: ForeignObject) -> JsonObject | None:
        """Return a message as a value of the thread; None for a compiled system message."""
        role = message.text("role") or message.text("message_type") or "unknown"
        text, thoughts = self._content(message)
        self._rest.add(message, _READ)
        if role == "system" and self._is_compiled(text):
            self._compiled += 1
            return None
        if role == "user":
            text = _unpacked(text)
        calls, said = self._calls(message)
        if role == "assistant" and self._speaks_by_tool:
            thoughts = "\n".join(part for part in (thoughts, text) if part)
            text = ""
        value: JsonObject = {"role": role, "text": "\n".join(part for part in (text, *said) if part)}
        optional: dict[str, JsonValue] = {
            "thoughts": thoughts,
            "at": message.text("created_at") or message.text("date"),
            "name": message.text("name"),
            "calls": calls,
            "results": self._results(message, text),
            "reason": message.text("denial_reason"),
        }
        value |= {name: member for name, member in optional.items() if member}
        approved = message.boolean("approve")
        if approved is not None:
            value["approved"] = approved
        return value

    def close(self) -> None:
        """Remark on what was left out of the messages."""
        self._rest.close("ids and model names of Letta's own")
        if self._compiled:
            self._findings.lost(
                self._place,
                f"compiled system messages: {self._compiled}, made of the instructions and memory",
            )
        if self._dropped:
            kinds = ", ".join(f"{count} of type `{printable(kind)}`" for kind, count in self._dropped.items())
            self._findings.lost(self._place, f"parts of messages that are no text are lost: {kinds}")

    def _is_compiled(self, text: str) -> bool:
        return bool(self._system and text.lstrip().startswith(self._system)) or any(
            mark in text for mark in _COMPILED
        )

    def _content(self, message: ForeignObject) -> tuple[str, str]:
        """Return the text and the readable reasoning of a message."""
        content = message.any("content")
        if content is None or isinstance(content, str):
            return content or message.text("text"), ""
        return self._parts(message, "content")

    def _parts(self, owner: ForeignObject, member: str) -> tuple[str, str]:
        texts: list[str] = []
        thoughts: list[str] = []
        for part in owner.objects(member):
            kind = part.text("type")
            if kind == "text":
                texts.append(part.text("text"))
            elif kind == "reasoning":
                thoughts.append(part.text("reasoning"))
            else:
                self._dropped[kind] = self._dropped.get(kind, 0) + 1
            if part.text("signature"):
                self._dropped["signature"] = self._dropped.get("signature", 0) + 1
        return "\n".join(texts), "\n".join(thoughts)

    def _calls(self, message: ForeignObject) -> tuple[list[JsonValue], list[str]]:
        """Return the calls of a message, and what it said by calling `send_message`."""
        calls: list[JsonValue] = []
        said: list[str] = []
        for call in message.objects("tool_calls"):
            function = call.object("function") or call
            name, arguments = function.text("name"), function.any("arguments")
            written = arguments if isinstance(arguments, str) else canonical_bytes(arguments or {}).decode()
            spoken = _argument(written, "message") if name == SPEAK else ""
            if spoken:
                said.append(spoken)
                continue
            value: JsonObject = {"name": name, "arguments": written}
            if call.text("id"):
                value["id"] = call.text("id")
            calls.append(value)
        return calls, said

    def _results(self, message: ForeignObject, text: str) -> list[JsonValue]:
        """Return what came back for calls, without repeating the message's text."""
        found: list[JsonValue] = []
        for result in (*message.objects("tool_returns"), *message.objects("approvals")):
            shown = self._returned(result)
            value: JsonObject = {}
            for name, held in (
                ("call", result.text("tool_call_id")),
                ("status", result.text("status")),
                ("text", "" if shown == text else shown),
                ("reason", result.text("reason")),
            ):
                if held:
                    value[name] = held
            approved = result.boolean("approve")
            if approved is not None:
                value["approved"] = approved
            if value:
                found.append(value)
        if not found and message.text("tool_call_id"):
            found.append({"call": message.text("tool_call_id")})
        return found

    def _returned(self, result: ForeignObject) -> str:
        """Return the text that a tool gave back, which is a text or parts like those of a message."""
        written = result.any("func_response")
        if not isinstance(written, list):
            return result.text("func_response")
        return self._parts(result, "func_response")[0]


def _argument(written: str, name: str) -> str:
    """Return a text argument of a call; empty where there is none."""
    try:
        value = parse_json(written.encode()).value
    except DocumentError:
        return ""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _unpacked(text: str) -> str:
    """Return what a person wrote from within the envelope in which older agents were given it."""
    if not text.startswith("{") or _PACKED not in text:
        return text
    try:
        value = parse_json(text.encode()).value
    except DocumentError:
        return text
    if isinstance(value, dict) and value.get("type") == _PACKED and isinstance(value.get("message"), str):
        return str(value["message"])
    return text
