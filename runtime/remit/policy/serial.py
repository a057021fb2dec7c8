"""Images at rest, and images for people who trust only stock Cedar tools."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.engine.request import NAMESPACE
from remit.errors import Fault, PolicyError
from remit.policy.provenance import Policy, build_image

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage

_SPEC = "remit/1/image"


def image_to_json(image: PolicyImage) -> JsonObject:
    """Return an image as a JSON value with stable keys; `image_from_json` reads it back."""
    rules: list[JsonValue] = [
        {"id": rule.id, "origin": rule.origin, "pointer": rule.pointer, "text": rule.text}
        for rule in image.rules.values()
    ]
    return {"digest": image.digest, "rules": rules, "schema": image.schema, "spec": _SPEC}


def image_from_json(value: JsonValue) -> PolicyImage:
    """Read an image, rebuilt from its policies' text and its schema alone.

    Provenance is read anew from the policies, so what the digest does not cover cannot change a decision.

    Raises:
        PolicyError: the value is no image, or its digest is not that of its content.
    """
    if not isinstance(value, dict) or value.get("spec") != _SPEC:
        raise _refused(f"not a policy image: `spec` must be `{_SPEC}`")
    rules, schema, digest = value.get("rules"), value.get("schema"), value.get("digest")
    if not isinstance(rules, list) or not isinstance(schema, dict) or not isinstance(digest, str):
        raise _refused("not a policy image: `rules`, `schema` and `digest` must be there")
    try:
        image = build_image(tuple(_policy(rule) for rule in rules), schema)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(f"not a policy image: {error}") from error
    if image.digest != digest:
        raise _refused(
            f"the image is not the one it claims to be: digest `{digest}`, content `{image.digest}`"
        )
    return image


def _policy(rule: JsonValue) -> Policy:
    if not isinstance(rule, dict):
        raise TypeError("a rule must be an object")
    text, pointer, origin = rule.get("text"), rule.get("pointer"), rule.get("origin")
    if not isinstance(text, str) or not isinstance(pointer, str) or not isinstance(origin, str):
        raise TypeError("a rule must have the texts `text`, `pointer` and `origin`")
    return Policy(text=text, pointer=pointer, origin=origin)


def _refused(message: str) -> PolicyError:
    return PolicyError(Fault(message=message, hint="compile the document again"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CedarExport:
    """An image for stock Cedar tools: three files that need nothing of Remit.

    Args:
        policies: Cedar policies, each with `@id`.
        schema: Cedar schema in Cedar's syntax.
        entities: Cedar entities as JSON text: the agent, its tools, back-ends and blocks.
    """

    policies: str
    schema: str
    entities: str


def export_cedar(image: PolicyImage, document: Document) -> CedarExport:
    """Export an image with the entities that its document declares.

    Callers are not in the document: an auditor adds those of the request in question.
    """
    governance = document.governance
    agent: JsonObject = {
        **_members(governance.attributes, "Agent", image.schema),
        "lifecycle": document.execution_state.lifecycle,
        "revision": document.identity.revision,
    }
    entities: list[JsonValue] = [_entity("Agent", document.identity.agent, agent)]
    entities.extend(
        _entity("Tool", tool.name, {"name": tool.name, "effect": tool.effect})
        for tool in document.capabilities.tools
    )
    for entry in document.capabilities.backends:
        attributes: JsonObject = {
            "name": entry.name,
            "adapter": entry.adapter,
            "provider": entry.provider,
            "region": entry.region,
            "model": entry.model,
        }
        entities.append(_entity("Backend", entry.name, attributes))
    for block in document.memory.blocks:
        members: JsonObject = {
            "name": block.name,
            "classification": block.classification,
            "subject": block.subject,
        }
        if block.retention_days is not None:
            members["retention_days"] = block.retention_days
        entities.append(_entity("Block", block.name, members))
    return CedarExport(
        policies=image.policies,
        schema=image.schema_text,
        entities=json.dumps(entities, indent=2, ensure_ascii=False) + "\n",
    )


def _entity(kind: str, name: str, attributes: JsonObject) -> JsonObject:
    return {"uid": {"type": f"{NAMESPACE}::{kind}", "id": name}, "attrs": attributes, "parents": []}


def _members(values: JsonObject, entity: str, schema: JsonObject) -> JsonObject:
    """Return those values that the schema declares for an entity type, in Cedar's JSON form."""
    space = cast("JsonObject", schema[NAMESPACE])
    shape = cast("JsonObject", cast("dict[str, JsonObject]", space["entityTypes"])[entity]["shape"])
    types = cast("dict[str, JsonObject]", shape["attributes"])
    return {name: _cedar_value(value, types[name]) for name, value in values.items() if name in types}


def _cedar_value(value: JsonValue, kind: JsonObject) -> JsonValue:
    if kind.get("name") == "decimal" and isinstance(value, int | float):
        return {"__extn": {"fn": "decimal", "arg": f"{value:.4f}"}}
    if isinstance(value, list):
        return [_cedar_value(item, cast("JsonObject", kind["element"])) for item in value]
    if isinstance(value, dict):
        types = cast("dict[str, JsonObject]", kind["attributes"])
        return {name: _cedar_value(item, types[name]) for name, item in value.items()}
    return value
