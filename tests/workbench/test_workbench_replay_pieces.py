"""Contents read in pieces: never anything but what the whole says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.engine.request import Entity
from remit.gate.recorded import ref_of
from remit.workbench.replay.pieces import Pieces

AGENT, TOOL = 'Remit::Agent::"a"', 'Remit::Tool::"t"'
NAMES = ("arguments", "context", "entities", "principal", "resource", "resource_parents", "x")
PATTERNS = (',"entities":[', ',"principal":{', ',"resource":{', '"}', "{}", ',\\"resource\\":{', "é")

texts = st.one_of(st.sampled_from(PATTERNS), st.text(max_size=4))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), texts), inner, max_size=4),
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.one_of(st.sampled_from(NAMES), texts), values, max_size=4)
contents = st.fixed_dictionaries(
    {
        "context": objects,
        "entities": st.lists(objects, max_size=2),
        "principal": objects,
        "resource": objects,
    },
    optional={"arguments": values, "resource_parents": values, "x": values},
)


def pieces() -> Pieces:
    def entity(name: str, attributes: Any) -> Entity:
        return Entity(ref=ref_of(name), attributes=attributes)

    return Pieces(entity, lambda items: tuple(entity(TOOL, item) for item in items))


def encoded(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


READER = pieces()


@given(contents)
def test_what_is_read_in_pieces_is_what_the_whole_says(content: dict[str, Any]) -> None:
    for reader in (READER, READER, pieces()):
        found = reader.read(encoded(content), AGENT, TOOL)
        if found is None:
            continue
        context, principal, resource, others = found
        assert not content.keys() & {"resource_parents", "x"}
        assert context == content["context"]
        assert principal.attributes == content["principal"]
        assert resource.attributes == content["resource"]
        assert [other.attributes for other in others] == content["entities"]


def test_a_content_of_the_usual_members_is_read_in_pieces() -> None:
    usual = {name: {"a": 1} for name in ("arguments", "context", "principal", "resource")}
    assert READER.read(encoded({**usual, "entities": [{}]}), AGENT, TOOL) is not None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"context":{},"entities":[],"principal":{},"resource":{}',
        b'{"context":{},"entities":[],"principal":{},"resource":{}}}',
        b'{"context":{},"entities":[],"principal":{},"resource":{},"entities":[1]}',
        b'{"entities":[],"context":{},"entities":[],"principal":{},"resource":{}}',
        b'{"context":[],"entities":[],"principal":{},"resource":{}}',
        b'{"context":{},"entities":[1,],"principal":{},"resource":{}}',
        b'{"context":{},"entities":[]],"principal":{},"resource":{}}',
        b'{"context":{,"entities":[],"principal":{},"resource":{}}',
        b'{"context":{"a":{},"entities":[],"principal":{},"resource":{}}}',
    ],
)
def test_what_is_not_in_order_is_left_to_the_whole(text: bytes) -> None:
    assert pieces().read(text, AGENT, TOOL) is None
