"""Identity, byte flips, signatures, revisions."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, cast

import cbor2
import pytest
import rfc8785
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from remit.document.entries import erase, find, prove, remember, verify_proof
from remit.document.identity import field_digest, preimage_of, revision_from, revision_of
from remit.document.memory import Payload
from remit.document.model import FIELD_NAMES, Document
from remit.document.parse import document_from_value, document_value, parse_document, serialize_document
from remit.document.revision import fork, genesis, revise
from remit.document.signing import Ed25519Signer, TrustPolicy, sign_document, verify_document_signatures
from remit.errors import DocumentError

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

AT = "2026-01-02T03:04:05.678Z"


def independent_revision(value: JsonObject) -> str:
    """The revision of a document, by hashlib and rfc8785 alone."""
    digests = {}
    for name, field in value.items():
        if name in ("spec", "identity"):
            continue
        skipped = {"memory": "entries", "lineage": "operations"}.get(name)
        preimage = {key: member for key, member in field.items() if key != skipped}
        raw = f"remit/1/field/{name}".encode() + b"\0" + rfc8785.dumps(preimage)
        digests[name] = "sha256:" + hashlib.sha256(raw).hexdigest()
    manifest = rfc8785.dumps({"fields": digests, "spec": "remit/1"})
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def test_the_revision_is_what_an_independent_script_computes(document: Document) -> None:
    assert independent_revision(document_value(document)) == document.identity.revision
    assert revision_of(document) == document.identity.revision


def test_spacing_order_and_escaping_do_not_change_the_revision(document: Document) -> None:
    value = document_value(document)
    turned = json.dumps(dict(reversed(value.items())), indent="\t", ensure_ascii=True).encode()
    assert parse_document(turned).identity == document.identity


def test_genesis_is_its_own_agent_and_children_keep_the_agent(fields: JsonObject, document: Document) -> None:
    first = genesis(fields, nonce="0123456789abcdef" * 2)
    assert first.identity.agent == first.identity.revision == document.identity.agent
    assert document.identity.revision != document.identity.agent
    assert genesis(fields, nonce="f" * 32).identity.agent != first.identity.agent


def test_a_fork_is_a_new_agent_that_names_its_parent(document: Document) -> None:
    child = fork(document, nonce="e" * 32)
    assert child.lineage.parents == (document.identity.revision,)
    assert child.identity.agent != document.identity.agent
    assert parse_document(serialize_document(child)) == child


def refusal(data: bytes, trust: TrustPolicy) -> tuple[Document | None, str]:
    """The document that these bytes are, or why they are refused."""
    try:
        found = parse_document(data, file="a")
        verify_document_signatures(found, trust, now=AT)
    except DocumentError as error:
        return None, str(error)
    return found, ""


def fields_of_bytes(data: bytes) -> list[str]:
    """The top-level member in whose value each byte stands; empty for what stands in none."""
    owners: list[str] = []
    name = ""
    for line in data.splitlines(keepends=True):
        opened = re.match(rb'  "([^"]+)": ', line)
        if opened is not None:
            name = opened.group(1).decode()
            rest = len(line) - opened.end()
            # A value on one line is followed by a comma that is nobody's.
            owned = rest if line.endswith((b"{\n", b"[\n")) else rest - 2
            owners += ["" for _ in range(opened.end())] + [name] * owned + [""] * (rest - owned)
        elif line.startswith(b"    "):
            owners += [name] * len(line)
        else:
            owned = 3 if line.startswith((b"  }", b"  ]")) else 0
            owners += [name] * owned + [""] * (len(line) - owned)
    return owners


def test_every_flipped_byte_that_changes_meaning_is_refused_naming_the_field(
    signed: Document, signer: Ed25519Signer
) -> None:
    data = serialize_document(signed)
    trust = TrustPolicy(keys={"owner": signer.public_key})
    original = document_value(signed)
    owners = fields_of_bytes(data)
    assert len(owners) == len(data)
    assert set(owners) == {"", "identity", "spec", "x-team", *FIELD_NAMES}
    accepted = 0
    for index in range(len(data)):
        # 0x2a turns a space into a line feed and back, 0x20 changes the case of a letter, 0x80 breaks UTF-8.
        mask = 0x2A if data[index] in b" \n" else (0x01, 0x20, 0x80)[index % 3]
        flipped = data[:index] + bytes([data[index] ^ mask]) + data[index + 1 :]
        found, message = refusal(flipped, trust)
        if found is None:
            owner = owners[index]
            assert not owner or re.search(f"`/?{owner}[`/…]", message), (index, owner, message)
            continue
        accepted += 1
        assert document_value(found) == original, (index, mask)
        assert found.identity == signed.identity
    assert accepted > 100


BROKEN_JSON = {
    "not a number": b"NaN",
    "overflow": b"1e999",
    "large integer": b"9007199254740993",
    "surrogate": b'"\\ud800"',
    "escape": b'"\\x"',
    "control character": b'"\x01"',
    "not utf-8": b'"\xff"',
    "twice": b'{"a": 1, "a": 2}',
    "deep": b"[" * 70,
    "word": b"yes",
    "missing comma": b"[1 2]",
    "missing colon": b'{"a" 1}',
    "trailing comma": b"[1,]",
    "open string": b'"abc',
    "end": b"",
}
BROKEN_YAML = {
    "overflow": b"1e999",
    "surrogate": b'"\\ud800"',
    "escape": b'"\\q"',
    "not utf-8": b'"\xff"',
    "twice": b"{a: 1, a: 2}",
    "deep": b"[" * 70,
    "anchor": b"&a x",
    "alias": b"*a",
    "tag": b"!x y",
    "key": b"{1: 2}",
    "open list": b"[1, 2",
    "missing": b"",
}


@pytest.mark.parametrize("field", ["identity", "x-team", *FIELD_NAMES])
@pytest.mark.parametrize("case", BROKEN_JSON)
def test_text_that_is_no_json_names_the_field_it_stands_in(field: str, case: str) -> None:
    text = b'{"spec": "remit/1", "%b": {"inner": [7, %b' % (field.encode(), BROKEN_JSON[case])
    tail = b"" if case == "end" else b"]}}"
    with pytest.raises(DocumentError, match=f"`/{field}/inner/1[`/]"):
        parse_document(text + tail, file="a")


@pytest.mark.parametrize("field", ["identity", "x-team", *FIELD_NAMES])
@pytest.mark.parametrize("case", BROKEN_YAML)
def test_text_that_is_no_yaml_names_the_field_it_stands_in(field: str, case: str) -> None:
    text = b"spec: remit/1\n%b:\n  inner: %b\nz: 1\n" % (field.encode(), BROKEN_YAML[case])
    with pytest.raises(DocumentError, match=f"`/{field}/inner[`/]"):
        parse_document(text, file="a", format="yaml")


@pytest.mark.parametrize("field", ["identity", "x-team", *FIELD_NAMES])
@pytest.mark.parametrize("value", [b"bytes", float("nan"), 2**60, {b"key": 2}])
def test_what_is_no_json_value_names_the_field_it_stands_in(field: str, value: object) -> None:
    data = cbor2.dumps({"spec": "remit/1", field: {"inner": value}})
    with pytest.raises(DocumentError, match=f"`/{field}/inner`"):
        parse_document(data, file="a", format="cbor")


def leaves_of(value: JsonValue, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of everything in a value that holds nothing."""
    if isinstance(value, dict) and value:
        return [leaf for name, member in value.items() for leaf in leaves_of(member, (*path, name))]
    if isinstance(value, list) and value:
        return [leaf for index, item in enumerate(value) for leaf in leaves_of(item, (*path, index))]
    return [path]


def with_leaf(value: JsonValue, path: tuple[str | int, ...], leaf: JsonValue) -> JsonObject:
    changed = cast("Any", copy.deepcopy(value))
    owner = changed
    for token in path[:-1]:
        owner = owner[token]
    owner[path[-1]] = leaf
    return cast("JsonObject", changed)


def restated(value: JsonObject) -> JsonObject:
    """The document with the identity that its present content has."""
    digests = {
        name: field_digest(name, preimage_of(name, value[name]))
        for name in value
        if name not in ("spec", "identity")
    }
    identity: dict[str, Any] = {**cast("Any", value["identity"]), "fields": digests}
    identity.pop("signatures", None)
    return {**value, "identity": {**identity, "revision": revision_from(digests)}}


leaf_values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text(max_size=8)
    | st.sampled_from([[], {}, "remember", "EU", "true", "ready", "sha256:" + "5" * 64, AT])
)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_another_leaf_is_another_revision_or_refused(document: Document, data: st.DataObject) -> None:
    value = document_value(document)
    paths = [path for path in leaves_of(value) if path[0] not in ("spec", "identity")]
    path = data.draw(st.sampled_from(paths))
    changed = with_leaf(value, path, data.draw(leaf_values))
    assume(rfc8785.dumps(cast("Any", changed)) != rfc8785.dumps(cast("Any", value)))
    with pytest.raises(DocumentError, match=f"`/?{path[0]}[`/…]"):
        document_from_value(changed)
    honest = restated(changed)
    if path[:2] in (("memory", "entries"), ("lineage", "operations")):
        # The field's digest covers its root alone; the root has to give the change away.
        with pytest.raises(DocumentError, match=f"`/?{path[0]}[`/…]"):
            document_from_value(honest)
    else:
        assert cast("Any", honest["identity"])["revision"] != document.identity.revision
    assert cast("Any", restated(value)["identity"])["revision"] == document.identity.revision


@pytest.mark.parametrize(
    "name", ["memory", "governance", "capabilities", "execution_state", "lineage", "x-team"]
)
def test_a_changed_field_is_named(document: Document, name: str) -> None:
    value = json.loads(json.dumps(document_value(document)))
    value[name]["x-changed"] = 1
    with pytest.raises(DocumentError, match=f"field `{name}`: content does not match its digest"):
        document_from_value(value)


def test_signatures_that_are_missing_foreign_expired_or_tampered_are_named(
    document: Document, signed: Document, signer: Ed25519Signer
) -> None:
    trust = TrustPolicy(keys={"owner": signer.public_key})
    assert verify_document_signatures(signed, trust, now=AT) == ("owner",)
    with pytest.raises(DocumentError, match="0 trusted signature"):
        verify_document_signatures(document, trust, now=AT)
    with pytest.raises(DocumentError, match="foreign"):
        verify_document_signatures(signed, TrustPolicy(keys={"other": signer.public_key}), now=AT)
    with pytest.raises(DocumentError, match="does not verify"):
        verify_document_signatures(signed, TrustPolicy(keys={"owner": bytes(range(1, 33))}), now=AT)
    expired = TrustPolicy(keys={"owner": signer.public_key}, not_after={"owner": "2025-01-01T00:00:00.000Z"})
    with pytest.raises(DocumentError, match="has expired on 2025"):
        verify_document_signatures(signed, expired, now=AT)
    assert sign_document(signed, signer) == signed


def test_erasure_keeps_root_and_proofs_and_drops_every_word(document: Document) -> None:
    memory, entry = remember(
        document.memory,
        block="people",
        key="r-9",
        payload=Payload(value={"diagnosis": "secret"}, subject="bert"),
        author="agent",
        operation="remember",
        at=AT,
        salt="12" * 16,
    )
    proof = prove(memory, entry.id)
    erased = erase(memory, [entry.id])
    root = str(memory.value["root"])
    assert erased.value == memory.value
    assert verify_proof(root, proof)
    assert verify_proof(root, prove(erased, entry.id))
    assert verify_proof(root, prove(memory, "0" * 64))
    assert not verify_proof(str(document.memory.value["root"]), proof)
    assert find(erased, "people", "r-9") is None
    after = revise(document, operation="remember", actor="a", at=AT, decision="", memory=memory)
    final = revise(after, operation="erase", actor="a", at=AT, decision="", memory=erased)
    data = serialize_document(final)
    assert b"secret" not in data
    assert b"bert" not in data
    assert b"r-9" not in data
    assert parse_document(data) == final
    assert final.lineage.operations[-1].value["erased"] == [entry.commitment]
