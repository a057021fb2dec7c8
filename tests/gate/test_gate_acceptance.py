"""The quick yes for arguments promises what jsonschema would say; digests over shared bytes are those of the whole."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.engine.request import Entity, EntityRef, Request
from remit.gate.acceptance import acceptance_of
from remit.gate.answers import Bound, request_digest
from remit.gate.arguments import argument_faults
from remit.messages import content_digest
from remit.ports import Invocation

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
keys = st.sampled_from(["a", "b", "c"])
numbers = st.sampled_from([0, 1, -1, 1.0, 0.5, True, False])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
words: dict[str, Any] = {
    "type": kinds | st.lists(kinds, min_size=1, max_size=3, unique=True),
    "description": texts,
    "enum": st.lists(texts | numbers, min_size=1, max_size=3),
    "minimum": st.integers(-1, 1),
    "maxLength": st.integers(0, 2),
    "const": values,
    "required": st.lists(keys, max_size=2, unique=True),
}
schemas = st.recursive(
    st.fixed_dictionaries({}, optional=words) | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **words,
            "properties": st.dictionaries(keys, inner, max_size=3),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=6,
)


@given(schemas, st.lists(values, max_size=4))
def test_a_quick_yes_is_never_one_that_jsonschema_would_refuse(schema: Any, candidates: list[Any]) -> None:
    accepts = acceptance_of(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for value in candidates:
        if accepts is not None and accepts(value):
            assert list(validator.iter_errors(value)) == []


plain_words: dict[str, Any] = {"type": kinds, "description": texts}
plain = st.recursive(
    st.fixed_dictionaries({}, optional=plain_words)
    | st.lists(texts, min_size=1, max_size=3).map(lambda choices: {"type": "string", "enum": choices}),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(keys, inner, max_size=3)},
            optional={"required": st.lists(keys, max_size=1), "additionalProperties": st.booleans()},
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
    ),
    max_leaves=6,
)


@given(plain, st.lists(values, max_size=6))
def test_plain_schemas_get_their_quick_yes_and_it_is_jsonschemas(schema: Any, candidates: list[Any]) -> None:
    accepts = acceptance_of(schema)
    assert accepts is not None
    validator = jsonschema.Draft202012Validator(schema)
    for value in candidates:
        if accepts(value):
            assert list(validator.iter_errors(value)) == []


TOOL: dict[str, Any] = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "currency": {"type": "string", "enum": ["EUR"]}},
    "required": ["amount"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "quick"),
    [
        ({"amount": 1}, True),
        ({"amount": 1, "currency": "EUR"}, True),
        ({"amount": 1.0}, False),  # fits, and jsonschema says so
        ({"amount": True}, False),
        ({"amount": 1, "currency": "USD"}, False),
        ({"amount": 1, "other": 1}, False),
        ({}, False),
        ([], False),
    ],
)
def test_the_quick_yes_leaves_every_doubt_to_jsonschema(arguments: Any, quick: bool) -> None:
    accepts = acceptance_of(TOOL)
    assert accepts is not None
    assert quick == accepts(arguments)
    fits = jsonschema.Draft202012Validator(TOOL).is_valid(arguments)
    assert fits == (argument_faults(arguments, TOOL) == ())


@pytest.mark.parametrize(
    "word",
    [
        {"pattern": "x"},
        {"format": "date"},
        {"minimum": 1},
        {"$ref": "#/$defs/x"},
        {"allOf": [{}]},
        {"const": 1},
        {"unevaluatedProperties": False},
        {"some-word-of-tomorrow": 1},
    ],
)
def test_a_keyword_that_is_not_known_has_no_quick_yes(word: dict[str, Any]) -> None:
    assert acceptance_of({"type": "string", **word}) is None
    assert acceptance_of({"type": "object", "properties": {"a": {"type": "string", **word}}}) is None
    assert acceptance_of({"type": "integer", "enum": [1]}) is None
    assert acceptance_of(False) is None


def test_a_schema_that_changed_is_another_schema() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert argument_faults({"a": 1}, schema) == ()
    schema["properties"]["a"]["type"] = "string"
    assert len(argument_faults({"a": 1}, schema)) == 1


@given(texts, texts, st.dictionaries(texts, values, max_size=3))
def test_the_digest_over_encoded_arguments_is_that_of_the_invocation(
    tool: str, key: str, arguments: dict[str, Any]
) -> None:
    invocation = Invocation(tool=tool, arguments=arguments, key=key)
    bound = Bound.of(invocation)
    assert invocation.digest() == bound.digest()
    assert content_digest({"arguments": arguments, "tool": tool}) == bound.proposal()


@given(texts, texts, texts, texts, values)
def test_the_request_digest_is_over_the_rfc_8785_form_of_its_members(
    agent: str, basis: str, name: str, tool: str, caller: Any
) -> None:
    request = Request(
        principal=Entity(ref=EntityRef(type="Agent", id=name)),
        action=tool,
        resource=Entity(ref=EntityRef(type="Tool", id=tool)),
        context={"caller": caller, "usage": {"turns": 1}},
    )
    invocation = Invocation(tool=tool, arguments={"a": [name]}, key="k")
    expected = content_digest(
        {
            "action": tool,
            "agent": agent,
            "basis": basis,
            "caller": caller,
            "content": content_digest({"arguments": {"a": [name]}, "tool": tool}),
            "image": "sha256:image",
            "principal": {"type": "Agent", "id": name},
            "resource": {"type": "Tool", "id": tool},
        }
    )
    given_ = {"image": "sha256:image", "agent": agent, "basis": basis}
    assert expected == request_digest(request, content=invocation, **given_)
    assert expected == request_digest(request, content=Bound.of(invocation), **given_)
