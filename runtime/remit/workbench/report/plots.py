"""Plots as HTML and SVG: bars and columns that keep their meaning without colour.

Rules
1. A series is told by colour and by pattern, and every number stands beside its bar: a reader who sees no
   colours, or a printer that has none, loses nothing.
2. Colours are Okabe and Ito's, which people with any colour vision tell apart.
3. Texts are HTML, never scaled with a drawing, so that they are read on a phone too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.workbench.report.escaping import shown
from remit.workbench.report.model import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.workbench.report.model import Bars, Columns

SERIES = 4
"""Series that have a pattern of their own."""

COLUMNS = 72
"""Columns in one chart; more spans of time are added up."""

_HEIGHT = 60

PLOT_CSS = """
figure{margin:1rem 0 1.6rem}figcaption{font-weight:600;margin-bottom:.4rem}
.key{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;list-style:none;padding:0;margin:.2rem 0 .6rem;
font-size:.9rem}
.key i{display:inline-block;width:1.1rem;height:.8rem;margin-right:.4rem;border:1px solid var(--ink)}
.s0{background:#0072B2}
.s1{background:repeating-linear-gradient(45deg,#E69F00 0 4px,#7a5400 4px 6px)}
.s2{background:repeating-linear-gradient(90deg,#009E73 0 5px,#fff 5px 7px)}
.s3{background:radial-gradient(#fff 1px,#D55E00 1.5px) 0 0/6px 6px}
.bars{display:grid;grid-template-columns:minmax(7rem,16rem) 1fr;gap:.15rem .8rem;align-items:center}
.bars .label{overflow-wrap:anywhere;font-size:.9rem;align-self:start;padding-top:.1rem}
.bar{display:flex;align-items:center;gap:.4rem;font-size:.8rem;line-height:1.25rem;min-width:0}
.bar b{font-weight:400;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar i{display:block;height:.8rem;min-width:1px;box-shadow:inset 0 0 0 1px rgba(0,0,0,.45)}
.rowgap{grid-column:1/-1;border-top:1px solid var(--line);height:0}
.columns svg{display:block;width:100%;height:5rem;border-bottom:1px solid var(--ink);background:var(--soft)}
.columns h4{margin:.6rem 0 .2rem;font-size:.9rem;font-weight:400}
.axis{display:flex;justify-content:space-between;gap:.5rem;font-size:.8rem;min-width:min(100%,18rem)}
@media(max-width:520px){.bars{grid-template-columns:1fr}.rowgap{margin:.2rem 0}}
@media print{figcaption,.key,h4,svg{break-after:avoid}.bars>div,.columns svg,.axis{break-inside:avoid}}
"""


def bars(plot: Bars) -> Iterator[str]:
    """Draw horizontal bars."""
    yield f"<figure><figcaption>{shown(plot.caption)}</figcaption>"
    if not plot.rows:
        yield f"<p>{shown(plot.empty)}</p></figure>"
        return
    yield from _key(plot.series)
    whole = plot.whole or max((max(values, default=0) for _, values in plot.rows), default=0) or 1
    yield '<div class="bars">'
    for place, (label, values) in enumerate(plot.rows):
        if place:
            yield '<div class="rowgap"></div>'
        yield f'<div class="label">{shown(label)}</div><div>'
        for series, value in enumerate(values):
            if not value and not plot.zeros:
                continue
            # Room for the number is kept to the right of a full bar.
            width = 82 * min(max(value / whole, 0), 1)
            yield (
                f'<div class="bar"><i class="s{series % SERIES}" style="width:{width:.2f}%"></i>'
                f"<b>{number(value)}{shown(plot.unit)}</b></div>"
            )
        yield "</div>"
    yield "</div></figure>"


def columns(plot: Columns) -> Iterator[str]:
    """Draw columns over time, a chart for each series."""
    yield f'<figure class="columns"><figcaption>{shown(plot.caption)}</figcaption>'
    if not plot.rows:
        yield f"<p>{shown(plot.empty)}</p></figure>"
        return
    rows = gathered(plot.rows)
    for series, name in enumerate(plot.series):
        yield from _chart(name, series, [(label, values[series]) for label, values in rows], _each(plot.rows))
    yield "</figure>"


def gathered(rows: Sequence[tuple[str, tuple[int, ...]]]) -> list[tuple[str, tuple[int, ...]]]:
    """Add up neighbouring spans until there are at most `COLUMNS`; a label is its first span's."""
    each = _each(rows)
    found: list[tuple[str, tuple[int, ...]]] = []
    for start in range(0, len(rows), each):
        together = rows[start : start + each]
        sums = tuple(sum(values) for values in zip(*(values for _, values in together), strict=True))
        found.append((together[0][0], sums))
    return found


def _each(rows: Sequence[object]) -> int:
    """Return how many spans are added up in one column."""
    return -(-len(rows) // COLUMNS)


def _chart(name: str, series: int, values: Sequence[tuple[str, int]], each: int) -> Iterator[str]:
    largest = max(value for _, value in values)
    total = sum(value for _, value in values)
    # A few spans are columns too, not walls.
    width = min(1000 / len(values), 60)
    share = width * len(values) / 10
    peak = next(label for label, value in values if value == largest)
    when = f"at {peak}" if each == 1 else f"in {each} spans from {peak} on"
    told = (
        f"{name}: {number(total)} in all, at most {number(largest)} {when}"
        if largest
        else f"{name}: none at all"
    )
    fill = f"fill-{series % SERIES}"
    yield f"<h4>{shown(told)}</h4>"
    yield (
        f'<svg viewBox="0 0 {width * len(values):.2f} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'style="width:{share:.2f}%" aria-label="{shown(told)}">'
    )
    for place, (label, value) in enumerate(values):
        if value:
            # What is there is seen, however small.
            height = max(_HEIGHT * 0.94 * value / largest, 1.2)
            yield (
                f'<rect class="{fill}" x="{place * width + width * 0.08:.2f}" y="{_HEIGHT - height:.2f}" '
                f'width="{width * 0.84:.2f}" height="{height:.2f}">'
                f"<title>{shown(label)}: {number(value)}</title></rect>"
            )
    yield "</svg>"
    ends = "".join(f"<span>{shown(label)}</span>" for label in dict.fromkeys((values[0][0], values[-1][0])))
    yield f'<div class="axis" style="width:{share:.2f}%">{ends}</div>'


def _key(series: Sequence[str]) -> Iterator[str]:
    if len(series) > 1:
        yield '<ul class="key">'
        for place, name in enumerate(series):
            yield f'<li><i class="s{place % SERIES}"></i>{shown(name)}</li>'
        yield "</ul>"
