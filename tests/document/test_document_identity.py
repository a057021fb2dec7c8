"""Identity, byte flips, signatures, revisions."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
import rfc8785

from remit.document.entries import erase, find, prove, remember, verify_proof
from remit.document.identity import revision_of
from remit.document.memory import Payload
from remit.document.model import FIELD_NAMES, Document
from remit.document.parse import document_from_value, document_value, parse_document, serialize_document
from remit.document.revision import fork, genesis, revise
from remit.document.signing import Ed25519Signer, TrustPolicy, sign_document, verify_document_signatures
from remit.errors import DocumentError

if TYPE_CHECKING:
    from remit.document.values import JsonObject

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


def test_every_flipped_byte_that_changes_meaning_is_refused_naming_the_field(
    signed: Document, signer: Ed25519Signer
) -> None:
    data = serialize_document(signed)
    trust = TrustPolicy(keys={"owner": signer.public_key})
    original = document_value(signed)
    accepted = 0
    names = ("identity", "spec", "x-team", *FIELD_NAMES)
    for index in range(len(data)):
        # 0x2a turns a space into a line feed and back, 0x20 changes the case of a letter.
        for mask in (0x2A,) if data[index] in b" \n" else (0x01 if index % 2 else 0x20,):
            flipped = data[:index] + bytes([data[index] ^ mask]) + data[index + 1 :]
            try:
                found = parse_document(flipped, file="a")
                verify_document_signatures(found, trust, now=AT)
            except DocumentError as error:
                line = data[data.rfind(b"\n", 0, index) + 1 :]
                # The names of the fields themselves and the outermost braces stand in no field.
                assert any(name in str(error) for name in names) or not line.startswith(b"    ")
                continue
            accepted += 1
            assert document_value(found) == original, (index, mask)
            assert found.identity == signed.identity
    assert accepted > 100


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
