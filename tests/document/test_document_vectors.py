"""Fixed vectors and foreign implementations: a format that changes by accident breaks here."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymerkle import InmemoryTree
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from remit.document.identity import manifest_bytes
from remit.document.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from remit.document.parse import PAYLOAD_TYPE, document_from_value, document_value, serialize_document
from remit.document.signing import TrustPolicy, pre_authentication_encoding, verify_document_signatures
from remit.errors import DocumentError

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.model import Document
    from remit.document.signing import Ed25519Signer

AT = "2026-01-02T03:04:05.678Z"
AGENT = "sha256:daa047e82fa4acf972b11206cd621e46e2469fea391ae90213f5a396404eb43b"
REVISION = "sha256:422f85c19163233c9f2cbfa64baae4642162d2411991bd0320db9020a4d1dd7f"
FIELDS = {
    "capabilities": "sha256:511373aca0aef174f1b2fa0bd79ea4fa7781a12581cf11da81b9d3098976781e",
    "execution_state": "sha256:0fa5fd1d9dac367750adf7fc56223d89602742fc3db79c7335350769ab4586fe",
    "governance": "sha256:2375f2e840425091c36d01e8bc848f0a0c31916c207bf5c577459e210753f069",
    "lineage": "sha256:165c7c1fdbe23f7a8b529b62fef30de082ec97e3f0a906e516a61e77ffebd2c9",
    "memory": "sha256:872c90deb3b00e59cde3f5ad21ae58a543cd5e72ab6b0ee3e2b8f72ac448f160",
    "x-team": "sha256:e71bf603f82d72af9af953601b43ac9711d9cad89e2434ef970704edc3a4f5a5",
}
MEMORY_ROOT = "sha256:a63de24418309aff60a24d19907e5d5280a6f55fcbd8819f496159fc7d57bab4"
LINEAGE_ROOT = "sha256:f3c0a7f54ade8d1ac471ab3746ea0300e84fa28bd747cc7a4a7ce210f787d347"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def patricia_root(leaves: dict[bytes, bytes], bit: int = 0) -> bytes:
    """The memory root of `key -> value digest`, by its recursive definition."""
    if len(leaves) == 1:
        ((key, value),) = leaves.items()
        return sha256(b"\0" + key + value)
    sides: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
    for key, value in leaves.items():
        sides[int.from_bytes(key, "big") >> (255 - bit) & 1][key] = value
    if not sides[0] or not sides[1]:
        return patricia_root(leaves, bit + 1)
    left, right = (patricia_root(side, bit + 1) for side in sides)
    return sha256(b"\1" + bit.to_bytes(2, "big") + left + right)


def test_one_document_keeps_the_digests_it_was_published_with(document: Document) -> None:
    # This script reads the written file and uses no code of the product.
    value = json.loads(serialize_document(document))
    leaves = {}
    for entry in value["memory"]["entries"]:
        kept = {name: entry[name] for name in ("at", "author", "block", "commitment", "id", "operation")}
        if "payload" in entry:
            key = f"remit/1/memory/key\0{entry['block']}/{entry['key']}".encode()
            assert sha256(key).hex() == entry["id"]
            committed = bytes.fromhex(entry["salt"]) + rfc8785.dumps(entry["payload"])
            assert "sha256:" + sha256(committed).hex() == entry["commitment"]
        leaves[bytes.fromhex(entry["id"])] = sha256(b"remit/1/memory/value\0" + rfc8785.dumps(kept))
    assert len(leaves) == 2
    assert "sha256:" + patricia_root(leaves).hex() == value["memory"]["root"] == MEMORY_ROOT
    operations = InmemoryTree(algorithm="sha256")
    for operation in value["lineage"]["operations"]:
        operations.append_entry(rfc8785.dumps(operation))
    assert "sha256:" + operations.get_root().hex() == value["lineage"]["root"] == LINEAGE_ROOT
    del value["memory"]["entries"]
    del value["lineage"]["operations"]
    digests = {
        name: "sha256:" + sha256(f"remit/1/field/{name}\0".encode() + rfc8785.dumps(value[name])).hex()
        for name in FIELDS
    }
    assert set(value) == {"spec", "identity", *FIELDS}
    assert digests == FIELDS == value["identity"]["fields"]
    manifest = rfc8785.dumps({"fields": digests, "spec": "remit/1"})
    assert "sha256:" + sha256(manifest).hex() == REVISION == value["identity"]["revision"]
    assert value["identity"]["agent"] == AGENT
    assert document.identity.fields == FIELDS
    assert (document.identity.agent, document.identity.revision) == (AGENT, REVISION)
    assert manifest_bytes(document) == manifest


def checkpoint(log: Path, size: int) -> bytes:
    """The root that a published checkpoint states."""
    lines = (log / f"checkpoint.{size}").read_text().splitlines()
    assert lines[:2] == ["example.com/log/testdata", str(size)]
    return base64.b64decode(lines[2])


def test_a_published_log_has_the_roots_that_its_checkpoints_state(shared: Path) -> None:
    log = shared / "tlog" / "log"
    if not log.is_dir():
        pytest.skip("the optional vectors ../shared/data/tlog are not here")
    bundle = (log / "tile" / "entries" / "000.p" / "15").read_bytes()
    leaves: list[bytes] = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        leaves.append(leaf_hash(bundle[2 : 2 + length]))
        bundle = bundle[2 + length :]
    assert b"".join(leaves) == (log / "tile" / "0" / "000.p" / "15").read_bytes()
    roots = [checkpoint(log, size) for size in range(16)]
    assert [root_of(leaves[:size]) for size in range(16)] == roots
    frontier = Frontier()
    for size, leaf in enumerate(leaves, start=1):
        frontier = frontier.append(leaf)
        assert frontier.root() == roots[size]
    for new in range(1, 16):
        for old in range(1, new + 1):
            proof = consistency_proof(leaves, old, new)
            good = {"old_size": old, "new_size": new, "old_root": roots[old], "new_root": roots[new]}
            assert verify_consistency(**cast("Any", good), proof=proof)
            assert not verify_consistency(**cast("Any", good | {"old_root": roots[0]}), proof=proof)
            assert not verify_consistency(**cast("Any", good | {"new_root": roots[new - 1]}), proof=proof)
        for index in range(new):
            way = inclusion_proof(leaves, index, new)
            assert verify_inclusion(leaf=leaves[index], index=index, size=new, proof=way, root=roots[new])


def defined_consistency(entries: list[bytes], old: int, *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 9162 2.1.4.1 word by word, hashed by pymerkle."""
    size = len(entries)
    if old == size:
        return [] if whole else [foreign_root(entries)]
    split = 1
    while split * 2 < size:
        split *= 2
    if old <= split:
        return [*defined_consistency(entries[:split], old, whole=whole), foreign_root(entries[split:])]
    return [
        *defined_consistency(entries[split:], old - split, whole=False),
        foreign_root(entries[:split]),
    ]


def foreign_root(entries: list[bytes]) -> bytes:
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(entries)
    return bytes(tree.get_root())


def test_proofs_are_those_of_an_independent_implementation() -> None:
    entries = [f"entry {index}".encode() for index in range(21)]
    leaves = [leaf_hash(entry) for entry in entries]
    oracle = InmemoryTree(algorithm="sha256")
    oracle.append_entries(entries)
    for size in range(1, len(entries) + 1):
        for index in range(size):
            foreign = oracle.prove_inclusion(index + 1, size)
            assert list(inclusion_proof(leaves, index, size)) == foreign.path[1:]
            foreign.verify(leaves[index], root_of(leaves[:size]), index=index + 1, size=size)
        for old in range(1, size + 1):
            assert list(consistency_proof(leaves, old, size)) == defined_consistency(entries[:size], old)
            oracle.prove_consistency(old, size).verify(root_of(leaves[:old]), root_of(leaves[:size]))


def test_a_foreign_implementation_accepts_our_envelope_and_no_other(
    signed: Document, signer: Ed25519Signer
) -> None:
    held = cast("Any", copy.deepcopy(signed.identity.signatures[0]))
    envelope = Envelope.from_dict(held)
    assert (envelope.payload_type, envelope.payload) == (PAYLOAD_TYPE, manifest_bytes(signed))
    assert pre_authentication_encoding(envelope.payload_type, envelope.payload) == envelope.pae()
    assert envelope.to_dict() == signed.identity.signatures[0]
    key = SSlibKey("owner", "ed25519", "ed25519", {"public": signer.public_key.hex()})
    assert list(envelope.verify([key], 1)) == ["owner"]
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([key], 1)


@pytest.mark.parametrize("payload", [b"", b"hello world", "naïve \0".encode() * 9])
def test_what_is_signed_is_the_encoding_of_a_foreign_implementation(payload: bytes) -> None:
    for kind in ("http://example.com/HelloWorld", "", "ü/1"):
        assert pre_authentication_encoding(kind, payload) == Envelope(payload, kind, {}).pae()


def test_the_encoding_is_that_of_the_protocol_text() -> None:
    # The example of the DSSE protocol, version 1.0.
    assert (
        pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_envelope_that_a_foreign_implementation_signed_is_accepted(document: Document) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    public = private.public_key().public_bytes_raw()
    key = SSlibKey("auditor", "ed25519", "ed25519", {"public": public.hex()})
    envelope = Envelope(manifest_bytes(document), PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(private, key))
    value = document_value(document)
    cast("Any", value["identity"])["signatures"] = [envelope.to_dict()]
    found = document_from_value(value)
    assert verify_document_signatures(found, TrustPolicy(keys={"auditor": public}), now=AT) == ("auditor",)


def test_every_changed_byte_of_a_signature_is_refused(signed: Document, signer: Ed25519Signer) -> None:
    trust = TrustPolicy(keys={"owner": signer.public_key})
    value = document_value(signed)
    signature = cast("Any", value["identity"])["signatures"][0]["signatures"][0]
    assert verify_document_signatures(document_from_value(value), trust, now=AT) == ("owner",)
    raw = base64.b64decode(signature["sig"])
    assert len(raw) == 64
    for index in range(len(raw)):
        changed = raw[:index] + bytes([raw[index] ^ 1 << index % 8]) + raw[index + 1 :]
        other = cast("Any", copy.deepcopy(value))
        other["identity"]["signatures"][0]["signatures"][0]["sig"] = base64.b64encode(changed).decode()
        found = document_from_value(other)
        assert found.identity.revision == signed.identity.revision
        with pytest.raises(DocumentError, match="the signature by `owner` in `identity` does not verify"):
            verify_document_signatures(found, trust, now=AT)
    for short in (b"", raw[:-1], raw + b"\0"):
        other = cast("Any", copy.deepcopy(value))
        other["identity"]["signatures"][0]["signatures"][0]["sig"] = base64.b64encode(short).decode()
        with pytest.raises(DocumentError, match=r"`/?identity"):
            verify_document_signatures(document_from_value(other), trust, now=AT)
