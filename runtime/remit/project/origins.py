"""Where each value of a built document was written.

`OriginMap` answers two questions: where a rule's text starts (for the policy compiler, so that a Cedar error
inside `when:` is shown in the author's line), and where any member of the document came from (so that faults
which the document's own rules find are shown in the author's file).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.errors import Fault
from remit.policy.origins import Origin
from remit.project.source import Node, escape

if TYPE_CHECKING:
    from remit.document.values import JsonValue


@dataclass(slots=True, kw_only=True)
class OriginMap:
    """JSON pointers of the document → places in the author's files.

    Attributes:
        places: origin of every mapped value.
    """

    places: dict[str, Origin] = field(default_factory=dict[str, Origin])

    def map(self, pointer: str, node: Node) -> None:
        """Map a whole value and everything below it to where `node` stands."""
        self.places[pointer] = text_origin(node)
        if isinstance(node.value, dict):
            for key, child in node.members():
                self.map(f"{pointer}/{escape(key)}", child)
        elif isinstance(node.value, list):
            for index, child in enumerate(node.items()):
                self.map(f"{pointer}/{index}", child)

    def place(self, pointer: str) -> Origin | None:
        """Return the origin of the value at `pointer` or of its nearest mapped parent."""
        while pointer:
            if pointer in self.places:
                return self.places[pointer]
            pointer = pointer.rpartition("/")[0]
        return None

    def locate(self, fault: Fault) -> Fault:
        """Return `fault` at the author's place where its pointer has one."""
        origin = self.place(fault.pointer)
        if origin is None:
            return fault
        return Fault(
            message=fault.message,
            file=origin.file,
            line=origin.line,
            column=origin.column,
            pointer=fault.pointer,
            hint=fault.hint,
        )


def text_origin(node: Node) -> Origin:
    """Return where the text of a scalar starts: behind a quote, below a `|`, or at the value itself."""
    line, column = node.source.place(node.pointer)
    value: JsonValue = node.value
    lines = node.source.text.splitlines()
    if isinstance(value, str) and 0 < line <= len(lines):
        mark = lines[line - 1][column - 1 : column]
        if mark in {"'", '"'}:
            column += 1
        elif mark in {"|", ">"}:
            return _block_origin(node.source.file, lines, line, column)
    return Origin(file=node.source.file, line=line, column=column)


def _block_origin(file: str, lines: list[str], line: int, column: int) -> Origin:
    for number in range(line, len(lines)):
        content = lines[number]
        if content.strip():
            indent = len(content) - len(content.lstrip(" "))
            return Origin(file=file, line=number + 1, column=indent + 1, indent=indent)
    return Origin(file=file, line=line, column=column)
