"""A little of `make torture`: killed at random, on a failing disk, stopped under load."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from postgres_server import server_url

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not sys.platform.startswith("linux"),
    reason="the torture forks its workers and preloads a failing file system: Linux only",
)


def tortured(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, HERE / program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "held" in done.stdout.splitlines()
    return done.stdout


def count(what: str, told: str) -> int:
    found = re.search(rf"^ *([\d,]+) {what}$", told, re.MULTILINE)
    return int(found[1].replace(",", "")) if found else 0


def test_what_was_confirmed_outlives_any_kill_and_nothing_happens_twice_or_undecided() -> None:
    told = tortured("torture.py", "--kills", "16", "--check-every", "16", "--seed", "11", "--longest", "2")
    assert count("kills", told) == 16
    assert count("effects", told) > 0
    assert count("memory confirmed", told) > 0


@pytest.fixture
def server() -> str:
    found = server_url()
    if found is None:
        pytest.skip("no PostgreSQL server is reachable; name one in REMIT_TEST_POSTGRESQL")
    return found


def test_what_was_confirmed_outlives_kills_and_cut_connections_on_postgresql(server: str) -> None:
    told = tortured(
        *("torture.py", "--kills", "9", "--check-every", "9", "--seed", "5"),
        *("--longest", "3", "--store", server),
    )
    assert count("kills", told) == 9
    assert count("connections cut", told) > 0
    assert count("memory confirmed", told) > 0


def test_a_kill_under_load_is_the_last_word_on_postgresql(server: str) -> None:
    told = tortured("torture_kill.py", "--runs", "1", "--store", server)
    assert "1 of 1 runs" in told


def test_hosts_that_move_one_head_at_once_lose_nothing(server: str) -> None:
    told = tortured("torture_heads.py", "--mutations", "60", "--threads", "2", "--store", server)
    assert count("operations in the lineage", told) >= count("mutations confirmed", told) > 0
    assert count("not confirmed, but done", told) == 0


@pytest.mark.skipif(shutil.which("cc") is None, reason="the failing file system needs a C compiler")
def test_what_was_confirmed_outlives_a_failing_disk() -> None:
    told = tortured("torture_disk.py", "--rounds", "2", "--seconds", "2", "--one-in", "40")
    assert count("rounds with EIO", told) == count("rounds with ENOSPC", told) == 1
    assert count("refused with LedgerError", told) > 0, told
    assert count("memory confirmed", told) > 0


def test_a_kill_under_load_is_the_last_word() -> None:
    told = tortured("torture_kill.py", "--runs", "2")
    assert "2 of 2 runs" in told


def test_the_checks_find_what_they_are_for(tmp_path: Path) -> None:
    """An effect without a decision, one that happened twice, and a confirmation of what is not there."""
    sys.path.insert(0, str(HERE))
    try:
        from torture_world import work  # likewise

        from torture import checked, forked  # beside this file
    finally:
        sys.path.remove(str(HERE))
    store = str(tmp_path / "store")
    _, status = os.waitpid(forked(lambda: work(store, tmp_path, 0, seconds=2)), 0)
    assert status == 0
    assert checked(store, tmp_path, 0)[1] == []
    effects = (tmp_path / "effects").read_text()
    (tmp_path / "effects").write_text(effects + effects.splitlines()[0] + "\n" + "nobody 00\n")
    with (tmp_path / "acks").open("a") as acks:
        acks.write("remembered never\npaid nobody\n")
    faults = "\n".join(checked(store, tmp_path, 0)[1])
    assert "paid 2 times" in faults
    assert "run nobody paid without a decision that allowed it" in faults
    assert "memory `never` was confirmed and is there 0 times" in faults
    assert "run nobody was confirmed and has no outcome" in faults
