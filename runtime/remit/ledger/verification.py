"""Verification of a whole log: a pure function over raw rows, by somebody who believes nobody.

What decides is the signed checkpoint: everything unsigned beside it can be recomputed by an insider.
Everything found is a value (`Finding`); nothing is raised for a log that is wrong.

Rules
1. Every checkpoint must be signed by a key that the verifier brings, and speak about this log.
2. The largest such checkpoint must cover exactly the records there are: fewer records = the tail was cut,
   more = records nobody signed for.
3. The root over the leaf bytes must equal the signed root, at every signed size.
4. Where it does not, the damage is searched from the signed root downwards.
   A stored or recomputed pair of child hashes is believed when it hashes to its believed parent.
   A record whose believed leaf hash differs is named.
   Where stored hashes were changed as well, the smallest range that contains the damage is named instead.
5. Salt and content must be what the leaf commits to; missing content needs a record that says it was erased.
6. Where the verifier names witnesses, a held checkpoint must carry enough of their cosignatures.
7. Where the log's beginning was pruned on the record, what that record holds stands for it (`pruned`).
   A checkpoint kept elsewhere that is smaller than what was pruned cannot be held against it, and is named.
8. The `revision` records of an agent form one chain: each moves the head from where the one before left it.

Limits: somebody with the signing key can write and sign another log.
Only a checkpoint kept elsewhere (`held`) shows that, and a tail that was cut together with its checkpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import LedgerError
from remit.ledger.checkpoint import Checkpoint, VerifierKey, parse_checkpoint, verify_checkpoint
from remit.ledger.damage import Damage, LogTree, locate_damage
from remit.ledger.report import Finding, LogReport, RawRecord, StoredNote
from remit.ledger.rows import Rows
from remit.ledger.tree import EMPTY_ROOT, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from remit.ledger.cosignature import Quorum
    from remit.ledger.pruned import Start

__all__ = ["Finding", "LogReport", "verify_log"]


def verify_log(
    records: Iterable[RawRecord],
    *,
    checkpoints: Iterable[StoredNote],
    verifier_keys: Sequence[VerifierKey],
    origin: str,
    nodes: Iterable[Node] | None = None,
    held: Iterable[str] = (),
    quorum: Quorum | None = None,
    segment: Start | None = None,
) -> LogReport:
    """Check every record of a log against its signed checkpoints and name everything that is wrong.

    Args:
        records: all rows in order of their index.
        checkpoints: all stored checkpoints in order.
        verifier_keys: keys that may sign this log's checkpoints; from the verifier's side.
        origin: the name the log goes by.
        nodes: all stored tree nodes in any order; None where there are none to check.
        held: notes of this log that were kept elsewhere.
        quorum: witnesses of whom enough must have cosigned one of `held`.
        segment: what the rows begin with, where they are a segment of the log, such as an archive; the
            largest checkpoint then covers the segment. None for a log.
    """
    findings: list[Finding] = []
    held = tuple(held)
    numbers: list[int] = []
    signed = _signed(checkpoints, verifier_keys, origin, findings, numbers)
    kept = _kept(held, verifier_keys, origin, findings)
    witnessed = 0 if quorum is None else _witnessed(held, kept, quorum, findings)
    trusted = max(signed, key=lambda checkpoint: checkpoint.size, default=None)
    rows = Rows(limit=trusted.size if trusted else 0, segment=segment)
    for row in records:
        rows.add(row)
    start = rows.start()
    findings.extend(rows.findings)
    findings.extend(rows.prefix_findings())
    findings.extend(_first_note(numbers, signed, start, segment))
    findings.extend(_pruned_away(signed, kept, start))
    signed = [checkpoint for checkpoint in signed if checkpoint.size >= start.index]
    kept = [checkpoint for checkpoint in kept if checkpoint.size >= start.index]
    rows.heads.begin_with(start.heads)
    tree = LogTree(leaves=rows.leaves, stored=nodes, pruned=start.peaks)
    findings.extend(_coverage(trusted, rows))
    damages = _damages(tree, trusted, [*signed, *kept], rows)
    findings.extend(_explain(damages, rows))
    findings.extend(_forks(tree, signed, kept, damages, rows=rows, start=start.index))
    findings.extend(_node_findings(tree, damages, rows, trusted.size if trusted else 0))
    findings.extend(rows.content_findings())
    if trusted is not None and not findings and tree.root(trusted.size) != trusted.root:
        findings.append(Finding(index=None, problem="the root over the records is not the signed root"))
    if not findings:
        # Records that are damaged are no witnesses of where a head was.
        findings.extend(rows.heads.findings)
    peaks = start.peaks
    for leaf in rows.leaves[start.index :]:
        peaks, _ = peaks.append(leaf or EMPTY_ROOT)
    return LogReport(
        origin=origin,
        size=rows.count,
        signed_size=trusted.size if trusted else 0,
        root=peaks.root(),
        checkpoints=len(signed) + len(kept),
        findings=tuple(_in_order(findings)),
        erased=tuple(rows.erased()),
        unfinished=tuple(sorted(rows.intents.values())),
        heads=rows.heads.recorded(),
        witnessed_size=witnessed,
        complete_from=start.index,
    )


def _first_note(
    numbers: list[int], signed: list[Checkpoint], start: Start, segment: Start | None
) -> list[Finding]:
    """Name checkpoints that are missing at the beginning, but for those pruned with their records."""
    first = numbers[0] if numbers else 0
    if segment is not None:
        # A segment brings the checkpoint that it begins with: that of the empty log, or of the cut before.
        whole = bool(signed) and signed[0].size == segment.index
        return [] if whole else [Finding(index=None, problem="its first checkpoint is missing")]
    if not first or (start.index and signed and signed[0].size == start.index):
        return []
    gap = "0" if first == 1 else f"0 to {first - 1}"
    return [Finding(index=None, problem=f"checkpoint {gap} is missing: it was deleted")]


def _pruned_away(signed: list[Checkpoint], kept: list[Checkpoint], start: Start) -> list[Finding]:
    """Name checkpoints about sizes whose tree was pruned: nothing here can be held against them."""
    found = [
        Finding(
            index=None,
            problem=f"the checkpoint of size {checkpoint.size} lies here although what it signs was pruned",
        )
        for checkpoint in signed
        if checkpoint.size < start.index
    ]
    found.extend(
        Finding(
            index=None,
            problem=f"the held checkpoint of size {checkpoint.size} signs what was pruned before record "
            f"{start.index}, so it cannot be checked here",
            hint="hold it against the archive of what was pruned: `remit ledger verify-archive`",
        )
        for checkpoint in kept
        if checkpoint.size < start.index
    )
    return found


def _signed(
    notes: Iterable[StoredNote],
    keys: Sequence[VerifierKey],
    origin: str,
    findings: list[Finding],
    numbers: list[int],
) -> list[Checkpoint]:
    signed: list[Checkpoint] = []
    following = 0
    size = -1
    for stored in notes:
        if not numbers:
            # What is missing before the first is judged once it is known what was pruned.
            following = stored.number
        numbers.append(stored.number)
        if stored.number != following:
            gap = f"{following}" if stored.number == following + 1 else f"{following} to {stored.number - 1}"
            findings.append(Finding(index=None, problem=f"checkpoint {gap} is missing: it was deleted"))
        following = stored.number + 1
        try:
            checkpoint = verify_checkpoint(stored.note, keys, origin=origin)
        except LedgerError as error:
            findings.append(
                Finding(
                    index=None,
                    problem=f"checkpoint {stored.number} of size {stored.size} is not to be trusted: {error}",
                )
            )
            continue
        if checkpoint.size != stored.size:
            findings.append(
                Finding(
                    index=None,
                    problem=f"checkpoint {stored.number} is filed under size {stored.size} but signs size "
                    f"{checkpoint.size}",
                )
            )
        if checkpoint.size < size:
            findings.append(
                Finding(index=None, problem=f"checkpoint {stored.number} is smaller than the one before it")
            )
        size = checkpoint.size
        signed.append(checkpoint)
    if not signed:
        findings.append(
            Finding(
                index=None,
                problem="no checkpoint verifies: nothing says what the log should hold",
                hint="bring the right verifier key, or restore the store from a copy",
            )
        )
    return signed


def _kept(
    held: Iterable[str], keys: Sequence[VerifierKey], origin: str, findings: list[Finding]
) -> list[Checkpoint]:
    kept: list[Checkpoint] = []
    for number, note in enumerate(held, start=1):
        try:
            kept.append(verify_checkpoint(note, keys, origin=origin))
        except LedgerError as error:
            findings.append(
                Finding(index=None, problem=f"held checkpoint {number} is not to be trusted: {error}")
            )
    return kept


def _witnessed(
    held: Sequence[str], kept: Sequence[Checkpoint], quorum: Quorum, findings: list[Finding]
) -> int:
    """Return the largest size that enough witnesses cosigned, and find fault where there is none."""
    problems: list[str] = []
    size = -1
    for note in held:
        try:
            checkpoint = parse_checkpoint(note).checkpoint
            if checkpoint in kept:
                quorum.check(note)
                size = max(size, checkpoint.size)
        except LedgerError as error:
            problems.append(str(error))
    if size < 0:
        why = "; ".join(dict.fromkeys(problems)) or "no checkpoint was brought that could carry cosignatures"
        findings.append(
            Finding(index=None, problem=f"no held checkpoint is cosigned by enough witnesses: {why}")
        )
    return max(size, 0)


def _coverage(trusted: Checkpoint | None, rows: Rows) -> list[Finding]:
    signed_size = trusted.size if trusted else 0
    there = len(rows.leaves)
    if there < signed_size:
        return [
            Finding(
                index=there,
                last=signed_size - 1,
                problem=f"missing: the log was signed with {signed_size} records and ends after {there}",
                hint="the tail was cut",
            )
        ]
    if there > signed_size:
        return [
            Finding(
                index=signed_size,
                last=there - 1,
                problem="not covered by any checkpoint that verifies",
                hint="inserted without the log's key, or its checkpoint was removed",
            )
        ]
    return []


def _damages(tree: LogTree, trusted: Checkpoint | None, others: list[Checkpoint], rows: Rows) -> list[Damage]:
    if trusted is None or tree.root(trusted.size) == trusted.root:
        return []
    intact = max((c.size for c in others if tree.root(c.size) == c.root), default=0)
    broken = min((c.size for c in others if tree.root(c.size) != c.root), default=trusted.size)
    found = locate_damage(tree, trusted)
    narrowed: list[Damage] = []
    for damage in found:
        first = max(damage.first, intact)
        last = damage.last
        if damage.leaf is None and first < broken <= last:
            # The first damage lies below the smallest size whose signed root fails; nothing proves the rest.
            narrowed.append(Damage(first=first, last=broken - 1))
            first = broken
            if first > last:
                continue
            narrowed.append(Damage(first=first, last=last, doubtful=True))
            continue
        narrowed.append(Damage(first=first, last=last, leaf=damage.leaf, doubtful=damage.doubtful))
    there = len(rows.leaves)
    settled: list[Damage] = []
    for damage in narrowed:
        first, last = damage.first, min(damage.last, there - 1)
        if first > last:
            continue
        missing = damage.last >= there or tree.has_gap(first, last)
        # Missing rows explain the mismatch; their neighbours are then not provable rather than changed.
        doubtful = damage.doubtful or (damage.leaf is None and missing)
        settled.append(Damage(first=first, last=last, leaf=damage.leaf, doubtful=doubtful))
    return settled


def _explain(damages: list[Damage], rows: Rows) -> list[Finding]:
    positions = {damage.leaf: damage.first for damage in damages if damage.leaf is not None}
    found: list[Finding] = []
    for damage in damages:
        if damage.doubtful:
            found.append(
                Finding(
                    index=damage.first,
                    last=damage.last,
                    problem="cannot be proved: records beside it are changed or missing, stored hashes too",
                    hint="compare with a copy of the store",
                )
            )
            continue
        if damage.leaf is None:
            one = damage.first == damage.last
            found.append(
                Finding(
                    index=damage.first,
                    last=damage.last,
                    problem="changed, and its stored hash with it: the signed root does not match"
                    if one
                    else "one or more were changed, with stored hashes: the signed root does not match",
                    hint=""
                    if one
                    else "a checkpoint kept elsewhere, or a copy of the store, can narrow it down",
                )
            )
            continue
        leaf = rows.leaves[damage.first]
        if leaf is None:
            continue
        origin = positions.get(leaf)
        found.append(
            Finding(
                index=damage.first,
                problem="changed: its bytes are not those that were signed"
                if origin is None
                else f"changed: it holds the bytes that were signed as record {origin}",
                hint="" if origin is None else "records were swapped, inserted or moved",
            )
        )
    return found


def _forks(
    tree: LogTree,
    signed: list[Checkpoint],
    kept: list[Checkpoint],
    damages: list[Damage],
    *,
    rows: Rows,
    start: int,
) -> list[Finding]:
    """Name checkpoints that fail although no damage that is already named explains it."""
    first_damage = min((damage.first for damage in damages), default=None)
    gap = next((index for index, leaf in enumerate(rows.leaves) if leaf is None and index >= start), None)
    known = min((index for index in (first_damage, gap) if index is not None), default=None)
    found: list[Finding] = []
    for where, checkpoint in [*(("", c) for c in signed), *(("held ", c) for c in kept)]:
        size = checkpoint.size
        if size > len(rows.leaves):
            if where:
                found.append(
                    Finding(
                        index=len(rows.leaves),
                        last=size - 1,
                        problem=f"missing: a held checkpoint signs {size} records and the log ends after "
                        f"{len(rows.leaves)}",
                        hint="the tail was cut",
                    )
                )
            continue
        if tree.root(size) == checkpoint.root or (known is not None and known < size and not where):
            continue
        found.append(
            Finding(
                index=None,
                problem=f"the {where}checkpoint of size {size} signs another history than this log holds",
                hint="the log was rewritten and signed again" if where else "two histories were signed",
            )
        )
    return found


def _node_findings(tree: LogTree, damages: list[Damage], rows: Rows, signed_size: int) -> list[Finding]:
    """Name stored tree nodes that differ from the records, unless what lies below is already named."""
    found: list[Finding] = []
    for level, index in tree.differing:
        first = index << level
        last = first + (1 << level) - 1
        named = any(damage.first <= last and first <= damage.last for damage in damages)
        if named or last >= signed_size or tree.has_gap(first, last):
            continue
        what = (
            "its stored leaf hash" if level == 0 else f"the stored tree node at level {level}, index {index}"
        )
        found.append(
            Finding(
                index=first,
                last=last,
                problem=f"{what} was changed or removed",
                hint="the records below it are as they were signed",
            )
        )
    if len(rows.leaves) == signed_size:
        found.extend(
            Finding(
                index=None, problem=f"a stored tree node at level {level}, index {index} belongs to no record"
            )
            for level, index in tree.outside
        )
    return found


def _in_order(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: -1 if finding.index is None else finding.index)
