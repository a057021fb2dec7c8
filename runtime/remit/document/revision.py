"""Revisions: how an agent comes to be, and how one revision follows another.

Rules
1. `genesis` makes revision 0 from the field values; its log holds one operation with a 128-bit nonce and
   nothing
   that depends on a clock, a host or a person.
2. `revise` makes a child: one operation is appended that names the revision before, exactly the fields whose
   digest
   changed, and the decision that allowed it. The child carries no signatures.
3. `fork` makes a new genesis that names its parent; agent ids differ from there on.
4. An operation says nothing about the content of memory; erased entries are named by their commitments alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from remit.document.faults import DIGEST, SHAPES, TIME, FaultLog, Members
from remit.document.field_values import (
    pack_names,
    read_capabilities,
    read_execution_state,
    read_governance,
    tool_names,
)
from remit.document.identity import field_digest, preimage_of, revision_from
from remit.document.json_text import printable
from remit.document.lineage import GENESIS_OPERATIONS, OPERATIONS, Lineage, Operation
from remit.document.log_values import operation_leaf, read_blocks
from remit.document.memory_tree import MemoryTree
from remit.document.merkle import Frontier
from remit.document.model import FIELD_NAMES, Document, Identity
from remit.document.parse import document_from_value, document_value
from remit.document.rule_values import RuleReader
from remit.document.values import SPEC, JsonObject, JsonValue, admit_value, digest_text, tagged_sha256
from remit.errors import DocumentError, Fault

if TYPE_CHECKING:
    from remit.document.memory import Memory


def genesis(
    fields: JsonObject, *, nonce: str, operation: str = "create", parents: tuple[str, ...] = ()
) -> Document:
    """Make the first revision of a new agent.

    Args:
        fields: governance, capabilities, memory (blocks; entries in full or absent) and execution_state, and
            top-level
            `x-` members; derived members (count, root, lineage, identity) are computed and need not be there.
        nonce: 32 hexadecimal digits; fresh randomness, or for imports a digest's first half.
        operation: `create`, `import` or `fork`.
        parents: revisions that a fork descends from.

    Raises:
        DocumentError: the fields do not make an agent; every fault is listed.
    """
    memory = fields.get("memory")
    entries: JsonValue = memory.get("entries", []) if isinstance(memory, dict) else []
    first: JsonObject = {"seq": 0, "operation": operation, "nonce": nonce}
    lineage: JsonObject = {
        "parents": list(parents),
        "size": 1,
        "root": digest_text(Frontier().append(operation_leaf(first)).root()),
        "operations": [first],
    }
    value: JsonObject = {
        name: member for name, member in fields.items() if name not in ("identity", "lineage")
    }
    value["spec"] = fields.get("spec", SPEC)
    value["lineage"] = lineage
    if isinstance(memory, dict):
        value["memory"] = {
            **memory,
            "count": len(entries) if isinstance(entries, list) else 0,
            "root": _root_of(entries),
            "entries": entries,
        }
    admitted, wrong = admit_value(value)
    if wrong:
        raise DocumentError(
            *(Fault(message=f"{what} in `{printable(pointer)}`", pointer=pointer) for pointer, what in wrong)
        )
    if isinstance(admitted, dict):
        value = admitted
    digests = {
        name: field_digest(name, preimage_of(name, member))
        for name, member in value.items()
        if name in FIELD_NAMES or name.startswith("x-")
    }
    revision = revision_from(digests)
    value["identity"] = {"agent": revision, "revision": revision, "fields": dict(digests)}
    return document_from_value(value)


def _root_of(entries: JsonValue) -> str:
    """Root of entry values as far as they can be read; the parser judges them."""
    leaves: dict[bytes, bytes] = {}
    for entry in entries if isinstance(entries, list) else []:
        members = entry if isinstance(entry, dict) else {}
        name = members.get("id")
        if isinstance(name, str) and len(name) == len("0" * 64) and set(name) <= set("0123456789abcdef"):
            from remit.document.values import canonical_bytes

            committed = ("at", "author", "block", "commitment", "id", "operation")
            leaf: JsonObject = {part: members.get(part) for part in committed}
            leaves[bytes.fromhex(name)] = tagged_sha256("memory/value", canonical_bytes(leaf))
    return digest_text(MemoryTree[None].build((key, digest, None) for key, digest in leaves.items()).root)


def fork(document: Document, *, nonce: str, execution_state: JsonObject | None = None) -> Document:
    """Make a new agent that starts from this revision's content.

    Args:
        document: the revision to descend from.
        nonce: 32 hexadecimal digits of fresh randomness.
        execution_state: where the new agent stands; ready and unused when absent.

    Raises:
        DocumentError: the nonce or the execution state is not acceptable.
    """
    fields = document_value(document)
    fields["execution_state"] = execution_state or {"lifecycle": "ready", "usage": {}, "pending": []}
    return genesis(fields, nonce=nonce, operation="fork", parents=(document.identity.revision,))


def revise(
    document: Document,
    *,
    operation: str,
    actor: str,
    at: str,
    decision: str,
    memory: Memory | None = None,
    governance: JsonObject | None = None,
    capabilities: JsonObject | None = None,
    execution_state: JsonObject | None = None,
) -> Document:
    """Make the child revision after one operation.

    Args:
        document: the revision before; it stays as it is.
        operation: one of `remit.document.lineage.OPERATIONS` that is no genesis.
        actor: who did it, a Cedar entity reference.
        at: RFC 3339 UTC time with milliseconds.
        decision: digest of the ledger record that allowed it; empty for the owner's own edits.
        memory: the memory after, made by `remit.document.entries`.
        governance: the governance field after.
        capabilities: the capabilities field after.
        execution_state: the execution state field after.

    Raises:
        DocumentError: a new field or the operation is not acceptable; every fault is listed.
    """
    log = FaultLog()
    _check_operation(operation, actor, at, decision, log)
    values = _admit(
        {"governance": governance, "capabilities": capabilities, "execution_state": execution_state}, log
    )
    child = _with_fields(document, values, log)
    digests = {**document.identity.fields}
    for name, value in values.items():
        digests[name] = field_digest(name, value)
    erased: list[str] = []
    if memory is not None:
        child = replace(child, memory=memory)
        if memory.value.get("root") != digest_text(memory.tree.root) or memory.value.get("count") != len(
            memory.tree
        ):
            log.add("/memory", "`root` or `count` of the new memory does not match its entries")
        digests["memory"] = field_digest("memory", memory.value)
        erased = sorted(
            {
                old.commitment
                for old, new in memory.tree.changes(document.memory.tree)
                if old is not None and old.payload is not None and (new is None or new.payload is None)
            }
        )
    log.refuse()
    changed = sorted(name for name in digests if digests[name] != document.identity.fields[name])
    entry: JsonObject = {
        "seq": len(document.lineage.operations),
        "operation": operation,
        "parent": document.identity.revision,
        "changed": list(changed),
        "actor": actor,
        "at": at,
    }
    if decision:
        entry["decision"] = decision
    if erased:
        entry["erased"] = list(erased)
    lineage = append_operation(
        document.lineage,
        Operation(
            seq=len(document.lineage.operations),
            operation=operation,
            value=entry,
            parent=document.identity.revision,
            changed=tuple(changed),
            decision=decision,
            actor=actor,
            at=at,
        ),
    )
    digests["lineage"] = field_digest("lineage", lineage.value)
    identity = Identity(
        agent=document.identity.agent, revision=revision_from(digests), fields=digests, signatures=()
    )
    return replace(child, lineage=lineage, identity=identity)


def _check_operation(operation: str, actor: str, at: str, decision: str, log: FaultLog) -> None:
    if operation not in OPERATIONS or operation in GENESIS_OPERATIONS:
        log.add("", f"`{printable(operation)}` is no operation that makes a child revision")
    if not actor:
        log.add("", "an operation names its actor")
    if TIME.fullmatch(at) is None:
        log.add("", f"the time `{printable(at)}` is not {SHAPES[TIME]}")
    if decision and DIGEST.fullmatch(decision) is None:
        log.add("", f"the decision `{printable(decision)}` is not {SHAPES[DIGEST]}")


def _admit(values: dict[str, JsonObject | None], log: FaultLog) -> dict[str, JsonObject]:
    admitted: dict[str, JsonObject] = {}
    for name, value in values.items():
        if value is None:
            continue
        copy, wrong = admit_value(value)
        for pointer, what in wrong:
            log.add(f"/{name}{pointer}", f"{what} in `{printable(f'/{name}{pointer}')}`")
        if isinstance(copy, dict) and not wrong:
            admitted[name] = copy
    return admitted


def _with_fields(document: Document, values: dict[str, JsonObject], log: FaultLog) -> Document:
    child = document
    if "execution_state" in values:
        child = replace(child, execution_state=read_execution_state(values["execution_state"], log))
    if "governance" in values or "capabilities" in values:
        # Rule ids are unique over the whole document and rules name tools, so both fields are read together.
        capabilities = values.get("capabilities", document.capabilities.value)
        governance = values.get("governance", document.governance.value)
        rules = RuleReader(log, pack_names(governance))
        child = replace(
            child,
            capabilities=read_capabilities(capabilities, log, rules),
            governance=read_governance(governance, log, rules, tool_names(capabilities)),
        )
        read_blocks(Members(document.memory.value, "/memory", log), log, rules)
    return child


def append_operation(lineage: Lineage, operation: Operation) -> Lineage:
    """Return a lineage with one more operation, and the size and root that follow from it."""
    frontier = lineage.frontier.append(operation_leaf(operation.value))
    value = {**lineage.value, "size": frontier.size, "root": digest_text(frontier.root())}
    return Lineage(
        parents=lineage.parents,
        operations=(*lineage.operations, operation),
        value=value,
        frontier=frontier,
    )
