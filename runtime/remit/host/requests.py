"""Requests to the engine, built from the document and the run: principal, action, resource, context.

One evaluation sees one instant: `now` is read once a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.engine.request import Entity, EntityRef, Request
from remit.errors import EvaluationError
from remit.messages import content_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.memory import Block
    from remit.document.model import BackendEntry, Document, Tool
    from remit.document.values import JsonObject, JsonValue
    from remit.gate.usage import Usage
    from remit.host.caller import Caller


MEASURED = ("now", "run", "tokens", "cost_microusd", "wall_time_s")
"""What differs between two runs that did the same: the instant, the run's random id, measured counters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything about a moment that rules can read.

    Args:
        document: the agent's head.
        caller: on whose behalf.
        environment: values over the document's own.
        usage: this run's counters.
        lifetime: counters of all runs, this one included.
        run: run id.
        now: RFC 3339 UTC time.
    """

    document: Document
    caller: Caller
    environment: Mapping[str, JsonValue]
    usage: Usage
    lifetime: Usage
    run: str
    now: str


def agent_entity(document: Document) -> Entity:
    """Return the agent as a Cedar entity."""
    attributes: JsonObject = {
        **document.governance.attributes,
        "lifecycle": document.execution_state.lifecycle,
        "revision": document.identity.revision,
    }
    return Entity(ref=EntityRef(type="Agent", id=document.identity.agent), attributes=attributes)


def caller_entity(caller: Caller) -> Entity:
    """Return the caller as a Cedar entity; `kind` and `roles` cannot be overridden by attributes."""
    roles: list[JsonValue] = [*sorted(set(caller.roles))]
    attributes: JsonObject = {
        **caller.attributes,
        "kind": caller.kind,
        "roles": roles,
    }
    return Entity(ref=EntityRef(type="Caller", id=caller.id), attributes=attributes)


def tool_entity(tool: Tool) -> Entity:
    """Return a tool as a Cedar entity."""
    return Entity(
        ref=EntityRef(type="Tool", id=tool.name), attributes={"name": tool.name, "effect": tool.effect}
    )


def backend_entity(entry: BackendEntry) -> Entity:
    """Return a back-end as a Cedar entity."""
    return Entity(
        ref=EntityRef(type="Backend", id=entry.name),
        attributes={
            "name": entry.name,
            "adapter": entry.adapter,
            "provider": entry.provider,
            "region": entry.region,
            "model": entry.model,
        },
    )


def declared(document: Document, kind: Literal["tools", "backends"], name: str) -> str:
    """Return the digest of the declaration of a tool or back-end.

    Raises:
        EvaluationError: the document declares none of that name.
    """
    listed = document.capabilities.value.get(kind)
    items: list[JsonValue] = listed if isinstance(listed, list) else []
    for item in items:
        if isinstance(item, dict) and item.get("name") == name:
            return content_digest(item)
    raise EvaluationError(f"the document declares no `{name}` among its {kind}")


def block_entity(block: Block) -> Entity:
    """Return a memory block as a Cedar entity."""
    attributes: JsonObject = {
        "name": block.name,
        "classification": block.classification,
        "subject": block.subject,
    }
    if block.retention_days is not None:
        attributes["retention_days"] = block.retention_days
    return Entity(ref=EntityRef(type="Block", id=block.name), attributes=attributes)


def build_request(
    scene: Scene,
    *,
    principal: Entity,
    action: str,
    resource: Entity,
    given: JsonObject | None = None,
) -> Request:
    """Build one request.

    Args:
        scene: the moment.
        principal: who acts.
        action: the Cedar action.
        resource: what is acted upon.
        given: the context's `input`; None where the action has none.
    """
    context: JsonObject = {
        "now": scene.now,
        "caller": {"type": "Caller", "id": scene.caller.id},
        "usage": scene.usage.to_json(),
        "lifetime": scene.lifetime.to_json(),
        "environment": {**scene.document.governance.environment, **scene.environment},
        "fulfilled": [],
        "run": scene.run,
    }
    if given is not None:
        context["input"] = given
    caller = caller_entity(scene.caller)
    named = {principal.ref, resource.ref}
    entities = tuple(item for item in (caller, agent_entity(scene.document)) if item.ref not in named)
    return Request(principal=principal, action=action, resource=resource, context=context, entities=entities)


def context_digest(context: JsonObject) -> str:
    """Digest what two runs that did the same have in common: the context without what is `MEASURED`.

    Returns:
        `sha256:<hex>`, or a text that says so where the context has no canonical form.
    """
    common: dict[str, JsonValue] = {}
    for name, value in context.items():
        if name in MEASURED:
            continue
        counters = name in ("usage", "lifetime") and isinstance(value, dict)
        common[name] = (
            {key: count for key, count in value.items() if key not in MEASURED}
            if counters and isinstance(value, dict)
            else value
        )
    try:
        return content_digest(common)
    except (ValueError, TypeError, RecursionError):
        return "no canonical form"
