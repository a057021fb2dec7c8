"""The published contract, over the stores on SQLite and PostgreSQL and over the fake in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from remit.testing.memory_ledger import MemoryLedger
from remit.testing.store_contract import StoreContract
from remit_adapters.postgres_store import PostgresStore
from remit_adapters.postgres_store import open_store as open_postgres
from remit_adapters.sqlite_store import SqliteStore, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], SqliteStore]:
        return lambda: open_store(tmp_path / "store")


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def make_store(self, postgres_url: str) -> Callable[[], PostgresStore]:
        return lambda: open_postgres(postgres_url)


class _ClosableMemoryLedger(MemoryLedger):
    def close(self) -> None:
        """There is nothing to release."""


class TestMemoryLedger(StoreContract):
    exempt = {  # noqa: RUF012  # the contract declares it a class variable
        "unfinished": "the fake keeps no list of open intents",
        "two people lift a kill": "the fake has no persons",
    }

    @pytest.fixture
    def make_store(self) -> Callable[[], _ClosableMemoryLedger]:
        return _ClosableMemoryLedger
