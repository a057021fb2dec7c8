"""What a check of a bundle found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.evidence.timestamps import CheckpointTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a bundle.

    Args:
        place: the file, or `record N`.
        problem: lower case, no full stop.
    """

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceReport:
    """What a check found.

    Args:
        agent: whose records.
        since: first moment; empty for the beginning.
        until: first moment after; empty for the end.
        origin: name of the log.
        size: number of records that the checkpoint signs.
        root: its root.
        key_brought: whether the verifier brought the key that signed it.
        records: how many lines there are.
        counts: records of the agent by kind.
        decided: decisions that were decided again as recorded.
        undecided: why others were not, with how many.
        complete: whether it was shown that these are all records of the agent in this time.
        held: sizes of held checkpoints that lead to this one.
        witnessed_size: size of the largest of them that enough witnesses cosigned; 0 where none was
            asked for.
        times: what outside authorities signed about the checkpoints.
        findings: everything that is wrong.
        remarks: what a reader must know, one sentence each.
    """

    agent: str
    since: str
    until: str
    origin: str
    size: int
    root: bytes
    key_brought: bool
    records: int
    counts: dict[str, int]
    decided: int
    undecided: dict[str, int]
    complete: bool
    held: tuple[int, ...]
    witnessed_size: int
    times: tuple[CheckpointTime, ...]
    findings: tuple[Problem, ...]
    remarks: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.findings

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        found: list[JsonValue] = [{"place": one.place, "problem": one.problem} for one in self.findings]
        return {
            "holds": self.holds,
            "agent": self.agent,
            "from": self.since,
            "to": self.until,
            "origin": self.origin,
            "size": self.size,
            "root": f"sha256:{self.root.hex()}",
            "key": "brought" if self.key_brought else "own",
            "records": self.records,
            "counts": dict(sorted(self.counts.items())),
            "decided": self.decided,
            "undecided": dict(sorted(self.undecided.items())),
            "complete": self.complete,
            "held": [*self.held],
            "witnessed_size": self.witnessed_size,
            "timestamps": [one.to_json() for one in self.times],
            "findings": found,
            "remarks": [*self.remarks],
        }
