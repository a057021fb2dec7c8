r"""Checkpoints: C2SP signed notes (signed-note) over the size and root of the log (tlog-checkpoint 1.0).

Rules
1. A body is `origin\\n`, `size\\n` in decimal without leading zeros, `base64(root)\\n`, then optional lines.
2. A note is the body, an empty line, and one line a signature: em dash (U+2014), space, key name, space,
   base64(key hash ‖ signature). What is signed are the body's bytes with the last newline.
3. Key hash = first 4 bytes of SHA-256(name ‖ "\\n" ‖ type ‖ public key); type 0x01 is Ed25519, 0x04 an
   Ed25519 cosignature (`remit.ledger.cosignature`).
4. Verifier key text = `name+hex(key hash)+base64(type ‖ key)`.
5. Signatures by unknown keys are ignored; a wrong signature by a known key voids the whole note.

Source: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from remit.errors import LedgerError
from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.ports import Signer

ED25519: Final = b"\x01"
COSIGNATURE: Final = b"\x04"
MAX_NOTE_BYTES: Final = 1 << 20
_DASH: Final = "\u2014"
_HASH_BYTES: Final = 32
_KEY_HASH_BYTES: Final = 4
_MAX_SIGNATURES: Final = 100
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key by its name, as a verifier brings it along.

    Args:
        name: key name, without spaces and plus signs.
        public_key: 32 raw bytes of Ed25519.
        type: what it signs: 0x01 the body of a note, 0x04 a cosignature.
    """

    name: str
    public_key: bytes
    type: bytes = ED25519

    @property
    def key_hash(self) -> bytes:
        """4 bytes that tell keys of one name apart (C2SP signed-note)."""
        return _key_hash(self.name, self.public_key, self.type)

    def __str__(self) -> str:
        key = base64.b64encode(self.type + self.public_key).decode()
        return f"{self.name}+{self.key_hash.hex()}+{key}"


@lru_cache(maxsize=64)
def _key_hash(name: str, public_key: bytes, kind: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + public_key).digest()[:_KEY_HASH_BYTES]


class Checkpoint(Value, frozen=True, kw_only=True):
    """What a log says about itself at one size.

    Args:
        origin: name of the log.
        size: number of records.
        root: RFC 9162 root over them, 32 bytes.
        extensions: further body lines, kept as they are.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def body(self) -> str:
        """Return exactly the text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line: who, which key, which bytes."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint with its signatures, as parsed and not yet trusted.

    Args:
        checkpoint: the parsed body.
        body: the signed text as received.
        signatures: at least one.
    """

    checkpoint: Checkpoint
    body: str
    signatures: tuple[NoteSignature, ...]


def verifier_key(signer: Signer, *, type: bytes = ED25519) -> VerifierKey:  # noqa: A002  # C2SP's word
    """Return the public half of `signer`.

    Args:
        signer: whose.
        type: what it signs, 0x01 or 0x04.

    Raises:
        LedgerError: its name cannot stand in a note.
    """
    key = VerifierKey(name=_checked_name(signer.name), public_key=signer.public_key, type=type)
    if len(key.public_key) != _HASH_BYTES:
        raise LedgerError(f"the key `{key.name}` is not an Ed25519 key of 32 bytes")
    return key


def parse_verifier_key(text: str, *, type: bytes = ED25519) -> VerifierKey:  # noqa: A002  # C2SP's word
    """Read a verifier key text, `name+hash+key`.

    Args:
        text: the text.
        type: what the key must sign, 0x01 or 0x04.

    Raises:
        LedgerError: another form, another type of key, or a hash that does not match.
    """
    name, _, rest = text.strip().partition("+")
    hash_text, _, key_text = rest.partition("+")
    data = decode_base64(key_text, "the verifier key")
    if data[:1] != type or len(data) != 1 + _HASH_BYTES:
        whose = "a log" if type == ED25519 else "a witness"
        raise LedgerError(
            f"the verifier key is not the key of {whose} (Ed25519 of type 0x{type.hex()}): "
            "expected `name+hash+base64`"
        )
    key = VerifierKey(name=_checked_name(name), public_key=data[1:], type=type)
    if key.key_hash.hex() != hash_text:
        raise LedgerError(f"the verifier key of `{name}` has a wrong key hash: it was mistyped or cut")
    return key


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer, *, key: VerifierKey | None = None) -> str:
    """Return the signed note of `checkpoint`.

    Args:
        checkpoint: what is signed.
        signer: signs it.
        key: `verifier_key(signer)`, where the caller has it already.

    Raises:
        LedgerError: the origin or the signer's name cannot stand in a note.
    """
    key = key or verifier_key(signer)
    if not checkpoint.origin or "\n" in checkpoint.origin:
        raise LedgerError("a log's origin must be one non-empty line")
    body = checkpoint.body()
    signature = base64.b64encode(key.key_hash + signer.sign(body.encode())).decode()
    return f"{body}\n{_DASH} {key.name} {signature}\n"


def parse_checkpoint(note: str) -> SignedCheckpoint:
    """Read a signed note, strictly.

    Raises:
        LedgerError: not a signed note, or not a checkpoint.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise LedgerError("a checkpoint larger than 1 MiB is refused")
    if any(ord(char) < ord(" ") and char != "\n" for char in note):
        raise LedgerError("a checkpoint holds control characters")
    # The *last* empty line separates body and signatures (C2SP signed-note).
    text, separator, signature_text = note.rpartition("\n\n")
    if not separator or not signature_text.endswith("\n"):
        raise LedgerError(
            "a checkpoint needs a body, an empty line and signature lines that end in a newline"
        )
    body = text + "\n"
    lines = signature_text[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise LedgerError(f"a checkpoint with more than {_MAX_SIGNATURES} signatures is refused")
    signatures = tuple(_signature(line) for line in lines)
    return SignedCheckpoint(checkpoint=_parse_body(body), body=body, signatures=signatures)


def verify_checkpoint(note: str, keys: Iterable[VerifierKey], *, origin: str | None = None) -> Checkpoint:
    """Read a note and accept it only if a known key signed it.

    Args:
        note: the note's text.
        keys: keys that the verifier trusts.
        origin: the log it must speak about; None accepts any.

    Raises:
        LedgerError: malformed, about another log, no signature by a known key, or a wrong one.
    """
    signed = parse_checkpoint(note)
    if origin is not None and signed.checkpoint.origin != origin:
        raise LedgerError(f"the checkpoint speaks about `{signed.checkpoint.origin}`, not about `{origin}`")
    known = {(key.name, key.key_hash): key for key in keys}
    accepted = False
    for signature in signed.signatures:
        key = known.get((signature.name, signature.key_hash))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(
                signature.signature, signed.body.encode()
            )
        except InvalidSignature:
            raise LedgerError(f"the signature of `{key.name}` does not verify") from None
        except ValueError as error:
            raise LedgerError(f"the verifier key `{key.name}` is not an Ed25519 key: {error}") from error
        accepted = True
    if not accepted:
        names = ", ".join(sorted({f"`{signature.name}`" for signature in signed.signatures}))
        raise LedgerError(f"no known key signed the checkpoint (signed by {names})")
    return signed.checkpoint


def _parse_body(body: str) -> Checkpoint:
    lines = body[:-1].split("\n")
    if len(lines) < 3 or not all(lines):  # noqa: PLR2004  # origin, size, root: the three lines of tlog-checkpoint
        raise LedgerError("a checkpoint's body needs origin, size and root, one a line and none empty")
    origin, size_text, root_text = lines[:3]
    if _SIZE.fullmatch(size_text) is None:
        raise LedgerError(f"`{size_text[:40]}` is not a checkpoint's size")
    root = decode_base64(root_text, "the root hash")
    if len(root) != _HASH_BYTES:
        raise LedgerError(f"the root hash has {len(root)} bytes instead of 32")
    return Checkpoint(origin=origin, size=int(size_text), root=root, extensions=tuple(lines[3:]))


def _signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:  # noqa: PLR2004  # dash, name, base64
        raise LedgerError(
            "a signature line must be an em dash, a key name and base64, separated by one space"
        )
    data = decode_base64(parts[2], "a signature")
    if len(data) <= _KEY_HASH_BYTES:
        raise LedgerError("a signature is too short")
    return NoteSignature(
        name=_checked_name(parts[1]), key_hash=data[:_KEY_HASH_BYTES], signature=data[_KEY_HASH_BYTES:]
    )


def _checked_name(name: str) -> str:
    if not name or "+" in name or any(char.isspace() or not char.isprintable() for char in name):
        raise LedgerError(f"`{name}` cannot name a key: it must be non-empty and hold no space and no `+`")
    return name


def decode_base64(text: str, what: str) -> bytes:
    """Read canonical base64.

    Args:
        text: the base64.
        what: its name for messages.

    Raises:
        LedgerError: not base64, or not the one text that stands for these bytes.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise LedgerError(f"{what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        # Two texts for the same bytes would let an edit pass unnoticed.
        raise LedgerError(f"{what} is not canonical base64")
    return data
