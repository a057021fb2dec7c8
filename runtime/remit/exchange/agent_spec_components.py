"""Components of an Open Agent Spec file and the references between them.

A component stands where it is used, or in `$referenced_components` of a component around it, under an id that
`{"$component_ref": id}` names.
The component of a reference may also be in another file; then a person must supply it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.document.values import pointer_to
from remit.exchange.members import ForeignObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonValue
    from remit.exchange.members import Findings

REFERENCE = "$component_ref"
REFERENCED = "$referenced_components"
TYPE = "component_type"
COMMON = (
    "id",
    "name",
    "description",
    "metadata",
    TYPE,
    REFERENCED,
    "agentspec_version",
    "air_version",
    "min_agentspec_version",
    "max_agentspec_version",
    "component_plugin_name",
    "component_plugin_version",
)
"""Members that any component may have."""

_MOST_HOPS = 8


class Components:
    """Every component of a file that can be referred to.

    Args:
        value: the file.
    """

    def __init__(self, value: JsonValue) -> None:
        self._referenced: dict[str, tuple[str, JsonValue]] = {}
        for pointer, owner in objects_of(value, ""):
            inner = owner.get(REFERENCED)
            if isinstance(inner, dict):
                place = pointer_to(pointer, REFERENCED)
                for name, component in inner.items():
                    # The outermost definition counts, as it is read first.
                    self._referenced.setdefault(name, (pointer_to(place, name), component))

    def referenced(self, findings: Findings) -> list[ForeignObject]:
        """Return every component that can be referred to, in the file's order."""
        return [
            ForeignObject(value, pointer, findings)
            for pointer, value in self._referenced.values()
            if isinstance(value, dict)
        ]

    def member(self, owner: ForeignObject, name: str) -> ForeignObject | None:
        """Return the component of a member, from wherever it stands; None where it is absent or elsewhere."""
        value = owner.any(name)
        return None if value is None else self.resolved(value, owner.at(name), owner.findings)

    def members(self, owner: ForeignObject, name: str) -> list[ForeignObject]:
        """Return the components of a list member; one that is elsewhere is left out with a remark."""
        found = [self.resolved(value, pointer, owner.findings) for pointer, value in owner.items(name)]
        return [component for component in found if component is not None]

    def resolved(self, value: JsonValue, pointer: str, findings: Findings) -> ForeignObject | None:
        """Return a component, following a reference; None where what it names is not in the file."""
        for _ in range(_MOST_HOPS):
            component = ForeignObject(value, pointer, findings)
            if not component.is_object:
                return None
            if not component.has(REFERENCE):
                return component
            wanted = component.text(REFERENCE)
            if not wanted:
                return None
            if wanted not in self._referenced:
                findings.decide(
                    pointer, f"component `{printable(wanted)}` is not in this file: supply what it stands for"
                )
                return None
            pointer, value = self._referenced[wanted]
        findings.fault(pointer, f"the reference `{printable(pointer)}` leads back to itself")
        return None


def objects_of(value: JsonValue, pointer: str) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """Yield every object with its pointer, outer ones first."""
    if isinstance(value, dict):
        yield pointer, value
        for name, member in value.items():
            yield from objects_of(member, pointer_to(pointer, name))
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from objects_of(element, pointer_to(pointer, index))
