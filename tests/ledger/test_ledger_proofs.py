"""Proofs from stored nodes: the same as from all leaves, for logs of every small size and one of a million."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remit.document.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of
from remit.errors import LedgerError
from remit.ledger.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    parse_verifier_key,
    sign_checkpoint,
    verify_checkpoint,
)
from remit.ledger.damage import LogTree
from remit.ledger.proofs import (
    InclusionProof,
    consistency_places,
    inclusion_places,
    parse_consistency,
    parse_inclusion,
    prove_consistency,
    prove_inclusion,
)
from remit.ports import Batch
from remit.records import Draft
from remit_adapters.postgres_store import open_store as open_postgres
from remit_adapters.sqlite_store import open_store
from remit_adapters.stores.key import FileSigner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit_adapters.postgres_store import PostgresStore
    from remit_adapters.sqlite_store import SqliteStore

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "tlog" / "log"
SIGNER = FileSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def leaves_of(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


class Nodes:
    """A lookup that counts."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.tree = LogTree(leaves=leaves, stored=None)
        self.asked = 0

    def __call__(self, places: Sequence[tuple[int, int]]) -> list[bytes]:
        self.asked += len(places)
        return [self.tree.computed(level, index) or b"" for level, index in places]


def note_of(leaves: Sequence[bytes], *, origin: str = "example.com/log") -> str:
    return sign_checkpoint(Checkpoint(origin=origin, size=len(leaves), root=root_of(leaves)), SIGNER)


def test_inclusion_proofs_are_those_of_rfc_9162_for_every_record_of_every_small_log() -> None:
    leaves = leaves_of(70)
    for size in range(1, 71):
        nodes, note = Nodes(leaves), note_of(leaves[:size])
        for index in range(size):
            proof = prove_inclusion(index, leaves[index], note, nodes)
            assert proof.hashes == inclusion_proof(leaves, index, size)


def test_consistency_proofs_are_those_of_rfc_9162_for_every_two_sizes_of_every_small_log() -> None:
    leaves = leaves_of(70)
    nodes = Nodes(leaves)
    for size in range(1, 71):
        note = note_of(leaves[:size])
        for old in range(1, size + 1):
            before = parse_checkpoint(note_of(leaves[:old])).checkpoint
            assert prove_consistency(before, note, nodes).hashes == consistency_proof(leaves, old, size)


def test_a_proof_of_a_million_records_reads_fewer_nodes_than_twice_the_height_of_the_tree() -> None:
    size = 1_000_003
    for index in (0, 1, 524_287, 524_288, 999_999, 1_000_002):
        assert sum(len(run) for run in inclusion_places(index, size)) <= 40
        assert sum(len(run) for run in consistency_places(index or 1, size)) <= 40


def test_a_proof_file_reads_back_as_it_was_written() -> None:
    leaves = leaves_of(21)
    inclusion = prove_inclusion(9, leaves[9], note_of(leaves), Nodes(leaves))
    consistency = prove_consistency(
        parse_checkpoint(note_of(leaves[:8])).checkpoint, note_of(leaves), Nodes(leaves)
    )
    assert parse_inclusion(str(inclusion)) == inclusion
    assert parse_consistency(str(consistency)) == consistency
    extra = str(inclusion).replace("index 9", "extra aGk=\nindex 9")
    assert parse_inclusion(extra) == inclusion


def test_a_proof_file_has_the_lines_that_c2sp_specifies() -> None:
    leaves = leaves_of(3)
    lines = str(prove_inclusion(2, leaves[2], note_of(leaves), Nodes(leaves))).split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 2"]
    assert [len(line) for line in lines[2:4]] == [44, 0]
    assert lines[4] == "example.com/log"
    assert lines[-1] == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\nindex 1\n",
        "c2sp.org/tlog-proof@v2\nindex 1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\nAA==\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\nnot base64\n\nnote",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 1\n\nnote",
        "c2sp.org/tlog-proof@v1\nindex 1\n" + "A" * 43 + "=\n" * 1 + ("A" * 43 + "=\n") * 63 + "\nnote",
    ],
)
def test_a_proof_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(LedgerError):
        parse_inclusion(text)


def test_every_changed_hash_index_and_leaf_spoils_a_proof() -> None:
    leaves = leaves_of(13)
    note = note_of(leaves)
    checkpoint = parse_checkpoint(note).checkpoint
    good = prove_inclusion(6, leaves[6], note, Nodes(leaves))
    assert good.proves(leaves[6], checkpoint)
    assert not good.proves(leaves[5], checkpoint)
    for place in range(len(good.hashes)):
        hashes = list(good.hashes)
        hashes[place] = bytes(32)
        assert not InclusionProof(index=6, hashes=tuple(hashes), note=note).proves(leaves[6], checkpoint)
    for index in {*range(13)} - {6}:
        assert not InclusionProof(index=index, hashes=good.hashes, note=note).proves(leaves[6], checkpoint)


def test_what_the_store_gives_is_not_believed() -> None:
    leaves = leaves_of(13)
    wrong = Nodes([*leaves[:4], bytes(32), *leaves[5:]])
    with pytest.raises(LedgerError, match="do not lead to the signed root"):
        prove_inclusion(6, leaves[6], note_of(leaves), wrong)
    with pytest.raises(LedgerError, match="does not extend"):
        prove_consistency(parse_checkpoint(note_of(leaves[:6])).checkpoint, note_of(leaves), wrong)


def test_a_checkpoint_that_is_newer_or_of_another_log_is_refused_by_name() -> None:
    leaves = leaves_of(5)
    newer = parse_checkpoint(note_of(leaves)).checkpoint
    other = parse_checkpoint(note_of(leaves[:2], origin="example.com/other")).checkpoint
    with pytest.raises(LedgerError, match="the tail was cut"):
        prove_consistency(newer, note_of(leaves[:3]), Nodes(leaves))
    with pytest.raises(LedgerError, match=r"is of `example\.com/other`"):
        prove_consistency(other, note_of(leaves), Nodes(leaves))


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the Tessera log vectors (../shared/data/tlog) are missing")
def test_proofs_of_the_tessera_log_lead_to_the_roots_that_its_own_key_signed() -> None:
    data = (VECTORS / "tile" / "0" / "000.p" / "15").read_bytes()
    leaves = [data[start : start + 32] for start in range(0, len(data), 32)]
    notes = [(VECTORS / f"checkpoint.{size}").read_text(encoding="utf-8") for size in range(1, 16)]
    for size, note in enumerate(notes, start=1):
        for index in range(size):
            assert prove_inclusion(index, leaves[index], note, Nodes(leaves)).note == note
    for before, after in pairwise(notes):
        assert prove_consistency(parse_checkpoint(before).checkpoint, after, Nodes(leaves)).note == after


def proves_all(opener: Callable[[], SqliteStore | PostgresStore]) -> None:
    """Make a log and prove every record of it, and that it extends every checkpoint that it ever had."""
    drafts = tuple(
        Draft(kind="control", agent="", run="", at="2026-01-01T00:00:00.000Z", body={"number": number})
        for number in range(23)
    )
    held: list[str] = []
    with opener() as store:
        for draft in drafts:
            store.submit(Batch(records=(draft,))).result()
            held.append(store.checkpoint())
        note = store.checkpoint()
        keys = [parse_verifier_key(key) for key in store.verifier_keys()]
        assert verify_checkpoint(note, keys).size == 23
        for row in store.raw():
            assert prove_inclusion(row.index, leaf_hash(row.leaf), note, store.tree_nodes).index == row.index
        for old in held:
            prove_consistency(parse_checkpoint(old).checkpoint, note, store.tree_nodes)
        assert [row.index for row in store.raw(start=20, stop=22)] == [20, 21]
        assert store.tree_nodes([(0, 23), (9, 9)]) == (b"", b"")


def test_a_store_in_a_folder_proves_each_of_its_records(tmp_path: Path) -> None:
    proves_all(lambda: open_store(tmp_path / "store"))


def test_a_store_on_a_server_proves_each_of_its_records(postgres_url: str) -> None:
    proves_all(lambda: open_postgres(postgres_url))
