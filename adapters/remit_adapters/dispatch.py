"""What every back-end adapter does alike: it redeems the permit first, and says what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import PermitError
from remit.permit import redeem
from remit.ports import BackendInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.model import BackendEntry
    from remit.messages import Turn


def redeem_dispatch(permit: object, *, backend: str, turn: Turn) -> None:
    """Consume `permit` for dispatching exactly `turn` to `backend`.

    INVARIANT (permit first): an adapter calls this before anything leaves the process, and builds what it
    sends from `turn` without giving up control in between, so that what was permitted is what is sent.

    Args:
        permit: what the caller holds.
        backend: the document's name of the back-end.
        turn: what is about to be dispatched.

    Raises:
        PermitError: no permit, a used, expired or forged one, one for other content or another back-end, or a
            turn that has no digest, for which there can be no permit.
    """
    try:
        digest = turn.digest()
    except (ValueError, TypeError, RecursionError) as error:
        raise PermitError(f"the turn for back-end `{backend}` has no digest: {error}") from error
    redeem(permit, effect="dispatch", target=backend, digest=digest)


def backend_info(entry: BackendEntry, detail: Mapping[str, str]) -> BackendInfo:
    """Return what a back-end is, as its entry declares it.

    Args:
        entry: the document's declaration.
        detail: what the adapter adds: package and version, address, mode.
    """
    return BackendInfo(
        adapter=entry.adapter,
        provider=entry.provider,
        region=entry.region,
        model=entry.model,
        detail=detail,
    )
