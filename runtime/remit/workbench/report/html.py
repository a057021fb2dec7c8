"""A report as one HTML file: no script, nothing fetched, readable on paper and on a phone.

Rules
1. Every text is escaped; nothing from outside becomes markup, a style or an address.
2. The page forbids itself to fetch or run anything (content security policy), so it can be opened anywhere.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from remit.workbench.report.escaping import shown
from remit.workbench.report.model import Bars, Columns, Listing, Paragraph, Table
from remit.workbench.report.plots import PLOT_CSS, bars, columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.workbench.report.model import Part, Report

_MARKS = {"good": "✓", "bad": "✗", "neutral": "•"}
_CSS = """
:root{--ink:#1b1b1b;--soft:#f4f4f2;--line:#c9c9c4;--paper:#fff}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.2rem;color:var(--ink);background:var(--paper);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:break-word}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 1rem}
h2{font-size:1.15rem;margin:2rem 0 .6rem;padding-top:.8rem;border-top:2px solid var(--ink)}
.verdict{border:2px solid var(--ink);border-left-width:10px;padding:.7rem 1rem;margin:0 0 1rem;
font-weight:600}
.good{border-color:#006b4f}.bad{border-color:#a33f00}
dl{display:grid;grid-template-columns:fit-content(40%) minmax(0,1fr);gap:.2rem 1rem;margin:0}
dt{font-weight:600}dd{margin:0}dt,dd{overflow-wrap:anywhere;min-width:0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;font-weight:600;padding:1.2rem 0 .3rem}
th,td{text-align:left;vertical-align:top;padding:.35rem 1rem .35rem 0;border-bottom:1px solid var(--line)}
td{overflow-wrap:anywhere;min-width:6.4rem}td.n{min-width:0}
th{border-bottom:1px solid var(--ink);vertical-align:bottom}
th:last-child,td:last-child{padding-right:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}
pre{background:var(--soft);border:1px solid var(--line);padding:.6rem;margin:.3rem 0 1rem;font-size:.85rem;
white-space:pre-wrap;overflow-wrap:anywhere}
pre ins{text-decoration:none;background:#cfe3f3;display:block}
pre del{text-decoration:none;background:#f7dfc0;display:block}
.what{font-weight:600;margin:1rem 0 0}
@media(max-width:520px){body{padding:.8rem}pre{font-size:.75rem}td{min-width:0}
dl{grid-template-columns:minmax(0,1fr)}dd{margin-bottom:.4rem}
table.wide thead{display:none}table.wide tr{display:block;border-bottom:1px solid var(--ink);padding:.3rem 0}
table.wide td{display:flex;gap:.6rem;justify-content:space-between;border:0;padding:.1rem 0;text-align:right}
table.wide td::before{content:attr(data-head);font-weight:600;text-align:left;flex:0 0 auto}
table.wide td:first-child:not(.n){display:block;font-weight:600;text-align:left}
table.wide td:first-child:not(.n)::before{display:none}
table.wide td:empty{display:none}table.wide td.n{white-space:normal}}
@page{margin:15mm}
@media print{html{font-size:12px}body{max-width:none;padding:0}h2,caption,.what{break-after:avoid}
tr,pre{break-inside:avoid}
thead{break-after:avoid}tbody tr:first-child{break-before:avoid}.scroll{overflow:visible}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
_FILLS = """
.fill-0{fill:#0072B2}.fill-1{fill:#D55E00}.fill-2{fill:#009E73}.fill-3{fill:#E69F00}
rect{stroke:rgba(0,0,0,.45);stroke-width:1;vector-effect:non-scaling-stroke}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_WIDE = 2
"""Tables of more columns are laid out row by row on a phone."""


def to_html(report: Report) -> str:
    """Write a report as one HTML file."""
    return "".join(_page(report))


def _page(report: Report) -> Iterator[str]:
    title = shown(report.title)
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{title}</title><style>{_CSS}{PLOT_CSS}{_FILLS}</style></head>\n<body><h1>{title}</h1>"
    yield f'<p class="verdict {report.tone}">{_MARKS[report.tone]} {shown(report.verdict)}</p>\n<dl>'
    for name, value in report.facts:
        yield f"<dt>{shown(name)}</dt><dd>{shown(value)}</dd>"
    yield "</dl>\n"
    for section in report.sections:
        yield f"<section><h2>{shown(section.title)}</h2>"
        for part in section.parts:
            yield from _part(part)
        yield "</section>\n"
    yield "</body></html>\n"


def _part(part: Part) -> Iterator[str]:
    match part:
        case Paragraph(text=text):
            yield f"<p>{shown(text)}</p>"
        case Table():
            yield from _table(part)
        case Bars():
            yield from bars(part)
        case Columns():
            yield from columns(part)
        case Listing():
            yield f'<p class="what">{shown(part.caption)}</p><pre>'
            yield from _lines(part)
            yield "</pre>"


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        yield f"<p>{shown(table.caption)}{': ' if table.caption else ''}{shown(table.empty)}</p>"
        return
    wide = ' class="wide"' if len(table.head) > _WIDE else ""
    yield f'<div class="scroll"><table{wide}>'
    if table.caption:
        yield f"<caption>{shown(table.caption)}</caption>"
    yield "<thead><tr>"
    for place, cell in enumerate(table.head):
        yield f"<th{_class(place, table)}>{shown(cell)}</th>"
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield "<tr>"
        for place, cell in enumerate(row):
            head = shown(table.head[place])
            yield f'<td{_class(place, table)} data-head="{head}">{shown(cell)}</td>'
        yield "</tr>"
    yield "</tbody></table></div>"


def _class(place: int, table: Table) -> str:
    return ' class="n"' if place in table.numbers else ""


def _lines(listing: Listing) -> Iterator[str]:
    for line in listing.text.rstrip("\n").split("\n"):
        mark = {"+": "ins", "-": "del"}.get(line[:1]) if listing.kind == "diff" else None
        yield f"<{mark}>{shown(line)}</{mark}>" if mark else f"{shown(line)}\n"
