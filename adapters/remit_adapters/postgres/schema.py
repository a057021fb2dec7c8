"""The schema: tables, what may be done with them and by whom, and how an older schema becomes this one.

Rules
1. `remit_writer`, a role without login, may add to the log and read it, nothing else: no right to change or
   delete records, nodes, checkpoints or signers. Every connection of a store takes that role.
2. Row-level security is forced: without a policy for it, an update or a deletion meets no row, whoever owns
   the table. Triggers that are always on refuse it aloud, also for a superuser.
   A standing order comes and goes with its row of the journal alone (`postgres.journaled`).
3. Keys of data subjects are added and deleted, never changed, and never all at once.
4. `remit_reader` may read everything: for an auditor.
5. The owner of the tables can take all of that away again, and for a pruning does (`postgres.prune`). Grants
   stop accidents and intruders; a checkpoint that is kept elsewhere proves.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from remit.errors import LedgerError
from remit_adapters.postgres.journaled import guard_orders
from remit_adapters.postgres.keys import SEALING_TABLES, Sealing
from remit_adapters.stores.seals import rows_to_seal

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.ports import SubjectKeys
    from remit_adapters.postgres.place import Place

VERSION: Final = 2
WRITER: Final = "remit_writer"
READER: Final = "remit_reader"

_SEALED_ROWS: Final = 2
"""The version from which what is about a data subject is sealed."""

_APPENDED: Final = ("records", "nodes", "checkpoints", "signers", "operations", "journal")
_TABLES: Final = """
CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE signers (key text PRIMARY KEY, host text NOT NULL, at timestamptz NOT NULL DEFAULT now());

CREATE TABLE records (
    idx bigint PRIMARY KEY, leaf bytea NOT NULL, kind text NOT NULL,
    agent text COLLATE "C" NOT NULL, run text COLLATE "C" NOT NULL);
CREATE INDEX records_by_agent ON records (agent, idx);
CREATE INDEX records_by_run ON records (run, idx) WHERE run <> '';
CREATE INDEX records_claiming ON records (agent, idx)
    WHERE kind = 'decision' AND position('\\x22617070726f76616c73223a'::bytea IN leaf) > 0;
CREATE TABLE contents (idx bigint PRIMARY KEY, salt bytea NOT NULL, content bytea NOT NULL);
CREATE TABLE nodes (
    number bigint PRIMARY KEY, level integer NOT NULL, idx bigint NOT NULL, digest bytea NOT NULL);
CREATE TABLE checkpoints (number bigint PRIMARY KEY, size bigint NOT NULL, note text NOT NULL);
CREATE TABLE open_intents (digest text COLLATE "C" PRIMARY KEY, idx bigint NOT NULL);

CREATE TABLE agents (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent text COLLATE "C" NOT NULL UNIQUE, revision text NOT NULL);
CREATE TABLE fields (
    agent bigint NOT NULL REFERENCES agents (number), name text NOT NULL, value text NOT NULL,
    PRIMARY KEY (agent, name));
CREATE TABLE entries (
    agent bigint NOT NULL REFERENCES agents (number), id text COLLATE "C" NOT NULL, value text NOT NULL,
    seq bigint NOT NULL, PRIMARY KEY (agent, id));
CREATE INDEX entries_by_seq ON entries (agent, seq);
CREATE TABLE operations (
    agent bigint NOT NULL REFERENCES agents (number), seq bigint NOT NULL, value text NOT NULL,
    PRIMARY KEY (agent, seq));
CREATE SEQUENCE runs_saved;
CREATE TABLE runs (
    number bigint NOT NULL DEFAULT nextval('runs_saved') UNIQUE, run text COLLATE "C" PRIMARY KEY,
    agent text COLLATE "C" NOT NULL, status text NOT NULL, value text NOT NULL);
CREATE INDEX runs_by_agent ON runs (agent, number);

CREATE TABLE standing (
    scope text COLLATE "C" PRIMARY KEY, stop text NOT NULL, given_by text NOT NULL, reason text NOT NULL,
    at text NOT NULL);
CREATE TABLE journal (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, act text NOT NULL, scope text NOT NULL,
    given_by text NOT NULL, reason text NOT NULL, at text NOT NULL);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE FUNCTION refuse_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are erased, never changed', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""
_GRANTS: Final = """
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}, {writer};
GRANT USAGE ON SCHEMA {schema} TO {reader}, {writer};
GRANT INSERT ON records, nodes, checkpoints, signers, operations, journal, contents, open_intents, agents,
    fields, entries, runs, standing, meta TO {writer};
GRANT UPDATE (revision) ON agents TO {writer};
GRANT UPDATE ON fields, entries, runs, standing TO {writer};
GRANT DELETE ON contents, open_intents, fields, standing TO {writer};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {writer};
"""
_SEALING_GRANTS: Final = """
GRANT SELECT ON subject_keys_set, subject_keys, subject_keys_destroyed, keys_left TO {reader}, {writer};
GRANT INSERT ON subject_keys, subject_keys_destroyed, keys_left TO {writer};
GRANT DELETE ON subject_keys, keys_left TO {writer};
"""


def prepare_schema(place: Place, keys: Callable[[psycopg.Connection], SubjectKeys]) -> None:
    """Make the schema on first use, with its roles; bring an older one to this version.

    Args:
        place: where.
        keys: gives the subjects' keys: version 2 seals memory entries that name a data subject.

    Raises:
        LedgerError: the schema belongs to something else or to a newer version, or it is older and another
            user owns it.
        psycopg.Error: the server refuses.
    """
    with psycopg.connect(place.conninfo, autocommit=True) as connection:
        version = schema_version(connection, place.schema)
        if not version:
            _make_roles(connection)
            with connection.transaction():
                # Two hosts may begin at once: whoever waits here finds the other's work done.
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (place.lock,))
                if not schema_version(connection, place.schema):
                    _make(connection, place.schema)
        elif version < VERSION:
            try:
                _upgrade(connection, place, keys)
            except psycopg.errors.InsufficientPrivilege as error:
                raise LedgerError(
                    f"the store has schema version {version}: let the owner of its tables open it once, who "
                    f"may bring it to version {VERSION}"
                ) from error
        guard_orders(connection, place)


def schema_version(connection: psycopg.Connection, schema: str) -> int:
    """Return the version of a schema, 0 where there is none.

    Raises:
        LedgerError: it belongs to something else or to a newer version.
    """
    row = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL, count(*) FROM pg_class AS c JOIN pg_namespace AS n"
        " ON n.oid = c.relnamespace WHERE n.nspname = %s",
        (f"{schema}.meta", schema),
    ).fetchone()
    if row is None or not row[1]:
        return 0
    version = 0
    if row[0]:
        found = connection.execute(
            sql.SQL("SELECT value FROM {} WHERE name = 'schema'").format(sql.Identifier(schema, "meta"))
        ).fetchone()
        version = int(found[0]) if found and str(found[0]).isdecimal() else 0
    if not version:
        raise LedgerError(f"the schema `{schema}` holds something else: name another one with `?schema=NAME`")
    if version > VERSION:
        raise LedgerError(
            f"the store has schema version {version}, newer than {VERSION}: use a newer version of remit"
        )
    return version


def _make_roles(connection: psycopg.Connection) -> None:
    """Make the roles where they are missing and the user may; several hosts may try at once."""
    for role in (WRITER, READER):
        name = sql.Identifier(role)
        with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            if connection.execute("SELECT to_regrole(%s)", (role,)).fetchone() == (None,):
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
    # A superuser may take any role; membership is for everybody else.
    with suppress(psycopg.Error):
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(WRITER)))


def _make(connection: psycopg.Connection, schema: str) -> None:
    name = sql.Identifier(schema)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
    connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(name))
    connection.execute(_TABLES)
    for table in (*_APPENDED, "contents"):
        erased = table == "contents"
        function = sql.Identifier("refuse_edit" if erased else "refuse_change")
        _refuse(connection, table, "stay", sql.SQL("UPDATE" if erased else "UPDATE OR DELETE"), function)
        _refuse(connection, table, "whole", sql.SQL("TRUNCATE"), function)
        which = sql.Identifier(table)
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(which))
        connection.execute(sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(which))
        connection.execute(sql.SQL("CREATE POLICY reading ON {} FOR SELECT USING (true)").format(which))
        connection.execute(
            sql.SQL("CREATE POLICY appending ON {} FOR INSERT WITH CHECK (true)").format(which)
        )
    connection.execute("CREATE POLICY erasing ON contents FOR DELETE USING (true)")
    connection.execute(
        sql.SQL(_GRANTS).format(schema=name, writer=sql.Identifier(WRITER), reader=sql.Identifier(READER))
    )
    _make_sealing(connection)
    connection.execute("INSERT INTO meta (name, value) VALUES ('schema', %s)", (str(VERSION),))


def _make_sealing(connection: psycopg.Connection) -> None:
    """Make what version 2 has besides."""
    connection.execute(SEALING_TABLES)
    for table, deleted in (("subject_keys", True), ("subject_keys_destroyed", False)):
        change = sql.Identifier("refuse_edit" if deleted else "refuse_change")
        _refuse(connection, table, "stay", sql.SQL("UPDATE" if deleted else "UPDATE OR DELETE"), change)
    for table in ("subject_keys_set", "subject_keys", "subject_keys_destroyed"):
        _refuse(connection, table, "whole", sql.SQL("TRUNCATE"), sql.Identifier("refuse_change"))
    connection.execute(
        sql.SQL(_SEALING_GRANTS).format(writer=sql.Identifier(WRITER), reader=sql.Identifier(READER))
    )
    connection.execute(
        "INSERT INTO subject_keys_set (id, pepper) VALUES (%s, %s)",
        (secrets.token_hex(16), secrets.token_bytes(32)),
    )


def _upgrade(
    connection: psycopg.Connection, place: Place, keys: Callable[[psycopg.Connection], SubjectKeys]
) -> None:
    """Bring an older schema to this version; several hosts may try at once."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (place.lock,))
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(place.schema)))
        if schema_version(connection, place.schema) >= _SEALED_ROWS:
            return
        _make_sealing(connection)
        obtain = Sealing(keys).obtaining(connection)
        for number, agent in connection.execute("SELECT number, agent FROM agents").fetchall():
            rows = connection.execute("SELECT id, value FROM entries WHERE agent = %s", (number,)).fetchall()
            sealed = rows_to_seal(agent, rows, obtain)
            connection.execute(
                "UPDATE entries AS e SET value = s.value FROM unnest(%s::text[], %s::text[]) AS s (id, value)"
                " WHERE e.agent = %s AND e.id = s.id",
                ([entry for entry, _ in sealed], [row for _, row in sealed], number),
            )
        connection.execute("UPDATE meta SET value = %s WHERE name = 'schema'", (str(VERSION),))


def _refuse(
    connection: psycopg.Connection, table: str, name: str, what: sql.SQL, function: sql.Identifier
) -> None:
    """Refuse a change of a table aloud, also to a superuser."""
    trigger, which = sql.Identifier(f"{table}_{name}"), sql.Identifier(table)
    each = sql.SQL("STATEMENT" if name == "whole" else "ROW")
    connection.execute(
        sql.SQL("CREATE TRIGGER {} BEFORE {} ON {} FOR EACH {} EXECUTE FUNCTION {}()").format(
            trigger, what, which, each, function
        )
    )
    connection.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(which, trigger))
