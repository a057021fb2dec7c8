"""Claims: which decision was the first to consume an approval.

A store's index says where to look; what counts is read from the records themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from remit.errors import LedgerError
from remit.ledger.encoding import decode_leaf

if TYPE_CHECKING:
    from collections.abc import Iterable


def claim_bytes(approval: str) -> bytes:
    """Return what a leaf holds that consumed an approval."""
    return json.dumps(approval, ensure_ascii=False).encode("utf-8", "surrogatepass")


def claim_in(rows: Iterable[tuple[int, bytes]], approval: str) -> int | None:
    """Return the index of the first decision, among index and leaf of some, that consumed an approval.

    Raises:
        LedgerError: a record that may hold it cannot be read.
    """
    for index, leaf in rows:
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
