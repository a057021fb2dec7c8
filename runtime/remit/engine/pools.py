"""Which policies can apply to a request: found by comparing it with what each policy says first.

INVARIANT (slicing): a policy is left out only where a constraint of its scope is false for the request, or
one of its guards is false and neither it nor a guard before it can err.
Cedar evaluates `scope && conditions` from left to right and stops at the first that is false, and a scope
cannot err: so what is left out neither applies nor errs, and decision, reasons and errors are those of the
whole set.
A guard cannot err where the schema requires every step of its path and declares the type of its constants,
and where the request was found to be as the schema says.

Rules
1. Policies of a pool are bits of a number, the first policy the lowest; a *mask* says which can apply.
2. Each filter knows the policies that it is about, and lets all others pass.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, cast

from remit.engine.crossing import made_function
from remit.engine.schema import Primitive, RecordType

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from remit.engine.guards import Constant, Guard, Order
    from remit.engine.policy_index import ActionScope, IndexedPolicy, Uid
    from remit.engine.reads import Path
    from remit.engine.schema import ActionType, Type

MAX_STEPS = 512
"""Bounds on one path that are told apart; of more, several are taken together."""

MAX_TABLE = 4_096
"""Policies of a pool up to which the mask of every constant is kept; beyond that it is made when asked."""

MANY = 16
"""Policies that are worth a call of their own."""

Place = tuple[int, int]
"""Source and slot of a value."""

_KINDS: Mapping[Order, str] = {
    "==": "equal",
    "in": "equal",
    "!=": "unequal",
    "<": "less",
    "<=": "less",
    ">": "greater",
    ">=": "greater",
}
_TYPES: Mapping[type, Primitive] = {
    str: Primitive("String"),
    int: Primitive("Long"),
    bool: Primitive("Bool"),
}


class Root(NamedTuple):
    """What a path starts from.

    Args:
        source: number of the values that it is read from.
        declared: its type.
        slots: where its values are.
    """

    source: int
    declared: RecordType
    slots: Mapping[Path, int]


class Shape(NamedTuple):
    """What decides whether a guard can err.

    Args:
        path: what is compared.
        ordered: whether by `<` or its like.
        types: of its constants.
    """

    path: Path
    ordered: bool
    types: frozenset[type]


class Filter(NamedTuple):
    """An expression for the mask of those that can apply.

    Args:
        code: the expression, with `{v}` for the value that it is about and `{0}`, `{1}`, … for constants.
        constants: what it names.
    """

    code: str
    constants: tuple[object, ...]


class Pool:
    """Policies whose action and types fit, and what tells which of them can apply.

    Args:
        key: the same key, the same rows, in whatever pool.
        rows: numbers of the policies in the image, ascending.
        policies: all policies of the image.
        places: where the values of guards are, by shape; nothing for those that may err.

    Attributes:
        all: the mask of all policies.
        values: filters by a value, with its source and slot.
        ids: filters by an id; 0 for the principal's, 1 for the resource's.
        groups: filters by everything that an entity is in, itself included; likewise.
    """

    __slots__ = ("all", "groups", "ids", "key", "rows", "values")

    def __init__(
        self,
        key: int,
        rows: Sequence[int],
        policies: Sequence[IndexedPolicy],
        places: Mapping[Shape, Place | None],
    ) -> None:
        self.key = key
        self.rows = tuple(rows)
        self.all = (1 << len(self.rows)) - 1
        members = [policies[row] for row in rows]
        scopes = ([m.principal for m in members], [m.resource for m in members])
        ids = [{n: (s.id,) for n, s in enumerate(side) if s.id is not None} for side in scopes]
        within = [{n: s.group for n, s in enumerate(side) if s.group is not None} for side in scopes]
        self.ids = tuple((side, _members(those, self.all)) for side, those in enumerate(ids) if those)
        self.groups = tuple((side, _groups(those, self.all)) for side, those in enumerate(within) if those)
        self.values = tuple(_filters(members, places, self.all))

    def chosen(self, mask: int) -> tuple[int, ...]:
        """Return the rows that a mask stands for."""
        return tuple(row for bit, row in enumerate(self.rows) if mask >> bit & 1)


class Pools:
    """The pools of an image; those that actions share are made once.

    Args:
        policies: all policies of the image.
    """

    def __init__(self, policies: Sequence[IndexedPolicy]) -> None:
        self._policies = policies
        self._by_scope: defaultdict[ActionScope, list[int]] = defaultdict(list)
        for row, policy in enumerate(policies):
            self._by_scope[policy.action].append(row)
        self._shapes: dict[Hashable, frozenset[Shape]] = {}
        self._shared: dict[Hashable, Pool] = {}
        self._keys: dict[Hashable, int] = {}
        self._numbers = count()

    def of(self, action: ActionType, types: tuple[str, str], roots: Mapping[str, Root]) -> Iterable[Pool]:
        """Yield the pools of an action that are not empty.

        Policies of a scope that other actions share are apart where they are many; those that can always
        apply are apart where they are many, as they would be in every choice.

        Args:
            action: what is asked.
            types: fully qualified, of the principal and of the resource.
            roots: `principal`, `resource` and `context`.
        """
        own: list[int] = []
        parts: list[tuple[Hashable, list[int]]] = [(action.name, own)]
        for scope, rows in self._by_scope.items():
            if scope.admits(action.name, action.ancestors):
                fitting = [row for row in rows if self._fits(row, types)]
                if (scope.names is None or scope.groups) and len(fitting) >= MANY:
                    parts.append((scope, fitting))
                else:
                    own += fitting
        for about, rows in parts:
            always = [row for row in rows if not self._policies[row].filtered]
            if len(always) < MANY:
                always = []
            rest = set(rows).difference(always)
            for which, those in (("always", always), ("rest", rest)):
                if those:
                    yield self._pool((about, types, which), sorted(those), roots)

    def _fits(self, row: int, types: tuple[str, str]) -> bool:
        policy = self._policies[row]
        return policy.principal.type in {None, types[0]} and policy.resource.type in {None, types[1]}

    def _pool(self, key: Hashable, rows: Sequence[int], roots: Mapping[str, Root]) -> Pool:
        shapes = self._shapes.get(key)
        if shapes is None:
            shapes = self._shapes[key] = frozenset(
                _shape(guard) for row in rows for guard in self._policies[row].guards
            )
        places = {shape: _place(shape, roots) for shape in shapes}
        alike = (key, frozenset(places.items()))
        pool = self._shared.get(alike)
        if pool is None:
            number = self._keys.setdefault(key, next(self._numbers))
            pool = self._shared.setdefault(alike, Pool(number, rows, self._policies, places))
        return pool


def _filters(
    members: Sequence[IndexedPolicy], places: Mapping[Shape, Place | None], everybody: int
) -> Iterable[tuple[int, int, Filter]]:
    """Yield the filters by value."""
    found: defaultdict[tuple[Place, str], dict[int, list[Guard]]] = defaultdict(dict)
    for number, policy in enumerate(members):
        for guard in policy.guards:
            place = places[_shape(guard)]
            if place is None:
                # It may err, so that what stands behind it cannot tell whether the policy can be left out.
                break
            found[place, _KINDS[guard.order]].setdefault(number, []).append(guard)
    for (place, kind), guards in found.items():
        if kind == "equal":
            yield (*place, _members({n: _common(those) for n, those in guards.items()}, everybody))
        elif kind == "unequal":
            yield (*place, _others(guards, everybody))
        else:
            yield (*place, _bounds(guards, everybody, below=kind == "less"))


def _common(guards: Sequence[Guard]) -> frozenset[Constant]:
    """Return the constants that all of one policy's guards on one path admit."""
    return frozenset(guards[0].constants).intersection(*(guard.constants for guard in guards[1:]))


def _members(admitted: Mapping[int, Iterable[object]], everybody: int) -> Filter:
    """Return the filter of policies that admit certain values.

    Args:
        admitted: the values by policy.
        everybody: the mask of the pool.
    """
    by_value: defaultdict[object, list[int]] = defaultdict(list)
    for number, values in admitted.items():
        for value in values:
            by_value[value].append(number)
    others = everybody & ~_bits(admitted)
    if everybody.bit_length() > MAX_TABLE:

        def admitting(value: object) -> int:
            return others | _bits(by_value.get(value, ()))

        return Filter("{0}({v})", (admitting,))
    table = {value: others | _bits(numbers) for value, numbers in by_value.items()}
    return Filter("{0}.get({v}, {1})", (table, others))


def _others(guards: Mapping[int, Sequence[Guard]], everybody: int) -> Filter:
    """Return the filter of policies that admit all but certain values."""
    by_value: defaultdict[object, list[int]] = defaultdict(list)
    for number, those in guards.items():
        for guard in those:
            by_value[guard.constants[0]].append(number)
    if everybody.bit_length() > MAX_TABLE:

        def admitting(value: object) -> int:
            return everybody & ~_bits(by_value.get(value, ()))

        return Filter("{0}({v})", (admitting,))
    table = {value: everybody & ~_bits(numbers) for value, numbers in by_value.items()}
    return Filter("{0}.get({v}, {1})", (table, everybody))


def _bounds(guards: Mapping[int, Sequence[Guard]], everybody: int, *, below: bool) -> Filter:
    """Return the filter of `x > 1, x >= 2, …`, or of `x < 1, x <= 2, …` if `below`."""
    # Negated, `x < 5` is `-x > -5`: one search serves both. Of one policy's bounds the highest decides.
    bounds = sorted((max(_bound(guard, below=below) for guard in those), n) for n, those in guards.items())
    least = [bound for bound, _ in bounds]
    numbers = [number for _, number in bounds]
    mask = everybody & ~_bits(numbers)
    step = -(-len(numbers) // MAX_STEPS)
    masks = [mask]
    for start in range(0, len(numbers), step):
        mask |= _bits(numbers[start : start + step])
        masks.append(mask)
    place = f"{{2}}({{1}}, {'-' if below else ''}{{v}})"
    # Rounded up to whole steps: more policies than needed, never fewer.
    return Filter(
        "{0}[" + (place if step == 1 else f"-(-{place} // {step})") + "]", (masks, least, bisect_left)
    )


def _bound(guard: Guard, *, below: bool) -> int:
    """Return what a value must exceed, or what its negative must if the guard is by `<`."""
    constant = int(guard.constants[0])
    if below:
        return -constant if guard.order == "<" else -constant - 1
    return constant if guard.order == ">" else constant - 1


def _groups(members: Mapping[int, Uid], everybody: int) -> Filter:
    """Return the filter of policies about members of a group."""
    by_group: defaultdict[Uid, list[int]] = defaultdict(list)
    for number, group in members.items():
        by_group[group].append(number)
    others = everybody & ~_bits(members)

    def passing(within: Iterable[Uid]) -> int:
        mask = others
        for group in within:
            if group in by_group:
                mask |= _bits(by_group[group])
        return mask

    return Filter("{0}({v})", (passing,))


def _bits(numbers: Iterable[int]) -> int:
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask


def choice(pools: Sequence[Pool], sources: Sequence[str]) -> Callable[..., Sequence[int]]:
    """Return the function from the values of a request to one mask for each pool.

    Args:
        pools: that are chosen from.
        sources: names of its parameters for the sources of values; behind them come both ids, and both
            frozensets of what the entities are in.
    """
    constants: dict[str, object] = {}

    def named(value: object) -> str:
        constants[f"k{len(constants)}"] = value
        return f"k{len(constants) - 1}"

    def written(one: Filter, value: str) -> str:
        return one.code.format(*map(named, one.constants), v=value)

    masks: list[str] = []
    for pool in pools:
        filters = [written(one, f"{sources[source]}[{slot}]") for source, slot, one in pool.values]
        filters += [written(one, f"ids[{side}]") for side, one in pool.ids]
        filters += [written(one, f"within[{side}]") for side, one in pool.groups]
        masks.append(" & ".join([named(pool.all), *filters]))
    found = "".join(f"{mask}, " for mask in masks)
    source = f"def choose({', '.join(sources)}, ids, within):\n    return ({found})\n"
    return cast("Callable[..., Sequence[int]]", made_function(source, constants))


def _shape(guard: Guard) -> Shape:
    return Shape(guard.path, guard.order[0] in {"<", ">"}, frozenset(map(type, guard.constants)))


def _place(shape: Shape, roots: Mapping[str, Root]) -> Place | None:
    """Return where the value of such guards is, or nothing if comparing it may err."""
    source, declared, slots = roots[shape.path[0]]
    here: Type = declared
    for step in shape.path[1:]:
        member = here.attributes.get(step) if isinstance(here, RecordType) else None
        if member is None or not member.required:
            return None
        here = member.type
    # INVARIANT: constants and values of one filter are of one exact type, so that no `True` is a 1.
    fits = all(_TYPES[kind] == here and (kind is int or not shape.ordered) for kind in shape.types)
    slot = slots.get(shape.path[1:])
    return (source, slot) if fits and slot is not None and isinstance(here, Primitive) else None
