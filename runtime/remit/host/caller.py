"""The caller: on whose behalf an agent acts, as the embedder vouches for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from remit.document.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user or a service, authenticated by the embedder.

    Args:
        id: stable id, such as a user name or a subject claim; not empty.
        kind: user or service.
        roles: what approvals and operator actions are judged by.
        attributes: the members that `governance.caller` declares.
    """

    id: str
    kind: Literal["user", "service"] = "user"
    roles: tuple[str, ...] = ()
    attributes: JsonObject = field(default_factory=dict[str, JsonValue])
