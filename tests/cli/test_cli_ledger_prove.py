"""`remit ledger prove` and `checkpoint`: what an auditor is handed checks without the store."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from remit.document.merkle import leaf_hash
from remit.ledger.checkpoint import parse_checkpoint, parse_verifier_key, verify_checkpoint
from remit.ledger.proofs import parse_consistency, parse_inclusion

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")


@pytest.fixture
def held(remit: Any, project: Callable[..., Path]) -> str:
    """A run in `desk/.remit`, a checkpoint of it in `held.note`, and another run."""
    project()
    assert remit("run", "desk", "please pay", *ANA).code == 0
    assert remit("ledger", "checkpoint", "--store", "desk/.remit", "-o", "held.note").code == 0
    assert remit("run", "desk", "please pay", *ANA).code == 0
    return Path("held.note").read_text()


def test_a_record_is_proved_by_index_and_by_digest_in_a_file_of_its_own(remit: Any, held: str) -> None:
    shown = remit("ledger", "show", "--store", "desk/.remit", "--kind", "decision", "--json").json
    key = parse_verifier_key(Path("desk/.remit/log.pub").read_text())
    for record in shown[:3]:
        done = remit(
            "ledger", "prove", str(record["index"]), "--store", "desk/.remit", "-o", "one.proof", "--json"
        )
        assert done.code == 0
        leaf = base64.b64decode(done.json["leaf"])
        proof = parse_inclusion(Path("one.proof").read_text())
        assert proof.proves(leaf_hash(leaf), verify_checkpoint(proof.note, [key]))
        again = remit("ledger", "prove", record["digest"][:20], "--store", "desk/.remit")
        assert (again.code, again.stdout) == (0, Path("one.proof").read_text())


def test_the_log_is_proved_to_extend_a_checkpoint_that_was_kept_elsewhere(remit: Any, held: str) -> None:
    done = remit("ledger", "prove", "--checkpoint", "held.note", "--store", "desk/.remit", "-o", "c.proof")
    assert (done.code, done.stdout) == (0, "wrote c.proof\n")
    proof = parse_consistency(Path("c.proof").read_text())
    old = parse_checkpoint(held).checkpoint
    assert proof.old_size == old.size
    assert proof.proves(old.root, parse_checkpoint(proof.note).checkpoint)


def test_both_proofs_go_into_two_files(remit: Any, held: str) -> None:
    both = ("ledger", "prove", "3", "--checkpoint", "held.note", "--store", "desk/.remit")
    assert remit(*both, "-o", "p").code == 0
    assert parse_inclusion(Path("p").read_text()).index == 3
    assert parse_consistency(Path("p.consistency").read_text()).old_size > 3
    assert {"proof", "consistency"} <= remit(*both, "--json").json.keys()
    refused = remit(*both)
    assert refused.code == 2
    assert "two proofs do not go into one output" in refused.stderr


def test_a_checkpoint_that_the_log_does_not_extend_is_bad_input_and_says_why(remit: Any, held: str) -> None:
    lines = held.split("\n")
    lines[2] = base64.b64encode(bytes(32)).decode()
    Path("other.note").write_text("\n".join(lines))
    done = remit("ledger", "prove", "--checkpoint", "other.note", "--store", "desk/.remit")
    assert done.code == 2
    assert "the log does not extend the checkpoint" in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("9999",), "the log holds no record 9999"),
        (("nobody",), "`nobody` is no record"),
        (("0000000000000000000000",), "no record has the digest"),
        ((), "nothing is to be proved"),
    ],
)
def test_what_is_no_record_is_bad_input(remit: Any, held: str, given: tuple[str, ...], said: str) -> None:
    done = remit("ledger", "prove", *given, "--store", "desk/.remit")
    assert done.code == 2
    assert said in done.stderr
