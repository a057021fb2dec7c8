"""Pieces of generated Python: an expression with what is known of it, and the constants it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remit.engine.schema import EntityType, Primitive, RecordType, SetType, Type
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.engine.reads import Path

BOOL, LONG, STRING = Primitive("Bool"), Primitive("Long"), Primitive("String")
DECIMAL, DATETIME, DURATION, IP = (Primitive(n) for n in ("decimal", "datetime", "duration", "ipaddr"))
COMPARED = frozenset({"Long", "datetime", "duration"})
"""Types that `<` is defined for."""

CHOSEN = frozenset({"Long", "String", "Bool"})
"""Types whose values are plain numbers and texts, so that a table can be looked up by them."""

Order = Literal["==", "<", "<=", ">", ">="]
NO_FACTS: frozenset[Path] = frozenset()


class Atom(Value, frozen=True, kw_only=True):
    """A condition of the form `path <op> constant` that cannot err: what an index can answer.

    Args:
        slot: the local variable that holds the path's value.
        order: the comparison.
        constant: a number for an order, any hashable of one type for `==`.
        certain: the path is there in every request.
    """

    slot: str
    order: Order
    constant: object
    certain: bool


class Choice(Value, frozen=True, kw_only=True):
    """A condition whose truth depends on how one variable compares with constants: what a table can answer.

    Args:
        slot: the local variable; what it holds is there in every request.
        type: `Long`, `String` or `Bool`.
        constants: the truth changes at these alone: below, at and above each number, at each text or Bool.
        holds: the condition, of a value of that type; of an `object()` it is what it is of any other text.
    """

    slot: str
    type: str
    constants: frozenset[object]
    holds: Callable[[object], bool]


class Code(Value, frozen=True, kw_only=True):
    """A Python expression.

    Args:
        text: the source.
        type: Cedar's type, where known.
        safe: it cannot err.
        raw: a record or a set in the request's own form; see `remit.engine.compiled.values`.
        facts: paths that are there if the expression is true.
        slot: the variable's name, if the expression is one.
        certain: it is such a variable, and what it holds is there in every request.
        constant: the constant in a tuple of one, if it is one.
        atom: see there.
        choice: see there.
        conjuncts: the parts, if it is a conjunction.
    """

    text: str
    type: Type | None
    safe: bool
    raw: bool = False
    facts: frozenset[Path] = NO_FACTS
    slot: str = ""
    certain: bool = False
    constant: tuple[object] | tuple[()] = ()
    atom: Atom | None = None
    choice: Choice | None = None
    conjuncts: tuple[Code, ...] = ()


FAILS = Code(text="fails()", type=None, safe=False)
FAILS_AS_BOOL = Code(text="fails()", type=BOOL, safe=False)
TRUE = Code(text="True", type=BOOL, safe=True)
FALSE = Code(text="False", type=BOOL, safe=True)


def chosen(code: Code, constants: frozenset[object], holds: Callable[[object], bool]) -> Choice | None:
    """Return the choice that a comparison of an expression with constants is, if it is one."""
    declared = code.type
    if not (code.slot and code.certain and isinstance(declared, Primitive) and declared.name in CHOSEN):
        return None
    return Choice(slot=code.slot, type=declared.name, constants=constants, holds=holds)


def choice_of(code: Code) -> Choice | None:
    """Return the choice that a condition is, if it is one: a Bool is compared with true."""
    if code.choice is not None or code.type != BOOL:
        return code.choice
    return chosen(code, frozenset((True,)), lambda value: value is True)


def is_primitive(declared: Type | None, *names: str) -> bool:
    """Return whether a type is one of the named ones."""
    return isinstance(declared, Primitive) and declared.name in names


def holds_attributes(declared: Type | None) -> bool:
    """Return whether a type is known to be a record or an entity."""
    return isinstance(declared, RecordType | EntityType)


def plain_elements(declared: Type | None) -> str:
    """Return `Long` or `String` for a set of these, in which Python's `in` is Cedar's `contains`."""
    if isinstance(declared, SetType) and is_primitive(declared.element, "Long", "String"):
        assert isinstance(declared.element, Primitive)
        return declared.element.name
    return ""


@dataclass(slots=True)
class Constants:
    """Objects that generated code names; nothing of a document becomes source but plain numbers and text."""

    values: dict[str, object] = field(default_factory=dict[str, object])
    _objects: int = 0
    _names: dict[tuple[type, object], str] = field(default_factory=dict[tuple[type, object], str])

    def copy(self) -> Constants:
        """Return the same constants, to be added to apart from these."""
        return Constants(dict(self.values), self._objects, dict(self._names))

    def become(self, other: Constants) -> None:
        """Take over what others hold; for constants that have none yet."""
        assert not self.values
        self.values |= other.values
        self._objects = other._objects
        self._names |= other._names

    def add(self, value: object) -> str:
        """Return the name of a constant."""
        known = (type(value), value)
        name = self._names.get(known)
        if name is None:
            name = self._names[known] = f"k{len(self._names)}"
            self.values[name] = value
        return name

    def add_object(self, value: object) -> str:
        """Return the name of a constant that is compared by identity."""
        # Numbered apart from the others, so that programs that differ in these alone are the same source.
        name = f"o{self._objects}"
        self._objects += 1
        self.values[name] = value
        return name
