"""Strict JSON text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.document.json_text import MAX_BYTES, _quick, _Scanner, parse_json
from remit.document.values import JsonValue, canonical_bytes
from remit.errors import DocumentError

if TYPE_CHECKING:
    from pathlib import Path

BAD = {
    "duplicate": (b'{"a":1,\n "a":2}', "f.json:2:2: the member `a` occurs twice"),
    "escaped duplicate": (b'{"a":1,"\\u0061":2}', "occurs twice"),
    "nan": (b'{"a": NaN}', "f.json:1:7: `NaN` is no JSON number"),
    "minus infinity": (b"[-Infinity]", "`-Infinity` is no JSON number"),
    "overflow": (b"[1e400]", "is not a finite number"),
    "large integer": (b"[9007199254740992]", "lies beyond"),
    "large integral float": (b"[9007199254740993.0]", "lies beyond"),
    "very long integer": (b"1" * 10_000, "lies beyond"),
    "lone surrogate": (b'["\\ud800"]', "lone surrogate"),
    "reversed pair": (b'["\\udc00\\ud800"]', "lone surrogate"),
    "raw surrogate": (b'"\xed\xa0\x80"', "is not UTF-8"),
    "no utf-8": (b'{"a":\n"\xff"}', "f.json:2:2: byte 0xff is not UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "65 deep": (b"[" * 65 + b"]" * 65, "nested deeper than 64 levels"),
    "10,000 deep": (b"[" * 10_000, "nested deeper than 64 levels"),
    "10,000 deep objects": (b'{"a":' * 10_000, "nested deeper than 64 levels"),
    "control character": (b'"a\nb"', "control character (U+000A)"),
    "trailing data": (b"{} x", "expected the end of the text, found `x`"),
    "empty": (b"", "the text ends where a value is expected"),
    "trailing comma": (b"[1,]", "expected a value"),
    "leading zero": (b"[01]", "expected `,` or `]`"),
    "bad escape": (b'"\\x41"', "is no JSON escape"),
    "short escape": (b'"\\u12"', "four hexadecimal digits"),
    "open string": (b'{"a": "b', "the string is not closed"),
    "single quotes": (b"{'a': 1}", "member name in double quotes"),
    "comment": (b"{} // x", "expected the end of the text"),
    "other digits": ("[١]".encode(), "expected a value"),
    "no-break space": ("[\u00a01]".encode(), "expected a value"),
}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def scanned(text: str) -> tuple[JsonValue] | None:
    scanner = _Scanner(text, "")
    value = scanner.read()
    return None if scanner.faults else (value,)


@pytest.mark.parametrize("case", BAD)
def test_bad_text_is_one_clear_fault_with_its_place(case: str) -> None:
    data, message = BAD[case]
    with pytest.raises(DocumentError) as caught:
        parse_json(data, file="f.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("f.json:")


def test_every_readable_fault_is_listed_with_the_first_unreadable_one() -> None:
    with pytest.raises(DocumentError) as caught:
        parse_json(b'{"a":NaN,"a":1e999,"b":"\\ud800",\n"c":9007199254740993,"d" 1}', file="f")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [
        (1, 6),
        (1, 10),
        (1, 14),
        (1, 24),
        (2, 5),
        (2, 26),
    ]


def test_a_text_over_the_cap_is_refused_by_its_size() -> None:
    with pytest.raises(DocumentError, match="more than the 67108864 allowed"):
        parse_json(b'"' + b"x" * (100 * 1024 * 1024) + b'"')
    assert MAX_BYTES == 64 * 1024 * 1024


def test_integral_floats_become_integers_and_minus_zero_zero() -> None:
    value = parse_json(b"[1.0, -0, -0.0, 1e2, 1.5, 1e-400]").value
    assert value == [1, 0, 0, 100, 1.5, 0]
    assert isinstance(value, list)
    assert [type(item) for item in value] == [int, int, int, int, float, int]


def test_places_are_one_based_lines_and_characters() -> None:
    parsed = parse_json('{"é":\n [1, {"b/c": 3}]}'.encode())
    assert parsed.place("/é/1/b~1c") == (2, 14)
    assert parsed.place_of_name("/é/1/b~1c") == (2, 7)
    assert parsed.place("/é/9") == (2, 2)
    assert parsed.place("") == (1, 1)


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_both_readers_give_back_what_the_standard_library_wrote(
    value: JsonValue, indent: int | str | None, escape: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escape)
    expected = parse_json(text.encode()).value
    assert scanned(text) == (expected,)
    assert canonical_bytes(expected) == canonical_bytes(value)


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [
                *'{}[]:,"\\-+.eE0129 \n\tatfn\u00a0é',
                '"a"',
                "1.0",
                "-0",
                "true",
                "null",
                "\\u0061",
                "\\ud83d",
                "NaN",
                "1e400",
            ]
        ),
        max_size=14,
    ).map("".join)
)
def test_the_quick_reader_says_yes_only_where_the_scanner_does_and_gives_the_same(text: str) -> None:
    quick, slow = _quick(text), scanned(text)
    if quick is not None:
        assert slow is not None
        assert repr(quick) == repr(slow)
    elif slow is not None:
        assert "\\u" in text


@given(values)
def test_canonical_bytes_are_those_of_the_defining_library(value: JsonValue) -> None:
    assert canonical_bytes(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_the_published_canonicalization_vectors_hold(name: str, shared: Path) -> None:
    if not (shared / "jcs").is_dir():
        pytest.skip("the optional vectors ../shared/data/jcs are not here")
    text = (shared / "jcs" / "input" / f"{name}.json").read_bytes()
    expected = (shared / "jcs" / "output" / f"{name}.json").read_bytes().rstrip(b"\n")
    if name == "values":
        # The vector holds 333333333.3333333 and 1E30, an integer that I-JSON cannot carry exactly: refused on purpose.
        with pytest.raises(DocumentError, match="`1E30` lies beyond"):
            parse_json(text)
        assert rfc8785.dumps(json.loads(text)) == expected
        return
    assert canonical_bytes(parse_json(text).value) == expected


def test_the_published_number_vectors_hold(shared: Path) -> None:
    path = shared / "jcs" / "es6testfile10k.txt"
    if not path.is_file():
        pytest.skip("the optional vectors ../shared/data/jcs are not here")
    import struct

    checked = 0
    for line in path.read_text().splitlines():
        bits, written = line.split(",")
        (number,) = struct.unpack(">d", int(bits, 16).to_bytes(8, "big"))
        if not number.is_integer():
            assert canonical_bytes(parse_json(written.encode()).value) == written.encode()
            assert canonical_bytes(number) == written.encode()
            checked += 1
    assert checked > 5000
