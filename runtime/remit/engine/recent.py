"""What was used most recently, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

Kept = TypeVar("Kept")


class Recent(Generic[Kept]):
    """What was used most recently, of bounded weight; safe for threads.

    Two generations: when the young one weighs half of the bound, it becomes the old one, and the old one is
    dropped. A hit costs one look-up, and what is used stays.

    Args:
        limit: the weight of both generations together; one value beyond it is kept alone.
    """

    __slots__ = ("_half", "_old", "_weight", "_young")

    def __init__(self, limit: int) -> None:
        self._half = limit / 2
        self._weight = 0
        self._young: dict[Hashable, tuple[Kept, int]] = {}
        self._old: dict[Hashable, tuple[Kept, int]] = {}

    def __len__(self) -> int:
        return len(self._young | self._old)

    def get(self, key: Hashable) -> Kept | None:
        """Return what is kept under a key."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is None:
                return None
            self.keep(key, *found)
        return found[0]

    def keep(self, key: Hashable, value: Kept, weight: int) -> None:
        """Keep a value under a key."""
        if self._young and self._weight + weight > self._half:
            # A thread between the two lines finds less than there is, and makes it again.
            self._old, self._young, self._weight = self._young, {}, 0
        self._young[key] = (value, weight)
        self._weight += weight
