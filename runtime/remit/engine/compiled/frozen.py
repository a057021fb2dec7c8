"""Recipes as bytes and back, so that a proven engine can be kept and need not be made again.

The bytes hold code that is executed, so whoever can write them decides as they like.
`thaw` is for bytes that the caller trusts as it trusts this program; it finds damage, never malice.
"""

from __future__ import annotations

import marshal
import sys
from importlib.util import MAGIC_NUMBER
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from remit.engine.compiled.extensions import Datetime, Decimal, Duration, Ip
from remit.engine.compiled.recipes import Later, Lift, Lookup, Match, Recipe, constants_of
from remit.engine.compiled.values import FALSE_KEY, TRUE_KEY, ExtensionKey, RecordKey
from remit.engine.compiled.version import NAME
from remit.engine.schema import Attribute, EntityType, Primitive, RecordType, SetType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.engine.reads import Path

_PLAIN = frozenset({str, int, bool, type(None)})
_COLLECTIONS = frozenset({tuple, frozenset, list})
_NUMBERS: Mapping[str, type[int]] = {"decimal": Decimal, "datetime": Datetime, "duration": Duration}
_NUMBER_NAMES = {kind: name for name, kind in _NUMBERS.items()}

_VERSION = (NAME, sys.version, MAGIC_NUMBER)
"""Code of another interpreter must not be run."""

MAX_LATER = 200_000
"""Functions of one engine that are written before they are needed, so that they can be kept."""


class TooMuch(ValueError):  # noqa: N818  # not a fault: the engine is made anew next time
    """An engine has more functions than are kept."""


class Saved(NamedTuple):
    """An engine's code.

    Args:
        codes: by number, as `marshal` wrote them.
        programs: by action, type of principal and type of resource; see `Freezer.frozen`.
        paths: whose variables the code names, in the order of their numbers.
        groups: of policies that the code names by number, likewise.
    """

    codes: tuple[bytes, ...]
    programs: dict[tuple[str, str, str], bytes]
    paths: tuple[Path, ...]
    groups: tuple[tuple[int, ...], ...]

    def to_bytes(self) -> bytes:
        """Return all of it as bytes."""
        return marshal.dumps((_VERSION, *self))

    @classmethod
    def read(cls, data: bytes) -> Saved:
        """Read what `to_bytes` wrote; the bytes must be trusted.

        Raises:
            ValueError: they are damaged, or of another version.
        """
        try:
            version, *rest = marshal.loads(data)  # noqa: S302  # trusted: see the module's docstring
        except (ValueError, EOFError, TypeError) as error:
            raise ValueError(f"the saved engine is damaged: {error}") from error
        if version != _VERSION:
            raise ValueError("the saved engine is of another version")
        return cls(*rest)


class Freezer:
    """Turns recipes into bytes; equal code is kept once.

    Args:
        code: compiles a recipe.

    Attributes:
        codes: all code, by number.
    """

    def __init__(self, code: Callable[[Recipe], CodeType]) -> None:
        self._code = code
        self._numbers: dict[int, int] = {}
        self._later = 0
        self.codes: list[CodeType] = []

    def frozen(self, recipe: Recipe) -> bytes:
        """Return a recipe as bytes.

        Raises:
            TooMuch: more than `MAX_LATER` functions.
        """
        return marshal.dumps(cast("Any", self._frozen(recipe)))

    def _frozen(self, recipe: Recipe) -> tuple[object, ...]:
        """Return the number of its code, and its constants."""
        code = self._code(recipe)
        number = self._numbers.get(id(code))
        if number is None:
            # Kept alive in the list, so that its id stays its own.
            number = self._numbers[id(code)] = len(self.codes)
            self.codes.append(code)
        return (number, self._constants(recipe, constants_of(code)))

    def _source(self, recipe: Recipe) -> tuple[object, ...]:
        """Return its source, to be compiled when it is first needed, and its constants."""
        self._later += 1
        if self._later > MAX_LATER:
            raise TooMuch(f"more than {MAX_LATER} functions")
        return (recipe.source, self._constants(recipe, recipe.named()))

    def _constants(self, recipe: Recipe, named: tuple[str, ...]) -> dict[str, object]:
        return {name: self._packed(recipe.constants[name]) for name in named}

    def _packed(self, value: object) -> object:
        match value:
            case Recipe():
                return ("recipe", self._frozen(value))
            case Lookup(entries):
                rows = [
                    (pack(key), tuple(self._source(recipe) for recipe in later.recipes()))
                    for key, later in entries.items()
                ]
                return ("lookup", tuple(rows))
            case _:
                return pack(value)


class Thawer:
    """Makes recipes of bytes.

    Args:
        codes: all code, by number, as `marshal` wrote it.
    """

    def __init__(self, codes: tuple[bytes, ...]) -> None:
        self._codes: list[bytes | CodeType] = list(codes)

    def thawed(self, data: bytes) -> Recipe:
        """Return what `Freezer.frozen` got."""
        return self._recipe(marshal.loads(data))  # noqa: S302  # trusted: see the module's docstring

    def _recipe(self, frozen: object) -> Recipe:
        what, constants = cast("tuple[int | str, dict[str, object]]", frozen)
        values = {name: self._constant(value) for name, value in constants.items()}
        if isinstance(what, str):
            return Recipe(what, values)
        code = self._codes[what]
        if not isinstance(code, CodeType):
            code = self._codes[what] = cast("CodeType", marshal.loads(code))  # noqa: S302  # as above
        return Recipe("", values, code)

    def _constant(self, value: object) -> object:
        what, rest = _split(value)
        if what == "recipe":
            return self._recipe(rest[0])
        if what == "lookup":
            return Lookup({unpack(key): self._later(recipes) for key, recipes in rest[0]})
        return unpack(value)

    def _later(self, frozen: tuple[object, ...]) -> Later:
        return Later(lambda: tuple(self._recipe(recipe) for recipe in frozen))


def pack(value: object) -> object:  # noqa: C901, PLR0912  # one case for each class that a constant can have
    """Return a constant as plain data; tuples in it begin with what they stand for."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if kind in _NUMBER_NAMES:
        return (_NUMBER_NAMES[kind], int(cast("int", value)))
    if value is TRUE_KEY or value is FALSE_KEY:
        return ("bool", value is TRUE_KEY)
    match value:
        case Ip(version, address, prefix):
            return ("ip", version, address, prefix)
        case RecordKey():
            return ("record", pack(value[0]))
        case ExtensionKey():
            return ("extension", _NUMBER_NAMES[value[0]], value[1])
        case Lift(declared):
            return ("lift", pack(declared))
        case Match(parts):
            return ("match", *parts)
        case Primitive(name):
            return ("primitive", name)
        case EntityType(name):
            return ("entity", name)
        case SetType(element):
            return ("set", pack(element))
        case RecordType(attributes):
            rows = [(name, pack(one.type), one.required) for name, one in attributes.items()]
            return ("type", *rows)
        case _:
            pass
    if kind in _COLLECTIONS and all(type(item) in _PLAIN for item in cast("list[object]", value)):
        return ("plain", value)
    if kind is tuple:
        return ("tuple", *map(pack, cast("tuple[object, ...]", value)))
    if kind is frozenset:
        return ("frozenset", *map(pack, cast("frozenset[object]", value)))
    if kind is list:
        return ("list", *map(pack, cast("list[object]", value)))
    if kind is dict:
        items = cast("dict[object, object]", value).items()
        if all(type(item) in _PLAIN for pair in items for item in pair):
            return ("plain", value)
        return ("dict", *((pack(key), pack(item)) for key, item in items))
    raise TypeError(f"a constant of class {kind.__name__} cannot be kept")


def unpack(value: object) -> object:
    """Return what `pack` got."""
    what, rest = _split(value)
    return _UNPACK[what](rest) if what else value


def _split(value: object) -> tuple[str, list[Any]]:
    """Return what a tuple stands for and the rest of it; nothing for a plain value."""
    if type(value) is not tuple:
        return "", []
    what, *rest = cast("Any", value)
    return what, rest


def _number(name: str) -> Callable[[list[Any]], object]:
    return lambda rest: _NUMBERS[name](rest[0])


_UNPACK: Mapping[str, Callable[[list[Any]], object]] = {
    **{name: _number(name) for name in _NUMBERS},
    "bool": lambda rest: TRUE_KEY if rest[0] else FALSE_KEY,
    "ip": lambda rest: Ip(*rest),
    "record": lambda rest: RecordKey((cast("Any", unpack(rest[0])),)),
    "extension": lambda rest: ExtensionKey((_NUMBERS[rest[0]], rest[1])),
    "lift": lambda rest: Lift(cast("Any", unpack(rest[0]))),
    "match": lambda rest: Match(tuple(rest)),
    "primitive": lambda rest: Primitive(rest[0]),
    "entity": lambda rest: EntityType(rest[0]),
    "set": lambda rest: SetType(cast("Any", unpack(rest[0]))),
    "type": lambda rest: RecordType(
        {name: Attribute(cast("Any", unpack(kind)), required) for name, kind, required in rest}
    ),
    "plain": lambda rest: rest[0],
    "tuple": lambda rest: tuple(map(unpack, rest)),
    "frozenset": lambda rest: frozenset(map(unpack, rest)),
    "list": lambda rest: list(map(unpack, rest)),
    "dict": lambda rest: {unpack(key): unpack(item) for key, item in rest},
}
