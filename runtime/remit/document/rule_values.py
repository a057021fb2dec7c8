"""Rules as they stand in a document, read into `Rule` values.

A rule is either plain Cedar (`cedar` alone) or structured. Its place gives the default effect and the
actions that
`on` may name; see `PLACES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.faults import RULE_ID, FaultLog, Members, nearest
from remit.document.instants import limit_ms
from remit.document.json_text import printable
from remit.document.rules import Approve, Obligation, Redact, Rule, RuleEffect
from remit.document.values import JsonValue, pointer_to

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE_ACTIONS = (
    "activate",
    "amend",
    "continue",
    "delegate",
    "dispatch",
    "erase",
    "export",
    "recall",
    "remember",
    "resume",
    "revise",
    "suspend",
    "terminate",
)
TOOL_GROUP = "call_tool"
RESERVED_TOOL_NAMES = frozenset((*BASE_ACTIONS, TOOL_GROUP))
_STRUCTURED = ("id", "effect", "on", "when", "unless", "because", "controls", "obligations", "mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where rules stand.

    Args:
        actions: what `on` may name here.
        effect: the default effect; None where a rule must say it.
        on_required: whether a structured rule must name its actions.
    """

    actions: tuple[str, ...]
    effect: RuleEffect | None
    on_required: bool = False


ACTIVATION = Place(actions=("activate", "resume"), effect="permit")
MUTATION = Place(actions=("remember", "revise", "erase", "amend"), effect="permit")
TERMINATION = Place(actions=("continue",), effect="forbid")
DISPATCH = Place(actions=("dispatch",), effect="permit")
BLOCK = Place(actions=("remember", "recall", "revise", "erase", "export"), effect="permit")


def anywhere(tools: Sequence[str]) -> Place:
    """Return the place `governance.rules` of an agent with these tools."""
    return Place(actions=(*BASE_ACTIONS, TOOL_GROUP, *tools), effect=None, on_required=True)


def at_tool(name: str) -> Place:
    """Return the place of a tool's own rules."""
    return Place(actions=(name,), effect="permit")


class RuleReader:
    """Reads all rules of one document; sees that ids are unique, and that `<pack>.` is a pinned pack's.

    Args:
        log: where faults go.
        packs: what the rules of the document's pinned packs are called after.
    """

    def __init__(self, log: FaultLog, packs: Sequence[str] = ()) -> None:
        self._log = log
        self._packs = packs
        self._ids: dict[str, str] = {}

    def rules(self, owner: Members, name: str, place: Place, *, required: bool) -> tuple[Rule, ...]:
        """Read an array of rules."""
        return tuple(
            self._rule(value, pointer, place) for pointer, value in owner.items(name, required=required)
        )

    def _rule(self, value: JsonValue, pointer: str, place: Place) -> Rule:
        members = Members(value, pointer, self._log)
        if members.has("cedar"):
            return self._cedar(members)
        rule_id = members.text("id", shape=RULE_ID)
        pack, dot, _ = rule_id.partition(".")
        if dot and pack not in self._packs:
            members.wrong(
                "id",
                f"is `{rule_id}`, but no pack `{pack}` is pinned in `governance.packs`",
                "a rule of your own has an id without a point",
            )
        first = self._ids.setdefault(rule_id, pointer) if rule_id else pointer
        if first != pointer:
            members.wrong("id", f"is `{rule_id}`, as that of the rule at `{first}`", "rule ids are unique")
        effect = members.text("effect", required=place.effect is None, choices=("permit", "forbid"))
        mode = members.text("mode", required=False, choices=("enforce", "shadow"))
        actions = members.texts("on", required=place.on_required)
        if members.value.get("on") == []:
            members.wrong("on", "must name an action", "leave it out for all actions of this place")
        for index, action in enumerate(actions):
            if action not in place.actions:
                self._log.add(
                    pointer_to(members.at("on"), index),
                    f"`on` names `{printable(action)}`, which is no action of this place "
                    f"in `{printable(pointer)}`",
                    hint=nearest(action, place.actions) or f"use one of {', '.join(place.actions)}",
                )
        rule = Rule(
            id=rule_id,
            effect="forbid" if effect == "forbid" else "permit" if effect == "permit" else place.effect,
            on=actions,
            when=members.text("when", required=False) or None,
            unless=members.text("unless", required=False) or None,
            because=members.text("because", required=False, empty=True),
            controls=members.texts("controls"),
            obligations=self._obligations(members),
            mode="shadow" if mode == "shadow" else "enforce",
            pointer=pointer,
        )
        members.has("cedar")
        members.close()
        return rule

    @staticmethod
    def _cedar(members: Members) -> Rule:
        text = members.text("cedar")
        for name in _STRUCTURED:
            if members.has(name):
                members.wrong(
                    name,
                    "may not stand beside `cedar`",
                    "write it into the Cedar text, as an annotation or a condition",
                )
        members.close()
        return Rule(id="", effect=None, cedar=text, pointer=members.pointer)

    def _obligations(self, members: Members) -> tuple[Obligation, ...]:
        found = tuple(
            obligation
            for where, item in members.items("obligations", required=False)
            for obligation in self._obligation(item, where)
        )
        if len({duty.within_ms for duty in found if isinstance(duty, Approve)}) > 1:
            members.wrong(
                "obligations",
                "give approvals of one rule different time limits",
                "give each the same `within`, or write a rule for each role",
            )
        return found

    def _obligation(self, value: JsonValue, pointer: str) -> tuple[Obligation, ...]:
        members = Members(value, pointer, self._log)
        found: list[Obligation] = []
        if members.has("approve"):
            approve = Members(members.value["approve"], members.at("approve"), self._log)
            found.append(Approve(by=approve.text("by"), within_ms=_within_ms(approve)))
            approve.close()
        if members.has("redact"):
            redact = Members(members.value["redact"], members.at("redact"), self._log)
            found.append(Redact(arguments=redact.texts("arguments"), result=redact.texts("result")))
            if redact.is_object and not (redact.value.get("arguments") or redact.value.get("result")):
                self._log.add(
                    redact.pointer,
                    f"`redact` names nothing in `{pointer}`",
                    hint="list `arguments` or `result`",
                )
            redact.close()
        members.close()
        if members.is_object and len(found) != 1:
            self._log.add(
                pointer,
                f"an obligation has exactly one of `approve` and `redact`, this one has {len(found)} "
                f"in `{pointer}`",
            )
        return tuple(found)


def _within_ms(approve: Members) -> int:
    text = approve.text("within", required=False)
    if not text:
        return 0
    try:
        return limit_ms(text)
    except ValueError as error:
        approve.wrong("within", f"is `{printable(text)}`, {error}", "leave it out to wait without a limit")
        return 0
