"""Packs are signed as documents are, and nothing that changed keeps its signature."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packs_world import PACK, RULES, make_pack, pack_at, write

from remit.document.signing import Ed25519Signer, TrustPolicy
from remit.errors import DocumentError
from remit.policy.packs.pack import manifest_bytes
from remit.project.build import write_whole
from remit.project.packs.folder import PackFolder, read_pack
from remit.project.packs.signatures import sign_pack, verify_pack

if TYPE_CHECKING:
    from pathlib import Path

LEGAL = Ed25519Signer("legal", bytes(range(32)))
RISK = Ed25519Signer("risk", bytes(range(1, 33)))
NOW = "2026-01-01T00:00:00.000Z"
TRUST = TrustPolicy(keys={"legal": LEGAL.public_key})


def _signed(folder: Path, *signers: Ed25519Signer) -> PackFolder:
    found = pack_at(folder)
    for signer in signers:
        relative, data = sign_pack(found, signer)
        path = found.folder / relative
        path.parent.mkdir(exist_ok=True)
        write_whole(path, data)
    return found


def test_a_signed_pack_verifies_with_the_verifiers_own_key(tmp_path: Path) -> None:
    assert verify_pack(_signed(tmp_path, LEGAL), TRUST, now=NOW) == ("legal",)


def test_the_signed_manifest_is_canonical_and_names_digest_and_evidence(tmp_path: Path) -> None:
    found = pack_at(tmp_path)
    text = manifest_bytes(found.pack, evidence=found.evidence()).decode()
    assert json.loads(text) == {
        "digest": found.pack.digest,
        "evidence": found.evidence(),
        "name": "caps",
        "spec": "remit/1/pack",
        "version": "1.0.0",
    }
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_two_people_can_be_asked_for(tmp_path: Path) -> None:
    trust = TrustPolicy(keys={"legal": LEGAL.public_key, "risk": RISK.public_key}, threshold=2)
    assert verify_pack(_signed(tmp_path, LEGAL, RISK), trust, now=NOW) == ("legal", "risk")
    with pytest.raises(DocumentError, match=r"the pack `caps` has 1 trusted signature\(s\), 2 needed"):
        verify_pack(_signed(tmp_path / "one", LEGAL), trust, now=NOW)


def test_an_unsigned_pack_does_not_verify(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="has 0 trusted signature"):
        verify_pack(pack_at(tmp_path), TRUST, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"rules/rules.yaml": RULES.replace("> ${cap}", ">= ${cap}", 1)},
        {"pack.yaml": PACK.replace("default: 500", "default: 5000")},
        {"README.md": "# caps\n\nCompliant.\n"},
        {"fixture/cases/cases.yaml": "cases: []\n"},
    ],
)
def test_whatever_changes_after_signing_is_found(change: dict[str, str], tmp_path: Path) -> None:
    write(_signed(tmp_path, LEGAL).folder, change)
    with pytest.raises(DocumentError, match="about other content than this pack, its cases and its page"):
        verify_pack(read_pack(tmp_path / "caps"), TRUST, now=NOW)


def test_line_ends_do_not_undo_a_signature(tmp_path: Path) -> None:
    found = _signed(tmp_path, LEGAL)
    for path in [*found.folder.rglob("*.yaml"), found.folder / "README.md"]:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert verify_pack(read_pack(tmp_path / "caps"), TRUST, now=NOW) == ("legal",)


def test_a_foreign_or_forged_signature_refuses_the_pack(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="the signature by `risk` is foreign"):
        verify_pack(_signed(tmp_path, LEGAL, RISK), TRUST, now=NOW)
    forged = Ed25519Signer("legal", bytes(range(2, 34)))
    with pytest.raises(DocumentError, match="the signature by `legal` does not verify"):
        verify_pack(_signed(tmp_path / "b", forged), TRUST, now=NOW)


def test_a_signature_of_a_document_is_none_of_a_pack(tmp_path: Path) -> None:
    found = _signed(tmp_path, LEGAL)
    path = found.folder / "signatures" / "legal.dsse.json"
    envelope = json.loads(path.read_text())
    envelope["payloadType"] = "application/vnd.remit.revision+json"
    path.write_text(json.dumps(envelope))
    with pytest.raises(DocumentError, match="about other content"):
        verify_pack(found, TRUST, now=NOW)


@pytest.mark.parametrize(
    ("text", "wanted"), [("[]", "a signature is a list"), ("{", "caps/signatures/legal")]
)
def test_a_damaged_signature_file_is_told(text: str, wanted: str, tmp_path: Path) -> None:
    make_pack(tmp_path)
    found = read_pack(write(tmp_path / "caps", {"signatures/legal.dsse.json": text}))
    with pytest.raises(DocumentError, match=wanted):
        verify_pack(found, TRUST, now=NOW)


def test_a_key_name_that_would_leave_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="is no file name"):
        sign_pack(pack_at(tmp_path), Ed25519Signer("../legal", bytes(32)))
