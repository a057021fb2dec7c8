"""YAML and CBOR as carriers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.document.carriers import Format, format_of, read_value, write_value
from remit.document.parse import document_value, parse_document, serialize_document
from remit.errors import DocumentError

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonValue

BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
BAD_YAML = {
    "anchor": (BOMB, "f:1:4: the anchor `&a` is not read"),
    "alias": (b"a: *x\n", "the alias `*x` is not read"),
    "tag": (
        b"a: !!python/object:os.system x\n",
        "the tag `tag:yaml.org,2002:python/object:os.system` is not read",
    ),
    "local tag": (b"a: !x y\n", "the tag"),
    "duplicate": (b"a: 1\nb: 2\na: 3\n", "f:3:1: the member `a` occurs twice"),
    "integer key": (b"1: x\n", "the member name `1` is not a string"),
    "null key": (b"null: x\n", "the member name `null` is not a string"),
    "sequence key": (b"? [a]\n: b\n", "a member name is not a string"),
    "missing value": (b"a:\n", "a value is missing"),
    "two documents": (b"--- 1\n--- 2\n", "more than one YAML document"),
    "directive": (b"%YAML 1.1\n---\na: 1\n", "directives are not read"),
    "empty": (b"", "the input holds no value"),
    "deep": (b"[" * 10_000, "nested deeper than 64 levels"),
    "syntax": (b"a: [1\nb: 2", "this is no YAML"),
    "tab": (b"a:\n\tb: 1\n", "this is no YAML"),
    "large integer": (b"a: 9007199254740993\n", "lies beyond"),
    "large integral float": (b"a: 9007199254740993.0\n", "lies beyond"),
    "overflow": (b"a: 1e400\n", "is not a finite number"),
    "surrogate": (b'a: "\\ud800"\n', "lone surrogate"),
    "control": (b"a: \x01\n", "the character U+0001 may not stand in YAML"),
    "beyond unicode": (b'a: "\\UFFFFFFFF"\n', "this is no YAML"),
    "large": (b"a: " + b"x" * (9 * 1024 * 1024), "more than the 8388608 allowed"),
    "not utf-8": (b"a: \xff", "is not UTF-8"),
}
BAD_CBOR = {
    "duplicate": (bytes.fromhex("a2616101616102"), "Duplicate map key"),
    "integer key": (cbor2.dumps({1: 2}), "map key"),
    "bytes key": (cbor2.dumps({b"a": 2}), "a member name is not a string"),
    "bytes": (cbor2.dumps(b"x"), "a value of type `bytes` is no JSON value"),
    "bignum": (cbor2.dumps(2**70), "tags are not read"),
    "small bignum": (bytes.fromhex("c24101"), "tags are not read"),
    "shared": (bytes.fromhex("d81c81d81d00"), "tags are not read"),
    "unknown tag": (bytes.fromhex("d9fffe01"), "tags are not read"),
    "self-described": (bytes.fromhex("d9d9f701"), "tags are not read"),
    "deep": (b"\x81" * 10_000, "nesting depth"),
    "65 deep": (b"\x81" * 65 + b"\x01", "nested deeper than 64 levels"),
    "nan": (cbor2.dumps(float("nan")), "not a finite number"),
    "undefined": (b"\xf7", "no JSON value"),
    "simple": (b"\xf0", "no JSON value"),
    "trailing": (b"\x01\x01", "1 bytes follow the value"),
    "empty": (b"", "premature end"),
    "huge array": (bytes.fromhex("9b00ffffffffffffff"), "no acceptable CBOR"),
    "huge text": (bytes.fromhex("7b00ffffffffffffff"), "no acceptable CBOR"),
    "bad utf-8": (b"\x61\xff", "no acceptable CBOR"),
    "large integer": (cbor2.dumps(2**53), "lies beyond"),
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


@pytest.mark.parametrize("case", BAD_YAML)
def test_bad_yaml_is_refused_with_its_place(case: str) -> None:
    data, message = BAD_YAML[case]
    with pytest.raises(DocumentError) as caught:
        read_value(data, format="yaml", file="f")
    assert message in str(caught.value)


@pytest.mark.parametrize("case", BAD_CBOR)
def test_bad_cbor_is_refused(case: str) -> None:
    data, message = BAD_CBOR[case]
    with pytest.raises(DocumentError) as caught:
        read_value(data, format="cbor", file="f")
    assert message in str(caught.value)


def test_yaml_scalars_are_those_of_json_and_nothing_else() -> None:
    text = b"[no, Yes, 012, 12:30:45, 1_000, 0x1F, 2020-01-01, ~, .inf, +1, 1e3, -0, 1.5, true, null, 'true', \"1\"]"
    assert read_value(text, format="yaml").value == [
        "no",
        "Yes",
        "012",
        "12:30:45",
        "1_000",
        "0x1F",
        "2020-01-01",
        "~",
        ".inf",
        "+1",
        1000,
        0,
        1.5,
        True,
        None,
        "true",
        "1",
    ]


def test_yaml_keeps_places() -> None:
    parsed = read_value(b"a:\n  - b: 1\n    c: x\n", format="yaml", file="f")
    assert parsed.place("/a/0/c") == (3, 8)
    assert parsed.place_of_name("/a/0/c") == (3, 5)


def typed(value: JsonValue) -> object:
    """A value in which True, 1 and 1.0 are three things."""
    if isinstance(value, dict):
        return {name: typed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value).__name__, repr(value) if isinstance(value, float) else value


@settings(deadline=None)
@given(values, st.sampled_from(["json", "yaml", "cbor"]))
def test_every_carrier_gives_back_the_value_it_was_given(value: JsonValue, carrier: Format) -> None:
    assert typed(read_value(write_value(value, format=carrier), format=carrier).value) == typed(value)


def test_a_typed_form_tells_apart_what_python_holds_equal() -> None:
    assert [typed(value) for value in (True, 1, 1.0)] == [("bool", True), ("int", 1), ("float", "1.0")]
    assert typed([True]) != typed([1])
    assert typed({"a": 0.5}) == typed({"a": 0.5})


@pytest.mark.parametrize("carrier", ["json", "yaml", "cbor"])
def test_an_agent_keeps_its_ids_in_every_carrier(carrier: Format, signed: Document) -> None:
    moved = parse_document(serialize_document(signed, format=carrier), format=carrier)
    assert document_value(moved) == document_value(signed)
    assert moved == signed


def test_a_carrier_is_named_by_the_suffix() -> None:
    assert [format_of(name) for name in ("a.agent.json", "a.yaml", "A.YML", "a.cbor")] == [
        "json",
        "yaml",
        "yaml",
        "cbor",
    ]
    with pytest.raises(DocumentError, match="no suffix that names a format"):
        format_of("agent.toml")
