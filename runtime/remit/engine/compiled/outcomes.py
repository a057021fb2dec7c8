"""What policies hit, as decisions: each outcome is one value, made once.

A *piece* is a number that generated code reports: a policy's number, or a number of a group.
A group's numbers stand for its first one, two, three … policies, in the order that its index gives them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from remit.engine.request import Decision, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_KEPT = 200_000
"""Rule ids in all decisions kept; where more are, they are made anew."""


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
        self._known: dict[tuple[int, ...], int] = {}
        self._next = len(rules)
        self._kept = 0
        self.permitted: dict[tuple[int, ...], Decision] = {}
        self.forbidden: dict[tuple[int, ...], Decision] = {}
        self.nothing = self._decision("not_permitted", ())

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

    def rule_ids(self, pieces: Iterable[int]) -> tuple[str, ...]:
        """Return the rules that pieces stand for, sorted."""
        found: list[int] = []
        for piece in pieces:
            if piece < len(self._rules):
                found.append(piece)
            else:
                place = bisect_right(self._bases, piece) - 1
                found.extend(self._groups[place][: piece - self._bases[place] + 1])
        return tuple(sorted(self._rules[number] for number in found))

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
