"""The engine port: what decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from remit.engine.request import Decision, Request


@runtime_checkable
class Engine(Protocol):
    """Decides, purely: same image and request, same decision, reasons and errors."""

    @property
    def name(self) -> str:
        """Name and version, such as `cedar 4.12.2`."""
        ...

    def decide(self, request: Request) -> Decision:
        """Answer one request; every doubt is a deny with a reason, never an exception."""
        ...
