"""Foreign YAML as JSON values: more lenient than a project folder's YAML, and as safe.

Rules
1. Plain `null`, `~` and nothing are null; `true` and `false` in the three spellings of YAML 1.2 are truth
   values; JSON numbers are numbers; `.nan` and `.inf` are refused; all else is text: `no`, `012`, dates.
2. A key is text as it is written and occurs once; `<<` with mappings merges what the mapping itself lacks.
3. Anchors and aliases are followed. What aliases repeat is counted, and more than `MAX_REPEATED` is
   refused, so nothing can be blown up; an alias inside its own anchor is refused.
4. Tags are refused, except those of plain types; nothing is constructed. Directives are refused.
5. A file may hold several documents; empty ones are passed over.
6. At most 64 levels deep, checked before descending and behind every alias; at most `MAX_YAML_BYTES` bytes.

ruamel.yaml gives the events; nothing of its composer, resolver or constructor is used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol, cast

from remit.document.json_text import decode_text, printable
from remit.document.places import Lines, Node, Parsed
from remit.document.values import MAX_DEPTH, JsonObject, JsonValue, admit_number, has_surrogate, pointer_to
from remit.document.yaml_text import MAX_YAML_BYTES
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REPEATED = 1024 * 1024
"""How many characters aliases may add to what a file says."""

_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|[-+]?\.[0-9]+")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_INTEGER_TEXT = 18
_WORDS: dict[str, JsonValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "null", "bool", "int", "float")
)
_TEXT_TAGS = frozenset(("tag:yaml.org,2002:str", "!"))
_MERGE = "<<"


class _Mark(Protocol):
    @property
    def index(self) -> int: ...


class _Event(Protocol):
    """What is read of ruamel.yaml's events, which it leaves untyped; which are there depends on the kind."""

    start_mark: _Mark | None
    anchor: str | None
    tag: object
    value: str
    implicit: tuple[bool, bool]
    version: object
    tags: object


class _Events(Protocol):
    def parse(self, stream: str) -> Iterator[_Event]: ...


class _SyntaxFault(Protocol):
    """What is read of ruamel.yaml's MarkedYAMLError."""

    context: str | None
    context_mark: _Mark | None
    problem: str | None
    problem_mark: _Mark | None


class _CharacterFault(Protocol):
    """What is read of ruamel.yaml's ReaderError."""

    character: int
    position: int


class _StopError(Exception):
    """The text cannot be read further."""


class _Built(NamedTuple):
    """A value read: `size` counts its characters with aliases written out, `height` its levels."""

    value: JsonValue
    node: Node
    size: int = 1
    height: int = 0


def parse_foreign_yaml(data: bytes, *, file: str = "") -> tuple[Parsed, ...]:
    """Read the documents of a YAML file as JSON values; nulls stay.

    Args:
        data: the bytes of the file.
        file: its name, for faults.

    Raises:
        DocumentError: the file breaks a rule above, or holds nothing; every fault found is listed.
    """
    text = decode_text(data, file=file, max_bytes=MAX_YAML_BYTES, reached=lambda _: "")
    composer = _Composer(text, file)
    documents = composer.read()
    if composer.faults:
        raise DocumentError(*composer.faults)
    return tuple(_parsed(built, text, file) for built in documents)


def _parsed(built: _Built, text: str, file: str) -> Parsed:
    return Parsed(built.value, file=file, text=text, locate=lambda _: built.node)


class _Composer:
    def __init__(self, text: str, file: str) -> None:
        self.faults: list[Fault] = []
        self._text = text
        self._file = file
        self._lines: Lines | None = None
        self._anchors: dict[str, _Built] = {}
        self._repeated = 0
        self._pointer = ""
        self._events = self._read_events()

    def read(self) -> list[_Built]:
        documents: list[_Built] = []
        try:
            for event in self._events:
                if _kind(event) != "DocumentStartEvent":
                    continue
                if event.version or event.tags:
                    self._fault(
                        _offset(event),
                        "YAML directives are not read",
                        hint="remove the line that starts with `%`",
                    )
                self._anchors = {}
                built = self._node(next(self._events), "", 0)
                if built.value is not None:
                    documents.append(built)
            if not documents:
                self._stop(0, "the input holds no value")
        except _StopError:
            return []
        return documents

    def _fault(self, offset: int, message: str, pointer: str = "", hint: str = "") -> None:
        if self._lines is None:
            self._lines = Lines(self._text)
        line, column = self._lines.place(offset)
        message = f"{message} in `{printable(pointer)}`" if pointer else message
        self.faults.append(
            Fault(message=message, file=self._file, line=line, column=column, pointer=pointer, hint=hint)
        )

    def _stop(self, offset: int, message: str, pointer: str = "", hint: str = "") -> NoReturn:
        self._fault(offset, message, pointer, hint)
        raise _StopError

    def _read_events(self) -> Iterator[_Event]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        try:
            yield from cast("_Events", YAML(typ="safe", pure=True)).parse(self._text)
        except MarkedYAMLError as error:
            fault = cast("_SyntaxFault", error)
            mark = fault.problem_mark or fault.context_mark
            parts = (fault.context, fault.problem)
            reason = ", ".join(" ".join(str(part).split()) for part in parts if part)
            self._stop(
                0 if mark is None else mark.index,
                f"this is no YAML: {printable(reason.lower())}",
                self._pointer,
            )
        except ReaderError as error:
            bad = cast("_CharacterFault", error)
            self._stop(
                min(bad.position, len(self._text)),
                f"the character U+{int(bad.character):04X} may not stand in YAML",
                self._pointer,
                "write it as an escape in double quotes",
            )
        except (YAMLError, ValueError, OverflowError) as error:
            # ruamel.yaml lets numbers of directives and escapes beyond Unicode through to int() and chr().
            self._stop(0, f"this is no YAML: {printable(str(error))}", self._pointer)

    def _node(self, event: _Event, pointer: str, depth: int, key_offset: int = -1) -> _Built:
        """Read the node that starts with `event`."""
        self._pointer = pointer
        kind, offset = _kind(event), _offset(event)
        if kind == "AliasEvent":
            return self._alias(event, offset, pointer, depth, key_offset)
        tag = "" if event.tag is None else str(event.tag)
        if tag and tag not in _PLAIN_TAGS and tag not in _TEXT_TAGS:
            self._fault(offset, f"the tag `{printable(tag)}` is not read", pointer, "remove it")
        if kind == "ScalarEvent":
            value = self._scalar(event, offset, pointer, text=tag in _TEXT_TAGS)
            built = _Built(value, Node(offset, key_offset), len(event.value) + 1)
        elif depth == MAX_DEPTH:
            self._stop(offset, f"nested deeper than {MAX_DEPTH} levels", pointer)
        elif kind == "MappingStartEvent":
            built = self._mapping(Node(offset, key_offset), pointer, depth)
        else:
            built = self._sequence(Node(offset, key_offset), pointer, depth)
        if event.anchor:
            self._anchors[event.anchor] = built
        return built

    def _alias(self, event: _Event, offset: int, pointer: str, depth: int, key_offset: int) -> _Built:
        name = event.anchor or ""
        target = self._anchors.get(name)
        if target is None:
            self._stop(
                offset,
                f"the alias `*{printable(name)}` has no anchor before it",
                pointer,
                "an anchor cannot hold an alias to itself",
            )
        self._repeated += target.size
        if self._repeated > MAX_REPEATED:
            self._stop(
                offset,
                f"aliases repeat more than {MAX_REPEATED} characters",
                pointer,
                "write out what is meant, without aliases",
            )
        if depth + target.height > MAX_DEPTH:
            self._stop(offset, f"nested deeper than {MAX_DEPTH} levels", pointer)
        node = Node(offset, key_offset)
        node.members, node.elements = target.node.members, target.node.elements
        return target._replace(node=node)

    def _sequence(self, node: Node, pointer: str, depth: int) -> _Built:
        values: list[JsonValue] = []
        node.elements = []
        size, height = 1, 0
        for event in self._events:
            if _kind(event) == "SequenceEndEvent":
                break
            built = self._node(event, pointer_to(pointer, len(values)), depth + 1)
            values.append(built.value)
            node.elements.append(built.node)
            size, height = size + built.size, max(height, built.height)
        return _Built(values, node, size, height + 1)

    def _mapping(self, node: Node, pointer: str, depth: int) -> _Built:
        values: JsonObject = {}
        nodes: dict[str, Node] = {}
        merged: list[_Built] = []
        size, height = 1, 0
        for event in self._events:
            if _kind(event) == "MappingEndEvent":
                break
            offset = _offset(event)
            key = self._key(event, offset, pointer)
            plain = event.implicit[0]
            built = self._node(next(self._events), pointer_to(pointer, key), depth + 1, offset)
            size, height = size + len(key) + built.size, max(height, built.height)
            if key == _MERGE and plain:
                merged.extend(self._sources(built, offset, pointer))
            elif key in values:
                where = pointer_to(pointer, key)
                self._fault(offset, f"the member `{printable(key)}` occurs twice", where, "keep one of them")
            else:
                values[key], nodes[key] = built.value, built.node
        for source in merged:
            members = source.value if isinstance(source.value, dict) else {}
            for key in members.keys() - values.keys():
                values[key] = members[key]
                nodes[key] = (source.node.members or {}).get(key, source.node)
        node.members = nodes
        return _Built(values, node, size, height + 1)

    def _sources(self, built: _Built, offset: int, pointer: str) -> list[_Built]:
        """Return the mappings that a merge key names, those that win first."""
        if isinstance(built.value, dict):
            return [built]
        if isinstance(built.value, list) and all(isinstance(value, dict) for value in built.value):
            nodes = built.node.elements or []
            return [_Built(value, node) for value, node in zip(built.value, nodes, strict=True)]
        self._fault(
            offset, "`<<` merges mappings, and this is none", pointer, "name mappings by their anchors"
        )
        return []

    def _key(self, event: _Event, offset: int, pointer: str) -> str:
        if _kind(event) != "ScalarEvent":
            self._stop(offset, "a member name is not text", pointer, "write it as one word or in quotes")
        if has_surrogate(event.value):
            self._fault(offset, "the member name holds a lone surrogate", pointer)
        return event.value

    def _scalar(self, event: _Event, offset: int, pointer: str, *, text: bool) -> JsonValue:
        written = event.value
        if has_surrogate(written):
            self._fault(offset, "the string holds a lone surrogate", pointer)
        # `implicit[0]` is set for plain scalars alone; a tag of a plain type makes a quoted one plain too.
        plain = event.implicit[0] or (event.tag is not None and str(event.tag) in _PLAIN_TAGS)
        if text or not plain:
            return written
        if written in _WORDS:
            return _WORDS[written]
        if _NO_NUMBER.fullmatch(written):
            self._fault(offset, f"`{written}` is no number", pointer, "leave the member out or write a text")
            return 0
        if _NUMBER.fullmatch(written) is None:
            return written
        if _INTEGER.fullmatch(written):
            # Longer integers are out of range whatever their digits.
            number, reason = admit_number(int(written) if len(written) <= _MAX_INTEGER_TEXT else 2**53)
        else:
            number, reason = admit_number(float(written))
        if number is None:
            self._fault(offset, f"the number `{printable(written)}` {reason}", pointer, "put it in quotes")
        return number


def _kind(event: _Event) -> str:
    return type(event).__name__


def _offset(event: _Event) -> int:
    return 0 if event.start_mark is None else event.start_mark.index
