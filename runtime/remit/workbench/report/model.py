"""A report as a value: a verdict, facts, and sections of tables, plots and listings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "neutral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A sentence or two."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of texts.

    Args:
        head: one for each column.
        rows: as wide as the head.
        numbers: positions of the columns that hold numbers.
        caption: what it shows.
        empty: what to say where there are no rows.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    caption: str = ""
    empty: str = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A horizontal bar for each row and series, longest first or in the order given.

    Args:
        caption: what is compared, with its unit.
        series: names of the series, at most four.
        rows: label and one number a series.
        whole: what a full bar stands for; 0 takes the largest number.
        unit: written after each number, such as `%`.
        zeros: whether nothing of a series is drawn as a bar of 0, or left out.
        empty: what to say where there are no rows.
    """

    caption: str
    series: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    whole: float = 0
    unit: str = ""
    zeros: bool = True
    empty: str = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns over time, in order, one chart for each series, since their sizes differ.

    Args:
        caption: what is counted.
        series: names of the series, at most four.
        rows: label of the span of time and one number a series.
        empty: what to say where there are no rows.
    """

    caption: str
    series: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    empty: str = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Text as it stands somewhere.

    Args:
        caption: what it is, and where it stands.
        text: exactly that.
        kind: `diff` marks lines that begin with + and -.
    """

    caption: str
    text: str
    kind: Literal["diff", "text"] = "text"


Part = Paragraph | Table | Bars | Columns | Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Parts under one heading."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verb found.

    Args:
        title: what was done, such as `Replay of 1,000 decisions`.
        verdict: the one sentence that a reader takes along.
        tone: whether the verdict is good news.
        facts: name and value of what it was done with.
        sections: in the order of reading.
    """

    title: str
    verdict: str
    tone: Tone
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def number(value: float) -> str:
    """Write a number for people: thousands apart, at most one decimal."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
