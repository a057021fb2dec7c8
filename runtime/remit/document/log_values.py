"""The fields memory and lineage, read into typed views: each stands for a log through a Merkle root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.entries import (
    AUTHORS,
    WRITES,
    commitment_of,
    entry_id,
    payload_faults,
    tree_leaf,
)
from remit.document.faults import DIGEST, HEX_32, HEX_64, KEY, NAME, TIME, FaultLog, Members
from remit.document.field_values import schema_member, unique
from remit.document.json_text import printable
from remit.document.lineage import GENESIS_OPERATIONS, OPERATIONS, Lineage, Operation
from remit.document.memory import Block, Entry, Memory, Payload
from remit.document.memory_tree import MemoryTree
from remit.document.merkle import Frontier, leaf_hash
from remit.document.model import FIELD_NAMES
from remit.document.rule_values import BLOCK, RuleReader
from remit.document.value_schemas import Conformance
from remit.document.values import JsonObject, JsonValue, canonical_bytes, digest_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_NONCE_PARENTS = (
    "a genesis operation `fork` names at least one parent revision; `create` and `import` name none"
)


def read_memory(value: JsonValue, log: FaultLog, rules: RuleReader) -> Memory:
    """Read the memory field and recompute ids, commitments, count and root."""
    members = Members(value, "/memory", log)
    blocks, checks = read_blocks(members, log, rules)
    known = {block.name: block for block in blocks}
    seen: set[str] = set()
    entries: list[Entry] = []
    faults = len(log.faults)
    for pointer, item in members.items("entries"):
        entry = _entry(item, pointer, log, known, checks)
        if entry is None:
            continue
        if entry.id in seen:
            log.add(pointer, f"the memory entry `{entry.id}` occurs twice in `/memory/entries`")
            continue
        seen.add(entry.id)
        entries.append(entry)
    count = members.integer("count", default=0, required=True)
    root = members.text("root", shape=DIGEST)
    tree = MemoryTree[Entry]()
    if len(log.faults) == faults:
        tree = MemoryTree[Entry].build(tree_leaf(entry) for entry in entries)
        if count != len(tree):
            members.wrong("count", f"is {count}, but there are {len(tree)} entries")
        if root != digest_text(tree.root):
            members.wrong("root", "does not match the entries")
    members.close()
    header = {name: member for name, member in members.value.items() if name != "entries"}
    return Memory(blocks=blocks, tree=tree, value=header)


def read_entries(value: JsonValue, blocks: Sequence[Block], log: FaultLog) -> list[Entry]:
    """Read entries of a memory with these blocks; those that are faulty are left out, with their faults."""
    known = {block.name: block for block in blocks}
    checks = {block.name: Conformance(block.schema) for block in blocks}
    found = [
        _entry(item, f"/memory/entries/{index}", log, known, checks)
        for index, item in enumerate(value if isinstance(value, list) else [])
    ]
    return [entry for entry in found if entry is not None]


def read_blocks(
    members: Members, log: FaultLog, rules: RuleReader
) -> tuple[tuple[Block, ...], dict[str, Conformance]]:
    """Read the declared blocks, with a conformance check for each acceptable schema."""
    blocks: list[Block] = []
    names: list[str] = []
    checks: dict[str, Conformance] = {}
    for pointer, item in members.items("blocks"):
        block = Members(item, pointer, log)
        name = block.text("name", shape=NAME)
        unique(names, name, block)
        schema = schema_member(block, "schema", required=True, of_object=False)
        if schema is not None:
            checks[name] = Conformance(schema)
        retention = block.integer("retention_days", default=0, minimum=1)
        blocks.append(
            Block(
                name=name,
                description=block.text("description", empty=True),
                schema=schema or {},
                classification=block.text("classification"),
                retention_days=retention or None,
                subject=block.boolean("subject"),
                rules=rules.rules(block, "rules", BLOCK, required=False),
            )
        )
        block.close()
    return tuple(blocks), checks


def _entry(
    value: JsonValue, pointer: str, log: FaultLog, blocks: dict[str, Block], checks: dict[str, Conformance]
) -> Entry | None:
    before = len(log.faults)
    # INVARIANT (no uncommitted content): a leaf commits to fixed members, so an entry takes no `x-` members.
    members = Members(value, pointer, log, extensions=False)
    name = members.text("id", shape=HEX_64)
    block = members.text("block", shape=NAME)
    if block and block not in blocks:
        members.wrong("block", f"is `{block}`, which is not declared", "declare it in `/memory/blocks`")
    author = members.text("author", choices=AUTHORS)
    operation = members.text("operation", choices=WRITES)
    at = members.text("at", shape=TIME)
    commitment = members.text("commitment", shape=DIGEST)
    present = [member for member in ("key", "salt", "payload") if members.has(member)]
    if present and len(present) != len(("key", "salt", "payload")):
        log.add(
            pointer,
            f"an entry has all of `key`, `salt` and `payload`, or none once erased, not only "
            f"{' and '.join(f'`{member}`' for member in present)} in `{pointer}`",
        )
    key, salt, payload = None, None, None
    if len(present) == len(("key", "salt", "payload")):
        key = members.text("key", shape=KEY)
        salt = members.text("salt", shape=HEX_32)
        payload = _payload(members, log)
        if len(log.faults) == before:
            raw = members.value["payload"]
            if entry_id(block, key) != name:
                members.wrong("id", f"does not match block `{block}` and key `{printable(key)}`")
            if isinstance(raw, dict) and commitment_of(salt, raw) != commitment:
                members.wrong("commitment", "does not match salt and payload")
            if block in blocks and block in checks:
                for what in payload_faults(blocks[block], payload, checks[block]):
                    log.add(members.at("payload"), f"{what} in `{pointer}`")
    members.close()
    if len(log.faults) != before:
        return None
    return Entry(
        id=name,
        block=block,
        key=key,
        author=author,
        operation=operation,
        at=at,
        commitment=commitment,
        salt=salt,
        payload=payload,
    )


def _payload(entry: Members, log: FaultLog) -> Payload:
    members = Members(entry.value["payload"], entry.at("payload"), log, extensions=False)
    payload = Payload(
        value=members.any("value"),
        subject=members.text("subject", required=False),
        on_behalf_of=members.text("on_behalf_of", required=False),
    )
    members.close()
    return payload


def operation_leaf(value: JsonObject) -> bytes:
    """Return the leaf hash of an operation."""
    return leaf_hash(canonical_bytes(value))


def read_lineage(value: JsonValue, log: FaultLog) -> Lineage:
    """Read the lineage field and recompute size and root."""
    members = Members(value, "/lineage", log)
    parents = members.texts("parents", required=True, shape=DIGEST)
    faults = len(log.faults)
    operations = tuple(
        _operation(item, pointer, index, log)
        for index, (pointer, item) in enumerate(members.items("operations"))
    )
    if not operations and isinstance(members.value.get("operations"), list):
        members.wrong("operations", "must hold the genesis operation")
    first = operations[0].operation if operations else ""
    if first and bool(parents) != (first == "fork"):
        members.wrong("parents", f"does not fit `{first}`: {_NONCE_PARENTS}")
    size = members.integer("size", default=0, required=True)
    root = members.text("root", shape=DIGEST)
    frontier = Frontier()
    if len(log.faults) == faults:
        frontier = frontier.extend(operation_leaf(operation.value) for operation in operations)
        if size != frontier.size:
            members.wrong("size", f"is {size}, but there are {frontier.size} operations")
        if root != digest_text(frontier.root()):
            members.wrong("root", "does not match the operations")
    members.close()
    header = {name: member for name, member in members.value.items() if name != "operations"}
    return Lineage(parents=parents, operations=operations, value=header, frontier=frontier)


def read_operations(value: JsonValue, start: int, log: FaultLog) -> list[Operation]:
    """Read operations that follow the first `start`."""
    return [
        _operation(item, f"/lineage/operations/{index}", index, log)
        for index, item in enumerate(value if isinstance(value, list) else [], start)
    ]


def _operation(value: JsonValue, pointer: str, index: int, log: FaultLog) -> Operation:
    members = Members(value, pointer, log)
    seq = members.integer("seq", default=index, required=True)
    if seq != index:
        members.wrong("seq", f"is {seq}, but this is operation {index}")
    if index == 0:
        operation = Operation(
            seq=0,
            operation=members.text("operation", choices=GENESIS_OPERATIONS),
            value=members.value,
        )
        members.text("nonce", shape=HEX_32)
    else:
        operation = Operation(
            seq=index,
            operation=members.text("operation", choices=OPERATIONS[len(GENESIS_OPERATIONS) :]),
            value=members.value,
            parent=members.text("parent", shape=DIGEST),
            changed=_changed(members),
            decision=members.text("decision", required=False, shape=DIGEST),
            actor=members.text("actor"),
            at=members.text("at", shape=TIME),
        )
        members.texts("erased", shape=DIGEST)
    members.close()
    return operation


def _changed(members: Members) -> tuple[str, ...]:
    changed = members.texts("changed", required=True)
    unknown = [name for name in changed if name == "lineage" or name not in FIELD_NAMES]
    if unknown:
        members.wrong(
            "changed", f"names `{printable(unknown[0])}`, which is no field that an operation changes"
        )
    if list(changed) != sorted(changed):
        members.wrong("changed", "is not sorted")
    return changed
