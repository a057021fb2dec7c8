"""The plain part of YAML, read without a scanner for all of it: what people write nearly always.

Why: the pure Python scanner takes seconds per megabyte, and a project's cases are read at every check.

INVARIANT (quick): a text is either read exactly as `remit.document.yaml_text` reads it, value and places, or
not at all; every doubt is None, and the full reader decides. Held by a differential test over mutated files.

Read here: block mappings with plain keys, block sequences, flow collections within one line, plain scalars
and quoted ones without escapes within one line, lines that are comments. Everything else is a doubt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.document.places import Node
from remit.document.values import admit_number

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

_USUAL = re.compile("[\n\x20-\x7e\u00a1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\uffef]*")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*):(?= |$)", re.MULTILINE)
_FIRST = r"(?:[A-Za-z0-9_./(+]|-(?=[A-Za-z0-9.]))"
_BLOCK_PLAIN = re.compile(rf"{_FIRST}(?:[^\n:#]|:(?=[^\s])|(?<=[^\s])#)*")
_FLOW_PLAIN = re.compile(rf"{_FIRST}(?:[^\n,\[\]{{}}:#?]|:(?=[^\s,\[\]{{}}]))*")
_DOUBLE = re.compile(r'"([^"\\\n]*)"')
_SINGLE = re.compile(r"'([^'\n]*)'(?!')")
_SPACES = re.compile(r" *")
_LINE = re.compile(r"( *)([^ \n#][^\n]*)")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""What is a number where it stands plain, as in JSON."""
_INTEGER = re.compile(r"-?[0-9]{1,15}")
WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}
"""What is no text where it stands plain."""
_MAX_DEPTH = 32


class _DoubtError(Exception):
    """The full reader has to decide."""


def quick_yaml(text: str) -> tuple[JsonValue, Node] | None:
    """Read a text, or leave it to the full reader.

    Returns:
        The value and its places, or None where anything is unusual.
    """
    if _USUAL.fullmatch(text) is None:
        return None
    try:
        return _Quick(text).read()
    except _DoubtError:
        return None


class _Quick:
    def __init__(self, text: str) -> None:
        self._text = text
        # Indentation, offset of the content and its end, of every line that holds any.
        self._lines: list[tuple[int, int, int]] = []
        position = 0
        for line in text.split("\n"):
            found = _LINE.fullmatch(line)
            if found is not None:
                self._lines.append((found.end(1), position + found.end(1), position + len(line.rstrip(" "))))
            elif line.strip(" ") and not line.lstrip(" ").startswith("#"):
                raise _DoubtError
            position += len(line) + 1
        self._at = 0

    def read(self) -> tuple[JsonValue, Node]:
        if not self._lines or self._lines[0][0]:
            raise _DoubtError
        _, start, end = self._lines[0]
        if self._text[start] in "{[" and len(self._lines) == 1:
            return self._inline(start, end, -1, 1)
        value, node = self._block(0, -1, 1)
        if self._at < len(self._lines):
            raise _DoubtError
        return value, node

    def _block(self, indent: int, key_offset: int, depth: int) -> tuple[JsonValue, Node]:
        """Read the collection that begins at the content of this line."""
        if depth > _MAX_DEPTH:
            raise _DoubtError
        _, start, _ = self._lines[self._at]
        if self._text.startswith("- ", start):
            return self._sequence(indent, key_offset, depth)
        return self._mapping(indent, start, key_offset, depth)

    def _sequence(self, indent: int, key_offset: int, depth: int) -> tuple[JsonValue, Node]:
        text, lines = self._text, self._lines
        node = Node(lines[self._at][1], key_offset)
        values: list[JsonValue] = []
        elements: list[Node] = []
        while self._at < len(lines):
            here, start, end = lines[self._at]
            if here < indent or (here == indent and not text.startswith("- ", start)):
                break
            if here > indent:
                raise _DoubtError
            content = _skip(text, start + 1)
            if content >= end:
                raise _DoubtError
            if _KEY.match(text, content, end) is not None:
                value, element = self._mapping(indent + content - start, content, -1, depth + 1)
            else:
                value, element = self._inline(content, end, -1, depth + 1)
                self._next(indent)
            values.append(value)
            elements.append(element)
        node.elements = elements
        return values, node

    def _mapping(self, indent: int, start: int, key_offset: int, depth: int) -> tuple[JsonValue, Node]:
        """Read a mapping whose first key stands at `start`, which a dash may precede on its line."""
        if depth > _MAX_DEPTH:
            raise _DoubtError
        text, lines = self._text, self._lines
        node = Node(start, key_offset)
        found: JsonObject = {}
        members: dict[str, Node] = {}
        while True:
            end = lines[self._at][2]
            key_match = _KEY.match(text, start, end)
            key = "" if key_match is None else key_match[1]
            if key_match is None or key in found or key in WORDS:
                raise _DoubtError
            content = _skip(text, key_match.end())
            if content < end:
                found[key], members[key] = self._inline(content, end, start, depth + 1)
                self._next(indent)
            else:
                found[key], members[key] = self._below(indent, start, depth + 1)
            if self._at == len(lines) or lines[self._at][0] < indent:
                break
            here, start, _ = lines[self._at]
            if here != indent:
                raise _DoubtError
        node.members = members
        return found, node

    def _below(self, indent: int, key_offset: int, depth: int) -> tuple[JsonValue, Node]:
        """Read the value of a key that has nothing on its own line."""
        self._at += 1
        if self._at == len(self._lines):
            raise _DoubtError
        here, start, _ = self._lines[self._at]
        if here > indent:
            return self._block(here, key_offset, depth)
        if here == indent and self._text.startswith("- ", start):
            return self._sequence(here, key_offset, depth)
        raise _DoubtError

    def _next(self, indent: int) -> None:
        """Go to the next line; one that is deeper would belong to the scalar before it."""
        self._at += 1
        if self._at < len(self._lines) and self._lines[self._at][0] > indent:
            raise _DoubtError

    def _inline(self, start: int, end: int, key_offset: int, depth: int) -> tuple[JsonValue, Node]:
        """Read a value that stands on the rest of a line."""
        text = self._text
        if text[start] in "{[":
            value, node, after = self._flow(start, key_offset, depth)
        elif text[start] in "\"'":
            value, after = _quoted(text, start)
            node = Node(start, key_offset)
        else:
            found = _BLOCK_PLAIN.match(text, start, end)
            if found is None:
                raise _DoubtError
            value, after, node = _resolved(found[0].rstrip(" ")), found.end(), Node(start, key_offset)
        if after != end:
            raise _DoubtError
        return value, node

    def _flow(self, start: int, key_offset: int, depth: int) -> tuple[JsonValue, Node, int]:
        """Read a value within a flow collection, or the collection itself; return where it ends."""
        text = self._text
        mark = text[start : start + 1]
        if mark == "{":
            return self._flow_mapping(start, key_offset, depth)
        if mark == "[":
            return self._flow_sequence(start, key_offset, depth)
        if mark in ('"', "'"):
            value, after = _quoted(text, start)
            return value, Node(start, key_offset), after
        found = _FLOW_PLAIN.match(text, start)
        if found is None:
            raise _DoubtError
        return _resolved(found[0].rstrip(" ")), Node(start, key_offset), found.end()

    def _flow_mapping(self, start: int, key_offset: int, depth: int) -> tuple[JsonValue, Node, int]:
        if depth > _MAX_DEPTH:
            raise _DoubtError
        text, node = self._text, Node(start, key_offset)
        found: JsonObject = {}
        members: dict[str, Node] = {}
        node.members = members
        position = _skip(text, start + 1)
        if text.startswith("}", position):
            return found, node, position + 1
        while True:
            key_match = _KEY.match(text, position)
            if key_match is None or key_match[1] in found or key_match[1] in WORDS:
                raise _DoubtError
            key = key_match[1]
            content = _skip(text, key_match.end())
            found[key], members[key], after = self._flow(content, position, depth + 1)
            after = _skip(text, after)
            if text.startswith("}", after):
                return found, node, after + 1
            if not text.startswith(", ", after):
                raise _DoubtError
            position = _skip(text, after + 1)

    def _flow_sequence(self, start: int, key_offset: int, depth: int) -> tuple[JsonValue, Node, int]:
        if depth > _MAX_DEPTH:
            raise _DoubtError
        text, node = self._text, Node(start, key_offset)
        values: list[JsonValue] = []
        elements: list[Node] = []
        node.elements = elements
        position = _skip(text, start + 1)
        if text.startswith("]", position):
            return values, node, position + 1
        while True:
            value, element, after = self._flow(position, -1, depth + 1)
            values.append(value)
            elements.append(element)
            after = _skip(text, after)
            if text.startswith("]", after):
                return values, node, after + 1
            if not text.startswith(", ", after):
                raise _DoubtError
            position = _skip(text, after + 1)


def _skip(text: str, position: int) -> int:
    found = _SPACES.match(text, position)
    return position if found is None else found.end()


def _quoted(text: str, start: int) -> tuple[str, int]:
    found = (_DOUBLE if text[start] == '"' else _SINGLE).match(text, start)
    if found is None:
        raise _DoubtError
    return found[1], found.end()


def _resolved(text: str) -> JsonValue:
    """Return the value of a plain scalar (rule 1 of `remit.document.yaml_text`)."""
    if text in WORDS:
        return WORDS[text]
    if NUMBER.fullmatch(text) is None:
        return text
    if _INTEGER.fullmatch(text):
        number, reason = admit_number(int(text))
    elif text.lstrip("-").isdigit():
        raise _DoubtError
    else:
        number, reason = admit_number(float(text))
    if number is None or reason:
        raise _DoubtError
    return number
