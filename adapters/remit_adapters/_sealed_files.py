"""What a store keeps for speed alone, sealed by the store's key: a file that anybody else wrote is no file.

Rules
1. What comes back under a name is what was kept under it here, or nothing. No fault of the disk is an error:
   what cannot be read is made again, what cannot be written is not kept.
2. The seal is an Ed25519 signature over name and content by the key that signs the log.
   With the folder's own key it also covers where that key file lies on this machine, so that a copied folder,
   key and all, brings nothing along that would be run here.
3. Links, foreign owners and files or folders that others can write are refused before they are read.
4. A file is written aside and renamed, so that several processes may share the folder.
5. At most `MAX_FILES` files and `MAX_TOTAL_BYTES`; what was used longest ago goes first.

Everything here may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from remit_adapters.stores.key import KEY_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from remit.ports import Signer

FOLDER: Final = "cache"
MAX_FILES: Final = 64
MAX_BYTES: Final = 64 << 20
"""Of one file."""
MAX_TOTAL_BYTES: Final = 256 << 20
STALE_S: Final = 3600.0
"""Age of a part that no process is writing any more."""

_MAGIC: Final = b"remit/1/sealed\n"
_SIGNATURE_BYTES: Final = 64
_HEAD_BYTES: Final = len(_MAGIC) + _SIGNATURE_BYTES
_SUFFIX: Final = ".sealed"
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)


class SealedFiles:
    """The port `SealedCache` in a folder beside the store.

    Args:
        store: the store's folder.
        signer: holds the key that signs the log.
        own_key: whether that key is the folder's own file.

    Raises:
        OSError: the key's file cannot be looked at.
    """

    def __init__(self, store: Path, signer: Signer, *, own_key: bool) -> None:
        self._folder = store / FOLDER
        self._signer = signer
        self._place = _place_of(store / KEY_FILE) if own_key else b""

    @classmethod
    def beside(cls, store: Path, signer: Signer, *, own_key: bool) -> SealedFiles | None:
        """Return the sealed files of a store; nothing where it cannot be said whose key it is."""
        try:
            return cls(store, signer, own_key=own_key)
        except OSError as error:
            _told(type(error).__name__, FOLDER)
            return None

    def kept(self, name: str) -> bytes | None:
        """Return what was kept under a name, or nothing."""
        try:
            if not self._is_ours():
                return None
            whole = _read(self._file(name))
            if whole is None or not whole.startswith(_MAGIC):
                return None
            seal, content = whole[len(_MAGIC) : _HEAD_BYTES], whole[_HEAD_BYTES:]
            Ed25519PublicKey.from_public_bytes(self._signer.public_key).verify(
                seal, self._sealed(name, content)
            )
        except FileNotFoundError:
            return None
        except InvalidSignature:
            _told("the seal does not hold", name)
            return None
        except Exception as error:  # noqa: BLE001  # rule 1
            _told(type(error).__name__, name)
            return None
        return content

    def keep(self, name: str, content: bytes) -> None:
        """Keep something under a name, in the place of what was there; or do not."""
        if len(content) > MAX_BYTES - _HEAD_BYTES:
            _told("too large", name)
            return
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if not self._is_ours():
                _told("the folder is not ours alone", name)
                return
            seal = self._signer.sign(self._sealed(name, content))
            self._write(self._file(name), _MAGIC + seal + content)
            self._prune()
        except Exception as error:  # noqa: BLE001  # rule 1: also what a signer from outside raises
            _told(type(error).__name__, name)

    def has(self, name: str) -> bool:
        """Whether there is a file under a name; it may yet be one that is not ours."""
        try:
            return self._file(name).is_file()
        except OSError:
            return False

    def drop(self, name: str) -> None:
        """Delete what is kept under a name."""
        with suppress(OSError):
            self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        # Of plain characters whatever the name: some file systems know fewer.
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}{_SUFFIX}"

    def _sealed(self, name: str, content: bytes) -> bytes:
        parts = (self._place, name.encode(), content)
        return b"remit/1/sealed-cache\0" + b"".join(hashlib.sha256(part).digest() for part in parts)

    def _is_ours(self) -> bool:
        found = self._folder.lstat()
        return stat.S_ISDIR(found.st_mode) and _private(found)

    def _write(self, file: Path, data: bytes) -> None:
        part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    def _prune(self) -> None:
        """Delete what is beyond the bounds, and parts that were left behind."""
        found: list[tuple[float, int, Path]] = []
        now = time.time()
        for file in self._folder.iterdir():
            with suppress(OSError):
                status = file.lstat()
                if file.name.endswith(_SUFFIX):
                    found.append((status.st_mtime, status.st_size, file))
                elif file.name.startswith(".") and now - status.st_mtime > STALE_S:
                    file.unlink()
        found.sort(key=lambda item: item[0], reverse=True)
        total = 0
        for number, (_, size, file) in enumerate(found):
            total += size
            if number >= MAX_FILES or total > MAX_TOTAL_BYTES:
                with suppress(OSError):
                    file.unlink()


def _place_of(file: Path) -> bytes:
    """Return what tells one file on one machine from every copy of it."""
    found = file.stat()
    return f"{found.st_dev} {found.st_ino} {found.st_ctime_ns}".encode()


def _private(found: os.stat_result) -> bool:
    """Whether nobody else could have written; where the system cannot say, the seal alone decides."""
    geteuid = getattr(os, "geteuid", None)
    if geteuid is None:
        return True
    return found.st_uid == geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(file: Path) -> bytes | None:
    """Return a private regular file's bytes; nothing where there is none."""
    try:
        descriptor = os.open(file, _FLAGS)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not (stat.S_ISREG(found.st_mode) and _private(found) and found.st_size <= MAX_BYTES):
            return None
        data = stream.read(MAX_BYTES + 1)
        # For rule 5; on a read-only disk nothing is deleted either.
        with suppress(OSError):
            os.utime(file)
    return data if len(data) <= MAX_BYTES else None


def _told(why: str, name: str) -> None:
    import structlog

    structlog.get_logger().debug("cache_unused", why=why, what=name.partition(" ")[0])
