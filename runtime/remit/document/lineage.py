"""Lineage: parents, and the log of operations that produced this revision, as an RFC 9162 tree.

Rules
1. The field digest covers `{parents, root, size}`; the operations themselves are the tree's leaves.
2. A leaf is the RFC 8785 form of one operation; leaf hash SHA-256(0x00 ‖ leaf), node SHA-256(0x01 ‖ l ‖ r).
3. Operation 0 is `create`, `import` or `fork`. `create` carries a 128-bit nonce, so two agents with equal
   content differ; no clock, host or actor enters the genesis operation.
4. Every later operation names the revision before it (`parent`), the fields it changed, and the digest of the
   ledger record of the decision that allowed it. Operation 1's parent is the agent id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.merkle import Frontier
    from remit.document.values import JsonObject

GENESIS_OPERATIONS = ("create", "import", "fork")
OPERATIONS = (
    *GENESIS_OPERATIONS,
    "remember",
    "revise",
    "erase",
    "amend",
    "activate",
    "suspend",
    "resume",
    "await_approval",
    "settle",
    "terminate",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step of an agent's history.

    Args:
        seq: 0 for genesis, then one more each.
        operation: one of `OPERATIONS`: create, import, fork, remember, revise, erase, amend, activate,
            suspend, resume, await_approval, settle, terminate.
        value: the operation as received (its RFC 8785 form is the leaf).
        parent: the revision before; empty for genesis.
        changed: names of the changed fields, sorted.
        decision: digest of the ledger record that allowed it; empty for genesis and for the owner's own
            edits.
        actor: who did it, a Cedar entity reference; empty for genesis.
        at: RFC 3339 UTC time; empty for genesis.
    """

    seq: int
    operation: str
    value: JsonObject
    parent: str = ""
    changed: tuple[str, ...] = ()
    decision: str = ""
    actor: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The lineage field.

    Args:
        parents: revisions that a fork or merge descends from.
        operations: all operations, oldest first.
        value: the field as received, without `operations`.
        frontier: right edge of the log's tree, so that appending costs O(log n).
    """

    parents: tuple[str, ...]
    operations: tuple[Operation, ...]
    value: JsonObject
    frontier: Frontier
