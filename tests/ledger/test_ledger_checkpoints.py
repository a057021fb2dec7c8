"""C2SP notes and checkpoints against a log that nobody here wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remit.document.merkle import consistency_proof, leaf_hash, root_of, verify_consistency
from remit.errors import LedgerError
from remit.ledger.checkpoint import (
    Checkpoint,
    VerifierKey,
    parse_checkpoint,
    parse_verifier_key,
    sign_checkpoint,
    verifier_key,
    verify_checkpoint,
)
from remit.ledger.report import RawRecord, StoredNote
from remit.ledger.tree import EMPTY_ROOT, Peaks, fold, node_number, peak_places
from remit.ledger.verification import verify_log
from remit_adapters.stores.key import FileSigner

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "tlog" / "log"
ORIGIN = "example.com/log/testdata"
KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"

vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the Tessera log vectors (../shared/data/tlog) are missing"
)


def entries() -> list[bytes]:
    data = (VECTORS / "tile" / "entries" / "000.p" / "15").read_bytes()
    found: list[bytes] = []
    while data:
        size = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def note(size: int) -> str:
    return (VECTORS / f"checkpoint.{size}").read_text(encoding="utf-8")


@pytest.fixture
def signer() -> FileSigner:
    return FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@vectors
@pytest.mark.parametrize("size", range(16))
def test_every_checkpoint_of_the_tessera_log_verifies_and_signs_the_root_over_its_entries(size: int) -> None:
    checkpoint = verify_checkpoint(note(size), [parse_verifier_key(KEY)], origin=ORIGIN)
    leaves = [leaf_hash(entry) for entry in entries()[:size]]
    peaks = Peaks()
    for leaf in leaves:
        peaks, _ = peaks.append(leaf)
    assert (size, root_of(leaves), peaks.root()) == (checkpoint.size, checkpoint.root, checkpoint.root)


@vectors
def test_the_stored_leaf_hashes_of_the_tessera_log_are_ours() -> None:
    for size in range(1, 16):
        tile = (VECTORS / "tile" / "0" / "000.p" / str(size)).read_bytes()
        assert b"".join(leaf_hash(entry) for entry in entries()[:size]) == tile


@vectors
def test_consistency_proofs_join_every_two_signed_sizes() -> None:
    leaves = [leaf_hash(entry) for entry in entries()]
    for old in range(1, 15):
        one, two = (parse_checkpoint(note(size)).checkpoint for size in (old, 15))
        proof = consistency_proof(leaves, old, 15)
        assert verify_consistency(
            old_size=old, new_size=15, old_root=one.root, new_root=two.root, proof=proof
        )


@vectors
def test_a_parsed_checkpoint_gives_back_exactly_the_signed_text() -> None:
    for size in range(16):
        signed = parse_checkpoint(note(size))
        assert signed.body == signed.checkpoint.body()


@vectors
def test_every_changed_character_of_a_foreign_checkpoint_is_refused() -> None:
    text = note(15)
    key = parse_verifier_key(KEY)
    for place in range(len(text)):
        changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        with pytest.raises(LedgerError):
            verify_checkpoint(changed, [key], origin=ORIGIN)


@vectors
def test_the_log_verifier_names_what_differs_in_a_log_it_did_not_write() -> None:
    rows = [RawRecord(index=i, leaf=leaf, kind="", agent="", run="") for i, leaf in enumerate(entries())]
    rows[6] = RawRecord(index=6, leaf=b"other", kind="", agent="", run="")
    report = verify_log(
        rows,
        checkpoints=[StoredNote(number=size, size=size, note=note(size)) for size in range(16)],
        verifier_keys=[parse_verifier_key(KEY)],
        origin=ORIGIN,
    )
    proved = [f for f in report.findings if "signed root" in f.problem]
    assert [(f.index, f.last) for f in proved] == [(6, 6)]


def test_the_verifier_key_text_is_that_of_the_published_vector() -> None:
    key = parse_verifier_key(KEY)
    assert (str(key), key.name, key.key_hash.hex()) == (KEY, ORIGIN, "33d7b496")


def test_a_signed_note_has_the_shape_of_c2sp_and_verifies(signer: FileSigner) -> None:
    checkpoint = Checkpoint(origin="remit.local/x", size=7, root=bytes(32))
    text = sign_checkpoint(checkpoint, signer)
    lines = text.split("\n")
    assert lines[:4] == ["remit.local/x", "7", "A" * 43 + "=", ""]
    assert lines[4].startswith(f"\u2014 {signer.name} ")
    assert lines[5:] == [""]
    assert checkpoint == verify_checkpoint(text, [verifier_key(signer)], origin="remit.local/x")


def test_signatures_by_unknown_keys_are_ignored_and_do_not_suffice(signer: FileSigner) -> None:
    other = FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    checkpoint = Checkpoint(origin="o", size=0, root=EMPTY_ROOT)
    one, two = sign_checkpoint(checkpoint, signer), sign_checkpoint(checkpoint, other)
    both = one + two.rpartition("\n\n")[2]
    assert checkpoint == verify_checkpoint(both, [verifier_key(signer)])
    assert checkpoint == verify_checkpoint(both, [verifier_key(other)])
    with pytest.raises(LedgerError, match="no known key signed"):
        verify_checkpoint(one, [verifier_key(other)])


def test_a_wrong_signature_by_a_known_key_voids_the_note(signer: FileSigner) -> None:
    text = sign_checkpoint(Checkpoint(origin="o", size=1, root=bytes(32)), signer)
    with pytest.raises(LedgerError, match="does not verify"):
        verify_checkpoint(text.replace("o\n1\n", "o\n2\n"), [verifier_key(signer)])


def test_a_checkpoint_about_another_log_is_refused(signer: FileSigner) -> None:
    text = sign_checkpoint(Checkpoint(origin="o", size=1, root=bytes(32)), signer)
    with pytest.raises(LedgerError, match="speaks about `o`, not about `p`"):
        verify_checkpoint(text, [verifier_key(signer)], origin="p")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        "o\n1\nAAAA\n\n",
        "o\n1\nAAAA\n\n\u2014 k AAAAAAAA\n",
        f"o\n01\n{'A' * 43}=\n\n\u2014 k AAAAAAAA\n",
        f"o\n-1\n{'A' * 43}=\n\n\u2014 k AAAAAAAA\n",
        f"o\n1\n{'A' * 43}=\n\n- k AAAAAAAA\n",
        f"o\n1\n{'A' * 43}=\n\n\u2014 k AAAA\n",
        f"o\n1\n{'A' * 43}=\n\n\u2014 k AAAAAAAA",
        f"o\n1\n{'A' * 42}B=\n\n\u2014 k AAAAAAAA\n",
        f"o\r\n1\n{'A' * 43}=\n\n\u2014 k AAAAAAAA\n",
        f"\n1\n{'A' * 43}=\n\n\u2014 k AAAAAAAA\n",
        "x" * (2 << 20),
    ],
)
def test_what_is_not_a_checkpoint_is_refused_with_one_message(text: str) -> None:
    with pytest.raises(LedgerError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "text", ["", "a", "a+b", "a+00000000+AAAA", KEY[:-1], KEY.replace("33d7", "33d8"), "a b" + KEY]
)
def test_what_is_not_a_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(LedgerError):
        parse_verifier_key(text)


def test_a_name_that_cannot_stand_in_a_note_cannot_sign() -> None:
    for name in ("", "a b", "a+b", "a\n"):
        with pytest.raises(LedgerError):
            verifier_key(Named(name))


class Named:
    def __init__(self, name: str) -> None:
        self.name = name
        self.public_key = bytes(32)

    def sign(self, message: bytes) -> bytes:
        return bytes(64)


def test_peaks_are_the_nodes_that_a_size_needs() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(70)]
    peaks = Peaks()
    nodes: dict[tuple[int, int], bytes] = {}
    for size, leaf in enumerate(leaves, start=1):
        peaks, made = peaks.append(leaf)
        numbers = range(len(nodes), len(nodes) + len(made))
        assert list(numbers) == [node_number(node.level, node.index) for node in made]
        nodes |= {(node.level, node.index): node.digest for node in made}
        assert root_of(leaves[:size]) == peaks.root() == fold([nodes[place] for place in peak_places(size)])


def test_keys_of_one_name_have_different_hashes() -> None:
    one, two = (VerifierKey(name="k", public_key=bytes([n] * 32)) for n in (1, 2))
    assert one.key_hash != two.key_hash
