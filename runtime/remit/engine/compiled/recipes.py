"""Functions that are not made yet: source and constants, plain data that can be kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import CodeType

    from remit.engine.schema import Type

_NAME = re.compile(r"\b(?:[ko]\d+|ACTION)\b")
"""How constants are named, and nothing else in generated code is."""


@dataclass(frozen=True, slots=True)
class Lift:
    """A constant: the function from raw to value for a type."""

    type: Type


@dataclass(frozen=True, slots=True)
class Match:
    """A constant: the function that matches a text against a pattern; see `patterns.matcher`."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """A constant: what is called for each value that something is compared with."""

    entries: Mapping[object, Later]


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """One function.

    Args:
        source: of the one `def`; may be empty where there is `code`.
        constants: what it names: plain values, or one of the classes of this module, made when it is made.
        code: the source, compiled.
    """

    source: str
    constants: Mapping[str, object]
    code: CodeType | None = None

    def named(self) -> tuple[str, ...]:
        """Return the constants that the source seems to name; a text in it may look like one."""
        return tuple(name for name in dict.fromkeys(_NAME.findall(self.source)) if name in self.constants)


def constants_of(code: CodeType) -> tuple[str, ...]:
    """Return the constants that a function's code takes, which are its last parameters."""
    return tuple(name for name in code.co_varnames[: code.co_argcount] if _NAME.fullmatch(name))


class Later:
    """Functions whose source is written when they are first needed.

    Args:
        write: writes them; called once, and again only where it raised.
    """

    __slots__ = ("_recipes", "_write")

    def __init__(self, write: Callable[[], Sequence[Recipe]] | None, recipes: Sequence[Recipe] = ()) -> None:
        self._write = write
        self._recipes = recipes

    def recipes(self) -> Sequence[Recipe]:
        """Return the functions' recipes."""
        write = self._write
        if write is not None:
            self._recipes = write()
            # What it was written from is not needed any more.
            self._write = None
        return self._recipes
