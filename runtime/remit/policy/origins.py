"""Where the author wrote what the document holds: positions by JSON pointer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remit.errors import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Start of a scalar's text in the author's file.

    Args:
        file: name of the file as the author knows it, such as `rules/refunds.yaml`.
        line: 1-based line of the first character of the text.
        column: 1-based column, in characters, of the first character of the text.
        indent: characters that stand before each following line of the text in the file
            (a YAML block scalar is indented there, but not in its value).
    """

    file: str
    line: int
    column: int
    indent: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def at(self, text: str, offset: int) -> Origin:
        """Return the origin of the character at `offset` of `text`, which starts here.

        Args:
            text: the scalar's whole value.
            offset: 0-based offset in characters; one past the end names the end.
        """
        before = text[:offset]
        breaks = before.count("\n")
        if not breaks:
            return Origin(file=self.file, line=self.line, column=self.column + offset, indent=self.indent)
        column = len(before) - before.rfind("\n") + self.indent
        return Origin(file=self.file, line=self.line + breaks, column=column, indent=self.indent)


Origins = Mapping[str, Origin]


def nearest(origins: Origins, pointer: str) -> Origin | None:
    """Return the origin of `pointer`, else of the innermost enclosing member that has one."""
    while True:
        found = origins.get(pointer)
        if found is not None or not pointer:
            return found
        pointer = pointer.rpartition("/")[0]


def fault_at(
    origins: Origins, pointer: str, message: str, *, hint: str = "", text: str | None = None, offset: int = 0
) -> Fault:
    """Build a fault that points at the author's text, or else at the member of the document.

    Args:
        origins: what is known of the author's files; may be empty.
        pointer: JSON pointer of the member concerned.
        message: see `Fault`.
        hint: see `Fault`.
        text: the member's value where it is text and `offset` counts within it.
        offset: 0-based offset of the offending token in `text`.
    """
    exact = origins.get(pointer)
    place = exact.at(text, offset) if exact is not None and text is not None else nearest(origins, pointer)
    if place is None:
        return Fault(message=message, pointer=pointer, hint=hint)
    return Fault(
        message=message, file=place.file, line=place.line, column=place.column, pointer=pointer, hint=hint
    )
