"""Where a value stands in the text it was read from.

Positions cost memory, so a reader that found nothing wrong does not keep them: `Parsed` scans again, once,
when somebody asks for a place.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.values import JsonValue


class Node:
    """A value's offset in the text, its member name's offset, and the nodes of its members or elements."""

    __slots__ = ("elements", "key_offset", "members", "offset")

    def __init__(self, offset: int, key_offset: int = -1) -> None:
        self.offset = offset
        self.key_offset = offset if key_offset < 0 else key_offset
        self.members: dict[str, Node] | None = None
        self.elements: list[Node] | None = None

    def child(self, token: str) -> Node | None:
        """Return the node of a member or element, or None."""
        if self.members is not None:
            return self.members.get(token)
        if self.elements is not None and token.isascii() and token.isdigit() and len(token) < len("9" * 10):
            index = int(token)
            return self.elements[index] if index < len(self.elements) else None
        return None


class Lines:
    """Offsets of a text's lines."""

    __slots__ = ("_ends",)

    def __init__(self, text: str) -> None:
        self._ends: list[int] = []
        end = text.find("\n")
        while end >= 0:
            self._ends.append(end)
            end = text.find("\n", end + 1)

    def place(self, offset: int) -> tuple[int, int]:
        """Return the 1-based line and column (in characters) of an offset."""
        line = bisect_left(self._ends, offset)
        start = self._ends[line - 1] + 1 if line else 0
        return line + 1, offset - start + 1


class Parsed:
    """A value with the places of its parts.

    Attributes:
        value: the value, checked by rule R1.
        file: name of the input as the user gave it; empty where there is none.
    """

    __slots__ = ("_lines", "_locate", "_node", "_text", "file", "value")

    def __init__(
        self,
        value: JsonValue,
        *,
        file: str = "",
        text: str | None = None,
        locate: Callable[[str], Node | None] | None = None,
    ) -> None:
        self.value = value
        self.file = file
        self._text = text
        self._locate = locate
        self._node: Node | None = None
        self._lines: Lines | None = None

    def place(self, pointer: str) -> tuple[int, int]:
        """Return 1-based line and column of the value at an RFC 6901 pointer.

        A pointer to something that is not there gives the place of the nearest thing around it;
        (0, 0) where the input has no lines.
        """
        return self._find(pointer, at_key=False)

    def place_of_name(self, pointer: str) -> tuple[int, int]:
        """Return 1-based line and column of the member *name* at an RFC 6901 pointer, like `place`."""
        return self._find(pointer, at_key=True)

    def _find(self, pointer: str, *, at_key: bool) -> tuple[int, int]:
        if self._text is None or self._locate is None:
            return 0, 0
        if self._lines is None:
            self._lines = Lines(self._text)
            self._node = self._locate(self._text)
        node = self._node
        if node is None:
            return 1, 1
        for token in pointer.split("/")[1:]:
            child = node.child(token.replace("~1", "/").replace("~0", "~"))
            if child is None:
                return self._lines.place(node.offset)
            node = child
        return self._lines.place(node.key_offset if at_key else node.offset)
