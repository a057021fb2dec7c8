r"""Where a store on PostgreSQL lies: server, database and schema, and what a host keeps for itself.

`postgresql://[user[:password]@]host[:port]/database[?schema=NAME&…]`; every other option is libpq's.
One schema holds one log. Tenants that must not see each other's records have a schema each, because a log can
only be verified by who may read all of it.

What a host keeps for itself (its signing key, vendors' answers, the cache) lies in a folder of its own, in
`$REMIT_STATE`, else `$XDG_STATE_HOME/remit`, else `%LOCALAPPDATA%/remit`, else `~/.local/state/remit`.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from remit.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = "remit"
_UNREADABLE: Final = "the store's address cannot be read"
_SHAPE: Final = "write `postgresql://user@host:port/database?schema=remit`"
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Server, database and schema.

    Args:
        conninfo: for libpq.
        schema: name of the schema.
        shown: the same for messages, without password.
        state: folder of what this host keeps for itself.
    """

    conninfo: str
    schema: str
    shown: str
    state: Path

    @property
    def lock(self) -> int:
        """Number of the advisory lock of who appends: 63 bits from the schema's name."""
        return int.from_bytes(hashlib.sha256(f"remit/1/append/{self.schema}".encode()).digest()[:8]) >> 1

    def named(self, name: str) -> str:
        """Return what a connection calls itself in `pg_stat_activity`: what it is for, and the schema."""
        return f"remit {name} {self.schema}"

    @property
    def channel(self) -> str:
        """Name of the channel on which changed orders are told."""
        return f"remit_orders_{self.schema}"


def place_of(url: str, environment: Mapping[str, str] | None = None) -> Place:
    """Read the address of a store.

    Args:
        url: as written above.
        environment: for the folder; None is the process's own.

    Raises:
        LedgerError: it is no such address; the message never holds a password.
    """
    authority, _, rest = url.partition("://")[2].partition("/")
    if "@" in rest.partition("?")[0] or authority.count("@") > 1 or "?" in authority or "#" in url:
        # What follows may be a password, so nothing of it is repeated.
        raise LedgerError(f"{_UNREADABLE}: write `/`, `?`, `#` and `@` in a name or password as `%2F`, …")
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        _ = parts.port
    except ValueError:
        raise LedgerError(f"{_UNREADABLE}: {_SHAPE}") from None
    schemas = [value for name, value in options if name == "schema"]
    schema = schemas[-1] if schemas else SCHEMA
    if _NAME.fullmatch(schema) is None or schema.startswith("pg_"):
        raise LedgerError(
            f"`{schema}` cannot be the schema of a store: "
            "use at most 48 lower-case letters, digits and underscores, and no `pg_` in front"
        )
    kept = urlencode([(name, value) for name, value in options if name != "schema"])
    conninfo = url.partition("?")[0] + (f"?{kept}" if kept else "")
    try:
        given = conninfo_to_dict(conninfo)
    except ProgrammingError:
        # libpq repeats what it cannot read, passwords too.
        known = ", ".join(f"`{name}`" for name, _ in options)
        told = f"{_SHAPE}; of its options {known} one may be unknown to libpq" if known else _SHAPE
        raise LedgerError(f"{_UNREADABLE}: {told}") from None
    host = str(given.get("host") or os.environ.get("PGHOST") or "local socket")
    database = str(given.get("dbname") or given.get("user") or "")
    shown = f"postgresql://{host}:{given.get('port') or os.environ.get('PGPORT') or 5432}/{database}"
    shown += "" if schema == SCHEMA else f"?schema={schema}"
    name = hashlib.sha256(shown.encode()).hexdigest()[:16]
    return Place(
        conninfo=conninfo,
        schema=schema,
        shown=shown,
        state=_state_folder(os.environ if environment is None else environment) / f"postgresql-{name}",
    )


def _state_folder(environment: Mapping[str, str]) -> Path:
    own = environment.get("REMIT_STATE")
    if own:
        return Path(own)
    shared = environment.get("XDG_STATE_HOME") or environment.get("LOCALAPPDATA")
    return (Path(shared) if shared else Path.home() / ".local" / "state") / "remit"
