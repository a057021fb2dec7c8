"""What a store keeps for speed: exactly what was kept, or nothing; never an error, never somebody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from remit.ports import SealedCache
from remit_adapters import _sealed_files
from remit_adapters._sealed_files import SealedFiles
from remit_adapters.sqlite_store import open_store
from remit_adapters.stores.key import load_signer

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"\x00code" * 40


def sealed(folder: Path) -> SealedFiles:
    folder.mkdir(exist_ok=True)
    made = SealedFiles.beside(folder, load_signer(folder, make=True), own_key=True)
    assert made is not None
    return made


def only_file(folder: Path) -> Path:
    (file,) = (folder / "cache").iterdir()
    return file


def test_a_store_has_a_sealed_cache_and_a_read_only_store_has_none(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        assert isinstance(store.cache, SealedCache)
    with open_store(tmp_path, read_only=True) as store:
        assert store.cache is None


def test_what_was_kept_comes_back_also_in_another_process_of_the_same_folder(tmp_path: Path) -> None:
    first = sealed(tmp_path)
    assert first.kept("engine a") is None
    assert not first.has("engine a")
    first.keep("engine a", CONTENT)
    second = sealed(tmp_path)
    assert second.has("engine a")
    assert second.kept("engine a") == CONTENT
    assert second.kept("engine b") is None
    second.keep("engine a", b"newer")
    assert first.kept("engine a") == b"newer"
    first.drop("engine a")
    first.drop("engine a")
    assert second.kept("engine a") is None


def test_no_byte_of_a_file_can_be_changed_lost_or_added(tmp_path: Path) -> None:
    cache = sealed(tmp_path)
    cache.keep("engine a", CONTENT)
    file = only_file(tmp_path)
    right = file.read_bytes()
    for place in range(len(right)):
        file.write_bytes(right[:place] + bytes([right[place] ^ 1 << place % 8]) + right[place + 1 :])
        assert cache.kept("engine a") is None, place
    for end in range(0, len(right), 7):
        file.write_bytes(right[:end])
        assert cache.kept("engine a") is None, end
    file.write_bytes(right + b"\x00")
    assert cache.kept("engine a") is None
    file.write_bytes(right)
    assert cache.kept("engine a") == CONTENT


def test_a_file_under_another_name_is_not_what_was_kept_there(tmp_path: Path) -> None:
    cache = sealed(tmp_path)
    cache.keep("engine a", CONTENT)
    moved = only_file(tmp_path)
    cache.keep("engine b", b"b")
    (other,) = (file for file in (tmp_path / "cache").iterdir() if file != moved)
    moved.replace(other)
    assert cache.kept("engine b") is None


def test_what_another_key_sealed_is_nothing(tmp_path: Path) -> None:
    ours, theirs = sealed(tmp_path / "ours"), sealed(tmp_path / "theirs")
    theirs.keep("engine a", CONTENT)
    shutil.copytree(tmp_path / "theirs" / "cache", tmp_path / "ours" / "cache")
    assert ours.has("engine a")
    assert ours.kept("engine a") is None


def test_a_copied_folder_brings_nothing_along_key_and_all(tmp_path: Path) -> None:
    sealed(tmp_path / "made").keep("engine a", CONTENT)
    shutil.copytree(tmp_path / "made", tmp_path / "sent")
    assert (tmp_path / "made" / "log.key").read_bytes() == (tmp_path / "sent" / "log.key").read_bytes()
    assert sealed(tmp_path / "made").kept("engine a") == CONTENT
    assert sealed(tmp_path / "sent").kept("engine a") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no modes")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_read(tmp_path: Path, mode: int) -> None:
    cache = sealed(tmp_path)
    cache.keep("engine a", CONTENT)
    only_file(tmp_path).chmod(mode)
    assert cache.kept("engine a") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no modes")
def test_files_are_private_and_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    cache = sealed(tmp_path)
    cache.keep("engine a", CONTENT)
    assert only_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    (tmp_path / "cache").chmod(0o777)
    assert cache.kept("engine a") is None
    cache.keep("engine b", CONTENT)
    assert not cache.has("engine b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser gives away")
def test_a_file_of_another_owner_is_not_read(tmp_path: Path) -> None:
    cache = sealed(tmp_path)
    cache.keep("engine a", CONTENT)
    os.chown(only_file(tmp_path), 12345, -1)
    assert cache.kept("engine a") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_a_link_a_folder_and_a_pipe_are_not_read_and_nothing_waits_for_them(tmp_path: Path) -> None:
    cache = sealed(tmp_path)
    cache.keep("engine a", CONTENT)
    file = only_file(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert cache.kept("engine a") is None
    file.unlink()
    file.mkdir()
    assert cache.kept("engine a") is None
    cache.keep("engine a", CONTENT)
    assert cache.kept("engine a") is None
    file.rmdir()
    os.mkfifo(file)
    assert cache.kept("engine a") is None
    cache.keep("engine a", CONTENT)
    assert cache.kept("engine a") == CONTENT


def test_a_folder_that_is_a_link_or_a_file_is_not_used(tmp_path: Path) -> None:
    cache = sealed(tmp_path)
    (tmp_path / "cache").write_bytes(b"")
    cache.keep("engine a", CONTENT)
    assert cache.kept("engine a") is None
    assert not cache.has("engine a")
    (tmp_path / "cache").unlink()
    cache.keep("engine a", CONTENT)
    (tmp_path / "cache").rename(tmp_path / "moved")
    (tmp_path / "cache").symlink_to(tmp_path / "moved")
    assert cache.kept("engine a") is None


class FullDisk:
    """A stream to a disk without room."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, data: bytes) -> int:
        self._stream.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")


def test_a_full_disk_keeps_what_was_there_and_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = sealed(tmp_path)
    cache.keep("engine a", CONTENT)
    real = os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *given, **more: FullDisk(real(*given, **more)))
    cache.keep("engine a", b"newer")
    monkeypatch.undo()
    assert cache.kept("engine a") == CONTENT
    assert len(list((tmp_path / "cache").iterdir())) == 1


class Refusing:
    """A signer from outside that is out of order."""

    name = "refusing"
    public_key = bytes(32)

    def sign(self, message: bytes) -> bytes:
        raise ConnectionError(len(message))


def test_a_signer_that_fails_is_no_error(tmp_path: Path) -> None:
    cache = SealedFiles(tmp_path, Refusing(), own_key=False)
    cache.keep("engine a", CONTENT)
    assert cache.kept("engine a") is None


def test_what_was_used_longest_ago_goes_first_and_parts_that_were_left_go_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sealed_files, "MAX_FILES", 3)
    cache = sealed(tmp_path)
    now = time.time()
    for age, name in ((40, "a"), (30, "b"), (20, "c")):
        cache.keep(name, name.encode())
        os.utime(cache._file(name), (now - age, now - age))
    stale = tmp_path / "cache" / ".left.0123"
    stale.write_bytes(b"")
    os.utime(stale, (now - 7200, now - 7200))
    assert cache.kept("a") == b"a"
    cache.keep("d", b"d")
    assert [name for name in "abcd" if cache.has(name)] == ["a", "c", "d"]
    assert not stale.exists()
    monkeypatch.setattr(_sealed_files, "MAX_TOTAL_BYTES", 200)
    cache.keep("e", b"e" * 90)
    assert [name for name in "abcde" if cache.has(name)] == ["e"]
    monkeypatch.setattr(_sealed_files, "MAX_BYTES", 200)
    cache.keep("f", b"f" * 200)
    assert not cache.has("f")


HAMMER = """
import sys
from pathlib import Path
from remit_adapters._sealed_files import SealedFiles
from remit_adapters.stores.key import load_signer
folder, mine = Path(sys.argv[1]), sys.argv[2].encode() * 5000
cache = SealedFiles(folder, load_signer(folder, make=True), own_key=True)
for turn in range(150):
    cache.keep("engine a", mine)
    found = cache.kept("engine a")
    assert found is None or (len(found) == 5000 and len(set(found)) == 1), turn
    if turn % 10 == 0:
        cache.drop("engine a")
"""


def test_several_processes_at_once_see_whole_files_or_none(tmp_path: Path) -> None:
    load_signer(tmp_path, make=True)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path), letter], stderr=subprocess.PIPE, text=True
        )
        for letter in "wxyz"
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
