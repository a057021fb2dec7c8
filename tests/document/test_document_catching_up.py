"""A later revision from an earlier one and what came since: the same as reading it whole, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from remit.document.catching_up import caught_up
from remit.document.entries import entry_value, erase
from remit.document.parse import document_value
from remit.document.revision import revise
from remit.testing.store_contract import AT, contract_document, contract_note

if TYPE_CHECKING:
    from remit.document.model import Document

acts = st.lists(st.sampled_from(("note", "again", "erase", "state", "amend")), min_size=1, max_size=8)


def grown(document: Document, act: str, number: int) -> Document:
    """Make the child revision that one act leads to."""
    common: dict[str, Any] = {"actor": 'Remit::Agent::"a"', "at": AT, "decision": ""}
    entries = list(document.memory.tree)
    if act == "erase" and entries:
        memory = erase(document.memory, [entries[number % len(entries)].id])
        return revise(document, operation="erase", memory=memory, **common)
    if act == "state":
        state = {**document.execution_state.value, "usage": {"turns": number}}
        return revise(document, operation="activate", execution_state=state, **common)
    if act == "amend":
        governance = {**document.governance.value, "limits": {"max_turns": number + 1}}
        return revise(document, operation="amend", governance=governance, **common)
    return contract_note(document, f"k{number if act == 'note' else 0}", f"text {number}").document


def since(known: Document, head: Document, **changed: Any) -> Document | None:
    """Catch up from `known` to `head` with what a store would hold."""
    before = {entry.id: entry for entry in known.memory.tree}
    given: dict[str, Any] = {
        "revision": head.identity.revision,
        "fields": head.identity.fields,
        "execution_state": head.execution_state.value,
        "operations": [
            operation.value for operation in head.lineage.operations[len(known.lineage.operations) :]
        ],
        "entries": [entry_value(entry) for entry in head.memory.tree if before.get(entry.id) != entry],
    }
    return caught_up(known, **{**given, **changed})


@given(acts, st.integers(0, 7))
def test_catching_up_gives_the_revision_that_reading_it_whole_gives(path: list[str], start: int) -> None:
    revisions = [contract_document()]
    for number, act in enumerate(path):
        revisions.append(grown(revisions[-1], act, number))
    known, head = revisions[min(start, len(path))], revisions[-1]
    found = since(known, head)
    since_then = head.lineage.operations[len(known.lineage.operations) :]
    if known.governance != head.governance or any("erased" in one.value for one in since_then):
        assert found is None
    else:
        assert found is not None
        assert document_value(found) == document_value(head)
        assert found == head
        assert found.governance is known.governance


def test_an_erasure_that_was_missed_is_not_caught_up_with() -> None:
    """The revision does not say whether a payload is still there."""
    known = contract_note(contract_document(), "k", "personal").document
    head = grown(known, "erase", 0)
    assert since(known, head, entries=[]) is None
    assert since(known, head) is None


@given(acts, st.data())
def test_what_was_changed_behind_the_store_is_not_caught_up_with(
    path: list[str], data: st.DataObject
) -> None:
    known = contract_document()
    head = contract_note(known, "first", "text").document
    for number, act in enumerate(path):
        head = grown(head, "note" if act == "amend" else act, number)
    operations: list[Any] = [operation.value for operation in head.lineage.operations[1:]]
    entries: list[Any] = [entry_value(entry) for entry in head.memory.tree]
    which = data.draw(st.sampled_from(("entry", "operation", "state", "lost", "twice")))
    if which == "entry":
        spoiled = {"entries": [{**entries[0], "at": "2027-01-01T00:00:00.000Z"}, *entries[1:]]}
    elif which == "operation":
        spoiled = {"operations": [*operations[:-1], {**operations[-1], "actor": 'Remit::Agent::"b"'}]}
    elif which == "state":
        spoiled = {"execution_state": {**head.execution_state.value, "usage": {"turns": 99}}}
    elif which == "lost":
        spoiled = {"operations": operations[:-1]}
    else:
        spoiled = {"operations": [*operations, {**operations[-1], "seq": len(operations) + 1}]}
    assert since(known, head, **spoiled) is None
