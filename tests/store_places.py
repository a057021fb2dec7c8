"""Where a test keeps a store, a folder or a database, and what somebody does there behind the store's back."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from postgres_server import server_url

if TYPE_CHECKING:
    from pathlib import Path

    from remit.ports import Clock
    from remit_adapters.postgres_store import PostgresStore
    from remit_adapters.sqlite_store import SqliteStore

KINDS = ("folder", "database")

Statement = tuple[str, tuple[object, ...]]


class StorePlace(ABC):
    """One place of one store. Statements have `?` where a value goes."""

    @property
    @abstractmethod
    def address(self) -> str:
        """What `--store` or `REMIT_STORE` would say."""

    @abstractmethod
    def open(self, *, clock: Clock | None = None, read_only: bool = False) -> SqliteStore | PostgresStore:
        """Open the store."""

    @abstractmethod
    def ask(self, statement: str, *values: object) -> list[Any]:
        """Ask as the owner, with every guard in place."""

    @abstractmethod
    def edit(self, *statements: Statement) -> None:
        """Change what lies there as an owner may who switched the guards off for good."""


@dataclass(frozen=True, kw_only=True)
class Folder(StorePlace):
    """A store on SQLite."""

    path: Path

    @property
    def address(self) -> str:
        return str(self.path)

    def open(self, *, clock: Clock | None = None, read_only: bool = False) -> SqliteStore:
        from remit_adapters.sqlite_store import open_store

        return open_store(self.path, clock=clock, read_only=read_only)

    def ask(self, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.path / "store.db", isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def edit(self, *statements: Statement) -> None:
        with closing(sqlite3.connect(self.path / "store.db")) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            for statement, values in statements:
                connection.execute(statement, values)
            connection.commit()


@dataclass(frozen=True, kw_only=True)
class Database(StorePlace):
    """A store on PostgreSQL."""

    url: str

    @property
    def address(self) -> str:
        return self.url

    @property
    def schema(self) -> str:
        """Name of its schema."""
        from remit_adapters.postgres.place import place_of

        return place_of(self.url).schema

    def open(self, *, clock: Clock | None = None, read_only: bool = False) -> PostgresStore:
        from remit_adapters.postgres_store import open_store

        return open_store(self.url, clock=clock, read_only=read_only)

    def ask(self, statement: str, *values: object, role: str = "") -> list[Any]:
        with closing(self._connect()) as connection:
            if role:
                connection.execute(f"SET ROLE {role}")
            found = connection.execute(statement.replace("?", "%s"), values or None)
            return found.fetchall() if found.description else []

    def edit(self, *statements: Statement) -> None:
        with closing(self._connect()) as connection, connection.transaction():
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s", (self.schema,)
            ).fetchall()
            for (name,) in tables:
                connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER, DISABLE ROW LEVEL SECURITY")
            for statement, values in statements:
                connection.execute(statement.replace("?", "%s"), values or None)

    def _connect(self) -> Any:
        import psycopg

        server = server_url()
        assert server is not None
        return psycopg.connect(server, autocommit=True, options=f"-c search_path={self.schema}")
