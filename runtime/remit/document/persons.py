"""Whether two names could be one person's: the one comparison behind every rule that needs two people.

INVARIANT (in doubt one person): whatever a reader cannot see makes no other person of a name. Accents and
other marks go, too, so that two people whose names differ in those alone cannot act as two.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_MARKS: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Me", "Mn", "Zl", "Zp", "Zs"})
"""Controls, formats, what is not assigned, marks without a width of their own, and spaces."""

_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")
"""Letters and symbols that show nothing: the Hangul fillers, the blank of Braille, the null notehead."""


def same_person(one: str, other: str) -> bool:
    """Whether two ids could name one person: case, width, spaces, marks and what is invisible aside.

    Directories compare account names without regard to case; in doubt the duties are not segregated.
    """
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return _letters(_letters(name).casefold())


def _letters(text: str) -> str:
    # Decomposed: a mark behind an invisible character is not composed with its letter, and would go where
    # that of a composed letter stays.
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c for c in letters if c not in _BLANKS and unicodedata.category(c) not in _MARKS)
