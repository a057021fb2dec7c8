"""Several processes on one store: all are served, and the log is one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

CHILD = """
import sys
from pathlib import Path
from remit.ports import Batch
from remit.testing.store_contract import contract_draft
from remit_adapters.sqlite_store import open_store

with open_store(Path(sys.argv[1])) as store:
    for n in range(int(sys.argv[3])):
        batch = Batch(records=(contract_draft(process=int(sys.argv[2]), n=n),))
        if n % 2:
            receipt = store.commit(batch, timeout_s=60)[0]
        else:
            receipt = store.submit(batch).result(60)[0]
        print(receipt.index, receipt.digest)
"""
PROCESSES, EACH = 4, 100


def test_processes_that_commit_at_once_share_one_log_without_gap_or_loss(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(number), str(EACH)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    acknowledged: dict[int, str] = {}
    for child in children:
        answer, _ = child.communicate(timeout=120)
        assert child.returncode == 0
        indexes = []
        for line in answer.splitlines():
            index, digest = line.split()
            indexes.append(int(index))
            assert acknowledged.setdefault(int(index), digest) == digest
        assert indexes == sorted(indexes)
        assert len(indexes) == EACH
    with open_store(folder) as store:
        assert {record.index: record.digest for record in store.records()} == acknowledged
        assert sorted(acknowledged) == list(range(PROCESSES * EACH))
        assert store.verify().intact
