"""What stands in the place of a pruned prefix: its signed subtree hashes and where the agents' heads were.

Rules
1. A log is pruned at a signed checkpoint. The record of the pruning is a leaf like any other: it says before
   which index, gives the peaks of the tree there, and where each agent's head was by the records before it.
2. A prefix that is not there is explained by the record with the largest index to prune before, and only
   where it says exactly that prefix; rows that are missing beyond it, or lie there in spite
   of it, are findings.
3. The peaks are believed as far as the root over them and the records that are there is the signed one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from remit.ledger.report import RecordedHead
from remit.ledger.tree import Peaks

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

PRUNE: Final = "prune"
"""`body.operation` of the record that says what was pruned."""

_HASH_DIGITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a log, or a segment of one, begins.

    Args:
        peaks: the tree before its first record.
        heads: where the records before it say that each agent's head was.
    """

    peaks: Peaks = field(default_factory=Peaks)
    heads: tuple[RecordedHead, ...] = ()

    @property
    def index(self) -> int:
        """Index of its first record."""
        return self.peaks.size

    def to_json(self) -> JsonObject:
        """Return it as members of a record's body: `before`, `peaks` and `heads`."""
        heads: list[JsonValue] = [
            {"agent": head.agent, "revision": head.revision, "index": head.index, "moved": head.moved}
            for head in self.heads
        ]
        return {
            "before": self.peaks.size,
            "peaks": [digest.hex() for digest in self.peaks.digests],
            "heads": heads,
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> Start | None:
        """Read what `to_json` wrote; None where it is nothing that it would write."""
        before, peaks, heads = value.get("before"), value.get("peaks"), value.get("heads")
        if (
            type(before) is not int
            or before < 0
            or not isinstance(peaks, list)
            or not isinstance(heads, list)
        ):
            return None
        digests = [_digest(item) for item in peaks]
        found = [_head(item) for item in heads]
        if len(digests) != before.bit_count() or None in digests or None in found:
            return None
        return cls(
            peaks=Peaks(size=before, digests=tuple(item for item in digests if item is not None)),
            heads=tuple(item for item in found if item is not None),
        )


def _digest(value: JsonValue) -> bytes | None:
    if not isinstance(value, str) or len(value) != _HASH_DIGITS:
        return None
    try:
        return bytes.fromhex(value)
    except ValueError:
        return None


def _head(value: JsonValue) -> RecordedHead | None:
    members = value if isinstance(value, dict) else {}
    agent, revision, index = members.get("agent"), members.get("revision"), members.get("index")
    moved = members.get("moved")
    if not isinstance(agent, str) or not isinstance(revision, str):
        return None
    if type(index) is not int or not isinstance(moved, bool):
        return None
    return RecordedHead(
        agent=agent, revision=revision, index=index, moved=moved, earlier=MappingProxyType({})
    )
