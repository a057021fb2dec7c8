"""A newer revision of an agent from an older one and what came since, in time that follows the difference.

INVARIANT (identity decides): what comes out has the revision that was asked for, recomputed from what is new
and from the digests of what did not change. Whatever does not lead there gives nothing, and the reader reads
the whole, which names the fault.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from remit.document.entries import tree_leaf, with_tree
from remit.document.faults import FaultLog
from remit.document.field_values import read_execution_state
from remit.document.identity import field_digest, revision_from
from remit.document.log_values import read_entries, read_operations
from remit.document.model import Identity
from remit.document.revision import append_operation
from remit.document.values import admit_value
from remit.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonValue

_MOVING = ("memory", "execution_state", "lineage")


def caught_up(
    known: Document,
    *,
    revision: str,
    fields: Mapping[str, str],
    execution_state: JsonValue,
    operations: Sequence[JsonValue],
    entries: Sequence[JsonValue],
) -> Document | None:
    """Return the later revision of an agent, or None where it must be read whole.

    Args:
        known: the earlier revision.
        revision: the later one.
        fields: the later one's field digests, as stated.
        execution_state: the later one's.
        operations: those since `known`, oldest first.
        entries: memory entries that were written or erased since, as they are now.
    """
    before = known.identity.fields
    if fields.keys() != before.keys() or any(
        fields[name] != before[name] for name in fields if name not in _MOVING
    ):
        return None
    log = FaultLog()
    new, wrong = admit_value(
        {"execution_state": execution_state, "operations": [*operations], "entries": [*entries]}
    )
    if wrong or not isinstance(new, dict):
        return None
    if any(isinstance(one, dict) and one.get("erased") for one in operations):
        # A revision commits to what a payload was, not to whether it is still there: whoever missed an
        # erasure would hold the text under the right revision.
        return None
    try:
        tree = known.memory.tree
        for entry in read_entries(new["entries"], known.memory.blocks, log):
            tree = tree.put(*tree_leaf(entry))
        lineage = known.lineage
        for operation in read_operations(new["operations"], len(lineage.operations), log):
            lineage = append_operation(lineage, operation)
        child = replace(
            known,
            memory=with_tree(known.memory, tree),
            execution_state=read_execution_state(new["execution_state"], log),
            lineage=lineage,
        )
        log.refuse()
    except DocumentError:
        return None
    digests = {
        **before,
        "memory": field_digest("memory", child.memory.value),
        "execution_state": field_digest("execution_state", child.execution_state.value),
        "lineage": field_digest("lineage", child.lineage.value),
    }
    if revision_from(digests) != revision:
        return None
    identity = Identity(agent=known.identity.agent, revision=revision, fields=digests, signatures=())
    return replace(child, identity=identity)
