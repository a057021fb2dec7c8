"""Several processes on one store: all are served, and the log is one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from remit_adapters._sqlite_schema import STORE_SCHEMA, connect, prepare_schema, schema_version
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


@pytest.mark.parametrize("statement", ["PRAGMA user_version", "PRAGMA application_id"])
def test_a_store_that_another_process_makes_meanwhile_is_not_taken_for_somebody_elses(
    tmp_path: Path, statement: str
) -> None:
    file = tmp_path / "store.db"

    class Interrupted(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            found = super().execute(sql, *parameters)
            if sql == statement and not made:
                with closing(connect(file)) as other:
                    made.append(sql)
                    prepare_schema(other, STORE_SCHEMA, application=7)
            return found

    made: list[str] = []
    connect(file).close()
    with closing(sqlite3.connect(file, isolation_level=None, factory=Interrupted)) as connection:
        prepare_schema(connection, STORE_SCHEMA, application=7)
        assert made == [statement]
        assert schema_version(connection, application=7) > 0
