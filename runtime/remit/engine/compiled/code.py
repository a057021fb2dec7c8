"""Pieces of generated Python: an expression with what is known of it, and the constants it names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remit.engine.schema import EntityType, Primitive, RecordType, SetType, Type

if TYPE_CHECKING:
    from remit.engine.reads import Path

BOOL, LONG, STRING = Primitive("Bool"), Primitive("Long"), Primitive("String")
DECIMAL, DATETIME, DURATION, IP = (Primitive(n) for n in ("decimal", "datetime", "duration", "ipaddr"))
COMPARED = frozenset({"Long", "datetime", "duration"})
"""Types that `<` is defined for."""

Order = Literal["==", "<", "<=", ">", ">="]
NO_FACTS: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
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
    conjuncts: tuple[Code, ...] = ()


FAILS = Code(text="fails()", type=None, safe=False)
FAILS_AS_BOOL = Code(text="fails()", type=BOOL, safe=False)
TRUE = Code(text="True", type=BOOL, safe=True)
FALSE = Code(text="False", type=BOOL, safe=True)


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
    _names: dict[tuple[type, object], str] = field(default_factory=dict[tuple[type, object], str])

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
        name = f"o{len(self.values)}"
        self.values[name] = value
        return name
