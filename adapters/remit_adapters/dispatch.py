"""What every back-end adapter does first: redeem the permit for exactly this turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import PermitError
from remit.permit import redeem

if TYPE_CHECKING:
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
