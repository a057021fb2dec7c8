"""What policies hit, as decisions: each outcome is one value, made once.

A *piece* is a number that generated code reports: a policy's number, a number of a group, or a mask.
A group's numbers stand for its first one, two, three … policies, in the order that its index gives them.
A mask is the first of a group's numbers, and above it (`MASK_SHIFT`) a bit for each of its policies.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from remit.engine.request import Decision, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

MAX_KEPT = 200_000
"""Rule ids in all decisions kept; where more are, they are made anew."""

MASK_SHIFT = 32
"""Bits of a piece that number it."""

_NUMBERS = (1 << MASK_SHIFT) - 1
_BITS = bytes.maketrans(b"01", b"\0\1")


class Failed(NamedTuple):
    """Policies erred.

    Args:
        forbids: pieces of the forbids that apply.
        errors: numbers of the policies that erred.
    """

    forbids: list[int]
    errors: list[int]


class Outcomes:
    """Decisions of one image.

    Args:
        rules: rule ids in image order.
        engine: name of the engine that decides.
        image: the image's digest.

    Attributes:
        permitted: decisions by the pieces of the permits that apply, where no forbid does.
        forbidden: decisions by the pieces of the forbids that apply.
        nothing: the decision where nothing applies.
    """

    def __init__(self, rules: Sequence[str], engine: str, image: str) -> None:
        self._rules = rules
        self._engine = engine
        self._image = image
        self._bases: list[int] = []
        self._groups: list[tuple[int, ...]] = []
        self._named: dict[int, tuple[str, ...]] = {}
        self._known: dict[tuple[int, ...], int] = {}
        self._next = len(rules)
        self._kept = 0
        self.permitted: dict[tuple[int, ...], Decision] = {}
        self.forbidden: dict[tuple[int, ...], Decision] = {}
        self.nothing = self._decision("not_permitted", ())

    def rule(self, number: int) -> str:
        """Return a policy's rule id."""
        return self._rules[number]

    def mask(self, rules: Sequence[int]) -> int:
        """Return the number beneath the masks of a group.

        Args:
            rules: the group, sorted by rule id; the first has the lowest bit.
        """
        return self.group(rules)

    def group(self, rules: Sequence[int]) -> int:
        """Return the number that stands for the first policy of a group; the next one for the first two …."""
        group = tuple(rules)
        known = self._known.get(group)
        if known is not None:
            return known
        self._known[group] = base = self._add(group)
        return base

    def _add(self, group: tuple[int, ...]) -> int:
        base = self._next
        if base + len(group) > _NUMBERS:
            raise OverflowError("too many groups of policies")
        self._next += len(group)
        # In this order: another thread that sees the base finds the group.
        self._groups.append(group)
        self._bases.append(base)
        return base

    def restore(self, groups: Iterable[tuple[int, ...]]) -> None:
        """Number groups as in the engine whose `groups` they are."""
        for group in groups:
            self._add(tuple(group))

    def forget(self) -> None:
        """Drop what finds equal groups: a group that is met again gets another number, which is as good."""
        self._known.clear()

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """All groups, in the order of their numbers."""
        return tuple(self._groups)

    def permit(self, pieces: tuple[int, ...]) -> Decision:
        """Make the decision for permits that apply."""
        return self._keep(self.permitted, pieces, self._decision("allowed", self.rule_ids(pieces)))

    def forbid(self, pieces: tuple[int, ...]) -> Decision:
        """Make the decision for forbids that apply."""
        return self._keep(self.forbidden, pieces, self._decision("forbidden", self.rule_ids(pieces)))

    def rule_ids(self, pieces: Collection[int]) -> tuple[str, ...]:
        """Return the rules that pieces stand for, sorted."""
        if len(pieces) == 1:
            (piece,) = pieces
            names = self._named.get(piece & _NUMBERS)
            if names is not None and piece > _NUMBERS:
                # The usual answer. A mask's group is sorted.
                return tuple(compress(names, bin(piece >> MASK_SHIFT)[:1:-1].encode().translate(_BITS)))
        found: list[str] = []
        for piece in pieces:
            if piece < len(self._rules):
                found.append(self._rules[piece])
            elif piece > _NUMBERS:
                bits = bin(piece >> MASK_SHIFT)[:1:-1].encode().translate(_BITS)
                found += compress(self._names(piece & _NUMBERS), bits)
            else:
                base = self._bases[bisect_right(self._bases, piece) - 1]
                found += self._names(base)[: piece - base + 1]
        found.sort()
        return tuple(found)

    def _names(self, base: int) -> tuple[str, ...]:
        """Return the rules of the group that has a number."""
        names = self._named.get(base)
        if names is None:
            group = self._groups[bisect_right(self._bases, base) - 1]
            # Copies, which lie side by side in memory: an answer touches each name that it takes.
            names = self._named[base] = tuple([f"{self._rules[rule]} "[:-1] for rule in group])
        return names

    def _keep(
        self, kept: dict[tuple[int, ...], Decision], pieces: tuple[int, ...], decision: Decision
    ) -> Decision:
        self._kept += len(decision.reasons) + 1
        if self._kept > MAX_KEPT:
            self.permitted.clear()
            self.forbidden.clear()
            self._kept = 0
        kept[pieces] = decision
        return decision

    def _decision(self, kind: Kind, reasons: tuple[str, ...]) -> Decision:
        return Decision(
            verdict="allow" if kind == "allowed" else "deny",
            kind=kind,
            reasons=reasons,
            errors=(),
            engine=self._engine,
            image=self._image,
        )
