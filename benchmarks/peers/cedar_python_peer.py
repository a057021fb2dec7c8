"""cedar-python: another binding of the same Cedar, with request and entity objects."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from peers.cedar_form import context_of, policies_text
from peers.peer import Loaded

if TYPE_CHECKING:
    from peers.workload import Asked, Workload


def load(workload: Workload) -> Loaded[Asked]:
    """Parse the policies once; entities and context are made into Cedar values for each decision."""
    cedar = import_module("cedar")
    policies = cedar.PolicySet(policies_text(workload))
    uid, entity, authorizer, request, context = (
        cedar.EntityUid,
        cedar.Entity,
        cedar.Authorizer,
        cedar.Request,
        cedar.Context,
    )

    def decide(asked: Asked) -> bool:
        principal = uid(f"Remit::{asked.principal[0]}", asked.principal[1])
        resource = uid(f"Remit::{asked.resource[0]}", asked.resource[1])
        asks = authorizer([entity(principal, asked.principal[2]), entity(resource, asked.resource[2])])
        made = request(
            principal, uid("Remit::Action", asked.action), resource, context=context(context_of(asked))
        )
        allowed: bool = asks.is_authorized(made, policies).allowed
        return allowed

    return Loaded(form=lambda asked: asked, decide=decide)
