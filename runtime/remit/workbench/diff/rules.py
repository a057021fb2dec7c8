"""Rules of two documents, by rule id, as their authors wrote them.

Rules
1. A rule is the same if its words, its place and what it compiles to are the same; the line where it stands
   does not matter.
2. Words are those of the document: YAML members for structured rules, the policy's own text for plain Cedar.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.policy.cedar_text import split_policies
from remit.policy.rule_text import places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage

Kind = Literal["added", "removed", "changed"]
_PLAIN = re.compile(r"[^\s#&*!|>'\"%@`\[\]{},:?-][^\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Authored:
    """A rule as its author wrote it.

    Args:
        id: of the rule.
        place: where rules of its kind stand, such as `activation` or `tool refund`; `base` for base rules.
        text: its words.
        origin: `file:line:column`, or the JSON pointer where no file is known.
        compiled: its Cedar text.
    """

    id: str
    place: str
    text: str
    origin: str
    compiled: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """A rule that differs.

    Args:
        id: of the rule.
        kind: added, removed or changed.
        old: as it was; None if added.
        new: as it is; None if removed.
    """

    id: str
    kind: Kind
    old: Authored | None
    new: Authored | None

    @property
    def lines(self) -> str:
        """The words before and after, as a unified diff without its head."""
        old, new = (_words(side).splitlines() for side in (self.old, self.new))
        count = max(len(old), len(new), 1)
        return "\n".join(list(difflib.unified_diff(old, new, lineterm="", n=count))[3:])

    def to_json(self) -> JsonObject:
        """Return the change as a JSON object with stable keys."""
        return {
            "id": self.id,
            "change": self.kind,
            "old": _side_json(self.old),
            "new": _side_json(self.new),
        }


def rule_changes(
    old: tuple[Document, PolicyImage], new: tuple[Document, PolicyImage]
) -> tuple[RuleChange, ...]:
    """Compare the rules of two documents, base rules included.

    Args:
        old: a document with its compiled governance.
        new: likewise.
    """
    return changes_between(authored(*old), authored(*new))


def changes_between(before: Mapping[str, Authored], after: Mapping[str, Authored]) -> tuple[RuleChange, ...]:
    """Compare rules by their ids."""
    found: list[RuleChange] = []
    for rule in dict.fromkeys((*before, *after)):
        one, other = before.get(rule), after.get(rule)
        if one is None or other is None:
            found.append(RuleChange(id=rule, kind="added" if one is None else "removed", old=one, new=other))
        elif (one.text, one.place, one.compiled) != (other.text, other.place, other.compiled):
            found.append(RuleChange(id=rule, kind="changed", old=one, new=other))
    return tuple(found)


def authored(document: Document, image: PolicyImage) -> Mapping[str, Authored]:
    """Return the rules of a document in their authors' words, by rule id, in document order."""
    named = {place.pointer: place.name.replace("-", " ", 1) for place in places(document)}
    whole: JsonObject = {
        "governance": document.governance.value,
        "capabilities": document.capabilities.value,
        "memory": document.memory.value,
    }
    counted: dict[str, int] = {}
    found: dict[str, Authored] = {}
    for info in image.rules.values():
        number = counted.get(info.pointer, 0)
        counted[info.pointer] = number + 1
        value = _at(whole, info.pointer) if info.pointer else None
        place = named.get(info.pointer.rpartition("/")[0], "base" if not info.pointer else "elsewhere")
        found[info.id] = Authored(
            id=info.id,
            place=place,
            text=_text(value, number) or info.text,
            origin=info.origin or info.pointer,
            compiled=info.text,
        )
    return found


def _at(whole: JsonValue, pointer: str) -> JsonValue:
    value = whole
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _text(value: JsonValue, number: int) -> str:
    if not isinstance(value, dict):
        return ""
    cedar = value.get("cedar")
    if isinstance(cedar, str):
        pieces = split_policies(cedar)
        return pieces[number].text if number < len(pieces) else cedar
    return members_text(value)


def members_text(rule: JsonObject) -> str:
    """Write a structured rule as an author would, a line for each member."""
    return "\n".join(f"{name}: {_scalar(member)}" for name, member in rule.items())


def _scalar(value: JsonValue) -> str:
    """Write a member as an author would: plain where YAML reads it back as this very text."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and ": " not in value and " #" not in value
        return value if plain and value not in ("true", "false", "null") else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def _words(side: Authored | None) -> str:
    if side is None:
        return ""
    return f"{side.text}\nplace: {side.place}" if side.place != "base" else side.text


def _side_json(side: Authored | None) -> JsonValue:
    if side is None:
        return None
    return {"place": side.place, "text": side.text, "origin": side.origin, "compiled": side.compiled}
