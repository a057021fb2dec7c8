"""Proofs that anybody can check offline, in the forms that C2SP specifies, from O(log n) stored nodes.

Rules
1. A hash of a proof is the root over a run of leaves (RFC 9162 2.1.3.1, 2.1.4.1).
   The run begins at a multiple of its largest complete subtree, so it is the fold of O(log n) stored nodes.
2. What a store gives is not believed: every proof is verified against the checkpoint before it is returned.
3. An inclusion proof is a `c2sp.org/tlog-proof@v1` file.
   A consistency proof is the body of an `add-checkpoint` request (`c2sp.org/tlog-witness`): `old N`, hashes,
   an empty line, the newer checkpoint. Both end with the checkpoint, signatures and all.

Source: c2sp.org/tlog-proof, c2sp.org/tlog-witness.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from remit.document.merkle import HASH_BYTES, verify_consistency, verify_inclusion
from remit.errors import LedgerError
from remit.ledger.checkpoint import MAX_NOTE_BYTES, decode_base64, parse_checkpoint
from remit.ledger.tree import fold, peak_places

if TYPE_CHECKING:
    from remit.ledger.checkpoint import Checkpoint

Place = tuple[int, int]
"""Level and index of a complete node."""

Nodes = Callable[[Sequence[Place]], Sequence[bytes]]
"""Looks up the digests of complete nodes, in the order asked; empty bytes where there is none."""

PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"
_MAX_HASHES: Final = 63
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """Shows that a record is in the log that a checkpoint signs.

    Args:
        index: the record's index.
        hashes: sibling hashes, lowest first, 32 bytes each.
        note: the checkpoint, a signed note.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        return "\n".join((PROOF_HEADER, f"index {self.index}", *_lines(self.hashes), "", self.note))

    def proves(self, leaf: bytes, checkpoint: Checkpoint) -> bool:
        """Whether the leaf hash `leaf` is at `index` below the root of `checkpoint`, already trusted."""
        return verify_inclusion(
            leaf=leaf, index=self.index, size=checkpoint.size, proof=self.hashes, root=checkpoint.root
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof:
    """Shows that the log of a checkpoint begins with the log of an older one.

    Args:
        old_size: number of records then; 0 proves nothing and needs no hash.
        hashes: of the proof, 32 bytes each.
        note: the newer checkpoint, a signed note.
    """

    old_size: int
    hashes: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        return "\n".join((f"old {self.old_size}", *_lines(self.hashes), "", self.note))

    def proves(self, old_root: bytes, checkpoint: Checkpoint) -> bool:
        """Whether `checkpoint`, already trusted, extends the log of `old_size` and `old_root`."""
        if self.old_size == 0:
            return not self.hashes
        return verify_consistency(
            old_size=self.old_size,
            new_size=checkpoint.size,
            old_root=old_root,
            new_root=checkpoint.root,
            proof=self.hashes,
        )


def prove_inclusion(index: int, leaf: bytes, note: str, nodes: Nodes) -> InclusionProof:
    """Prove that the leaf hash `leaf` is at `index` in the log that `note` signs, from O(log n) nodes.

    Raises:
        LedgerError: the record lies outside, or the stored nodes do not lead to the signed root.
    """
    checkpoint = parse_checkpoint(note).checkpoint
    if not 0 <= index < checkpoint.size:
        raise LedgerError(f"the checkpoint covers {checkpoint.size} records, not record {index}")
    hashes = _gathered(inclusion_places(index, checkpoint.size), nodes)
    proof = InclusionProof(index=index, hashes=hashes, note=note)
    if not proof.proves(leaf, checkpoint):
        raise LedgerError(
            f"record {index} cannot be proved: its stored hashes do not lead to the signed root; "
            "run `remit ledger verify`"
        )
    return proof


def prove_consistency(old: Checkpoint, note: str, nodes: Nodes) -> ConsistencyProof:
    """Prove that the log that `note` signs extends the one of `old`, from O(log n) nodes.

    Raises:
        LedgerError: `old` is of another log or newer, or this log does not extend it.
    """
    checkpoint = parse_checkpoint(note).checkpoint
    if old.origin != checkpoint.origin:
        raise LedgerError(f"the older checkpoint is of `{old.origin}`, this log is `{checkpoint.origin}`")
    if old.size > checkpoint.size:
        raise LedgerError(
            f"the older checkpoint signs {old.size} records and the log has {checkpoint.size}: "
            "the tail was cut"
        )
    hashes = _gathered(consistency_places(old.size, checkpoint.size), nodes)
    proof = ConsistencyProof(old_size=old.size, hashes=hashes, note=note)
    if not proof.proves(old.root, checkpoint):
        raise LedgerError(
            f"the log does not extend the checkpoint of size {old.size}: it was rewritten, or stored hashes "
            "were changed; run `remit ledger verify --checkpoint` with it"
        )
    return proof


def inclusion_places(index: int, size: int) -> tuple[tuple[Place, ...], ...]:
    """Return, for each hash of an inclusion proof, the nodes whose fold it is (RFC 9162 2.1.3.1)."""
    start, end = 0, size
    path: list[tuple[Place, ...]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_run(middle, end))
            end = middle
        else:
            path.append(_run(start, middle))
            start = middle
    return tuple(reversed(path))


def consistency_places(old_size: int, size: int) -> tuple[tuple[Place, ...], ...]:
    """Return, for each hash of a consistency proof, the nodes whose fold it is (RFC 9162 2.1.4.1)."""
    if old_size in (0, size):
        return ()
    start, end, rest = 0, size, old_size
    path: list[tuple[Place, ...]] = []
    whole = True
    while rest != end - start:
        middle = _split(end - start)
        if rest <= middle:
            path.append(_run(start + middle, end))
            end = start + middle
        else:
            path.append(_run(start, start + middle))
            start += middle
            rest -= middle
            whole = False
    if not whole:
        path.append(_run(start, end))
    return tuple(reversed(path))


def parse_inclusion(text: str) -> InclusionProof:
    """Read a tlog-proof file; nothing in it is trusted yet.

    Raises:
        LedgerError: another form.
    """
    head, note = _parts(text, "a proof")
    lines = head.split("\n")
    if lines[0] != PROOF_HEADER:
        raise LedgerError(f"a proof begins with the line `{PROOF_HEADER}`")
    rest = lines[1:]
    if rest and rest[0].startswith("extra "):
        decode_base64(rest[0].removeprefix("extra "), "the extra data of a proof")
        rest = rest[1:]
    number, hashes = _numbered(rest, "index", "a proof")
    return InclusionProof(index=number, hashes=hashes, note=note)


def parse_consistency(text: str) -> ConsistencyProof:
    """Read the body of an `add-checkpoint` request; nothing in it is trusted yet.

    Raises:
        LedgerError: another form.
    """
    head, note = _parts(text, "a consistency proof")
    number, hashes = _numbered(head.split("\n"), "old", "a consistency proof")
    return ConsistencyProof(old_size=number, hashes=hashes, note=note)


def _parts(text: str, what: str) -> tuple[str, str]:
    if len(text) > MAX_NOTE_BYTES:
        raise LedgerError(f"{what} larger than 1 MiB is refused")
    head, separator, note = text.partition("\n\n")
    if not separator:
        raise LedgerError(f"{what} needs its hashes, an empty line and a checkpoint")
    return head, note


def _numbered(lines: Sequence[str], word: str, what: str) -> tuple[int, tuple[bytes, ...]]:
    name, _, number = (lines[0] if lines else "").partition(" ")
    if name != word or _NUMBER.fullmatch(number) is None:
        raise LedgerError(f"{what} needs the line `{word} N`")
    if len(lines) - 1 > _MAX_HASHES:
        raise LedgerError(f"{what} with more than {_MAX_HASHES} hashes is refused")
    hashes = tuple(decode_base64(line, "a hash of a proof") for line in lines[1:])
    if any(len(digest) != HASH_BYTES for digest in hashes):
        raise LedgerError("a hash of a proof has another length than 32 bytes")
    return int(number), hashes


def _gathered(plan: Sequence[tuple[Place, ...]], nodes: Nodes) -> tuple[bytes, ...]:
    found = iter(nodes([place for run in plan for place in run]))
    return tuple(fold([next(found) for _ in run]) for run in plan)


def _run(start: int, end: int) -> tuple[Place, ...]:
    return tuple((level, (start >> level) + index) for level, index in peak_places(end - start))


def _split(size: int) -> int:
    """Largest power of two smaller than `size` (RFC 9162 2.1.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _lines(hashes: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(digest).decode() for digest in hashes]
