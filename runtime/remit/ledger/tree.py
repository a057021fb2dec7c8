"""The log's tree as a store keeps it: every complete node by `(level, index)`, appended once, never changed.

A node at level k and index i is the root over the leaves i·2^k … (i+1)·2^k − 1 (RFC 9162, 2.1.1).
The nodes that a size needs, its *peaks*, are one for each set bit of the size: all that an appender needs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.merkle import node_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """An appender's state: the size and its peaks, largest subtree first.

    Args:
        size: number of leaves.
        digests: one for each set bit of `size`.
    """

    size: int = 0
    digests: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> tuple[Peaks, tuple[Node, ...]]:
        """Add the leaf hash `leaf`; return the new state and the nodes that became complete."""
        digests = list(self.digests)
        index = self.size
        nodes = [Node(level=0, index=index, digest=leaf)]
        digest = leaf
        level = 0
        while index & 1:
            digest = node_hash(digests.pop(), digest)
            index >>= 1
            level += 1
            nodes.append(Node(level=level, index=index, digest=digest))
        digests.append(digest)
        return Peaks(size=self.size + 1, digests=tuple(digests)), tuple(nodes)

    def root(self) -> bytes:
        """Return the RFC 9162 root."""
        return fold(self.digests)


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
