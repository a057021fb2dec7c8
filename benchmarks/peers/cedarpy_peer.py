"""cedarpy with a parsed policy handle: the base line.

Entity ids are given as objects, which is the faster of the two forms that cedarpy takes. No schema is given:
with one, cedarpy also checks the request and the entities against it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from peers.cedar_form import context_of, policies_text
from peers.peer import Loaded

if TYPE_CHECKING:
    from peers.workload import Asked, Workload

Form = tuple[dict[str, object], list[dict[str, object]]]


def load(workload: Workload) -> Loaded[Form]:
    """Parse the policies once."""
    cedarpy = import_module("cedarpy")
    policies = cedarpy.PolicySet.from_str(policies_text(workload))
    is_authorized = cedarpy.is_authorized

    def decide(formed: Form) -> bool:
        allowed: bool = is_authorized(formed[0], policies, formed[1]).allowed
        return allowed

    return Loaded(form=_form, decide=decide)


def _form(asked: Asked) -> Form:
    principal: dict[str, object] = {"type": f"Remit::{asked.principal[0]}", "id": asked.principal[1]}
    resource: dict[str, object] = {"type": f"Remit::{asked.resource[0]}", "id": asked.resource[1]}
    request: dict[str, object] = {
        "principal": principal,
        "action": {"type": "Remit::Action", "id": asked.action},
        "resource": resource,
        "context": context_of(asked),
    }
    entities: list[dict[str, object]] = [
        {"uid": principal, "attrs": asked.principal[2], "parents": []},
        {"uid": resource, "attrs": asked.resource[2], "parents": []},
    ]
    return request, entities
