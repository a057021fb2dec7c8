"""Erasing a person by destroying keys, as one types it: what is said of the keys, and what still verifies."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
LENA = ("--as", "lena:legal", "--reason", "case 4711")
STORE = ("--store", "desk/.remit")
ERASE = ("memory", "erase", "desk", "--subject", "p-17", *ANA)


@pytest.fixture
def visited(remit: Any, project: Callable[..., Path]) -> Path:
    folder = project()
    assert remit("run", "desk", "hello", *ANA).code == 0
    for subject in ("p-17", "p-18"):
        said = remit("memory", "remember", "desk", "visits", f"{subject} came by", "--subject", subject, *ANA)
        assert said.code == 0, said.stderr
    return folder


def agent_of(remit: Any) -> str:
    shown = remit("ledger", "show", "--kind", "decision", *STORE, "--json").json
    return str(shown[0]["record"]["agent"])


def test_an_erasure_says_which_keys_are_gone_and_what_keeps_the_others(remit: Any, visited: Path) -> None:
    first = remit(*ERASE)
    assert "no key of these entries is left" in first.stdout
    assert "the key of 2 ledger contents is kept: `--ledger` erases what needs it" in first.stdout
    second = remit(*ERASE, "--ledger")
    assert "no key of ledger contents about this person is left" in second.stdout
    assert remit(*ERASE, "--ledger", "--json").json["subject_keys_kept"] == {}
    assert "p-17" not in json.dumps(remit("ledger", "show", *STORE, "--json").json)
    assert remit("ledger", "verify", *STORE).code == 0
    assert [
        item["subject"] for item in remit("memory", "recall", "desk", "visits", *ANA, "--json").json["value"]
    ] == ["p-18"]
    assert visited.is_dir()


def test_an_erasure_that_is_denied_says_nothing_of_keys_and_destroys_none(remit: Any, visited: Path) -> None:
    keys = (visited / ".remit" / "subjects.db").read_bytes()
    denied = remit("memory", "erase", "desk", "--subject", "p-17", "--as", "eve", "--json")
    assert (denied.code, denied.json["subject_keys_kept"]) == (3, None)
    assert keys == (visited / ".remit" / "subjects.db").read_bytes()


def test_what_a_hold_keeps_keeps_its_key(remit: Any, visited: Path) -> None:
    assert remit("hold", "place", *LENA, "--kind", "decision", *STORE).code == 0
    done = remit(*ERASE, "--ledger", "--json")
    assert (done.code, done.json["subject_keys_kept"]) == (3, {"ledger": 2})
    assert "the key of 3 ledger contents is kept: what is kept needs it" in remit(*ERASE, "--ledger").stdout
    assert "p-17" in json.dumps(remit("ledger", "show", *STORE, "--json").json)
    assert visited.is_dir()


def test_the_name_in_a_hold_is_sealed_and_the_hold_covers_everybody_once_its_key_is_gone(
    remit: Any, visited: Path
) -> None:
    placed = ("hold", "place", *LENA, "--agent", agent_of(remit), "--subject", "p-17", *STORE)
    assert remit(*placed).code == 0
    assert b"p-17" not in (visited / ".remit" / "store.db").read_bytes()
    (hold,) = remit("hold", "list", *STORE, "--json").json["holds"]
    assert (hold["scope"]["subject"], hold["subject_hidden"]) == ("p-17", False)
    with closing(sqlite3.connect(visited / ".remit" / "subjects.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM keys")
    (hold,) = remit("hold", "list", *STORE, "--json").json["holds"]
    assert ("subject" in hold["scope"], hold["subject_hidden"]) == (False, True)
    held = remit("memory", "erase", "desk", "--subject", "p-18", *ANA)
    assert (held.code, "stands: case 4711" in held.stdout) == (3, True)


def test_a_bundle_about_an_agent_that_forgot_a_person_verifies(remit: Any, visited: Path) -> None:
    assert remit(*ERASE, "--ledger").code == 0
    done = remit("evidence", "export", "--agent", agent_of(remit), *STORE, "-o", "desk.zip")
    assert done.code == 0, done.stderr
    checked = remit("evidence", "verify", "desk.zip", "--key", "desk/.remit/log.pub", "--json")
    assert checked.code == 0, checked.stdout
    with zipfile.ZipFile("desk.zip") as bundle:
        assert [name for name in bundle.namelist() if b"p-17" in bundle.read(name)] == []
    assert visited.is_dir()


def test_keys_that_are_deleted_by_hand_erase_for_the_store_but_a_bundle_asks_for_the_record(
    remit: Any, visited: Path
) -> None:
    with closing(sqlite3.connect(visited / ".remit" / "subjects.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM keys")
    verified = remit("ledger", "verify", *STORE, "--json")
    assert (verified.code, len(verified.json["erased"])) == (0, 2)
    assert remit("evidence", "export", "--agent", agent_of(remit), *STORE, "-o", "desk.zip").code == 0
    checked = remit("evidence", "verify", "desk.zip", "--key", "desk/.remit/log.pub", "--json")
    problems = {finding["problem"] for finding in checked.json["findings"]}
    assert problems == {"its content is not here, and no record says that it was erased"}


def test_a_lost_key_file_is_told_in_one_sentence(remit: Any, visited: Path) -> None:
    (visited / ".remit" / "subjects.db").unlink()
    for arguments in (("memory", "list", "desk"), ("ledger", "verify", *STORE), ("run", "desk", "hi", *ANA)):
        lost = remit(*arguments)
        assert lost.code == 2
        assert "subjects.db` are missing: restore them; what is sealed cannot be read" in lost.stderr
        assert "Traceback" not in lost.stderr


def test_what_is_pruned_is_archived_readable_while_the_key_lives_and_takes_its_last_key_along(
    remit: Any, visited: Path
) -> None:
    late = ("--now", "2999-01-01", "--unsafe-future", "--as", "otto:records", "--reason", "the term is over")
    assert remit("ledger", "prune", "--to", "100", *late, "--archive", "old.jsonl", *STORE).code == 0
    assert "p-17" in Path("old.jsonl").read_text()
    assert remit("ledger", "verify-archive", "old.jsonl", "--key", "desk/.remit/log.pub").code == 0
    done = remit(*ERASE, "--ledger", "--json")
    assert done.json["subject_keys_kept"] == {}
    shutil.rmtree(visited / ".remit" / "cache", ignore_errors=True)
    assert remit("ledger", "verify", *STORE).code == 0
