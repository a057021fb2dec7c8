"""The quick way to RFC 8785 and the library that is the definition give the same bytes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from remit.document.values import (
    MAX_DEPTH,
    canonical,
    canonical_bytes,
    canonical_with_first,
    is_plain,
    plain_bytes,
    unshared,
)

floats = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
close_names = st.sampled_from(
    ["", "a", "é", "€", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0001f600", "a\ue000"]
)
odd_texts = st.sampled_from(
    ['a":1.5', "[1.5,null]", "12:30.5", ",n", '":n', "{[{[", "\\", "\x7f\x1f\b", "a,1e5"]
)
leaves = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | floats | names | odd_texts
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | close_names, inner, max_size=5),
)


@given(floats | st.integers(1, 10**17).map(lambda n: n / 1e4) | st.floats(1e-5, 1e-3) | st.floats(1e15, 1e17))
@example(1e-4)
@example(9.999999999999999e-5)
@example(1e16)
@example(9007199254740992.5)
@example(0.1 + 0.2)
@example(-0.0)
@example(5e-324)
def test_every_float_has_the_bytes_of_the_defining_library(number: float) -> None:
    assert canonical_bytes(number) == rfc8785.dumps(number)


@given(st.dictionaries(names | close_names, st.integers(0, 9), max_size=8))
def test_members_stand_in_the_order_of_utf_16(value: dict[str, Any]) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)


@given(trees)
def test_what_is_called_plain_is_written_as_the_defining_library_does(value: Any) -> None:
    assert plain_bytes(value) == (rfc8785.dumps(value) if is_plain(value) else None)
    assert plain_bytes(value, exact=True) == (rfc8785.dumps(value) if is_plain(value, exact=True) else None)
    assert canonical_bytes(value) == rfc8785.dumps(value)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int = 1


@pytest.mark.parametrize(
    "odd",
    [
        *(1.0, 0.5e-7, 2**53, -(2**63), 2**64, math.nan, -math.inf, -0.0),
        *(
            (1,),
            (),
            {1: 2},
            {None: 1},
            {True: 1},
            b"x",
            bytearray(b"x"),
            {"x"},
            object(),
            Colour.RED,
            Point(),
        ),
        *(uuid.UUID(int=1), dt.datetime(2026, 1, 1), dt.date(2026, 1, 1), decimal.Decimal(1)),  # noqa: DTZ001  # no time is meant
        *(orjson.Fragment(b"1"), {"\U00010000": 1}),
    ],
    ids=lambda odd: type(odd).__name__,
)
@pytest.mark.parametrize(
    "around", [lambda odd: odd, lambda odd: {"a": odd}, lambda odd: [1, {"b": ["c", odd]}]]
)
def test_what_is_not_plain_is_not_written_as_if_it_were(odd: Any, around: Any) -> None:
    assert plain_bytes(around(odd)) is None


@pytest.mark.parametrize("around", [lambda text: text, lambda text: {"a": text}, lambda text: {text: 1}])
def test_half_a_character_is_an_error(around: Any) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        plain_bytes(around("a\ud800"))


@pytest.mark.parametrize("value", [{"a": 0.5}, {"ключ": 1}, {"\uffff": [1.25]}, ["x", None, True, 2**53 - 1]])
def test_ordinary_values_take_the_quick_way(value: Any) -> None:
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [1.0, 1e16, 1e-5, 0.0, math.nan, math.inf, 2**53, {"\U00010000": 1}, {1: 2}, (1,), {"a": object()}],
)
def test_everything_else_takes_the_slow_way(value: Any) -> None:
    assert not is_plain(value)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


@pytest.mark.parametrize("value", [Text("x"), Number(1), {Text("x"): 1}, [Number(2)]])
def test_a_type_of_ones_own_never_takes_the_quick_way(value: Any) -> None:
    assert not is_plain(value)


@pytest.mark.parametrize("value", [1.5, None, [None], {"a": [0.5]}])
def test_floats_and_nulls_are_refused_where_the_exact_form_is_asked(value: Any) -> None:
    assert is_plain(value)
    assert not is_plain(value, exact=True)


def test_a_value_that_is_nested_too_deep_is_an_error_and_not_a_crash() -> None:
    value: Any = 0
    for _ in range(MAX_DEPTH + 5):
        value = [value]
    with pytest.raises(ValueError, match="nested deeper than 64 levels"):
        canonical_bytes(value)


def test_a_canonical_form_does_not_follow_later_changes() -> None:
    value: dict[str, Any] = {"a": [1]}
    fixed = canonical(value)
    value["a"].append(2)
    assert json.loads(fixed.data) == {"a": [1]}


@given(trees, st.dictionaries(st.sampled_from(["b", "context", "é", "\U0001f600"]), trees, min_size=1))
def test_an_object_with_a_member_written_before_has_the_bytes_of_the_whole(
    first: Any, others: dict[str, Any]
) -> None:
    written = canonical_with_first("arguments", canonical_bytes(first), others)
    assert rfc8785.dumps({"arguments": first, **others}) == written.data


@pytest.mark.parametrize(("name", "others"), [("b", {"a": 1}), ("b", {"b": 1}), ("b", {}), ('"', {"a": 1})])
def test_a_member_that_does_not_come_first_is_refused(name: str, others: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not come first"):
        canonical_with_first(name, b"1", others)


@given(trees)
def test_a_copy_is_equal_and_shares_nothing_that_can_be_changed(value: Any) -> None:
    copy = unshared(value)
    assert canonical_bytes(copy) == canonical_bytes(value)
    holders = [holder for holder in _holders(value) if holder]
    assert not {id(holder) for holder in _holders(copy)} & {id(holder) for holder in holders}


@pytest.mark.parametrize("odd", [(1, [2]), Colour.RED, math.nan, 2**70, {1: [2]}, "\ud800", object()])
def test_what_is_no_json_is_copied_as_it_is(odd: Any) -> None:
    value = {"a": [odd], "b": {}}
    copy: Any = unshared(value)
    assert copy["a"][0] is odd or copy == value
    assert copy["a"] is not value["a"]
    assert copy["b"] is not value["b"]


def _holders(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(inner for member in value.values() for inner in _holders(member))]
    if isinstance(value, list):
        return [value, *(inner for item in value for inner in _holders(item))]
    return []
