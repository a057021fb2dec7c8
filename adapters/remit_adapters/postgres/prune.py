"""Pruning: the one place where records, nodes and checkpoints leave the tables, a signed prefix of them.

Rules
1. `remit_writer` has no right to delete them, and gets none. For as long as it drops them the writer's
   connection acts as the tables' owner, where the login is that owner or a member of it; it is the writer
   again before the pruning is recorded.
2. INVARIANT (guarded): the triggers stand aside, and row-level security is not forced, inside the transaction
   that records the pruning; both stand again before it is committed. Nobody else meets the tables in between,
   because it holds them exclusively.
3. Who reads waits until the pruning is committed. Who reads at length is waited for shortly, so that nobody
   waits long for both.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg
from psycopg import sql

from remit.errors import LedgerError
from remit.ledger.archive import Segment
from remit.ledger.tree import Peaks, peak_places
from remit_adapters.postgres.log import node_digests, raw_records, signers, stored_notes
from remit_adapters.stores.prune_rows import kept_nodes, require_as_judged, require_cut, start_at

if TYPE_CHECKING:
    from collections.abc import Generator

    from remit.ledger.pruning import Cut

READERS_S: Final = 2.0
"""How long a pruning waits for who reads the tables; while it waits, nobody begins to read them."""

_TABLES: Final = ("records", "nodes", "checkpoints")


def find_cut(connection: psycopg.Connection, index: int) -> int:
    """Return the largest signed size up to `index` beyond what is pruned already, or 0."""
    row = connection.execute(
        "SELECT coalesce(max(size), 0) FROM checkpoints"
        " WHERE size <= %s AND size > (SELECT coalesce(min(idx), 0) FROM records)",
        (index,),
    ).fetchone()
    return int(row[0]) if row else 0


def read_segment(connection: psycopg.Connection, before: int, *, origin: str) -> Segment:
    """Return the records before a cut and their checkpoints, in one state.

    Raises:
        LedgerError: `before` is no place to cut at, or no record says why earlier ones are gone.
    """
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        require_cut(before, find_cut(connection, before))
        row = connection.execute("SELECT coalesce(min(idx), 0) FROM records").fetchone()
        control = connection.execute(
            "SELECT leaf FROM records WHERE kind = 'control' ORDER BY idx DESC", binary=True
        )
        return Segment(
            origin=origin,
            verifier_keys=tuple(signers(connection)),
            start=start_at(int(row[0]) if row else 0, (leaf for (leaf,) in control)),
            records=tuple(raw_records(connection, stop=before)),
            notes=tuple(note for note in stored_notes(connection) if note.size <= before),
        )
    finally:
        connection.execute("ROLLBACK")


def drop_prefix(connection: psycopg.Connection, cut: Cut, *, size: int) -> None:
    """Drop what lies before a cut; in the transaction that records it, under the log's lock.

    Args:
        connection: in that transaction, in a savepoint of the pruning's own.
        cut: what was judged.
        size: how many records the log has now.

    Raises:
        HeadMovedError: the log has grown since; nothing was dropped.
        LedgerError: the log is not as it was judged, the user may not act as the tables' owner, or somebody
            reads the log at length; nothing was dropped once the savepoint is rolled back.
    """
    before = cut.start.index
    row = connection.execute("SELECT min(idx) FROM open_intents WHERE idx < %s", (before,)).fetchone()
    require_as_judged(
        cut,
        size=size,
        signed=find_cut(connection, before),
        peaks=Peaks(size=before, digests=node_digests(connection, peak_places(before))),
        unsettled=row[0] if row else None,
    )
    with _unguarded(connection):
        connection.execute("DELETE FROM records WHERE idx < %s", (before,))
        connection.execute(
            "DELETE FROM nodes WHERE (idx + 1) << level <= %s AND number <> ALL(%s)",
            (before, kept_nodes(before)),
        )
        connection.execute("DELETE FROM checkpoints WHERE size < %s", (before,))
    connection.execute("DELETE FROM contents WHERE idx < %s", (before,))


@contextmanager
def _unguarded(connection: psycopg.Connection) -> Generator[None]:
    """Act as the tables' owner, alone with them and without their guards.

    Raises:
        LedgerError: the user may not, or somebody reads the log at length.
    """
    row = connection.execute(
        "SELECT current_setting('role'), current_setting('lock_timeout'), session_user,"
        " pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'records'::regclass"
    ).fetchone()
    assert row is not None
    role, patience, login, owner = (str(cell) for cell in row)
    try:
        _set(connection, role=owner, lock_timeout=f"{READERS_S:g}s")
        connection.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                sql.SQL(", ").join(map(sql.Identifier, _TABLES))
            )
        )
        _guard(connection, "DISABLE TRIGGER", "NO FORCE ROW LEVEL SECURITY")
    except psycopg.errors.InsufficientPrivilege as error:
        raise LedgerError(
            f"nothing was pruned: only `{owner}`, who owns the tables, may drop records, and `{login}` may "
            f"not act for it: open the store as `{owner}`, or as a member of that role, and prune again"
        ) from error
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise LedgerError(
            "nothing was pruned: somebody reads the log at length (a verification, a backup of the "
            "database): prune again when that has ended"
        ) from error
    yield
    _guard(connection, "ENABLE ALWAYS TRIGGER", "FORCE ROW LEVEL SECURITY")
    _set(connection, role=role, lock_timeout=patience)


def _guard(connection: psycopg.Connection, trigger: LiteralString, security: LiteralString) -> None:
    for table in _TABLES:
        connection.execute(
            sql.SQL("ALTER TABLE {} " + trigger + " {}, " + security).format(
                sql.Identifier(table), sql.Identifier(f"{table}_stay")
            )
        )


def _set(connection: psycopg.Connection, *, role: str, lock_timeout: str) -> None:
    connection.execute(
        "SELECT set_config('role', %s, true), set_config('lock_timeout', %s, true)", (role, lock_timeout)
    )
