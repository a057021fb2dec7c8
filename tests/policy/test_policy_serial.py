from __future__ import annotations

import copy
import json
from typing import Any, cast

import cedarpy
import pytest
from policy_documents import document, full_document, rule

from remit.errors import PolicyError
from remit.policy.compile import compile_governance
from remit.policy.serial import export_cedar, image_from_json, image_to_json


def stored() -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(json.dumps(image_to_json(compile_governance(full_document())))))


def test_an_image_comes_back_as_it_was() -> None:
    image = compile_governance(full_document())
    again = image_from_json(cast("Any", stored()))
    assert (image.digest, image.policies, image.schema, image.schema_text) == (
        again.digest,
        again.policies,
        again.schema,
        again.schema_text,
    )
    assert dict(image.rules) == dict(again.rules)


def test_a_rule_changed_at_rest_is_refused() -> None:
    for index in range(len(stored()["rules"])):
        value = stored()
        text = value["rules"][index]["text"]
        value["rules"][index]["text"] = (
            text.replace("permit (", "forbid (").replace("forbid(", "permit(") + " "
        )
        with pytest.raises(PolicyError, match="claims to be"):
            image_from_json(value)


def test_an_approval_cannot_be_dropped_at_rest() -> None:
    value = stored()
    for entry in value["rules"]:
        entry["text"] = entry["text"].replace('@approve("risk-officer")\n', "")
    with pytest.raises(PolicyError, match="claims to be"):
        image_from_json(value)


def test_rules_dropped_reordered_or_repeated_at_rest_are_refused() -> None:
    for change in (
        lambda rules: rules[1:],
        lambda rules: [*rules[1:], rules[0]],
        lambda rules: [*rules, rules[0]],
    ):
        value = stored()
        value["rules"] = change(value["rules"])
        with pytest.raises(PolicyError):
            image_from_json(value)


def test_a_schema_changed_at_rest_is_refused() -> None:
    value = stored()
    value["schema"]["Remit"]["entityTypes"]["Agent"]["shape"]["attributes"]["tier"]["required"] = False
    with pytest.raises(PolicyError, match="claims to be"):
        image_from_json(value)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": "remit/2/image"},
        {"rules": None},
        {"rules": [3]},
        {"rules": [{"text": "permit(principal, action, resource);", "pointer": "", "origin": ""}]},
        {"rules": [{"text": "nonsense", "pointer": "", "origin": ""}]},
        {"rules": [{"text": "(" * 100_000, "pointer": "", "origin": ""}]},
        {"schema": {}},
        {"schema": {"Remit": 3}},
        {"schema": {"Remit": {"actions": []}}},
        {"digest": 3},
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as caught:
        image_from_json({**copy.deepcopy(stored()), **change})
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("value", [None, 3, [], "x", {}])
def test_any_other_value_is_refused(value: Any) -> None:
    with pytest.raises(PolicyError, match="not a policy image"):
        image_from_json(value)


def test_an_auditor_can_decide_again_with_stock_cedar_alone() -> None:
    own = document(
        attributes={
            "jurisdiction": "EU",
            "risk_tier": "limited",
            "owner": "o",
            "share": 0.25,
            "cap": {"n": 1.5},
        },
        dispatch=(rule("near", when='resource.region == "EU" && principal.share.lessThan(decimal("0.5"))'),),
    )
    export = export_cedar(compile_governance(own), own)
    assert cedarpy.validate_policies(export.policies, export.schema).validation_passed
    caller = {
        "uid": {"type": "Remit::Caller", "id": "kim"},
        "attrs": {"kind": "user", "roles": [], "jurisdiction": "EU"},
        "parents": [],
    }
    counters = dict.fromkeys(
        ("turns", "tool_calls", "denials", "tokens", "cost_microusd", "wall_time_s", "mutations"), 0
    )
    request = {
        "principal": {"type": "Remit::Agent", "id": own.identity.agent},
        "action": {"type": "Remit::Action", "id": "dispatch"},
        "resource": {"type": "Remit::Backend", "id": "local"},
        "context": {
            "now": {"__extn": {"fn": "datetime", "arg": "2026-06-01T00:00:00Z"}},
            "caller": {"__entity": {"type": "Remit::Caller", "id": "kim"}},
            "usage": counters,
            "lifetime": counters,
            "environment": {"frozen": False},
            "fulfilled": [],
            "run": "r",
            "input": {
                "messages": 1,
                "tools": 0,
                "classifications": [],
                "builtins": [],
                "switched_from": "",
            },
        },
    }
    entities = [*json.loads(export.entities), caller]
    result = cedarpy.is_authorized(request, export.policies, entities, export.schema)
    assert (result.allowed, result.diagnostics.errors) == (True, [])
    assert list(result.diagnostics.id_annotations_by_reason.values()) == ["near"]
