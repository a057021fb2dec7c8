"""Control state on PostgreSQL: kill and suspend, on connections of their own.

Rules
1. `stop` and `lift` are durable before they return.
2. `in_force` asks the table each time: it sees every order that any host gave before it was called.
   Callers that ask at the same time share one answer, if the server was asked after all of them had come.
3. `glance` may be late: it believes what was read last while the server would have told of a change, at most
   `RECHECK_S`. It is for watching over what is under way, never for deciding whether an effect may begin.
   LISTEN/NOTIFY is the hint, the row is the truth: after a connection that broke, and every `RECHECK_S`, the
   table is asked again.
4. A suspend never weakens a kill that stands on its scope; a kill is lifted only by somebody else.
5. Whatever cannot be read is a `LedgerError`; callers deny.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
from psycopg import sql

from remit.errors import LedgerError
from remit.ports import Stop
from remit_adapters.postgres.connect import connect
from remit_adapters.postgres.errors import refusals_named
from remit_adapters.stores.orders import check_order, first_in_force, require_lifter, require_other

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit_adapters.postgres.place import Place

RECHECK_S: Final = 1.0
PATIENCE_S: Final = 5.0
_T = TypeVar("_T")


class PostgresControl:
    """The port `ControlState`; usable from several threads.

    Args:
        place: where.
        read_only: refuse `stop` and `lift`.

    Raises:
        LedgerError: the server cannot be used.
    """

    def __init__(self, place: Place, *, read_only: bool = False) -> None:
        self._place = place
        self._read_only = read_only
        self._process = os.getpid()
        self._closed = False
        self._calls = itertools.count(1)
        self._lock = threading.Lock()
        # When the newest answer was asked for, in calls; and what it was.
        self._view: tuple[int, tuple[Stop, ...]] = (0, ())
        self._read_at = 0.0
        self._heard = True
        self._listening: psycopg.Connection | None = None
        self._listener_lock = threading.Lock()
        with refusals_named(place.shown, "open the control state"):
            self._reader = self._connect("control")
            self._giver = self._reader if read_only else self._connect("orders")
        self._giving = threading.Lock()

    def stop(self, order: Stop) -> None:
        """Make an order durable before returning; a suspend leaves a standing kill as it is.

        Raises:
            LedgerError: a malformed order, or it cannot be written.
        """
        check_order(order)

        def give(connection: psycopg.Connection) -> None:
            connection.execute(
                "INSERT INTO standing (scope, stop, given_by, reason, at) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (scope) DO UPDATE SET stop = excluded.stop, given_by = excluded.given_by,"
                " reason = excluded.reason, at = excluded.at WHERE standing.stop <> 'kill'",
                (order.scope, order.order, order.by, order.reason, order.at),
            )
            _journal(connection, order.order, order)

        self._change(f"record the order on `{order.scope}`", give)

    def lift(self, scope: str, *, by: str, reason: str, at: str) -> bool:
        """Withdraw the order on `scope`; False if there was none.

        Raises:
            EnforcementError: a kill may not be lifted by who gave it.
            LedgerError: it cannot be written.
        """
        require_lifter(scope, by)

        def withdraw(connection: psycopg.Connection) -> bool:
            row = connection.execute(
                "SELECT stop, given_by FROM standing WHERE scope = %s FOR UPDATE", (scope,)
            ).fetchone()
            if row is None:
                return False
            require_other(scope, str(row[0]), str(row[1]), by)
            connection.execute("DELETE FROM standing WHERE scope = %s", (scope,))
            _journal(connection, "lift", Stop(scope=scope, order="", by=by, reason=reason, at=at))
            return True

        return self._change(f"lift the order on `{scope}`", withdraw)

    def in_force(self, scopes: Sequence[str]) -> Stop | None:
        """The first order that stands on any of `scopes` (a kill before a suspend), or None.

        Raises:
            LedgerError: the state cannot be read; callers deny.
        """
        return first_in_force(self.standing(), scopes)

    def glance(self, scopes: Sequence[str]) -> Stop | None:
        """Like `in_force`, at most `RECHECK_S` late (rule 3).

        Raises:
            LedgerError: the state cannot be read.
        """
        self._require_usable()
        if self._told_of_nothing() and time.monotonic() - self._read_at < RECHECK_S:
            return first_in_force(self._view[1], scopes)
        return self.in_force(scopes)

    def standing(self) -> tuple[Stop, ...]:
        """All orders that stand, by scope.

        Raises:
            LedgerError: the state cannot be read.
        """
        call = next(self._calls)
        with self._lock:
            asked, stops = self._view
            if asked > call:
                # The server was asked after this call had begun.
                return stops
            self._require_usable()
            with refusals_named(self._place.shown, "read the control state"):
                asked, began = next(self._calls), time.monotonic()
                stops = self._read()
                self._view, self._read_at = (asked, stops), began
            return stops

    def close(self) -> None:
        """Release the connections; idempotent."""
        self._closed = True
        with self._lock, self._giving, self._listener_lock:
            for connection in (self._reader, self._giver, self._listening):
                if connection is not None:
                    with contextlib.suppress(psycopg.Error):
                        connection.close()

    def _read(self) -> tuple[Stop, ...]:
        try:
            return self._select(self._reader)
        except psycopg.OperationalError:
            if not (self._reader.broken or self._reader.closed):
                raise
            same = self._giver is self._reader
            self._reader = self._connect("control")
            if same:
                self._giver = self._reader
            return self._select(self._reader)

    @staticmethod
    def _select(connection: psycopg.Connection) -> tuple[Stop, ...]:
        rows = connection.execute("SELECT scope, stop, given_by, reason, at FROM standing ORDER BY scope")
        return tuple(
            Stop(scope=scope, order=order, by=by, reason=reason, at=at)
            for scope, order, by, reason, at in rows.fetchall()
        )

    def _change(self, doing: str, act: Callable[[psycopg.Connection], _T]) -> _T:
        if self._read_only:
            raise LedgerError(f"the control state in `{self._place.shown}` was opened read-only")
        with self._giving, refusals_named(self._place.shown, doing):
            self._require_usable()
            if self._giver.broken or self._giver.closed:
                self._giver = self._connect("orders")
            try:
                return self._transacted(act)
            except psycopg.OperationalError:
                if not (self._giver.broken or self._giver.closed):
                    raise
                # An order twice is the same order; one that was lost would stop nothing.
                self._giver = self._connect("orders")
                return self._transacted(act)

    def _transacted(self, act: Callable[[psycopg.Connection], _T]) -> _T:
        with self._giver.transaction():
            found = act(self._giver)
            self._giver.execute("SELECT pg_notify(%s, '')", (self._place.channel,))
        return found

    def _told_of_nothing(self) -> bool:
        """Whether the server can tell of changes, and has told of none."""
        if not self._listener_lock.acquire(blocking=False):
            return False
        try:
            listening = self._listening
            if listening is None or listening.closed:
                listening = self._connect("hints")
                listening.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._place.channel)))
                self._listening = listening
                # What changed before is not told.
                return False
            return not list(listening.notifies(timeout=0))
        except (psycopg.Error, LedgerError):
            if self._listening is not None:
                with contextlib.suppress(psycopg.Error):
                    self._listening.close()
            self._listening = None
            return False
        finally:
            self._listener_lock.release()

    def _connect(self, name: str) -> psycopg.Connection:
        connection = connect(self._place, name=name, patience_s=PATIENCE_S, read_only=self._read_only)
        # A state that cannot be read in time is one that cannot be read.
        connection.execute(f"SET statement_timeout TO {int(PATIENCE_S * 1000)}".encode())
        return connection

    def _require_usable(self) -> None:
        if os.getpid() != self._process:
            raise LedgerError("the control state was opened before a fork: open it again in this process")
        if self._closed:
            raise LedgerError("cannot read the control state: it was closed")


def _journal(connection: psycopg.Connection, act: str, order: Stop) -> None:
    connection.execute(
        "INSERT INTO journal (act, scope, given_by, reason, at) VALUES (%s, %s, %s, %s, %s)",
        (act, order.scope, order.by, order.reason, order.at),
    )
