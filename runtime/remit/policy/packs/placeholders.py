"""Placeholders `${name}` in a pack's rules.

In an expression a placeholder is one token: it may not stand inside a text or a comment, be glued to a
letter, a digit or a quote, or follow `like`, where a `*` in the value would match anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.policy.cedar_text import masked
from remit.policy.origins import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER = re.compile(r"\$\{([^{}\n]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_GLUE = re.compile(r"[A-Za-z0-9_\"$}]")
_LIKE = re.compile(r"\blike\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """One placeholder.

    Args:
        name: of the parameter.
        start: 0-based offset in characters of its `$`.
        end: offset after its `}`.
    """

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Misplaced:
    """A placeholder that cannot stand where it stands."""

    offset: int
    message: str
    hint: str


def placeholders(text: str) -> tuple[Placeholder, ...]:
    """Return the placeholders of a text, in order."""
    return tuple(
        Placeholder(name=found[1], start=found.start(), end=found.end())
        for found in PLACEHOLDER.finditer(text)
    )


def whole(text: str) -> str:
    """Return the name of the parameter that a text consists of, or an empty text."""
    found = PLACEHOLDER.fullmatch(text.strip())
    return found[1] if found else ""


def misplaced(expression: str) -> tuple[Misplaced, ...]:
    """Return every placeholder of a Cedar expression that cannot be one token there."""
    code = masked(expression)
    wrong: list[Misplaced] = []
    for found in placeholders(expression):
        what = _wrong(expression, code, found)
        if what is not None:
            wrong.append(Misplaced(offset=found.start, message=what[0], hint=what[1]))
    rest = PLACEHOLDER.sub(lambda match: " " * len(match[0]), code)
    stray = rest.find("$")
    if stray >= 0:
        wrong.append(Misplaced(offset=stray, message="a `$` begins no placeholder", hint="write `${name}`"))
    return tuple(wrong)


def _wrong(expression: str, code: str, found: Placeholder) -> tuple[str, str] | None:
    shown = f"`${{{found.name}}}`"
    if _NAME.fullmatch(found.name) is None:
        return f"{shown} names no parameter", "write a name of letters, digits and `_`"
    if code[found.start : found.end] != expression[found.start : found.end]:
        return (
            f"{shown} stands inside a text or a comment, where it is no value",
            "put it outside of the quotes; a text parameter brings its own",
        )
    before, after = expression[: found.start][-1:], expression[found.end :][:1]
    if _GLUE.fullmatch(before) or _GLUE.fullmatch(after):
        return f"{shown} is glued to what stands beside it", "put a space between"
    if _LIKE.search(code[: found.start]):
        return (
            f"{shown} follows `like`, where a `*` in the value would match anything",
            "compare with `==`, or with `.contains(…)` of a list",
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """An expression with its placeholders replaced, and the way back.

    Args:
        original: the expression as its author wrote it.
        text: with literals in place of placeholders.
        edits: `(start, end)` in `text` and `(start, end)` in `original` of each literal, in order.
    """

    original: str
    text: str
    edits: tuple[tuple[int, int, int, int], ...] = ()

    def offset(self, position: int) -> int:
        """Return the offset in `original` of an offset in `text`; inside a literal, that of its `$`."""
        shift = 0
        for start, end, first, last in self.edits:
            if position < start:
                break
            if position < end:
                return first
            shift = last - end
        return position + shift


def substitute(expression: str, literals: Mapping[str, str]) -> Substitution:
    """Replace every placeholder by the literal of its parameter.

    Args:
        expression: one without `misplaced` placeholders.
        literals: the literal of every parameter that has a value.
    """
    pieces: list[str] = []
    edits: list[tuple[int, int, int, int]] = []
    done = length = 0
    for found in placeholders(expression):
        literal = literals[found.name]
        pieces += [expression[done : found.start], literal]
        length += found.start - done
        edits.append((length, length + len(literal), found.start, found.end))
        length += len(literal)
        done = found.end
    pieces.append(expression[done:])
    return Substitution(original=expression, text="".join(pieces), edits=tuple(edits))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstitutedOrigin(Origin):
    """Where an expression was written that had placeholders: faults point at the author's own text."""

    substitution: Substitution

    def at(self, text: str, offset: int) -> Origin:
        """Return the origin of the character at `offset` of the expression after substitution."""
        del text
        written = self.substitution
        plain = Origin(file=self.file, line=self.line, column=self.column, indent=self.indent)
        return plain.at(written.original, written.offset(offset))
