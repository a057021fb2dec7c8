"""One file = policies + request + decision + reasons + errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from remit.engine.cedar import CedarEngine
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Entity, EntityRef, Request

FILES = sorted((Path(__file__).parent / "corpus").glob("*.yaml"))
TYPES = {"Caller": {"kind": "String"}, "Agent": {"jurisdiction": "String"}, "Tool": {"effect": "String"}}


def schema(file: dict[str, Any]) -> dict[str, Any]:
    def record(attributes: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "Record",
            "attributes": {
                name.rstrip("?"): typed(kind, not name.endswith("?")) for name, kind in attributes.items()
            },
        }

    def typed(kind: Any, required: bool) -> dict[str, Any]:
        if isinstance(kind, dict):
            return {**record(kind), "required": required}
        if isinstance(kind, list):
            return {"type": "Set", "element": typed(kind[0], True), "required": required}
        return {"type": "EntityOrCommon", "name": kind, "required": required}

    tool = {
        "memberOf": [{"id": "call_tool"}],
        "appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": ["Tool"],
            "context": record({"now": "datetime", "caller": "Caller", "input": file["arguments"]}),
        },
    }
    return {
        "Remit": {
            "entityTypes": {name: {"shape": record(attributes)} for name, attributes in TYPES.items()},
            "actions": {"call_tool": {}, file["tool"]: tool},
        }
    }


def cases() -> list[Any]:
    found = []
    for path in FILES:
        file = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        found += [pytest.param(file, case, id=f"{path.stem}: {case['name']}") for case in file["cases"]]
    return found


@pytest.mark.parametrize(("file", "case"), cases())
def test_the_engine_gives_the_decision_the_reasons_and_the_errors_that_the_file_says(
    file: dict[str, Any], case: dict[str, Any]
) -> None:
    declared = schema(file)
    image = PolicyImage(
        policies=file["policies"],
        schema=declared,
        schema_text="",
        rules={},
        digest=image_digest(file["policies"], declared),
    )
    caller = Entity(ref=EntityRef(type="Caller", id="ann"), attributes={"kind": "user"})
    decision = CedarEngine(image).decide(
        Request(
            principal=Entity(
                ref=EntityRef(type="Agent", id="a"),
                attributes={"jurisdiction": case.get("jurisdiction", "EU")},
            ),
            action=file["tool"],
            resource=Entity(ref=EntityRef(type="Tool", id=file["tool"]), attributes={"effect": "write"}),
            context={
                "now": case.get("now", "2026-01-01T00:00:00.000Z"),
                "caller": {"type": "Caller", "id": "ann"},
                "input": case["input"],
            },
            entities=(caller,),
        )
    )
    expect = case["expect"]
    assert decision.kind == expect["kind"], decision
    assert list(decision.reasons) == expect.get("reasons", []), decision
    errors = expect.get("errors", [])
    assert [failure.rule for failure in decision.errors] == [error["rule"] for error in errors]
    for failure, error in zip(decision.errors, errors, strict=True):
        assert error["says"] in failure.message


def test_the_corpus_is_not_empty() -> None:
    assert len(FILES) >= 4
