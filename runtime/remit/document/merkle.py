"""Merkle tree of an append-only log, after RFC 9162 section 2.1.

Rules
1. Leaf hash = SHA-256(0x00 ‖ entry); node hash = SHA-256(0x01 ‖ left ‖ right); the empty tree is SHA-256 of
   nothing.
2. A tree of n > 1 leaves splits at the largest power of two smaller than n (2.1.1).
3. Inclusion and consistency proofs run from the leaf upwards (2.1.3, 2.1.4); verification follows 2.1.3.2
   and 2.1.4.2.

All functions take and give leaf *hashes*, never entries, except `leaf_hash`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash one log entry (RFC 9162 2.1.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node from its children (RFC 9162 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """The right edge of a tree: all that appending needs, immutable.

    Args:
        size: number of leaves.
        peaks: roots of the full subtrees, largest first; one for each set bit of `size`.

    Raises:
        ValueError: the number of peaks or the length of one does not fit `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} leaves cannot have {len(self.peaks)} peaks")
        if any(len(peak) != HASH_BYTES for peak in self.peaks):
            raise ValueError("a peak is not 32 bytes long")

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier with one more leaf hash, in O(log n)."""
        peaks = list(self.peaks)
        carry = leaf
        rest = self.size
        while rest & 1:
            carry = node_hash(peaks.pop(), carry)
            rest >>= 1
        peaks.append(carry)
        return Frontier(size=self.size + 1, peaks=tuple(peaks))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """Return the frontier with all `leaves` appended in order."""
        peaks = list(self.peaks)
        size = self.size
        for leaf in leaves:
            carry = leaf
            rest = size
            while rest & 1:
                carry = node_hash(peaks.pop(), carry)
                rest >>= 1
            peaks.append(carry)
            size += 1
        return Frontier(size=size, peaks=tuple(peaks))

    def root(self) -> bytes:
        """Return the root hash of the whole tree."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root hash of a tree with these leaf hashes (RFC 9162 2.1.1)."""
    return Frontier().extend(leaf_hashes).root()


def _split(size: int) -> int:
    """Largest power of two smaller than `size` (RFC 9162 2.1.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_root(leaf_hashes: Sequence[bytes], start: int, end: int) -> bytes:
    return root_of(leaf_hashes[index] for index in range(start, end))


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int, size: int | None = None) -> tuple[bytes, ...]:
    """Prove that leaf `index` is in the tree of the first `size` leaves (RFC 9162 2.1.3.1).

    Args:
        leaf_hashes: at least `size` leaf hashes.
        index: 0-based.
        size: tree size; all leaves when absent.

    Raises:
        ValueError: `index` or `size` lies outside the leaves.
    """
    size = len(leaf_hashes) if size is None else size
    if not 0 <= index < size <= len(leaf_hashes):
        raise ValueError(f"no leaf {index} in a tree of {size} of {len(leaf_hashes)} leaves")
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(leaf_hashes, middle, end))
            end = middle
        else:
            path.append(_range_root(leaf_hashes, start, middle))
            start = middle
    return tuple(reversed(path))


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check an inclusion proof (RFC 9162 2.1.3.2).

    Args:
        leaf: the leaf hash.
        index: 0-based position of the leaf.
        size: size of the tree that `root` stands for.
        proof: sibling hashes, lowest first.
        root: the root hash to reach.
    """
    if not 0 <= index < size:
        return False
    position, last = index, size - 1
    computed = leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and computed == root


def consistency_proof(
    leaf_hashes: Sequence[bytes], old_size: int, new_size: int | None = None
) -> tuple[bytes, ...]:
    """Prove that the tree of `new_size` leaves extends that of `old_size` (RFC 9162 2.1.4.1).

    Raises:
        ValueError: not 0 < `old_size` <= `new_size` <= number of leaves.
    """
    new_size = len(leaf_hashes) if new_size is None else new_size
    if not 0 < old_size <= new_size <= len(leaf_hashes):
        raise ValueError(f"no consistency from {old_size} to {new_size} of {len(leaf_hashes)} leaves")
    start, end = 0, new_size
    path: list[bytes] = []
    whole = True
    while old_size != end - start:
        middle = _split(end - start)
        if old_size <= middle:
            path.append(_range_root(leaf_hashes, start + middle, end))
            end = start + middle
        else:
            path.append(_range_root(leaf_hashes, start, start + middle))
            start += middle
            old_size -= middle
            whole = False
    if not whole:
        path.append(_range_root(leaf_hashes, start, end))
    return tuple(reversed(path))


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Check a consistency proof (RFC 9162 2.1.4.2)."""
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    nodes = list(proof)
    # 2.1.4.2 step 2: an old tree that is a full subtree is its own first node and is left out of the proof.
    if old_size & (old_size - 1) == 0:
        nodes.insert(0, old_root)
    if not nodes:
        return False
    old_position, new_position = old_size - 1, new_size - 1
    while old_position & 1:
        old_position >>= 1
        new_position >>= 1
    old_computed = new_computed = nodes[0]
    for sibling in nodes[1:]:
        if new_position == 0:
            return False
        if old_position & 1 or old_position == new_position:
            old_computed = node_hash(sibling, old_computed)
            new_computed = node_hash(sibling, new_computed)
            while not old_position & 1 and old_position:
                old_position >>= 1
                new_position >>= 1
        else:
            new_computed = node_hash(new_computed, sibling)
        old_position >>= 1
        new_position >>= 1
    return new_position == 0 and old_computed == old_root and new_computed == new_root
