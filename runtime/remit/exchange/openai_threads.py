"""The threads of an Assistants API export: their messages become entries of one memory block."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.foreign import ForeignEntry
from remit.exchange.names import fit_key
from remit.exchange.remnants import Remnants, lose_together

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.members import Findings, ForeignObject

MESSAGE_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "thread": {"type": "string"},
        "role": {"type": "string"},
        "text": {"type": "string"},
        "at": {"type": "string"},
        "attachments": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["thread", "role", "text"],
    "additionalProperties": False,
}
_MESSAGE = ("id", "object", "thread_id", "created_at", "role", "content", "attachments")
_LAST_SECOND = 253402300799
"""31 December 9999, the last day that a time of the document format can name."""


def read_page(page: ForeignObject) -> None:
    """Make the members of a list page known; more of the list may lie elsewhere."""
    for name in ("object", "first_id", "last_id"):
        page.any(name)
    if page.boolean("has_more"):
        page.findings.lost(page.at("has_more"), "the list goes on in another page, which is not here")


def elements(owner: ForeignObject, name: str) -> list[ForeignObject]:
    """Return the objects of a member that is a list or a list page."""
    if isinstance(owner.value.get(name), dict):
        page = owner.object(name)
        if page is None:
            return []
        read_page(page)
        found = page.objects("data")
        page.close()
        return found
    return owner.objects(name)


class Messages:
    """The messages of all threads, as they become memory entries.

    Args:
        files: names of the vendor's files by id.
        findings: where faults and remarks go.
        pointer: the place that stands for all messages.
    """

    def __init__(self, files: dict[str, str], findings: Findings, pointer: str) -> None:
        self._files = files
        self._findings = findings
        self._remnants = Remnants(findings, pointer, "messages")
        self._pointer = pointer
        self._keys: set[str] = set()
        self._lost: set[str] = set()
        self.entries: list[ForeignEntry] = []

    def add(self, messages: list[ForeignObject], thread: str) -> None:
        """Add the messages of one list, oldest first."""
        for index, message in enumerate(_oldest_first(messages)):
            name = message.text("thread_id") or thread or "thread"
            key = fit_key(f"{name}/{message.text('id') or index}")
            if key in self._keys:
                key = fit_key(f"{name}/{len(self.entries)}", self._keys)
            self._keys.add(key)
            self.entries.append(ForeignEntry(key=key, value=self._value(message, name)))
            self._remnants.add(message, _MESSAGE)

    def _value(self, message: ForeignObject, thread: str) -> JsonObject:
        text, attachments = self._content(message)
        value: JsonObject = {"thread": thread, "role": message.text("role", required=True), "text": text}
        seconds = message.number("created_at")
        if seconds is not None and 0 <= seconds <= _LAST_SECOND:
            moment = datetime.fromtimestamp(int(seconds), UTC)
            value["at"] = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for item in message.objects("attachments"):
            attachments.append(self._file(item.text("file_id")))
        if attachments:
            value["attachments"] = attachments
        return value

    def _content(self, message: ForeignObject) -> tuple[str, list[JsonValue]]:
        if isinstance(message.value.get("content"), str):
            return message.text("content"), []
        texts: list[str] = []
        attachments: list[JsonValue] = []
        for part in message.objects("content"):
            kind = part.text("type", required=True)
            if kind == "text":
                texts.append(self._text(part))
            elif kind == "refusal":
                texts.append(part.text("refusal"))
            elif kind == "image_file":
                image = part.object("image_file")
                attachments.append(self._file(image.text("file_id") if image is not None else ""))
            elif kind == "image_url":
                image = part.object("image_url")
                attachments.append({"url": image.text("url") if image is not None else ""})
            elif kind:
                self._lost.add(f"content of type `{printable(kind)}`")
        return "\n".join(texts), attachments

    def _text(self, part: ForeignObject) -> str:
        if isinstance(part.value.get("text"), str):
            return part.text("text")
        text = part.object("text")
        if text is None:
            return ""
        if text.items("annotations"):
            self._lost.add("annotations, which point into files at the vendor")
        return text.text("value")

    def _file(self, name: str) -> JsonObject:
        filename = self._files.get(name)
        return {"file_id": name, **({"filename": filename} if filename else {})}

    def close(self) -> None:
        """Remark on what was not read of the messages."""
        for what in sorted(self._lost):
            self._findings.lost(self._pointer, f"the messages had {what}")
        self._remnants.close()


def _oldest_first(messages: list[ForeignObject]) -> list[ForeignObject]:
    """Return messages by time; the service lists the newest first unless it is asked otherwise."""
    times = [message.value.get("created_at") for message in messages]
    known = [time for time in times if isinstance(time, (int, float)) and not isinstance(time, bool)]
    if len(known) != len(times) or not known:
        return messages
    ordered = list(zip(known, messages, strict=True))
    if known[0] > known[-1]:
        ordered.reverse()
    return [message for _, message in sorted(ordered, key=lambda pair: pair[0])]


def read_thread(item: ForeignObject, messages: Messages) -> str:
    """Read one thread, alone or as `{thread, messages}`; return its name."""
    thread = item if isinstance(item.value.get("thread"), str) else item.object("thread") or item
    name = thread.text("thread" if thread is item and item.has("thread") else "id")
    for owner in (item,) if thread is item else (thread, item):
        messages.add(elements(owner, "messages"), name)
        owner.any("object")
        lose_together(
            owner, ("created_at", "metadata", "tool_resources"), "no counterpart, as a thread says them"
        )
        owner.close()
    return name
