"""Records as bytes: canonical, strict, and without anything that two readers could read differently."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from remit.errors import LedgerError
from remit.ledger.encoding import decode_record, encode_record, leaf_digest, seal_draft
from remit.records import LEDGER_SPEC, Draft

AT = "2026-01-01T00:00:00.000Z"
SALT = bytes(range(16))

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
plain = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
contents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | texts
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def draft(body: Any = None, content: Any = None, **changes: Any) -> Draft:
    members: dict[str, Any] = {"kind": "decision", "agent": "a", "run": "r", "at": AT}
    return Draft(body={} if body is None else body, content=content, **(members | changes))


@settings(max_examples=150, deadline=None)
@given(
    body=st.dictionaries(texts, plain, max_size=4),
    agent=texts,
    run=texts,
    index=st.integers(0, 2**53 - 1),
    content=contents,
)
def test_a_leaf_is_the_rfc_8785_form_of_its_record_and_reads_back(
    body: Any, agent: str, run: str, index: int, content: Any
) -> None:
    given_draft = draft(body, content, agent=agent, run=run)
    value: dict[str, Any] = {
        "spec": LEDGER_SPEC,
        "index": index,
        "kind": "decision",
        "agent": agent,
        "run": run,
        "at": AT,
        "body": body,
    }
    stored = None if content is None else rfc8785.dumps(content)
    if stored is not None:
        value["content"] = "sha256:" + hashlib.sha256(SALT + stored).hexdigest()
    leaf = encode_record(given_draft, index, salt=SALT)
    assert rfc8785.dumps(value) == leaf
    record = decode_record(leaf, salt=SALT if stored else None, content=stored)
    assert (index, value, content, leaf_digest(leaf)) == (
        record.index,
        record.value,
        record.content,
        record.digest,
    )


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_bytes_that_encoding_would_not_give_are_refused(place: int, byte: int) -> None:
    leaf = bytearray(encode_record(draft({"n": 1, "s": "é"}), 3, salt=SALT))
    leaf[place % len(leaf)] = byte
    try:
        record = decode_record(bytes(leaf))
    except LedgerError:
        return
    assert rfc8785.dumps(record.value) == bytes(leaf)


@pytest.mark.parametrize(
    "body",
    [
        {"x": 1.5},
        {"x": None},
        {"x": [1, [None]]},
        {"x": float("nan")},
        {"x": 2**53},
        {"x": -(2**53)},
        {1: 2},
        {"x": "\ud800"},
        {"\udc00": 1},
        {"x": b"y"},
        {"x": {1, 2}},
        {"x": object()},
        [],
        "x",
        None,
        {"x": "y" * (1 << 20)},
    ],
)
def test_a_body_that_two_readers_could_read_differently_is_refused(body: Any) -> None:
    with pytest.raises(LedgerError):
        seal_draft(Draft(kind="decision", agent="", run="", at=AT, body=body), salt=SALT)


def test_a_body_that_is_nested_too_deep_is_refused() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    for members in ({"body": deep}, {"body": {}, "content": deep}):
        with pytest.raises(LedgerError, match="nested deeper"):
            seal_draft(Draft(kind="decision", agent="", run="", at=AT, **members), salt=SALT)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "gossip"},
        {"at": "2026-01-01"},
        {"at": "2026-01-01T00:00:00Z"},
        {"at": ""},
        {"agent": 5},
        {"run": None},
    ],
)
def test_a_draft_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    if changes == {"agent": 5}:
        changes = {"agent": 5.0}
    with pytest.raises(LedgerError):
        seal_draft(draft({}, **changes), salt=SALT)


@pytest.mark.parametrize("content", [float("nan"), float("inf"), {"x": {1}}, {"x": 2**60}, "\ud800", b"x"])
def test_content_that_is_not_json_is_refused(content: Any) -> None:
    with pytest.raises(LedgerError):
        seal_draft(draft({}, content), salt=SALT)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(LedgerError, match="16 bytes"):
        seal_draft(draft({}, "x"), salt=b"short")


def test_equal_content_under_two_salts_has_two_commitments() -> None:
    one, two = (encode_record(draft({}, "x"), 0, salt=bytes([n] * 16)) for n in (1, 2))
    assert one != two


GOOD = encode_record(draft({"n": 1}), 0, salt=SALT)


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"{" * 100_000,
        b'{"a":' * 50_000,
        b"9" * 6_000,
        b"NaN",
        b" " + GOOD,
        GOOD + b"\n",
        GOOD[:-1],
        GOOD.replace(b'"n":1', b'"n":1.0'),
        GOOD.replace(b'"n":1', b'"n":1,"n":1'),
        GOOD.replace(b'"n":1', b'"n":null'),
        GOOD.replace(b'"index":0', b'"index":-1'),
        GOOD.replace(b'"index":0', b'"index":true'),
        GOOD.replace(b'"index":0', b'"index":"0"'),
        GOOD.replace(b"ledger/1", b"ledger/2"),
        GOOD.replace(b'"decision"', b'"gossip"'),
        GOOD.replace(b'"kind"', b'"kinds"'),
        GOOD.replace(b"{", b'{"a":1,', 1),
        GOOD.replace(b'"body":{"n":1}', b'"body":[]'),
        GOOD.replace(b'"run":"r"', b'"run":1'),
        GOOD.replace(b'"body":{"n":1}', b'"body":{"n":1},"content":"sha256:x"'),
        b"x" * (2 << 20),
    ],
)
def test_a_leaf_in_any_other_form_is_refused(leaf: bytes) -> None:
    with pytest.raises(LedgerError):
        decode_record(leaf)


def test_content_that_the_leaf_does_not_commit_to_is_refused() -> None:
    leaf = encode_record(draft({}, {"x": 1}), 0, salt=SALT)
    assert decode_record(leaf, salt=SALT, content=b'{"x":1}').content == {"x": 1}
    for salt, content in ((SALT, b'{"x":2}'), (bytes(16), b'{"x":1}'), (None, b'{"x":1}')):
        with pytest.raises(LedgerError, match="not what the record commits to"):
            decode_record(leaf, salt=salt, content=content)
    with pytest.raises(LedgerError, match="beside a record that has none"):
        decode_record(GOOD, salt=SALT, content=b"1")
