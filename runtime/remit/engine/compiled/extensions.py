"""Cedar's extension types: decimal, datetime, duration and IP address.

`parse_…` read what stands in a policy, by Cedar's own grammar, and raise `ValueError`.
`read_…` read what stands in a request, by the rules of `remit.engine.scalars`, and raise `ValueError` too.

Sources: Cedar's documentation of the extension functions; the edges (signs, overflow, prefixes) were
established by asking cedarpy and are kept by the differential test.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, date, datetime
from typing import NamedTuple

from remit.engine import scalars

_MIN, _MAX = -(2**63), 2**63 - 1
_DAY_MS = 86_400_000
_PLACES = 4
_UNIT = 10**_PLACES


class Decimal(int):
    """A decimal as a count of ten-thousandths."""

    __slots__ = ()


class Datetime(int):
    """A time as milliseconds since 1970, UTC."""

    __slots__ = ()


class Duration(int):
    """A duration in milliseconds."""

    __slots__ = ()


class Ip(NamedTuple):
    """An IP address with its prefix.

    Args:
        version: 4 or 6.
        address: as a number, host bits kept.
        prefix: length of the network part.
    """

    version: int
    address: int
    prefix: int


EXTENSION_TYPES: frozenset[type] = frozenset({Decimal, Datetime, Duration, Ip})


def _checked(value: int, what: str) -> int:
    if _MIN <= value <= _MAX:
        return value
    raise ValueError(f"{what} beyond 64 bits")


_DECIMAL = re.compile(r"(-?)([0-9]+)\.([0-9]{1,4})")


def parse_decimal(text: str) -> Decimal:
    """Read Cedar's `decimal("1.23")`."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("not a decimal")
    sign, whole, places = match.groups()
    if len(whole.lstrip("0")) > 19:  # noqa: PLR2004  # digits of 2**63; keeps `int` from reading a megabyte
        raise ValueError("a decimal beyond 64 bits")
    value = int(whole) * _UNIT + int(places.ljust(_PLACES, "0"))
    return Decimal(_checked(-value if sign else value, "a decimal"))


def read_decimal(value: object) -> Decimal:
    """Read a number of a request."""
    if type(value) is int:
        scaled = value * _UNIT
        if -_WHOLE_LIMIT <= value <= _WHOLE_LIMIT:
            return Decimal(scaled)
    elif type(value) is float:
        return parse_decimal(scalars.decimal_text(value))
    raise ValueError("not a decimal")


_WHOLE_LIMIT = _MAX // _UNIT

_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}))?(?:Z|([+-])([0-9]{2})([0-9]{2})))?"
)
_DAYS_BEFORE_YEAR_1 = 366
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def parse_datetime(text: str) -> Datetime:
    """Read Cedar's `datetime("2026-01-01T00:00:00Z")`; years are 0000 to 9999."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        raise ValueError("not a datetime")
    year, month, day, hour, minute, second, milli, sign, offset_hour, offset_minute = match.groups("0")
    days = _days(int(year), int(month), int(day))
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:  # noqa: PLR2004  # hours and minutes of a clock
        raise ValueError("no such time")
    if int(offset_hour) > 23 or int(offset_minute) > 59:  # noqa: PLR2004  # see above
        raise ValueError("no such offset")
    seconds = (int(hour) * 60 + int(minute)) * 60 + int(second)
    offset = (int(offset_hour) * 60 + int(offset_minute)) * 60
    seconds -= -offset if sign == "-" else offset
    return Datetime(days * _DAY_MS + seconds * 1000 + int(milli))


def _days(year: int, month: int, day: int) -> int:
    if year:
        return date(year, month, day).toordinal() - _EPOCH_DAY
    # Python's calendar begins with year 1; year 0 is a leap year of the same calendar, like 2000.
    return (
        date(2000, month, day).toordinal()
        - date(2000, 1, 1).toordinal()
        - _DAYS_BEFORE_YEAR_1
        - _EPOCH_DAY
        + 1
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = len("2026-01-01T00:00:00.000Z")


def read_datetime(value: object) -> Datetime:
    """Read RFC 3339 text of a request."""
    if type(value) is not str:
        raise ValueError("not a datetime")
    # The form that `context.now` has; the marks stand where they stand in no other form of this length,
    # and year 0, hour 24 and second 60 go the long way.
    if (
        len(value) == _LENGTH
        and value.isascii()
        and value[10] == "T"
        and value[19] == "."
        and value[23] == "Z"
        and value[11:13] < "24"
        and value[4] == value[7] == "-"
        and value[13] == value[16] == ":"
    ):
        try:
            since = datetime.fromisoformat(value) - _EPOCH
        except ValueError:
            pass
        else:
            return Datetime(since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000)
    return parse_datetime(scalars.datetime_text(value))


_DURATION = re.compile(
    r"(-?)(?=[0-9])(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m(?!s))?(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)
_UNITS_MS = (_DAY_MS, 3_600_000, 60_000, 1_000, 1)


def parse_duration(text: str) -> Duration:
    """Read Cedar's `duration("1d2h3m4s5ms")`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("not a duration")
    sign, *counts = match.groups("0")
    if any(len(count.lstrip("0")) > 19 for count in counts):  # noqa: PLR2004  # see `parse_decimal`
        raise ValueError("a duration beyond 64 bits")
    total = sum(int(count) * unit for count, unit in zip(counts, _UNITS_MS, strict=True))
    return Duration(_checked(-total if sign else total, "a duration"))


def read_duration(value: object) -> Duration:
    """Read duration text of a request."""
    if type(value) is not str:
        raise ValueError("not a duration")
    return parse_duration(scalars.duration_text(value))


_IP_BITS = {4: 32, 6: 128}
_IP_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}")


def parse_ip(text: str) -> Ip:
    """Read Cedar's `ip("192.0.2.0/24")`."""
    address, slash, prefix = text.partition("/")
    if not text.isascii() or "%" in address or ("." in address and ":" in address):
        raise ValueError("not an IP address")
    parsed = ipaddress.ip_address(address)
    bits = _IP_BITS[parsed.version]
    if not slash:
        return Ip(parsed.version, int(parsed), bits)
    if not _IP_PREFIX.fullmatch(prefix) or int(prefix) > bits:
        raise ValueError("not an IP prefix")
    return Ip(parsed.version, int(parsed), int(prefix))


def read_ip(value: object) -> Ip:
    """Read IP text of a request."""
    if type(value) is not str:
        raise ValueError("not an IP address")
    return parse_ip(scalars.ip_text(value))


def is_loopback(ip: Ip) -> bool:
    """Return whether all of a range is 127.0.0.0/8 or ::1."""
    if ip.version == 4:  # noqa: PLR2004  # IPv4
        return ip.address >> 24 == 127 and ip.prefix >= 8  # noqa: PLR2004  # 127.0.0.0/8
    return ip.address == 1 and ip.prefix == 128  # noqa: PLR2004  # ::1/128


def is_multicast(ip: Ip) -> bool:
    """Return whether all of a range is 224.0.0.0/4 or ff00::/8."""
    if ip.version == 4:  # noqa: PLR2004  # IPv4
        return ip.address >> 28 == 14 and ip.prefix >= 4  # noqa: PLR2004  # 224.0.0.0/4
    return ip.address >> 120 == 255 and ip.prefix >= 8  # noqa: PLR2004  # ff00::/8


def is_in_range(ip: Ip, within: Ip) -> bool:
    """Return whether all of `ip` lies in `within`."""
    if ip.version != within.version or ip.prefix < within.prefix:
        return False
    shift = _IP_BITS[ip.version] - within.prefix
    return ip.address >> shift == within.address >> shift


def offset(time: int, by: int) -> Datetime:
    """Return a time moved by a duration."""
    return Datetime(_checked(time + by, "a datetime"))


def duration_since(time: int, since: int) -> Duration:
    """Return the time between two times."""
    return Duration(_checked(time - since, "a duration"))


def to_date(time: int) -> Datetime:
    """Return the midnight (UTC) that a time's day begins with."""
    return Datetime(_checked(time - time % _DAY_MS, "a datetime"))


def to_time(time: int) -> Duration:
    """Return the time since that midnight."""
    return Duration(time % _DAY_MS)


def whole_units(duration: int, unit_ms: int) -> int:
    """Return how many whole units a duration holds, cut towards zero."""
    whole = abs(duration) // unit_ms
    return -whole if duration < 0 else whole
