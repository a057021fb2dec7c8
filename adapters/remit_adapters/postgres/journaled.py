"""No standing order comes, changes or goes without a row of the journal that says so.

INVARIANT (journaled): at the end of a transaction that wrote to `standing`, the journal has a row of the same
transaction for the same scope: `lift` for an order that is gone, its own word for one that came or changed.
Whoever writes for a host may delete orders, to lift them; this keeps a kill from vanishing unsaid.
It holds for a superuser too, and for a schema that was made before it did, once its owner opens it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from remit_adapters.postgres.place import Place

_TRIGGER: Final = "standing_journaled"

# By names with their schema: whoever writes may have a `journal` of their own in front of it.
_GUARD: Final = """
CREATE OR REPLACE FUNCTION {schema}.require_journal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told boolean;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.scope <> NEW.scope THEN
        RAISE EXCEPTION 'an order keeps its scope' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT 1 FROM %I.journal'
        ' WHERE xmin = pg_current_xact_id()::xid AND act = $1 AND scope = $2)', TG_TABLE_SCHEMA
    ) INTO told USING
        CASE TG_OP WHEN 'DELETE' THEN 'lift' ELSE NEW.stop END,
        CASE TG_OP WHEN 'DELETE' THEN OLD.scope ELSE NEW.scope END;
    IF NOT told THEN
        RAISE EXCEPTION 'an order does not change without a row of the journal'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {schema}.standing
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.require_journal();
ALTER TABLE {schema}.standing ENABLE ALWAYS TRIGGER {trigger};
"""


def guard_orders(connection: psycopg.Connection, place: Place) -> None:
    """Make the guard where it is missing and the user may; a store without it works, and is less guarded.

    Raises:
        psycopg.Error: the server refuses something else than the right to.
    """
    if _guarded(connection, place):
        return
    names = {"schema": sql.Identifier(place.schema), "trigger": sql.Identifier(_TRIGGER)}
    with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (place.lock,))
        if not _guarded(connection, place):
            connection.execute(sql.SQL(_GUARD).format(**names))


def _guarded(connection: psycopg.Connection, place: Place) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = %s AND tgrelid = to_regclass(%s))",
        (_TRIGGER, f"{place.schema}.standing"),
    ).fetchone()
    return row == (True,)
