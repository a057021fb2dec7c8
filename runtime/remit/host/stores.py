"""The store as the host needs it, found through the entry-point group `remit.stores`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from remit.errors import LedgerError
from remit.host.installed import installed
from remit.host.location import Location, location_of
from remit.ports import AgentStore, Clock, ControlState, Ledger, SealedCache, Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from remit.records import Record

GROUP = "remit.stores"


@runtime_checkable
class Store(Ledger, AgentStore, Protocol):
    """A ledger, the agents and runs beside it, and the control state."""

    @property
    def control(self) -> ControlState:
        """Kill and suspend orders."""
        ...

    @property
    def answers(self) -> Path | None:
        """Folder that stays with the store, for vendors' answers that must outlive the process that asked.

        It need not exist yet. None where the store keeps nothing between processes.
        """
        ...

    def unfinished(self) -> Sequence[Record]:
        """Intent records without an outcome, across all runs, in log order."""
        ...

    def close(self) -> None:
        """Release everything; idempotent."""
        ...


def open_store(place: str | Path | Location, *, signer: Signer | None, clock: Clock | None) -> Store:
    """Open the store at a place, a folder or an address.

    Raises:
        LedgerError: no such kind of store is installed, or the place cannot be used.
    """
    return cast("Store", opened_at(location_of(place), signer=signer, clock=clock))


def opened_at(place: Location, **options: object) -> object:
    """Open the store at a place with what its opener takes.

    Args:
        place: where.
        options: for the opener.

    Raises:
        LedgerError: no such kind of store is installed, or the place cannot be used.
    """
    points = installed(GROUP, place.kind)
    if not points:
        raise LedgerError(
            f"no store is called `{place.kind}`: give a folder or a `postgresql://` address, "
            "or install what brings it"
        )
    try:
        opener = cast("Callable[..., object]", points[0].load())
    except ImportError as error:
        raise LedgerError(
            f"the store `{place.kind}` needs the package `{error.name}`: install `remit[{place.kind}]`"
        ) from error
    return opener(place.folder or place.text, **options)


def cache_of(store: Store) -> SealedCache | None:
    """Return the sealed cache of a store that has one."""
    cache: object = getattr(store, "cache", None)
    return cache if isinstance(cache, SealedCache) else None
