"""Claims: which decision was the first to consume an approval, found through an index of its own.

The index holds only decisions that consumed an approval, so that an approved decision costs the same however
long the log is. It says where to look; what counts is read from the records themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from remit.errors import LedgerError
from remit.ledger.encoding import decode_leaf

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
    sought = json.dumps(approval, ensure_ascii=False).encode("utf-8", "surrogatepass")
    for index, leaf in connection.execute(_QUERY, (agent, sought)):
        record = decode_leaf(leaf)
        if record["index"] != index:
            raise LedgerError(
                f"record {index} says that it is record {record['index']}: run `remit ledger verify`"
            )
        body = record["body"]
        approvals = body.get("approvals") if isinstance(body, dict) else None
        for claim in approvals if isinstance(approvals, list) else ():
            if isinstance(claim, dict) and claim.get("id") == approval:
                return int(index)
    return None
