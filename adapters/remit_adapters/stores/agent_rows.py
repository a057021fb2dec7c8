"""Agents as rows: fields, entries and operations apart, so that one mutation writes only what it changed.

INVARIANT (identity decides): what is read back is parsed strictly and its revision recomputed.
Rows that do not give the head revision are refused, whoever changed them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from remit.document.catching_up import caught_up
from remit.document.identity import field_digests
from remit.document.parse import document_from_value
from remit.errors import DocumentError, HeadMovedError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remit.document.lineage import Operation
    from remit.document.memory import Entry
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.ports import Advance


def field_texts(document: Document) -> dict[str, str]:
    """Return the rows of a document's fields: name and JSON."""
    identity: JsonObject = {
        "agent": document.identity.agent,
        "revision": document.identity.revision,
        "fields": dict(field_digests(document)),
    }
    if document.identity.signatures:
        identity["signatures"] = list(document.identity.signatures)
    values: JsonObject = {
        "spec": document.spec,
        "identity": identity,
        "capabilities": document.capabilities.value,
        "execution_state": document.execution_state.value,
        "governance": document.governance.value,
        "lineage": document.lineage.value,
        "memory": document.memory.value,
        **document.extensions,
    }
    return {name: value_text(value) for name, value in values.items()}


def document_of(
    agent: str, revision: str, fields: Mapping[object, str], entries: Sequence[str], operations: Sequence[str]
) -> Document:
    """Put an agent's rows together and verify that they give its head revision.

    Args:
        agent: agent id.
        revision: its head.
        fields: name and JSON of each field.
        entries: JSON of the memory's entries, in the order of their ids.
        operations: JSON of the operations, in order.

    Raises:
        LedgerError: they do not give the head revision; the message names the field.
    """
    value = {str(name): _read(agent, str(name), text) for name, text in fields.items()}
    for name, member, rows in (("memory", "entries", entries), ("lineage", "operations", operations)):
        field = value.get(name)
        if not isinstance(field, dict):
            raise LedgerError(
                f"the stored agent `{agent}` was changed behind the store: "
                f"field `{name}` is gone or no object"
            )
        value[name] = {**field, member: [_read(agent, name, text) for text in rows]}
    try:
        document = document_from_value(value)
    except DocumentError as error:
        raise LedgerError(f"the stored agent `{agent}` was changed behind the store: {error}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LedgerError(f"the stored agent `{agent}` cannot be read: {type(error).__name__}") from error
    if (document.identity.agent, document.identity.revision) != (agent, revision):
        raise LedgerError(
            f"the stored agent `{agent}` was changed behind the store: its content is "
            f"`{document.identity.revision}`, its head says `{revision}` (field `identity`)"
        )
    return document


def document_since(
    known: Document,
    revision: str,
    fields: Mapping[str, str],
    entries: Sequence[str],
    operations: Sequence[str],
) -> Document | None:
    """Put together what came since an earlier revision; None where the agent must be read whole.

    Args:
        known: the earlier revision.
        revision: the head.
        fields: JSON of `identity` and `execution_state`.
        entries: JSON of the entries that were written or erased since.
        operations: JSON of the operations since, in order.
    """
    try:
        identity = json.loads(fields["identity"])
        if "signatures" in identity:
            return None
        return caught_up(
            known,
            revision=revision,
            fields=identity["fields"],
            execution_state=json.loads(fields["execution_state"]),
            operations=[json.loads(text) for text in operations],
            entries=[json.loads(text) for text in entries],
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def changed_entries(advance: Advance) -> list[Entry]:
    """Return the rows that changed, as the child document holds them.

    INVARIANT (delta is the document's): a put or erased entry that the child does not hold so is refused,
    for the rows would no longer give the child's revision.
    """
    tree = advance.document.memory.tree
    for entry in advance.put:
        if tree.get(bytes.fromhex(entry.id)) != entry:
            raise LedgerError(
                f"the entry `{entry.id}` is to be stored, but the child revision holds another one"
            )
    erased: list[Entry] = []
    for entry_id in advance.erased:
        held = tree.get(bytes.fromhex(entry_id))
        if held is None or held.payload is not None:
            raise LedgerError(
                f"the entry `{entry_id}` is to be erased, but the child revision does not say so"
            )
        erased.append(held)
    return [*advance.put, *erased]


def added_operations(advance: Advance, known: int) -> Sequence[Operation]:
    """Return the operations that a head move adds to the `known` ones that are stored.

    Raises:
        LedgerError: the child does not follow from the expected revision.
    """
    added = advance.document.lineage.operations[known:]
    if not added or added[0].parent != advance.expected:
        raise LedgerError(
            f"the revision `{advance.document.identity.revision}` does not follow from "
            f"`{advance.expected}`: its lineage differs"
        )
    return added


def require_same(agent: str, revision: str, head: str) -> None:
    """Refuse to create an agent that exists with other content.

    Raises:
        LedgerError: its head is another revision.
    """
    if head != revision:
        raise LedgerError(
            f"the agent `{agent}` exists with other content (head `{head}`): "
            "advance its head, or fork it under a new identity"
        )


def unknown_agent(agent: str) -> LedgerError:
    """Say that there is no such agent to move."""
    return LedgerError(f"the store holds no agent `{agent}`: create it first")


def moved(agent: str, head: str, expected: str) -> HeadMovedError:
    """Say that a compare-and-swap was lost."""
    return HeadMovedError(
        f"the head of `{agent}` is `{head}`, no longer `{expected}`: load it again and retry"
    )


def agent_prefix(prefix: str) -> str:
    """Return the beginning of an agent id from what a person typed; empty where it names none."""
    text = prefix if prefix.startswith("sha256:") else f"sha256:{prefix}"
    return "" if text == "sha256:" else text


def only_agent(prefix: str, found: Sequence[str]) -> str | None:
    """Return the one agent that begins with a prefix, or None.

    Raises:
        LedgerError: several do.
    """
    if len(found) > 1:
        raise LedgerError(f"several agents begin with `{prefix}`: give more digits")
    return found[0] if found else None


def value_text(value: JsonValue) -> str:
    """Return a JSON value as it is stored."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read(agent: str, field: str, text: str) -> JsonValue:
    try:
        return cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise LedgerError(
            f"the stored agent `{agent}` was changed behind the store: "
            f"a row of field `{field}` is not JSON ({type(error).__name__})"
        ) from error
