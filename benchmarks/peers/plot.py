"""The medians over the number of rules as one SVG picture, both scales logarithmic."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peers.findings import Findings

_WIDTH, _HEIGHT = 900, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 300, 40, 60
_COLOURS = (
    "#777777",
    "#0b6e4f",
    "#2a9d8f",
    "#1d3557",
    "#457b9d",
    "#8ecae6",
    "#e76f51",
    "#f4a261",
    "#9b5de5",
    "#d62828",
    "#f77f00",
    "#b5838d",
)
_STYLE = 'font-family="sans-serif" font-size="12" role="img"'
_LABEL_GAP = 16.0


def draw(findings: Findings) -> str:
    """Draw what was measured."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for found in findings.measured:
        lines.setdefault(found.entry.title, []).append((found.size, found.samples.p50_us()))
    values = [value for points in lines.values() for _, value in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(min(findings.sizes)), math.log10(max(findings.sizes))

    def x(size: float) -> float:
        share = 0.5 if last == first else (math.log10(size) - first) / (last - first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        share = 0.5 if high == low else (math.log10(value) - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_STYLE}>',
        "<title>Median CPU time of a decision by number of rules</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 22, "CPU µs per decision, median; both scales logarithmic; lower is better"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 16, "rules", anchor="middle"),
    ]
    for power in range(low, high + 1):
        at = y(10.0**power)
        end = _WIDTH - _RIGHT
        parts.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{end}" y2="{at:.1f}" stroke="#dddddd"/>')
        parts.append(_text(_LEFT - 8, at + 4, f"{10.0**power:,g}", anchor="end"))
    under = _HEIGHT - _BOTTOM + 20
    parts += [_text(x(size), under, f"{size:,}", anchor="middle") for size in findings.sizes]
    labels: list[tuple[float, str, str]] = []
    for number, (title, points) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        width = 3 if title.startswith("Remit") else 1.5
        path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        parts += [
            f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>'
            for size, value in points
        ]
        labels.append((y(points[-1][1]), title, colour))
    below = -math.inf
    for at, title, colour in sorted(labels):
        below = max(at, below + _LABEL_GAP)
        parts.append(_text(_WIDTH - _RIGHT + 12, below + 4, title, colour=colour))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222222") -> str:
    plain = escape(text.replace("`", ""))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{plain}</text>'
