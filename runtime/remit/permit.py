"""The permit: the only thing that makes an adapter or a tool runner act.

Rules
1. A permit is minted by the gate alone, after the decision is durable in the ledger.
2. It is bound to one kind of effect and to the digest of exactly what may be dispatched.
3. It is single-use: `redeem` consumes it, whatever the outcome of the check; a copy is the same permit.
4. It is sealed with a key of this process; it cannot be carried to another process or be typed in.
5. It expires; an expired permit is refused and consumed.

An adapter calls `redeem(permit, effect=…, digest=…)` first and acts only when that returns.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Literal

from remit.errors import PermitError

Effect = Literal["dispatch", "call_tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to do one thing once.

    Args:
        id: random name of the permit.
        effect: what kind of effect it allows.
        target: the back-end's or the tool's name.
        digest: digest of exactly what may be dispatched, `sha256:<hex>`.
        decision: digest of the ledger record of the decision that allowed it.
        expires_at_s: monotonic time in seconds after which it is void.
        seal: authenticates all the above with a key of this process.
    """

    id: str
    effect: Effect
    target: str
    digest: str
    decision: str
    expires_at_s: float
    seal: bytes


_KEY = secrets.token_bytes(32)
_LOCK = threading.Lock()
_LIVE: dict[str, bytes] = {}


def _seal(permit_id: str, effect: str, target: str, digest: str, decision: str, expires_at_s: float) -> bytes:
    message = "\x00".join((permit_id, effect, target, digest, decision, repr(expires_at_s)))
    return hmac.new(_KEY, message.encode(), hashlib.sha256).digest()


def mint(*, effect: Effect, target: str, digest: str, decision: str, lifetime_s: float = 300.0) -> Permit:
    """Make a permit. For the gate only; the import rules refuse every other caller."""
    permit_id = secrets.token_hex(16)
    expires_at_s = time.monotonic() + lifetime_s
    seal = _seal(permit_id, effect, target, digest, decision, expires_at_s)
    with _LOCK:
        _LIVE[permit_id] = seal
    return Permit(
        id=permit_id,
        effect=effect,
        target=target,
        digest=digest,
        decision=decision,
        expires_at_s=expires_at_s,
        seal=seal,
    )


def void(permit: Permit) -> None:
    """Withdraw a permit that will not be used."""
    with _LOCK:
        _LIVE.pop(permit.id, None)


def redeem(permit: object, *, effect: Effect, target: str, digest: str) -> Permit:
    """Consume `permit` for exactly this effect on exactly this content.

    Args:
        permit: what the caller holds; anything but a live `Permit` is refused.
        effect: what the adapter is about to do.
        target: the back-end or tool that is about to act.
        digest: digest of what is about to be dispatched, recomputed by the adapter.

    Raises:
        PermitError: no permit, a used, expired or forged one, or one for other content.
    """
    if type(permit) is not Permit:
        raise PermitError(f"no permit for `{effect}` on `{target}`: ask the gate first")
    with _LOCK:
        live = _LIVE.pop(permit.id, None)
    if live is None:
        raise PermitError(f"the permit for `{effect}` on `{target}` was already used or never minted")
    expected = _seal(
        permit.id, permit.effect, permit.target, permit.digest, permit.decision, permit.expires_at_s
    )
    if not (hmac.compare_digest(live, expected) and hmac.compare_digest(permit.seal, expected)):
        raise PermitError("the permit's seal does not match its content")
    if time.monotonic() > permit.expires_at_s:
        raise PermitError(f"the permit for `{permit.effect}` on `{permit.target}` has expired")
    if (permit.effect, permit.target) != (effect, target):
        raise PermitError(
            f"the permit allows `{permit.effect}` on `{permit.target}`, not `{effect}` on `{target}`"
        )
    if not hmac.compare_digest(permit.digest, digest):
        raise PermitError(f"the permit for `{effect}` on `{target}` is bound to other content")
    return permit
