"""Files and vector stores of an Assistants API export: none can be carried, so each is named for a person.

An id leads nowhere once the vendor has forgotten it, and what a file holds is in no export.
One remark names one file or store with everything that uses it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remit.document.json_text import printable
from remit.exchange.openai_pages import elements
from remit.exchange.remnants import Remnants

if TYPE_CHECKING:
    from remit.exchange.members import Findings, ForeignObject

What = Literal["file", "vector store"]
MESSAGE = "message"
"""User of a file: one message; messages are counted, not named."""


@dataclass(slots=True, kw_only=True)
class _Thing:
    """One file or vector store.

    Args:
        what: which of the two.
        id: the vendor's; may be empty.
        pointer: where it is used, else where the export lists it.
        label: what people call it; may be empty.
        users: what uses it, and how often.
    """

    what: What
    id: str
    pointer: str
    label: str = ""
    users: Counter[str] = field(default_factory=Counter[str])


class VendorFiles:
    """The vendor's files and vector stores that an export lists or uses.

    Args:
        findings: where remarks go.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._known: dict[tuple[What, str], _Thing] = {}
        self._nameless: list[_Thing] = []

    def list(self, what: What, bundle: ForeignObject, member: str, *, label: str) -> None:
        """Take what the export lists.

        Args:
            what: which kind of thing is listed.
            bundle: the export.
            member: the list, or list page, in it.
            label: the member of an entry that says what people call it.
        """
        remnants = Remnants(self._findings, bundle.at(member), f"{what}s")
        for entry in elements(bundle, member):
            thing = self._thing(what, entry.text("id"), entry.pointer)
            thing.label = thing.label or entry.text(label)
            remnants.add(entry, ("id", "object", label))
        remnants.close()

    def use(self, what: What, name: str, pointer: str, user: str) -> None:
        """Note that something uses a file or store.

        Args:
            what: which of the two.
            name: the vendor's id; may be empty.
            pointer: where it is used.
            user: what uses it, such as `MESSAGE`.
        """
        thing = self._thing(what, name, pointer)
        if not thing.users:
            thing.pointer = pointer
        thing.users[user] += 1

    def label(self, name: str) -> str:
        """Return what a file is called; empty where nothing says it."""
        thing = self._known.get(("file", name))
        return "" if thing is None else thing.label

    def _thing(self, what: What, name: str, pointer: str) -> _Thing:
        if name:
            return self._known.setdefault((what, name), _Thing(what=what, id=name, pointer=pointer))
        thing = _Thing(what=what, id="", pointer=pointer)
        self._nameless.append(thing)
        return thing

    def close(self) -> None:
        """Name each of them once."""
        for thing in (*self._known.values(), *self._nameless):
            self._findings.decide(
                thing.pointer,
                f"{thing.what} {_shown(thing)} of {_users(thing)} is at the vendor and cannot be carried: "
                "put what you need of it into the project and list it under `files`",
            )


def _shown(thing: _Thing) -> str:
    label = f"`{printable(thing.label)}`" if thing.label else ""
    if not thing.id:
        return label or "without an id"
    return f"`{printable(thing.id)}`" + (f" ({label})" if label else "")


def _users(thing: _Thing) -> str:
    counts = {
        user: f"{count} message{'s' if count > 1 else ''}" if user == MESSAGE else user
        for user, count in thing.users.items()
    }
    return ", ".join(counts.values()) or "the export"
