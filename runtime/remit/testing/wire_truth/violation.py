"""One place where what was sent is not what the vendor describes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that the vendor's description does not allow.

    Args:
        operation: the vendor's name of the operation, or method and path where there is none.
        side: `request`, `response` or `event`.
        pointer: RFC 6901 pointer into the body, or `query/NAME` or `header/NAME`; empty for the whole.
        message: what is wrong.
    """

    operation: str
    side: str
    pointer: str
    message: str

    def __str__(self) -> str:
        place = f" at `{self.pointer}`" if self.pointer else ""
        return f"{self.operation}: {self.side}{place}: {self.message}"
