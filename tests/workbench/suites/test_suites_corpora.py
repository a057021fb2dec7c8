"""Cedar's test corpora as strangers have them: every form of the format, decided as plain cedarpy decides."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import cedarpy
import pytest

from remit.errors import DocumentError, FaultsError
from remit.workbench.suites.finding import read_suites
from remit.workbench.suites.plan import prepare, run_all

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = """\
entity G;
entity U in [G] { n: Long, d?: decimal, ip?: ipaddr };
entity D { owner: U };
action view, edit appliesTo { principal: U, resource: D, context: { i: Long, b?: Bool } };
"""
JSON_SCHEMA: dict[str, Any] = {
    "": {
        "entityTypes": {
            "G": {},
            "U": {
                "memberOfTypes": ["G"],
                "shape": {
                    "type": "Record",
                    "attributes": {
                        "n": {"type": "Long"},
                        "d": {"type": "Extension", "name": "decimal", "required": False},
                        "ip": {"type": "Extension", "name": "ipaddr", "required": False},
                    },
                },
            },
            "D": {"shape": {"type": "Record", "attributes": {"owner": {"type": "Entity", "name": "U"}}}},
        },
        "actions": {
            name: {
                "appliesTo": {
                    "principalTypes": ["U"],
                    "resourceTypes": ["D"],
                    "context": {
                        "type": "Record",
                        "attributes": {"i": {"type": "Long"}, "b": {"type": "Boolean", "required": False}},
                    },
                }
            }
            for name in ("view", "edit")
        },
    }
}
POLICIES = """\
// ; @id("no policy")
@id("same") permit (principal in G::"g", action == Action::"view", resource) when { principal.n > 0 };
@id("same") permit (principal, action in [Action::"view", Action::"edit"], resource)
when { resource.owner == principal };
forbid (principal, action, resource) when { context has b && context.b };
forbid (principal, action, resource) when { context.i + 1 < 0 };
permit (principal == ?principal, action, resource);
forbid (principal, action, resource) when { principal has ip && principal.ip.isInRange(ip("10.0.0.0/8")) };
"""
ENTITIES: list[Any] = [
    {"uid": {"type": "G", "id": "g"}, "attrs": {}, "parents": []},
    {
        "uid": {"__entity": {"type": "U", "id": 'ü"q'}},
        "attrs": {"n": 2**63 - 1, "d": {"__extn": {"fn": "decimal", "arg": "1.5"}}},
        "parents": [{"__entity": {"type": "G", "id": "g"}}],
    },
    {
        "uid": {"type": "U", "id": ""},
        "attrs": {"n": -(2**63), "ip": {"__extn": {"fn": "ip", "arg": "10.1.2.3"}}},
        "parents": [{"type": "G", "id": "g"}],
    },
    {
        "uid": {"type": "D", "id": "d"},
        "attrs": {"owner": {"__entity": {"type": "U", "id": 'ü"q'}}},
        "parents": [],
    },
]


def asked(principal: str, action: str, context: dict[str, Any]) -> dict[str, Any]:
    """One request with what cedarpy alone answers."""
    answer = cedarpy.is_authorized(  # pyright: ignore[reportUnknownMemberType]  # cedarpy's `dict` lacks its types
        {
            "principal": {"type": "U", "id": principal},
            "action": {"type": "Action", "id": action},
            "resource": {"type": "D", "id": "d"},
            "context": json.dumps(context),
        },
        cedarpy.PolicySet.from_str(POLICIES),
        cedarpy.Entities.from_json_str(json.dumps(ENTITIES), cedarpy.Schema.from_str(SCHEMA)),  # pyright: ignore[reportUnknownMemberType]  # as above
        None,
    )
    errors = [re.findall("policy `(.*?)`", text)[0] for text in answer.diagnostics.errors]
    return {
        "principal": {"__entity": {"type": "U", "id": principal}},
        "action": {"type": "Action", "id": action},
        "resource": {"type": "D", "id": "d"},
        "context": context,
        "decision": "Allow" if answer.decision is cedarpy.Decision.Allow else "Deny",
        "reason": sorted(answer.diagnostics.reasons),
        "errors": errors,
    }


def requests() -> list[dict[str, Any]]:
    return [
        asked(principal, action, {"i": number, **more})
        for principal in ('ü"q', "", "nobody")
        for action in ("view", "edit")
        for number in (0, 2**63 - 1, -(2**63))
        for more in ({}, {"b": True})
    ]


def write(folder: Path, schema: str, **members: Any) -> Path:
    """A corpus in `corpus-tests`, with its paths from the folder above; `schema` says in which form."""
    place = folder / "corpus-tests"
    place.mkdir(exist_ok=True)
    (place / "a.cedar").write_text(POLICIES)
    (place / "a.entities.json").write_text(json.dumps(ENTITIES))
    test: dict[str, Any] = {
        "policies": "corpus-tests/a.cedar",
        "entities": "corpus-tests/a.entities.json",
        "shouldValidate": False,
        "requests": [{"description": "same", **item} for item in requests()],
    }
    file = {"cedar": "a.cedarschema", "json": "a.cedarschema.json", "old": "a.cedarschema"}.get(schema, "")
    if file:
        (place / file).write_text(SCHEMA if schema == "cedar" else json.dumps(JSON_SCHEMA))
        test["schema"] = f"corpus-tests/{file}"
        validated = cedarpy.validate_policies(POLICIES.replace("?principal", 'U::"x"'), SCHEMA)
        test["shouldValidate"] = validated.validation_passed
    elif schema == "empty":
        test["schema"] = ""
    path = place / "a.json"
    path.write_text(json.dumps({**test, **members}, ensure_ascii=False))
    return place


@pytest.mark.parametrize("schema", ["cedar", "json", "old", "empty", "none"])
def test_a_corpus_is_decided_as_cedar_decides_it_whatever_form_its_schema_has(
    schema: str, tmp_path: Path
) -> None:
    place = write(tmp_path, schema)
    # As a shell expands it: entities and schema beside the tests are no tests.
    outcome = run_all(prepare(read_suites(sorted(place.glob("*.json")))))
    (found,) = [results for _, results in outcome]
    assert len(found) == 36
    assert {result.case.name: result.problems for result in found if not result.passed} == {}
    assert {result.verdict.decision for result in found if result.verdict} == {"allow", "deny"}
    assert any(result.verdict.errors for result in found if result.verdict)


def test_a_file_beside_tests_that_none_of_them_names_is_a_fault(tmp_path: Path) -> None:
    place = write(tmp_path, "cedar")
    (place / "b.entities.json").write_text("[]")
    with pytest.raises(DocumentError, match=r"b\.entities\.json:1:1: this is a file for `cedar run-tests`"):
        read_suites(sorted(place.glob("*.json")))


def test_an_id_that_a_test_names_is_the_policys_name(tmp_path: Path) -> None:
    place = write(tmp_path, "none")
    (place / "a.cedar").write_text('@id("own") permit (principal, action, resource);\n')
    item = {**requests()[0], "decision": "allow", "reason": ["own"], "errors": []}
    test = json.loads((place / "a.json").read_text())
    (place / "a.json").write_text(json.dumps({**test, "requests": [item]}))
    ((_, (result,)),) = run_all(prepare(read_suites([place / "a.json"])))
    assert result.passed


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_an_integer_beyond_64_bits_is_refused_with_its_place(number: int, tmp_path: Path) -> None:
    place = write(tmp_path, "none", requests=[{**requests()[0], "context": {"i": number}}])
    with pytest.raises(FaultsError, match=r"corpus-tests/a\.json:1:\d+: the number `-?\d+` "):
        read_suites([place / "a.json"])
