"""A killed process loses nothing that was acknowledged."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from remit_adapters.sqlite_store import open_store

CHILD = Path(__file__).with_name("store_crash_child.py")


@pytest.mark.parametrize("how", ["submitter", "callers"])
def test_a_killed_appender_leaves_a_whole_log_with_everything_it_acknowledged(
    tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "store"
    chance = random.Random(7)
    acknowledged: dict[int, str] = {}
    for _ in range(15):
        with subprocess.Popen(
            [sys.executable, str(CHILD), str(folder), how], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline()]
            time.sleep(chance.random() * 0.1)
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.readlines()
        # The last line may be cut by the kill.
        for line in lines:
            if line.endswith("\n"):
                index, digest = line.split()
                assert acknowledged.setdefault(int(index), digest) == digest
        with closing(sqlite3.connect(folder / "store.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with open_store(folder) as store:
            report = store.verify()
            assert report.findings == ()
            found = {record.index: record.digest for record in store.records()}
            assert list(range(report.size)) == list(found)
            assert acknowledged.items() <= found.items()
    assert acknowledged
