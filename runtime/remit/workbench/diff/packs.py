"""Two versions of a pack: rules in their authors' words, what `pack.yaml` says, and what their cases come to.

Rules
1. Rules are compared with their blanks, since that is what whoever uses the pack reviews.
2. A fixture is the agent that both versions are put into, with the values that it gives itself; the cases are
   those that either version has for it.
3. A fixture that one of the two cannot be put into decides nothing, and is named with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.errors import FaultsError
from remit.host.candidate import candidate_of
from remit.policy.compile import compile_governance
from remit.project.build import build_project
from remit.project.packs.fitting import fit_pack
from remit.workbench.diff.cases import CaseDiff, case_diff
from remit.workbench.diff.declarations import Declared, differences, named_changes
from remit.workbench.diff.rules import Authored, RuleChange, changes_between, members_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue
    from remit.host.candidate import Candidate
    from remit.policy.packs.pack import PackRule
    from remit.project.build import Built
    from remit.project.packs.folder import PackFolder
    from remit.workbench.diff.cases import CaseFlip


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDiff:
    """What two versions of a pack differ in.

    Args:
        rules: rules that differ.
        declarations: what else of `pack.yaml` differs.
        cases: the cases of all fixtures under both.
        notes: fixtures that decided nothing, one sentence each.
    """

    rules: tuple[RuleChange, ...]
    declarations: tuple[Declared, ...]
    cases: CaseDiff
    notes: tuple[str, ...]


def pack_diff(old: PackFolder, new: PackFolder) -> PackDiff:
    """Compare two versions of a pack.

    Raises:
        DocumentError: a fixture does not build, or its cases are wrong.
    """
    count, others = 0, 0
    flips: list[CaseFlip] = []
    notes: list[str] = []
    for name, folders in _fixtures(old, new).items():
        sides, reason = _sides(folders[0], old, new)
        if sides is None:
            notes.append(f"The fixture {name} was left out: {reason}.")
            continue
        found = case_diff(folders, *sides)
        count, others = count + found.count, others + found.other_rules
        flips.extend(found.flips)
    return PackDiff(
        rules=changes_between(_authored(old), _authored(new)),
        declarations=tuple(_declared(old.head, new.head)),
        cases=CaseDiff(count=count, flips=tuple(flips), other_rules=others),
        notes=tuple(notes),
    )


def _fixtures(old: PackFolder, new: PackFolder) -> Mapping[str, tuple[Path, ...]]:
    """Return the folders of each fixture, the new version's first."""
    found: dict[str, tuple[Path, ...]] = {}
    for side in (new, old):
        for folder in side.fixtures():
            found[folder.name] = (*found.get(folder.name, ()), folder)
    return found


def _sides(folder: Path, old: PackFolder, new: PackFolder) -> tuple[tuple[Candidate, Candidate] | None, str]:
    """Return a fixture with either version in it, or the reason why one of them does not go in."""
    built = build_project(folder)
    if not any(used.use.found.pack.name == new.pack.name for used in built.packs):
        return None, f"it does not use the pack {new.pack.name}"
    found: list[Candidate] = []
    for side in (old, new):
        try:
            found.append(_with_version(built, side))
        except FaultsError as error:
            return None, f"{side.pack.version} does not go into it: {error.faults[0].message}"
    return (found[0], found[1]), ""


def _with_version(built: Built, side: PackFolder) -> Candidate:
    uses = {
        used.use.alias: used.use.given for used in built.packs if used.use.found.pack.name == side.pack.name
    }
    fitted = fit_pack(built.document, side, uses)
    return candidate_of(fitted.document, compile_governance(fitted.document, origins=fitted.origins))


def _authored(found: PackFolder) -> Mapping[str, Authored]:
    return {rule.id: _in_words(found, rule) for rule in found.pack.rules}


def _in_words(found: PackFolder, rule: PackRule) -> Authored:
    members: JsonObject = dict(rule.value)
    for name, parameters in (("given", rule.given), ("not_given", rule.not_given)):
        if parameters:
            members[name] = [*parameters]
    text = members_text(members)
    node = found.nodes[rule.id]
    line, column = node.source.place(node.pointer)
    origin = f"{node.source.file}:{line}:{column}"
    return Authored(id=rule.id, place=rule.place, text=text, origin=origin, compiled=text)


def _declared(old: JsonObject, new: JsonObject) -> Iterator[Declared]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if name == "parameters":
            yield from _parameters(before, after)
        elif name == "controls":
            yield from named_changes("control", _called(before), _called(after))
        else:
            for pointer, one, other in differences(before, after):
                yield Declared(part=name, name="", pointer=pointer, old=one, new=other)


def _called(controls: JsonValue) -> JsonValue:
    """Return clauses with their id as their name."""
    listed = controls if isinstance(controls, list) else []
    return [{**item, "name": item.get("id")} for item in listed if isinstance(item, dict)]


def _parameters(old: JsonValue, new: JsonValue) -> Iterator[Declared]:
    sides = [dict(side) if isinstance(side, dict) else {} for side in (old, new)]
    before, after = (side.pop("properties", {}) for side in sides)
    for pointer, one, other in differences(sides[0], sides[1]):
        yield Declared(part="parameters", name="", pointer=pointer, old=one, new=other)
    declared = [side if isinstance(side, dict) else {} for side in (before, after)]
    for name in dict.fromkeys((*declared[0], *declared[1])):
        for pointer, one, other in differences(declared[0].get(name), declared[1].get(name)):
            yield Declared(part="parameter", name=name, pointer=pointer, old=one, new=other)
