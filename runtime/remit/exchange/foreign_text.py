"""The bytes of a foreign file as JSON values with places.

Rules
1. What starts with `{` or `[`, or is a JSON string, is JSON, all else YAML; a file's name says nothing.
2. JSON obeys the rules of `remit.document.json_text`, YAML those of `remit.exchange.foreign_yaml`.
   Both refuse duplicate keys, NaN, more than 64 levels and more than their bound of bytes.
3. A JSON string that holds a JSON object is read through, as often as `MAX_WRAPPINGS`.
4. A byte order mark is passed over: exports of some systems have one.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right

from remit.document.json_text import MAX_BYTES, parse_json
from remit.document.places import Lines, Parsed
from remit.document.yaml_text import MAX_YAML_BYTES
from remit.errors import DocumentError, Fault
from remit.exchange.foreign_yaml import parse_foreign_yaml

MEBIBYTE = 1024 * 1024
MAX_WRAPPINGS = 2
"""How often JSON may stand inside a JSON string: one double encoding, and one mistake more."""

_MARK = b"\xef\xbb\xbf"
_ESCAPE = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[0-9a-fA-F]{4}|\\.")


def read_foreign(data: bytes, *, file: str = "") -> tuple[Parsed, ...]:
    """Read the values of a foreign file: one of JSON, one or more of YAML.

    Args:
        data: the bytes of the file.
        file: its name, for faults.

    Raises:
        DocumentError: the bytes break a rule above; every fault that could be found is listed.
    """
    plain = data.removeprefix(_MARK)
    start = plain.lstrip()[:1]
    if start in (b"{", b"["):
        _refuse_large(plain, MAX_BYTES, "JSON", "a bundle by its threads", file)
        return (parse_json(plain, file=file),)
    if start == b'"':
        _refuse_large(plain, MAX_BYTES, "JSON", "a bundle by its threads", file)
        parsed = _wrapped(plain, file)
        if parsed is not None:
            return (parsed,)
    _refuse_large(plain, MAX_YAML_BYTES, "YAML", "or write it as JSON", file)
    return parse_foreign_yaml(plain, file=file)


def _refuse_large(data: bytes, bound: int, kind: str, way: str, file: str) -> None:
    """Refuse by size in words for people who have an export, not a document, before them."""
    if len(data) > bound:
        size = math.ceil(len(data) * 10 / MEBIBYTE) / 10
        raise DocumentError(
            Fault(
                message=f"the file has {size:g} MiB, and {kind} may have {bound // MEBIBYTE} MiB",
                file=file,
                hint=f"split it, {way}",
            )
        )


def _wrapped(data: bytes, file: str) -> Parsed | None:
    """Read JSON inside a JSON string; None where the text is no JSON string alone."""
    try:
        parsed = parse_json(data, file=file)
    except DocumentError:
        return None  # such as a YAML mapping with a quoted first key
    text = data.decode()
    for _ in range(MAX_WRAPPINGS):
        if not isinstance(parsed.value, str) or not parsed.value.lstrip().startswith(("{", "[", '"')):
            break
        inner = parsed.value
        parsed = _Unwrapped.read(inner, text, parsed)
        text = inner
    return parsed


class _Unwrapped(Parsed):
    """A value read from inside a JSON string; its places are those of the outer text."""

    __slots__ = ("_inner", "_places")

    def __init__(self, inner: Parsed, places: _OuterPlaces, *, file: str) -> None:
        super().__init__(inner.value, file=file)
        self._inner = inner
        self._places = places

    @classmethod
    def read(cls, text: str, outer: str, parsed: Parsed) -> _Unwrapped:
        """Read the text of a string that is the whole of `outer`, itself read as `parsed`."""
        places = _OuterPlaces(text, outer, parsed)
        try:
            inner = parse_json(text.encode(), file=parsed.file)
        except DocumentError as error:
            raise DocumentError(*(places.moved(fault) for fault in error.faults)) from None
        return cls(inner, places, file=parsed.file)

    def place(self, pointer: str) -> tuple[int, int]:
        """Return line and column in the outermost text, as `Parsed.place`."""
        return self._places.of(self._inner.place(pointer))

    def place_of_name(self, pointer: str) -> tuple[int, int]:
        """Return line and column in the outermost text, as `Parsed.place_of_name`."""
        return self._places.of(self._inner.place_of_name(pointer))

    def outward(self, place: tuple[int, int]) -> tuple[int, int]:
        """Return where a place of the text that this was read from stands in the outermost text."""
        return self._places.of(place)


class _OuterPlaces:
    """Places of a string's text → places of the text that the string is written in."""

    def __init__(self, inner: str, outer: str, parsed: Parsed) -> None:
        self._inner_starts = [0, *(match.end() for match in re.finditer("\n", inner))]
        self._outer_text = outer
        self._parsed = parsed
        self._outer_lines: Lines | None = None
        self._inner_marks: list[int] = []
        self._outer_marks: list[int] = []

    def of(self, place: tuple[int, int]) -> tuple[int, int]:
        line, column = place
        if not line:
            return place
        if self._outer_lines is None:
            self._outer_lines = Lines(self._outer_text)
            self._measure()
        inner = self._inner_starts[line - 1] + column - 1
        index = bisect_right(self._inner_marks, inner) - 1
        offset = self._outer_marks[index] + inner - self._inner_marks[index]
        found = self._outer_lines.place(offset)
        return self._parsed.outward(found) if isinstance(self._parsed, _Unwrapped) else found

    def moved(self, fault: Fault) -> Fault:
        line, column = self.of((fault.line, fault.column))
        return Fault(
            message=fault.message,
            file=fault.file,
            line=line,
            column=column,
            pointer=fault.pointer,
            hint=fault.hint,
        )

    def _measure(self) -> None:
        """Note where the two texts drift apart: behind every escape."""
        outer = self._outer_text.index('"') + 1
        inner = 0
        self._inner_marks.append(inner)
        self._outer_marks.append(outer)
        for match in _ESCAPE.finditer(self._outer_text, outer):
            inner += match.start() - outer + 1
            outer = match.end()
            self._inner_marks.append(inner)
            self._outer_marks.append(outer)
