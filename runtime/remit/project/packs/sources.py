"""Where packs are found: those that come with Remit, by name; any other, by its folder."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from remit.errors import DocumentError, Fault
from remit.project.packs.folder import PACK_FILE, is_pack, read_pack
from remit.project.source import listing, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.project.packs.folder import PackFolder

SHIPPED = "policies/packs"
"""How origins and faults call the folder of the packs that come with Remit, wherever it is installed."""


@cache
def shipped_folder() -> Path:
    """Return the folder of the packs that come with Remit; it may not exist."""
    shipped = resources.files("remit") / "_policies" / "packs"
    if isinstance(shipped, Path) and shipped.is_dir():
        return shipped
    return Path(__file__).resolve().parents[4] / "policies" / "packs"


def shipped_names() -> tuple[str, ...]:
    """Return the names of the packs that come with Remit, sorted."""
    folder = shipped_folder()
    return (
        tuple(sorted(path.parent.name for path in folder.glob(f"*/{PACK_FILE}"))) if folder.is_dir() else ()
    )


def shipped_pack(name: str) -> PackFolder:
    """Read a pack that comes with Remit.

    Raises:
        DocumentError: there is none of that name, or the installation is damaged.
    """
    names = shipped_names()
    if name not in names:
        hint = nearest(name, names) or f"packs that come with Remit are {listing(names) or 'none'}"
        raise DocumentError(
            Fault(message=f"no pack is called `{name}`", hint=f"{hint}; name another one by its `path`")
        )
    return read_pack(shipped_folder() / name, label=f"{SHIPPED}/{name}")


def named_pack(target: str) -> PackFolder:
    """Read the pack that a person means: a folder that holds one, else the name of a shipped one.

    Raises:
        DocumentError: there is none, or it is wrong.
    """
    path = Path(target)
    if is_pack(path) or (path.is_dir() and target not in shipped_names()):
        return read_pack(path)
    return shipped_pack(target)


def pinned_pack(digest: str, name: str, *, folders: Iterable[Path] = ()) -> PackFolder | None:
    """Return the pack with a digest, from the folders or else from those that come with Remit; None if none.

    Raises:
        DocumentError: a pack of the folders cannot be read.
    """
    for folder in folders:
        found = read_pack(folder)
        if found.pack.digest == digest:
            return found
    if name in shipped_names():
        found = shipped_pack(name)
        if found.pack.digest == digest:
            return found
    return None
