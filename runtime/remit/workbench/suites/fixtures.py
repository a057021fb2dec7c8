"""Fixtures: named parts of requests.

    fixtures:
      callers: {ana: {id: ana, roles: [clerk], jurisdiction: EU}}
      inputs:  {late: {order_id: A-1, amount: 40, reason: late}}
    cases:
      - request: {caller: ana, action: refund, input: [late, {amount: 600}]}

A name stands for the fixture; a list is laid over one another, from left to right, member by member.
A fixture may itself be such a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.values import canonical_bytes
from remit.project.source import kind_of, listing, nearest
from remit.workbench.suites.members import Members, MisfitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.project.source import FaultList, Node

GROUPS = ("callers", "agents", "inputs", "usages", "environments", "entries", "tools", "contexts")
GROUP_OF: Mapping[str, str] = {
    "caller": "callers",
    "agent": "agents",
    "input": "inputs",
    "usage": "usages",
    "lifetime": "usages",
    "environment": "environments",
    "entry": "entries",
    "tools": "tools",
    "context": "contexts",
}
"""The group of fixtures that a member of a request may name."""

_MAX_DEPTH = 8


class Fixtures:
    """The fixtures of one suite.

    Args:
        node: the mapping from groups to named fixtures; None where the suite has none.
        faults: where faults go.
    """

    def __init__(self, node: Node | None, faults: FaultList) -> None:
        self._groups: dict[str, JsonObject] = {}
        if node is None:
            return
        members = Members(node, faults, what="`fixtures`", known=GROUPS)
        for group in members.value:
            if group not in GROUPS:
                continue
            named = members.mapping(group)
            self._groups[group] = named
            for name, value in named.items():
                where = members.at(group).member(name)
                if not isinstance(value, (dict, list)):
                    hint = "write such as `{name: value}`, or a list of fixtures to lay over one another"
                    faults.add(where.fault(f"the fixture `{name}` is {kind_of(value)}, not a mapping", hint))
                    continue
                try:
                    self._resolve(value, group, 0)
                except MisfitError as error:
                    faults.add(where.fault(str(error), error.hint))

    def fill(self, request: JsonObject) -> JsonObject:
        """Return `request` with every name of a fixture replaced by the fixture.

        Raises:
            MisfitError: a name is unknown, or what stands there is neither name, mapping nor list.
        """
        if all(isinstance(request[key], dict) for key in GROUP_OF if key in request):
            return request
        filled = dict(request)
        for key, group in GROUP_OF.items():
            if key in request:
                try:
                    filled[key] = self._resolve(request[key], group, 0)
                except MisfitError as error:
                    raise MisfitError(f"`{key}`: {error}", error.hint, key=key) from error
        return filled

    def _resolve(self, value: JsonValue, group: str, depth: int) -> JsonValue:
        if isinstance(value, dict):
            return value
        word = group.rstrip("s") if group != "entries" else "entry"
        if depth > _MAX_DEPTH:
            raise MisfitError(
                f"fixtures of `{group}` refer to one another without end", "write one of them out"
            )
        if isinstance(value, str):
            named = self._groups.get(group, {})
            if value not in named:
                known = listing(named) or "none"
                hint = nearest(value, named) or f"`fixtures: {{{group}: …}}` has {known}"
                raise MisfitError(f"no {word} is called `{value}` among the fixtures", hint)
            return self._resolve(named[value], group, depth + 1)
        if isinstance(value, list) and value:
            merged: JsonObject = {}
            for item in value:
                part = self._resolve(item, group, depth + 1)
                merged.update(part if isinstance(part, dict) else {})
            return merged
        what = "an empty list" if value == [] else kind_of(value)
        hint = "give a mapping, the name of a fixture, or a list of them"
        raise MisfitError(f"{what} stands where a mapping belongs", hint)


def entry_request(request: JsonObject) -> JsonObject:
    """Return a request on memory with its `entry` written out as the input that the gate would see.

    An entry has `block`, `value`, `key` and `subject`; its size is that of the value's RFC 8785 form.

    Raises:
        MisfitError: the entry has another member or lacks its block.
    """
    entry = request.get("entry")
    if not isinstance(entry, dict):
        return request
    known = ("block", "value", "key", "subject")
    for name in entry:
        if name not in known:
            hint = nearest(name, known) or f"it has {listing(known)}"
            raise MisfitError(f"unknown key `{name}` in an entry", hint, key="entry")
    if not isinstance(entry.get("block"), str):
        raise MisfitError("the entry lacks `block`", "name the memory block that it lies in", key="entry")
    given: JsonObject = {}
    if request.get("action") in ("remember", "revise"):
        given["bytes"] = len(canonical_bytes(entry.get("value", "")))
        # A person's entry is not shown by its key, which may name the person (remit.host.memory_operations).
        given["key"] = "" if entry.get("subject") else entry.get("key", "key")
    if entry.get("subject"):
        given["subject"] = entry["subject"]
    written = request.get("input")
    return {
        **{key: value for key, value in request.items() if key != "entry"},
        "resource": request.get("resource", entry["block"]),
        "input": {**given, **(written if isinstance(written, dict) else {})},
    }
