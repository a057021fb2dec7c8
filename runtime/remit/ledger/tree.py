"""The log's tree as a store keeps it: every complete node by `(level, index)`, appended once, never changed.

A node at level k and index i is the root over the leaves i·2^k … (i+1)·2^k − 1 (RFC 9162, 2.1.1).
The nodes that a size needs, its *peaks*, are one for each set bit of the size: all that an appender needs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.document.merkle import node_hash
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_LEVELS = 63
EMPTY_ROOT = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A complete node of the tree.

    Args:
        level: 0 for leaves.
        index: position in its level, from 0.
        digest: 32 bytes.
    """

    level: int
    index: int
    digest: bytes


class Peaks(Value, frozen=True, kw_only=True):
    """An appender's state: the size and its peaks, largest subtree first.

    Args:
        size: number of leaves.
        digests: one for each set bit of `size`.
    """

    size: int = 0
    digests: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> tuple[Peaks, tuple[Node, ...]]:
        """Add the leaf hash `leaf`; return the new state and the nodes that became complete."""
        peaks, cells = self.extend((leaf,))
        values = iter(cells)
        return peaks, tuple(
            Node(level=cast("int", level), index=cast("int", index), digest=cast("bytes", digest))
            for _, level, index, digest in zip(values, values, values, values, strict=True)
        )

    def extend(self, leaves: Iterable[bytes]) -> tuple[Peaks, list[int | str | bytes]]:
        """Add leaf hashes in order.

        Returns:
            The new state, and number, level, index and digest of each node that became complete, one after
            the other, as a store writes them.
        """
        digests = list(self.digests)
        cells: list[int | str | bytes] = []
        size = self.size
        number = node_number(0, size)
        for leaf in leaves:
            cells += (number, 0, size, leaf)
            number += 1
            digest = leaf
            index = size
            level = 0
            while index & 1:
                digest = node_hash(digests.pop(), digest)
                index >>= 1
                level += 1
                cells += (number, level, index, digest)
                number += 1
            digests.append(digest)
            size += 1
        return Peaks(size=size, digests=tuple(digests)), cells

    def root(self) -> bytes:
        """Return the RFC 9162 root."""
        return fold(self.digests)


def node_number(level: int, index: int) -> int:
    """Return how many nodes are complete before this one, in the order in which leaves complete them.

    A node is complete with its last leaf L; L leaves complete 2L nodes, less one for each bit set in L.
    """
    last = ((index + 1) << level) - 1
    return 2 * last - last.bit_count() + level


def is_place(level: int, index: int) -> bool:
    """Whether a log of any size can have a node there: what somebody wrote into a store may be any number."""
    return 0 <= level < _MAX_LEVELS and 0 <= index < 1 << _MAX_LEVELS


def fold(peaks: Sequence[bytes]) -> bytes:
    """Combine peaks, largest subtree first, into the root."""
    if not peaks:
        return EMPTY_ROOT
    digest = peaks[-1]
    for peak in reversed(peaks[:-1]):
        digest = node_hash(peak, digest)
    return digest


def peak_places(size: int) -> tuple[tuple[int, int], ...]:
    """Return `(level, index)` of the peaks of a tree of `size` leaves, largest subtree first."""
    places: list[tuple[int, int]] = []
    start = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            places.append((level, start >> level))
            start += 1 << level
    return tuple(places)
