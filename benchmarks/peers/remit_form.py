"""The workload as a policy image and as requests of Remit's engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from peers.cedar_form import context_of, policies_text, schema_json
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Entity, EntityRef, Request

if TYPE_CHECKING:
    from peers.workload import Asked, Workload
    from remit.document.values import JsonObject


def image_of(workload: Workload) -> PolicyImage:
    """Return the workload's policy image."""
    text = policies_text(workload)
    schema = cast("JsonObject", schema_json(workload))
    digest = image_digest(text, schema)
    return PolicyImage(policies=text, schema=schema, schema_text="", rules={}, digest=digest)


def request_of(asked: Asked) -> Request:
    """Return a request of the workload as Remit's engines take it."""
    (principal, principal_id, attributes), (resource, resource_id, about) = asked.principal, asked.resource
    return Request(
        principal=Entity(
            ref=EntityRef(type=principal, id=principal_id), attributes=cast("JsonObject", attributes)
        ),
        action=asked.action,
        resource=Entity(ref=EntityRef(type=resource, id=resource_id), attributes=cast("JsonObject", about)),
        context=cast("JsonObject", context_of(asked)),
    )
