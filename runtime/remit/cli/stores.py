"""The store as the command line needs it: the host's, and what an auditor asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from remit.errors import LedgerError
from remit.host.installed import installed
from remit.host.stores import GROUP, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from remit.ledger.report import LogReport
    from remit.records import Receipt

STORE_KIND = "sqlite"


@runtime_checkable
class AuditableStore(Store, Protocol):
    """A store whose log can be verified as a whole."""

    origin: str
    verifier_key: str

    def checkpoint(self) -> str:
        """The newest signed checkpoint, a C2SP note."""
        ...

    def verify(self, *, keys: Iterable[str] = (), held: Iterable[str] = ()) -> LogReport:
        """Verify the whole log against keys and checkpoints kept elsewhere."""
        ...

    def erase_content(self, *indexes: int, by: str, reason: str) -> Receipt:
        """Destroy what records say beside the log, and record that; the log still verifies."""
        ...


def open_auditable(path: Path, *, read_only: bool = True) -> AuditableStore:
    """Open the store in the folder `path`.

    Args:
        path: the store's folder.
        read_only: write nothing, not even a key.

    Raises:
        LedgerError: no store is installed, or the folder cannot be used.
    """
    for point in installed(GROUP, STORE_KIND):
        opener = cast("Callable[..., AuditableStore]", point.load())
        return opener(path, read_only=read_only)
    raise LedgerError(f"no store is called `{STORE_KIND}`; install `remit` with its adapters")
