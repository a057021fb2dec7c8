"""Plain JSON scalars as Cedar's: exact or not at all.

Each function returns Cedar's text for a value, or raises `ValueError` with one readable clause that says
why not.
"""

from __future__ import annotations

import ipaddress
import math
import re
from decimal import Decimal

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
_DECIMAL_LIMIT = Decimal(LONG_MAX).scaleb(-4)
_DECIMAL_FLOOR = Decimal(LONG_MIN).scaleb(-4)
_DECIMAL_PLACES = 4
_WHOLE_LIMIT = LONG_MAX // 10**_DECIMAL_PLACES
_MILLISECOND_DIGITS = 3

_DATETIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):?(\d{2})))?",
    re.ASCII,
)
_DURATION = re.compile(r"-?(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_DURATION_UNITS_MS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_IP_PREFIX = re.compile(r"0|[1-9]\d{0,2}", re.ASCII)
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def long_text(value: int) -> int:
    """Return an integer that fits into 64 bits."""
    if not LONG_MIN <= value <= LONG_MAX:
        raise ValueError("an integer beyond 64 bits")
    return value


def decimal_text(value: float) -> str:
    """Return a number as Cedar's decimal: up to four places, within 64 bits, never rounded.

    A float counts as the shortest decimal text that reads back as the same float, which is how JSON writes
    it.
    """
    if isinstance(value, int):
        if not -_WHOLE_LIMIT <= value <= _WHOLE_LIMIT:
            raise ValueError("a number beyond the range of a decimal, ±922337203685477.5807")
        return f"{value}.0"
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    exact = Decimal(repr(value))
    if not _DECIMAL_FLOOR <= exact <= _DECIMAL_LIMIT:
        raise ValueError("a number beyond the range of a decimal, ±922337203685477.5807")
    text = f"{exact:f}"
    whole, _, places = text.partition(".")
    places = places.rstrip("0")
    if len(places) > _DECIMAL_PLACES:
        raise ValueError("a decimal has at most four places, and nothing is rounded")
    return f"{whole}.{places or '0'}"


def datetime_text(value: str) -> str:
    """Return RFC 3339 text as Cedar's datetime; a date alone is midnight UTC.

    Cedar wants no fraction or exactly three digits, and offsets without a colon.
    """
    match = _DATETIME.fullmatch(value)
    if match is None:
        raise ValueError("not an RFC 3339 time such as `2026-01-01T00:00:00Z`")
    year, month, day, hour, minute, second, fraction, zulu, sign, offset_hour, offset_minute = match.groups()
    leap = int(year) % 4 == 0 and (int(year) % 100 != 0 or int(year) % 400 == 0)
    if not 1 <= int(month) <= 12:  # noqa: PLR2004  # months of a year
        raise ValueError("a month that no year has")
    if not 1 <= int(day) <= _DAYS[int(month) - 1] + (1 if leap and month == "02" else 0):
        raise ValueError("a day that its month does not have")
    if hour is None:
        return f"{year}-{month}-{day}"
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:  # noqa: PLR2004  # hours and minutes of a clock
        raise ValueError("a time that no day has")
    milliseconds = ""
    if fraction is not None:
        if fraction[_MILLISECOND_DIGITS:].strip("0"):
            raise ValueError("finer than a millisecond, and nothing is rounded")
        milliseconds = "." + fraction[:_MILLISECOND_DIGITS].ljust(_MILLISECOND_DIGITS, "0")
    if zulu:
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}{milliseconds}Z"
    if int(offset_hour) > 23 or int(offset_minute) > 59:  # noqa: PLR2004  # see above
        raise ValueError("an offset that no clock has")
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{milliseconds}{sign}{offset_hour}{offset_minute}"


def duration_text(value: str) -> str:
    """Return Cedar duration text such as `1d2h3m4s5ms`."""
    match = _DURATION.fullmatch(value)
    if match is None or len(value) > 100:  # noqa: PLR2004  # five 64-bit numbers with their units fit in 100 characters
        raise ValueError("not a duration such as `1h30m`")
    total = sum(
        int(count or 0) * unit for count, unit in zip(match.groups(), _DURATION_UNITS_MS, strict=True)
    )
    if total > LONG_MAX:
        raise ValueError("a duration beyond 64 bits of milliseconds")
    return value


def ip_text(value: str) -> str:
    """Return an IP address or range that Cedar accepts: no zone, no IPv4 inside IPv6."""
    address, slash, prefix = value.partition("/")
    wrong = "not an IP address or range such as `192.0.2.0/24`"
    if not value.isascii() or "%" in value or ("." in address and ":" in address):
        raise ValueError(wrong)
    if slash and not _IP_PREFIX.fullmatch(prefix):
        raise ValueError(wrong)
    try:
        ipaddress.ip_interface(value)
    except ValueError:
        raise ValueError(wrong) from None
    return value


def string_text(value: str) -> str:
    """Return a string that has a UTF-8 form."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("text with a lone surrogate") from None
    return value
