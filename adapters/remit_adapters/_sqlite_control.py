"""Control state on SQLite: kill and suspend, in a file and a connection of their own.

Rules
1. `stop` and `lift` are durable before they return (WAL, synchronous FULL).
2. `in_force` sees every order that `stop` gave in any process before it was called: what was read counts only
   while the mark beside the file (`_sqlite_mark`) says that nothing was changed since.
   Where it does not, and after `RECHECK_S` whatever it says, the file itself is asked: SQLite's
   `data_version` changes with every commit of another connection, and the file must still be the one that was
   opened.
   So an order that another program wrote behind this one is seen `RECHECK_S` late.
3. A suspend never weakens a kill that stands on its scope.
4. A kill is lifted only by somebody other than who gave it.
5. Whatever cannot be read is a `LedgerError`; callers deny.
6. Every act is also kept in an append-only journal.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.ports import Stop
from remit_adapters._sqlite_mark import UNSETTLED, Mark
from remit_adapters._sqlite_schema import (
    CONTROL_SCHEMA,
    connect,
    prepare_schema,
    refusals_named,
    require_schema,
)
from remit_adapters.stores.orders import check_order, first_in_force, require_lifter, require_other

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

APPLICATION: Final = 0x524D_4343
"""`RMCC`."""
RECHECK_S: Final = 0.01
"""Seconds after which the files are looked at whatever the mark says."""


class SqliteControl:
    """The port `ControlState` in one SQLite file; usable from several threads and processes.

    Args:
        file: the database, made on first use.
        read_only: refuse `stop` and `lift`.

    Raises:
        LedgerError: the file cannot be used.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self._file = file
        self._read_only = read_only
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._seen: tuple[int, tuple[Stop, ...]] | None = None
        # The mark under which orders were read, when to look again whatever it says, and the orders.
        self._view: tuple[int, float, tuple[Stop, ...]] = (UNSETTLED, 0.0, ())
        self._path = os.fspath(file)
        self._mark: Mark | None = None
        with refusals_named(file, "open the control state"):
            self._connection = connect(file, read_only=read_only)
            try:
                if read_only:
                    require_schema(self._connection, application=APPLICATION)
                else:
                    prepare_schema(self._connection, CONTROL_SCHEMA, application=APPLICATION)
                    file.chmod(0o600)
                self._identity = _identity(self._path)
                mark = file.with_suffix(".mark")
                self._mark_path = os.fspath(mark)
                # Without a mark, as in a copy that an auditor reads, the file is asked each time.
                if not read_only or mark.exists():
                    self._mark = Mark(mark, read_only=read_only)
                    self._mark_identity = _identity(self._mark_path)
            except BaseException:
                self.close()
                raise

    def stop(self, order: Stop) -> None:
        """Make an order durable before returning; a suspend leaves a standing kill as it is.

        Raises:
            LedgerError: a malformed order, or it cannot be written.
        """
        check_order(order)
        with (
            self._lock,
            refusals_named(self._file, f"record the order on `{order.scope}`"),
            self._changing(),
        ):
            self._connection.execute(
                "INSERT INTO standing (scope, stop, by, reason, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (scope) DO UPDATE SET stop = excluded.stop, by = excluded.by,"
                " reason = excluded.reason, at = excluded.at WHERE stop <> 'kill'",
                (order.scope, order.order, order.by, order.reason, order.at),
            )
            self._journal(order.order, order.scope, order.by, order.reason, order.at)
            self._connection.execute("COMMIT")

    def lift(self, scope: str, *, by: str, reason: str, at: str) -> bool:
        """Withdraw the order on `scope`; False if there was none.

        Raises:
            EnforcementError: a kill may not be lifted by who gave it.
            LedgerError: it cannot be written.
        """
        require_lifter(scope, by)
        with self._lock, refusals_named(self._file, f"lift the order on `{scope}`"), self._changing():
            row = self._connection.execute(
                "SELECT stop, by FROM standing WHERE scope = ?", (scope,)
            ).fetchone()
            if row is None:
                return False
            require_other(scope, row[0], row[1], by)
            self._connection.execute("DELETE FROM standing WHERE scope = ?", (scope,))
            self._journal("lift", scope, by, reason, at)
            self._connection.execute("COMMIT")
            return True

    def in_force(self, scopes: Sequence[str]) -> Stop | None:
        """The first order that stands on any of `scopes` (a kill before a suspend), or None.

        Raises:
            LedgerError: the state cannot be read; callers deny.
        """
        mark, until_s, standing = self._view
        if mark == UNSETTLED or mark != self._marked() or time.monotonic() > until_s:
            standing = self.standing()
        return first_in_force(standing, scopes)

    def standing(self) -> tuple[Stop, ...]:
        """All orders that stand, by scope.

        Raises:
            LedgerError: the state cannot be read.
        """
        with self._lock, refusals_named(self._file, "read the control state"):
            self._require_own()
            # Before the file: a change in between leaves a view that no longer holds.
            mark = self._marked()
            if self._seen is None or self._seen[0] != self._version():
                self._read()
            seen = self._seen
            stops = () if seen is None else seen[1]
            self._view = (mark, time.monotonic() + RECHECK_S, stops)
            return stops

    def close(self) -> None:
        """Release the files; idempotent."""
        with self._lock:
            self._connection.close()
            if self._mark is not None:
                self._mark.close()

    def _read(self) -> None:
        version = self._version()
        rows = self._connection.execute("SELECT scope, stop, by, reason, at FROM standing ORDER BY scope")
        stops = tuple(
            Stop(scope=scope, order=order, by=by, reason=reason, at=at)
            for scope, order, by, reason, at in rows.fetchall()
        )
        # A commit between the two statements shows as a newer version on the next call.
        self._seen = (version, stops)

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _marked(self) -> int:
        if self._mark is None:
            return UNSETTLED
        self._same_process()
        try:
            return self._mark.value()
        except ValueError as error:
            raise LedgerError(f"cannot read the control state: `{self._path}` was closed") from error

    @contextmanager
    def _changing(self) -> Generator[None]:
        self._require_own()
        if self._read_only or self._mark is None:
            raise LedgerError(f"the control state in `{self._file}` was opened read-only")
        self._seen = None
        number = 0
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            number = self._mark.begin()
            yield
        finally:
            try:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            finally:
                self._mark.end(number)

    def _require_own(self) -> None:
        """Refuse files that are not those that were opened."""
        self._same_process()
        replaced = _identity(self._path) != self._identity
        if replaced or (self._mark is not None and _identity(self._mark_path) != self._mark_identity):
            raise LedgerError(f"cannot use the control state: `{self._file}` was replaced while it was open")

    def _journal(self, act: str, scope: str, by: str, reason: str, at: str) -> None:
        self._connection.execute(
            "INSERT INTO journal (act, scope, by, reason, at) VALUES (?, ?, ?, ?, ?)",
            (act, scope, by, reason, at),
        )

    def _same_process(self) -> None:
        if os.getpid() != self._process:
            raise LedgerError("the control state was opened before a fork: open it again in this process")


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116  # asked often: pathlib would double the time
    return found.st_dev, found.st_ino
