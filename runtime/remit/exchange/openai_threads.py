"""The threads of an Assistants API export: their messages become entries of one memory block."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.foreign import ForeignEntry
from remit.exchange.names import fit_key
from remit.exchange.openai_files import MESSAGE
from remit.exchange.openai_pages import elements
from remit.exchange.remnants import Remnants, lose_together

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.exchange.members import Findings, ForeignObject
    from remit.exchange.openai_files import VendorFiles

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
_MESSAGE = ("id", "object", "thread_id", "created_at", "role", "content", "attachments", "file_ids")
_LAST_SECOND = 253402300799
"""31 December 9999, the last day that a time of the document format can name."""


class Messages:
    """The messages of all threads, as they become memory entries.

    Args:
        files: the vendor's files, which messages may use.
        findings: where faults and remarks go.
        pointer: the place that stands for all messages.
    """

    def __init__(self, files: VendorFiles, findings: Findings, pointer: str) -> None:
        self._files = files
        self._findings = findings
        self._remnants = Remnants(findings, pointer, "messages")
        self._attachments = Remnants(findings, pointer, "attachments")
        self._parts = Remnants(findings, pointer, "parts of messages")
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
            self._attachments.add(item, ("file_id",))
        # The first version of the service had ids where the second has attachments.
        attachments.extend(self._file(name) for _, name in message.texts("file_ids"))
        if attachments:
            value["attachments"] = list(attachments)
        used = dict.fromkeys(str(item["file_id"]) for item in attachments if "file_id" in item)
        for name in used:
            self._files.use("file", name, message.pointer, MESSAGE)
        return value

    def _content(self, message: ForeignObject) -> tuple[str, list[JsonObject]]:
        if isinstance(message.value.get("content"), str):
            return message.text("content"), []
        texts: list[str] = []
        attachments: list[JsonObject] = []
        for part in message.objects("content"):
            kind = part.text("type", required=True)
            if kind == "text":
                texts.append(self._text(part))
            elif kind == "refusal":
                texts.append(part.text("refusal"))
            elif kind == "image_file":
                attachments.append(self._file(self._picture(part, kind, "file_id")))
            elif kind == "image_url":
                attachments.append({"url": self._picture(part, kind, "url")})
            elif kind:
                self._lost.add(f"content of type `{printable(kind)}`")
                continue
            self._parts.add(part, ("type", kind))
        return "\n".join(texts), attachments

    def _picture(self, part: ForeignObject, kind: str, member: str) -> str:
        image = part.object(kind)
        if image is None:
            return ""
        self._parts.add(image, (member,))
        return image.text(member)

    def _text(self, part: ForeignObject) -> str:
        if isinstance(part.value.get("text"), str):
            return part.text("text")
        text = part.object("text")
        if text is None:
            return ""
        if text.items("annotations"):
            self._lost.add("annotations, which point into files at the vendor")
        self._parts.add(text, ("value", "annotations"))
        return text.text("value")

    def _file(self, name: str) -> JsonObject:
        filename = self._files.label(name)
        return {"file_id": name, **({"filename": filename} if filename else {})}

    def close(self) -> None:
        """Remark on what was not read of the messages."""
        for what in sorted(self._lost):
            self._findings.lost(self._pointer, f"the messages had {what}")
        for remnants in (self._remnants, self._attachments, self._parts):
            remnants.close()


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
