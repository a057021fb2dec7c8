"""Requests before a judge, with the headers that each vendor wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remit.testing.wire_truth import WireTruth

if TYPE_CHECKING:
    from remit.testing.wire_truth import Violation

JSON = {"content-type": "application/json"}
HEADERS = {
    "openai": JSON | {"openai-beta": "assistants=v2"},
    "azure": JSON,
    "anthropic": JSON | {"anthropic-version": "2023-06-01"},
    "gemini": JSON,
}
USER = {"role": "user", "content": "hi"}


def asked(vendor: str, path: str, base: str, body: Any, **more: Any) -> tuple[Violation, ...]:
    query = {"api-version": "2025-04-01-preview"} if vendor == "azure" else {}
    request = {"method": "POST", "query": query, "headers": HEADERS[vendor], **more}
    return WireTruth.of(vendor).request(path=path, base=base, body=body, **request)
