"""What is asked and what is answered: Cedar's principal, action, resource, context, in this order.

`EntityRef` names an entity; `Entity` carries its attributes. All types live in the Cedar namespace `Remit`;
`type` is written without it (`Caller`, `Agent`, `Tool`, `Backend`, `Block`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import field

from remit.document.values import JsonObject, JsonValue
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "Remit"
Verdict = Literal["allow", "deny"]
Kind = Literal["allowed", "forbidden", "not_permitted", "error"]


class EntityRef(Value, frozen=True, kw_only=True):
    """Names an entity: `Remit::<type>::"<id>"`."""

    type: str
    id: str

    def __str__(self) -> str:
        return f'{NAMESPACE}::{self.type}::"{self.id}"'


class Entity(Value, frozen=True, kw_only=True):
    """An entity with its attributes as plain JSON values, which the ingress walk converts."""

    ref: EntityRef
    attributes: JsonObject = field(default_factory=dict[str, JsonValue])
    parents: tuple[EntityRef, ...] = ()


class Request(Value, frozen=True, kw_only=True):
    """One authorization request.

    Args:
        principal: who acts, with attributes.
        action: an action's name: one of the base vocabulary or a tool's name.
        resource: what is acted upon, with attributes.
        context: plain JSON. `now` is RFC 3339 UTC text; `input` the whole tool arguments (only what a
            policy can
            read crosses into the engine); `caller` an entity reference as `{"type": "Caller", "id": …}`.
        entities: further entities that policies may reach (the caller behind `context.caller`).
    """

    principal: Entity
    action: str
    resource: Entity
    context: JsonObject
    entities: tuple[Entity, ...] = ()


class PolicyFailure(Value, frozen=True, kw_only=True):
    """A policy that errored, or, with an empty `rule`, a request that could not be evaluated at all."""

    rule: str
    message: str


class Decision(Value, frozen=True, kw_only=True):
    """The engine's answer.

    Args:
        verdict: allow or deny. Deny whenever `errors` is not empty.
        kind: why: allowed, forbidden (a forbid applied), not_permitted (no permit applied), error.
        reasons: ids of the determining rules, sorted.
        errors: policies that errored and inputs that cannot be represented, sorted by rule id.
        engine: name and version of the engine that decided.
        image: digest of the policy image.
    """

    verdict: Verdict
    kind: Kind
    reasons: tuple[str, ...]
    errors: tuple[PolicyFailure, ...]
    engine: str
    image: str

    @property
    def allowed(self) -> bool:
        """Whether the verdict is allow."""
        return self.verdict == "allow"


def context_keys(context: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the context's keys, sorted."""
    return tuple(sorted(context))
