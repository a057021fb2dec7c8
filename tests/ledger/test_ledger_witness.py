"""A witness cosigns one history of a log and no other, and forgets nothing that it said."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from remit.document.merkle import leaf_hash, root_of
from remit.document.signing import Ed25519Signer
from remit.errors import LedgerError
from remit.ledger.checkpoint import (
    COSIGNATURE,
    Checkpoint,
    parse_checkpoint,
    parse_verifier_key,
    sign_checkpoint,
    verifier_key,
    verify_checkpoint,
)
from remit.ledger.cosignature import Quorum, cosign, cosignatures
from remit.ledger.damage import LogTree
from remit.ledger.proofs import prove_consistency
from remit.ledger.witness import Cosigned, Refused, Seen, answer_request

LOG = Ed25519Signer("example.com/log", bytes(range(32)))
TOWER = Ed25519Signer("example.com/tower", bytes([7] * 32))
OTHER = Ed25519Signer("example.com/other", bytes([9] * 32))
KEYS = [verifier_key(LOG)]


def leaves_of(count: int, fork: str = "") -> list[bytes]:
    return [leaf_hash(f"{fork}{number}".encode()) for number in range(count)]


def note_of(leaves: list[bytes]) -> str:
    return sign_checkpoint(Checkpoint(origin=LOG.name, size=len(leaves), root=root_of(leaves)), LOG)


def request(old: list[bytes], new: list[bytes]) -> str:
    """What an honest log sends: a proof from `old`, whatever it holds now."""
    tree = LogTree(leaves=new, stored=None)
    before = parse_checkpoint(note_of(old)).checkpoint
    return str(
        prove_consistency(before, note_of(new), lambda places: [tree.computed(*at) or b"" for at in places])
    )


@dataclass
class Tower:
    """A witness with its memory."""

    seen: Seen | None = None
    answers: list[Cosigned | Refused] = field(default_factory=list)

    def ask(self, text: str, *, at_s: int = 1_800_000_000) -> Cosigned | Refused:
        def remember(seen: Seen) -> None:
            self.seen = seen

        answer = answer_request(
            text, origin=LOG.name, keys=KEYS, signer=TOWER, at_s=at_s, seen=self.seen, remember=remember
        )
        self.answers.append(answer)
        return answer


def test_a_cosignature_is_the_line_that_c2sp_specifies() -> None:
    note = note_of(leaves_of(3))
    line = cosign(note, TOWER, at_s=1679315147).removeprefix(note)
    dash, name, payload = line.rstrip("\n").split(" ")
    data = base64.b64decode(payload)
    assert (dash, name) == ("\u2014", TOWER.name)
    assert data[:4] == verifier_key(TOWER, type=b"\x04").key_hash
    assert int.from_bytes(data[4:12], "big") == 1679315147
    body = note.partition("\n\n")[0] + "\n"
    Ed25519PrivateKey.from_private_bytes(bytes([7] * 32)).public_key().verify(
        data[12:], f"cosignature/v1\ntime 1679315147\n{body}".encode()
    )


def test_a_cosigned_checkpoint_still_verifies_by_the_key_of_the_log() -> None:
    note = cosign(note_of(leaves_of(3)), TOWER, at_s=5)
    assert verify_checkpoint(note, KEYS).size == 3


def test_the_key_of_a_log_is_not_taken_for_that_of_a_witness_nor_the_other_way_round() -> None:
    text = str(verifier_key(TOWER, type=COSIGNATURE))
    assert parse_verifier_key(text, type=COSIGNATURE).key_hash != verifier_key(TOWER).key_hash
    with pytest.raises(LedgerError, match="not the key of a log"):
        parse_verifier_key(text)
    with pytest.raises(LedgerError, match="not the key of a witness"):
        parse_verifier_key(str(verifier_key(TOWER)), type=COSIGNATURE)


def test_a_log_that_grows_is_cosigned_each_time() -> None:
    tower, leaves = Tower(), leaves_of(40)
    assert isinstance(tower.ask(note_of(leaves[:5])), Cosigned)
    for old, new in ((5, 6), (6, 6), (6, 32), (32, 40)):
        answer = tower.ask(request(leaves[:old], leaves[:new]))
        assert isinstance(answer, Cosigned)
        assert [one.witness for one in Quorum.of([key_of(TOWER)], 1).check(answer.note)] == [TOWER.name]
    assert tower.seen == Seen(size=40, root=root_of(leaves))


def key_of(signer: Ed25519Signer) -> str:
    return str(verifier_key(signer, type=COSIGNATURE))


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 29))
def test_of_two_forks_only_the_first_is_cosigned(first: int, second: int, common: int) -> None:
    common = min(common, first - 1, second - 1)
    one = leaves_of(first)
    two = one[:common] + leaves_of(second, "fork ")[common:]
    tower = Tower()
    assert isinstance(tower.ask(note_of(one)), Cosigned)
    remembered = tower.seen
    tries = [note_of(two), *(request(two[:size], two) for size in range(1, second + 1))]
    for text in tries:
        answer = tower.ask(text)
        assert isinstance(answer, Refused)
        assert answer.size == first
    assert tower.seen == remembered


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (note_of(leaves_of(8, "fork ")), "fork"),
        (request(leaves_of(8, "fork "), leaves_of(9)[:0] + leaves_of(9, "fork ")), "fork"),
        (note_of(leaves_of(7)), "smaller"),
        (request(leaves_of(4), leaves_of(9)), "stale"),
        (note_of(leaves_of(9)), "stale"),
    ],
)
def test_a_refusal_says_whether_it_is_a_fork_a_smaller_log_or_a_stale_proof(text: str, reason: str) -> None:
    tower = Tower()
    tower.ask(note_of(leaves_of(8)))
    answer = tower.ask(text)
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.size) == (reason, 8)


def test_nothing_is_answered_where_it_cannot_be_remembered() -> None:
    def full(seen: Seen) -> None:
        raise LedgerError("the disk is full")

    with pytest.raises(LedgerError, match="the disk is full"):
        answer_request(
            note_of(leaves_of(3)),
            origin=LOG.name,
            keys=KEYS,
            signer=TOWER,
            at_s=1,
            seen=None,
            remember=full,
        )


def test_a_checkpoint_that_the_log_did_not_sign_is_not_even_remembered() -> None:
    tower = Tower()
    forged = sign_checkpoint(Checkpoint(origin=LOG.name, size=3, root=bytes(32)), OTHER)
    with pytest.raises(LedgerError, match="no known key signed"):
        tower.ask(forged)
    foreign = sign_checkpoint(Checkpoint(origin="example.com/elsewhere", size=3, root=bytes(32)), LOG)
    with pytest.raises(LedgerError, match="speaks about"):
        tower.ask(foreign)
    assert tower.seen is None


def test_a_quorum_counts_each_known_witness_once() -> None:
    note = cosign(cosign(note_of(leaves_of(3)), TOWER, at_s=5), TOWER, at_s=6)
    keys = [key_of(TOWER), key_of(OTHER)]
    assert [one.cosigned_at_s for one in Quorum.of(keys, 1).check(note)] == [6]
    with pytest.raises(LedgerError, match=r"1 of 2 known witnesses cosigned .* 2 are needed"):
        Quorum.of(keys, 2).check(note)
    with pytest.raises(LedgerError, match="2 are needed"):
        Quorum.of(keys, None).check(note)
    assert len(Quorum.of(keys, 2).check(cosign(note, OTHER, at_s=7))) == 2
    with pytest.raises(LedgerError, match="0 of 1 known"):
        Quorum.of([key_of(OTHER)], None).check(note)


@pytest.mark.parametrize(("keys", "needed"), [(1, 2), (0, 1)])
def test_a_quorum_that_cannot_be_is_refused(keys: int, needed: int) -> None:
    with pytest.raises(LedgerError, match="cannot be"):
        Quorum.of([key_of(TOWER)][:keys], needed)


def test_a_wrong_cosignature_of_a_known_witness_voids_the_note() -> None:
    note = cosign(note_of(leaves_of(3)), TOWER, at_s=5)
    head, _, payload = note.rstrip("\n").rpartition(" ")
    for place in range(4, 76):
        data = bytearray(base64.b64decode(payload))
        data[place] ^= 1
        changed = parse_checkpoint(f"{head} {base64.b64encode(bytes(data)).decode()}\n")
        with pytest.raises(LedgerError, match="does not verify"):
            cosignatures(changed, [parse_verifier_key(key_of(TOWER), type=COSIGNATURE)])
