"""A diff: rules by their ids in their authors' words, and nothing that differs is left out."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay_support import agent_of, changed

from remit.policy.compile import compile_governance
from remit.workbench.diff.declarations import declaration_changes, differences, schema_changes
from remit.workbench.diff.rules import authored, rule_changes

if TYPE_CHECKING:
    from remit.document.model import Document


def compiled(document: Document) -> Any:
    return document, compile_governance(document)


def test_a_document_does_not_differ_from_itself() -> None:
    side = compiled(agent_of())
    assert rule_changes(side, side) == ()
    assert declaration_changes(side[0], side[0]) == ()
    assert schema_changes(side[1], side[1]) == ()


def test_rules_are_added_removed_and_changed_by_their_ids_wherever_they_stand() -> None:
    document = agent_of()
    rules: Any = list(document.governance.value["rules"])  # type: ignore[arg-type]  # a list in every document
    cedar = '// why\n@id("plain") forbid(principal, action == Remit::Action::"tool1", resource);'
    new = changed(
        document,
        rules=[{"cedar": cedar}, {**rules[1], "because": "another reason"}, *rules[2:]],
        activation=[{"id": "start", "when": 'principal.roles.contains("agent")'}],
    )
    found = {change.id: change for change in rule_changes(compiled(document), compiled(new))}
    assert {(rule, change.kind) for rule, change in found.items()} == {
        ("freeze", "removed"),
        ("region", "changed"),
        ("plain", "added"),
        ("start", "changed"),
    }
    assert "+because: another reason" in found["region"].lines.splitlines()
    assert "+place: rules" in found["plain"].lines
    assert found["plain"].new is not None
    assert found["plain"].new.text.startswith('@id("plain") forbid')
    before, after = found["start"].lines.splitlines()[1:3]
    assert before == '-when: principal.roles.contains("clerk")'
    assert after == '+when: principal.roles.contains("agent")'


def test_a_rule_that_only_moved_within_its_place_does_not_differ() -> None:
    document = agent_of()
    rules: Any = list(reversed(document.governance.value["rules"]))  # type: ignore[arg-type]  # as above
    assert rule_changes(compiled(document), compiled(changed(document, rules=rules))) == ()


def test_a_rule_that_moved_to_another_place_differs() -> None:
    document = agent_of()
    tools: Any = copy.deepcopy(document.capabilities.value["tools"])
    moved = tools[0]["rules"].pop(0)
    rules: Any = [*document.governance.value["rules"], {**moved, "effect": "permit", "on": ["tool0"]}]  # type: ignore[misc]  # as above
    (change,) = rule_changes(compiled(document), compiled(changed(document, rules=rules, tools=tools)))
    assert change.id == "t0-use"
    assert "-place: tool tool0" in change.lines
    assert "+place: rules" in change.lines


def test_every_rule_of_an_image_has_its_words_and_its_place() -> None:
    document, image = compiled(agent_of())
    found = authored(document, image)
    assert list(found) == list(image.rules)
    assert all(rule.text and rule.place for rule in found.values())
    assert {rule.place for rule in found.values()} >= {"base", "activation", "tool tool0", "dispatch"}


@pytest.mark.parametrize(
    ("part", "change", "expected"),
    [
        ("tools", lambda v: v[0].update(effect="external"), ("tool", "tool0", "/effect", "changed")),
        ("tools", lambda v: v.pop(3), ("tool", "tool3", "", "removed")),
        ("backends", lambda v: v[0].update(region="US"), ("back-end", "local", "/region", "changed")),
        ("limits", lambda v: v.update(max_turns=3), ("limits", "", "/max_turns", "changed")),
        ("attributes", lambda v: v.update(owner="x"), ("governance attributes", "", "/owner", "changed")),
        (
            "environment",
            lambda v: v["values"].update(freeze=True),
            ("environment", "", "/values/freeze", "changed"),
        ),
    ],
)
def test_a_declaration_that_differs_is_named_at_its_member(part: str, change: Any, expected: Any) -> None:
    document = agent_of()
    side = document.governance.value if part in document.governance.value else document.capabilities.value
    value: Any = copy.deepcopy(side[part])
    change(value)
    found = declaration_changes(document, changed(document, **{part: value}))
    assert [(item.part, item.name, item.pointer, item.kind) for item in found] == [expected]


def test_a_schema_that_differs_is_named_at_its_member() -> None:
    document = agent_of()
    caller: Any = copy.deepcopy(document.governance.value["caller"])
    caller["properties"]["desk"] = {"type": "string"}
    found = schema_changes(compiled(document)[1], compiled(changed(document, caller=caller))[1])
    assert [item.kind for item in found] == ["added"]
    assert found[0].pointer.endswith("/Caller/shape/attributes/desk")


_json = st.recursive(
    st.booleans() | st.integers(0, 3) | st.text("ab/~", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(_json, _json)
def test_two_values_differ_somewhere_exactly_if_they_are_not_the_same_json(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert same is (list(differences(one, other, "")) == [])
