"""What a verification reads and what it says: raw rows in, findings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ERASE_CONTENT: Final = "erase_content"
"""`body.operation` of the record that says whose content was erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecord:
    """One stored row, exactly as it lies there but for a seal, which is opened.

    Args:
        index: the row's position.
        leaf: the leaf bytes.
        kind: search column beside the leaf.
        agent: like `kind`.
        run: like `kind`.
        salt: None where there is none.
        content: None where there is none.
        key_gone: whether salt and content lie there, sealed under a key that was destroyed: they are erased.
    """

    index: int
    leaf: bytes
    kind: str
    agent: str
    run: str
    salt: bytes | None = None
    content: bytes | None = None
    key_gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNote:
    """A checkpoint as it lies in the store.

    Args:
        number: its place among the checkpoints, from 0, without gaps.
        size: the size column beside the note.
        note: the signed note.
    """

    number: int
    size: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a log.

    Args:
        index: the (first) record concerned; None for the log as a whole.
        problem: lower case, no full stop.
        hint: what it means or what to do; may be empty.
        last: the last record concerned, where it is a range.
    """

    index: int | None
    problem: str
    hint: str = ""
    last: int | None = None

    def __str__(self) -> str:
        if self.index is None:
            place = "log"
        elif self.last is None or self.last == self.index:
            place = f"record {self.index}"
        else:
            place = f"records {self.index} to {self.last}"
        text = f"{place}: {self.problem}"
        return f"{text}; {self.hint}" if self.hint else text


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedHead:
    """Where an agent's head is by what the records say; the store's own tables are held against it.

    Args:
        agent: agent id.
        revision: the revision that the last `revision` record moved the head to.
            Where there is none, the revision that the last decision was made upon.
        index: the record that says so.
        moved: whether a `revision` record says so.
        earlier: revisions that the head left, each with the last record that speaks of it as the head.
    """

    agent: str
    revision: str
    index: int
    moved: bool
    earlier: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What a verification found.

    Args:
        origin: name of the log.
        size: number of rows there are.
        signed_size: size of the largest checkpoint that verifies; 0 where there is none.
        root: recomputed root over the rows, 32 bytes.
        checkpoints: how many checkpoints verified.
        findings: everything that is wrong, in log order; empty for an intact log.
        erased: indices of records whose content was erased, on the record or with the key that sealed it.
        unfinished: indices of intents without an outcome.
        heads: where the records say that each agent's head is.
        witnessed_size: size of the largest held checkpoint that enough witnesses cosigned; 0 where there is
            none or none was asked for.
        complete_from: index of the first record that is there; what lies before was pruned on the record.
    """

    origin: str
    size: int
    signed_size: int
    root: bytes
    checkpoints: int
    findings: tuple[Finding, ...]
    erased: tuple[int, ...] = ()
    unfinished: tuple[int, ...] = ()
    heads: tuple[RecordedHead, ...] = ()
    witnessed_size: int = 0
    complete_from: int = 0

    @property
    def intact(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.findings
