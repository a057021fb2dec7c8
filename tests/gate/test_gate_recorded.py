"""A decision's record holds the whole request: what is read back is what was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gate_world import PERMIT, World
from hypothesis import given
from hypothesis import strategies as st

from remit.document.json_text import parse_json
from remit.document.values import canonical_bytes
from remit.engine.request import Entity, EntityRef, Request
from remit.gate.recorded import NotKeptError, ref_of, request_content, request_of


def test_the_record_of_a_decision_gives_back_exactly_the_request_that_was_decided(world: World) -> None:
    ask = world.pay(amount=10, memo="x")
    world.gate(PERMIT).authorize(ask)
    _, body, content = world.records()[0]
    asked = ask.request
    expected = replace(asked, context={**asked.context, "fulfilled": []})
    found = request_of(body, content)
    assert expected == replace(found, context={**found.context, "fulfilled": []})


def test_a_denied_request_is_kept_whole_too(world: World) -> None:
    world.gate(PERMIT).authorize(world.pay(amount="much"))
    _, body, content = world.records()[0]
    assert body["kind"] == "invalid_arguments"
    assert request_of(body, content).context["input"] == {"amount": "much"}


_names = st.text(st.characters(codec="utf-8"), max_size=8)
_refs = st.builds(EntityRef, type=st.sampled_from(("Agent", "Caller", "Tool")), id=_names)
_values = st.recursive(
    st.booleans() | st.integers(-9, 9) | _names, lambda inner: st.lists(inner, max_size=2), max_leaves=4
)
_attributes = st.dictionaries(_names, _values, max_size=3)
_entities = st.builds(
    Entity, ref=_refs, attributes=_attributes, parents=st.lists(_refs, max_size=2).map(tuple)
)
_requests = st.builds(
    Request,
    principal=_entities,
    action=_names,
    resource=_entities,
    context=_attributes,
    entities=st.lists(_entities, max_size=2).map(tuple),
)


@given(_requests)
def test_every_request_survives_the_way_into_the_ledger_and_back(request: Request) -> None:
    body: Any = {
        "principal": str(request.principal.ref),
        "action": request.action,
        "resource": str(request.resource.ref),
    }
    kept = parse_json(canonical_bytes(request_content(request))).value
    assert request == request_of(body, kept)


_BODY: dict[str, Any] = {
    "principal": 'Remit::Agent::"a"',
    "action": "pay",
    "resource": 'Remit::Tool::"pay"',
}
_WHOLE: dict[str, Any] = {"context": {}, "principal": {}, "resource": {}, "entities": []}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "erased"),
        ([], "no request"),
        ({"unrecordable": "NaN"}, "no form"),
        ({"context": {}, "principal": {}, "resource": {}}, "without the entities"),
        ({**_WHOLE, "context": 1}, "the context"),
        ({**_WHOLE, "principal": None}, "the attributes of the principal"),
        ({**_WHOLE, "entities": [3]}, "an entity"),
        ({**_WHOLE, "entities": [{"type": "Caller", "id": 3, "attributes": {}}]}, "a name"),
        ({**_WHOLE, "resource_parents": 3}, "parents"),
    ],
)
def test_a_record_that_lacks_a_part_says_which(content: Any, why: str) -> None:
    with pytest.raises(NotKeptError, match=why):
        request_of(_BODY, content)


@pytest.mark.parametrize("text", ["", "x", 'Remit::Agent::"a', 'Other::Agent::"a"', 'Agent::"a"'])
def test_what_is_no_reference_is_not_guessed_at(text: str) -> None:
    with pytest.raises(NotKeptError):
        ref_of(text)


@given(_refs)
def test_every_reference_is_read_as_it_was_written(ref: EntityRef) -> None:
    assert ref == ref_of(str(ref))
