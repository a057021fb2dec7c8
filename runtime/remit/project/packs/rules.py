"""The rules of a pack: keys, places, and that every placeholder can be filled whatever the values are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.faults import NAME, SHAPES
from remit.errors import DocumentError, Fault
from remit.policy.packs.expansion import EXPRESSIONS
from remit.policy.packs.pack import PLACES, PackRule
from remit.policy.packs.parameters import Parameter, ParameterType
from remit.policy.packs.placeholders import misplaced, placeholders, whole
from remit.project.origins import text_origin
from remit.project.rule_files import RULE_KEYS, listed_rules
from remit.project.source import FaultList, Node, check_keys, files_in, kind_of, listing, nearest, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.policy.packs.pack import Control

_KEYS = (*(key for key in RULE_KEYS if key != "cedar"), "place", "given", "not_given")
_REQUIRED = ("id", "effect", "because")
_OUTSIDE = ("place", "given", "not_given")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleNode:
    """A rule with where it was written.

    Args:
        rule: the rule.
        node: its place.
        written: the rule as parsed, for the digest.
    """

    rule: PackRule
    node: Node
    written: JsonObject


def read_pack_rules(folder: Path, *, label: str, faults: FaultList) -> tuple[RuleNode, ...]:
    """Read `rules/*.yaml` in the order of their paths.

    Args:
        folder: the pack's folder.
        label: how faults call it.
        faults: receives whatever is wrong.
    """
    found: list[RuleNode] = []
    for relative in files_in(folder, "rules", ".yaml", ".yml", ".cedar"):
        if relative.endswith(".cedar"):
            faults.add(
                Fault(
                    message="a pack's rules have blanks, which plain Cedar has not",
                    file=f"{label}/{relative}",
                    hint="write them as structured rules in a `.yaml` file",
                )
            )
            continue
        try:
            found.extend(_file(read_yaml(folder, relative, label=label), faults=faults))
        except DocumentError as error:
            faults.extend(error)
    if not found and not faults.faults:
        faults.add(Fault(message="the pack has no rule", file=label, hint="write one into `rules/`"))
    return tuple(found)


def _file(root: Node, *, faults: FaultList) -> Iterator[RuleNode]:
    def place_of(node: Node, default: str) -> str:
        return _place(node, default, faults=faults)

    for node, default in listed_rules(root, place_of=place_of, faults=faults):
        rule = _rule(node, default, faults=faults)
        if rule is not None:
            yield RuleNode(rule=rule, node=node, written=node.object() or {})


def _place(node: Node, default: str, *, faults: FaultList) -> str:
    members = node.object() or {}
    place = members.get("place", default)
    if place in PLACES:
        return str(place)
    hint = nearest(str(place), PLACES) or f"places are {listing(PLACES)}"
    if str(place).partition(":")[0] in ("tool", "memory"):
        hint = "a pack does not know the agent's tools and blocks: use `on: ${tools}`, or `resource.name`"
    faults.add(node.member("place").fault(f"a pack has no place `{place}`", hint))
    return default


def _rule(node: Node, default: str, *, faults: FaultList) -> PackRule | None:
    members = node.object() or {}
    if "cedar" in members:
        message = "a pack's rules have blanks, which plain Cedar has not"
        faults.add(node.member("cedar").fault(message, "write `effect`, `on`, `when`"))
        return None
    if not check_keys(node, known=_KEYS, required=_REQUIRED, what="a pack's rule", faults=faults):
        return None
    rule_id = members.get("id")
    if "id" in members and (not isinstance(rule_id, str) or NAME.fullmatch(rule_id) is None):
        faults.add(node.member("id").fault(f"`id` is `{rule_id}`, not {SHAPES[NAME]}"))
    effect = members.get("effect")
    if "effect" in members and effect not in {"permit", "forbid"}:
        faults.add(node.member("effect").fault(f"`effect` is `{effect}`", "it is `permit` or `forbid`"))
    for key in (*EXPRESSIONS, "because"):
        if key in members and not isinstance(members[key], str):
            faults.add(
                node.member(key).fault(f"`{key}` is {kind_of(members[key])}, not a text", "put it in quotes")
            )
    if {"id", "effect"} - members.keys():
        return None
    return PackRule(
        id=str(rule_id),
        place=_place(node, default, faults=faults),
        value={key: value for key, value in members.items() if key not in _OUTSIDE},
        given=_names(node, "given", faults=faults),
        not_given=_names(node, "not_given", faults=faults),
    )


def _names(node: Node, key: str, *, faults: FaultList) -> tuple[str, ...]:
    value = (node.object() or {}).get(key, [])
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(str(item) for item in value)
    faults.add(node.member(key).fault(f"`{key}` is no list of parameters", f"write such as `{key}: [tools]`"))
    return ()


def check_rules(
    rules: tuple[RuleNode, ...],
    parameters: tuple[Parameter, ...],
    controls: tuple[Control, ...],
    *,
    faults: FaultList,
) -> None:
    """Check ids, clauses and placeholders of all rules."""
    check = _Check({item.name: item for item in parameters}, [item.id for item in controls], faults)
    for rule in rules:
        check.rule(rule)


class _Check:
    def __init__(self, parameters: dict[str, Parameter], controls: list[str], faults: FaultList) -> None:
        self._parameters = parameters
        self._controls = controls
        self._faults = faults
        self._ids: list[str] = []

    def rule(self, item: RuleNode) -> None:
        rule, node = item.rule, item.node
        if rule.id in self._ids:
            self._faults.add(node.member("id").fault(f"two rules are called `{rule.id}`", "rename one"))
        self._ids.append(rule.id)
        self._clauses(node)
        for key in ("given", "not_given"):
            for name in getattr(rule, key):
                self._condition(node.member(key), key, name)
        for key, child in node.members():
            if key in EXPRESSIONS:
                self._expression(rule, child)
            elif key == "because":
                self._known(rule, child)
            elif key in ("on", "obligations"):
                self._names(rule, child, key)

    def _clauses(self, node: Node) -> None:
        if "controls" not in (node.object() or {}):
            return
        listed = node.member("controls")
        if not isinstance(listed.value, list):
            self._faults.add(listed.fault("`controls` is no list", "write such as `controls: [GDPR-44]`"))
            return
        for child in listed.items():
            if child.value not in self._controls:
                hint = nearest(str(child.value), self._controls) or "declare it in pack.yaml, with its mark"
                self._faults.add(child.fault(f"pack.yaml has no control `{child.value}`", hint))

    def _condition(self, node: Node, key: str, name: str) -> None:
        parameter = self._parameters.get(name)
        if parameter is None:
            hint = nearest(name, self._parameters) or f"parameters are {listing(self._parameters) or 'none'}"
            self._faults.add(node.fault(f"`{key}` names no parameter `{name}`", hint))
        elif not parameter.optional:
            message = f"the parameter `{name}` always has a value, so `{key}` says nothing"
            self._faults.add(node.fault(message, "drop it here, or drop its default and `required`"))

    def _expression(self, rule: PackRule, node: Node) -> None:
        if not isinstance(node.value, str):
            return
        start = text_origin(node)
        wrong = misplaced(node.value)
        for item in wrong:
            place = start.at(node.value, item.offset)
            self._faults.add(
                Fault(
                    message=item.message,
                    file=place.file,
                    line=place.line,
                    column=place.column,
                    hint=item.hint,
                )
            )
        if not wrong:
            self._known(rule, node)

    def _known(self, rule: PackRule, node: Node) -> None:
        """Check that every placeholder of a text has a value whenever the rule stands."""
        text = node.value if isinstance(node.value, str) else ""
        for found in placeholders(text):
            fault = self._unfilled(rule, found.name)
            if fault is not None:
                place = text_origin(node).at(text, found.start)
                self._faults.add(
                    Fault(
                        message=fault[0], file=place.file, line=place.line, column=place.column, hint=fault[1]
                    )
                )

    def _unfilled(self, rule: PackRule, name: str) -> tuple[str, str] | None:
        parameter = self._parameters.get(name)
        if parameter is None:
            hint = nearest(name, self._parameters) or f"parameters are {listing(self._parameters) or 'none'}"
            return f"no parameter is called `{name}`", hint
        if name in rule.not_given:
            return f"`{name}` has no value where this rule stands", "it is listed under `not_given`"
        if parameter.optional and name not in rule.given:
            return (
                f"`{name}` may be without a value",
                f"write `given: [{name}]` at this rule, or give a default",
            )
        return None

    def _names(self, rule: PackRule, node: Node, key: str) -> None:
        """Check texts that are names: either plain, or one whole placeholder of a text parameter."""
        if isinstance(node.value, dict):
            for _, child in node.members():
                self._names(rule, child, key)
        elif isinstance(node.value, list):
            for child in node.items():
                self._names(rule, child, key)
        elif isinstance(node.value, str) and "$" in node.value:
            name = whole(node.value)
            if not name:
                message = f"`{node.value}` mixes a placeholder with other text"
                self._faults.add(node.fault(message, "a name is one whole placeholder, or plain"))
                return
            fault = self._unfilled(rule, name)
            if fault is not None:
                self._faults.add(node.fault(*fault))
            else:
                self._textual(node, name, many=key == "on" or "/by" not in node.pointer)

    def _textual(self, node: Node, name: str, *, many: bool) -> None:
        kind = self._parameters[name].type
        if kind.scalar != "String" or (kind.many and not many):
            wanted = ParameterType(scalar="String")
            message = f"`{name}` is a {kind}, and a name is a {wanted}"
            self._faults.add(
                node.fault(message, "use a parameter of type string" + (" or a list" if many else ""))
            )
