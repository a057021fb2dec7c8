"""The ledger: record encoding, Merkle log, signed checkpoints, verification.

Records (`encoding`) are leaves of an RFC 9162 tree (`tree`).
Every commit signs its size and root (`checkpoint`).
`verification` checks all of it, believing only keys that the verifier brings.
"""

from remit.ledger.checkpoint import (
    Checkpoint,
    VerifierKey,
    parse_checkpoint,
    parse_verifier_key,
    sign_checkpoint,
    verify_checkpoint,
)
from remit.ledger.encoding import decode_record, encode_record, leaf_digest, seal_draft
from remit.ledger.report import Finding, LogReport, RawRecord, StoredNote
from remit.ledger.verification import verify_log

__all__ = [
    "Checkpoint",
    "Finding",
    "LogReport",
    "RawRecord",
    "StoredNote",
    "VerifierKey",
    "decode_record",
    "encode_record",
    "leaf_digest",
    "parse_checkpoint",
    "parse_verifier_key",
    "seal_draft",
    "sign_checkpoint",
    "verify_checkpoint",
    "verify_log",
]
