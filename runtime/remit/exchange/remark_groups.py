"""Remarks put together for people: equal ones once, and of many alike the first few and a count."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from remit.document.json_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.exchange.foreign import Remark

MOST_ALIKE = 10
"""How many remarks of one kind are all shown."""

SHOWN = 3
"""How many are shown where there are more, and how many places of equal ones."""

_OWN = re.compile(r"`[^`]*`|[0-9]+")


def few_of_each_kind(remarks: Sequence[Remark]) -> Iterator[tuple[Remark, int]]:
    """Yield the remarks to show, each with the number of further ones of its kind that are left out after it.

    Remarks are of one kind where they differ in names and numbers only.
    """
    kinds = [(remark.fate, _OWN.sub("`", remark.what)) for remark in remarks]
    counts = Counter(kinds)
    seen: Counter[tuple[str, str]] = Counter()
    for remark, kind in zip(remarks, kinds, strict=True):
        seen[kind] += 1
        if counts[kind] <= MOST_ALIKE or seen[kind] < SHOWN:
            yield remark, 0
        elif seen[kind] == SHOWN:
            yield remark, counts[kind] - SHOWN


def lines_of(remarks: Sequence[Remark], *, flat: bool) -> Iterator[str]:
    """Yield one line for equal remarks, with the places of all of them.

    Args:
        remarks: of one fate.
        flat: whether the file has one line only, so that pointers say more than lines.
    """
    equal: dict[str, list[Remark]] = {}
    for remark in remarks:
        equal.setdefault(" ".join(remark.what.split()), []).append(remark)
    for what, group in equal.items():
        if flat:
            places, word = [f"`{printable(remark.pointer)}`" for remark in group if remark.pointer], ""
        else:
            places, word = [str(remark.line) for remark in group if remark.line], "line"
        distinct = list(dict.fromkeys(places))
        if not distinct:
            yield what
            continue
        more = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
        head = f"{word}{'s' if len(distinct) > 1 else ''} " if word else ""
        yield f"{head}{', '.join(distinct[:SHOWN])}{more}: {what}"
