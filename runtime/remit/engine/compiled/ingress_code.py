"""The ingress walk as generated code: the same checks for one action, without words for what fails.

Generated code answers `None` (or raises) for anything that is not exactly as declared;
the reference engine then words the faults, or finds that there are none.
So every doubt may be refused here, and nothing may be let through that `remit.engine.ingress` refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine.compiled.code import is_primitive
from remit.engine.compiled.longs import PACKED, packer
from remit.engine.compiled.slots import conversion
from remit.engine.compiled.values import LONG_MAX, LONG_MIN
from remit.engine.ingress import WHOLE, Reads
from remit.engine.request import NAMESPACE
from remit.engine.schema import EntityType, Primitive, RecordType, SetType, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remit.engine.reads import Path

_PREFIX = f"{NAMESPACE}::"
_PLAIN = {
    "Bool": "type({0}) is bool",
    "Long": f"type({{0}}) is int and {LONG_MIN} <= {{0}} <= {LONG_MAX}",
    "String": "type({0}) is str and ({0}.isascii() or is_unicode({0}))",
}


class IngressWriter:
    """Writes the checks of one function; `finish` ends them.

    Args:
        name: gives the variable of a path; variables that no path has are numbered.

    Attributes:
        lines: the statements, indented from 0.
        filled: paths whose variables the statements fill.
    """

    def __init__(self, name: Callable[[Path], str] | None = None) -> None:
        self.lines: list[str] = []
        self.filled: set[Path] = set()
        self._name = name
        self._count = 0
        self._longs: list[str] = []
        self._texts: list[str] = []

    def text(self, name: str) -> None:
        """Have a variable checked that must hold text."""
        self._texts.append(name)

    def finish(self) -> list[str]:
        """Write what was put off, and return all statements.

        Integers that are certain to be there are checked together: one call packs them as 64-bit integers,
        which raises for what does not fit. So are texts, which are all ASCII more often than not.
        """
        texts, self._texts = self._texts, []
        if texts:
            self._add(0, f"if not ({' is '.join(f'type({name})' for name in texts)} is str): return None")
            plain = " and ".join(f"{name}.isascii()" for name in texts)
            self._add(0, f"if not ({plain}) and not are_unicode({', '.join(texts)}): return None")
        longs, self._longs = self._longs, []
        for start in range(0, len(longs), PACKED.stop - 1):
            some = longs[start : start + PACKED.stop - 1]
            if len(some) not in PACKED:
                for name in some:
                    self._add(0, f"if not ({_PLAIN['Long'].format(name)}): return None")
                continue
            self._add(0, f"if not ({' is '.join(f'type({name})' for name in some)} is int): return None")
            self._add(0, f"{packer(len(some))}({', '.join(some)})")
        return self.lines

    def record(
        self, variable: str, declared: RecordType, reads: Reads, path: Path, *, whole: bool, depth: int = 0
    ) -> list[str]:
        """Write the check of a record; return the variables filled beneath it.

        Args:
            variable: that holds the record.
            declared: its type.
            reads: what policies can read of it.
            path: where it stands; empty for what no variable is wanted of.
            whole: everything is checked, as the ingress walk does it.
            depth: of the indentation.
        """
        self._add(depth, f"if type({variable}) is not dict: return None")
        names: Iterable[str] = declared.attributes if whole else reads.members
        required = sum(member.required for member in declared.attributes.values())
        count = str(required)
        if whole and required < len(declared.attributes):
            count = self._local()
            self._add(depth, f"{count} = {required}")
        filled: list[str] = []
        for name in names:
            member = declared.attributes.get(name)
            if member is None:
                self._add(depth, f"if {name!r} in {variable}: return None")
                continue
            here = (*path, name) if path else ()
            inner = self._variable(here)
            filled.append(inner)
            below = reads.members.get(name, WHOLE)
            if member.required:
                self._add(depth, f"{inner} = {variable}[{name!r}]")
                filled += self._value(
                    inner, member.type, below, here, whole=whole or below.whole, depth=depth
                )
                continue
            self._add(depth, f"{inner} = {variable}.get({name!r}, M)")
            self._add(depth, f"if {inner} is not M:")
            if whole:
                self._add(depth + 1, f"{count} += 1")
            beneath = self._value(
                inner, member.type, below, here, whole=whole or below.whole, depth=depth + 1
            )
            if beneath:
                self._add(depth, f"else: {' = '.join(beneath)} = M")
            filled += beneath
        if whole:
            self._add(depth, f"if len({variable}) != {count}: return None")
        return filled

    def _value(
        self, name: str, declared: Type, reads: Reads, path: Path, *, whole: bool, depth: int
    ) -> list[str]:
        match declared:
            case RecordType():
                return self.record(name, declared, reads, path, whole=whole, depth=depth)
            case SetType(element):
                self._add(depth, f"if type({name}) is not list: return None")
                item = self._local()
                self._add(depth, f"for {item} in {name}:")
                self._value(item, element, WHOLE, (), whole=True, depth=depth + 1)
            case EntityType(kind):
                self._reference(name, kind, depth)
            case Primitive("Long") if depth == 0:
                self._longs.append(name)
            case Primitive("String") if depth == 0:
                self._texts.append(name)
            case Primitive(kind) if kind in _PLAIN:
                self._add(depth, f"if not ({_PLAIN[kind].format(name)}): return None")
            case Primitive():
                self._add(depth, f"{name} = {conversion(name, declared)}")
        return []

    def _reference(self, name: str, kind: str, depth: int) -> None:
        local, identity = kind.removeprefix(_PREFIX), self._local()
        if local == kind:
            # A type of another namespace: no request can name it.
            self._add(depth, "return None")
            return
        self._add(depth, f"if type({name}) is not dict or len({name}) != 2: return None")
        self._add(depth, f"{identity} = {name}['type']")
        self._add(depth, f"if type({identity}) is not str or {identity} != {local!r}: return None")
        self._add(depth, f"{identity} = {name}['id']")
        self._add(depth, f"if not ({_PLAIN['String'].format(identity)}): return None")
        self._add(depth, f"{name} = ({kind!r}, {identity})")

    def _variable(self, path: Path) -> str:
        if path and self._name is not None:
            self.filled.add(path)
            return self._name(path)
        return self._local()

    def _local(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _add(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)


def entity_check(declared: RecordType, name: str) -> str:
    """Return the source of a function that checks an entity's attributes, whole."""
    writer = IngressWriter()
    writer.record("attributes", declared, WHOLE, (), whole=True)
    body = "\n".join(f"    {line}" for line in writer.finish())
    return f"def {name}(attributes):\n{body}\n    return True\n"


def has_decimals(declared: Type) -> bool:
    """Return whether a type holds a decimal somewhere."""
    match declared:
        case RecordType(attributes):
            return any(has_decimals(member.type) for member in attributes.values())
        case SetType(element):
            return has_decimals(element)
        case _:
            return is_primitive(declared, "decimal")
