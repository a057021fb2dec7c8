"""Memory operations: remember, find, select, erase, prove. Pure: time, keys and salts are parameters.

The rules of entries, ids and commitments stand in `remit.document.memory`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.document.faults import HEX_32, KEY, SHAPES, TIME
from remit.document.json_text import printable
from remit.document.memory import Block, Entry, Memory, Payload
from remit.document.memory_tree import MemoryTree, Way, verify_way
from remit.document.value_schemas import Conformance
from remit.document.values import (
    JsonObject,
    JsonValue,
    admit_value,
    canonical_bytes,
    digest_text,
    tagged_sha256,
)
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AUTHORS = ("agent", "caller", "operator")
WRITES = ("remember", "revise")


def entry_id(block: str, key: str) -> str:
    """Return the id of the entry called `key` in `block`, 64 hexadecimal digits."""
    return tagged_sha256("memory/key", f"{block}/{key}".encode()).hex()


def payload_value(payload: Payload) -> JsonObject:
    """Return a payload as it stands in the document; empty members are left out."""
    value: JsonObject = {"value": payload.value}
    if payload.subject:
        value["subject"] = payload.subject
    if payload.on_behalf_of:
        value["on_behalf_of"] = payload.on_behalf_of
    return value


def commitment_of(salt: str, payload: JsonObject) -> str:
    """Commit to a payload: `sha256:<hex>` over the salt's 16 bytes and the payload's RFC 8785 form."""
    return digest_text(hashlib.sha256(bytes.fromhex(salt) + canonical_bytes(payload)).digest())


def leaf_value(entry: Entry) -> JsonObject:
    """Return the part of an entry that its leaf commits to; it outlives erasure."""
    return {
        "at": entry.at,
        "author": entry.author,
        "block": entry.block,
        "commitment": entry.commitment,
        "id": entry.id,
        "operation": entry.operation,
    }


def value_digest(leaf: JsonObject) -> bytes:
    """Digest what a leaf commits to."""
    return tagged_sha256("memory/value", canonical_bytes(leaf))


def tree_leaf(entry: Entry) -> tuple[bytes, bytes, Entry]:
    """Return an entry as the memory tree takes it: key, value digest, item."""
    return bytes.fromhex(entry.id), value_digest(leaf_value(entry)), entry


def entry_value(entry: Entry) -> JsonObject:
    """Return an entry as it stands in the document; an erased one without key, salt and payload."""
    value: JsonObject = {"id": entry.id, "block": entry.block}
    if entry.key is not None:
        value["key"] = entry.key
    value |= {
        "author": entry.author,
        "operation": entry.operation,
        "at": entry.at,
        "commitment": entry.commitment,
    }
    if entry.salt is not None:
        value["salt"] = entry.salt
    if entry.payload is not None:
        value["payload"] = payload_value(entry.payload)
    return value


def payload_faults(block: Block, payload: Payload, conformance: Conformance | None = None) -> tuple[str, ...]:
    """Return what keeps a payload from standing in a block, without anything of its value.

    Args:
        block: the declared block.
        payload: with a value of rule R1.
        conformance: of the block's schema, where the caller keeps one.
    """
    checker = Conformance(block.schema) if conformance is None else conformance
    faults = [
        f"the value{f' at `{pointer}`' if pointer else ''} does not fit the schema of block "
        f"`{block.name}`: {what}"
        for pointer, what in checker.told_faults(payload.value)
    ]
    if block.subject and not payload.subject:
        faults.append(f"block `{block.name}` holds data about persons, so the payload needs a `subject`")
    if not block.subject and payload.subject:
        faults.append(f"block `{block.name}` declares no data subject, so the payload may not name one")
    return tuple(faults)


def with_tree(memory: Memory, tree: MemoryTree[Entry]) -> Memory:
    """Return a memory with another tree of entries, and the count and root that follow from it."""
    value = {**memory.value, "count": len(tree), "root": digest_text(tree.root)}
    return Memory(blocks=memory.blocks, tree=tree, value=value)


def remember(
    memory: Memory,
    *,
    block: str,
    key: str,
    payload: Payload,
    author: str,
    operation: str,
    at: str,
    salt: str,
) -> tuple[Memory, Entry]:
    """Write one entry; an entry of the same block and key is replaced.

    Args:
        memory: the memory before; it stays as it is.
        block: name of a declared block.
        key: the entry's name within the block.
        payload: what to remember.
        author: `agent`, `caller` or `operator`.
        operation: `remember` or `revise`.
        at: RFC 3339 UTC time with milliseconds.
        salt: 16 fresh random bytes as hex.

    Returns:
        The memory after, and the entry written.

    Raises:
        DocumentError: no such block, or a key, payload, author, operation, time or salt that a document may
        not hold.
    """
    wrong: list[str] = []
    declared = memory.block(block)
    if declared is None:
        wrong.append(f"there is no memory block `{printable(block)}`")
    for name, text, shape in (("key", key, KEY), ("time", at, TIME), ("salt", salt, HEX_32)):
        if shape.fullmatch(text) is None:
            wrong.append(f"the {name} `{printable(text)}` is not {SHAPES[shape]}")
    for name, text, choices in (("author", author, AUTHORS), ("operation", operation, WRITES)):
        if text not in choices:
            wrong.append(
                f"the {name} `{printable(text)}` is none of {', '.join(f'`{word}`' for word in choices)}"
            )
    admitted, faults = admit_value(payload_value(payload))
    wrong.extend(f"{what} at `{pointer}`" for pointer, what in faults)
    clean = payload if faults else _payload(admitted)
    if declared is not None and not faults:
        wrong.extend(payload_faults(declared, clean))
    if wrong:
        raise DocumentError(*(Fault(message=message) for message in wrong))
    entry = Entry(
        id=entry_id(block, key),
        block=block,
        key=key,
        author=author,
        operation=operation,
        at=at,
        commitment=commitment_of(salt, payload_value(clean)),
        salt=salt,
        payload=clean,
    )
    return with_tree(memory, memory.tree.put(*tree_leaf(entry))), entry


def _payload(value: JsonValue) -> Payload:
    members = value if isinstance(value, dict) else {}
    return Payload(
        value=members.get("value"),
        subject=str(members.get("subject", "")),
        on_behalf_of=str(members.get("on_behalf_of", "")),
    )


def erase(memory: Memory, ids: Iterable[str]) -> Memory:
    """Drop key, salt and payload of entries; leaves stay, so root, count and every proof stay valid.

    Raises:
        DocumentError: an id names no entry; nothing is erased.
    """
    tree = memory.tree
    unknown: list[str] = []
    for name in ids:
        entry = tree.get(bytes.fromhex(name)) if _is_id(name) else None
        if entry is None:
            unknown.append(name)
        elif entry.payload is not None or entry.key is not None or entry.salt is not None:
            tree = tree.put(*tree_leaf(replace(entry, key=None, salt=None, payload=None)))
    if unknown:
        raise DocumentError(
            *(Fault(message=f"there is no memory entry `{printable(name)}`") for name in unknown)
        )
    return with_tree(memory, tree)


def _is_id(text: str) -> bool:
    return len(text) == len("0" * 64) and all(digit in "0123456789abcdef" for digit in text)


def bulk_memory(memory: Memory, entries: Iterable[Entry]) -> Memory:
    """Return a memory with these entries added (replacing equal ids), built at once.

    The entries are taken as verified: they come from `remember`, a store that checked them, or a parsed
    document.
    """
    merged = {entry.id: entry for entry in memory.tree}
    merged.update((entry.id, entry) for entry in entries)
    return with_tree(memory, MemoryTree[Entry].build(tree_leaf(entry) for entry in merged.values()))


def find(memory: Memory, block: str, key: str) -> Entry | None:
    """Return the entry called `key` in `block`, or None; erased entries have no key and are not found."""
    entry = memory.tree.get(bytes.fromhex(entry_id(block, key)))
    return None if entry is None or entry.payload is None else entry


def select(memory: Memory, *, block: str | None = None, subject: str | None = None) -> Iterator[Entry]:
    """Iterate over entries in id order, erased ones included unless a subject is asked for.

    Args:
        memory: where to look.
        block: only entries of this block.
        subject: only entries whose payload is about this data subject.
    """
    for entry in memory.tree:
        if block is not None and entry.block != block:
            continue
        if subject is not None and (entry.payload is None or entry.payload.subject != subject):
            continue
        yield entry


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryProof:
    """Proof that an entry is, or is not, in the memory with a root.

    Args:
        id: the entry asked for.
        leaf: what the leaf commits to, where the entry is present; None where it is absent.
        way: where the id's bits lead in the tree; None in an empty memory.
    """

    id: str
    leaf: JsonObject | None
    way: Way | None

    @property
    def present(self) -> bool:
        """Whether this claims presence."""
        return self.leaf is not None


def prove(memory: Memory, entry_id: str) -> MemoryProof:
    """Prove an entry's presence, or its absence, against the memory's root.

    Raises:
        DocumentError: `entry_id` is not 64 hexadecimal digits.
    """
    if not _is_id(entry_id):
        raise DocumentError(Fault(message=f"`{printable(entry_id)}` is no entry id"))
    key = bytes.fromhex(entry_id)
    entry = memory.tree.get(key)
    return MemoryProof(
        id=entry_id, leaf=None if entry is None else leaf_value(entry), way=memory.tree.way(key)
    )


def verify_proof(root: str, proof: MemoryProof) -> bool:
    """Check a proof of presence or absence against a memory root (`sha256:<hex>`)."""
    if not _is_id(proof.id) or not root.startswith("sha256:") or not _is_id(root.removeprefix("sha256:")):
        return False
    answer = verify_way(bytes.fromhex(root.removeprefix("sha256:")), bytes.fromhex(proof.id), proof.way)
    if proof.leaf is None:
        return answer is False
    return (
        answer is True
        and proof.way is not None
        and proof.leaf.get("id") == proof.id
        and value_digest(proof.leaf) == proof.way.value_digest
    )
