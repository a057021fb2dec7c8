"""Policies cut to those that can apply: what makes the cost follow the matching rules and not all rules.

Which those are is for `remit.engine.pools` to say; here they are cut out of the image's text, parsed when
they are first asked, and kept within bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine.binding import Policies
from remit.engine.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from remit.engine.policy_index import IndexedPolicy

MIN_KEPT = 2_000
"""Policies that are kept parsed, at least. Each takes 6 to 15 KB."""

SHARE_KEPT = 2
"""How often a large image's policies are kept parsed on average, in slices that overlap."""


class Slice:
    """Some policies of an image, parsed.

    Args:
        text: all policies.
        policies: those that are wanted, in image order.

    Raises:
        ValueError: the text is not what the index says.
    """

    __slots__ = ("_all", "policies", "rules")

    def __init__(self, text: str, policies: Sequence[IndexedPolicy]) -> None:
        self.policies = Policies("\n".join(text[policy.start : policy.end] for policy in policies))
        if len(self.policies) != len(policies):
            raise ValueError("the policy index does not fit the policies")
        self.rules = {f"policy{number}": policy.rule for number, policy in enumerate(policies)}
        self._all = tuple(sorted(self.rules.values()))

    def named(self, policies: Sequence[str]) -> tuple[str, ...]:
        """Return the rules behind some of the ids that cedarpy gave, sorted."""
        # Cedar names none twice: as many as there are, are all of them, which is so for most that are chosen.
        if len(policies) == len(self._all):
            return self._all
        return tuple(sorted([self.rules[policy] for policy in policies]))


class Slices:
    """All policies of an image, cut on demand; safe for threads: a slice made twice is the same slice.

    Args:
        text: the image's policies.
        policies: their index.

    Attributes:
        get: from a key to what was cut under it, if it is still kept.
    """

    def __init__(self, text: str, policies: Sequence[IndexedPolicy]) -> None:
        self._text = text
        self._policies = policies
        self._kept = Recent[Slice](max(MIN_KEPT, SHARE_KEPT * len(policies)))
        self.get = self._kept.get

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
