"""The parts of a Letta bundle, which its agents name by ids of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.exchange.members import ForeignObject
from remit.exchange.remnants import listed, lose_together

if TYPE_CHECKING:
    from remit.document.values import JsonValue
    from remit.exchange.members import Findings

KINDS = (
    "blocks",
    "tools",
    "mcp_servers",
    "files",
    "sources",
    "skills",
    "groups",
    "passages",
    "archival_memory",
    "archival_passages",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part with its place.

    Args:
        pointer: where it stands.
        value: what stands there.
        name: its name where that stands beside it, such as the name of a member.
    """

    pointer: str
    value: JsonValue
    name: str = ""

    def text(self, member: str) -> str:
        """Return a text member as it is; empty where it is none. Faults are for the reader of the part."""
        found = self.value.get(member) if isinstance(self.value, dict) else None
        return found if isinstance(found, str) else ""


class Parts:
    """All parts of a bundle; none of a file that holds one agent alone.

    Args:
        root: the whole file.
        bundled: whether it is a bundle.
    """

    def __init__(self, root: ForeignObject, *, bundled: bool) -> None:
        self._root = root
        self._parts: dict[str, list[Part]] = {kind: [] for kind in KINDS}
        self._named: set[str] = set()
        self._by_id: dict[tuple[str, str], Part] = {}
        self.revision = ""
        if not bundled:
            return
        for kind in KINDS:
            self._parts[kind] = [Part(pointer=where, value=value) for where, value in root.items(kind)]
            # Where two parts share an id the first one counts.
            self._by_id.update({(kind, part.text("id")): part for part in reversed(self._parts[kind])})
        for agent in root.objects("agents"):
            for member in ("tool_ids", "block_ids"):
                self._named.update(part_id for _, part_id in agent.texts(member))
        metadata = root.object("metadata")
        if metadata is not None:
            self.revision = metadata.text("revision_id")

    def all(self, kind: str) -> list[Part]:
        """Return every part of a kind."""
        return self._parts.get(kind, [])

    def get(self, kind: str, part_id: str) -> Part | None:
        """Return the part of an id, or None."""
        return self._by_id.get((kind, part_id))

    def groups_of(self, agent_id: str, findings: Findings) -> list[str]:
        """Return the pointers of the groups to which an agent belongs."""
        found: list[str] = []
        for part in self.all("groups"):
            group = ForeignObject(part.value, part.pointer, findings)
            members = {member for _, member in group.texts("agent_ids")}
            config = group.object("manager_config")
            manager = "" if config is None else config.text("manager_agent_id")
            if agent_id and agent_id in (*members, manager):
                found.append(part.pointer)
        return found

    def remark_on_rest(self, findings: Findings) -> None:
        """Remark on members of the file that belong to no agent."""
        root = ForeignObject(self._root.value, "", findings)
        known = {"agents", "metadata", "created_at", *KINDS}
        lose_together(root, [name for name in root.value if name not in known], "not known to this importer")
        for kind in ("blocks", "tools"):
            unused = [part for part in self.all(kind) if part.text("id") not in self._named]
            if unused:
                names = listed(part.text("label") or part.text("name") or part.pointer for part in unused)
                findings.lost(f"/{kind}", f"no agent of the file uses {names} of `{kind}`")
