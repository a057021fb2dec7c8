"""Cedar's extension functions as Python expressions over operands of known types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine.compiled.code import BOOL, DATETIME, DECIMAL, DURATION, IP, LONG, STRING, Order
from remit.engine.compiled.extensions import parse_datetime, parse_decimal, parse_duration, parse_ip
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from remit.engine.schema import Primitive


class ExtensionCall(Value, frozen=True, kw_only=True):
    """One extension function.

    Args:
        text: the expression, with `{0}` and `{1}` for the operands.
        parameters: their types.
        result: the result's type.
        errs: it can err though the types are right.
        reads: of a constructor, what it does at load if the operand is a constant.
        order: of a comparison, which one.
    """

    text: str
    parameters: tuple[Primitive, ...]
    result: Primitive
    errs: bool = False
    reads: Callable[[str], object] | None = None
    order: Order | None = None


CLASSES: Mapping[str, str] = {
    "decimal": "Decimal",
    "datetime": "Datetime",
    "duration": "Duration",
    "ipaddr": "Ip",
}
"""Name of the class of each extension type's values."""


def _constructor(name: str, result: Primitive, reads: Callable[[str], object]) -> ExtensionCall:
    return ExtensionCall(text=f"{name}({{0}})", parameters=(STRING,), result=result, errs=True, reads=reads)


def _method(text: str, result: Primitive, *parameters: Primitive, errs: bool = False) -> ExtensionCall:
    return ExtensionCall(text=text, parameters=parameters, result=result, errs=errs)


def _order(order: Order) -> ExtensionCall:
    text = f"({{0}} {order} {{1}})"
    return ExtensionCall(text=text, parameters=(DECIMAL, DECIMAL), result=BOOL, order=order)


EXTENSION_CALLS: Mapping[str, ExtensionCall] = {
    "decimal": _constructor("parse_decimal", DECIMAL, parse_decimal),
    "datetime": _constructor("parse_datetime", DATETIME, parse_datetime),
    "duration": _constructor("parse_duration", DURATION, parse_duration),
    "ip": _constructor("parse_ip", IP, parse_ip),
    "is_ipv4": _method("({0}.version == 4)", BOOL, IP),
    "is_ipv6": _method("({0}.version == 6)", BOOL, IP),
    "is_loopback": _method("is_loopback({0})", BOOL, IP),
    "is_multicast": _method("is_multicast({0})", BOOL, IP),
    "is_in_range": _method("is_in_range({0}, {1})", BOOL, IP, IP),
    "offset": _method("offset({0}, {1})", DATETIME, DATETIME, DURATION, errs=True),
    "duration_since": _method("duration_since({0}, {1})", DURATION, DATETIME, DATETIME, errs=True),
    "to_date": _method("to_date({0})", DATETIME, DATETIME, errs=True),
    "to_time": _method("to_time({0})", DURATION, DATETIME),
    "to_milliseconds": _method("int({0})", LONG, DURATION),
    "to_seconds": _method("whole_units({0}, 1000)", LONG, DURATION),
    "to_minutes": _method("whole_units({0}, 60000)", LONG, DURATION),
    "to_hours": _method("whole_units({0}, 3600000)", LONG, DURATION),
    "to_days": _method("whole_units({0}, 86400000)", LONG, DURATION),
    "decimal_less_than": _order("<"),
    "decimal_less_eq": _order("<="),
    "decimal_greater": _order(">"),
    "decimal_greater_eq": _order(">="),
}
"""By the name that cedarpy's syntax tree uses."""
