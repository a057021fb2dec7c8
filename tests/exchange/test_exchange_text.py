from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.document.json_text import MAX_BYTES
from remit.errors import DocumentError
from remit.exchange.foreign_text import read_foreign
from remit.exchange.foreign_yaml import MAX_REPEATED

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def bomb(levels: int) -> bytes:
    lines = ["l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "an alias bomb": (bomb(20), f"aliases repeat more than {MAX_REPEATED} characters"),
    "an alias inside its own anchor": (b"a: &a [*a]", "the alias `*a` has no anchor before it"),
    "deep JSON": (b"[" * 5000 + b"]" * 5000, "nested deeper than 64 levels"),
    "deep YAML": (b"- " * 5000 + b"x", "nested deeper than 64 levels"),
    "deep flow YAML": (b"a: " + b"[" * 5000 + b"]" * 5000, "nested deeper than 64 levels"),
    "depth through an alias": (
        b"a: &a " + b"[" * 60 + b"]" * 60 + b"\nb: " + b"[" * 10 + b"*a" + b"]" * 10,
        "nested deeper than 64 levels",
    ),
    "a Python object": (b"!!python/object/apply:os.system [id]", "the tag"),
    "NaN in JSON": (b'{"a": NaN}', "`NaN` is no JSON number"),
    "infinity in JSON": (b'{"a": -Infinity}', "`-Infinity` is no JSON number"),
    "NaN in YAML": (b"a: .nan", "`.nan` is no number"),
    "infinity in YAML": (b"a: -.INF", "`-.INF` is no number"),
    "a number that overflows": (b"a: 1e999", "is not a finite number"),
    "an integer of 10,000 digits": (b"a: " + b"9" * 10_000, "lies beyond"),
    "a duplicate key in JSON": (b'{"a": 1, "a": 2}', "the member `a` occurs twice"),
    "a duplicate key in YAML": (b"a: 1\na: 2", "the member `a` occurs twice"),
    "a key that is a list": (b"? [a]\n: 1", "a member name is not text"),
    "a directive": (b"%YAML 1.1\n---\na: 1", "YAML directives are not read"),
    "a merge of a text": (b"a:\n  <<: text", "`<<` merges mappings"),
    "a lone surrogate": (b'{"a": "\\ud800"}', "lone surrogate"),
    "nothing": (b"", "the input holds no value"),
    "only a comment": (b"# nothing\n---\n---\n", "the input holds no value"),
    "bytes that are no UTF-8": (b"a: \xff", "byte 0xff is not UTF-8"),
    "broken YAML": (b"a: [1", "this is no YAML"),
    "broken JSON": (b'{"a": 1', "the text ends"),
    "NaN inside a string of JSON": (json.dumps('{"a": NaN}').encode(), "`NaN` is no JSON number"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_one_clear_reason(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(DocumentError) as caught:
        read_foreign(data, file="agent")
    assert any(reason in fault.message for fault in caught.value.faults)
    assert all(fault.line and fault.column for fault in caught.value.faults)


def test_a_file_beyond_the_bound_is_refused_before_it_is_read_and_the_message_helps() -> None:
    with pytest.raises(DocumentError) as caught:
        read_foreign(b"[" + b" " * MAX_BYTES, file="a.json")
    assert str(caught.value) == (
        "a.json: the file has 64.1 MiB, and JSON may have 64 MiB; split it, a bundle by its threads"
    )
    with pytest.raises(DocumentError, match=r"has 8\.1 MiB, and YAML may have 8 MiB; split it, or write"):
        read_foreign(b"#" * (8 * 1024 * 1024 + 1))
    with pytest.raises(DocumentError, match=r"JSON may have 64 MiB"):
        read_foreign(b'"' + b" " * MAX_BYTES + b'"')


@given(JSON)
def test_json_comes_back_as_it_is(value: object) -> None:
    (parsed,) = read_foreign(json.dumps([value]).encode())
    assert parsed.value == [value]


def test_foreign_yaml_keeps_nulls_and_follows_anchors_and_merges() -> None:
    text = b"""\
base: &base {model: small, tools: []}
agent:
  <<: *base
  model: large
  description: ~
  note:
200: ok
no: no
since: 2026-01-02
size: 0o17
half: .5
flag: True
text: !!str 12
"""
    (parsed,) = read_foreign(text)
    assert parsed.value == {
        "base": {"model": "small", "tools": []},
        "agent": {"model": "large", "tools": [], "description": None, "note": None},
        "200": "ok",
        "no": "no",
        "since": "2026-01-02",
        "size": "0o17",
        "half": 0.5,
        "flag": True,
        "text": "12",
    }
    assert parsed.place("/agent/model") == (4, 10)
    assert parsed.place_of_name("/agent/model") == (4, 3)


def test_every_document_of_a_yaml_file_is_read_and_empty_ones_are_passed_over() -> None:
    found = read_foreign(b"---\na: 1\n---\n---\nb: 2\n...\n")
    assert [parsed.value for parsed in found] == [{"a": 1}, {"b": 2}]
    assert found[1].place("/b") == (5, 4)


def test_an_anchor_of_one_document_is_unknown_in_the_next() -> None:
    with pytest.raises(DocumentError, match=r"`\*a` has no anchor before it"):
        read_foreign(b"a: &a 1\n---\nb: *a\n")


def test_json_inside_a_json_string_is_read_with_places_of_the_outer_text() -> None:
    inner = '{\n  "agents": [{"name": "ä\\n \\"x\\" 😀", "id": "agent-0"}]\n}'
    outer = json.dumps(inner)
    (parsed,) = read_foreign(outer.encode())
    assert isinstance(parsed.value, dict)
    line, column = parsed.place("/agents/0/id")
    assert line == 1
    assert outer[column - 1 :].startswith('\\"agent-0\\"')


def test_json_that_was_encoded_twice_too_often_is_still_read_once_more() -> None:
    outer = json.dumps(json.dumps('{"agents": []}'))
    (parsed,) = read_foreign(outer.encode())
    assert parsed.value == {"agents": []}
    line, column = parsed.place("/agents")
    assert (line, outer[column - 1 :]) == (1, '[]}\\""')


def test_a_byte_order_mark_is_passed_over() -> None:
    (parsed,) = read_foreign(b'\xef\xbb\xbf{"a": 1}')
    assert parsed.value == {"a": 1}


def test_a_yaml_key_in_quotes_does_not_make_a_file_json() -> None:
    (parsed,) = read_foreign(b'"agents":\n  root: 1\n')
    assert parsed.value == {"agents": {"root": 1}}
