"""`packs:` of agent.yaml: each use is found, held against its pin, filled in and put among the rules.

packs:
  - name: data-residency        # one that comes with Remit, at exactly this version
    version: 1.0.0
    with: {regions: [EU]}
  - path: ../our-pack           # or a folder
    as: refunds                 # what its rules are called after; else the pack's name
    with: {tools: [refund]}
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from remit.document.faults import DIGEST, PACK_NAME, SHAPES
from remit.errors import DocumentError, Fault
from remit.policy.packs.expansion import Expansion, expand, parameter_faults
from remit.policy.packs.placeholders import SubstitutedOrigin
from remit.project.origins import OriginMap, text_origin
from remit.project.packs.folder import read_pack
from remit.project.packs.lock import LOCK_FILE, LockEntry, read_lock
from remit.project.packs.requires import unmet
from remit.project.packs.sources import shipped_pack
from remit.project.source import FaultList, Node, check_keys, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.values import JsonObject, JsonValue
    from remit.project.agent_file import AgentParts
    from remit.project.packs.folder import PackFolder

_KEYS = ("name", "path", "version", "digest", "as", "with")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackUse:
    """A use of a pack in agent.yaml.

    Args:
        node: where it stands.
        found: the pack.
        path: as agent.yaml names it; empty for one that comes with Remit.
        alias: what its rules are called after.
        given: the values of `with`.
    """

    node: Node
    found: PackFolder
    path: str
    alias: str
    given: JsonObject

    def entry(self) -> LockEntry:
        """Return the lock entry for the pack as it is now.

        Raises:
            DocumentError: its fixtures cannot be read.
        """
        pack = self.found.pack
        return LockEntry(
            name=pack.name,
            path=self.path,
            version=pack.version,
            digest=pack.digest,
            evidence=self.found.evidence(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPack:
    """A pack whose rules stand in a built document.

    Args:
        use: how agent.yaml uses it.
        expansion: what it came to.
        evidence: digest of page and fixtures that the lock names; empty where it names none.
    """

    use: PackUse
    expansion: Expansion
    evidence: str


def read_uses(root: Node, *, folder: Path, faults: FaultList) -> tuple[PackUse, ...]:
    """Read `packs:` of agent.yaml and the packs that it names.

    Args:
        root: agent.yaml's whole value.
        folder: the project folder.
        faults: receives whatever is wrong.
    """
    if "packs" not in (root.object() or {}):
        return ()
    node = root.member("packs")
    if not isinstance(node.value, list):
        faults.add(node.fault(f"`packs` is {kind_of(node.value)}, not a list", "begin each with `- name: `"))
        return ()
    uses: list[PackUse] = []
    for item in node.items():
        use = _use(item, folder=folder, faults=faults)
        if use is None:
            continue
        if use.alias in (other.alias for other in uses):
            message = f"two packs call their rules `{use.alias}.…`"
            faults.add(item.fault(message, "give one of them another name with `as:`"))
        uses.append(use)
    return tuple(uses)


def _use(node: Node, *, folder: Path, faults: FaultList) -> PackUse | None:
    if not check_keys(node, known=_KEYS, what="a use of a pack", faults=faults):
        return None
    members = node.object() or {}
    before = len(faults.faults)
    _shapes(node, members, faults=faults)
    if len(faults.faults) > before:
        return None
    path = str(members.get("path", ""))
    try:
        found = (
            read_pack(folder / path, label=_label(folder, path))
            if path
            else shipped_pack(str(members["name"]))
        )
    except DocumentError as error:
        for fault in error.faults:
            faults.add(fault if fault.line else node.fault(fault.message, fault.hint))
        return None
    pack = found.pack
    for key, held in (("name", pack.name), ("version", pack.version), ("digest", pack.digest)):
        if key in members and members[key] != held:
            message = f"the pack `{pack.name}` has the {key} `{held}`, not `{members[key]}`"
            hint = "read what changed before you write the new one here"
            faults.add(node.member(key).fault(message, hint))
    return PackUse(
        node=node,
        found=found,
        path=path,
        alias=str(members.get("as", pack.name)),
        given=cast("JsonObject", members.get("with", {})),
    )


def _label(folder: Path, path: str) -> str:
    """Return how faults call a pack's folder, which may lie outside of the project's."""
    return Path(os.path.normpath(folder / path)).as_posix()


def _shapes(node: Node, members: JsonObject, *, faults: FaultList) -> None:
    for key in ("name", "path", "version", "digest", "as"):
        if key in members and (not isinstance(members[key], str) or not members[key]):
            faults.add(
                node.member(key).fault(f"`{key}` is {kind_of(members[key])}", "write a text, in quotes")
            )
    if "name" not in members and "path" not in members:
        faults.add(node.fault("a use of a pack names none", "write `name:` and `version:`, or `path:`"))
    elif "path" not in members and not {"version", "digest"} & members.keys():
        faults.add(
            node.fault("a pack that is used by name needs its version", "add such as `version: 1.0.0`")
        )
    alias, digest = members.get("as"), members.get("digest")
    if isinstance(alias, str) and PACK_NAME.fullmatch(alias) is None:
        faults.add(node.member("as").fault(f"`as` is `{alias}`, not {SHAPES[PACK_NAME]}"))
    if isinstance(digest, str) and DIGEST.fullmatch(digest) is None:
        faults.add(node.member("digest").fault(f"`digest` is `{digest}`, not {SHAPES[DIGEST]}"))
    if not isinstance(members.get("with", {}), dict):
        message = f"`with` is {kind_of(members['with'])}, not a mapping"
        faults.add(node.member("with").fault(message, "write such as `with: {regions: [EU]}`"))


def use_packs(root: Node, parts: AgentParts, *, folder: Path, faults: FaultList) -> tuple[UsedPack, ...]:
    """Expand every pack of agent.yaml into the document's fields, after the project's own rules.

    Args:
        root: agent.yaml's whole value.
        parts: the fields so far; receive rules, pins and origins.
        folder: the project folder.
        faults: receives whatever is wrong.
    """
    uses = read_uses(root, folder=folder, faults=faults)
    try:
        lock = read_lock(folder, faults=faults) if uses else ()
    except DocumentError as error:
        faults.extend(error)
        return ()
    used: list[UsedPack] = []
    pins: list[JsonValue] = []
    for use in uses:
        evidence = _held(use, lock, folder=folder, faults=faults)
        if not _values_fit(use, faults=faults):
            continue
        expansion = expand(use.found.pack, alias=use.alias, given=use.given)
        _require(use, expansion, parts, faults=faults)
        _refuse_empty(use, expansion, faults=faults)
        place_rules(use.found, expansion, parts.governance, parts.capabilities, parts.origins)
        parts.origins.map(f"/governance/packs/{len(pins)}", use.node)
        pins.append(pin_value(use.found, use.alias, expansion))
        used.append(UsedPack(use=use, expansion=expansion, evidence=evidence))
    if pins:
        parts.governance["packs"] = pins
    return tuple(used)


def pin_value(found: PackFolder, alias: str, expansion: Expansion) -> JsonObject:
    """Return the pin of a pack as the document holds it."""
    pack = found.pack
    pin: JsonObject = {"name": pack.name, "version": pack.version, "digest": pack.digest}
    if alias != pack.name:
        pin["as"] = alias
    return {**pin, "parameters": expansion.values}


def _held(use: PackUse, lock: Sequence[LockEntry], *, folder: Path, faults: FaultList) -> str:
    """Hold a pack against its pin; return the evidence that was reviewed, where the lock names it."""
    pack = use.found.pack
    entry = next((item for item in lock if (item.name, item.path) == (pack.name, use.path)), None)
    if entry is not None and entry.digest != pack.digest:
        faults.add(
            use.node.fault(
                f"the pack `{pack.name}` says something else than when it was pinned: "
                f"its digest is {pack.digest}, `{LOCK_FILE}` has {entry.digest}",
                "read what changed, then pin it with `remit packs update`",
            )
        )
    pinned = entry is not None or "digest" in (use.node.object() or {})
    if not pinned and not folder.resolve().is_relative_to(use.found.folder.resolve()):
        faults.add(
            use.node.fault(
                f"the pack `{pack.name}` is not pinned: `{LOCK_FILE}` does not name it",
                "read the pack, then pin it with `remit packs update`",
            )
        )
    return "" if entry is None else entry.evidence


def _values_fit(use: PackUse, *, faults: FaultList) -> bool:
    wrong = parameter_faults(use.found.pack, use.given)
    for fault in wrong:
        node = use.node.member("with") if "with" in (use.node.object() or {}) else use.node
        line, column = node.source.place(node.pointer + fault.path)
        faults.add(
            Fault(message=fault.message, file=node.source.file, line=line, column=column, hint=fault.hint)
        )
    return not wrong


def _require(use: PackUse, expansion: Expansion, parts: AgentParts, *, faults: FaultList) -> None:
    lacks = unmet(
        use.found.pack,
        expansion.values,
        governance=parts.governance,
        tools=parts.capabilities.get("tools"),
        blocks=parts.memory.get("blocks"),
    )
    for what, hint in lacks:
        if any(f"`{name}`" in what for name in parts.unread):
            continue
        faults.add(use.node.fault(f"the pack `{use.found.pack.name}` cannot be used: {what}", hint))


def _refuse_empty(use: PackUse, expansion: Expansion, *, faults: FaultList) -> None:
    if not expansion.rules:
        message = f"the pack `{use.found.pack.name}` brings no rule with these values"
        faults.add(use.node.fault(message, "give it a parameter that its rules are about"))


def place_rules(
    found: PackFolder,
    expansion: Expansion,
    governance: JsonObject,
    capabilities: JsonObject,
    origins: OriginMap,
) -> None:
    """Put expanded rules at the places that they name, with the origins of their texts."""
    for rule in expansion.rules:
        place = rule.source.place
        holder, pointer = (
            (capabilities, "/capabilities") if place == "dispatch" else (governance, "/governance")
        )
        rules = cast("list[JsonValue]", holder.setdefault(place, []))
        where = f"{pointer}/{place}/{len(rules)}"
        node = found.nodes[rule.source.id]
        origins.map(where, node)
        for member, written in rule.substitutions.items():
            start = text_origin(node.member(member))
            origins.places[f"{where}/{member}"] = SubstitutedOrigin(
                file=start.file,
                line=start.line,
                column=start.column,
                indent=start.indent,
                substitution=written,
            )
        rules.append(rule.value)
