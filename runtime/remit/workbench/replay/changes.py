"""What differs between two answers to one request, counted so that parts of a log can be added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remit.document.values import JsonObject

Change = Literal[
    "same",
    "other rules",
    "allow to deny",
    "deny to allow",
    "newly errors",
    "newly needs approval",
    "no longer needs approval",
    "approval to deny",
]
FLIPS: tuple[Change, ...] = (
    "deny to allow",
    "no longer needs approval",
    "allow to deny",
    "approval to deny",
    "newly errors",
    "newly needs approval",
)
"""Changes of the decision, what is newly permitted first."""

MAX_GROUPS = 2_000
"""Groups with examples of their own; flips beyond are counted only."""

MAX_VALUES = 400
"""Values of one attribute that are counted apart; flips of further ones are counted as others."""

OTHERS = "(other values)"


def change_of(before: str, before_kind: str, after: str, after_kind: str, *, same_rules: bool) -> Change:
    """Name what differs.

    Args:
        before: verdict before.
        before_kind: its kind.
        after: verdict after.
        after_kind: its kind.
        same_rules: whether the same rules decided.
    """
    if after_kind == "error" and before_kind != "error":
        return "newly errors"
    if before == after:
        return "same" if same_rules else "other rules"
    if after == "awaiting_approval":
        return "newly needs approval"
    if before == "awaiting_approval":
        return "no longer needs approval" if after == "allow" else "approval to deny"
    return "deny to allow" if after == "allow" else "allow to deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two answers.

    Args:
        verdict: allow, deny or awaiting_approval.
        kind: why.
        rules: that decided, sorted.
    """

    verdict: str
    kind: str
    rules: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """Return the answer as a JSON object with stable keys."""
        return {"verdict": self.verdict, "kind": self.kind, "rules": list(self.rules)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One decision that the candidate takes otherwise.

    Args:
        index: of its record.
        at: when it was taken.
        run: run id.
        action: what was asked.
        resource: upon what.
        change: what differs.
        before: as it was.
        after: as it would be.
        errors: what could not be evaluated.
        caller: attributes of the caller as texts, sorted by name.
        follows: whether an earlier decision of the same run flips, too.
    """

    index: int
    at: str
    run: str
    action: str
    resource: str
    change: Change
    before: Side
    after: Side
    errors: tuple[str, ...] = ()
    caller: tuple[tuple[str, str], ...] = ()
    follows: bool = False

    @property
    def group(self) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
        """What flips alike."""
        return (self.change, self.action, self.before.rules, self.after.rules)

    def to_json(self) -> JsonObject:
        """Return the flip as a JSON object with stable keys."""
        return {
            "index": self.index,
            "at": self.at,
            "run": self.run,
            "action": self.action,
            "resource": self.resource,
            "change": self.change,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "errors": list(self.errors),
            "caller": dict(self.caller),
            "follows_a_flip": self.follows,
        }


Cell = tuple[str, str, str, tuple[str, ...], str, str, tuple[str, ...]]
"""Action; verdict, kind and rules before; verdict, kind and rules after."""


@dataclass(slots=True)
class Tally:
    """Counts of a part of a log; parts are added with `add`.

    Args:
        examples: how many flips of each group are kept.

    Attributes:
        decisions: decision records seen.
        skipped: those that were not replayed, by reason.
        cells: replayed decisions by what they were and what they would be.
        hours: replayed decisions and flips by hour (`2026-01-01T09`).
        callers: flips by change, caller attribute and value.
        follows: flips that stand after another one of the same run.
        moved: decisions taken on counters that are not the recorded ones.
        checked: decisions that the reference engine took, too.
        divergences: where it differed.
        flips: examples by group, in log order.
    """

    examples: int = 3
    decisions: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])
    cells: Counter[Cell] = field(default_factory=Counter[Cell])
    hours: dict[str, list[int]] = field(default_factory=dict[str, "list[int]"])
    callers: Counter[tuple[str, str, str]] = field(default_factory=Counter["tuple[str, str, str]"])
    follows: int = 0
    moved: int = 0
    checked: int = 0
    divergences: list[str] = field(default_factory=list[str])
    flips: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[Flip]] = field(
        default_factory=dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], "list[Flip]"]
    )

    def note(self, flip: Flip) -> None:
        """Keep a flip as an example of its group, and count its caller."""
        self.follows += flip.follows
        for name, value in flip.caller:
            self.count_caller(flip.change, name, value, 1)
        self._keep(flip)

    def count_caller(self, change: str, name: str, value: str, count: int) -> None:
        """Count flips by an attribute of the caller."""
        key = (change, name, value)
        if key not in self.callers and len(self.callers) >= MAX_VALUES * len(FLIPS):
            key = (change, name, OTHERS)
        self.callers[key] += count

    def _keep(self, flip: Flip) -> None:
        group = flip.group
        kept = self.flips.get(group)
        if kept is None:
            if len(self.flips) >= MAX_GROUPS:
                return
            kept = self.flips[group] = []
        if len(kept) < self.examples:
            kept.append(flip)

    def add(self, other: Tally) -> None:
        """Add the counts of a later part of the log."""
        self.decisions += other.decisions
        self.skipped.update(other.skipped)
        self.cells.update(other.cells)
        for hour, (decided, flipped) in other.hours.items():
            here = self.hours.setdefault(hour, [0, 0])
            here[0] += decided
            here[1] += flipped
        for (change, name, value), count in other.callers.items():
            self.count_caller(change, name, value, count)
        self.follows += other.follows
        self.moved += other.moved
        self.checked += other.checked
        self.divergences.extend(other.divergences)
        for flips in other.flips.values():
            for flip in flips:
                self._keep(flip)

    @property
    def replayed(self) -> int:
        """How many decisions were taken again."""
        return self.cells.total()

    def changes(self) -> Counter[str]:
        """Count decisions by what differs."""
        found: Counter[str] = Counter()
        for cell, count in self.cells.items():
            found[change_in(cell)] += count
        return found

    def flipped(self) -> int:
        """How many decisions flip."""
        changes = self.changes()
        return sum(changes[change] for change in FLIPS)

    def by_rule(self) -> dict[str, list[int]]:
        """Return by rule: decisions before, decisions after, and in how many flips it takes part."""
        found: dict[str, list[int]] = {}
        for cell, count in self.cells.items():
            _, _, _, before, _, _, after = cell
            for rule in before:
                found.setdefault(rule, [0, 0, 0])[0] += count
            for rule in after:
                found.setdefault(rule, [0, 0, 0])[1] += count
            if change_in(cell) in FLIPS:
                for rule in {*before, *after}:
                    found[rule][2] += count
        return dict(sorted(found.items(), key=lambda item: (-item[1][2], -item[1][1], item[0])))

    def flips_by(self, part: Literal["rule", "action"]) -> dict[str, Counter[str]]:
        """Count flips by change, for each rule that takes part or each action."""
        found: dict[str, Counter[str]] = {}
        for cell, count in self.cells.items():
            change = change_in(cell)
            if change in FLIPS:
                for name in _names(cell, part):
                    found.setdefault(name, Counter())[change] += count
        return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))

    def ordered_flips(self) -> Iterator[Flip]:
        """Yield the kept examples, what is newly permitted first, then by group in log order."""
        for group in sorted(self.flips, key=lambda key: (FLIPS.index(_flip(key[0])), key[1:])):
            yield from sorted(self.flips[group], key=lambda flip: flip.index)


def change_in(cell: Cell) -> Change:
    """Name what differs in a cell."""
    _, before, before_kind, before_rules, after, after_kind, after_rules = cell
    return change_of(before, before_kind, after, after_kind, same_rules=before_rules == after_rules)


def _names(cell: Cell, part: Literal["rule", "action"]) -> Iterable[str]:
    if part == "action":
        return (cell[0],)
    return sorted({*cell[3], *cell[6]}) or ("(no rule)",)


def _flip(name: str) -> Change:
    return next(change for change in FLIPS if change == name)
