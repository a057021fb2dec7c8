"""Cedar's `like`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cedarpy import pst

if TYPE_CHECKING:
    from collections.abc import Callable


def pattern_parts(pattern: tuple[pst.PatternElem, ...]) -> tuple[str, ...]:
    """Return the literal texts between the wildcards; `a*b` is `("a", "b")`, `*` is `("", "")`."""
    parts = [""]
    for element in pattern:
        if isinstance(element, pst.Wildcard):
            parts.append("")
        else:
            parts[-1] += element.value
    return tuple(parts)


def matcher(parts: tuple[str, ...]) -> Callable[[str], bool]:
    """Return the function that matches a text against a pattern with at least one wildcard."""
    first, *middle, last = parts
    inner = tuple(part for part in middle if part)
    shortest = len(first) + len(last)

    def matches(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        # Leftmost finds leave the most room for what follows.
        position, end = len(first), len(text) - len(last)
        for part in inner:
            position = text.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True

    return matches
