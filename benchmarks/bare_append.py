"""Bare durable appends: what a program without Remit would do with the bytes that a call leaves.

None of these encodes, hashes, signs or checks anything; SQLite, WAL, synchronous FULL, as the store itself.

1. `Alone` on `OneTable`: one row of all the bytes in a table with one index, committed by its caller.
   What an ordinary program does for its audit trail.
2. `Alone` on `StoreTables`: the store's own rows, tables and indexes, committed by its caller.
3. `Grouped`: the same rows; one thread commits what is queued together, and callers wait for it.

The first two share a connection under a lock, or have one for each caller: of `OneTable` both are measured.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from remit_adapters._sqlite_keys import SEALING_SCHEMA
from remit_adapters._sqlite_schema import STORE_SCHEMA, connect, prepare_schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

GROUP = 256


@dataclass
class Rows:
    """What one authorization leaves in the file."""

    agent: str
    run: str
    records: list[tuple[bytes, str]] = field(default_factory=list)
    contents: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    note: str = ""

    def joined(self) -> bytes:
        """All bytes of it as one."""
        leaves = (leaf for leaf, _ in self.records)
        contents = (content for _, _, content in self.contents)
        return b"".join([*leaves, *contents, self.note.encode()])


class Appender(Protocol):
    """Writes one call's bytes within the transaction that `append` makes, `count` times."""

    def append(self, connection: sqlite3.Connection, count: int) -> None: ...


class OneTable:
    """One table with one index; one row a call, its only statement its transaction."""

    def __init__(self, connection: sqlite3.Connection, rows: Rows) -> None:
        self._row = (rows.agent, rows.joined())
        connection.execute(
            "CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, agent TEXT, body BLOB)"
        )
        connection.execute("CREATE INDEX IF NOT EXISTS log_by_agent ON log (agent, number)")

    def append(self, connection: sqlite3.Connection, count: int) -> None:
        for _ in range(count):
            connection.execute("INSERT INTO log (agent, body) VALUES (?, ?)", self._row)


class StoreTables:
    """The store's tables, with rows as the gate left them."""

    def __init__(self, connection: sqlite3.Connection, rows: Rows) -> None:
        prepare_schema(connection, STORE_SCHEMA + SEALING_SCHEMA, application=1)
        self._rows = rows
        self._random = random.Random(1)
        self._size = 0
        self._nodes = 0
        self._commits = 0

    def append(self, connection: sqlite3.Connection, count: int) -> None:
        execute = connection.execute
        executemany = connection.executemany
        execute("BEGIN IMMEDIATE")
        digest = bytes(32)
        records, contents, intents, nodes = [], [], [], []
        for _ in range(count):
            first = self._size
            for leaf, kind in self._rows.records:
                index = self._size
                records.append((index, leaf, kind, self._rows.agent, self._rows.run))
                if kind == "intent":
                    # As spread as digests are: what is compared touches as many pages.
                    intents.append((f"sha256:{self._random.getrandbits(256):064x}", index))
                nodes.append((self._nodes, 0, index, digest))
                self._nodes += 1
                level = 0
                while index & 1:
                    index >>= 1
                    level += 1
                    nodes.append((self._nodes, level, index, digest))
                    self._nodes += 1
                self._size += 1
            contents += [(first + offset, salt, content) for offset, salt, content in self._rows.contents]
        executemany("INSERT INTO records (idx, leaf, kind, agent, run) VALUES (?, ?, ?, ?, ?)", records)
        executemany("INSERT INTO contents (idx, salt, content) VALUES (?, ?, ?)", contents)
        executemany("INSERT INTO open_intents (digest, idx) VALUES (?, ?)", intents)
        executemany("INSERT INTO nodes (number, level, idx, digest) VALUES (?, ?, ?, ?)", nodes)
        execute(
            "INSERT INTO checkpoints (number, size, note) VALUES (?, ?, ?)",
            (self._commits, self._size, self._rows.note),
        )
        execute("COMMIT")
        self._commits += 1

    def settle(self, connection: sqlite3.Connection) -> None:
        """Close the open intents, as outcomes do."""
        connection.execute("DELETE FROM open_intents")


Tables = type[OneTable] | type[StoreTables]


class Alone:
    """Each caller commits its own append, by itself.

    Args:
        file: the database.
        rows: what is appended.
        tables: how it lies in the file.
        own: as many connections as there are callers at once; else one that they share under a lock.
    """

    def __init__(self, file: Path, rows: Rows, tables: Tables, *, own: bool = False) -> None:
        self._file = file
        self._own = own
        first = connect(file)
        self._tables = tables(first, rows)
        self._idle: deque[sqlite3.Connection] = deque([first])
        self._lock = threading.Lock()

    def call(self) -> None:
        if self._own:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = connect(self._file, busy_timeout_s=60)
            self._tables.append(connection, 1)
            self._idle.append(connection)
        else:
            with self._lock:
                self._tables.append(self._idle[0], 1)

    async def acall(self) -> None:
        # On the loop's own thread: it waits for the disk, but that is quicker than asking another thread.
        self.call()

    def settle(self) -> None:
        """Close the open intents, as outcomes do."""
        if isinstance(self._tables, StoreTables):
            self._tables.settle(self._idle[0])

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class Grouped:
    """One thread commits what is queued together (at most `GROUP`); each caller waits for its commit."""

    def __init__(self, connection: Any, tables: Any) -> None:
        self._connection = connection
        self._tables = tables
        self._queue: queue.SimpleQueue[Future[None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def call(self) -> None:
        self._submit().result(30)

    async def acall(self) -> None:
        await asyncio.wrap_future(self._submit())

    def settle(self) -> None:
        """Close the open intents, as outcomes do."""
        self._tables.settle(self._connection)

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _submit(self) -> Future[None]:
        future: Future[None] = Future()
        self._queue.put(future)
        return future

    def _work(self) -> None:
        while True:
            group = [self._queue.get()]
            while len(group) < GROUP and group[-1] is not None:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            waiting = [future for future in group if future is not None]
            if waiting:
                self._tables.append(self._connection, len(waiting))
                for future in waiting:
                    future.set_result(None)
            if group[-1] is None:
                return


def appenders(folder: Path, rows: Rows) -> dict[str, Callable[[], Alone | Grouped]]:
    """Makers of every bare append, each on a file of its own in `folder`."""

    def grouped() -> Grouped:
        connection = connect(folder / "grouped.db")
        return Grouped(connection, StoreTables(connection, rows))

    return {
        "one row": lambda: Alone(folder / "row.db", rows, OneTable),
        "one row, own": lambda: Alone(folder / "row-own.db", rows, OneTable, own=True),
        "alone": lambda: Alone(folder / "alone.db", rows, StoreTables),
        "grouped": grouped,
    }
