"""Claims: which decision was the first to consume an approval, found through an index of its own.

The index holds only decisions that consumed an approval, so that an approved decision costs the same however
long the log is. It says where to look; what counts is read from the records themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from remit_adapters.stores.claims import claim_bytes, claim_in

if TYPE_CHECKING:
    import sqlite3

_CLAIMING: Final = "kind = 'decision' AND instr(leaf, X'22617070726f76616c73223a') > 0"
"""A leaf that holds `"approvals":`; SQLite uses a partial index where a query repeats its condition."""

_INDEX: Final = f"CREATE INDEX IF NOT EXISTS records_claiming ON records (agent, idx) WHERE {_CLAIMING}"
_QUERY: Final = (
    f"SELECT idx, leaf FROM records WHERE agent = ? AND {_CLAIMING}"  # noqa: S608  # a constant of this module
    " AND instr(leaf, ?) > 0 ORDER BY idx"
)


def prepare_claims(connection: sqlite3.Connection) -> None:
    """Make the index where there is none: in a new file, or in one that an earlier version made."""
    connection.execute(_INDEX)


def find_first_claim(connection: sqlite3.Connection, agent: str, approval: str) -> int | None:
    """Return the index of the agent's first decision that consumed an approval, or None.

    Raises:
        LedgerError: a record that may hold it cannot be read.
    """
    return claim_in(connection.execute(_QUERY, (agent, claim_bytes(approval))), approval)
