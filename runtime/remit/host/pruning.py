"""Pruning the log: what may go, judged before anything does.

Rules
1. The log is cut at a signed checkpoint, at or before what was asked for, and only while it verifies: a log
   that is damaged is evidence, and pruning would launder it.
2. Refused are: a record that is younger than its class and the floor allow; a record that a legal hold
   covers, or that places one; an intent without an outcome; a record of a run that has not ended; what a
   vendor may still keep of a run. The refusal names the record and the reason.
3. The archive, where one is asked for, is on the disk and verified before anything is dropped; its digest
   stands in the record of the pruning.
4. Judgement and pruning see one log: where it has grown in between, holds and runs are looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from remit.document.merkle import leaf_hash
from remit.errors import EvaluationError, HeadMovedError, LedgerError
from remit.host.holds import held_record, standing_holds
from remit.host.retention import LIVING, after
from remit.host.vendor_objects import find_leftovers
from remit.ledger.archive import read_archive, write_archive
from remit.ledger.encoding import decode_record
from remit.ledger.pruned import Start
from remit.ledger.pruning import Cut, PrunableLedger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.host.retention_rules import RetentionRules
    from remit.host.stores import Store
    from remit.ledger.archive import Segment
    from remit.ledger.report import LogReport
    from remit.records import Receipt, Record

_ATTEMPTS = 64


@runtime_checkable
class PrunableStore(PrunableLedger, Protocol):
    """A prunable ledger that can be verified as a whole."""

    def verify(self, *, keys: Iterable[str] = (), held: Iterable[str] = ()) -> LogReport:
        """Verify the whole log."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What was pruned.

    Args:
        first: index of the first record that went.
        before: index of the first record that is still there.
        archive: digest of the archive; empty where there is none.
        record: digest of the record of the pruning.
    """

    first: int
    before: int
    archive: str
    record: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "first": self.first,
            "before": self.before,
            "records": self.before - self.first,
            "archive": self.archive,
            "record": self.record,
        }


def index_at(store: Store, time: str) -> int:
    """Return the index of the first record that was made at `time` or later; all are older than it before."""
    for record in store.records():
        if str(record.value.get("at")) >= time:
            return record.index
    return _prunable(store).size()


def prune(
    store: Store,
    rules: RetentionRules,
    *,
    wanted: int,
    now: str,
    by: str,
    reason: str,
    archive: Path | None = None,
) -> Pruning:
    """Prune the records before `wanted`, or before the last checkpoint up to there.

    Args:
        store: a store that can be pruned.
        rules: how long records are kept.
        wanted: index of the first record to keep.
        now: RFC 3339 UTC time with milliseconds.
        by: who prunes.
        reason: why.
        archive: where what goes is kept; None for nowhere.

    Raises:
        EvaluationError: it may not be pruned, or there is nothing to prune; names record and reason.
        LedgerError: the store cannot be pruned, does not verify, or cannot be read or written; nothing was
            dropped.
    """
    ledger = _prunable(store)
    before = ledger.cut_before(max(wanted, 0))
    if before <= 0:
        raise EvaluationError(
            f"there is nothing to prune before record {wanted}: "
            "no checkpoint signs a part of the log up to there"
        )
    report = ledger.verify()
    if not report.intact:
        raise LedgerError(
            f"the log does not verify, so nothing of it is pruned: {report.findings[0]}; "
            "run `remit ledger verify`"
        )
    segment = ledger.segment(before)
    said = segment.verify()
    if not said.intact:
        raise LedgerError(f"what would be pruned does not verify on its own: {said.findings[0]}")
    peaks, _ = segment.start.peaks.extend(leaf_hash(row.leaf) for row in segment.records)
    start = Start(peaks=peaks, heads=said.heads)
    size = ledger.size()
    _require_prunable(store, segment, rules, now=now)
    digest = "" if archive is None else _archived(archive, segment)
    for _ in range(_ATTEMPTS):
        try:
            cut = Cut(start=start, size=size, by=by, reason=reason, archive=digest)
            receipt: Receipt = ledger.prune(cut)
        except HeadMovedError:
            size = ledger.size()
            _require_prunable(store, segment, rules, now=now)
            continue
        return Pruning(first=segment.start.index, before=before, archive=digest, record=receipt.digest)
    raise LedgerError(
        f"the log grew {_ATTEMPTS} times while it was to be pruned: try again when it is quieter"
    )


def _prunable(store: Store) -> PrunableStore:
    if not isinstance(store, PrunableStore):
        raise LedgerError("this store cannot be pruned")
    return store


def _archived(path: Path, segment: Segment) -> str:
    digest = write_archive(path, segment)
    # What is on the disk is what must verify once the rows are gone.
    report = read_archive(path).verify(keys=segment.verifier_keys)
    if not report.intact or report.size != len(segment.records):
        raise LedgerError(f"the archive `{path}` does not verify, so nothing is pruned")
    return digest


def _require_prunable(store: Store, segment: Segment, rules: RetentionRules, *, now: str) -> None:
    """Refuse what rule 2 refuses.

    Raises:
        EvaluationError: names the first record that must stay, and why.
    """
    before = segment.start.index + len(segment.records)
    found = list(_obstacles(store, segment, rules, now=now))
    if not found:
        return
    index, why = min(found)
    raise EvaluationError(
        f"the log cannot be pruned before record {before}: record {index} {why}"
        + (f"; it can be pruned before record {index} at most" if index > segment.start.index else "")
    )


def _obstacles(
    store: Store, segment: Segment, rules: RetentionRules, *, now: str
) -> Iterator[tuple[int, str]]:
    before = segment.start.index + len(segment.records)
    holds = standing_holds(store)
    living = {run.run: status for status in LIVING for run in store.runs(status=status)}
    left = {leftover.run for leftover in find_leftovers(store)}
    for record in store.unfinished():
        if record.index < before:
            yield record.index, "is an intent without an outcome: nobody knows yet what became of it"
    for record in _records(segment):
        why = _age(record, rules, now=now)
        if why:
            yield record.index, why
        run = str(record.value.get("run"))
        if run in living:
            yield record.index, f"belongs to run `{run}`, which is {living[run].replace('_', ' ')}"
        if run in left:
            yield record.index, f"belongs to run `{run}`, of which a vendor may still keep something"
        hold = held_record(holds, record)
        if hold is not None:
            yield record.index, f"is kept: {hold}"


def _records(segment: Segment) -> Iterator[Record]:
    for row in segment.records:
        yield decode_record(row.leaf, salt=row.salt, content=row.content)


def _age(record: Record, rules: RetentionRules, *, now: str) -> str:
    category = rules.of(str(record.value.get("kind")))
    due = after(str(record.value.get("at")), category.records_days)
    if due <= now:
        return ""
    return f"is kept until {due}: class `{category.name}` keeps records {category.records_days} days"
