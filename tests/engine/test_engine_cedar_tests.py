"""Cedar's own integration tests, run through the engine: same decision, reasons and erring policies; errors deny."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from cedarpy import pst

from remit.engine.cedar import CedarEngine
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Entity, EntityRef, Request
from remit.engine.trace.tracer import Tracer

ROOT = Path(__file__).parents[3] / "shared" / "data" / "cedar-tests"
FILES = sorted((ROOT / "tests").glob("*/*.json"))

pytestmark = pytest.mark.skipif(
    not FILES, reason="the corpus ../shared/data/cedar-tests is not part of a checkout of Remit"
)


def read_schema(text: str) -> dict[str, Any]:
    """Read the part of Cedar's schema syntax that these files use, into the namespace `Remit`."""
    tokens = re.findall(r"[A-Za-z_]\w*|[{}\[\]<>:;,?=]", text)
    position = 0

    def take(*wanted: str) -> str:
        nonlocal position
        token = tokens[position]
        assert not wanted or token in wanted, (token, wanted)
        position += 1
        return token

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def names() -> list[str]:
        found = [take()]
        while peek() == ",":
            take(",")
            found.append(take())
        return found

    def listed() -> list[str]:
        take("[")
        found = names()
        take("]")
        return found

    def kind() -> dict[str, Any]:
        if peek() == "{":
            return record()
        name = take()
        if name == "Set":
            take("<")
            element = kind()
            take(">")
            return {"type": "Set", "element": element}
        return {"type": "EntityOrCommon", "name": name}

    def record() -> dict[str, Any]:
        attributes = {}
        take("{")
        while peek() != "}":
            name = take()
            required = peek() != "?" or take("?") != "?"
            take(":")
            attributes[name] = {**kind(), "required": required}
            if peek() == ",":
                take(",")
        take("}")
        return {"type": "Record", "attributes": attributes}

    entities: dict[str, Any] = {}
    actions: dict[str, Any] = {}
    while position < len(tokens):
        if take("entity", "action") == "entity":
            declared = names()
            parents = []
            if peek() == "in":
                take("in")
                parents = listed()
            shape: dict[str, Any] = {"type": "Record", "attributes": {}}
            if peek() == "=":
                take("=")
                shape = record()
            entities |= {name: {"memberOfTypes": parents, "shape": shape} for name in declared}
        else:
            declared = names()
            assert take() == "appliesTo"
            take("{")
            applies: dict[str, Any] = {}
            while peek() != "}":
                part = take()
                take(":")
                if part == "context":
                    applies["context"] = record()
                else:
                    applies[f"{part}Types"] = listed()
                if peek() == ",":
                    take(",")
            take("}")
            actions |= {name: {"appliesTo": applies} for name in declared}
        take(";")
    return {"Remit": {"entityTypes": entities, "actions": actions}}


def within_remit(node: Any) -> Any:
    """Put every entity type of a syntax tree into the namespace `Remit`."""
    if isinstance(node, pst.EntityType):
        return replace(node, namespace=("Remit", *node.namespace))
    if isinstance(node, pst.FrozenMap):
        return pst.FrozenMap({key: within_remit(value) for key, value in node.items()})
    if isinstance(node, tuple):
        return tuple(within_remit(item) for item in node)
    if is_dataclass(node) and not isinstance(node, type):
        return replace(
            node, **{field.name: within_remit(getattr(node, field.name)) for field in fields(node)}
        )
    return node


def read_policies(text: str) -> str:
    """Return the policies in the namespace `Remit`, with their positional ids as `@id`."""
    tree = within_remit(cedarpy.PolicySet.from_str(text).to_pst())
    annotated = {
        name: replace(policy, annotations=pst.FrozenMap({**policy.annotations, "id": name}))
        for name, policy in tree.static_policies.items()
    }
    out = replace(tree, static_policies=pst.FrozenMap(annotated))
    return str(cedarpy.PolicySet.from_pst(out))


def plain(value: Any) -> Any:
    """Turn Cedar's JSON into what an embedder would give."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__extn" in value:
        extension = value["__extn"]
        return float(extension["arg"]) if extension["fn"] == "decimal" else extension["arg"]
    if "__entity" in value:
        return plain(value["__entity"])
    return {key: plain(member) for key, member in value.items()}


def ref(value: dict[str, str]) -> EntityRef:
    value = value.get("__entity", value)  # type: ignore[assignment]  # both spellings occur
    return EntityRef(type=value["type"], id=value["id"])


def cases() -> list[Any]:
    return [
        pytest.param(path, number, id=f"{path.parent.name}/{path.stem}#{number}")
        for path in FILES
        for number in range(len(json.loads(path.read_text())["requests"]))
    ]


def read_case(path: Path, number: int) -> tuple[PolicyImage, Request, dict[str, Any], bool]:
    """Return the image, the request, what Cedar's authors expect, and whether the resource is among the entities."""
    file = json.loads(path.read_text())
    asked = file["requests"][number]
    schema = read_schema((ROOT / file["schema"]).read_text())
    policies = read_policies((ROOT / file["policies"]).read_text())
    entities = {
        (entity["uid"]["type"], entity["uid"]["id"]): Entity(
            ref=ref(entity["uid"]),
            attributes=plain(entity["attrs"]),
            parents=tuple(ref(parent) for parent in entity["parents"]),
        )
        for entity in json.loads((ROOT / file["entities"]).read_text())
        # Actions and their groups are the schema's business.
        if entity["uid"]["type"] != "Action"
    }
    image = PolicyImage(
        policies=policies, schema=schema, schema_text="", rules={}, digest=image_digest(policies, schema)
    )

    def found(uid: dict[str, str]) -> Entity:
        here = ref(uid)
        return entities.get((here.type, here.id), Entity(ref=here))

    request = Request(
        principal=found(asked["principal"]),
        action=asked["action"]["id"],
        resource=found(asked["resource"]),
        context=plain(asked["context"]),
        entities=tuple(entities.values()),
    )
    return image, request, asked, request.resource.ref in {entity.ref for entity in entities.values()}


@pytest.mark.parametrize(("path", "number"), cases())
def test_the_engine_agrees_with_cedars_own_tests(path: Path, number: int) -> None:
    image, request, asked, given = read_case(path, number)
    decision = CedarEngine(image).decide(request)
    missing = [failure for failure in decision.errors if "is missing" in failure.message]
    if missing and not given:
        # Stricter than Cedar on purpose: an entity without its required attributes is a doubt, whatever is decided.
        assert decision.verdict == "deny"
        return
    assert sorted({failure.rule for failure in decision.errors}) == sorted(asked["errors"]), decision.errors
    if asked["errors"]:
        assert decision.verdict == "deny"
    else:
        assert decision.verdict == asked["decision"]
        assert sorted(decision.reasons) == sorted(asked["reason"])


@pytest.mark.parametrize(("path", "number"), cases())
def test_the_tracer_agrees_with_cedars_own_tests(path: Path, number: int) -> None:
    image, request, asked, given = read_case(path, number)
    trace = Tracer(image).trace(request)
    if trace.faults and not given:
        return
    assert trace.faults == ()
    assert sorted(trace.erring) == sorted(asked["errors"])
    if not asked["errors"]:
        assert (trace.kind == "allowed") is (asked["decision"] == "allow")
        assert sorted(trace.reasons) == sorted(asked["reason"])
