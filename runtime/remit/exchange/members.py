"""Reading one object of a foreign file: strict about types, lenient about the rest, silent about nothing.

A member that is null counts as absent.
A member of a wrong type is a fault with its place; the reading goes on and is refused in the end.
A member that no reader asked for becomes a remark that it is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.faults import FaultLog, kind_of
from remit.document.json_text import printable
from remit.document.values import JsonObject, JsonValue, pointer_to
from remit.exchange.foreign import Fate, Remark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.document.places import Parsed

_LISTED = 8
"""How many unknown members of one object are remarked on one by one."""


class Findings:
    """Everything that reading one agent says: faults, which refuse the file, and remarks.

    Args:
        parsed: the value that is read.
    """

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.log = FaultLog(parsed)
        self._remarks: list[Remark] = []

    def carried(self, pointer: str, what: str) -> None:
        """Remark that a thing is in the document."""
        self._remark("carried", pointer, what)

    def lost(self, pointer: str, what: str) -> None:
        """Remark that a thing is not in the document."""
        self._remark("lost", pointer, what)

    def decide(self, pointer: str, what: str) -> None:
        """Remark that a person must say something about a thing."""
        self._remark("decide", pointer, what)

    def _remark(self, fate: Fate, pointer: str, what: str) -> None:
        line, column = self.parsed.place(pointer)
        self._remarks.append(Remark(fate=fate, what=what, pointer=pointer, line=line, column=column))

    def repeat(self, remarks: Iterable[Remark]) -> None:
        """Say again what was said of the file around an agent."""
        self._remarks.extend(remarks)

    def fault(self, pointer: str, message: str, hint: str = "") -> None:
        """Note a fault at a pointer: the file cannot be read."""
        self.log.add(pointer, message, hint=hint)

    def refuse(self) -> None:
        """Raise `DocumentError` with every fault, once each, if there is any."""
        self.log.faults = list(dict.fromkeys(self.log.faults))
        self.log.refuse()

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Every remark so far, in the file's order; without places, in the order they were made."""
        return tuple(sorted(self._remarks, key=lambda remark: (remark.line, remark.column)))


class ForeignObject:
    """One object of the file.

    Args:
        value: what should be an object; a fault is noted where it is none.
        pointer: its JSON pointer.
        findings: where faults and remarks go.
    """

    def __init__(self, value: JsonValue, pointer: str, findings: Findings) -> None:
        self.pointer = pointer
        self.findings = findings
        self.is_object = isinstance(value, dict)
        self.value: JsonObject = value if isinstance(value, dict) else {}
        self._known: set[str] = set()
        if not self.is_object:
            findings.fault(pointer, f"{self._self()} must be an object, not {kind_of(value)}")

    def _self(self) -> str:
        return f"`{printable(self.pointer)}`" if self.pointer else "the file"

    def at(self, name: str) -> str:
        """Return the pointer of a member."""
        return pointer_to(self.pointer, name)

    def has(self, name: str) -> bool:
        """Whether a member is there and not null; makes its name known."""
        self._known.add(name)
        return self.value.get(name) is not None

    def any(self, name: str) -> JsonValue:
        """Return a member of any type, or None; makes its name known."""
        self._known.add(name)
        return self.value.get(name)

    def wrong(self, name: str, message: str, hint: str = "") -> None:
        """Note a fault of a member, in words that follow its name."""
        where = f" in `{printable(self.pointer)}`" if self.pointer else ""
        self.findings.fault(self.at(name), f"`{printable(name)}` {message}{where}", hint)

    def _mistyped(self, name: str, wanted: str) -> None:
        self.wrong(name, f"must be {wanted}, not {kind_of(self.value.get(name))}")

    def missing(self, name: str) -> None:
        """Note that a member is missing."""
        if self.is_object:
            where = f" in `{printable(self.pointer)}`" if self.pointer else ""
            self.findings.fault(self.pointer, f"`{printable(name)}` is missing{where}")

    def text(self, name: str, *, required: bool = False) -> str:
        """Return a text member; empty where it is absent or wrong."""
        value = self.any(name)
        if isinstance(value, str):
            return value
        if value is not None:
            self._mistyped(name, "a string")
        elif required:
            self.missing(name)
        return ""

    def number(self, name: str) -> int | float | None:
        """Return a number member, or None."""
        value = self.any(name)
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return value
        self._mistyped(name, "a number")
        return None

    def boolean(self, name: str) -> bool | None:
        """Return a truth value, or None."""
        value = self.any(name)
        if value is None or isinstance(value, bool):
            return value
        self._mistyped(name, "true or false")
        return None

    def object(self, name: str) -> ForeignObject | None:
        """Return an object member for reading, or None; a member of another type is a fault and None."""
        value = self.any(name)
        if value is None:
            return None
        found = ForeignObject(value, self.at(name), self.findings)
        return found if found.is_object else None

    def items(self, name: str) -> list[tuple[str, JsonValue]]:
        """Return `(pointer, element)` of a list member; nothing where it is absent or wrong."""
        value = self.any(name)
        if isinstance(value, list):
            return [(pointer_to(self.at(name), index), element) for index, element in enumerate(value)]
        if value is not None:
            self._mistyped(name, "a list")
        return []

    def objects(self, name: str) -> list[ForeignObject]:
        """Return the objects of a list member; an element of another type is a fault."""
        found = [ForeignObject(value, pointer, self.findings) for pointer, value in self.items(name)]
        return [element for element in found if element.is_object]

    def texts(self, name: str) -> list[tuple[str, str]]:
        """Return `(pointer, text)` of a list member of texts; an element of another type is a fault."""
        found: list[tuple[str, str]] = []
        for pointer, value in self.items(name):
            if isinstance(value, str):
                found.append((pointer, value))
            else:
                self.findings.fault(pointer, f"`{printable(pointer)}` must be a string, not {kind_of(value)}")
        return found

    def names(self, name: str) -> list[tuple[str, str]]:
        """Return `(pointer, text)` of a list member of names; an empty one is a fault."""
        found = self.texts(name)
        for pointer, text in found:
            if not text:
                self.findings.fault(pointer, f"`{printable(pointer)}` must not be empty")
        return [(pointer, text) for pointer, text in found if text]

    def members(self, name: str) -> list[tuple[str, ForeignObject]]:
        """Return `(name, object)` of an object member whose members are objects."""
        owner = self.object(name)
        if owner is None:
            return []
        found = [(key, owner.object(key)) for key in owner.value]
        return [(key, member) for key, member in found if member is not None]

    def lose(self, names: Iterable[str], why: str) -> None:
        """Remark that members are lost, each where it is there, with one reason.

        Args:
            names: the members.
            why: a clause that follows the member's name, such as `has no counterpart`.
        """
        for name in names:
            if self.has(name):
                self.findings.lost(self.at(name), f"`{printable(name)}` {why}")

    def close(self) -> None:
        """Remark on every member that nobody asked for: it is lost."""
        unknown = [name for name in self.value if name not in self._known and self.value[name] is not None]
        for name in unknown[:_LISTED]:
            self.findings.lost(self.at(name), f"`{printable(name)}` is not known to this importer")
        if len(unknown) > _LISTED:
            more = len(unknown) - _LISTED
            self.findings.lost(self.pointer, f"{more} more members of {self._self()} are not known")


def without_nulls(value: JsonValue) -> JsonValue:
    """Copy a value without its nulls: members are left out, elements too."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(element) for element in value if element is not None]
    return value
