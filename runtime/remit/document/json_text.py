"""Strict JSON text, after RFC 8259 and I-JSON (RFC 7493), with a place for every fault.

Rules
1. UTF-8 without a byte order mark; at most `MAX_BYTES` bytes.
2. No duplicate member names, no NaN or Infinity, no lone surrogates, no data after the value.
3. Numbers are finite; integers, also those written as floats, lie within ±(2^53-1) and become `int`.
4. At most 64 levels deep, checked before descending.
5. All faults that leave the text readable are collected; the first that does not ends the reading.

Two readers share these rules.
`_quick` is the C scanner of the standard library with hooks that refuse; it says yes or nothing.
`_Scanner` is the definition: it alone words faults and knows places.
A property test holds them equal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn, cast

from remit.document.places import Lines, Node, Parsed
from remit.document.values import MAX_DEPTH, JsonObject, JsonValue, admit_number, has_surrogate, pointer_to
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES = 64 * 1024 * 1024
"""Largest input in bytes; a document of 100,000 memory entries has about half of it."""

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_CHUNK = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"-?[A-Za-z]+|[^\s]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
_MAX_INTEGER_TEXT = 17
_MAX_LONG_TEXT = 20
_MAX_SHOWN = 80
_HIGH, _LOW, _PAST = 0xD800, 0xDC00, 0xE000


def parse_json(data: bytes, *, file: str = "", longs: bool = False) -> Parsed:
    """Read one strict JSON value.

    Args:
        data: the bytes as received.
        file: name of the input for faults.
        longs: admit integers of 64 bits instead of rule 3's; only for Cedar's own test files, of which
            nothing is hashed.

    Raises:
        DocumentError: the input breaks a rule above; every fault that could be found is listed.
    """
    text = decode_text(data, file=file)
    quick = _quick(text, _long_decoder if longs else _decoder)
    if quick is not None:
        return Parsed(quick[0], file=file, text=text, locate=_locate)
    scanner = _Scanner(text, file, longs=longs)
    value = scanner.read()
    if scanner.faults:
        raise DocumentError(*scanner.faults)
    return Parsed(value, file=file, text=text, locate=_locate)


def _reached(text: str) -> str:
    """Return the pointer at which reading a text that breaks off ends."""
    scanner = _Scanner(text, "")
    scanner.read()
    return scanner.pointer


def decode_text(
    data: bytes, *, file: str, max_bytes: int = MAX_BYTES, reached: Callable[[str], str] = _reached
) -> str:
    """Decode UTF-8 by rule 1.

    Args:
        data: the bytes as received.
        file: name of the input for faults.
        max_bytes: largest input.
        reached: gives the pointer at which the text before a bad byte ends.

    Raises:
        DocumentError: too large, a byte order mark, or bytes that are no UTF-8.
    """
    if len(data) > max_bytes:
        raise DocumentError(
            Fault(
                message=f"the input has {len(data)} bytes, more than the {max_bytes} allowed",
                file=file,
                hint="keep large data outside the document and refer to it",
            )
        )
    if data.startswith(b"\xef\xbb\xbf"):
        raise DocumentError(
            Fault(
                message="the input starts with a byte order mark",
                file=file,
                line=1,
                column=1,
                hint="save it as UTF-8 without one",
            )
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # The error object ends at the first bad byte, so the text before it decodes.
        before = data[: error.start].decode("utf-8")
        line, column = Lines(before).place(len(before))
        pointer = reached(before)
        where = f" in `{printable(pointer)}`" if pointer else ""
        raise DocumentError(
            Fault(
                message=f"byte 0x{data[error.start]:02x} is not UTF-8: {error.reason}{where}",
                file=file,
                line=line,
                column=column,
                pointer=pointer,
                hint="save the input as UTF-8",
            )
        ) from None


class _RefusedError(ValueError):
    """The quick reader met something that the scanner must judge."""


def _members(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RefusedError
    return members


def _float(text: str) -> float:
    number = admit_number(float(text))[0]
    if number is None:
        raise _RefusedError
    return number


def _integer(text: str) -> int:
    number = admit_number(int(text))[0] if len(text) <= _MAX_INTEGER_TEXT else None
    if number is None:
        raise _RefusedError
    return int(number)


def _is_long(text: str) -> bool:
    return len(text) <= _MAX_LONG_TEXT and -(2**63) <= int(text) < 2**63


def _long(text: str) -> int:
    if not _is_long(text):
        raise _RefusedError
    return int(text)


def _refuse(_: str) -> NoReturn:
    raise _RefusedError


_decoder = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_float, parse_int=_integer, parse_constant=_refuse
)
_long_decoder = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_float, parse_int=_long, parse_constant=_refuse
)


def _quick(text: str, decoder: json.JSONDecoder = _decoder) -> tuple[JsonValue] | None:
    """Read with the C scanner; None where anything is unusual."""
    if _SURROGATE_ESCAPE.search(text):
        return None
    try:
        value: JsonValue = decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    level: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        below: list[JsonValue] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        if not below:
            return (value,)
        level = below
    return None if any(type(item) in (dict, list) for item in level) else (value,)


def _locate(text: str) -> Node | None:
    scanner = _Scanner(text, "")
    scanner.read()
    return scanner.node


class _StopError(Exception):
    """The text cannot be read further."""


class _Frame:
    """A container being read."""

    __slots__ = ("members", "node", "pointer", "value")

    def __init__(self, value: JsonObject | list[JsonValue], node: Node, pointer: str) -> None:
        self.value = value
        self.node = node
        self.pointer = pointer


class _Scanner:
    """The definition of the rules: reads a text, collects faults and places."""

    def __init__(self, text: str, file: str, *, longs: bool = False) -> None:
        self.text = text
        self.file = file
        self._longs = longs
        self.faults: list[Fault] = []
        self.node: Node | None = None
        self._lines: Lines | None = None
        self.pointer = ""

    def read(self) -> JsonValue:
        """Read the whole text; meaningful only where no fault was found."""
        try:
            return self._read()
        except _StopError:
            return None

    def _fault(self, offset: int, message: str, hint: str = "") -> None:
        if self._lines is None:
            self._lines = Lines(self.text)
        line, column = self._lines.place(offset)
        self.faults.append(
            Fault(
                message=f"{message} in `{printable(self.pointer)}`" if self.pointer else message,
                file=self.file,
                line=line,
                column=column,
                pointer=self.pointer,
                hint=hint,
            )
        )

    def _stop(self, offset: int, message: str, hint: str = "") -> NoReturn:
        self._fault(offset, message, hint)
        raise _StopError

    def _skip(self, offset: int) -> int:
        match = _SPACE.match(self.text, offset)
        return offset if match is None else match.end()

    def _expected(self, offset: int, what: str) -> NoReturn:
        if offset >= len(self.text):
            self._stop(offset, f"the text ends where {what} is expected")
        found = _WORD.match(self.text, offset)
        shown = (found.group() if found else self.text[offset])[:32]
        self._stop(offset, f"expected {what}, found `{printable(shown)}`")

    def _read(self) -> JsonValue:  # noqa: C901, PLR0912, PLR0915  # one scanner loop: splitting it costs calls per value
        text = self.text
        stack: list[_Frame] = []
        root: JsonValue = None
        token: str | int = ""
        key_offset = -1
        offset = self._skip(0)
        while True:
            node = Node(offset, key_offset)
            if stack:
                self._attach(stack[-1], token, node)
                self.pointer = pointer_to(stack[-1].pointer, token)
            else:
                self.node = node
            opened = text[offset : offset + 1]
            value: JsonValue
            if opened in ("{", "["):
                if len(stack) == MAX_DEPTH:
                    self._stop(offset, f"nested deeper than {MAX_DEPTH} levels")
                value = {} if opened == "{" else []
                offset += 1
            else:
                value, offset = self._scalar(offset)
            if not stack:
                root = value
            elif isinstance(stack[-1].value, dict):
                stack[-1].value[str(token)] = value
            else:
                stack[-1].value.append(value)
            if isinstance(value, (dict, list)):
                stack.append(_Frame(value, node, self.pointer))
                if isinstance(value, dict):
                    node.members = {}
                else:
                    node.elements = []
                offset = self._skip(offset)
                fresh = True
            else:
                fresh = False
            # Close every container that ends here, then stand before the next value.
            while True:
                if not stack:
                    offset = self._skip(offset)
                    if offset < len(text):
                        self.pointer = ""
                        self._expected(offset, "the end of the text")
                    return root
                frame = stack[-1]
                self.pointer = frame.pointer
                close = "}" if isinstance(frame.value, dict) else "]"
                offset = self._skip(offset)
                if text.startswith(close, offset):
                    stack.pop()
                    offset += 1
                    fresh = False
                    continue
                if not fresh:
                    if not text.startswith(",", offset):
                        self._expected(offset, f"`,` or `{close}`")
                    offset = self._skip(offset + 1)
                break
            if isinstance(frame.value, dict):
                key_offset = offset
                if not text.startswith('"', offset):
                    self._expected(offset, "a member name in double quotes" + (" or `}`" if fresh else ""))
                token, offset = self._string(offset)
                if token in frame.value:
                    self.pointer = pointer_to(frame.pointer, token)
                    self._fault(
                        key_offset, f"the member `{printable(token)}` occurs twice", "keep one of them"
                    )
                    self.pointer = frame.pointer
                offset = self._skip(offset)
                if not text.startswith(":", offset):
                    self._expected(offset, "`:`")
                offset = self._skip(offset + 1)
            else:
                key_offset = -1
                token = len(frame.value)

    @staticmethod
    def _attach(frame: _Frame, token: str | int, node: Node) -> None:
        if frame.node.members is not None:
            frame.node.members[str(token)] = node
        elif frame.node.elements is not None:
            frame.node.elements.append(node)

    def _scalar(self, offset: int) -> tuple[JsonValue, int]:
        text = self.text
        if text.startswith('"', offset):
            return self._string(offset)
        match = _NUMBER.match(text, offset)
        if match is not None and not text.startswith("-Infinity", offset):
            return self._number(match), match.end()
        word = _WORD.match(text, offset)
        if word is not None and word.group() in _WORDS:
            return _WORDS[word.group()], word.end()
        if word is not None and word.group() in _NO_NUMBERS:
            self._fault(
                offset, f"`{word.group()}` is no JSON number", "leave the member out or write a string"
            )
            return 0, word.end()
        return self._expected(offset, "a value")

    def _number(self, match: re.Match[str]) -> JsonValue:
        written = match.group()
        if match.group(1) is None and match.group(2) is None:
            # Longer integers are out of range whatever their digits; int() would refuse very long ones by
            # itself.
            number, reason = (
                admit_number(int(written)) if len(written) <= _MAX_INTEGER_TEXT else admit_number(2**53)
            )
            if self._longs and _is_long(written):
                return int(written)
        else:
            number, reason = admit_number(float(written))
        if number is None:
            self._fault(match.start(), f"the number `{printable(written)}` {reason}", "write it as a string")
            return 0
        return number

    def _string(self, start: int) -> tuple[str, int]:
        text = self.text
        parts: list[str] = []
        offset = start + 1
        while True:
            chunk = cast("re.Match[str]", _CHUNK.match(text, offset))
            parts.append(chunk.group())
            offset = chunk.end()
            if offset >= len(text):
                self._stop(start, "the string is not closed")
            mark = text[offset]
            if mark == '"':
                break
            if mark != "\\":
                self._stop(
                    offset,
                    f"a control character (U+{ord(mark):04X}) stands in a string",
                    "write it as an escape",
                )
            escape = text[offset + 1 : offset + 2]
            if escape == "u":
                parts.append(chr(self._hex(offset + 2)))
                offset += 6
            elif escape in _ESCAPES:
                parts.append(_ESCAPES[escape])
                offset += 2
            else:
                self._stop(offset, f"`\\{printable(escape)}` is no JSON escape")
        value = "".join(parts)
        if has_surrogate(value):
            value = _join_surrogates(value)
            if has_surrogate(value):
                self._fault(
                    start, "the string holds a lone surrogate", "write both halves of the pair, or neither"
                )
        return value, offset + 1

    def _hex(self, offset: int) -> int:
        digits = _HEX.match(self.text, offset)
        if digits is None:
            self._stop(offset - 2, "`\\u` is not followed by four hexadecimal digits")
        return int(digits.group(), 16)


def _join_surrogates(text: str) -> str:
    joined: list[str] = []
    index = 0
    while index < len(text):
        high = ord(text[index])
        low = ord(text[index + 1]) if index + 1 < len(text) else 0
        if _HIGH <= high < _LOW <= low < _PAST:
            joined.append(chr(0x10000 + ((high - _HIGH) << 10) + (low - _LOW)))
            index += 2
        else:
            joined.append(text[index])
            index += 1
    return "".join(joined)


def printable(text: str) -> str:
    """Show user input on one line, without characters that a terminal obeys or that no UTF-8 can carry."""
    shown = "".join(mark if mark.isprintable() else f"\\u{ord(mark):04x}" for mark in text[:_MAX_SHOWN])
    return shown if len(text) <= _MAX_SHOWN else f"{shown}…"
