"""A bundle as a file: one ZIP archive whose bytes depend on nothing but what is in it, or a folder.

Rules
1. Members are sorted by name, of one fixed time, one system and one mode; the same content gives the same
   bytes wherever the same zlib compresses it.
2. What is written first goes to a spool beside the archive; the archive appears whole or not at all.
3. Reading refuses names that lead out of the archive, stand twice, or are not files, and what is too large.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from remit.errors import LedgerError
from remit.project.build import require_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

MAX_FILE_BYTES: Final = 1 << 28
"""A file of a bundle that is read whole; records are read line by line."""
MAX_LINE_BYTES: Final = 1 << 26
MAX_BUNDLE_BYTES: Final = 1 << 36
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16
_BLOCK_BYTES: Final = 1 << 20
_UNREADABLE: Final = (
    *(OSError, EOFError, RuntimeError, ValueError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What reading an archive that is damaged, encrypted or of an unknown method raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Where a file lies in the spool."""

    start: int
    length: int
    digest: str


class BundleWriter:
    """Collects files and writes them as one archive; a context manager that leaves nothing behind on failure.

    Args:
        path: the archive.

    Raises:
        LedgerError: a file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = contextlib.ExitStack()
        self._pieces: dict[str, _Piece] = {}
        try:
            self._spool: BinaryIO = self._stack.enter_context(
                tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  # the stack closes it
            )
        except OSError as error:
            raise _unwritable(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, name: str, *blocks: bytes) -> None:
        """Add a file of these blocks, one after the other."""
        self.stream(name, iter(blocks))

    def stream(self, name: str, blocks: Iterator[bytes]) -> None:
        """Add a file of blocks that are made one at a time."""
        start, digest = self._spool.tell(), hashlib.sha256()
        try:
            for block in blocks:
                digest.update(block)
                self._spool.write(block)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        length = self._spool.tell() - start
        self._pieces[name] = _Piece(start=start, length=length, digest="sha256:" + digest.hexdigest())

    def digests(self) -> dict[str, str]:
        """Return `sha256:<hex>` of every file so far, by name, sorted."""
        return {name: self._pieces[name].digest for name in sorted(self._pieces)}

    def finish(self, *, progress: Callable[[int, int], None] | None = None) -> None:
        """Write the archive: whole, synced and renamed."""
        require_file(self._path)
        handle, part = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                    for number, name in enumerate(sorted(self._pieces)):
                        self._copy(archive, name)
                        if progress is not None:
                            progress(number + 1, len(self._pieces))
                stream.flush()
                os.fsync(stream.fileno())
            Path(part).chmod(0o644)
            Path(part).replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        finally:
            Path(part).unlink(missing_ok=True)

    def _copy(self, archive: zipfile.ZipFile, name: str) -> None:
        piece = self._pieces[name]
        info = zipfile.ZipInfo(name, _EPOCH)
        info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, _UNIX, _MODE
        self._spool.seek(piece.start)
        with archive.open(info, "w", force_zip64=piece.length >= zipfile.ZIP64_LIMIT) as target:
            left = piece.length
            while left:
                block = self._spool.read(min(left, _BLOCK_BYTES))
                target.write(block)
                left -= len(block)


class BundleReader:
    """Reads a bundle, an archive or the folder that it was unpacked into; a context manager.

    Args:
        path: the archive or the folder.

    Raises:
        LedgerError: it is neither, or holds names or sizes that a bundle never has.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive: zipfile.ZipFile | None = None
        try:
            if path.is_dir():
                files = {p.relative_to(path).as_posix(): p.stat().st_size for p in _files(path)}
            else:
                self._archive = zipfile.ZipFile(path)
                files = _sizes(self._archive)
        except FileNotFoundError:
            raise LedgerError(f"there is no bundle `{path.as_posix()}`") from None
        except _UNREADABLE as error:
            raise LedgerError(f"`{path.as_posix()}` is no evidence bundle: {error}") from error
        if sum(files.values()) > MAX_BUNDLE_BYTES:
            self.close()
            raise LedgerError(f"`{path.as_posix()}` holds more than {MAX_BUNDLE_BYTES >> 30} GiB")
        self.names: Final = tuple(sorted(files))
        self._sizes = files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the archive; idempotent."""
        if self._archive is not None:
            self._archive.close()

    def read(self, name: str) -> bytes:
        """Return a whole file.

        Raises:
            LedgerError: it is not there, too large, or cannot be read.
        """
        if self._sizes.get(name, 0) > MAX_FILE_BYTES:
            raise LedgerError(f"`{name}` in the bundle is larger than {MAX_FILE_BYTES >> 20} MiB")
        return b"".join(self._blocks(name))

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield a file's lines without their ends.

        Raises (while iterating):
            LedgerError: the file is not there or cannot be read, or a line is too long.
        """
        rest = b""
        for block in self._blocks(name):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if len(rest) > MAX_LINE_BYTES:
                raise LedgerError(
                    f"`{name}` in the bundle holds a line of more than {MAX_LINE_BYTES >> 20} MiB"
                )
        if rest:
            yield rest

    def digest(self, name: str) -> str:
        """Return `sha256:<hex>` of a file.

        Raises:
            LedgerError: it is not there or cannot be read.
        """
        state = hashlib.sha256()
        for block in self._blocks(name):
            state.update(block)
        return "sha256:" + state.hexdigest()

    def _blocks(self, name: str) -> Iterator[bytes]:
        if name not in self._sizes:
            raise LedgerError(f"`{name}` is not in the bundle")
        try:
            stream = self._archive.open(name) if self._archive else (self._path / name).open("rb")
            with stream:
                while block := stream.read(_BLOCK_BYTES):
                    yield block
        except _UNREADABLE as error:
            raise LedgerError(f"`{name}` in the bundle cannot be read: {error}") from error


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file():
            if path.is_symlink():
                raise LedgerError(f"`{path.relative_to(folder).as_posix()}` in the bundle is a link")
            yield path


def _sizes(archive: zipfile.ZipFile) -> dict[str, int]:
    found: dict[str, int] = {}
    for info in archive.infolist():
        name = PurePosixPath(info.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename or info.is_dir():
            raise LedgerError(f"the bundle holds the name `{info.filename!r}`, which leads elsewhere")
        if info.filename in found:
            raise LedgerError(f"`{info.filename}` stands twice in the bundle")
        found[info.filename] = info.file_size
    return found


def _unwritable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(f"`{path.as_posix()}` cannot be written: {error.strerror or error}")
