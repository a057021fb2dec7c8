"""A persistent Merkle map: binary Patricia tree over 256-bit keys.

Rules
1. Leaf = SHA-256(0x00 ‖ key ‖ value digest); node = SHA-256(0x01 ‖ bit index, 2 bytes big-endian ‖ left ‖
   right).
2. Bit 0 is the most significant bit of the key; the left child holds keys whose bit is 0.
3. The empty tree's root is the tagged digest `memory/empty` of nothing.
4. The shape depends on the set of keys alone (history-independent); `put` and `delete` cost O(log n) and
   share every untouched node with the tree they came from.
5. A proof is the way from the root that a key's bits take, down to the leaf it ends in.
   If that leaf has the key, the key is present; if not, no leaf with that key exists, because bit indices
   increase strictly along the way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from remit.document.values import tagged_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEY_BYTES = 32
KEY_BITS = 8 * KEY_BYTES
EMPTY_ROOT = tagged_sha256("memory/empty", b"")

T = TypeVar("T")


def leaf_digest(key: bytes, value_digest: bytes) -> bytes:
    """Hash a leaf (rule 1)."""
    return hashlib.sha256(b"\x00" + key + value_digest).digest()


def branch_digest(bit: int, left: bytes, right: bytes) -> bytes:
    """Hash an inner node (rule 1)."""
    return hashlib.sha256(b"\x01" + bit.to_bytes(2, "big") + left + right).digest()


def bit_of(key: bytes, bit: int) -> int:
    """Return one bit of a key, 0 being the most significant (rule 2)."""
    return key[bit >> 3] >> (7 - (bit & 7)) & 1


def _first_difference(one: bytes, other: bytes) -> int:
    return KEY_BITS - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


class _Leaf(Generic[T]):
    __slots__ = ("count", "hash", "item", "key", "value_digest")

    def __init__(self, key: bytes, value_digest: bytes, item: T) -> None:
        self.key = key
        self.value_digest = value_digest
        self.item = item
        self.hash = leaf_digest(key, value_digest)
        self.count = 1


class _Branch(Generic[T]):
    __slots__ = ("bit", "count", "hash", "left", "right")

    def __init__(self, bit: int, left: _Leaf[T] | _Branch[T], right: _Leaf[T] | _Branch[T]) -> None:
        self.bit = bit
        self.left = left
        self.right = right
        self.hash: bytes = branch_digest(bit, left.hash, right.hash)
        self.count: int = left.count + right.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One branch on the way from a leaf to the root.

    Args:
        bit: the branch's bit index.
        sibling: hash of the child that the way does not take.
    """

    bit: int
    sibling: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a key's bits lead (rule 5).

    Args:
        key: key of the leaf at the end.
        value_digest: value digest of that leaf.
        steps: branches from the leaf up to the root.
    """

    key: bytes
    value_digest: bytes
    steps: tuple[Step, ...]


class MemoryTree(Generic[T]):
    """Persistent Merkle map from 32-byte keys to items; iteration is in key order.

    No method changes a tree; `put` and `delete` return another one.
    """

    __slots__ = ("_root",)

    def __init__(self, _root: _Leaf[T] | _Branch[T] | None = None) -> None:
        self._root = _root

    @property
    def root(self) -> bytes:
        """Root hash."""
        return EMPTY_ROOT if self._root is None else self._root.hash

    def __len__(self) -> int:
        return 0 if self._root is None else self._root.count

    def __iter__(self) -> Iterator[T]:
        for leaf in _leaves(self._root):
            yield leaf.item

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MemoryTree):
            return NotImplemented
        return self.root == other.root and list(self) == list(cast("MemoryTree[object]", other))

    def __hash__(self) -> int:
        return hash(self.root)

    def __repr__(self) -> str:
        return f"MemoryTree(count={len(self)}, root={self.root.hex()})"

    def get(self, key: bytes) -> T | None:
        """Return the item stored under `key`, or None."""
        leaf = _descend(self._root, key)
        return leaf.item if leaf is not None and leaf.key == key else None

    def put(self, key: bytes, value_digest: bytes, item: T) -> MemoryTree[T]:
        """Return the tree with `key` set, sharing all untouched nodes.

        Raises:
            ValueError: `key` or `value_digest` is not 32 bytes long.
        """
        if len(key) != KEY_BYTES or len(value_digest) != KEY_BYTES:
            raise ValueError("a memory key and a value digest have 32 bytes each")
        fresh: _Leaf[T] = _Leaf(key, value_digest, item)
        nearest = _descend(self._root, key)
        if nearest is None:
            return MemoryTree(fresh)
        split = _first_difference(nearest.key, key)
        path: list[_Branch[T]] = []
        node = self._root
        while isinstance(node, _Branch) and node.bit < split:
            path.append(node)
            node = node.right if bit_of(key, node.bit) else node.left
        made: _Leaf[T] | _Branch[T] = fresh
        if split < KEY_BITS and node is not None:
            made = _Branch(split, node, fresh) if bit_of(key, split) else _Branch(split, fresh, node)
        return MemoryTree(_rebuild(path, key, made))

    def delete(self, key: bytes) -> MemoryTree[T]:
        """Return the tree without `key`.

        Raises:
            KeyError: there is no such key.
        """
        path: list[_Branch[T]] = []
        node = self._root
        while isinstance(node, _Branch):
            path.append(node)
            node = node.right if bit_of(key, node.bit) else node.left
        if node is None or node.key != key:
            raise KeyError(key.hex())
        if not path:
            return MemoryTree()
        last = path.pop()
        other = last.left if bit_of(key, last.bit) else last.right
        return MemoryTree(_rebuild(path, key, other))

    def way(self, key: bytes) -> Way | None:
        """Return where the bits of `key` lead; None in the empty tree."""
        steps: list[Step] = []
        node = self._root
        while isinstance(node, _Branch):
            taken, passed = (node.right, node.left) if bit_of(key, node.bit) else (node.left, node.right)
            steps.append(Step(bit=node.bit, sibling=passed.hash))
            node = taken
        if node is None:
            return None
        return Way(key=node.key, value_digest=node.value_digest, steps=tuple(reversed(steps)))

    def changes(self, before: MemoryTree[T]) -> Iterator[tuple[T | None, T | None]]:
        """Yield `(item before, item now)` where the trees differ, skipping every shared node.

        Costs O(log n) a change between trees that descend from one another.
        """
        pairs: list[tuple[_Leaf[T] | _Branch[T] | None, _Leaf[T] | _Branch[T] | None]]
        pairs = [(before._root, self._root)]
        while pairs:
            old, new = pairs.pop()
            if old is new:
                continue
            if isinstance(old, _Branch) and isinstance(new, _Branch) and old.bit == new.bit:
                pairs.extend(((old.right, new.right), (old.left, new.left)))
                continue
            olds = {leaf.key: leaf for leaf in _leaves(old)}
            for leaf in _leaves(new):
                twin = olds.pop(leaf.key, None)
                if twin is not leaf:
                    yield (None if twin is None else twin.item), leaf.item
            for leaf in olds.values():
                yield leaf.item, None

    @classmethod
    def build(cls, leaves: Iterable[tuple[bytes, bytes, T]]) -> MemoryTree[T]:
        """Build a tree at once from `(key, value digest, item)` in any order.

        Raises:
            ValueError: a key occurs twice or has not 32 bytes.
        """
        made = sorted((_Leaf(key, digest, item) for key, digest, item in leaves), key=_leaf_key)
        # INVARIANT (right edge): `stack` holds the subtrees on the right edge, bits strictly increasing.
        stack: list[tuple[int, _Leaf[T] | _Branch[T]]] = []
        tail: _Leaf[T] | None = None
        current: _Leaf[T] | _Branch[T] | None = None
        for leaf in made:
            if len(leaf.key) != KEY_BYTES:
                raise ValueError("a memory key has 32 bytes")
            if tail is not None and current is not None:
                split = _first_difference(tail.key, leaf.key)
                if split == KEY_BITS:
                    raise ValueError(f"the memory key {leaf.key.hex()} occurs twice")
                while stack and stack[-1][0] > split:
                    bit, left = stack.pop()
                    current = _Branch(bit, left, current)
                stack.append((split, current))
            current = tail = leaf
        while stack and current is not None:
            bit, left = stack.pop()
            current = _Branch(bit, left, current)
        return cls(current)


def _leaf_key(leaf: _Leaf[T]) -> bytes:
    return leaf.key


def _leaves(node: _Leaf[T] | _Branch[T] | None) -> Iterator[_Leaf[T]]:
    stack = [] if node is None else [node]
    while stack:
        top = stack.pop()
        if isinstance(top, _Leaf):
            yield top
        else:
            stack.append(top.right)
            stack.append(top.left)


def _descend(node: _Leaf[T] | _Branch[T] | None, key: bytes) -> _Leaf[T] | None:
    while isinstance(node, _Branch):
        node = node.right if bit_of(key, node.bit) else node.left
    return node


def _rebuild(path: list[_Branch[T]], key: bytes, made: _Leaf[T] | _Branch[T]) -> _Leaf[T] | _Branch[T]:
    for branch in reversed(path):
        if bit_of(key, branch.bit):
            made = _Branch(branch.bit, branch.left, made)
        else:
            made = _Branch(branch.bit, made, branch.right)
    return made


def verify_way(root: bytes, key: bytes, way: Way | None) -> bool | None:
    """Check where the bits of `key` lead in the tree with this root.

    Returns:
        True: the key is present with the way's value digest. False: the key is absent. None: the way proves
        nothing.
    """
    if way is None:
        return False if root == EMPTY_ROOT else None
    digest = leaf_digest(way.key, way.value_digest)
    below = KEY_BITS
    for step in way.steps:
        # INVARIANT (bits increase downwards): without it a forged way could hide a key (rule 5).
        if not 0 <= step.bit < below or bit_of(key, step.bit) != bit_of(way.key, step.bit):
            return None
        below = step.bit
        if bit_of(key, step.bit):
            digest = branch_digest(step.bit, step.sibling, digest)
        else:
            digest = branch_digest(step.bit, digest, step.sibling)
    if digest != root:
        return None
    return way.key == key
