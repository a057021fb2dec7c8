"""Who speaks a time-stamping authority's language, found through the entry-point group `remit.timestamps`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from remit.errors import LedgerError
from remit.host.installed import installed

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.ports import Timestamping

GROUP: Final = "remit.timestamps"
PROTOCOL: Final = "rfc3161"
EXTRA: Final = "timestamp"


def open_timestamping(name: str = PROTOCOL) -> Timestamping:
    """Open what makes requests and checks responses.

    Args:
        name: the protocol, a name of the group.

    Raises:
        LedgerError: it is not installed.
    """
    points = installed(GROUP, name)
    if not points:
        raise LedgerError(f"no timestamp protocol is called `{name}`: install what brings it")
    try:
        return cast("Callable[[], Timestamping]", points[0].load())()
    except ImportError as error:
        raise LedgerError(f"timestamps need the package `{error.name}`: install `remit[{EXTRA}]`") from error
