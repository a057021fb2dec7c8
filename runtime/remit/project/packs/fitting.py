"""A pack put into a document that exists already: what the agent would be with it, or with another version.

Rules
1. Every use of a pack of that name is replaced; where the document pins none, one is added under its name.
2. A use keeps its values. Those that the pinned version has as defaults are not kept where that version is at
   hand, so a new version's defaults count; values of parameters that the new version lacks are left out.
3. Values that somebody gives come last and count for every use.
4. The document that results is never enforced: its operation names nobody's decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.document.revision import revise
from remit.errors import DocumentError, Fault
from remit.policy.packs.expansion import expand, parameter_faults
from remit.project.origins import OriginMap
from remit.project.packs.requires import unmet
from remit.project.packs.use import pin_value, place_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.policy.origins import Origin
    from remit.policy.packs.expansion import Expansion
    from remit.policy.packs.pack import Pack
    from remit.project.packs.folder import PackFolder

_AT = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A document with a pack put into it.

    Args:
        document: the next revision, as it would be.
        origins: where the pack's rules were written, by JSON pointer.
        aliases: what the pack's rules are called after, a word for every use.
        left_out: parameters whose values the pack has no place for.
    """

    document: Document
    origins: Mapping[str, Origin]
    aliases: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def pinned_uses(document: Document, name: str, *, known: Iterable[Pack] = ()) -> Mapping[str, JsonObject]:
    """Return the values of each use of a pack in a document, by what its rules are called after (rule 2).

    Args:
        document: the agent.
        name: the pack's name.
        known: versions of the pack at hand, whose defaults can be told from values.
    """
    versions = {item.digest: item for item in known}
    return {
        pin.alias: _chosen(versions.get(pin.digest), pin.parameters or {})
        for pin in document.governance.packs
        if pin.name == name
    }


def fit_pack(
    document: Document, found: PackFolder, uses: Mapping[str, JsonObject], *, given: JsonObject | None = None
) -> Fitted:
    """Put a pack into a document.

    Args:
        document: the agent.
        found: the pack.
        uses: values by what the rules are called after; empty for one use under the pack's own name.
        given: values that count for every use.

    Raises:
        DocumentError: the values do not fit, or the agent lacks what the pack requires; lists every fault.
    """
    pack = found.pack
    names = {item.name for item in pack.parameters}
    uses = uses or {pack.name: {}}
    left_out = {name for values in uses.values() for name in values if name not in names}
    faults: list[Fault] = []
    expansions: dict[str, Expansion] = {}
    for alias, values in uses.items():
        filled = {**{name: value for name, value in values.items() if name in names}, **(given or {})}
        wrong = parameter_faults(pack, filled)
        faults.extend(Fault(message=item.message, file=found.label, hint=item.hint) for item in wrong)
        if not wrong:
            expansions[alias] = _expanded(found, alias, filled, faults)
    for expansion in expansions.values():
        lacks = unmet(
            pack,
            expansion.values,
            governance=document.governance.value,
            tools=document.capabilities.value.get("tools"),
            blocks=document.memory.value.get("blocks"),
        )
        faults.extend(
            Fault(message=f"the pack `{pack.name}` cannot be used: {what}", file=found.label, hint=hint)
            for what, hint in lacks
        )
    if faults:
        raise DocumentError(*dict.fromkeys(faults))
    changed, origins = document, OriginMap()
    for alias, expansion in expansions.items():
        changed, origins = put_rules(changed, found, alias=alias, expansion=expansion, origins=origins)
    return Fitted(
        document=changed,
        origins=origins.places,
        aliases=tuple(expansions),
        left_out=tuple(sorted(left_out)),
    )


def _expanded(found: PackFolder, alias: str, values: JsonObject, faults: list[Fault]) -> Expansion:
    expansion = expand(found.pack, alias=alias, given=values)
    if not expansion.rules:
        message = f"the pack `{found.pack.name}` brings no rule with these values"
        hint = "give it a parameter that its rules are about"
        faults.append(Fault(message=message, file=found.label, hint=hint))
    return expansion


def _chosen(pack: Pack | None, values: JsonObject) -> JsonObject:
    """Return the values of a pin without those that a pack has as defaults."""
    defaults = {} if pack is None else {item.name: item.default for item in pack.parameters}
    return {
        name: value for name, value in values.items() if defaults.get(name) is None or defaults[name] != value
    }


def put_rules(
    document: Document,
    found: PackFolder,
    *,
    alias: str,
    expansion: Expansion,
    origins: OriginMap | None = None,
) -> tuple[Document, OriginMap]:
    """Return the document with one use of a pack filled in anew, or added, and where its rules were written.

    Args:
        document: the agent.
        found: the pack.
        alias: what its rules are called after.
        expansion: what it comes to.
        origins: of rules of other uses that stand there already.

    Raises:
        DocumentError: the filled-in rules are no rules.
    """
    governance, capabilities = dict(document.governance.value), dict(document.capabilities.value)
    kept = OriginMap()
    mine = f"{alias}."
    for pointer, holder in (("/governance", governance), ("/capabilities", capabilities)):
        for place, rules in holder.items():
            if isinstance(rules, list) and place not in ("packs", "tools", "backends"):
                holder[place] = _without(rules, mine, f"{pointer}/{place}", origins, kept)
    place_rules(found, expansion, governance, capabilities, kept)
    pins = cast("list[JsonValue]", governance.get("packs", []))
    pin = pin_value(found, alias, expansion)
    if any(_alias(item) == alias for item in pins):
        governance["packs"] = [pin if _alias(item) == alias else item for item in pins]
    else:
        governance["packs"] = [*pins, pin]
    changed = revise(
        document,
        operation="amend",
        actor='Remit::Caller::"trial"',
        at=_AT,
        decision="",
        governance=governance,
        capabilities=capabilities,
    )
    return changed, kept


def _without(
    rules: list[JsonValue], prefix: str, pointer: str, origins: OriginMap | None, kept: OriginMap
) -> list[JsonValue]:
    """Return the rules that are not called after a pack, and take along where they were written."""
    found: list[JsonValue] = []
    for index, rule in enumerate(rules):
        if isinstance(rule, dict) and str(rule.get("id", "")).startswith(prefix):
            continue
        before, after = f"{pointer}/{index}", f"{pointer}/{len(found)}"
        for place, origin in origins.places.items() if origins is not None else ():
            if place == before or place.startswith(f"{before}/"):
                kept.places[after + place.removeprefix(before)] = origin
        found.append(rule)
    return found


def _alias(pin: JsonValue) -> JsonValue:
    return pin.get("as", pin.get("name")) if isinstance(pin, dict) else None
