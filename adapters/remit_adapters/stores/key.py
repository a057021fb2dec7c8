"""The log's own signing key, a file in the store's folder.

Whoever owns the folder can read the key and sign a rewritten log.
Checkpoints kept elsewhere show that; a signer from outside (a key service) prevents it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from remit.errors import LedgerError

if TYPE_CHECKING:
    from pathlib import Path

KEY_FILE: Final = "log.key"
PUBLIC_FILE: Final = "log.pub"


def origin_of(public_key: bytes) -> str:
    """Name a log after the key it began with: `remit.local/<16 hex>`."""
    return "remit.local/" + hashlib.sha256(public_key).hexdigest()[:16]


class FileSigner:
    """The port `Signer` with a private key from a file; the key's name is the log's origin."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._name = origin_of(self._public)

    @property
    def name(self) -> str:
        """Key name, equal to the log's origin."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519 signature."""
        return self._key.sign(message)


def load_signer(folder: Path, *, make: bool) -> FileSigner:
    """Read the folder's signing key; with `make`, create it atomically where there is none.

    Raises:
        LedgerError: the key is missing, unreadable or not an Ed25519 key.
    """
    file = folder / KEY_FILE
    try:
        if make and not file.exists():
            _create(file)
        key = load_pem_private_key(file.read_bytes(), password=None)
    except FileNotFoundError:
        raise LedgerError(
            f"the log's signing key `{file}` is missing: restore it, or open the store read-only"
        ) from None
    except OSError as error:
        raise LedgerError(
            f"the log's signing key `{file}` cannot be used: {(error.strerror or '').lower()}"
        ) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LedgerError(
            f"`{file}` is not an unencrypted PEM private key: restore it from a copy"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise LedgerError(f"`{file}` is not an Ed25519 key: restore it from a copy")
    return FileSigner(key)


def publish_key(folder: Path, text: str) -> None:
    """Write the verifier key text beside the key where it is not there yet.

    Raises:
        OSError: the file cannot be written.
    """
    file = folder / PUBLIC_FILE
    if not file.exists():
        _place(file, (text + "\n").encode(), mode=0o644, replace=True)


def _create(file: Path) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _place(file, pem, mode=0o600, replace=False)


def _place(file: Path, data: bytes, *, mode: int, replace: bool) -> None:
    """Write a whole file or none; without `replace`, whoever comes first wins."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            part.replace(file)
        else:
            try:
                file.hardlink_to(part)
            except FileExistsError:
                return
    finally:
        part.unlink(missing_ok=True)
