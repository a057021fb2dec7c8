"""What is left of many objects of one kind once their reader has taken what it wants.

One remark speaks for all of them, so that a file of a thousand messages does not make a thousand remarks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.members import Findings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.document.values import JsonValue
    from remit.exchange.members import ForeignObject

_LISTED = 12


def says_nothing(value: JsonValue) -> bool:
    """Whether a member holds what an absent one would mean: null, false, or something empty."""
    return value is None or value is False or value in ("", [], {})


def listed(names: Iterable[str], most: int = _LISTED) -> str:
    """Return names in backticks for a remark, at most `most` of them one by one."""
    distinct = list(dict.fromkeys(names))
    shown = ", ".join(f"`{printable(name)}`" for name in distinct[:most])
    return shown if len(distinct) <= most else f"{shown} and {len(distinct) - most} more"


def lose_together(owner: ForeignObject, names: Iterable[str], why: str) -> None:
    """Remark once that members are lost, those of them that say something.

    Args:
        owner: the object.
        names: the members; all become known.
        why: a clause that follows their names and a colon.
    """
    found = [name for name in names if not says_nothing(owner.any(name))]
    if found:
        place = owner.at(found[0]) if len(found) == 1 else owner.pointer
        owner.findings.lost(place, f"{listed(found)}: {why}")


def beside(findings: Findings) -> Findings:
    """Return findings for another agent of the same file: own remarks, shared faults."""
    other = Findings(findings.parsed)
    other.log = findings.log
    return other


class Remnants:
    """Collects what is not read of many objects.

    Args:
        findings: where the one remark goes.
        pointer: the place that stands for all of them.
        kind: what they are, in the plural, such as `messages`.
    """

    def __init__(self, findings: Findings, pointer: str, kind: str) -> None:
        self._findings = findings
        self._pointer = pointer
        self._kind = kind
        self._left: dict[str, int] = {}

    def add(self, owner: ForeignObject, read: Iterable[str]) -> None:
        """Note every member of an object that says something and is not among those that were read."""
        known = set(read)
        for name, value in owner.value.items():
            if name not in known and not says_nothing(value):
                self._left[name] = self._left.get(name, 0) + 1

    def close(self, why: str = "has no counterpart") -> None:
        """Remark on what was noted, if anything was."""
        if self._left:
            self._findings.lost(self._pointer, f"of the {self._kind}, {listed(self._left)}: {why}")
