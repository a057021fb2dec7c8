"""Values as people and programs read them: Cedar source text, and JSON as a request would hold it."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from remit.engine.compiled.extensions import Datetime, Decimal, Duration, Ip
from remit.engine.compiled.values import unkeyed
from remit.engine.request import NAMESPACE
from remit.engine.trace.source import record_text, string_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonValue
    from remit.engine.compiled.values import Uid, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES = 10_000
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_PREFIX = f"{NAMESPACE}::"
_ADDRESSES: Mapping[int, tuple[type[ipaddress.IPv4Address | ipaddress.IPv6Address], int]] = {
    4: (ipaddress.IPv4Address, 32),
    6: (ipaddress.IPv6Address, 128),
}
_KINDS: Mapping[type, str] = {
    bool: "a Bool",
    int: "a Long",
    str: "a String",
    tuple: "an entity",
    dict: "a record",
    frozenset: "a set",
    Decimal: "a decimal",
    Datetime: "a datetime",
    Duration: "a duration",
    Ip: "an IP address",
}


def kind_text(value: Value) -> str:
    """Name the type of a value with its article."""
    return _KINDS[type(value)]


def value_text(value: Value) -> str:
    """Return a value as the Cedar source that evaluates to it."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal() | Datetime() | Duration() | Ip():
            return extension_text(value)
        case int():
            return str(value)
        case str():
            return string_text(value)
        case tuple():
            kind, name = cast("Uid", value)
            return f"{kind}::{string_text(name)}"
        case frozenset():
            keys = cast("frozenset[object]", value)
            return f"[{', '.join(sorted(value_text(unkeyed(key)) for key in keys))}]"
        case _:
            members = cast("dict[str, Value]", value)
            return record_text({name: value_text(member) for name, member in sorted(members.items())})


def value_json(value: Value) -> JsonValue:
    """Return a value as JSON in the form that requests have; sets are sorted by their text."""
    match value:
        case bool() | str():
            return value
        case Decimal():
            return float(decimal_text(value))
        case Datetime():
            return datetime_text(value)
        case Duration():
            return duration_text(value)
        case Ip():
            return ip_text(value)
        case int():
            return value
        case tuple():
            kind, name = cast("Uid", value)
            return {"type": kind.removeprefix(_PREFIX), "id": name}
        case frozenset():
            members = [unkeyed(key) for key in cast("frozenset[object]", value)]
            return [value_json(member) for member in sorted(members, key=value_text)]
        case _:
            record = cast("dict[str, Value]", value)
            return {name: value_json(member) for name, member in sorted(record.items())}


def extension_text(value: Decimal | Datetime | Duration | Ip) -> str:
    """Return the Cedar source of a value of an extension type."""
    match value:
        case Decimal():
            return f'decimal("{decimal_text(value)}")'
        case Datetime():
            return f'datetime("{datetime_text(value)}")'
        case Duration():
            return f'duration("{duration_text(value)}")'
        case Ip():
            return f'ip("{ip_text(value)}")'


def decimal_text(value: int) -> str:
    """Return a count of ten-thousandths as a decimal with one to four places."""
    whole, places = divmod(abs(value), _PLACES)
    return f"{'-' if value < 0 else ''}{whole}.{f'{places:04}'.rstrip('0') or '0'}"


def datetime_text(value: int) -> str:
    """Return milliseconds since 1970 as RFC 3339 text; years beyond 1 to 9999 as that number."""
    try:
        moment = _EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        return f"1970-01-01T00:00:00.000Z{value:+}ms"
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def duration_text(value: int) -> str:
    """Return milliseconds as Cedar's duration text, such as `1h30m`."""
    rest, parts = abs(value), list[str]()
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if value < 0 else "") + "".join(parts) if parts else "0ms"


def ip_text(value: Ip) -> str:
    """Return an IP address, with its prefix where it is a range."""
    kind, bits = _ADDRESSES[value.version]
    address = str(kind(value.address))
    return address if value.prefix == bits else f"{address}/{value.prefix}"
