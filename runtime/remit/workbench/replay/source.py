"""A ledger as replay reads it: raw records, a range of the log at a time, straight from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from remit.host.location import Location, location_of
from remit.host.stores import opened_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from remit.document.model import Document

Row = tuple[int, bytes, bytes | None, bytes | None]
"""Index, leaf, salt and content of a record, as they lie in the store."""


class LogSource(Protocol):
    """What replay needs of a store."""

    def size(self) -> int:
        """Return the number of durable records."""
        ...

    def rows(self, kind: str, start: int, stop: int) -> Sequence[Row]:
        """Return the raw records of a kind with `start` ≤ index < `stop`, in log order."""
        ...

    def agents(self) -> Sequence[tuple[str, str]]:
        """Return `(agent id, head revision)` of every agent."""
        ...

    def load(self, agent: str) -> Document | None:
        """Return the head document of an agent, or None."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


def open_source(place: str | Path | Location) -> LogSource:
    """Open the store at a place for reading.

    Raises:
        LedgerError: no such kind of store is installed, or the place cannot be read.
    """
    return cast("LogSource", opened_at(location_of(place), read_only=True))
