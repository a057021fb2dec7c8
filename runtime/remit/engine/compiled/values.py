"""Cedar's values at run time, and the operations whose operands' types are known only then.

Two forms. A *raw* value is the request's plain JSON after the ingress check of its declared type.
A *value* is what Cedar calculates with:

- Bool, Long, String: `bool`, `int`, `str` of exactly these classes, the same in both forms;
- entity: the tuple (type, id); extension: a class of `remit.engine.compiled.extensions`;
- record: `dict` of values; set: `frozenset` of keys, where `key` is the hashable form of a value.

INVARIANT (typed equality): Python's `True == 1` holds and Cedar's does not, so values of unknown types are
compared by class first, and sets hold keys in which no two types meet.
Whatever Cedar calls an error raises `PolicyErrs`; what it says is the reference engine's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, cast

from remit.engine.compiled.extensions import EXTENSION_TYPES, Datetime, Duration, Ip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONG_MIN: Final = -(2**63)
LONG_MAX: Final = 2**63 - 1

Uid = tuple[str, str]
"""An entity's fully qualified type and its id."""

Value = object
Table = dict[Uid, dict[str, object]]
"""Raw attributes of the entities of a request."""

Lifts = dict[str, dict[str, "Callable[[object], Value]"]]
"""By entity type and attribute: from raw to value."""


class PolicyErrs(ValueError):  # noqa: N818  # not a fault of the program: Cedar's own notion of a policy that errors
    """The condition of a policy cannot be evaluated on this request."""


class Missing:
    """The class of `MISSING`."""

    __slots__ = ()


MISSING: Final = Missing()
"""Stands where a member is not given; JSON's null is another thing."""


class _BoolKey:
    __slots__ = ()


class RecordKey(tuple[frozenset[tuple[str, object]]]):
    """The key of a record; a class of its own, so that it is never taken for an entity."""

    __slots__ = ()


class ExtensionKey(tuple[type, int]):
    """The key of a decimal, datetime or duration."""

    __slots__ = ()


_TRUE, _FALSE = _BoolKey(), _BoolKey()
_PLAIN = frozenset({str, int, tuple, frozenset, Ip})
_ORDERED = frozenset({int, Datetime, Duration})


def key(value: Value) -> object:
    """Return a hashable that equals another value's key exactly where Cedar's `==` holds."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is dict:
        return RecordKey((frozenset((name, key(v)) for name, v in cast("dict[str, Value]", value).items()),))
    return ExtensionKey((kind, int(cast("int", value))))


def unkeyed(found: object) -> Value:
    """Return the value whose key this is; the inverse of `key`."""
    match found:
        case _BoolKey():
            return found is _TRUE
        case RecordKey():
            return {name: unkeyed(member) for name, member in found[0]}
        case ExtensionKey():
            kind, number = found
            return kind(number)
        case _:
            return found


def fails() -> NoReturn:
    """Raise Cedar's error."""
    raise PolicyErrs


def equal(left: Value, right: Value) -> bool:
    """Return Cedar's `==`, which is defined for all values and false between types."""
    kind = type(left)
    if kind is not type(right):
        return False
    return key(left) == key(right) if kind is dict else left == right


def truth(value: Value) -> bool:
    """Return a Bool."""
    if type(value) is not bool:
        raise PolicyErrs
    return value


def ranged(value: int) -> int:
    """Return the result of arithmetic if it is a Long."""
    if LONG_MIN <= value <= LONG_MAX:
        return value
    raise PolicyErrs


def negated(value: Value) -> int:
    """Return `-value`."""
    if type(value) is not int:
        raise PolicyErrs
    return ranged(-value)


def _longs(left: Value, right: Value) -> tuple[int, int]:
    if type(left) is int and type(right) is int:
        return left, right
    raise PolicyErrs


def added(left: Value, right: Value) -> int:
    """Return `left + right`."""
    one, other = _longs(left, right)
    return ranged(one + other)


def subtracted(left: Value, right: Value) -> int:
    """Return `left - right`."""
    one, other = _longs(left, right)
    return ranged(one - other)


def multiplied(left: Value, right: Value) -> int:
    """Return `left * right`."""
    one, other = _longs(left, right)
    return ranged(one * other)


def _ordered(left: Value, right: Value) -> tuple[int, int]:
    kind = type(left)
    if kind is type(right) and kind in _ORDERED:
        return cast("int", left), cast("int", right)
    raise PolicyErrs


def less(left: Value, right: Value) -> bool:
    """Return `left < right`."""
    one, other = _ordered(left, right)
    return one < other


def less_eq(left: Value, right: Value) -> bool:
    """Return `left <= right`."""
    one, other = _ordered(left, right)
    return one <= other


def greater(left: Value, right: Value) -> bool:
    """Return `left > right`."""
    one, other = _ordered(left, right)
    return one > other


def greater_eq(left: Value, right: Value) -> bool:
    """Return `left >= right`."""
    one, other = _ordered(left, right)
    return one >= other


def _set(value: Value) -> frozenset[object]:
    if type(value) is frozenset:
        return cast("frozenset[object]", value)
    raise PolicyErrs


def contains(left: Value, right: Value) -> bool:
    """Return `left.contains(right)`."""
    return key(right) in _set(left)


def contains_all(left: Value, right: Value) -> bool:
    """Return `left.containsAll(right)`."""
    return _set(left) >= _set(right)


def contains_any(left: Value, right: Value) -> bool:
    """Return `left.containsAny(right)`."""
    return not _set(left).isdisjoint(_set(right))


def is_empty(value: Value) -> bool:
    """Return `value.isEmpty()`."""
    return not _set(value)


def text(value: Value) -> str:
    """Return a String."""
    if type(value) is not str:
        raise PolicyErrs
    return value


def _entity(value: Value) -> Uid:
    if type(value) is tuple:
        return cast("Uid", value)
    raise PolicyErrs


def is_within(left: Value, right: Value, above: Mapping[Uid, frozenset[Uid]]) -> bool:
    """Return `left in right` for an entity or a set of entities.

    Args:
        left: an entity.
        right: what it may be in; a set is checked whole before any element counts.
        above: all ancestors, by entity.
    """
    uid = _entity(left)
    if type(right) is frozenset:
        wanted = cast("frozenset[Uid]", right)
        for element in wanted:
            _entity(element)
        return uid in wanted or not wanted.isdisjoint(above.get(uid, _NO_UIDS))
    target = _entity(right)
    return uid == target or target in above.get(uid, _NO_UIDS)


_NO_UIDS: frozenset[Uid] = frozenset()


def is_of_type(value: Value, kind: str) -> bool:
    """Return `value is kind`."""
    return _entity(value)[0] == kind


def has_attribute(value: Value, name: str, table: Table) -> bool:
    """Return `value has name`; false for an entity that is not there."""
    if type(value) is dict:
        return name in value
    return name in table.get(_entity(value), _NO_ATTRIBUTES)


_NO_ATTRIBUTES: dict[str, object] = {}


def attribute(value: Value, name: str, table: Table, lifts: Lifts) -> Value:
    """Return `value.name`."""
    if type(value) is dict:
        members = cast("dict[str, Value]", value)
        if name in members:
            return members[name]
        raise PolicyErrs
    uid = _entity(value)
    attributes = table.get(uid)
    if attributes is None or name not in attributes:
        raise PolicyErrs
    return lifts[uid[0]][name](attributes[name])


def has_tag(value: Value, tag: Value) -> bool:
    """Return `value.hasTag(tag)`: requests carry no tags."""
    _entity(value)
    text(tag)
    return False


def extension(value: Value, kind: type) -> int:
    """Return a decimal, datetime or duration."""
    if type(value) is not kind:
        raise PolicyErrs
    return cast("int", value)


assert not EXTENSION_TYPES & _PLAIN - {Ip}
