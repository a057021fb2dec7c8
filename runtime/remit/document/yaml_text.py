"""YAML as a carrier of JSON values: the syntax of YAML, the scalars of JSON.

Rules
1. Only `true`, `false`, `null` and JSON numbers, written plain, are not strings: `no`, `012`, `12:30:45`
   and dates are.
2. Anchors, aliases, tags, directives and further documents are refused, so nothing can be expanded or
   constructed.
3. Mapping keys are strings and occur once; an empty value is refused (write `null` or `""`).
4. At most 64 levels deep, checked before descending; at most `MAX_YAML_BYTES` bytes.
5. Values then obey rule R1 like those of JSON text.

ruamel.yaml gives the events; nothing of its composer, resolver or constructor is used.
Texts of the plain part of YAML are read by `remit.document.yaml_quick`, alike and faster.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from remit.document.json_text import decode_text, printable
from remit.document.places import Lines, Node, Parsed
from remit.document.values import (
    MAX_DEPTH,
    JsonObject,
    JsonValue,
    admit_number,
    canonical_bytes,
    has_surrogate,
    pointer_to,
)
from remit.document.yaml_quick import NUMBER, WORDS, quick_yaml
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_YAML_BYTES = 8 * 1024 * 1024
"""Largest YAML input in bytes; the pure Python scanner takes seconds per megabyte, JSON has no such limit."""

_INTEGER = re.compile(r"-?[0-9]{1,17}")
_LONG_INTEGER = re.compile(r"-?[0-9]+")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,120}")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SIMPLE_KEY_LIMIT = 512
_FRAMING = ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent")
_ENDS = ("SequenceEndEvent", "MappingEndEvent")


class _Mark(Protocol):
    @property
    def index(self) -> int: ...


class _Event(Protocol):
    """What is read of ruamel.yaml's events, which it leaves untyped; which are there depends on the kind."""

    start_mark: _Mark | None
    anchor: str | None
    tag: str | None
    value: str
    implicit: tuple[bool, bool]
    version: object
    tags: object


class _Reader(Protocol):
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


def parse_yaml(data: bytes, *, file: str = "") -> Parsed:
    """Read one YAML document as a JSON value.

    Args:
        data: the bytes as received.
        file: name of the input for faults.

    Raises:
        DocumentError: the input breaks a rule above; every fault that could be found is listed.
    """
    text = decode_text(data, file=file, max_bytes=MAX_YAML_BYTES, reached=_reached)
    quick = quick_yaml(text)
    if quick is not None:
        return Parsed(quick[0], file=file, text=text, locate=lambda _: quick[1])
    composer = _Composer(text, file)
    value = composer.read()
    if composer.faults:
        raise DocumentError(*composer.faults)
    node = composer.node
    return Parsed(value, file=file, text=text, locate=lambda _: node)


def _reached(text: str) -> str:
    composer = _Composer(text, "")
    composer.read()
    return composer.pointer


class _Frame:
    __slots__ = ("key", "key_offset", "node", "pointer", "value")

    def __init__(self, value: JsonObject | list[JsonValue], node: Node, pointer: str) -> None:
        self.value = value
        self.node = node
        self.pointer = pointer
        self.key: str | None = None
        self.key_offset = 0


class _Composer:
    def __init__(self, text: str, file: str) -> None:
        self.faults: list[Fault] = []
        self.node: Node | None = None
        self.pointer = ""
        self._text = text
        self._file = file
        self._documents = 0
        self._lines: Lines | None = None

    def read(self) -> JsonValue:
        try:
            return self._read()
        except _StopError:
            return None

    def _fault(self, offset: int, message: str, pointer: str = "", hint: str = "") -> None:
        if self._lines is None:
            self._lines = Lines(self._text)
        line, column = self._lines.place(offset)
        self.faults.append(
            Fault(
                message=f"{message} in `{printable(pointer)}`" if pointer else message,
                file=self._file,
                line=line,
                column=column,
                pointer=pointer,
                hint=hint,
            )
        )

    def _stop(self, offset: int, message: str, pointer: str = "", hint: str = "") -> NoReturn:
        self._fault(offset, message, pointer, hint)
        raise _StopError

    def _events(self) -> Iterator[_Event]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        try:
            yield from cast("_Reader", YAML(typ="safe", pure=True)).parse(self._text)
        except MarkedYAMLError as error:
            fault = cast("_SyntaxFault", error)
            mark = fault.problem_mark or fault.context_mark
            parts = (fault.context, fault.problem)
            reason = ", ".join(" ".join(str(part).split()) for part in parts if part)
            offset = 0 if mark is None else mark.index
            self._stop(
                offset,
                f"this is no YAML: {printable(reason.lower())}",
                self.pointer,
                "check brackets, quotes and indentation here and above",
            )
        except ReaderError as error:
            bad = cast("_CharacterFault", error)
            self._stop(
                min(bad.position, len(self._text)),
                f"the character U+{int(bad.character):04X} may not stand in YAML",
                self.pointer,
                "write it as an escape in double quotes",
            )
        except (YAMLError, ValueError, OverflowError) as error:
            # ruamel.yaml lets numbers of directives and escapes beyond Unicode through to int() and chr().
            self._stop(0, f"this is no YAML: {printable(str(error))}", self.pointer)

    def _read(self) -> JsonValue:
        stack: list[_Frame] = []
        root: list[JsonValue] = []
        for event in self._events():
            kind = type(event).__name__
            if kind in _FRAMING:
                continue
            mark = event.start_mark
            offset = 0 if mark is None else mark.index
            if kind == "DocumentStartEvent":
                self._begin(event, offset)
                continue
            if kind in _ENDS:
                stack.pop()
                self.pointer = self._pointer(stack[-1] if stack else None)
                continue
            frame = stack[-1] if stack else None
            pointer = self.pointer
            self._refuse_extras(event, kind, offset)
            if frame is not None and isinstance(frame.value, dict) and frame.key is None:
                self._key(frame, event, offset)
                self.pointer = self._pointer(frame)
                continue
            value = self._value(event, kind, offset, len(stack))
            node = self._place(frame, value, offset)
            if frame is None:
                self.node = node
                root.append(value)
            if isinstance(value, (dict, list)):
                frame = _Frame(value, node, pointer)
                stack.append(frame)
            self.pointer = self._pointer(frame)
        if not root:
            self._stop(0, "the input holds no value", hint="write one into it")
        return root[0]

    def _begin(self, event: _Event, offset: int) -> None:
        self._documents += 1
        if self._documents > 1:
            self._stop(offset, "the input holds more than one YAML document", hint="keep one of them")
        if event.version or event.tags:
            self._fault(offset, "YAML directives are not read", hint="remove the line that starts with `%`")

    def _refuse_extras(self, event: _Event, kind: str, offset: int) -> None:
        """Apply rule 2 to one node."""
        name = printable(event.anchor or "")
        if kind == "AliasEvent":
            self._stop(offset, f"the alias `*{name}` is not read", self.pointer, "write the value out")
        if event.anchor:
            self._stop(offset, f"the anchor `&{name}` is not read", self.pointer, "remove it")
        if event.tag:
            tag = printable(str(event.tag))
            self._fault(offset, f"the tag `{tag}` is not read", self.pointer, "remove it")

    def _value(self, event: _Event, kind: str, offset: int, depth: int) -> JsonValue:
        if kind == "ScalarEvent":
            return self._scalar(event, offset, self.pointer)
        if depth == MAX_DEPTH:
            self._stop(offset, f"nested deeper than {MAX_DEPTH} levels", self.pointer, "make it flatter")
        return {} if kind == "MappingStartEvent" else []

    @staticmethod
    def _pointer(frame: _Frame | None) -> str:
        if frame is None:
            return ""
        if isinstance(frame.value, dict):
            return frame.pointer if frame.key is None else pointer_to(frame.pointer, frame.key)
        return pointer_to(frame.pointer, len(frame.value))

    @staticmethod
    def _place(frame: _Frame | None, value: JsonValue, offset: int) -> Node:
        node = Node(offset, frame.key_offset if frame is not None and frame.key is not None else -1)
        if isinstance(value, dict):
            node.members = {}
        elif isinstance(value, list):
            node.elements = []
        if frame is None:
            return node
        if isinstance(frame.value, dict) and frame.key is not None:
            frame.value[frame.key] = value
            if frame.node.members is not None:
                frame.node.members[frame.key] = node
            frame.key = None
        elif isinstance(frame.value, list):
            frame.value.append(value)
            if frame.node.elements is not None:
                frame.node.elements.append(node)
        return node

    def _key(self, frame: _Frame, event: _Event, offset: int) -> None:
        if type(event).__name__ != "ScalarEvent":
            self._stop(
                offset, "a member name is not a string", frame.pointer, "write it as one word or in quotes"
            )
        key = event.value
        if event.implicit[0] and (key in WORDS or NUMBER.fullmatch(key) or not key):
            self._fault(
                offset,
                f"the member name `{printable(key)}` is not a string",
                frame.pointer,
                "put it in quotes",
            )
        if has_surrogate(key):
            self._fault(offset, "the member name holds a lone surrogate", frame.pointer)
        if isinstance(frame.value, dict) and key in frame.value:
            pointer = pointer_to(frame.pointer, key)
            self._fault(offset, f"the member `{printable(key)}` occurs twice", pointer, "keep one of them")
        frame.key = key
        frame.key_offset = offset

    def _scalar(self, event: _Event, offset: int, pointer: str) -> JsonValue:
        text = event.value
        if has_surrogate(text):
            self._fault(offset, "the string holds a lone surrogate", pointer)
        # `implicit[0]` is set for plain scalars alone.
        if not event.implicit[0]:
            return text
        if not text:
            self._fault(offset, "a value is missing", pointer, 'write it, or `""` for an empty text')
            return text
        if text in WORDS:
            return WORDS[text]
        if NUMBER.fullmatch(text) is None:
            return text
        if _INTEGER.fullmatch(text):
            number, reason = admit_number(int(text))
        elif _LONG_INTEGER.fullmatch(text):
            number, reason = admit_number(2**53)
        else:
            number, reason = admit_number(float(text))
        if number is None:
            self._fault(offset, f"the number `{printable(text)}` {reason}", pointer, "put it in quotes")
        return number


def write_yaml(value: JsonValue) -> bytes:
    """Write a JSON value as block-style YAML with quoted strings, which any YAML 1.2 reader reads alike."""
    lines: list[str] = []
    _write(value, "", "", lines)
    return ("\n".join(lines) + "\n").encode()


def _write(value: JsonValue, indent: str, lead: str, lines: list[str]) -> None:
    """Append `value`; `lead` is what stands before it on its first line."""
    if isinstance(value, dict) and value:
        for index, (key, member) in enumerate(value.items()):
            start = lead if index == 0 else indent
            name = key if _PLAIN_KEY.fullmatch(key) and key not in WORDS else _quoted(key)
            if len(name) > _SIMPLE_KEY_LIMIT:
                # YAML 1.2.2 section 7.4.2: an implicit key has at most 1024 characters.
                lines.append(f"{start}? {name}")
                start, name = indent, ""
            if isinstance(member, (dict, list)) and member:
                lines.append(f"{start}{name}:")
                _write(member, indent + "  ", indent + "  ", lines)
            else:
                lines.append(f"{start}{name}: {_flow(member)}")
    elif isinstance(value, list) and value:
        for index, element in enumerate(value):
            start = lead if index == 0 else indent
            if isinstance(element, (dict, list)) and element:
                _write(element, indent + "  ", f"{start}- ", lines)
            else:
                lines.append(f"{start}- {_flow(element)}")
    else:
        lines.append(f"{lead}{_flow(value)}")


def _flow(value: JsonValue) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return canonical_bytes(value).decode()


def _quoted(text: str) -> str:
    # JSON's short and \u00xx escapes mean the same in YAML 1.2.2 section 5.7; what YAML may not hold raw is
    # escaped too.
    return _UNPRINTABLE.sub(lambda mark: f"\\u{ord(mark.group()):04x}", canonical_bytes(text).decode())
