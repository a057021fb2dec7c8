"""Rules of a project folder: which place of the document each one goes to, and where its text was written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.errors import DocumentError
from remit.project.source import (
    FaultList,
    Node,
    Source,
    check_keys,
    files_in,
    kind_of,
    listing,
    nearest,
    read_text,
    read_yaml,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue

RULE_KEYS = ("id", "effect", "on", "when", "unless", "because", "controls", "obligations", "mode", "cedar")
PLACES = ("activation", "mutation", "termination", "dispatch", "rules")
_TARGETS = ("tool", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRule:
    """A rule and the place it was written for.

    Args:
        place: one of `PLACES`, `tool:<name>` or `memory:<name>`.
        value: the rule as the document holds it, without `place`.
        node: the rule in the author's file; a `.cedar` file's whole text.
    """

    place: str
    value: JsonObject
    node: Node


def read_rules(
    folder: Path,
    *,
    tools: Iterable[str],
    blocks: Iterable[str],
    unread: Iterable[str],
    faults: FaultList,
) -> tuple[PlacedRule, ...]:
    """Read `rules/**/*.yaml` and `rules/**/*.cedar` in the order of their paths.

    Args:
        folder: the project folder.
        tools: names that `tool:<name>` may use.
        blocks: names that `memory:<name>` may use.
        unread: tools that are declared and at fault themselves; their rules are left out.
        faults: receives whatever is wrong.
    """
    lost = tuple(f"tool:{name}" for name in unread)
    known = (*PLACES, *(f"tool:{name}" for name in tools), *(f"memory:{name}" for name in blocks), *lost)
    placed: list[PlacedRule] = []
    for relative in files_in(folder, "rules", ".yaml", ".yml", ".cedar"):
        try:
            if relative.endswith(".cedar"):
                placed.append(_cedar_file(read_text(folder, relative)))
            else:
                placed.extend(_rule_file(read_yaml(folder, relative), known=known, faults=faults))
        except DocumentError as error:
            faults.extend(error)
    return tuple(rule for rule in placed if rule.place not in ("", *lost))


def check_rule(node: Node, *, faults: FaultList) -> JsonObject | None:
    """Check the keys of one rule and return its value without `place`; None where it is no rule at all."""
    known = (*RULE_KEYS, "place")
    if not check_keys(node, known=known, what="a rule", faults=faults):
        return None
    members = node.object() or {}
    if not {"id", "cedar"} & members.keys():
        faults.add(node.fault("a rule lacks `id`", "add `id:`, or write plain Cedar under `cedar:`"))
    rule_id = members.get("id")
    if isinstance(rule_id, str) and "." in rule_id:
        message = f"`id` is `{rule_id}`, and a point stands in the ids of packs' rules alone"
        faults.add(node.member("id").fault(message, "use `-` or `_`"))
    return {key: value for key, value in members.items() if key != "place"}


def _cedar_file(source: Source) -> PlacedRule:
    node = Node(source=source, pointer="", value=source.text)
    return PlacedRule(place="rules", value={"cedar": source.text}, node=node)


def _rule_file(root: Node, *, known: tuple[str, ...], faults: FaultList) -> Iterable[PlacedRule]:
    def place_of(node: Node, default: str) -> str:
        return _place(node, default=default, known=known, faults=faults)

    for node, default in listed_rules(root, place_of=place_of, faults=faults):
        value = check_rule(node, faults=faults)
        if value is not None:
            yield PlacedRule(place=place_of(node, default), value=value, node=node)


def listed_rules(
    root: Node, *, place_of: Callable[[Node, str], str], faults: FaultList
) -> Iterator[tuple[Node, str]]:
    """Yield the rules of a file, each with the place of those that name none.

    Args:
        root: the file: a list of rules, or a mapping with `rules` and maybe their `place`.
        place_of: reads the place of a node, with the default of one that names none.
        faults: receives whatever is wrong.
    """
    rules, default = root, "rules"
    if isinstance(root.value, dict):
        check_keys(root, known=("place", "rules"), required=("rules",), what="a rule file", faults=faults)
        default = place_of(root, default)
        if "rules" not in root.value:
            return
        rules = root.member("rules")
    if not isinstance(rules.value, list):
        faults.add(rules.fault(f"the rules are {kind_of(rules.value)}, not a list", "begin each with `- `"))
        return
    for node in rules.items():
        yield node, default


def _place(node: Node, *, default: str, known: tuple[str, ...], faults: FaultList) -> str:
    members = node.object() or {}
    if "place" not in members:
        return default
    place: JsonValue = members["place"]
    if isinstance(place, str) and place in known:
        return place
    here = node.member("place")
    if not isinstance(place, str):
        faults.add(here.fault(f"`place` is {kind_of(place)}, not a text", f"write one of {listing(known)}"))
        return ""
    kind, _, name = place.partition(":")
    if kind in _TARGETS and name:
        message = f"no {'tool' if kind == 'tool' else 'memory block'} is called `{name}`"
    else:
        message = f"unknown place `{place}`"
    faults.add(here.fault(message, nearest(place, known) or f"places are {listing(known)}"))
    return ""
