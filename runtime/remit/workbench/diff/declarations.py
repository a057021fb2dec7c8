"""What two documents declare besides rules: tools, back-ends, blocks, limits, packs, attributes, schema.

Rules
1. Things with a name are compared by it; an order that says something (back-ends) is a change of its own.
2. A change is told at the member that differs, as a JSON pointer within the thing.
3. Rules of tools and blocks are left to `rules`; memory entries, usage and lineage are no declarations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.values import pointer_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage

_RULES = ("activation", "mutation", "termination", "rules", "dispatch")
_NAMED = ("tools", "backends", "packs")
_PARTS = {
    "tools": "tool",
    "backends": "back-end",
    "packs": "pack",
    "blocks": "memory block",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One declaration that differs.

    Args:
        part: what it is: tool, back-end, memory block, pack, limits, schema …
        name: of the thing; empty where there is one only.
        pointer: of the member within it; empty for the whole thing.
        old: JSON text of what was; empty if it was not there.
        new: JSON text of what is; empty if it is not there.
    """

    part: str
    name: str
    pointer: str
    old: str
    new: str

    @property
    def kind(self) -> str:
        """Return added, removed or changed."""
        return "added" if not self.old else "removed" if not self.new else "changed"

    def to_json(self) -> JsonObject:
        """Return the change as a JSON object with stable keys."""
        return {
            "part": self.part,
            "name": self.name,
            "pointer": self.pointer,
            "change": self.kind,
            "old": json.loads(self.old) if self.old else None,
            "new": json.loads(self.new) if self.new else None,
        }


def declaration_changes(old: Document, new: Document) -> tuple[Declared, ...]:
    """Compare what two documents declare besides rules."""
    return (
        *_members("governance", old.governance.value, new.governance.value),
        *_members("capabilities", old.capabilities.value, new.capabilities.value),
        *named_changes("memory block", old.memory.value.get("blocks"), new.memory.value.get("blocks")),
    )


def schema_changes(old: PolicyImage, new: PolicyImage) -> tuple[Declared, ...]:
    """Compare the Cedar schemas, member by member."""
    found = differences(old.schema, new.schema, "")
    return tuple(
        Declared(part="schema", name="", pointer=pointer, old=before, new=after)
        for pointer, before, after in found
    )


def _members(field: str, old: JsonObject, new: JsonObject) -> Iterator[Declared]:
    for name in dict.fromkeys((*old, *new)):
        if name in _RULES:
            continue
        if name in _NAMED:
            yield from named_changes(_PARTS[name], old.get(name), new.get(name))
            continue
        for pointer, before, after in differences(old.get(name), new.get(name), ""):
            yield Declared(
                part=name if name != "attributes" else f"{field} attributes",
                name="",
                pointer=pointer,
                old=before,
                new=after,
            )


def named_changes(part: str, old: JsonValue, new: JsonValue) -> Iterator[Declared]:
    """Compare two lists of things with a name; rules among their members are left to `rules`."""
    before, after = _by_name(old), _by_name(new)
    for name in dict.fromkeys((*before, *after)):
        for pointer, one, other in differences(before.get(name), after.get(name), ""):
            yield Declared(part=part, name=name, pointer=pointer, old=one, new=other)
    common = [name for name in before if name in after]
    order = [name for name in after if name in before]
    if part == "back-end" and common != order:
        yield Declared(
            part=part, name="order", pointer="", old=_written(list(before)), new=_written(list(after))
        )


def _by_name(items: JsonValue) -> dict[str, JsonObject]:
    found: dict[str, JsonObject] = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            found[str(item.get("name"))] = {key: value for key, value in item.items() if key != "rules"}
    return found


def differences(old: JsonValue, new: JsonValue, pointer: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield pointer, old and new text of every member that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            if name not in old or name not in new:
                before, after = (_written(side[name]) if name in side else "" for side in (old, new))
                yield pointer_to(pointer, name), before, after
            else:
                yield from differences(old[name], new[name], pointer_to(pointer, name))
    elif _written(old) != _written(new):
        # By text: in Python `True == 1`, in JSON they differ.
        yield pointer, "" if old is None else _written(old), "" if new is None else _written(new)


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
