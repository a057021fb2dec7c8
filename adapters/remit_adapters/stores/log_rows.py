"""What a transaction writes for its records, as rows: records, contents, tree nodes, open intents."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from remit.document.merkle import leaf_hash
from remit.errors import HeadMovedError, LedgerError
from remit.ledger.encoding import SALT_BYTES, Sealed, leaf_digest, seal_draft
from remit.records import Draft, Receipt
from remit.value import Value
from remit_adapters.stores.seals import content_owner, sealed_content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remit.ledger.checkpoint import Checkpoint
    from remit.ledger.tree import Peaks
    from remit.ports import Judged, KeyOwner, SubjectKey

    Obtain = Callable[[list[KeyOwner]], Mapping[KeyOwner, SubjectKey]]

Cell = int | str | bytes


def seal_drafts(drafts: Sequence[Draft]) -> tuple[Sealed, ...]:
    """Check drafts and fix their bytes, each with a fresh salt.

    Raises:
        LedgerError: a draft that cannot be a record.
    """
    return tuple(
        seal_draft(draft, salt=b"" if draft.content is None else secrets.token_bytes(SALT_BYTES))
        for draft in drafts
    )


def outdated(judged: Judged) -> HeadMovedError:
    """Say that something was judged by records that are not the newest any more."""
    return HeadMovedError(f"`{judged.run}` has later records than this was judged by: judge again")


class LogRows(Value, frozen=True, kw_only=True):
    """Rows whose cells lie one after the other.

    Args:
        records: index, leaf, kind, agent, run.
        contents: index, salt, content.
        intents: digest, index.
        nodes: number, level, index, digest.
        settled: digests of intents that have an outcome now.
    """

    records: list[Cell]
    contents: list[Cell]
    intents: list[Cell]
    nodes: list[Cell]
    settled: list[str]


def require_signed(checkpoint: Checkpoint | None, peaks: Peaks) -> None:
    """Refuse to append to a tree that is not what the last checkpoint signs.

    Raises:
        LedgerError: it is not, or there is no checkpoint.
    """
    if checkpoint is None or (checkpoint.size, checkpoint.root) != (peaks.size, peaks.root()):
        raise LedgerError(
            "the log is not what its last checkpoint signs: nothing was appended; run `remit ledger verify`"
        )


def log_rows(
    peaks: Peaks, batches: Sequence[Sequence[Sealed]], obtain: Obtain
) -> tuple[Peaks, list[tuple[Receipt, ...]], LogRows]:
    """Return the state of the log after batches of records, their receipts, and what is to be written.

    Args:
        peaks: the state before.
        batches: records, ready but for their index.
        obtain: gives subjects' keys; not asked where no content is about a subject.

    Raises:
        LedgerError: the keys cannot be reached.
    """
    about = [record for batch in batches for record in batch if record.draft.subject]
    wanted = [owner for owner in map(content_owner, about) if owner is not None]
    keys: Mapping[KeyOwner, SubjectKey] = obtain([*dict.fromkeys(wanted)]) if wanted else {}
    answers: list[tuple[Receipt, ...]] = []
    records: list[Cell] = []
    contents: list[Cell] = []
    intents: list[Cell] = []
    settled: list[str] = []
    leaves: list[bytes] = []
    index = peaks.size
    for batch in batches:
        receipts: list[Receipt] = []
        for record in batch:
            draft = record.draft
            leaf = record.leaf(index)
            digest = leaf_digest(leaf)
            records += (index, leaf, draft.kind, draft.agent, draft.run)
            if record.content:
                owner = content_owner(record) if keys else None
                if owner is None:
                    contents += (index, record.salt, record.content)
                else:
                    contents += (index, b"", sealed_content(record, leaf, keys[owner]))
            if draft.kind == "intent":
                intents += (digest, index)
            elif draft.kind == "outcome":
                intent = draft.body.get("intent")
                if isinstance(intent, str):
                    settled.append(intent)
            leaves.append(leaf_hash(leaf))
            receipts.append(Receipt(index=index, digest=digest))
            index += 1
        answers.append(tuple(receipts))
    grown, nodes = peaks.extend(leaves)
    return (
        grown,
        answers,
        LogRows(records=records, contents=contents, intents=intents, nodes=nodes, settled=settled),
    )


def as_bytes(value: object) -> bytes:
    """Return a cell as bytes; one that somebody changed may hold anything, and will not verify then."""
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")
