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
class Complete:
    """Up to where a bundle was shown to hold all records of the agent in its time.

    Args:
        record: index of the last record of the log that was looked at.
        at: its time, RFC 3339 UTC.
        size: number of records that the checkpoint signs.
        whole_time: whether a record beyond the time follows; without one, nothing is said about what was
            written after the checkpoint.
    """

    record: int
    at: str
    size: int
    whole_time: bool

    def __str__(self) -> str:
        if self.whole_time:
            return (
                f"complete: all records of the agent in this time, up to record {self.record} ({self.at}); "
                f"record {self.record + 1} lies beyond"
            )
        return (
            f"complete up to record {self.record} ({self.at}), the last of the checkpoint "
            f"of {self.size} records; what was written later is not shown"
        )

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {"record": self.record, "at": self.at, "size": self.size, "whole_time": self.whole_time}


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
        complete: up to where it was shown that these are all records of the agent in this time; None where
            it was not.
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
    complete: Complete | None
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
            "complete": self.complete is not None,
            "complete_up_to": None if self.complete is None else self.complete.to_json(),
            "held": [*self.held],
            "witnessed_size": self.witnessed_size,
            "timestamps": [one.to_json() for one in self.times],
            "findings": found,
            "remarks": [*self.remarks],
        }
