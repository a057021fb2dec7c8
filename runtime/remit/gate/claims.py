"""Claims on approvals: which decision in the ledger was the first to consume one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.ports import ClaimIndex

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from remit.ports import Ledger


def first_claims(ledger: Ledger, agent: str, names: AbstractSet[str]) -> dict[str, int]:
    """Return, by approval id among `names`, the index of the first decision that consumed it.

    Args:
        ledger: asked directly where it has an index of claims; else its records of the agent are read.
        agent: agent id.
        names: approval ids.

    Raises:
        LedgerError: the log cannot be read.
    """
    if not names:
        return {}
    if isinstance(ledger, ClaimIndex):
        found = ((name, ledger.first_claim(agent, name)) for name in names)
        return {name: index for name, index in found if index is not None}
    claims: dict[str, int] = {}
    for record in ledger.records(agent=agent):
        body = record.value.get("body")
        if record.value.get("kind") != "decision" or not isinstance(body, dict):
            continue
        approvals = body.get("approvals")
        for approval in approvals if isinstance(approvals, list) else ():
            name = approval.get("id") if isinstance(approval, dict) else None
            if isinstance(name, str) and name in names:
                claims[name] = min(record.index, claims.get(name, record.index))
    return claims
