"""A report as Markdown, for a comment on a change request.

Rules
1. Text from outside can neither become markup nor leave its cell: what Markdown or HTML reads is escaped.
2. Plots become tables; a long one shows its largest rows and says how many it leaves out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remit.workbench.report.escaping import CONTROL
from remit.workbench.report.model import Bars, Columns, Listing, Paragraph, Table, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.workbench.report.model import Part, Report

MAX_ROWS = 30
_MARKS = {"good": "✓", "bad": "✗", "neutral": "•"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~@&])")


def to_markdown(report: Report) -> str:
    """Write a report as Markdown."""
    lines = [f"# {_plain(report.title)}", "", f"**{_MARKS[report.tone]} {_plain(report.verdict)}**", ""]
    lines += [f"- {_plain(name)}: {_plain(value)}" for name, value in report.facts]
    for section in report.sections:
        lines += ["", f"## {_plain(section.title)}"]
        for part in section.parts:
            lines += ["", *_part(part)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _part(part: Part) -> Iterator[str]:
    match part:
        case Paragraph(text=text):
            yield _plain(text)
        case Table():
            if part.caption:
                yield from (_plain(part.caption), "")
            yield from _table(part.head, part.rows, numbers=part.numbers, empty=part.empty)
        case Bars():
            yield from (_plain(part.caption), "")
            rows = [
                (label, *(f"{number(value)}{part.unit}" if value or part.zeros else "" for value in values))
                for label, values in part.rows
            ]
            yield from _table(("", *part.series), rows, numbers=_all(part.series), empty=part.empty)
        case Columns():
            yield from (_plain(part.caption), "")
            # The busiest spans in the last series, which is the one that people look for, in order of time.
            there = [row for row in part.rows if any(row[1])]
            shown = sorted(sorted(there, key=lambda row: -row[1][-1])[:MAX_ROWS])
            rows = [(label, *(number(value) for value in values)) for label, values in shown]
            yield from _table(("", *part.series), rows, numbers=_all(part.series), empty=part.empty)
            if len(there) > len(shown):
                yield from ("", f"{len(there) - len(shown)} quieter spans are left out.")
        case Listing():
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", part.text)), default=0))
            yield from (_plain(part.caption), "", f"{fence}{part.kind if part.kind == 'diff' else ''}")
            yield from _lines(part.text)
            yield fence


def _lines(text: str) -> list[str]:
    return [CONTROL.sub(_written, line.replace("\t", "    ")) for line in text.rstrip("\n").split("\n")]


def _all(series: Sequence[str]) -> frozenset[int]:
    return frozenset(range(1, len(series) + 1))


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: frozenset[int], empty: str
) -> Iterator[str]:
    if not rows:
        yield _plain(empty)
        return
    yield f"| {' | '.join(_plain(cell) for cell in head)} |"
    yield f"|{'|'.join('---:' if place in numbers else '---' for place in range(len(head)))}|"
    for row in rows[:MAX_ROWS]:
        yield f"| {' | '.join(_plain(cell) for cell in row)} |"
    if len(rows) > MAX_ROWS:
        yield from ("", f"{len(rows) - MAX_ROWS} more rows are left out.")


def _plain(text: str) -> str:
    shown = CONTROL.sub(_written, text).replace("\n", " ").replace("\t", " ")
    return _SPECIAL.sub(r"\\\1", shown)


def _written(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
