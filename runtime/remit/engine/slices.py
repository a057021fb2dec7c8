"""Policies cut to those that can apply: what makes the cost follow the matching rules and not all rules.

Which those are is for `remit.engine.pools` to say; here they are cut out of the image's text, parsed when
they are first asked, and kept within bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from remit.engine.binding import Policies

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from remit.engine.policy_index import IndexedPolicy

MIN_KEPT = 2_000
"""Policies that are kept parsed, at least. Each takes 6 to 15 KB."""

SHARE_KEPT = 2
"""How often a large image's policies are kept parsed on average, in slices that overlap."""

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


class Slice:
    """Some policies of an image, parsed.

    Args:
        text: all policies.
        policies: those that are wanted, in image order.

    Raises:
        ValueError: the text is not what the index says.
    """

    __slots__ = ("policies", "rules")

    def __init__(self, text: str, policies: Sequence[IndexedPolicy]) -> None:
        self.policies = Policies("\n".join(text[policy.start : policy.end] for policy in policies))
        if len(self.policies) != len(policies):
            raise ValueError("the policy index does not fit the policies")
        self.rules = {f"policy{number}": policy.rule for number, policy in enumerate(policies)}


class Slices:
    """All policies of an image, cut on demand; safe for threads: a slice made twice is the same slice.

    Args:
        text: the image's policies.
        policies: their index.
    """

    def __init__(self, text: str, policies: Sequence[IndexedPolicy]) -> None:
        self._text = text
        self._policies = policies
        self._kept = Recent[Slice](max(MIN_KEPT, SHARE_KEPT * len(policies)))

    def get(self, key: Hashable) -> Slice | None:
        """Return what was cut under a key, if it is still kept."""
        return self._kept.get(key)

    def cut(self, key: Hashable, rows: Sequence[int]) -> Slice:
        """Return some policies.

        Args:
            key: the same key, the same rows.
            rows: their numbers in the image.
        """
        known = self._kept.get(key)
        if known is None:
            known = Slice(self._text, [self._policies[row] for row in rows])
            self._kept.keep(key, known, len(rows))
        return known
