"""A witness: it cosigns a log's checkpoint only where that extends what it cosigned before.

Rules (c2sp.org/tlog-witness)
1. A request is the body of `add-checkpoint`: the size that the witness cosigned last, a consistency proof
   from there, and the checkpoint. A bare checkpoint is a request from size 0.
2. The checkpoint must be signed by a key of the log that the witness was told of, and about that log.
3. Another old size than the one remembered is refused (409 in the protocol); the answer says which it is.
4. A smaller size is refused; so are another root at the same size, and a proof that does not lead from the
   root that is remembered to the new one (422): two forks of one log never get two cosignatures.
5. What was cosigned is durable before it is answered. A memory that cannot be written is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.errors import LedgerError
from remit.ledger.checkpoint import parse_checkpoint, verify_checkpoint
from remit.ledger.cosignature import cosign
from remit.ledger.proofs import ConsistencyProof, parse_consistency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remit.ledger.checkpoint import Checkpoint, VerifierKey
    from remit.ports import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The largest log of an origin that a witness cosigned.

    Args:
        size: number of records.
        root: root over them, 32 bytes.
    """

    size: int
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """What a witness answers: the checkpoint with its cosignature."""

    checkpoint: Checkpoint
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a witness does not cosign.

    Args:
        reason: stale (ask again from `size`), smaller, or fork.
        message: one readable clause.
        size: the size that it cosigned last.
    """

    reason: str
    message: str
    size: int


def answer_request(
    request: str,
    *,
    origin: str,
    keys: Iterable[VerifierKey],
    signer: Signer,
    at_s: int,
    seen: Seen | None,
    remember: Callable[[Seen], None],
) -> Cosigned | Refused:
    """Cosign the checkpoint of a request, or say why not.

    Args:
        request: rule 1.
        origin: the log that the witness was told to watch.
        keys: keys that may sign its checkpoints.
        signer: the witness.
        at_s: seconds of POSIX time.
        seen: what was cosigned last of this log. The caller keeps others out from reading it to `remember`.
        remember: makes that durable before it returns.

    Raises:
        LedgerError: the request is malformed, its checkpoint is not signed by a known key, or `remember`
            failed.
    """
    proof = _read(request)
    new = verify_checkpoint(proof.note, keys, origin=origin)
    size = seen.size if seen else 0
    if seen is not None and new.size < seen.size:
        return Refused(
            reason="smaller",
            message=f"the checkpoint signs {new.size} records, and {seen.size} were cosigned before: "
            "the tail was cut, or this is an old checkpoint",
            size=size,
        )
    if seen is not None and new.size == seen.size and new.root != seen.root:
        return Refused(
            reason="fork",
            message=f"another log of {seen.size} records was cosigned before: two histories were signed",
            size=size,
        )
    same = seen is not None and (new.size, new.root) == (seen.size, seen.root)
    if not same and proof.old_size != size:
        return Refused(
            reason="stale",
            message=f"the proof begins at size {proof.old_size}, and {size} records were cosigned before: "
            "prove from there, with `remit ledger prove --checkpoint` and the note that was cosigned then",
            size=size,
        )
    if not same and not proof.proves(seen.root if seen else b"", new):
        return Refused(
            reason="fork",
            message=f"the proof does not lead from the {size} records that were cosigned before to these "
            f"{new.size}: history was rewritten, or the proof is wrong",
            size=size,
        )
    note = cosign(proof.note, signer, at_s=at_s)
    # Rule 5.
    remember(Seen(size=new.size, root=new.root))
    return Cosigned(checkpoint=new, note=note)


def _read(request: str) -> ConsistencyProof:
    if request.startswith("old "):
        proof = parse_consistency(request)
        parse_checkpoint(proof.note)
        return proof
    try:
        parse_checkpoint(request)
    except LedgerError as error:
        raise LedgerError(
            f"a witness is asked with a checkpoint, or a proof that ends with one: {error}"
        ) from error
    return ConsistencyProof(old_size=0, hashes=(), note=request)
