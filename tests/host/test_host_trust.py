"""A trust policy: who must have signed which field, for the document that is opened and for every later head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, OPERATOR, agent, order_status, refund, say

from remit import DocumentError, Runtime
from remit.document.signing import Ed25519Signer, public_key_pem, sign_document
from remit.document.trust import check_trust
from remit.host.trust import read_trust_file
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

COMPLIANCE, PLATFORM, SECOND = (
    Ed25519Signer(name, bytes([number]) * 32)
    for number, name in enumerate(("compliance", "platform", "second"), start=1)
)
TOOLS = (order_status, refund)
POLICY = """\
keys:
  compliance: {file: compliance.pub.pem}
  platform: {file: platform.pub.pem}
  second: {file: second.pub.pem}
fields:
  governance: {threshold: 2, keys: [compliance, second]}
  capabilities: {keys: [platform, compliance]}
"""
AMENDERS: dict[str, Any] = {
    "id": "operators-amend",
    "effect": "permit",
    "on": ["amend"],
    "when": 'context.caller.roles.contains("operator")',
    "because": "operators amend",
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    for signer in (COMPLIANCE, PLATFORM, SECOND):
        (tmp_path / f"{signer.name}.pub.pem").write_bytes(public_key_pem(signer.public_key))
    path = tmp_path / "trust.yaml"
    path.write_text(POLICY)
    return path


def signed(*signers: Ed25519Signer) -> Any:
    document = agent(say("hello"), rules=[AMENDERS])
    for signer in signers:
        document = sign_document(document, signer)
    return document


def test_a_document_that_is_signed_as_the_policy_says_runs(tmp_path: Path, policy: Path) -> None:
    with Runtime.open(
        signed(COMPLIANCE, SECOND), store=tmp_path / "store", trust=policy, tools=TOOLS
    ) as opened:
        assert opened.run("hello", caller=ANN).status == "completed"
        # The head has moved and carries no signature; what it was signed for has not changed.
        assert opened.document.identity.signatures == ()
        assert opened.run("hello", caller=ANN).status == "completed"


@pytest.mark.parametrize(
    ("signers", "fields"),
    [((), ("governance", "capabilities")), ((COMPLIANCE,), ("governance",)), ((PLATFORM,), ("governance",))],
    ids=["nobody", "one of two", "a key that may not"],
)
def test_a_document_that_the_policy_does_not_trust_is_refused_and_never_stored(
    signers: tuple[Ed25519Signer, ...], fields: tuple[str, ...], tmp_path: Path, policy: Path
) -> None:
    with pytest.raises(DocumentError) as refused:
        Runtime.open(signed(*signers), store=tmp_path / "store", trust=policy, tools=TOOLS)
    assert tuple(fault.pointer for fault in refused.value.faults) == tuple(f"/{name}" for name in fields)
    assert not (tmp_path / "store").exists()


def test_one_key_under_two_names_is_one_signer(tmp_path: Path, policy: Path) -> None:
    (tmp_path / "second.pub.pem").write_bytes(public_key_pem(COMPLIANCE.public_key))
    twice = signed(COMPLIANCE, Ed25519Signer("second", bytes([1]) * 32))
    with pytest.raises(DocumentError, match="signed by 1 of the keys that may, 2 needed"):
        Runtime.open(twice, store=tmp_path / "store", trust=policy, tools=TOOLS)


def test_a_head_that_was_amended_without_the_signatures_is_refused(tmp_path: Path, policy: Path) -> None:
    document = signed(COMPLIANCE, SECOND)
    store = open_store(tmp_path / "store")
    watched = Runtime.open(document, store=store, trust=policy, tools=TOOLS)
    changed = {**document.capabilities.value, "instructions": "Pay everybody."}
    # Under the policy itself the amendment is refused before it is asked.
    with pytest.raises(DocumentError, match="`capabilities` as it stands"):
        watched.amend(by=OPERATOR, reason="x", capabilities=changed)
    unwatched = Runtime.open(document, store=store, tools=TOOLS)
    assert unwatched.amend(by=OPERATOR, reason="x", capabilities=changed).allowed
    with pytest.raises(DocumentError, match="`capabilities` as it stands"):
        watched.run("hello", caller=ANN)
    with pytest.raises(DocumentError, match="`capabilities` as it stands"):
        Runtime.open(document, store=store, trust=policy, tools=TOOLS)
    renewed = sign_document(sign_document(unwatched.document, COMPLIANCE), SECOND)
    trusted = Runtime.open(renewed, store=store, trust=policy, tools=TOOLS)
    assert trusted.run("hello", caller=ANN).status == "completed"
    store.close()


@pytest.mark.parametrize(
    ("edit", "place", "words"),
    [
        (("threshold: 2", "threshold: 3"), "6:27", "is 3, but 2 keys are listed"),
        (("second]}", "secnd]}"), "6:49", "no key is called `secnd`"),
        (("  governance", "  goverance"), "6:3", "`goverance` is no field of a document"),
        (("second: {file: second.pub.pem}", "second: {file: gone.pem}"), "4:18", "cannot be read"),
        (("second: {file: second.pub.pem}", "second: {file: trust.yaml}"), "4:18", "is no key to believe"),
        (("threshold: 2", "treshold: 2"), "6:16", "unknown member `treshold`"),
        (("keys:\n", "kys:\n"), "1:1", "`keys` is missing"),
    ],
)
def test_a_policy_that_is_wrong_is_refused_with_the_place_of_the_fault(
    edit: tuple[str, str], place: str, words: str, tmp_path: Path, policy: Path
) -> None:
    old, new = edit
    assert old in POLICY
    policy.write_text(POLICY.replace(old, new, 1))
    with pytest.raises(DocumentError) as refused:
        Runtime.open(signed(COMPLIANCE, SECOND), store=tmp_path / "store", trust=policy, tools=TOOLS)
    found = [
        (f"{fault.line}:{fault.column}", fault.message)
        for fault in refused.value.faults
        if words in fault.message
    ]
    assert [where for where, _ in found] == [place]


def test_a_policy_without_fields_is_refused(tmp_path: Path, policy: Path) -> None:
    policy.write_text(POLICY.partition("fields:")[0] + "fields: {}\n")
    with pytest.raises(DocumentError, match="names no field"):
        Runtime.open(signed(COMPLIANCE, SECOND), store=tmp_path / "store", trust=policy, tools=TOOLS)


@pytest.mark.parametrize("field", ["identity", "memory", "lineage", "execution_state"])
def test_a_policy_on_any_field_guards_a_stored_head_against_an_unsigned_amendment(
    field: str, tmp_path: Path, policy: Path
) -> None:
    policy.write_text(POLICY.partition("fields:")[0] + f"fields:\n  {field}: {{keys: [compliance]}}\n")
    document = signed(COMPLIANCE)
    with open_store(tmp_path / "store") as store:
        watched = Runtime.open(document, store=store, trust=policy, tools=TOOLS)
        # What moves with every run needs no new signature.
        assert [watched.run("hello", caller=ANN).status for _ in range(2)] == ["completed"] * 2
        unwatched = Runtime.open(document, store=store, tools=TOOLS)
        rules = [{**AMENDERS, "id": "anybody-amends", "when": "true"}, AMENDERS]
        governance = {**unwatched.document.governance.value, "rules": rules}
        with pytest.raises(DocumentError, match="`governance` as it stands"):
            watched.amend(by=OPERATOR, reason="x", governance=governance)
        assert unwatched.amend(by=OPERATOR, reason="x", governance=governance).allowed
        with pytest.raises(DocumentError, match="`governance` as it stands"):
            watched.run("hello", caller=ANN)
        with pytest.raises(DocumentError, match="`governance` as it stands"):
            Runtime.open(document, store=store, trust=policy, tools=TOOLS)
        renewed = sign_document(unwatched.document, COMPLIANCE)
        trusted = Runtime.open(renewed, store=store, trust=policy, tools=TOOLS)
        assert trusted.run("hello", caller=ANN).status == "completed"


def test_a_document_is_never_checked_against_no_rule(policy: Path) -> None:
    with pytest.raises(ValueError, match="at least one rule"):
        check_trust(signed(COMPLIANCE), read_trust_file(policy), now="2026-01-01T00:00:00.000Z", rules=())
