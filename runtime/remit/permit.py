"""The permit: the only thing that makes an adapter or a tool runner act.

Rules
1. A permit is minted by the gate alone, after the decision is durable in the ledger.
2. It is bound to one kind of effect and to the digest of exactly what may be dispatched.
3. It is single-use: `redeem` consumes it, whatever the outcome of the check; a copy is the same permit.
4. It is sealed with a key of this process; it cannot be carried to another process, a forked child included,
   or be typed in.
5. It expires; an expired permit is refused and consumed.

An adapter calls `redeem(permit, effect=…, digest=…)` first and acts only when that returns.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import math
import os
import secrets
import threading
import time
from typing import Literal

from remit.errors import PermitError
from remit.value import Value

Effect = Literal["dispatch", "call_tool"]


class Permit(Value, frozen=True, kw_only=True):
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


_FIELD_TYPES = (str, str, str, str, str, float, bytes)
_PURGE_ABOVE = 1024
"""Live permits above which expired ones are looked for."""


class _Register:
    """The live permits of this process, and the key that seals them."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Forget every permit and take a new key and lock.

        The old lock may be held by a thread that did not come along into the child.
        """
        self.key = secrets.token_bytes(32)
        self.lock = threading.Lock()
        self.live: dict[str, tuple[bytes, float]] = {}
        self.expiries: list[tuple[float, str]] = []

    def keep(self, permit_id: str, seal: bytes, expires_at_s: float, now: float) -> None:
        """Enter a permit, and forget what expired once there are many; the caller holds the lock.

        A heap, because a look at every live permit at every mint would take as long as there are permits.
        """
        heapq.heappush(self.expiries, (expires_at_s, permit_id))
        while len(self.live) > _PURGE_ABOVE and self.expiries[0][0] < now:
            self.live.pop(heapq.heappop(self.expiries)[1], None)
        self.live[permit_id] = (seal, expires_at_s)
        if len(self.expiries) > 2 * len(self.live) + _PURGE_ABOVE:
            # What was redeemed is still in the heap.
            self.expiries = [(expiry, name) for name, (_, expiry) in self.live.items()]
            heapq.heapify(self.expiries)


_REGISTER = _Register()
# Rule 4: a forked child inherits memory; without this one permit could be redeemed once in each process.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_REGISTER.renew)


def _seal(fields: tuple[str, str, str, str, str, float]) -> bytes:
    # The repr of a tuple is unambiguous whatever the texts hold; joined texts would not be.
    message = repr(fields)
    # A keyed BLAKE2b is a message authentication code by itself, and takes half of HMAC's time.
    return hashlib.blake2b(
        message.encode("utf-8", "surrogatepass"), key=_REGISTER.key, digest_size=32
    ).digest()


def mint(*, effect: Effect, target: str, digest: str, decision: str, lifetime_s: float = 300.0) -> Permit:
    """Make a permit. For the gate only; the import rules refuse every other caller.

    Args:
        effect: what kind of effect it allows.
        target: the back-end's or the tool's name.
        digest: digest of exactly what may be dispatched, `sha256:<hex>`.
        decision: digest of the ledger record of the decision that allowed it.
        lifetime_s: seconds after which it is void; positive and finite.

    Raises:
        PermitError: it would be bound to nothing, or never expire.
    """
    if not (digest and decision and target):
        raise PermitError("a permit must be bound to a target, a content and a decision")
    if not (math.isfinite(lifetime_s) and lifetime_s > 0):
        raise PermitError("a permit must expire")
    permit_id = secrets.token_hex(16)
    now = time.monotonic()
    expires_at_s = float(now + lifetime_s)
    seal = _seal((permit_id, effect, target, digest, decision, expires_at_s))
    with _REGISTER.lock:
        _REGISTER.keep(permit_id, seal, expires_at_s, now)
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
    with _REGISTER.lock:
        _REGISTER.live.pop(permit.id, None)


def redeem(permit: object, *, effect: Effect, target: str, digest: str) -> Permit:
    """Consume `permit` for exactly this effect on exactly this content.

    Args:
        permit: what the caller holds; anything but a live `Permit` is refused.
        effect: what the adapter is about to do.
        target: the back-end or tool that is about to act.
        digest: digest of what is about to be dispatched, recomputed by the adapter.

    Returns:
        A permit of its own: what was checked, whatever happens to the caller's object meanwhile.

    Raises:
        PermitError: no permit, a used, expired or forged one, or one for other content.
    """
    if type(permit) is not Permit:
        raise PermitError(f"no permit for `{effect}` on `{target}`: ask the gate first")
    # INVARIANT (one look): every field is read once, and is of the plain type, so that neither another
    # thread nor a
    # subclass with its own `==` can show one value to the seal and another to the comparison.
    try:
        held = Permit(
            id=permit.id,
            effect=permit.effect,
            target=permit.target,
            digest=permit.digest,
            decision=permit.decision,
            expires_at_s=permit.expires_at_s,
            seal=permit.seal,
        )
    except Exception as error:
        raise PermitError("the permit is not whole") from error
    values = (held.id, held.effect, held.target, held.digest, held.decision, held.expires_at_s, held.seal)
    if any(type(value) is not kind for value, kind in zip(values, _FIELD_TYPES, strict=True)):
        raise PermitError("the permit holds values that no permit was minted with")
    with _REGISTER.lock:
        live = _REGISTER.live.pop(held.id, None)
    if live is None:
        raise PermitError(f"the permit for `{effect}` on `{target}` was already used or never minted here")
    expected = _seal((held.id, held.effect, held.target, held.digest, held.decision, held.expires_at_s))
    if not (hmac.compare_digest(live[0], expected) and hmac.compare_digest(held.seal, expected)):
        raise PermitError("the permit's seal does not match its content")
    if time.monotonic() > held.expires_at_s:
        raise PermitError(f"the permit for `{held.effect}` on `{held.target}` has expired")
    if (held.effect, held.target) != (effect, target):
        raise PermitError(
            f"the permit allows `{held.effect}` on `{held.target}`, not `{effect}` on `{target}`"
        )
    if held.digest != digest:
        raise PermitError(f"the permit for `{effect}` on `{target}` is bound to other content")
    return held
