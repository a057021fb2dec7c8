"""The workload as a policy image and as requests of Remit's engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from peers.cedar_form import policies_text, schema_json
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


class _Given(Protocol):
    """A request of the workload, with values as the JSON that they are."""

    @property
    def principal(self) -> tuple[str, str, JsonObject]: ...
    @property
    def action(self) -> str: ...
    @property
    def resource(self) -> tuple[str, str, JsonObject]: ...
    @property
    def input(self) -> JsonObject: ...
    @property
    def usage(self) -> JsonObject: ...


def request_of(asked: Asked) -> Request:
    """Return a request of the workload as Remit's engines take it."""
    given = cast("_Given", asked)
    (principal, principal_id, attributes), (resource, resource_id, about) = given.principal, given.resource
    return Request(
        principal=Entity(ref=EntityRef(type=principal, id=principal_id), attributes=attributes),
        action=given.action,
        resource=Entity(ref=EntityRef(type=resource, id=resource_id), attributes=about),
        context={"input": given.input, "usage": given.usage},
    )
