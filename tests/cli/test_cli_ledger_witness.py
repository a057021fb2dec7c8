"""`remit ledger witness`: one host keeps the log, another remembers what it cosigned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
STORE = ("--store", "desk/.remit")
WITNESS = ("--log", "desk/.remit/log.pub", "--key", "tower.key.pem", "--memory", "tower.json")


@pytest.fixture
def tower(remit: Any, project: Callable[..., Path]) -> str:
    """A run, a witness's key in `tower.key.pem`, and its first cosigned checkpoint in `cosigned.note`."""
    project()
    assert remit("run", "desk", "please pay", *ANA).code == 0
    assert remit("keys", "new", "tower").code == 0
    assert remit("ledger", "checkpoint", *STORE, "-o", "first.note").code == 0
    assert remit("ledger", "witness", "first.note", *WITNESS, "--first", "-o", "cosigned.note").code == 0
    key = remit("ledger", "witness", "--key", "tower.key.pem")
    assert key.code == 0
    return key.stdout.strip()


def test_the_ledger_verifies_against_a_checkpoint_that_the_witness_cosigned(remit: Any, tower: str) -> None:
    done = remit("ledger", "verify", *STORE, "--checkpoint", "cosigned.note", "--witness", tower, "--json")
    assert done.code == 0
    assert done.json["witnessed_size"] == done.json["size"]


def test_a_quorum_that_is_not_there_is_a_finding(remit: Any, tower: str) -> None:
    remit("keys", "new", "second")
    other = remit("ledger", "witness", "--key", "second.key.pem").stdout.strip()
    both = ("--witness", tower, "--witness", other)
    given = ("ledger", "verify", *STORE, "--checkpoint", "cosigned.note", *both)
    assert remit(*given, "--quorum", "1").code == 0
    done = remit(*given)
    assert done.code == 1
    assert "no held checkpoint is cosigned by enough witnesses" in done.stdout
    assert remit("ledger", "verify", *STORE, "--witness", tower).code == 1
    assert remit(*given, "--quorum", "3").code == 2


def test_a_grown_log_is_cosigned_by_way_of_a_proof_from_the_last_time(remit: Any, tower: str) -> None:
    assert remit("run", "desk", "please pay", *ANA).code == 0
    remit("ledger", "checkpoint", *STORE, "-o", "grown.note")
    stale = remit("ledger", "witness", "grown.note", *WITNESS, "--json")
    assert (stale.code, stale.json["reason"]) == (1, "stale")
    remit("ledger", "prove", "--checkpoint", "cosigned.note", *STORE, "-o", "grown.proof")
    done = remit("ledger", "witness", "grown.proof", *WITNESS, "-o", "grown.note")
    assert done.code == 0
    again = remit("ledger", "verify", *STORE, "--checkpoint", "grown.note", "--witness", tower)
    assert again.code == 0
    old = remit("ledger", "witness", "first.note", *WITNESS, "--json")
    assert (old.code, old.json["reason"]) == (1, "smaller")


def test_the_second_of_two_forks_is_refused_although_the_key_of_the_log_signed_it(
    remit: Any, tower: str
) -> None:
    shutil.copytree("desk/.remit", "fork")
    for store in ("desk/.remit", "fork"):
        assert remit("run", "desk", "please pay", *ANA, "--store", store).code == 0
        remit(
            "ledger",
            "prove",
            "--checkpoint",
            "cosigned.note",
            "--store",
            store,
            "-o",
            f"{Path(store).name}.proof",
        )
    assert remit("ledger", "witness", ".remit.proof", *WITNESS).code == 0
    done = remit("ledger", "witness", "fork.proof", *WITNESS)
    assert done.code == 1
    assert "two histories were signed" in done.stderr
    assert done.stdout == ""


def test_a_memory_that_is_spoilt_is_not_taken_for_an_empty_one(remit: Any, tower: str) -> None:
    for text in ("[]", "{", '{"x": {"size": -1, "root": ""}}', '{"x": {"size": 1, "root": "00"}}'):
        Path("tower.json").write_text(text)
        done = remit("ledger", "witness", "first.note", *WITNESS)
        assert done.code == 2
        assert Path("tower.json").read_text() == text


def test_a_witness_without_a_memory_is_refused(remit: Any, tower: str) -> None:
    done = remit("ledger", "witness", "first.note", "--key", "tower.key.pem")
    assert done.code == 2
    assert "a witness needs `--log` and `--memory`" in done.stderr


@pytest.mark.parametrize("left", [None, "{}", '{"another.log": {"size": 0, "root": "%s"}}' % ("0" * 64)])
def test_a_witness_whose_memory_is_lost_cosigns_nothing_unless_it_is_told_that_it_is_the_first_time(
    left: str | None, remit: Any, tower: str
) -> None:
    memory = Path("tower.json")
    kept = memory.read_text()
    memory.unlink()
    if left is not None:
        memory.write_text(left)
    done = remit("ledger", "witness", "first.note", *WITNESS, "-o", "again.note")
    assert done.code == 2
    assert "restore it from a copy" in done.stderr
    assert not Path("again.note").exists()
    assert (memory.read_text() if memory.exists() else None) == left
    assert remit("ledger", "witness", "first.note", *WITNESS, "--first").code == 0
    assert set(json.loads(memory.read_text())) == {*json.loads(left or "{}"), *json.loads(kept)}


def test_what_a_witness_remembers_is_not_begun_anew(remit: Any, tower: str) -> None:
    before = Path("tower.json").read_text()
    done = remit("ledger", "witness", "first.note", *WITNESS, "--first")
    assert done.code == 2
    assert "it is not the first time" in done.stderr
    assert Path("tower.json").read_text() == before
