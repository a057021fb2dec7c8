"""Where a torture's stores lie: a folder for each, or a schema for each in a database that was named."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


class Places:
    """Makes a place for each store, and cuts and drops it.

    Args:
        server: address of a database, or empty for folders.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        if server:
            # Before the first fork, so that a worker's start is the product's work and not Python's.
            import remit_adapters.postgres_store  # noqa: F401

    def new(self, folder: Path) -> str:
        """Return where a store that belongs to a folder lies; what its host keeps lies in the folder."""
        os.environ["REMIT_STATE"] = str(folder / "state")
        if not self.server:
            return str(folder / "store")
        joint = "&" if "?" in self.server else "?"
        return f"{self.server}{joint}schema=torture_{secrets.token_hex(6)}"

    def cut(self, place: str) -> int:
        """End every connection to a store, wherever it stands; return how many there were."""
        import psycopg

        from remit_adapters.postgres.place import place_of

        with psycopg.connect(self.server, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'remit %% ' || %s AND datname = current_database()",
                (place_of(place).schema,),
            )
            return len(rows.fetchall())

    def drop(self, place: str) -> None:
        """Drop a schema; folders are removed by who made them."""
        if self.server:
            from postgres_server import drop_schema
            from remit_adapters.postgres.place import place_of

            drop_schema(self.server, place_of(place).schema)
