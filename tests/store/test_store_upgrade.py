"""A store of an earlier schema version is brought up to date when it is opened for writing, and read as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from remit.errors import LedgerError
from remit.ports import Batch
from remit.testing.store_contract import contract_draft
from remit_adapters._sqlite_schema import SCHEMA_VERSION
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

VERSION_2 = (
    "DROP TABLE keys_left",
    "DROP INDEX entries_sealed",
    "DROP INDEX contents_sealed",
    "PRAGMA user_version=2",
)
VERSION_1 = (
    *VERSION_2,
    (
        "CREATE TABLE old (level INTEGER NOT NULL, idx INTEGER NOT NULL, digest BLOB NOT NULL,"
        " PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID"
    ),
    "INSERT INTO old SELECT level, idx, digest FROM nodes",
    "DROP TABLE nodes",
    "ALTER TABLE old RENAME TO nodes",
    (
        "CREATE TRIGGER nodes_stay_1 BEFORE UPDATE ON nodes"
        " BEGIN SELECT RAISE(ABORT, 'nodes are append-only'); END"
    ),
    (
        "CREATE TRIGGER nodes_stay_2 BEFORE DELETE ON nodes"
        " BEGIN SELECT RAISE(ABORT, 'nodes are append-only'); END"
    ),
    "PRAGMA user_version=1",
)


def edit(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def schema(folder: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        query = "SELECT type, name, tbl_name, replace(sql, '\"', '') FROM sqlite_schema ORDER BY name"
        return connection.execute(query).fetchall()


@pytest.fixture(params=[0, 1, 2, 7, 64, 1100])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store of version 1 with so many records."""
    with open_store(tmp_path / "store") as store:
        futures = [store.submit(Batch(records=(contract_draft(n=n),))) for n in range(request.param)]
        assert all(len(future.result(30)) == 1 for future in futures)
    edit(tmp_path / "store", *VERSION_1)
    return tmp_path / "store"


def test_a_store_of_version_1_is_read_as_it_is(folder: Path) -> None:
    before = schema(folder)
    with open_store(folder, read_only=True) as store:
        assert store.verify().intact
    assert before == schema(folder)


def test_a_store_of_version_1_goes_on_as_a_new_one_would(folder: Path, tmp_path: Path) -> None:
    with open_store(folder, read_only=True) as store:
        size = store.size()
    for more in range(1, 4):
        with open_store(folder) as store:
            assert store.commit(Batch(records=(contract_draft(),)), timeout_s=30)[0].index == size + more - 1
            assert store.verify().intact
    with open_store(tmp_path / "new"):
        pass
    assert schema(tmp_path / "new") == schema(folder)
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(folder: Path) -> None:
    edit(folder, "INSERT INTO nodes VALUES (99, -1, x'00')")
    before = schema(folder)
    with pytest.raises(LedgerError, match="no log can have"):
        open_store(folder)
    assert before == schema(folder)
