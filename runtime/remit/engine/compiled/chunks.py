"""Conditions written into functions, and functions made of source."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from remit.engine.compiled import extensions, values
from remit.engine.compiled.entities import are_unicode, gather, is_unicode
from remit.engine.compiled.lifting import READERS, lifter
from remit.engine.compiled.longs import PACKERS
from remit.engine.compiled.patterns import matcher
from remit.engine.compiled.recipes import Later, Lift, Lookup, Match, Recipe, constants_of
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from remit.engine.compiled.code import Code, Constants

_BUILTINS = {kind.__name__: kind for kind in (bool, dict, float, frozenset, int, list, set, str, tuple, type)}
_FUNCTIONS = (
    *(values.added, values.attribute, values.contains, values.contains_all, values.contains_any),
    *(values.equal, values.extension, values.fails, values.greater, values.greater_eq, values.has_attribute),
    *(values.has_tag, values.is_empty, values.is_of_type, values.is_within, values.key, values.less),
    *(values.less_eq, values.multiplied, values.negated, values.ranged, values.subtracted, values.text),
    *(values.truth, extensions.duration_since, extensions.is_in_range, extensions.is_loopback),
    *(extensions.is_multicast, extensions.offset, extensions.parse_datetime, extensions.parse_decimal),
    *(extensions.parse_duration, extensions.parse_ip, extensions.to_date, extensions.to_time),
    *(extensions.whole_units, are_unicode, gather, is_unicode, len, bisect_left, bisect_right),
    *(extensions.Decimal, extensions.Datetime, extensions.Duration, extensions.Ip),
)
NAMESPACE: Mapping[str, object] = {
    "M": values.MISSING,
    "NONE": frozenset[object](),
    "PolicyErrs": ValueError,
    **_BUILTINS,
    **{function.__name__: function for function in _FUNCTIONS},
    **PACKERS,
    **{f"read_{name}": reader for name, reader in READERS.items()},
}
"""All that generated code can name, beside its own constants; no built-in that reaches further."""


REPORTS = ("P", "F", "E")
"""Where blocks report: the permits and forbids that apply, and the policies that err."""

MAX_LINES = 150
"""Lines in one function, unless one block has more: bounds what Python's compiler holds at once."""


class Condition(Value, frozen=True, kw_only=True):
    """A policy whose scope fits but for what `codes` say.

    Args:
        rule: its number in the image.
        forbid: its effect.
        codes: all of these hold where it applies, tested in this order.
        variables: that they name.
    """

    rule: int
    forbid: bool
    codes: tuple[Code, ...]
    variables: frozenset[str]

    @property
    def safe(self) -> bool:
        """Whether it cannot err."""
        return all(code.safe for code in self.codes)

    def without(self, codes: tuple[Code, ...]) -> Condition:
        """Return the condition with fewer codes."""
        return replace(self, codes=codes)


class Block(Value, frozen=True, kw_only=True):
    """Statements that report what applies: pieces to `P` and `F`, policies that err to `E`.

    Args:
        lines: the statements, indented from 0.
        variables: that they name.
    """

    lines: tuple[str, ...]
    variables: frozenset[str]


class FunctionMaker:
    """Makes functions of recipes; equal source is compiled once.

    A function's constants are parameters with defaults: so functions that differ in their constants alone
    share their code, and what the interpreter learns of it, and all see one dictionary of names.

    Args:
        shared: what every function may name beside `NAMESPACE`.
    """

    def __init__(self, shared: Mapping[str, object]) -> None:
        self._codes: dict[str, CodeType] = {}
        self._kept: dict[object, object] = {}
        self._names: dict[str, object] = {"__builtins__": {**NAMESPACE, **shared}}

    def code(self, recipe: Recipe) -> CodeType:
        """Return a recipe's code."""
        if recipe.code is not None:
            return recipe.code
        head, end, body = recipe.source.partition("):\n")
        source = "".join((", ".join((head, *recipe.named())), end, body))
        code = self._codes.get(source)
        if code is None:
            module = compile(source, "<policies>", "exec", dont_inherit=True, optimize=1)
            (code,) = (value for value in module.co_consts if isinstance(value, CodeType))
            self._codes[source] = code
        return code

    def make(self, recipe: Recipe) -> FunctionType:
        """Return the one function that a recipe describes."""
        code = self.code(recipe)
        constants = tuple(self._made(recipe.constants[name]) for name in constants_of(code))
        return FunctionType(code, self._names, None, constants)

    def forget(self) -> None:
        """Drop what is only needed while many functions are made."""
        self._codes.clear()
        self._kept.clear()

    def _made(self, constant: object) -> object:
        match constant:
            case Recipe():
                return self._shared_function(constant)
            case Lookup(entries):
                return {key: LazyFunctions(later, self) for key, later in entries.items()}
            case Lift(declared):
                return lifter(declared)
            case Match(parts):
                return matcher(parts)
            case tuple():
                return self._shared_row(cast("tuple[object, ...]", constant))
            case dict():
                return self._shared_table(cast("dict[object, object]", constant))
            case int():
                return self._shared(constant)
            case _:
                return constant

    # What many functions name: one copy of all that are equal stays at hand. A call touches every constant of
    # its function, and what another action's function has just touched is in the processor's caches.

    def _shared(self, plain: object) -> object:
        # Equal values of different types are different.
        return self._kept.setdefault((type(plain), plain), plain)

    def _shared_row(self, row: tuple[object, ...]) -> object:
        return self._kept.setdefault(row, row) if {*map(type, row)} == {int} else row

    def _shared_table(self, table: dict[object, object]) -> object:
        if {*map(type, table.values())} != {int}:
            return table
        rows = tuple((type(key), key, value) for key, value in table.items())
        shared = {self._shared(key): value for key, value in table.items()}
        return self._kept.setdefault(rows, shared)

    def _shared_function(self, recipe: Recipe) -> Callable[..., object]:
        made = self.make(recipe)
        # Equal constants are one object by now, which a kept function keeps alive.
        parts = (made.__code__, *map(id, made.__defaults__ or ()))
        return cast("Callable[..., object]", self._kept.setdefault(parts, made))


def write_function(name: str, parameters: Sequence[str], body: Sequence[str]) -> str:
    """Return the source of a function; the body is indented from 0."""
    lines = "\n".join(f"    {line}" for line in body)
    return f"def {name}({', '.join(parameters)}):\n{lines}\n"


def lines_of(blocks: Iterable[Block]) -> list[str]:
    """Return the statements of blocks."""
    return [line for block in blocks for line in block.lines]


def chunks(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Yield as many blocks at once as Python's compiler is to hold."""
    some: list[Block] = []
    lines = 0
    for block in blocks:
        if some and lines + len(block.lines) > MAX_LINES:
            yield some
            some, lines = [], 0
        some.append(block)
        lines += len(block.lines)
    if some:
        yield some


def calls(name: str, blocks: Iterable[Block], own: Constants, constants: Constants) -> Iterator[str]:
    """Make functions of blocks, and yield the statements that call them.

    Args:
        name: of the functions, for a reader.
        blocks: what they do.
        own: the constants that the blocks name.
        constants: get the functions, for the code that calls them; may be `own`.
    """
    for some in chunks(blocks):
        variables = frozenset[str]().union(*(block.variables for block in some))
        parameters = (*REPORTS, *sorted(variables))
        recipe = Recipe(write_function(name, parameters, lines_of(some)), own.values)
        yield f"{constants.add_object(recipe)}({', '.join(parameters)})"


def single_block(condition: Condition, piece: int | None = None) -> Block:
    """Return the statements that test one policy by itself.

    Args:
        condition: the policy.
        piece: what to report; the policy's number if not given.
    """
    hits = "F" if condition.forbid else "P"
    text = " and ".join(code.text for code in condition.codes) or "True"
    test = f"if {text}: {hits}.append({condition.rule if piece is None else piece})"
    guarded = ("try:", f"    {test}", f"except PolicyErrs: E.append({condition.rule})")
    return Block(lines=(test,) if condition.safe else guarded, variables=condition.variables)


class LazyFunctions:
    """Functions that are made when they are first called."""

    __slots__ = ("_functions", "_later", "_maker")

    def __init__(self, later: Later, maker: FunctionMaker) -> None:
        self._later = later
        self._maker = maker
        self._functions: Sequence[Callable[..., object]] | None = None

    def __call__(self, *arguments: object) -> None:
        """Call all functions with the same arguments."""
        functions = self._functions
        if functions is None:
            try:
                functions = tuple(self._maker.make(recipe) for recipe in self._later.recipes())
            except Exception:
                # Not tried again for each request; see `CompiledEngine.run` for what an exception does.
                self._functions = (_refuses,)
                raise
            self._functions = functions
        for function in functions:
            function(*arguments)


def _refuses(*_: object) -> None:
    raise RuntimeError("the policies could not be compiled")
