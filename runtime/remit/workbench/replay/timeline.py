"""Decisions and flips over time, with the spans in which nothing was decided."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from remit.workbench.report.model import Columns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

DAYS_BY_HOUR = 40
"""Days that are shown hour by hour; more are shown day by day."""

MAX_SPANS = 20_000
"""Spans that are drawn one by one, empty ones included; a clock that was far off makes more, and then only
spans with decisions are drawn."""

_DAY = len("2026-01-01")


def over_time(hours: Mapping[str, list[int]]) -> Columns:
    """Return decisions and flips as columns over time.

    Args:
        hours: replayed decisions and flips by hour in UTC (`2026-01-01T09`).
    """
    days = len({hour[:_DAY] for hour in hours})
    by_day = days > DAYS_BY_HOUR or _apart(hours) > timedelta(days=DAYS_BY_HOUR)
    length = _DAY if by_day else _DAY + len("T09")
    spans: dict[str, list[int]] = {}
    for hour, (decided, flips) in sorted(hours.items()):
        span = spans.setdefault(hour[:length], [0, 0])
        span[0] += decided
        span[1] += flips
    step = timedelta(days=1) if by_day else timedelta(hours=1)
    return Columns(
        caption=f"Decisions and flips by {'day' if by_day else 'hour'} (UTC)",
        series=("decisions", "flips"),
        rows=tuple(
            (label.replace("T", " ") + ("" if by_day else ":00"), (decided, flips))
            for label, (decided, flips) in _filled(spans, step, length)
        ),
        empty="no decision was replayed",
    )


def _apart(spans: Collection[str]) -> timedelta:
    """Return how far the first and the last span are apart; none where a record has no real time."""
    try:
        return datetime.fromisoformat(max(spans)) - datetime.fromisoformat(min(spans))
    except ValueError:
        return timedelta()


def _filled(spans: Mapping[str, list[int]], step: timedelta, length: int) -> list[tuple[str, list[int]]]:
    """Put in the spans in which nothing was decided, so that a length of time is a length on paper."""
    steps = _apart(spans) // step
    if not 0 < steps < MAX_SPANS:
        return sorted(spans.items())
    first = datetime.fromisoformat(min(spans))
    labels = {(first + number * step).isoformat()[:length] for number in range(steps + 1)} | spans.keys()
    return [(label, spans.get(label, [0, 0])) for label in sorted(labels)]
