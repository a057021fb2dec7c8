"""A pruned ledger as one uses it: what verified before, proves, is cosigned and exported as ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from store_places import StorePlace

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
OTTO = ("--as", "otto:records", "--reason", "the term is over")
LATE = ("--now", "2999-01-01", "--unsafe-future")


def test_a_pruned_ledger_verifies_proves_is_cosigned_and_exported(
    remit: Any, project: Callable[..., Path], store_place: StorePlace
) -> None:
    project()
    store = ("--store", store_place.address)
    assert remit("run", "desk", "please pay", *ANA, *store).code == 0
    assert remit("ledger", "checkpoint", *store, "-o", "held.note").code == 0
    old = len(remit("ledger", "show", *store, "--json").json)
    assert remit("keys", "new", "tower").code == 0
    with store_place.open(read_only=True) as opened:
        Path("log.pub").write_text(opened.verifier_key)
    witness = ("--log", "log.pub", "--key", "tower.key.pem", "--memory", "tower.json")
    assert remit("ledger", "witness", "held.note", *witness, "--first", "-o", "cosigned.note").code == 0

    done = remit(
        "ledger", "prune", "--to", str(old), *OTTO, *LATE, "--archive", "old.jsonl", *store, "--json"
    )
    assert (done.code, done.json["first"], done.json["before"]) == (0, 0, old), done.stderr
    archive = remit("ledger", "verify-archive", "old.jsonl", "--key", "log.pub", "--json")
    assert (archive.code, archive.json["size"]) == (0, old)

    ran = remit("run", "desk", "please pay", *ANA, *store, "--json")
    assert ran.code == 0
    held = ("--key", "log.pub", "--checkpoint", "held.note")
    report = remit("ledger", "verify", *store, *held, "--json")
    assert (report.code, report.json["complete_from"], report.json["findings"]) == (0, old, [])
    assert remit("ledger", "prove", "--checkpoint", "held.note", *store, "-o", "grown.proof").code == 0
    assert remit("ledger", "witness", "grown.proof", *witness, "-o", "grown.note").code == 0
    proof = remit("ledger", "prove", str(old + 1), *store, "-o", "record.proof")
    assert proof.code == 0, proof.stderr

    agent = ran.json["agent"]
    exported = remit(
        "evidence", "export", "--agent", agent, *store, "-o", "desk.zip", "--checkpoint", "held.note"
    )
    assert exported.code == 0, exported.stderr
    checked = remit("evidence", "verify", "desk.zip", "--key", "log.pub", "--json")
    assert (checked.code, checked.json["findings"]) == (0, []), checked.stdout
    assert remit("ledger", "export", "--format", "jsonl", *store, "-o", "out.jsonl").code == 0
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(old, old + report.json["size"]))


def test_a_verification_says_that_it_used_no_key_but_the_logs_own(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    store = ("--store", "desk/.remit")
    assert remit("run", "desk", "please pay", *ANA, *store).code == 0
    said = (
        "checked with the ledger's own key alone, and that does not show that nobody rewrote it: bring a key"
    )
    bare = remit("ledger", "verify", *store)
    assert (bare.code, said in " ".join(bare.stdout.split())) == (0, True)
    assert remit("ledger", "verify", *store, "--json").json["key"] == "own"
    assert remit("ledger", "checkpoint", *store, "-o", "held.note").code == 0
    held = remit("ledger", "verify", *store, "--checkpoint", "held.note")
    assert "and only what your checkpoints sign is shown not to be rewritten" in held.stdout
    keyed = remit("ledger", "verify", *store, "--key", "desk/.remit/log.pub")
    assert (keyed.code, "own key" in keyed.stdout) == (0, False)
    assert remit("ledger", "verify", *store, "--key", "desk/.remit/log.pub", "--json").json["key"] == "given"
    archive = (*OTTO, *LATE, "--to", "3", "--archive", "old.jsonl", *store)
    assert remit("ledger", "prune", *archive).code == 0
    assert "the archive's own key alone" in remit("ledger", "verify-archive", "old.jsonl").stdout
