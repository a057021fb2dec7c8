"""Turns at an agent's head among threads and hosts: an advisory lock of the session, which breaks with it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING

import psycopg

from remit.errors import LedgerError
from remit_adapters.postgres.connect import connect

if TYPE_CHECKING:
    from remit_adapters.postgres.place import Place


class Turns:
    """Holds the turns of one process; the connection is made at first need.

    Args:
        place: where.
        patience_s: as for every connection.
    """

    def __init__(self, place: Place, *, patience_s: float) -> None:
        self._place = place
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._connection: psycopg.Connection | None = None
        self._closed = False

    def take(self, agent: str) -> bool:
        """Take the turn if nobody has it."""
        with self._lock:
            if agent in self._held or self._closed:
                return False
            try:
                if self._connection is None or self._connection.closed:
                    # With the connection went the turns that it held.
                    self._held.clear()
                    self._connection = connect(self._place, name="turns", patience_s=self._patience_s)
                row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (self._number(agent),))
                taken = row.fetchone() == (True,)
            except (psycopg.Error, LedgerError):
                return False
            if taken:
                self._held.add(agent)
            return taken

    def end(self, agent: str) -> None:
        """Give the turn back."""
        with self._lock:
            if agent not in self._held:
                return
            self._held.discard(agent)
            with contextlib.suppress(psycopg.Error):
                if self._connection is not None:
                    self._connection.execute("SELECT pg_advisory_unlock(%s)", (self._number(agent),))

    def close(self) -> None:
        """Release the connection, and with it all turns."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                with contextlib.suppress(psycopg.Error):
                    self._connection.close()

    def _number(self, agent: str) -> int:
        text = f"remit/1/turn/{self._place.schema}/{agent}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 1
