"""Which wire answers at a path, and which vendor's description the path belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.testing.wires.chat import ChatWire, azure_error
from remit.testing.wires.gemini import GeminiWire
from remit.testing.wires.messages import MessagesWire
from remit.testing.wires.responses import ResponsesWire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.testing.wires.answer import Wire

Vendor = Literal["openai", "azure", "anthropic", "gemini"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request belongs.

    Args:
        wire: what answers it.
        vendor: whose description it is checked against.
        base: the part of the path that the description leaves out.
    """

    wire: Wire
    vendor: Vendor
    base: str


_CHAT, _RESPONSES, _MESSAGES, _GEMINI = ChatWire(), ResponsesWire(), MessagesWire(), GeminiWire()
_AZURE_CHAT, _AZURE_RESPONSES = ChatWire(wrap=azure_error), ResponsesWire(wrap=azure_error)
_ROUTES: tuple[tuple[re.Pattern[str], Route], ...] = (
    (re.compile(r"/v1/chat/completions"), Route(wire=_CHAT, vendor="openai", base="/v1")),
    (re.compile(r"/v1/responses"), Route(wire=_RESPONSES, vendor="openai", base="/v1")),
    (re.compile(r"/openai/v1/chat/completions"), Route(wire=_CHAT, vendor="openai", base="/openai/v1")),
    (re.compile(r"/openai/v1/responses"), Route(wire=_RESPONSES, vendor="openai", base="/openai/v1")),
    (
        re.compile(r"/openai/deployments/[^/]+/chat/completions"),
        Route(wire=_AZURE_CHAT, vendor="azure", base="/openai"),
    ),
    (re.compile(r"/openai/responses"), Route(wire=_AZURE_RESPONSES, vendor="azure", base="/openai")),
    (re.compile(r"/v1/messages"), Route(wire=_MESSAGES, vendor="anthropic", base="")),
    (
        re.compile(r"/v1beta/models/[^/:]+:(?:streamG|g)enerateContent"),
        Route(wire=_GEMINI, vendor="gemini", base="/v1beta"),
    ),
)


def find_route(path: str) -> Route | None:
    """Return the route of a path without query; none where no wire answers."""
    path = path.rstrip("/")
    return next((route for pattern, route in _ROUTES if pattern.fullmatch(path)), None)


def nearest_route(path: str, headers: Mapping[str, str]) -> Route:
    """Return whose a path that no wire answers most likely is; its wire words the error.

    Args:
        path: without query.
        headers: names in lower case; Anthropic and OpenAI share the prefix `/v1`.
    """
    if path.startswith(("/v1beta/", "/upload/v1beta/")):
        return Route(wire=_GEMINI, vendor="gemini", base="/v1beta")
    if "anthropic-version" in headers:
        return Route(wire=_MESSAGES, vendor="anthropic", base="")
    if path.startswith("/openai/v1/"):
        return Route(wire=_CHAT, vendor="openai", base="/openai/v1")
    if path.startswith("/openai/"):
        return Route(wire=_AZURE_CHAT, vendor="azure", base="/openai")
    return Route(wire=_CHAT, vendor="openai", base="/v1")
