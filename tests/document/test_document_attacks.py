"""Attacks on a document's identity and signatures: each is refused, or gives another revision."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import pytest

from remit.document.carriers import read_value
from remit.document.json_text import parse_json
from remit.document.parse import parse_document, serialize_document
from remit.document.revision import genesis, revise
from remit.document.signing import Ed25519Signer, TrustPolicy, sign_document, verify_document_signatures
from remit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue

AT = "2026-01-01T00:00:00.000Z"
NONCE = "0" * 32
FIELDS: JsonObject = {
    "governance": {
        "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "o"},
        "activation": [{"id": "start", "when": "true", "obligations": [{"approve": {"by": "officer"}}]}],
        "mutation": [],
        "termination": [],
        "limits": {"max_turns": 3},
        "environment": {"schema": {"type": "object"}, "values": {}},
    },
    "capabilities": {
        "instructions": "i",
        "tools": [
            {
                "name": "pay",
                "description": "d",
                "parameters": {"type": "object"},
                "effect": "read",
                "source": {"python": "a:b"},
            }
        ],
        "backends": [
            {"name": "l", "adapter": "s", "provider": "p", "region": "EU", "model": "m", "config": {}}
        ],
        "dispatch": [{"cedar": '@id("q") permit(principal, action, resource);'}],
    },
    "memory": {
        "blocks": [
            {"name": "notes", "description": "", "schema": {"type": "string"}, "classification": "internal"}
        ]
    },
    "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
}


def born(fields: JsonObject = FIELDS) -> Document:
    return genesis(fields, nonce=NONCE)


def places(value: JsonValue, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        yield path
        for name, member in value.items():
            yield from places(member, (*path, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from places(member, (*path, index))


def with_member(path: tuple[str | int, ...], name: str, member: JsonValue) -> JsonObject:
    fields = copy.deepcopy(FIELDS)
    target = fields
    for part in path:
        target = target[part]  # type: ignore[index,assignment,call-overload]  # the path comes from the same value
    target[name] = member
    return fields


def test_an_extension_at_every_level_is_hashed() -> None:
    revisions = {born().identity.revision}
    for path in places(FIELDS):
        for member in ("1", "2"):
            revisions.add(born(with_member(path, "x-note", member)).identity.revision)
    assert 1 + 2 * len(list(places(FIELDS))) == len(revisions)


def test_texts_that_look_alike_have_different_ids() -> None:
    texts = ["\u00e9", "e\u0301", "a\nb", "a\r\nb", "a\u200bb", "ab", "a\u0000b", "\u212b", "\u00c5", ""]
    revisions = {born({**FIELDS, "x-text": text}).identity.revision for text in texts}
    assert len(texts) == len(revisions)


def test_values_that_look_alike_have_different_ids() -> None:
    values: list[JsonValue] = [1, "1", True, "true", [1], [[1]], {"a": 1}, {"a": "1"}, 0, "", [], {}, False]
    revisions = {born({**FIELDS, "x-value": value}).identity.revision for value in values}
    assert len(values) == len(revisions)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b"1.0"),
        (b"1000", b"1E3"),
        (b"0", b"-0.0"),
        (b'"a"', b'"\\u0061"'),
        (b'"\xf0\x9f\x98\x80"', b'"\\ud83d\\ude00"'),
        (b'{"a":1,"b":2}', b' { "b" : 2, "a" : 1 } '),
        (b'{"\xf0\x9f\x98\x80":1,"\xee\x80\x80":2}', b'{"\xee\x80\x80":2,"\xf0\x9f\x98\x80":1}'),
        (b'{"\\u0000":1}', b'{"\\u0000":1.0}'),
    ],
)
def test_spellings_of_one_value_have_one_id(one: bytes, other: bytes) -> None:
    held = [born({**FIELDS, "x-value": parse_json(text).value}) for text in (one, other)]
    assert held[0].identity.revision == held[1].identity.revision
    for format_ in ("json", "yaml", "cbor"):
        for document in held:
            read = parse_document(serialize_document(document, format=format_), format=format_)
            assert document.identity.revision == read.identity.revision


@pytest.mark.parametrize(
    "data",
    [
        b"\xc2\x42\x01\x00",  # bignum
        b"\xd9\xd9\xf7\x01",  # self-described
        b"\xc0\x61a",
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xa2\x61a\x01\x61a\x02",
        b"\xa2\x61a\x01\x78\x01a\x02",  # the same key in two encodings
        b"\xa2\x61a\x01\x7f\x61a\xff\x02",  # and in pieces
        b"\xa1\x01\x02",
        b"\xa1\xf5\x02",
        b"\xf7",
        b"\x41a",
        b"\xf9\x7e\x00",
        b"\xf9\x7c\x00",
        b"\x1b" + b"\xff" * 8,
        b"\x3b" + b"\xff" * 8,
        b"\x01\x01",
        b"\x9b\x7f" + b"\xff" * 7,
        b"\x7b\x7f" + b"\xff" * 7,
        b"\x81" * 100_000,
        b"\x63\xed\xa0\x80",
        b"",
    ],
    ids=lambda data: data[:8].hex() or "empty",
)
def test_cbor_that_another_reader_could_read_otherwise_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        read_value(data, format="cbor")


def test_every_flipped_byte_of_a_document_is_refused() -> None:
    raw = serialize_document(born())
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << (place % 7)
        try:
            value = json.loads(bytes(changed))
        except ValueError:
            value = None
        if value == json.loads(raw):
            continue
        with pytest.raises(DocumentError):
            parse_document(bytes(changed))


# --- signatures

ALICE = Ed25519Signer("alice", b"a" * 32)
BOB = Ed25519Signer("bob", b"b" * 32)
MALLORY = Ed25519Signer("alice", b"m" * 32)


def refusal(document: Document, trust: TrustPolicy, *, now: str = AT) -> str:
    with pytest.raises(DocumentError) as refused:
        verify_document_signatures(document, trust, now=now)
    assert len(refused.value.faults) == 1
    return str(refused.value)


def test_another_key_of_the_same_name_is_refused() -> None:
    trust = TrustPolicy(keys={"alice": ALICE.public_key})
    assert "made by another key" in refusal(sign_document(born(), MALLORY), trust)


def test_a_key_outside_its_validity_is_refused() -> None:
    signed = sign_document(born(), ALICE)
    keys = {"alice": ALICE.public_key}
    early = TrustPolicy(keys=keys, not_before={"alice": "2026-01-01T00:00:00.001Z"})
    late = TrustPolicy(keys=keys, not_after={"alice": "2025-12-31T23:59:59.999Z"})
    assert "not valid before" in refusal(signed, early)
    assert "expired" in refusal(signed, late)


def test_a_signature_over_another_revision_is_refused() -> None:
    parent = sign_document(born(), ALICE)
    child = revise(parent, operation="settle", actor="o", at=AT, decision="")
    value = json.loads(serialize_document(child))
    value["identity"]["signatures"] = list(parent.identity.signatures)
    with pytest.raises(DocumentError, match="another revision"):
        parse_document(json.dumps(value).encode())


def test_one_key_under_two_names_is_one_signer() -> None:
    again = Ed25519Signer("alice-too", b"a" * 32)
    signed = sign_document(sign_document(born(), ALICE), again)
    keys = {"alice": ALICE.public_key, "alice-too": again.public_key}
    assert "has 1 trusted signature" in refusal(signed, TrustPolicy(keys=keys, threshold=2))


def test_the_threshold_counts_different_keys() -> None:
    keys = {"alice": ALICE.public_key, "bob": BOB.public_key}
    trust = TrustPolicy(keys=keys, threshold=2)
    once = sign_document(born(), ALICE)
    assert "2 needed" in refusal(sign_document(once, ALICE), trust)
    assert verify_document_signatures(sign_document(once, BOB), trust, now=AT) == ("alice", "bob")


def test_an_empty_trust_policy_believes_nobody() -> None:
    trust = TrustPolicy(keys={})
    assert "foreign" in refusal(sign_document(born(), ALICE), trust)
    assert "0 trusted" in refusal(born(), trust)
