"""Requests are values: frozen, compared by content, and made anew by `replace`."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from remit.engine.request import Entity, EntityRef, Request

AGENT = EntityRef(type="Agent", id="a")
VALUES: list[Any] = [
    AGENT,
    Entity(ref=AGENT, attributes={"n": 1}, parents=(EntityRef(type="Team", id="t"),)),
    Request(
        principal=Entity(ref=AGENT),
        action="pay",
        resource=Entity(ref=EntityRef(type="Tool", id="t")),
        context={"x": [1]},
        entities=(Entity(ref=AGENT),),
    ),
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_cannot_be_changed(value: Any) -> None:
    for one in fields(value):
        with pytest.raises(AttributeError):
            setattr(value, one.name, "other")
        with pytest.raises(AttributeError):
            delattr(value, one.name)
    with pytest.raises((AttributeError, TypeError)):
        value.more = 1
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", VALUES)
def test_a_value_survives_being_copied_sent_and_made_anew(value: Any) -> None:
    for again in (replace(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert again is not value
        assert (again, repr(again), type(again)) == (value, repr(value), type(value))
    first = fields(value)[0].name
    assert replace(value, **{first: "other"}) != value


def test_the_words_of_a_request_are_keywords_and_all_are_wanted() -> None:
    with pytest.raises(TypeError):
        EntityRef("Agent", "a")  # type: ignore[misc]
    with pytest.raises(TypeError):
        EntityRef(type="Agent")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Entity(ref=AGENT, more=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Request(principal=Entity(ref=AGENT), action="pay", context={})  # type: ignore[call-arg]


def test_attributes_that_are_not_given_are_nobody_elses() -> None:
    first, second = Entity(ref=AGENT), Entity(ref=AGENT)
    first.attributes["n"] = 1
    assert (second.attributes, Entity(ref=AGENT).attributes) == ({}, {})


def test_attributes_that_are_given_are_kept_whatever_they_are() -> None:
    given: dict[str, Any] = {}
    assert Entity(ref=AGENT, attributes=given).attributes is given
    assert Entity(ref=AGENT, attributes=None).attributes is None  # type: ignore[arg-type]


def test_references_are_keys_and_print_as_cedar_writes_them() -> None:
    assert {AGENT: 1}[EntityRef(type="Agent", id="a")] == 1
    assert str(AGENT) == 'Remit::Agent::"a"'
    assert repr(AGENT) == "EntityRef(type='Agent', id='a')"


def test_a_request_is_its_fields() -> None:
    (asked,) = VALUES[2:]
    assert asdict(asked) == {
        "principal": {"ref": {"type": "Agent", "id": "a"}, "attributes": {}, "parents": ()},
        "action": "pay",
        "resource": {"ref": {"type": "Tool", "id": "t"}, "attributes": {}, "parents": ()},
        "context": {"x": [1]},
        "entities": ({"ref": {"type": "Agent", "id": "a"}, "attributes": {}, "parents": ()},),
    }
