"""Connections with the settings that a store counts on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from remit.errors import LedgerError
from remit_adapters.postgres.schema import WRITER

if TYPE_CHECKING:
    from remit_adapters.postgres.place import Place

CONNECT_TIMEOUT_S: Final = 10
IDLE_S: Final = 10
"""Seconds after which the server ends the transaction of a host that hangs within one, and frees the log."""
_KEEPALIVE: Final = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


# What breaks is told by the errors that callers get; without this, psycopg's own words about it would be
# written to stderr wherever nobody set logging up.
for _name in ("psycopg", "psycopg.pool"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


def connect(place: Place, *, name: str, patience_s: float, read_only: bool = False) -> psycopg.Connection:
    """Open a connection; transactions are explicit.

    Args:
        place: where.
        name: what it is for, as `pg_stat_activity` shows it.
        patience_s: how long a statement waits for a lock.
        read_only: refuse every change.

    Raises:
        LedgerError: the server would not keep what it says it kept.
        psycopg.Error: the server refuses.
    """
    connection = psycopg.connect(
        place.conninfo, autocommit=True, application_name=place.named(name), **keepalive(place.conninfo)
    )
    try:
        configure(connection, place, patience_s=patience_s, read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def keepalive(conninfo: str) -> dict[str, Any]:
    """Return the connection's options that the address leaves open."""
    given = conninfo_to_dict(conninfo)
    return {name: value for name, value in _KEEPALIVE.items() if name not in given}


def configure(
    connection: psycopg.Connection, place: Place, *, patience_s: float, read_only: bool = False
) -> None:
    """Set what a store counts on: durable commits, its schema, its role, an end to every wait.

    Raises:
        LedgerError: the server runs without `fsync`.
        psycopg.Error: the server refuses.
    """
    row = connection.execute(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
        " CASE WHEN to_regrole(%(role)s) IS NULL THEN false ELSE pg_has_role(%(role)s, 'MEMBER') END",
        {"role": WRITER},
    ).fetchone()
    assert row is not None
    if row[0] != "on":
        raise LedgerError(
            f"`{place.shown}` runs with `fsync = off`: what it says is durable would not survive a crash"
        )
    statements = [
        sql.SQL("SET search_path TO {}").format(sql.Identifier(place.schema)),
        sql.SQL("SET lock_timeout TO {}").format(sql.Literal(f"{int(patience_s * 1000)}ms")),
        sql.SQL("SET idle_in_transaction_session_timeout TO {}").format(sql.Literal(f"{IDLE_S}s")),
        sql.SQL("SET client_encoding TO 'UTF8'"),
    ]
    if row[1] in {"off", "local"}:
        statements.append(sql.SQL("SET synchronous_commit TO on"))
    if read_only:
        statements.append(sql.SQL("SET default_transaction_read_only TO on"))
    elif row[2]:
        statements.append(sql.SQL("SET ROLE {}").format(sql.Identifier(WRITER)))
    connection.execute(sql.SQL("; ").join(statements))
