r"""Cosignatures: what a witness adds to a log's checkpoint (C2SP tlog-cosignature v1, Ed25519).

Rules
1. A cosignature says: at time T, this is the largest log of this origin that I have seen, and each log that I
   cosigned before is its beginning.
2. What is signed is `cosignature/v1\\n`, `time T\\n` in seconds of POSIX time, and the checkpoint's body.
3. The line's payload is the key hash, T as 8 bytes big-endian, and 64 bytes of signature.
   The key's type is 0x04.
4. Cosignatures by unknown keys are ignored; a wrong one by a known key voids the whole note.
5. A quorum is k of the n keys that the verifier brings; a witness counts once however often it signed.

Source: c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from remit.errors import LedgerError
from remit.ledger.checkpoint import COSIGNATURE, parse_checkpoint, parse_verifier_key, verifier_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from remit.ledger.checkpoint import SignedCheckpoint, VerifierKey
    from remit.ports import Signer

_DASH: Final = "\u2014"
_TIME_BYTES: Final = 8
_MAX_TIME_S: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """One witness's word that verified.

    Args:
        witness: the key's name.
        cosigned_at_s: when, in seconds of POSIX time, by the witness's own clock.
    """

    witness: str
    cosigned_at_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """Which witnesses a verifier knows, and how many of them a checkpoint needs.

    Args:
        witnesses: their keys, of type 0x04.
        needed: k of them; at least one.

    Raises:
        LedgerError: more are needed than there are, or none.
    """

    witnesses: tuple[VerifierKey, ...]
    needed: int

    def __post_init__(self) -> None:
        known = len({(key.name, key.public_key) for key in self.witnesses})
        if not 1 <= self.needed <= known:
            raise LedgerError(f"a quorum of {self.needed} of {known} witnesses cannot be")

    @classmethod
    def of(cls, texts: Sequence[str], needed: int | None) -> Quorum | None:
        """Read witness key texts; all of them are needed where `needed` is None; None without any text.

        Raises:
            LedgerError: not the key of a witness, or a quorum that cannot be.
        """
        if not texts and needed is None:
            return None
        keys = tuple(parse_verifier_key(text, type=COSIGNATURE) for text in texts)
        return cls(witnesses=keys, needed=len(set(keys)) if needed is None else needed)

    def check(self, note: str) -> tuple[Cosignature, ...]:
        """Return the cosignatures of known witnesses on a note.

        Raises:
            LedgerError: fewer than needed, or a wrong one.
        """
        signed = parse_checkpoint(note)
        found = cosignatures(signed, self.witnesses)
        if len(found) < self.needed:
            names = ", ".join(f"`{one.witness}`" for one in found) or "none"
            raise LedgerError(
                f"{len(found)} of {len(self.witnesses)} known witnesses cosigned the checkpoint of size "
                f"{signed.checkpoint.size} ({names}), {self.needed} are needed"
            )
        return found


def cosign(note: str, signer: Signer, *, at_s: int) -> str:
    """Return `note` with one more line: the cosignature of `signer`.

    Args:
        note: a signed checkpoint, already checked; see `remit.ledger.witness`.
        signer: the witness.
        at_s: seconds of POSIX time.

    Raises:
        LedgerError: the note is malformed, the time lies outside the format, or the signer's name cannot
            stand in a note.
    """
    if not 0 <= at_s <= _MAX_TIME_S:
        raise LedgerError(f"a cosignature cannot be of the time {at_s}")
    key = verifier_key(signer, type=COSIGNATURE)
    body = parse_checkpoint(note).body
    payload = key.key_hash + at_s.to_bytes(_TIME_BYTES, "big") + signer.sign(_message(body, at_s))
    return f"{note}{_DASH} {key.name} {base64.b64encode(payload).decode()}\n"


def cosignatures(signed: SignedCheckpoint, witnesses: Iterable[VerifierKey]) -> tuple[Cosignature, ...]:
    """Return what known witnesses said, one a key, newest where one signed several times; sorted by name.

    Raises:
        LedgerError: a cosignature of a known key that does not verify.
    """
    known = {(key.name, key.key_hash): key for key in witnesses}
    found: dict[bytes, Cosignature] = {}
    for line in signed.signatures:
        key = known.get((line.name, line.key_hash))
        if key is None:
            continue
        at_s = int.from_bytes(line.signature[:_TIME_BYTES], "big")
        try:
            # A payload of another length has a signature of another length, which does not verify either.
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(
                line.signature[_TIME_BYTES:], _message(signed.body, at_s)
            )
        except (InvalidSignature, ValueError):
            raise LedgerError(f"the cosignature of `{key.name}` does not verify") from None
        before = found.get(key.public_key)
        if before is None or before.cosigned_at_s < at_s:
            found[key.public_key] = Cosignature(witness=key.name, cosigned_at_s=at_s)
    return tuple(sorted(found.values(), key=lambda one: (one.witness, one.cosigned_at_s)))


def _message(body: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{body}".encode()
