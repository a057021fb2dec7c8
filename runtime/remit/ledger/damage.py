"""Where a log is damaged: a search from a signed root downwards through recomputed and stored hashes."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from remit.document.merkle import node_hash
from remit.ledger.tree import Node, Peaks, fold, peak_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from remit.ledger.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Records that are not what was signed.

    Args:
        first: first record.
        last: last record; equal to `first` where one record is known to be changed.
        leaf: the leaf hash that was signed, where it could be derived.
        doubtful: not known to be changed, only no longer provable.
    """

    first: int
    last: int
    leaf: bytes | None = None
    doubtful: bool = False


class LogTree:
    """The tree recomputed from the rows, beside the stored nodes that differ from it.

    Args:
        leaves: leaf hash of every row by position; None where the row is missing.
        stored: stored nodes in any order; None where there are none.
        pruned: the tree before the first row, where rows before it were pruned on the record.
    """

    def __init__(
        self,
        *,
        leaves: Sequence[bytes | None],
        stored: Iterable[Node] | None,
        pruned: Peaks | None = None,
    ) -> None:
        self.leaves = leaves
        peaks = pruned or Peaks()
        self._first = peaks.size
        self._peaks = dict(zip(peak_places(peaks.size), peaks.digests, strict=True))
        self._gaps = [index for index, leaf in enumerate(leaves) if leaf is None and index >= self._first]
        self._levels: list[list[bytes | None]] = [list(leaves)]
        self._put_peaks()
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            self._levels.append(
                [
                    None if left is None or right is None else node_hash(left, right)
                    for left, right in zip(below[::2], below[1::2], strict=False)
                ]
            )
            self._put_peaks()
        self._other: dict[tuple[int, int], bytes] = {}
        self.differing: list[tuple[int, int]] = []
        self.outside: list[tuple[int, int]] = []
        if stored is not None:
            self._compare(stored)

    def _put_peaks(self) -> None:
        """Put those peaks of the pruned tree that lie at the topmost level into it."""
        level = len(self._levels) - 1
        for (height, index), digest in self._peaks.items():
            if height == level and index < len(self._levels[level]):
                self._levels[level][index] = digest

    def _is_pruned(self, level: int, index: int) -> bool:
        """Whether a node lies in the pruned part and is none of its peaks: then it is stored nowhere."""
        return (index + 1) << level <= self._first and (level, index) not in self._peaks

    def _compare(self, stored: Iterable[Node]) -> None:
        counts = [0] * len(self._levels)
        seen: list[bytearray] = [bytearray(len(level)) for level in self._levels]
        for node in stored:
            key = (node.level, node.index)
            inside = (
                0 <= node.level < len(seen)
                and 0 <= node.index < len(seen[node.level])
                and not self._is_pruned(node.level, node.index)
            )
            if inside:
                seen[node.level][node.index] = 1
                counts[node.level] += 1
                if self._levels[node.level][node.index] == node.digest:
                    continue
            self._other[key] = node.digest
            (self.differing if inside else self.outside).append(key)
        for level, marks in enumerate(seen):
            if counts[level] < len(marks):
                self.differing.extend(
                    (level, index)
                    for index, mark in enumerate(marks)
                    if not mark and not self._is_pruned(level, index)
                )
        self.differing.sort(key=lambda key: (key[1] << key[0], key[0]))

    def has_gap(self, first: int, last: int) -> bool:
        """Whether a row is missing among `first` … `last`."""
        place = bisect_left(self._gaps, first)
        return place < len(self._gaps) and self._gaps[place] <= last

    def computed(self, level: int, index: int) -> bytes | None:
        """Hash of a complete node, recomputed from the rows; None where rows are missing."""
        if level < len(self._levels) and index < len(self._levels[level]):
            return self._levels[level][index]
        return None

    def candidates(self, level: int, index: int) -> list[bytes]:
        """What a complete node's hash may be: recomputed, stored, or recomputed from stored leaf hashes."""
        found: list[bytes] = []
        for digest in (
            self.computed(level, index),
            self._other.get((level, index)),
            self._stored_below(level, index),
        ):
            if digest is not None and digest not in found:
                found.append(digest)
        return found

    def _stored_below(self, level: int, index: int) -> bytes | None:
        if level == 0:
            return None
        first = index << level
        row: list[bytes] = []
        for place in range(first, first + (1 << level)):
            digest = self._other.get((0, place)) or self.computed(0, place)
            if digest is None:
                return None
            row.append(digest)
        while len(row) > 1:
            row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    def root(self, size: int) -> bytes | None:
        """Root over the first `size` rows; None where rows are missing."""
        digests: list[bytes] = []
        for level, index in peak_places(size):
            digest = self.computed(level, index)
            if digest is None:
                return None
            digests.append(digest)
        return fold(digests)


def locate_damage(tree: LogTree, checkpoint: Checkpoint) -> list[Damage]:
    """Find the smallest sets of records that explain why the root is not the signed one.

    Args:
        tree: rows and stored nodes.
        checkpoint: trusted, and with another root than the rows have.
    """
    found: list[Damage] = []
    _descend_peaks(tree, peak_places(checkpoint.size), checkpoint.root, found)
    return sorted(found, key=lambda damage: damage.first)


def _descend_peaks(
    tree: LogTree, places: Sequence[tuple[int, int]], root: bytes, found: list[Damage]
) -> None:
    """Split the believed root of a run of peaks into its first peak and the rest, while hashes explain it."""
    rest = list(places)
    while len(rest) > 1:
        pair = _split(tree.candidates(*rest[0]), _folds(tree, rest[1:]), root)
        if pair is None:
            first = rest[0][1] << rest[0][0]
            found.append(Damage(first=first, last=_last(rest[-1])))
            return
        _descend(tree, rest[0], pair[0], found)
        root = pair[1]
        rest = rest[1:]
    if rest:
        _descend(tree, rest[0], root, found)


def _folds(tree: LogTree, places: Sequence[tuple[int, int]]) -> list[bytes]:
    folded = tree.candidates(*places[-1])
    for place in reversed(places[:-1]):
        # At most three candidates a place; beyond 64 combinations only the first are tried.
        pairs = product(tree.candidates(*place), folded)
        folded = [node_hash(left, right) for left, right in pairs][:64]
    return folded


def _descend(tree: LogTree, place: tuple[int, int], believed: bytes, found: list[Damage]) -> None:
    pending = [(place, believed)]
    while pending:
        (level, index), digest = pending.pop()
        if tree.computed(level, index) == digest:
            continue
        if level == 0:
            found.append(Damage(first=index, last=index, leaf=digest))
            continue
        left, right = (level - 1, 2 * index), (level - 1, 2 * index + 1)
        pair = _split(tree.candidates(*left), tree.candidates(*right), digest)
        if pair is None:
            found.append(Damage(first=index << level, last=_last((level, index))))
            continue
        pending.append((left, pair[0]))
        pending.append((right, pair[1]))


def _split(lefts: Sequence[bytes], rights: Sequence[bytes], parent: bytes) -> tuple[bytes, bytes] | None:
    return next(
        ((left, right) for left, right in product(lefts, rights) if node_hash(left, right) == parent), None
    )


def _last(place: tuple[int, int]) -> int:
    level, index = place
    return ((index + 1) << level) - 1
