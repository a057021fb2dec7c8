"""What is asked and what is answered: Cedar's principal, action, resource, context, in this order.

`EntityRef` names an entity; `Entity` carries its attributes. All types live in the Cedar namespace `Remit`;
`type` is written without it (`Caller`, `Agent`, `Tool`, `Backend`, `Block`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

from remit.document.values import JsonObject, JsonValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

NAMESPACE = "Remit"
Verdict = Literal["allow", "deny"]
Kind = Literal["allowed", "forbidden", "not_permitted", "error"]


# A request is made for every decision, and a frozen dataclass fills each field by name through `object`,
# which took longer than the compiled decision. So these, and the answer, fill their own slots, and only that.

_NONE: JsonObject = {}
"""Stands for attributes that were not given."""


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class EntityRef:
    """Names an entity: `Remit::<type>::"<id>"`."""

    type: str
    id: str

    def __init__(self, *, type: str, id: str) -> None:  # noqa: A002  # the names are Cedar's
        _set_type(self, type)
        _set_id(self, id)

    def __str__(self) -> str:
        return f'{NAMESPACE}::{self.type}::"{self.id}"'


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Entity:
    """An entity with its attributes as plain JSON values, which the ingress walk converts."""

    ref: EntityRef
    attributes: JsonObject = field(default_factory=dict[str, JsonValue])
    parents: tuple[EntityRef, ...] = ()

    def __init__(
        self, *, ref: EntityRef, attributes: JsonObject = _NONE, parents: tuple[EntityRef, ...] = ()
    ) -> None:
        _set_ref(self, ref)
        _set_attributes(self, {} if attributes is _NONE else attributes)
        _set_parents(self, parents)


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Request:
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

    def __init__(
        self,
        *,
        principal: Entity,
        action: str,
        resource: Entity,
        context: JsonObject,
        entities: tuple[Entity, ...] = (),
    ) -> None:
        _set_principal(self, principal)
        _set_action(self, action)
        _set_resource(self, resource)
        _set_context(self, context)
        _set_entities(self, entities)


def _setters(kind: type[object]) -> Iterator[Callable[[object, object], None]]:
    """Yield what fills the slots of a new value: the only way past its being frozen."""
    for one in fields(kind):  # type: ignore[arg-type]  # a dataclass, as all kinds given are
        yield getattr(kind, one.name).__set__


_set_type, _set_id = _setters(EntityRef)
_set_ref, _set_attributes, _set_parents = _setters(Entity)
_set_principal, _set_action, _set_resource, _set_context, _set_entities = _setters(Request)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFailure:
    """A policy that errored, or, with an empty `rule`, a request that could not be evaluated at all."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Decision:
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

    def __init__(
        self,
        *,
        verdict: Verdict,
        kind: Kind,
        reasons: tuple[str, ...],
        errors: tuple[PolicyFailure, ...],
        engine: str,
        image: str,
    ) -> None:
        _set_verdict(self, verdict)
        _set_kind(self, kind)
        _set_reasons(self, reasons)
        _set_errors(self, errors)
        _set_engine(self, engine)
        _set_image(self, image)

    @property
    def allowed(self) -> bool:
        """Whether the verdict is allow."""
        return self.verdict == "allow"


_new = object.__new__
_set_verdict, _set_kind, _set_reasons, _set_errors, _set_engine, _set_image = _setters(Decision)


def made_decision(  # noqa: PLR0917  # the members, in order: names are what takes the time
    verdict: Verdict,
    kind: Kind,
    reasons: tuple[str, ...],
    errors: tuple[PolicyFailure, ...],
    engine: str,
    image: str,
) -> Decision:
    """Return `Decision(verdict=verdict, …)` in half of the time."""
    made = _new(Decision)
    _set_verdict(made, verdict)
    _set_kind(made, kind)
    _set_reasons(made, reasons)
    _set_errors(made, errors)
    _set_engine(made, engine)
    _set_image(made, image)
    return made


def context_keys(context: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the context's keys, sorted."""
    return tuple(sorted(context))
