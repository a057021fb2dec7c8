"""Memory: declared blocks, and entries as a Merkle tree of salted commitments.

Rules
1. The field digest covers `{blocks, count, root}` (and `x-` members), not the entries: one mutation costs
   O(log n).
2. The tree is a binary Patricia tree over SHA-256 keys (see `memory_tree`); it is history-independent.
3. A leaf commits to `{at, author, block, commitment, id, operation}`; `commitment` = SHA-256(salt ‖
   JCS(payload)).
4. An entry's id is SHA-256 of `remit/1/memory/key` ‖ 0 ‖ `<block>/<key>`.
   In a block with a data subject the key is random (128 bits, minted by the runtime): the id tells no person.
5. Erasing drops `key`, `salt` and `payload` of an entry and keeps the leaf: every identity and proof still
   verifies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.document.memory_tree import MemoryTree
    from remit.document.rules import Rule
    from remit.document.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A declared kind of memory.

    Args:
        name: ASCII name; the Cedar resource `Remit::Block::"<name>"`.
        description: what it is for; shown to the model.
        schema: JSON Schema of a value.
        classification: such as `public`, `internal`, `personal`, `health`.
        retention_days: None means until erased.
        subject: whether entries belong to a data subject.
        rules: access rules that stand at this block.
    """

    name: str
    description: str
    schema: JsonObject
    classification: str
    retention_days: int | None = None
    subject: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What an entry says; erasable.

    Args:
        value: conforms to the block's schema.
        subject: the data subject's id; empty where the block has none.
        on_behalf_of: the caller for whom the author acted.
    """

    value: JsonValue
    subject: str = ""
    on_behalf_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One memory.

    Args:
        id: hex of the tree key.
        block: name of its block.
        key: its name within the block; None once erased.
        author: `agent`, `caller` or `operator`.
        operation: `remember` or `revise`, whichever wrote it.
        at: RFC 3339 UTC time with milliseconds, `YYYY-MM-DDThh:mm:ss.sssZ`.
        commitment: `sha256:<hex>` over salt and payload.
        salt: 16 random bytes as hex; None once erased.
        payload: None once erased.
    """

    id: str
    block: str
    key: str | None
    author: str
    operation: str
    at: str
    commitment: str
    salt: str | None
    payload: Payload | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory field: blocks, and a persistent (structure-sharing) tree of entries.

    Args:
        blocks: declared blocks in order.
        tree: persistent Merkle map from entry id to `Entry`.
        value: the field as received, without `entries`.
    """

    blocks: tuple[Block, ...]
    tree: MemoryTree[Entry]
    value: JsonObject

    def block(self, name: str) -> Block | None:
        """Return the declared block called `name`, or None."""
        return next((block for block in self.blocks if block.name == name), None)
