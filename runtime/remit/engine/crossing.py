"""The ingress walk as code made for one type: what is plainly as declared is checked, and crosses as text.

Rules
1. The code checks what `remit.engine.ingress` checks, and answers nothing (or raises) where it is in doubt;
   the walk then decides whether there is a fault, and words it.
2. What was checked is what crosses: each value is read once, and the text is made of what was read.
3. The text itself says the types of references and extensions, so that Cedar needs no schema to read it.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, TypeVar, cast

from remit.engine import scalars
from remit.engine.ingress import Reads
from remit.engine.request import NAMESPACE
from remit.engine.schema import Attribute, EntityType, Primitive, RecordType, SetType, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from remit.engine.reads import Path

    Values = tuple[object, ...]
    Check = Callable[[object, Collection[tuple[str, str]]], Values | None]
    Write = Callable[[Values], str]

Exact = TypeVar("Exact")

quoted = encode_basestring_ascii
"""Write text as a JSON string."""

RESERVED = frozenset({"__entity", "__extn", "__expr"})
"""Members that Cedar's JSON takes for an escape unless a schema says otherwise."""

WHOLE = Reads(whole=True)
_PREFIX = f"{NAMESPACE}::"
_BOOLS = {True: "true", False: "false"}


class _Missing:
    """Stands for an optional member that is not there."""

    __slots__ = ()


MISSING = _Missing()


_NAMES: Mapping[str, object] = {
    "__builtins__": {},
    "M": MISSING,
    "BOOLS": _BOOLS,
    "quoted": quoted,
    "text": scalars.string_text,
    **{kind.__name__: kind for kind in (bool, dict, int, len, list, map, str, type)},
}


def made_function(source: str, constants: Mapping[str, object]) -> Callable[..., object]:
    """Return the one function that a source defines."""
    module = compile(source, "<crossing>", "exec", dont_inherit=True, optimize=1)
    (code,) = (value for value in module.co_consts if isinstance(value, CodeType))
    return FunctionType(code, {**_NAMES, **constants})


class Crossing:
    """How a record of one type crosses: what can be read of it is checked, and any part of it is written.

    Args:
        declared: the record's type.
        reads: what can be read of it.

    Attributes:
        slots: where the check puts each value, by the path beneath the record; an optional record has one,
            too, which says whether it is there.
        check: from a raw record, and the entities that were given as type without namespace and id, to its
            values.
    """

    def __init__(self, declared: RecordType, reads: Reads) -> None:
        self._declared = declared
        self._lines: list[str] = []
        self._constants: dict[str, object] = {}
        self._count = 0
        self.slots: dict[Path, int] = {}
        self._filled: list[str] = []
        self._record("raw", declared, reads, (), 0, whole=reads.whole)
        values = "".join(f"{name}, " for name in self._filled)
        body = "\n".join(self._lines)
        self.check = cast(
            "Check",
            made_function(f"def check(raw, given):\n{body}\n    return ({values})\n", self._constants),
        )

    def writer(self, reads: Reads) -> Write:
        """Return what writes a part of a record, as a JSON object, from what the check found.

        Args:
            reads: the part, which must be in what can be read.
        """
        writer = _Writer(self.slots)
        text = writer.record(self._declared, reads, (), whole=reads.whole)
        body = "\n".join(f"    {line}" for line in writer.lines)
        return cast("Write", made_function(f"def write(s):\n{body}\n    return {text}\n", {}))

    def _record(
        self, name: str, declared: RecordType, reads: Reads, path: Path, depth: int, *, whole: bool
    ) -> None:
        self._add(depth, f"if type({name}) is not dict: return None")
        members: Iterable[str] = declared.attributes if whole else reads.members
        count = ""
        if whole:
            # Undeclared members are found by number: each declared one is looked up in any case.
            count = self._local()
            self._add(depth, f"{count} = {sum(a.required for a in declared.attributes.values())}")
        for member in members:
            attribute = declared.attributes.get(member)
            if attribute is None:
                self._add(depth, f"if {member!r} in {name}: return None")
                continue
            here, variable = (*path, member), self._local()
            below = reads.members.get(member, WHOLE)
            if attribute.required:
                self._add(depth, f"{variable} = {name}[{member!r}]")
                self._value(variable, attribute.type, below, here, depth, whole=whole)
                continue
            self._add(depth, f"{variable} = {name}.get({member!r}, M)")
            self._fill(here, variable)
            first = len(self._filled)
            self._add(depth, f"if {variable} is not M:")
            if whole:
                self._add(depth + 1, f"{count} += 1")
            self._value(variable, attribute.type, below, here, depth + 1, whole=whole)
            if beneath := self._filled[first:]:
                self._add(depth, f"else: {' = '.join(beneath)} = M")
        if whole:
            self._add(depth, f"if len({name}) != {count}: return None")

    def _value(self, name: str, declared: Type, reads: Reads, path: Path, depth: int, *, whole: bool) -> None:
        if isinstance(declared, RecordType):
            self._record(name, declared, reads, path, depth, whole=whole or reads.whole)
            return
        self._fill(path, name)
        match declared:
            case EntityType(kind):
                self._reference(name, kind, reads, depth)
            case SetType(element):
                convert = self._constant(_converter(element))
                self._add(depth, f"if type({name}) is not list: return None")
                self._add(depth, f"{name} = '[' + ','.join(map({convert}, {name})) + ']'")
            case Primitive("Bool"):
                self._add(depth, f"if type({name}) is not bool: return None")
            case Primitive("Long"):
                limits = f"{scalars.LONG_MIN} <= {name} <= {scalars.LONG_MAX}"
                self._add(depth, f"if type({name}) is not int or not {limits}: return None")
            case Primitive("String"):
                self._text(name, depth)
            case Primitive():
                self._add(depth, f"{name} = {self._constant(_converter(declared))}({name})")

    def _text(self, name: str, depth: int) -> None:
        self._add(depth, f"if type({name}) is not str: return None")
        self._add(depth, f"if not {name}.isascii(): text({name})")

    def _reference(self, name: str, declared: str, reads: Reads, depth: int) -> None:
        local = declared.removeprefix(_PREFIX)
        if local == declared:
            # A type of another namespace: no request can name it.
            self._add(depth, "return None")
            return
        kind = self._local()
        self._add(depth, f"if type({name}) is not dict or len({name}) != 2: return None")
        self._add(depth, f"{kind} = {name}['type']")
        self._add(depth, f"if type({kind}) is not str or {kind} != {local!r}: return None")
        self._add(depth, f"{name} = {name}['id']")
        self._text(name, depth)
        if reads.members:
            # Rule 5 of the walk: `has` on a missing entity would be silently false.
            self._add(depth, f"if ({local!r}, {name}) not in given: return None")

    def _fill(self, path: Path, name: str) -> None:
        if path not in self.slots:
            self.slots[path] = len(self._filled)
            self._filled.append(name)

    def _constant(self, value: object) -> str:
        name = f"k{len(self._constants)}"
        self._constants[name] = value
        return name

    def _local(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _add(self, depth: int, line: str) -> None:
        self._lines.append("    " * (depth + 1) + line)


class _Writer:
    """Writes the expression of a record's text: adjacent literals, which Python makes one string of."""

    def __init__(self, slots: Mapping[Path, int]) -> None:
        self.lines: list[str] = []
        self._slots = slots

    def record(self, declared: RecordType, reads: Reads, path: Path, *, whole: bool) -> str:
        members: Iterable[str] = declared.attributes if whole else reads.members
        required: list[str] = []
        optional: list[str] = []
        for member in members:
            attribute = declared.attributes.get(member)
            if attribute is None:
                continue
            here = (*path, member)
            text = self._value(attribute.type, reads.members.get(member, WHOLE), here, whole=whole)
            key = quoted(member) + ":"
            if attribute.required:
                required.append(f"{_literal(key)} {text}")
            else:
                piece = f"{_literal(',' + key)} {text}"
                optional.append(self._local(f"'' if s[{self._slots[here]}] is M else {piece}"))
        inside = f" {_literal(',')} ".join(required)
        if optional and required:
            inside += "".join(f" f'{{{name}}}'" for name in optional)
        elif optional:
            name = self._local(f"({' + '.join(optional)})[1:]")
            inside = f"f'{{{name}}}'"
        return f"{_literal('{')} {inside} {_literal('}')}"

    def _value(self, declared: Type, reads: Reads, path: Path, *, whole: bool) -> str:
        if isinstance(declared, RecordType):
            return self.record(declared, reads, path, whole=whole or reads.whole)
        slot = f"s[{self._slots[path]}]"
        match declared:
            case Primitive("String"):
                return f"f'{{quoted({slot})}}'"
            case Primitive("Bool"):
                return f"f'{{BOOLS[{slot}]}}'"
            case EntityType(name):
                return f"{_literal(_reference_start(name))} f'{{quoted({slot})}}' {_literal('}}')}"
            case _:
                # A Long is its own text; sets and extensions became text when they were checked.
                return f"f'{{{slot}}}'"

    def _local(self, value: str) -> str:
        name = f"t{len(self.lines)}"
        self.lines.append(f"{name} = {value}")
        return name


def _literal(text: str) -> str:
    return repr(text)


def _converter(declared: Type) -> Callable[[object], str]:
    """Return what checks an element of a set, whole, and gives its text; raises where it is in doubt."""
    match declared:
        case RecordType():
            crossing = Crossing(declared, WHOLE)
            check, write = crossing.check, crossing.writer(WHOLE)
            return lambda value: write(_sure(check(value, ())))
        case SetType(element):
            convert = _converter(element)
            return lambda value: f"[{','.join(map(convert, cast('list[object]', _exactly(value, list))))}]"
        case EntityType(name):
            crossing = Crossing(RecordType({"of": Attribute(declared, required=True)}), WHOLE)
            check, before = crossing.check, _reference_start(name)
            return lambda value: f"{before}{quoted(str(_sure(check({'of': value}, ()))[0]))}}}}}"
        case Primitive(name):
            return _SCALARS[name]


def _sure(values: Values | None) -> Values:
    if values is None:
        raise ValueError
    return values


def _exactly(value: object, kind: type[Exact]) -> Exact:
    # `type(...) is` and not isinstance: a bool is an int in Python, and a subclass may answer differently
    # each time it is asked.
    if type(value) is not kind:
        raise TypeError
    return value


def _decimal(value: object) -> str:
    number = value if type(value) is float else _exactly(value, int)
    return _extension("decimal", scalars.decimal_text(number))


def _extension(function: str, argument: str) -> str:
    return f'{{"__extn":{{"fn":"{function}","arg":{quoted(argument)}}}}}'


def _reference_start(name: str) -> str:
    return f'{{"__entity":{{"type":{quoted(name)},"id":'


_SCALARS: Mapping[str, Callable[[object], str]] = {
    "Bool": lambda value: _BOOLS[_exactly(value, bool)],
    "Long": lambda value: str(scalars.long_text(_exactly(value, int))),
    "String": lambda value: quoted(scalars.string_text(_exactly(value, str))),
    "decimal": _decimal,
    "datetime": lambda value: _extension("datetime", scalars.datetime_text(_exactly(value, str))),
    "duration": lambda value: _extension("duration", scalars.duration_text(_exactly(value, str))),
    "ipaddr": lambda value: _extension("ip", scalars.ip_text(_exactly(value, str))),
}
