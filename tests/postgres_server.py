"""The PostgreSQL server that tests use: `$REMIT_TEST_POSTGRESQL`, else one on the default port, if there is one."""

from __future__ import annotations

import os
from functools import cache

CANDIDATES = (
    "postgresql://postgres@127.0.0.1:5432/test",
    "postgresql://postgres@127.0.0.1:5432/postgres",
)


@cache
def server_url() -> str | None:
    """Return the address of a database in which schemas may be made, or None."""
    try:
        import psycopg
    except ImportError:
        return None
    named = os.environ.get("REMIT_TEST_POSTGRESQL")
    for url in (named,) if named else CANDIDATES:
        try:
            with psycopg.connect(url, connect_timeout=5) as connection:
                row = connection.execute(
                    "SELECT has_database_privilege(current_database(), 'CREATE')"
                ).fetchone()
        except psycopg.Error:
            continue
        if row and row[0]:
            return url
    return None


def drop_schema(server: str, schema: str) -> None:
    """Drop a schema and all that is in it."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SET lock_timeout TO '20s'")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
