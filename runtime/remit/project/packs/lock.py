"""`packs.lock.yaml`: which digests of its packs a project was reviewed with.

Rules
1. A build refuses a pack that the lock does not name, or names with another digest.
2. The lock is written by `remit packs update` alone, on the owner's word, and read strictly.
3. A project inside the pack that it uses (a fixture) needs no entry: both change together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.faults import DIGEST, SHAPES
from remit.document.yaml_text import write_yaml
from remit.project.source import FaultList, Node, check_keys, kind_of, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from remit.document.values import JsonObject

LOCK_FILE = "packs.lock.yaml"
_SPEC = "remit/1/packs-lock"
_KEYS = ("name", "path", "version", "digest", "evidence")
_REQUIRED = ("name", "version", "digest", "evidence")
_HEAD = b"# Written by `remit packs update`, read by every build; keep it under version control.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEntry:
    """A reviewed pack.

    Args:
        name: its name.
        path: as agent.yaml names it; empty for one that comes with Remit.
        version: its version.
        digest: of what it says.
        evidence: of its page and its fixtures with their cases.
    """

    name: str
    path: str
    version: str
    digest: str
    evidence: str

    def to_json(self) -> JsonObject:
        """Return the entry as a JSON object with stable keys."""
        value: JsonObject = {"name": self.name}
        if self.path:
            value["path"] = self.path
        return {**value, "version": self.version, "digest": self.digest, "evidence": self.evidence}


def read_lock(folder: Path, *, faults: FaultList) -> tuple[LockEntry, ...]:
    """Read a project's lock; empty where it has none.

    Args:
        folder: the project folder.
        faults: receives whatever is wrong.

    Raises:
        DocumentError: the file is no strict YAML.
    """
    if not (folder / LOCK_FILE).exists():
        return ()
    root = read_yaml(folder, LOCK_FILE)
    keys = ("spec", "packs")
    if not check_keys(root, known=keys, required=keys, what=LOCK_FILE, faults=faults):
        return ()
    members = root.object() or {}
    if members.get("spec") != _SPEC or not isinstance(members.get("packs"), list):
        faults.add(root.fault(f"`{LOCK_FILE}` is no `{_SPEC}`", "write it anew with `remit packs update`"))
        return ()
    found = (_entry(node, faults=faults) for node in root.member("packs").items())
    return tuple(entry for entry in found if entry is not None)


def _entry(node: Node, *, faults: FaultList) -> LockEntry | None:
    if not check_keys(node, known=_KEYS, required=_REQUIRED, what="a pinned pack", faults=faults):
        return None
    members = node.object() or {}
    texts: dict[str, str] = {}
    for key, value in members.items():
        if key in _KEYS and not isinstance(value, str):
            faults.add(node.member(key).fault(f"`{key}` is {kind_of(value)}, not a text", "put it in quotes"))
        elif key in ("digest", "evidence") and DIGEST.fullmatch(str(value)) is None:
            faults.add(node.member(key).fault(f"`{key}` is `{value}`, not {SHAPES[DIGEST]}"))
        elif isinstance(value, str):
            texts[key] = value
    if not {*_REQUIRED} <= texts.keys():
        return None
    return LockEntry(
        name=texts["name"],
        path=texts.get("path", ""),
        version=texts["version"],
        digest=texts["digest"],
        evidence=texts["evidence"],
    )


def lock_bytes(entries: Iterable[LockEntry]) -> bytes:
    """Return the lock file's text."""
    ordered = sorted(entries, key=lambda entry: (entry.name, entry.path))
    return _HEAD + write_yaml({"spec": _SPEC, "packs": [entry.to_json() for entry in ordered]})
