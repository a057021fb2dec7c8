"""A document held against the packs that it pins: every rule of a pack is there, unchanged, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from remit.document.values import JsonObject, JsonValue, canonical_bytes
from remit.policy.packs.expansion import expand, parameter_faults
from remit.policy.rule_text import places
from remit.project.packs.sources import pinned_pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from remit.document.model import Document, PackPin
    from remit.engine.image import PolicyImage
    from remit.policy.packs.pack import Pack
    from remit.project.packs.folder import PackFolder

Difference = Literal["edited", "missing", "added", "unknown", "without-parameters", "parameters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDifference:
    """Where a document and a pack that it pins differ.

    Args:
        kind: `edited`, `missing`, `added`: a rule; `unknown`: no pack at hand has the pinned digest;
            `without-parameters`: the pin says no values, so no rules follow from it; `parameters`: its
            values do not fit the pack.
        alias: what the pack's rules are called after.
        rule: id of the rule; empty where it is about the pin.
        message: lower case, no full stop.
        pointer: JSON pointer in the document; empty where there is nothing to point at.
    """

    kind: Difference
    alias: str
    rule: str
    message: str
    pointer: str = ""

    def to_json(self) -> JsonObject:
        """Return the difference as a JSON object with stable keys."""
        return {
            "kind": self.kind,
            "pack": self.alias,
            "rule": self.rule,
            "message": self.message,
            "pointer": self.pointer,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport:
    """A pin of a document, the pack behind it, and how far the document keeps to it.

    Args:
        pin: the pin.
        found: the pack with the pinned digest; None where none is at hand.
        rules: ids of the document's rules that are called after it.
        differences: where they differ from the pack's.
    """

    pin: PackPin
    found: PackFolder | None
    rules: tuple[str, ...]
    differences: tuple[PackDifference, ...]

    def to_json(self) -> JsonObject:
        """Return the report as a JSON object with stable keys."""
        return {
            "name": self.pin.name,
            "as": self.pin.alias,
            "version": self.pin.version,
            "digest": self.pin.digest,
            "parameters": self.pin.parameters,
            "found": "" if self.found is None else self.found.label,
            "rules": [*self.rules],
            "differences": [item.to_json() for item in self.differences],
        }


def pack_reports(
    document: Document, image: PolicyImage, *, folders: Sequence[Path] = ()
) -> tuple[PackReport, ...]:
    """Hold a document against every pack that it pins, as far as it can be found.

    Args:
        document: the agent.
        image: its compiled governance.
        folders: folders of packs, beside those that come with Remit.

    Raises:
        DocumentError: a pack of the folders cannot be read.
    """
    reports: list[PackReport] = []
    for pin in document.governance.packs:
        found = pinned_pack(pin.digest, pin.name, folders=folders)
        pack = None if found is None else found.pack
        reports.append(
            PackReport(
                pin=pin,
                found=found,
                rules=rules_of(image, pin),
                differences=differences(document, image, pin, pack),
            )
        )
    return tuple(reports)


def rules_of(image: PolicyImage, pin: PackPin) -> tuple[str, ...]:
    """Return the ids of a document's rules that are called after a pinned pack, in image order."""
    return tuple(rule for rule in image.rules if rule.startswith(f"{pin.alias}."))


def differences(
    document: Document, image: PolicyImage, pin: PackPin, pack: Pack | None
) -> tuple[PackDifference, ...]:
    """Compare the rules that stand in a document with those that its pin expands to.

    Args:
        document: the agent.
        image: its compiled governance.
        pin: one of its pins.
        pack: the pack with the pinned digest; None where none is at hand.
    """
    here = _pin_pointer(document, pin)

    def of_pin(kind: Difference, message: str) -> tuple[PackDifference, ...]:
        return (PackDifference(kind=kind, alias=pin.alias, rule="", message=message, pointer=here),)

    if pack is None:
        name = f"`{pin.name}` {pin.version}"
        return of_pin("unknown", f"no pack at hand is {name} with the digest {pin.digest}")
    if pin.parameters is None:
        return of_pin("without-parameters", f"the pin of `{pin.name}` has no `parameters`")
    wrong = parameter_faults(pack, pin.parameters)
    if wrong:
        return of_pin("parameters", "; ".join(fault.message for fault in wrong))
    if (pin.name, pin.version) != (pack.name, pack.version):
        return of_pin("parameters", f"the digest is that of `{pack.name}` {pack.version}")
    expected = {
        str(rule.value["id"]): (_array_of(rule.source.place), rule.value)
        for rule in expand(pack, alias=pin.alias, given=pin.parameters).rules
    }
    return tuple(_rule_differences(document, image, pin, expected))


def _rule_differences(
    document: Document, image: PolicyImage, pin: PackPin, expected: dict[str, tuple[str, JsonObject]]
) -> list[PackDifference]:
    held = _held_rules(document)
    found: list[PackDifference] = []

    def note(kind: Difference, rule: str, message: str, pointer: str = "") -> None:
        found.append(PackDifference(kind=kind, alias=pin.alias, rule=rule, message=message, pointer=pointer))

    for rule, (array, value) in expected.items():
        if rule not in held:
            note("missing", rule, f"the rule `{rule}` of the pack is not in the document")
            continue
        pointer, written = held[rule]
        if pointer.rpartition("/")[0] != array:
            note("edited", rule, f"the rule `{rule}` stands at another place than the pack's", pointer)
        elif canonical_bytes(written) != canonical_bytes(value):
            members = sorted(name for name in {*written, *value} if written.get(name) != value.get(name))
            listed = ", ".join(f"`{name}`" for name in members)
            note("edited", rule, f"the rule `{rule}` is not as the pack has it: {listed} differ", pointer)
    for rule in rules_of(image, pin):
        if rule not in expected or rule not in held:
            message = f"the rule `{rule}` is called after the pack, which has none of that name"
            note("added", rule, message, image.rules[rule].pointer)
    return found


def _array_of(place: str) -> str:
    return "/capabilities/dispatch" if place == "dispatch" else f"/governance/{place}"


def _held_rules(document: Document) -> dict[str, tuple[str, JsonObject]]:
    """Return the structured rules of a document as they stand there, with their pointers, by id."""
    whole: JsonObject = {
        "governance": document.governance.value,
        "capabilities": document.capabilities.value,
        "memory": document.memory.value,
    }
    held: dict[str, tuple[str, JsonObject]] = {}
    for place in places(document):
        for index, rule in enumerate(place.rules):
            if rule.id:
                listed = cast("list[JsonValue]", _at(whole, place.pointer))
                held[rule.id] = (f"{place.pointer}/{index}", cast("JsonObject", listed[index]))
    return held


def _at(value: JsonValue, pointer: str) -> JsonValue:
    for token in pointer.split("/")[1:]:
        value = value[int(token)] if isinstance(value, list) else cast("JsonObject", value)[token]
    return value


def _pin_pointer(document: Document, pin: PackPin) -> str:
    aliases = [item.alias for item in document.governance.packs]
    return f"/governance/packs/{aliases.index(pin.alias)}" if pin.alias in aliases else "/governance/packs"
