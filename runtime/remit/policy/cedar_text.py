"""Cedar policy text as text: splitting with offsets, quoting, annotation lists.

The engine's parser gives no positions, so the splitter keeps them.
It knows only what ends a policy: a `;` outside of strings and comments (Cedar grammar, `Policy`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SKIP = re.compile(r"(?:\s+|//[^\n]*)+")
_PIECE = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"?|;|[^/";]+|/', re.DOTALL)
MAX_NESTING = 200
"""Above this estimate (see `nesting`) a text does not reach the engine's parser."""

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_PRINTABLE_FROM = 0x20
_DELETE = 0x7F
_AS_IT_STANDS = re.compile(r'[^"\\\x00-\x1f\x7f]*')


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """One policy as it stands in a larger text.

    Args:
        text: from its first token (annotations included) to its `;`.
        offset: 0-based offset in characters of `text` in the whole.
        closed: whether the `;` is there.
    """

    text: str
    offset: int
    closed: bool


def split_policies(text: str) -> tuple[PolicyText, ...]:
    """Split Cedar text into its policies, in order; comments between policies belong to none."""
    found: list[PolicyText] = []
    position = _after_space(text, 0)
    while position < len(text):
        start = position
        closed = False
        last = start
        while position < len(text) and not closed:
            piece = _PIECE.match(text, position)
            assert piece is not None  # INVARIANT (total): the last alternatives match any character
            position = piece.end()
            closed = piece.group() == ";"
            if not piece.group().startswith("//") and piece.group().strip():
                last = position
        found.append(PolicyText(text=text[start:last].rstrip(), offset=start, closed=closed))
        position = _after_space(text, position)
    return tuple(found)


def _after_space(text: str, position: int) -> int:
    skipped = _SKIP.match(text, position)
    return skipped.end() if skipped else position


def quoted(text: str) -> str:
    """Write `text` as a Cedar string literal."""
    if _AS_IT_STANDS.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) < _PRINTABLE_FROM or ord(character) == _DELETE:
        return f"\\u{{{ord(character):x}}}"
    return character


def join_list(items: tuple[str, ...]) -> str:
    r"""Write a list into one annotation value: items separated by `, `; a comma within an item as `\,`."""
    return ", ".join(item.replace("\\", "\\\\").replace(",", "\\,") for item in items)


def split_list(text: str) -> tuple[str, ...]:
    """Read what `join_list` wrote; space around items and empty items do not count."""
    items = re.findall(r"(?:[^,\\]|\\.|\\$)+", text, re.DOTALL)
    stripped = (item.strip() for item in items)
    return tuple(re.sub(r"\\(.)", r"\1", item, flags=re.DOTALL) for item in stripped if item)


def masked(text: str) -> str:
    """Return `text` at the same length with the insides of strings and comments blanked out."""
    pieces: list[str] = []
    for piece in _PIECE.finditer(text):
        part = piece.group()
        if part.startswith("//"):
            pieces.append(re.sub(r"[^\n]", " ", part))
        elif part.startswith('"') and len(part) > 1:
            pieces.append('"' + re.sub(r"[^\n]", " ", part[1:-1]) + part[-1])
        else:
            pieces.append(part)
    return "".join(pieces)


_NESTING = re.compile(r"&&|\|\||[=!<>]=|[(\[{}\])]|[,;.+*!<>-]|\b(?:if|is|in|has|like)\b")
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")


def nesting(text: str) -> int:
    """Return an upper estimate of how deep the expressions of a Cedar text nest.

    The engine's parser walks the tree on the machine's stack, which a long chain of operators overruns
    (measured: 300 brackets or 2,000 operators end the process), so text is measured before it is parsed.
    """
    deepest = below = 0
    levels: list[tuple[int, int, int]] = []
    ors = ands = inner = 0
    for match in _NESTING.finditer(masked(text)):
        sign = match.group()
        if sign in _OPENING:
            levels.append((ors, ands, inner))
            below += ors + ands + inner + 1
            ors = ands = inner = 0
        elif sign in _CLOSING and levels:
            ors, ands, inner = levels.pop()
            below -= ors + ands + inner + 1
        elif sign in {",", ";"}:
            ors = ands = inner = 0
        elif sign in {"||", "if"}:
            ors, ands, inner = ors + 1, 0, 0
        elif sign == "&&":
            ands, inner = ands + 1, 0
        else:
            inner += 1
        deepest = max(deepest, below + ors + ands + inner)
    return deepest


def nests_beyond(text: str, limit: int = MAX_NESTING) -> bool:
    """Return whether `nesting(text)` is above `limit`; no text nests deeper than it has signs."""
    return len(_NESTING.findall(text)) > limit and nesting(text) > limit
