"""Bare durable appends on PostgreSQL: what a program without Remit would do with the bytes of a call.

None of these encodes, hashes, signs or checks anything.

1. `PgRow`: one row of all the bytes in a table with one index, committed by its caller, on one of at most
   `CONNECTIONS` connections.
2. `PgAlone`: the store's own rows in the store's own tables, one statement and one transaction a call, on one
   connection under a lock.
3. `PgGrouped`: the same; one thread commits what is queued together, and callers wait for it.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import psycopg
from bare_append import Grouped

from remit_adapters.postgres.connect import connect
from remit_adapters.postgres.keys import TableKeys
from remit_adapters.postgres.log import append_rows
from remit_adapters.postgres.place import Place, place_of
from remit_adapters.postgres.schema import prepare_schema
from remit_adapters.stores.log_rows import Cell, LogRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from bare_append import Rows

PATIENCE_S = 60
CONNECTIONS = 32
"""A server takes a hundred, and there are others."""


class PgTables:
    """The store's tables, with rows as the gate left them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._random = random.Random(1)
        self._size = self._nodes = self._commits = 0

    def append(self, connection: psycopg.Connection, count: int) -> None:
        records: list[Cell] = []
        contents: list[Cell] = []
        intents: list[Cell] = []
        nodes: list[Cell] = []
        for _ in range(count):
            first = self._size
            for leaf, kind in self._rows.records:
                index = self._size
                records += (index, leaf, kind, self._rows.agent, self._rows.run)
                if kind == "intent":
                    intents += (f"sha256:{self._random.getrandbits(256):064x}", index)
                nodes += (self._nodes, 0, index, bytes(32))
                self._nodes += 1
                level = 0
                while index & 1:
                    index >>= 1
                    level += 1
                    nodes += (self._nodes, level, index, bytes(32))
                    self._nodes += 1
                self._size += 1
            for offset, salt, content in self._rows.contents:
                contents += (first + offset, salt, content)
        rows = LogRows(records=records, contents=contents, intents=intents, nodes=nodes, settled=[])
        with connection.pipeline():
            connection.execute("BEGIN")
            append_rows(connection, rows)
            connection.execute(
                "INSERT INTO checkpoints (number, size, note) VALUES (%s, %s, %s)",
                (self._commits, self._size, self._rows.note),
            )
            connection.execute("COMMIT")
        self._commits += 1

    def settle(self, connection: psycopg.Connection) -> None:
        """Close the open intents, as outcomes do."""
        connection.execute("DELETE FROM open_intents")


def _prepared(url: str) -> Place:
    place = place_of(url)
    prepare_schema(place, TableKeys)
    return place


class PgRow:
    """One row a call, its only statement its transaction, on a connection of the caller's own."""

    def __init__(self, url: str, rows: Rows) -> None:
        self._place = _prepared(url)
        self._row = (rows.agent, rows.joined())
        with psycopg.connect(self._place.conninfo) as owner:
            # A table of the bench's own, in its own schema, with the rights of the store's.
            owner.execute(f"SET search_path TO {self._place.schema}".encode())
            owner.execute(
                "CREATE TABLE log (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " agent text, body bytea);"
                " CREATE INDEX log_by_agent ON log (agent, number); GRANT INSERT ON log TO remit_writer"
            )
        self._idle: deque[psycopg.Connection] = deque()
        self._free = threading.Semaphore(CONNECTIONS)

    def call(self) -> None:
        with self._free:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = connect(self._place, name="bench", patience_s=PATIENCE_S)
            connection.execute("INSERT INTO log (agent, body) VALUES (%s, %b)", self._row)
            self._idle.append(connection)

    async def acall(self) -> None:
        self.call()

    def settle(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class PgAlone:
    """The store's rows, a transaction a call, on one connection under a lock."""

    def __init__(self, url: str, rows: Rows) -> None:
        self._connection = connect(_prepared(url), name="bench", patience_s=PATIENCE_S)
        self._tables = PgTables(rows)
        self._lock = threading.Lock()

    def call(self) -> None:
        with self._lock:
            self._tables.append(self._connection, 1)

    async def acall(self) -> None:
        self.call()

    def settle(self) -> None:
        """Close the open intents, as outcomes do."""
        self._tables.settle(self._connection)

    def close(self) -> None:
        self._connection.close()


def postgres_appenders(place: Callable[[], str], rows: Rows) -> dict[str, Callable[[], Any]]:
    """Makers of every bare append, each in a schema of its own."""

    def grouped() -> Grouped:
        connection = connect(_prepared(place()), name="bench", patience_s=PATIENCE_S)
        return Grouped(connection, PgTables(rows))

    return {
        "one row": lambda: PgRow(place(), rows),
        "alone": lambda: PgAlone(place(), rows),
        "grouped": grouped,
    }
