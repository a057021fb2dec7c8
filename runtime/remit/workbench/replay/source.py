"""A ledger as replay reads it: raw records, a range of the log at a time, straight from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from remit.errors import LedgerError
from remit.host.installed import installed
from remit.host.stores import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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


def open_source(folder: Path, *, kind: str = "sqlite") -> LogSource:
    """Open the store in `folder` for reading.

    Raises:
        LedgerError: no such kind of store is installed, or the folder cannot be read.
    """
    for point in installed(GROUP, kind):
        return cast("Callable[..., LogSource]", point.load())(folder, read_only=True)
    raise LedgerError(f"no store is called `{kind}`; install `remit` with its adapters")
