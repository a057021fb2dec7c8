"""From a pack and values to the rules of a document.

A rule's members are filled in as what they are: expressions with literals, `on` and roles with names,
`because` with words that the compiler escapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.policy.packs.parameters import ParameterFaultError, admit, cedar_literal
from remit.policy.packs.placeholders import PLACEHOLDER, Substitution, substitute, whole
from remit.policy.vocabulary import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.policy.packs.pack import Pack, PackRule

EXPRESSIONS = ("when", "unless")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterFault:
    """What is wrong with the values that somebody gave.

    Args:
        path: JSON pointer within the given object.
        message: lower case, no full stop.
        hint: what to do; may be empty.
        at_name: whether the parameter's name is at fault, and not its value.
    """

    path: str
    message: str
    hint: str = ""
    at_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedRule:
    """A rule as the document will hold it.

    Args:
        source: the rule with blanks.
        value: the rule; its id is `<alias>.<id>`.
        substitutions: what was replaced, by expression member.
    """

    source: PackRule
    value: JsonObject
    substitutions: Mapping[str, Substitution] = field(default_factory=dict[str, Substitution])


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What a pack comes to with certain values.

    Args:
        rules: in the pack's order.
        left_out: ids of rules that these values leave out.
        values: every parameter that has a value, defaults included.
    """

    rules: tuple[ExpandedRule, ...]
    left_out: tuple[str, ...]
    values: JsonObject


def effective_values(pack: Pack, given: JsonObject) -> JsonObject:
    """Return the given values with the defaults of the others, in the pack's order."""
    found: JsonObject = {}
    for item in pack.parameters:
        if item.name in given:
            found[item.name] = given[item.name]
        elif item.default is not None:
            found[item.name] = item.default
    return found


def parameter_faults(pack: Pack, given: JsonObject) -> tuple[ParameterFault, ...]:
    """Return everything that is wrong with the values given for a pack's parameters."""
    names = [item.name for item in pack.parameters]
    faults = [
        ParameterFault(
            path=f"/{name}",
            message=f"the pack `{pack.name}` has no parameter `{name}`",
            hint=suggestion(name, names) or "it takes none",
            at_name=True,
        )
        for name in given
        if name not in names
    ]
    for item in pack.parameters:
        if item.name not in given:
            if item.required:
                message = f"the pack `{pack.name}` needs the parameter `{item.name}`"
                hint = f"it is a {item.type}" + (f": {item.description}" if item.description else "")
                faults.append(ParameterFault(path="", message=message, hint=hint))
            continue
        try:
            admit(item.schema, given[item.name])
        except ParameterFaultError as error:
            message = f"`{item.name}` does not fit the pack `{pack.name}`: {error}"
            hint = f"it is a {item.type}"
            faults.append(ParameterFault(path=f"/{item.name}{error.path}", message=message, hint=hint))
    return tuple(faults)


def expand(pack: Pack, *, alias: str, given: JsonObject) -> Expansion:
    """Fill in a pack's rules.

    Args:
        pack: the pack.
        alias: what its rules are called after.
        given: values without `parameter_faults`.
    """
    values = effective_values(pack, given)
    literals = {
        item.name: cedar_literal(item.type, values[item.name])
        for item in pack.parameters
        if item.name in values
    }
    kept: list[ExpandedRule] = []
    left_out: list[str] = []
    for rule in pack.rules:
        if stands(rule, values):
            kept.append(_filled(rule, alias, values, literals))
        else:
            left_out.append(rule.id)
    return Expansion(rules=tuple(kept), left_out=tuple(left_out), values=values)


def stands(rule: PackRule, values: Mapping[str, object]) -> bool:
    """Whether a rule is there with these values."""
    return all(name in values for name in rule.given) and not any(name in values for name in rule.not_given)


def _filled(rule: PackRule, alias: str, values: JsonObject, literals: Mapping[str, str]) -> ExpandedRule:
    filled: JsonObject = {}
    substitutions: dict[str, Substitution] = {}
    for member, value in rule.value.items():
        if member in EXPRESSIONS:
            written = substitute(str(value), literals)
            substitutions[member] = written
            filled[member] = written.text
        elif member == "because":
            filled[member] = words(str(value), values)
        elif member in ("on", "obligations"):
            filled[member] = names_in(value, values)
        else:
            filled[member] = value
    filled["id"] = f"{alias}.{rule.id}"
    return ExpandedRule(source=rule, value=filled, substitutions=substitutions)


def words(text: str, values: JsonObject) -> str:
    """Return a text with each placeholder shown as a person would write the value."""
    return PLACEHOLDER.sub(lambda found: _shown(values[found[1]]), text)


def _shown(value: JsonValue) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def names_in(value: JsonValue, values: JsonObject) -> JsonValue:
    """Return a value whose texts are names: a text that is one placeholder becomes the parameter's value.

    A list among a list's elements is spliced in; a name that comes twice is kept once.
    """
    if isinstance(value, str):
        name = whole(value)
        return values[name] if name else value
    if isinstance(value, dict):
        return {key: names_in(member, values) for key, member in value.items()}
    if not isinstance(value, list):
        return value
    spliced: list[JsonValue] = []
    for item in value:
        found = names_in(item, values)
        spliced.extend(found if isinstance(found, list) else [found])
    return [item for index, item in enumerate(spliced) if item not in spliced[:index]]
