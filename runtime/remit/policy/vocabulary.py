"""What a schema offers to rules: actions, entity types, members by path."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, cast

from remit.engine.reads import action_members
from remit.engine.request import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.document.values import JsonObject

FUNCTIONS = ("datetime", "decimal", "duration", "ip")
METHODS = (
    "contains",
    "containsAll",
    "containsAny",
    "durationSince",
    "getTag",
    "greaterThan",
    "greaterThanOrEqual",
    "hasTag",
    "isEmpty",
    "isInRange",
    "isIpv4",
    "isIpv6",
    "isLoopback",
    "isMulticast",
    "lessThan",
    "lessThanOrEqual",
    "offset",
    "toDate",
    "toDays",
    "toHours",
    "toMilliseconds",
    "toMinutes",
    "toSeconds",
    "toTime",
)
_LISTED = 8


class Vocabulary:
    """A read-only view of a schema in JSON form (namespace `Remit`)."""

    def __init__(self, schema: JsonObject) -> None:
        space = cast("JsonObject", schema[NAMESPACE])
        self._types = cast("dict[str, JsonObject]", space["commonTypes"])
        self._entities = cast("dict[str, JsonObject]", space["entityTypes"])
        self._actions = cast("dict[str, JsonObject]", space["actions"])
        self.members: Mapping[str, frozenset[str]] = action_members(schema)

    @property
    def actions(self) -> tuple[str, ...]:
        """All actions, sorted; groups included."""
        return tuple(sorted(self._actions))

    @property
    def entity_types(self) -> tuple[str, ...]:
        """All entity types without their namespace, sorted."""
        return tuple(sorted(self._entities))

    def applies(self, action: str, side: str) -> tuple[str, ...]:
        """Return the principal or resource types of an action; `side` is `principal` or `resource`."""
        applies = cast("JsonObject", self._actions.get(action, {}).get("appliesTo") or {})
        return tuple(cast("list[str]", applies.get(f"{side}Types") or []))

    def entity_members(self, entity: str) -> Mapping[str, JsonObject]:
        """Return the attributes of an entity type by name, each with its type; empty for an unknown type."""
        shape = self._entities.get(entity, {}).get("shape")
        return self._record(cast("JsonObject", shape)) or {} if shape else {}

    def context_type(self, action: str) -> JsonObject | None:
        """Return the type of an action's context, or None where the action takes no request."""
        applies = cast("JsonObject", self._actions.get(action, {}).get("appliesTo") or {})
        return cast("JsonObject | None", applies.get("context"))

    def members_at(self, base: JsonObject | None, path: Iterable[str]) -> Mapping[str, JsonObject] | None:
        """Return the members below `path` of a type: of a record, or of the entity named there.

        None where the path leads nowhere or to something without members.
        """
        members = self._members(base)
        for step in path:
            members = self._members(members.get(step)) if members is not None else None
        return members

    def _members(self, kind: JsonObject | None) -> Mapping[str, JsonObject] | None:
        if kind is None:
            return None
        record = self._record(kind)
        if record is not None:
            return record
        name = self.short(kind)
        return self.entity_members(name) if name in self._entities else None

    def _record(self, kind: JsonObject) -> Mapping[str, JsonObject] | None:
        name = self.short(kind)
        if kind.get("type") == "Record":
            return cast("dict[str, JsonObject]", kind["attributes"])
        return self._record(self._types[name]) if name in self._types else None

    @staticmethod
    def short(kind: JsonObject) -> str:
        """Return the name of a type without its namespace, such as `Long` or `Caller`."""
        return cast("str", kind.get("name", kind["type"])).rpartition("::")[2]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return `did you mean …` for a close name, else the names there are, else nothing."""
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in reversed(names)}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    if close:
        return f"did you mean `{lowered[close[0]]}`"
    if not names:
        return ""
    listed = ", ".join(f"`{candidate}`" for candidate in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"there is {listed}{more}"
