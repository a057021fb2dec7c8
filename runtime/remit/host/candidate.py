"""A document that is not enforced, and what a request of another revision looks like to it.

Rules
1. What the document itself declares is the candidate's own: attributes of the agent, of tools, back-ends and
   blocks. What came from outside is taken as it was: caller, input, counters, environment, time.
   Values of the environment that the request lacks and the candidate declares are the candidate's.
2. The candidate stands in for the next revision of the agent whose request it is: the id stays, the lifecycle
   is the one that was.
3. A request about something that the candidate does not declare cannot be put to it; `unasked` says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.document.rule_values import BASE_ACTIONS
from remit.engine.request import Entity, EntityRef, Request
from remit.host.requests import backend_entity, block_entity, tool_entity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage

_DECLARED_TYPES = {"Tool": "tool", "Backend": "back-end", "Block": "memory block"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A document with what it compiles to; made by `candidate_of`.

    Args:
        document: the candidate.
        image: its compiled governance.
        actions: what can be asked of it.
        declared: the entities that it declares.
    """

    document: Document
    image: PolicyImage
    actions: frozenset[str]
    declared: Mapping[EntityRef, Entity]
    _agents: dict[tuple[EntityRef, str], Entity] = field(
        default_factory=dict["tuple[EntityRef, str]", Entity], repr=False, compare=False
    )

    def unasked(self, action: str, resource: EntityRef) -> str:
        """Say why a request cannot be put to the candidate; empty where it can."""
        if action not in self.actions:
            return f"`{action}` is no action of the candidate"
        kind = _DECLARED_TYPES.get(resource.type)
        if kind is not None and resource not in self.declared:
            return f"the candidate declares no {kind} `{resource.id}`"
        return ""

    def seen(self, request: Request, *, agent: str) -> Request:
        """Return a request as it would be under the candidate.

        Args:
            request: as it was.
            agent: id of the agent that it was asked of.
        """
        return Request(
            principal=self.entity(request.principal, agent=agent),
            action=request.action,
            resource=self.entity(request.resource, agent=agent),
            context=self.context(request.context),
            entities=tuple(self.entity(item, agent=agent) for item in request.entities),
        )

    def context(self, context: JsonObject) -> JsonObject:
        """Return a context with the environment's values that only the candidate declares."""
        values, given = self.document.governance.environment, context.get("environment")
        if not isinstance(given, dict) or values.keys() <= given.keys():
            return context
        return {**context, "environment": {**values, **given}}

    def entity(self, entity: Entity, *, agent: str) -> Entity:
        """Return an entity as the candidate declares it, or as it was where it declares none."""
        ref = entity.ref
        if ref.type == "Agent":
            return self.agent(ref, entity.attributes) if ref.id == agent else entity
        return self.declared.get(ref, entity)

    def agent(self, ref: EntityRef, attributes: Mapping[str, JsonValue]) -> Entity:
        """Return the agent with the candidate's attributes and the lifecycle that it had."""
        lifecycle = attributes.get("lifecycle")
        key = (ref, lifecycle if isinstance(lifecycle, str) else "")
        known = self._agents.get(key)
        if known is None:
            value: JsonObject = {
                **self.document.governance.attributes,
                "revision": self.document.identity.revision,
            }
            if lifecycle is not None:
                value["lifecycle"] = lifecycle
            known = self._agents[key] = Entity(ref=ref, attributes=value)
        return known


def candidate_of(document: Document, image: PolicyImage | None = None) -> Candidate:
    """Make a candidate.

    Args:
        document: what might be enforced.
        image: its compiled governance where that is known already.

    Raises:
        PolicyError: its governance does not compile.
    """
    if image is None:
        from remit.policy.compile import compile_governance

        image = compile_governance(document)
    entities = (
        *(tool_entity(tool) for tool in document.capabilities.tools),
        *(backend_entity(entry) for entry in document.capabilities.backends),
        *(block_entity(block) for block in document.memory.blocks),
    )
    return Candidate(
        document=document,
        image=image,
        actions=frozenset((*BASE_ACTIONS, *(tool.name for tool in document.capabilities.tools))),
        declared={entity.ref: entity for entity in entities},
    )
