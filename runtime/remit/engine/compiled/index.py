"""Conditions arranged so that the cost follows what applies, not how many there are.

Rules
1. Only conditions that cannot err are rearranged; what errs is tested by itself, in its own order.
2. Conditions that are wholly the same are tested once.
3. Conditions that are the same but for one bound on one path (`x > 10`, `x > 20`, …) are one search in the
   sorted bounds. What they share is tested once, and before: it may be what makes the path readable.
4. Conditions that bound one path on the same side (`x > 10 && …`, `x > 20 && …`) stand behind the weakest of
   these bounds: where not even that holds, none of them is looked at.
5. Conditions that compare one path with constants (`x == "a"`, `x == "b"`, …) are one look-up; the rest of
   each is written when its constant is first met.
6. Conditions that only compare numbers and texts with constants, and are not too many, are tables: one
   look-up for each variable says which of them apply (`remit.engine.compiled.masks`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, cast

from remit.engine.compiled.chunks import (
    REPORTS,
    Block,
    Condition,
    calls,
    lines_of,
    single_block,
    write_function,
)
from remit.engine.compiled.masks import MAX_CONSTANTS, MAX_MASKED, Ranges, choices, tables
from remit.engine.compiled.outcomes import MASK_SHIFT
from remit.engine.compiled.recipes import Later, Lookup, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from remit.engine.compiled.code import Atom, Choice, Code, Constants
    from remit.engine.compiled.masks import Values
    from remit.engine.compiled.outcomes import Outcomes

MIN_SAME = 2
MIN_BOUNDS = 3
"""Fewer bounds are compared one by one: a search costs as much as three comparisons."""

MIN_LOOKUP = 4
MIN_GUARDED = 4
MAX_LEVELS = 3
MAX_INLINE = 60
"""Lines behind a bound that stand where they are tested; more become functions of their own."""


class _Part(NamedTuple):
    """A condition and which of its codes an index answers."""

    condition: Condition
    place: int

    @property
    def atom(self) -> Atom:
        atom = self.condition.codes[self.place].atom
        assert atom is not None
        return atom

    @property
    def left(self) -> tuple[Code, ...]:
        """What is left to test."""
        codes = self.condition.codes
        return (*codes[: self.place], *codes[self.place + 1 :])

    @property
    def others(self) -> tuple[str, ...]:
        """What is left to test, as text."""
        return tuple(code.text for code in self.left)


class Index:
    """Arranges conditions; tests derive from it to inject the bugs that `remit.engine.checked` must find.

    Args:
        constants: gets the constants that the statements name.
        outcomes: numbers groups.
        lock: held while what is met later is written.
    """

    SEARCHES = {">": "bisect_left", "<": "bisect_right"}  # noqa: RUF012  # a class attribute for tests to override
    """How many bounds lie below a value: for `value > bound` those that are less, for `<` also its equals."""

    MIN_MASKED = 6
    MIN_MASKED_EACH = 2
    """Fewer conditions, in all or for each variable, are not worth tables: they are tested one by one."""

    def __init__(
        self,
        constants: Constants,
        outcomes: Outcomes,
        lock: AbstractContextManager[bool],
    ) -> None:
        self._constants = constants
        self._outcomes = outcomes
        self._lock = lock

    def arranged(
        self,
        conditions: Sequence[Condition],
        levels: int = MAX_LEVELS,
        guarded: frozenset[tuple[str, str]] = frozenset(),
    ) -> list[Block]:
        """Return the statements that test all conditions.

        Args:
            conditions: in image order.
            levels: how many look-ups may stand behind each other.
            guarded: paths and sides whose weakest bound stands before all of this already.
        """
        blocks = [single_block(condition) for condition in conditions if not condition.safe]
        rest = [condition for condition in conditions if condition.safe]
        if not guarded:
            # One comparison that may spare all of the others.
            rest = self._guards(rest, blocks, levels, guarded)
        if len(rest) <= MAX_MASKED:
            rest = self._masks(rest, blocks)
        rest = self._guards(rest, blocks, levels, guarded)
        rest = self._same(rest, blocks)
        rest = self._bounds(rest, blocks)
        while levels and len(rest) >= MIN_LOOKUP:
            parts = _best_lookup(rest)
            if len(parts) < MIN_LOOKUP:
                break
            blocks.append(self._lookup(parts, levels - 1))
            rest = _without(rest, parts)
        rest = self._masks(rest, blocks)
        return blocks + [single_block(condition) for condition in rest]

    def _masks(self, conditions: Sequence[Condition], blocks: list[Block]) -> list[Condition]:
        """Write tables for those conditions that tables can answer, if they are worth it; return the rest."""
        known = {condition.rule: choices(condition) for condition in conditions}
        rest: list[Condition] = []
        for forbid in (False, True):
            mine = [condition for condition in conditions if condition.forbid is forbid]
            able = [condition for condition in mine if known[condition.rule] is not None]
            names = {choice.slot for condition in able for choice in known[condition.rule] or ()}
            if not names or len(able) < max(self.MIN_MASKED, self.MIN_MASKED_EACH * len(names)):
                rest += mine
                continue
            rest += [condition for condition in mine if known[condition.rule] is None]
            able = sorted(able, key=lambda one: self._outcomes.rule(one.rule))
            for start in range(0, len(able), MAX_MASKED):
                some = able[start : start + MAX_MASKED]
                parts = [known[one.rule] or () for one in some]
                if sum(len(choice.constants) for part in parts for choice in part) > MAX_CONSTANTS:
                    rest += some
                else:
                    blocks.append(self._mask(some, self.tables(parts)))
        return rest

    @staticmethod
    def tables(conditions: Sequence[Sequence[Choice]]) -> list[Ranges | Values]:
        """Return the tables for conditions; a method for tests to override."""
        return tables(conditions)

    def _mask(self, conditions: Sequence[Condition], found: Sequence[Ranges | Values]) -> Block:
        base = self._outcomes.mask([condition.rule for condition in conditions])
        terms: list[str] = []
        for one in found:
            if isinstance(one, Ranges):
                masks = self._constants.add_object(tuple([mask << MASK_SHIFT for mask in one.masks]))
                bounds = self._constants.add_object(one.bounds)
                terms.append(f"{masks}[bisect_left({bounds}, {one.slot})]")
            else:
                named = {value: mask << MASK_SHIFT for value, mask in one.masks.items()}
                table = self._constants.add_object(named)
                other = self._constants.add_object(one.other << MASK_SHIFT)
                terms.append(f"{table}.get({one.slot}, {other})")
        hits = _hits(conditions[0])
        return Block(
            lines=(
                f"n = {' & '.join(terms)}",
                f"if n: {hits}.append(n | {self._constants.add_object(base)})",
            ),
            variables=frozenset(one.slot for one in found),
        )

    def _guards(
        self,
        conditions: Sequence[Condition],
        blocks: list[Block],
        levels: int,
        guarded: frozenset[tuple[str, str]],
    ) -> list[Condition]:
        conditions = list(conditions)
        while len(conditions) >= MIN_GUARDED and len(guarded) < MAX_LEVELS:
            sides: defaultdict[tuple[str, str], dict[int, _Part]] = defaultdict(dict)
            for condition in conditions:
                for place, code in enumerate(condition.codes):
                    atom = code.atom
                    if atom is not None and atom.order != "==":
                        side = (atom.slot, atom.order[0])
                        if side not in guarded:
                            sides[side].setdefault(condition.rule, _Part(condition, place))
            parts = max((list(found.values()) for found in sides.values()), key=len, default=list[_Part]())
            if len(parts) < MIN_GUARDED:
                break
            side = (parts[0].atom.slot, parts[0].atom.order[0])
            blocks.append(self._guard(parts, levels, guarded | {side}))
            conditions = _without(conditions, parts)
        return conditions

    def _guard(self, parts: Sequence[_Part], levels: int, guarded: frozenset[tuple[str, str]]) -> Block:
        atom = parts[0].atom
        order = atom.order[0]
        bounds = [_bound(part.atom) for part in parts]
        # As a constant, so that programs that differ in it alone are the same source.
        test = f"{atom.slot} {order} {self._constants.add_object(self.weakest(order, bounds))}"
        if not all(part.atom.certain for part in parts):
            test = f"{atom.slot} is not M and {test}"
        # Where all bounds are one, it is tested here and nowhere else.
        conditions = [
            part.condition.without(part.left) if len(set(bounds)) == 1 else part.condition for part in parts
        ]
        inner = self.arranged(conditions, levels, guarded)
        variables = frozenset[str]().union({atom.slot}, *(block.variables for block in inner))
        lines = lines_of(inner)
        # A forbid's bound seldom holds: then a function spares the constants of what stands behind it.
        if len(lines) > MAX_INLINE or all(part.condition.forbid for part in parts):
            lines = [*calls("guarded", inner, self._constants, self._constants)]
        return Block(lines=(f"if {test}:", *(f"    {line}" for line in lines)), variables=variables)

    @staticmethod
    def weakest(order: str, bounds: Sequence[int]) -> int:
        """Return the bound that holds wherever one of them does; a method for tests to override."""
        return min(bounds) if order == ">" else max(bounds)

    def _same(self, conditions: Sequence[Condition], blocks: list[Block]) -> list[Condition]:
        families: defaultdict[tuple[object, ...], list[Condition]] = defaultdict(list)
        for condition in conditions:
            families[condition.forbid, *(code.text for code in condition.codes)].append(condition)
        rest: list[Condition] = []
        for family in families.values():
            if len(family) < MIN_SAME:
                rest += family
            else:
                blocks.append(single_block(family[0], piece=self._group([c.rule for c in family])))
        return rest

    def _bounds(self, conditions: Sequence[Condition], blocks: list[Block]) -> list[Condition]:
        families: defaultdict[tuple[object, ...], list[_Part]] = defaultdict(list)
        for condition in conditions:
            for place, code in enumerate(condition.codes):
                if code.atom is not None and code.atom.order != "==":
                    part = _Part(condition, place)
                    families[condition.forbid, code.atom.slot, code.atom.order[0], *part.others].append(part)
        taken: set[int] = set()
        for family in sorted(families.values(), key=len, reverse=True):
            parts = [part for part in family if part.condition.rule not in taken]
            if len(parts) >= MIN_BOUNDS:
                taken.update(part.condition.rule for part in parts)
                blocks.append(self._search(parts))
        return [condition for condition in conditions if condition.rule not in taken]

    def _search(self, parts: Sequence[_Part]) -> Block:
        first = parts[0]
        order = first.atom.order[0]
        # Sorted so that what a value satisfies comes first: low bounds for `>`, high ones for `<`.
        ranked = sorted(parts, key=lambda part: _bound(part.atom), reverse=order == "<")
        base = self._outcomes.group([part.condition.rule for part in ranked])
        bounds = self._constants.add_object(sorted(_bound(part.atom) for part in parts))
        count = f"{self.SEARCHES[order]}({bounds}, {first.atom.slot})"
        if order == "<":
            count = f"{len(parts)} - {count}"
        lines = [f"n = {count}", f"if n: {_hits(first.condition)}.append({base - 1} + n)"]
        if first.others:
            lines = [f"if {' and '.join(first.others)}:", *(f"    {line}" for line in lines)]
        return Block(lines=tuple(lines), variables=first.condition.variables)

    def _lookup(self, parts: Sequence[_Part], levels: int) -> Block:
        variables = frozenset[str]().union(*(part.condition.variables for part in parts))
        parameters = sorted(variables)
        found: defaultdict[object, list[Condition]] = defaultdict(list)
        for part in parts:
            found[part.atom.constant].append(part.condition.without(part.left))
        table = {
            constant: Later(self._later(conditions, parameters, levels))
            for constant, conditions in found.items()
        }
        name = self._constants.add_object(Lookup(table))
        arguments = ", ".join((*REPORTS, *parameters))
        lines = (f"n = {name}.get({parts[0].atom.slot})", f"if n is not None: n({arguments})")
        return Block(lines=lines, variables=variables)

    def _later(
        self, conditions: Sequence[Condition], parameters: Sequence[str], levels: int
    ) -> Callable[[], Sequence[Recipe]]:
        def write() -> Sequence[Recipe]:
            with self._lock:
                lines = lines_of(self.arranged(conditions, levels))
                source = write_function("lookup", (*REPORTS, *parameters), lines)
                return (Recipe(source, self._constants.values),)

        return write

    def _group(self, rules: Sequence[int]) -> int:
        return self._outcomes.group(rules) + len(rules) - 1


def _bound(atom: Atom) -> int:
    """Return the bound of `>` or `<` that `>=` or `<=` amounts to."""
    bound = int(cast("int", atom.constant))
    return {">": bound, "<": bound, ">=": bound - 1, "<=": bound + 1}[atom.order]


def _hits(condition: Condition) -> str:
    return "F" if condition.forbid else "P"


def _best_lookup(conditions: Sequence[Condition]) -> list[_Part]:
    """Return the parts of the path that most conditions compare with a constant."""
    by_slot: defaultdict[str, dict[int, _Part]] = defaultdict(dict)
    for condition in conditions:
        for place, code in enumerate(condition.codes):
            if code.atom is not None and code.atom.order == "==":
                by_slot[code.atom.slot].setdefault(condition.rule, _Part(condition, place))
    found: list[list[_Part]] = [list(parts.values()) for parts in by_slot.values()]
    return max(found, key=len) if found else []


def _without(conditions: Sequence[Condition], parts: Sequence[_Part]) -> list[Condition]:
    taken = {part.condition.rule for part in parts}
    return [condition for condition in conditions if condition.rule not in taken]
