"""How long and until when: time limits as authors write them, and instants as records hold them.

A time limit is written as Cedar writes a duration, `1d12h` or `90m`; an instant is RFC 3339 UTC text with
milliseconds, as a clock gives it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_LIMIT = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
MAX_LIMIT_MS = 366 * _UNITS_MS["d"]
"""The longest time limit: a year, whichever it is."""


def limit_ms(text: str) -> int:
    """Return a time limit in milliseconds.

    Raises:
        ValueError: it is no duration such as `1d12h`, or not longer than nothing and at most 366 days.
    """
    match = _LIMIT.fullmatch(text) if len(text) <= 100 else None  # noqa: PLR2004  # more than five numbers and units take
    if match is None:
        raise ValueError("not a duration such as `2h` or `1d12h`")
    total = sum(
        int(count or 0) * unit for count, unit in zip(match.groups(), _UNITS_MS.values(), strict=True)
    )
    if not 0 < total <= MAX_LIMIT_MS:
        raise ValueError("not between `1ms` and `366d`")
    return total


def limit_text(value_ms: int) -> str:
    """Return a time limit as its shortest duration text, such as `1d12h`.

    Args:
        value_ms: more than 0.
    """
    parts: list[str] = []
    for unit, size in _UNITS_MS.items():
        count, value_ms = divmod(value_ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def instant_after(at: str, wait_ms: int) -> str:
    """Return the instant that lies `wait_ms` after `at`.

    Raises:
        ValueError: `at` is no instant, or the result lies beyond the year 9999.
    """
    try:
        moved = _moment(at) + timedelta(milliseconds=wait_ms)
    except OverflowError as error:
        raise ValueError(f"`{at}` is too late for a time limit") from error
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_reached(until: str, now: str) -> bool:
    """Whether `now` is `until` or later; what has no end (an empty `until`) is never reached.

    Raises:
        ValueError: one of them is no instant.
    """
    return bool(until) and _moment(now) >= _moment(until)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"`{text}` has no time zone")
    return moment.astimezone(UTC)
