"""The store as the command line needs it: the host's, and what an auditor asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from remit.host.location import Location, location_of
from remit.host.stores import Store, opened_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from remit.ledger.report import LogReport, RawRecord
    from remit.ports import Judged
    from remit.records import Receipt


@runtime_checkable
class AuditableStore(Store, Protocol):
    """A store whose log can be verified as a whole."""

    origin: str
    verifier_key: str

    def size(self) -> int:
        """The number of durable records."""
        ...

    def checkpoint(self) -> str:
        """The newest signed checkpoint, a C2SP note."""
        ...

    def verify(
        self,
        *,
        keys: Iterable[str] = (),
        held: Iterable[str] = (),
        witnesses: Sequence[str] = (),
        quorum: int | None = None,
    ) -> LogReport:
        """Verify the whole log against keys, witnesses and checkpoints kept elsewhere."""
        ...

    def verifier_keys(self) -> Sequence[str]:
        """Verifier keys of all that may have signed here, as the store says."""
        ...

    def raw(self, *, start: int = 0, stop: int | None = None) -> Iterator[RawRecord]:
        """Rows exactly as they lie there, with `start` ≤ index < `stop`, unverified."""
        ...

    def tree_nodes(self, places: Iterable[tuple[int, int]]) -> Sequence[bytes]:
        """Digests of complete tree nodes by level and index; empty bytes where there is none."""
        ...

    def erase_content(self, *indexes: int, by: str, reason: str, judged: Judged | None = None) -> Receipt:
        """Destroy what records say beside the log, and record that; the log still verifies."""
        ...


def open_auditable(place: str | Path | Location, *, read_only: bool = True) -> AuditableStore:
    """Open the store at a place.

    Args:
        place: a folder or an address.
        read_only: write nothing, not even a key.

    Raises:
        LedgerError: no such store is installed, or the place cannot be used.
    """
    return cast("AuditableStore", opened_at(location_of(place), read_only=read_only))
