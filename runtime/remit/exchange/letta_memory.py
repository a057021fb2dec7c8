"""Memory of a Letta agent: core memory blocks, archival passages, files, skills and messages.

Rules
1. Text is carried as it is; every block is `unreviewed` until a person has looked at it.
2. A block that the agent could only read gets a forbid on its writing, in force.
3. Messages become entries of one block, in the file's order; the compiled system message is lost, because
   instructions and memory, of which it was made, are carried themselves.
4. What a model thought is kept apart from what it said; signatures and encrypted reasoning are lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.endpoints import without_secrets
from remit.exchange.foreign import ForeignBlock, ForeignEntry, ForeignRule
from remit.exchange.letta_messages import THREAD_SCHEMA, MessageReader
from remit.exchange.members import ForeignObject
from remit.exchange.names import fit_key, fit_name
from remit.exchange.remnants import Remnants, listed

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.exchange.letta_parts import Part
    from remit.exchange.members import Findings

_TEXT: JsonObject = {"type": "string"}
_FILE: JsonObject = {
    "type": "object",
    "properties": {"name": _TEXT, "media_type": _TEXT, "text": _TEXT},
    "required": ["name", "text"],
}
_SKILL_FILE: JsonObject = {
    "type": "object",
    "properties": {"skill": _TEXT, "path": _TEXT, "text": _TEXT},
    "required": ["skill", "path", "text"],
}
_BLOCK_READ = ("id", "label", "name", "value", "description", "limit", "read_only")
_FILE_READ = ("id", "source_id", "file_name", "original_file_name", "file_type", "content")


class MemoryReader:
    """Reads the memory of one agent.

    Args:
        findings: the agent's.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._blocks: dict[str, ForeignBlock] = {}
        self._rules: list[ForeignRule] = []

    @property
    def blocks(self) -> tuple[ForeignBlock, ...]:
        """Every block read so far."""
        return tuple(self._blocks.values())

    @property
    def rules(self) -> tuple[ForeignRule, ...]:
        """Forbids for blocks that could only be read."""
        return tuple(self._rules)

    def blocks_from(self, parts: list[Part], place: str) -> None:
        """Read core memory: one block of text each.

        Args:
            parts: the blocks.
            place: where they are listed, for remarks about all of them.
        """
        rest = Remnants(self._findings, place, "memory blocks")
        for part in parts:
            block = ForeignObject(part.value, part.pointer, self._findings)
            if block.is_object:
                self._block(block, part.name)
                rest.add(block, _BLOCK_READ)
        rest.close("ids, templates and marks of Letta's own")
        if self._blocks:
            self._findings.carried(place, f"memory blocks {listed(self._blocks)} are carried, unreviewed")

    def _block(self, block: ForeignObject, beside: str) -> None:
        label = block.text("label") or block.text("name") or beside
        value, limit = block.text("value"), block.number("limit")
        name = fit_name(label, self._blocks, default="block")
        if label and name != label:
            self._findings.carried(block.pointer, f"block `{printable(label)}` is called `{name}` here")
        schema = dict(_TEXT)
        if isinstance(limit, int) and limit > 0 and len(value) <= limit:
            schema["maxLength"] = limit
        elif limit is not None:
            self._findings.lost(
                block.at("limit"), f"the limit {limit} of `{name}` does not fit what it holds"
            )
        if block.boolean("read_only"):
            self._rules.append(_read_only(name))
            self._findings.carried(
                block.at("read_only"), f"the agent may not write `{name}`: a forbid, in force"
            )
        self._blocks[name] = ForeignBlock(
            name=name,
            description=block.text("description"),
            schema=schema,
            entries=(ForeignEntry(key="value", value=value),) if value else (),
        )

    def passages_from(self, parts: list[Part]) -> None:
        """Read archival memory, where a file has some."""
        entries: list[ForeignEntry] = []
        for part in parts:
            text = part.value
            if not isinstance(text, str):
                text = ForeignObject(part.value, part.pointer, self._findings).text("text")
            if text:
                entries.append(ForeignEntry(key=_numbered(len(entries)), value=text))
        self._add("archival", "Passages of the agent's archival memory.", _TEXT, entries, parts)

    def files_from(self, parts: list[Part]) -> None:
        """Read files whose text is in the file."""
        entries: list[ForeignEntry] = []
        keys: set[str] = set()
        rest = Remnants(self._findings, "/files", "files")
        for part in parts:
            file = ForeignObject(part.value, part.pointer, self._findings)
            name = file.text("file_name") or file.text("original_file_name") or file.text("id")
            text, kind = file.text("content"), file.text("file_type")
            rest.add(file, _FILE_READ)
            if not text:
                self._findings.lost(file.pointer, f"the file `{printable(name)}` has no text in the file")
                continue
            value: JsonObject = {"name": name, "text": text}
            if kind:
                value["media_type"] = kind
            key = fit_key(name, keys)
            keys.add(key)
            entries.append(ForeignEntry(key=key, value=value))
        rest.close("sizes, dates and indexing of Letta's own")
        self._add("files", "Files that the agent could read.", _FILE, entries, parts)

    def skills_from(self, parts: list[Part]) -> None:
        """Read skills: folders of text; nothing of them is run or fetched."""
        entries: list[ForeignEntry] = []
        keys: set[str] = set()
        for part in parts:
            skill = ForeignObject(part.value, part.pointer, self._findings)
            name = skill.text("name")
            stands = without_secrets(skill.text("source_url"))
            if stands:
                self._findings.decide(
                    skill.at("source_url"),
                    f"skill `{printable(name)}` stands at `{printable(stands)}`, "
                    "which is not fetched: add it by hand where the agent needs it",
                )
            files = skill.object("files")
            for path in () if files is None else files.value:
                text = "" if files is None else files.text(path)
                key = fit_key(f"{name}/{path}", keys)
                keys.add(key)
                entries.append(ForeignEntry(key=key, value={"skill": name, "path": path, "text": text}))
        self._add("skills", "Skills: instructions and files by name.", _SKILL_FILE, entries, parts)

    def thread_from(self, reader: MessageReader, messages: list[ForeignObject], place: str) -> None:
        """Read the conversation.

        Args:
            reader: turns a message into a value.
            messages: the messages, in the file's order.
            place: where they stand.
        """
        entries: list[ForeignEntry] = []
        for index, message in enumerate(messages):
            value = reader.read(message)
            if value is not None:
                entries.append(ForeignEntry(key=_numbered(index), value=value))
        reader.close()
        if not entries:
            return
        name = fit_name("thread", self._blocks)
        self._blocks[name] = ForeignBlock(
            name=name,
            description="The conversation so far, oldest first.",
            schema=THREAD_SCHEMA,
            entries=tuple(entries),
        )
        self._findings.carried(
            place, f"{len(entries)} messages are carried in the block `{name}`, unreviewed"
        )

    def _add(
        self,
        name: str,
        description: str,
        schema: JsonObject,
        entries: list[ForeignEntry],
        parts: list[Part],
    ) -> None:
        if not entries:
            return
        fitted = fit_name(name, self._blocks)
        self._blocks[fitted] = ForeignBlock(
            name=fitted, description=description, schema=schema, entries=tuple(entries)
        )
        self._findings.carried(
            parts[0].pointer, f"{len(entries)} entries are carried in the block `{fitted}`, unreviewed"
        )


def _numbered(index: int) -> str:
    """Return a key that sorts as the file does."""
    return f"{index:06d}"


def _read_only(name: str) -> ForeignRule:
    value: JsonObject = {
        "id": fit_name(f"imported-read-only-{name}"),
        "effect": "forbid",
        "on": ["remember", "revise", "erase"],
        "when": "principal is Remit::Agent",
        "because": f"the imported file lets the agent only read {name}",
    }
    return ForeignRule(place=f"memory:{name}", value=value, in_force=True)
