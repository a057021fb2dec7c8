"""Where a store lies: a folder, or an address whose scheme names the kind of store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from remit.errors import LedgerError

FOLDER_KIND: Final = "sqlite"
"""What keeps a store in a folder."""
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_SLASHLESS: Final = re.compile(r"(?i)postgres(ql)?:(?!//)")
_ALIASES: Final = {"postgres": "postgresql"}


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store lies.

    Args:
        text: a path, or an address such as `postgresql://user@host/database?schema=remit`.
    """

    text: str

    @property
    def kind(self) -> str:
        """Name of the entry point in the group `remit.stores` that opens it."""
        scheme = _ADDRESS.match(self.text)
        if scheme is None:
            return FOLDER_KIND
        name = scheme[1].lower()
        return _ALIASES.get(name, name)

    @property
    def folder(self) -> Path | None:
        """The folder, or None for an address."""
        return Path(self.text) if self.kind == FOLDER_KIND else None

    @property
    def beside(self) -> Path:
        """The folder that the store's folder lies in; for an address, where the program runs."""
        return Path.cwd() if self.folder is None else self.folder.absolute().parent

    @property
    def shown(self) -> str:
        """The location for messages: an address without its password."""
        if self.folder is not None:
            return self.folder.as_posix()
        try:
            password = urlsplit(self.text).password
        except ValueError:
            return f"{self.kind}://…"
        hidden = self.text if password is None else self.text.replace(f":{password}@", ":…@", 1)
        return re.sub(r"(?i)(password=)[^&]*", r"\1…", hidden)

    @property
    def begun(self) -> bool:
        """Whether something lies there; of an address only its server knows, so True."""
        if self.folder is None:
            return True
        try:
            return self.folder.is_dir() and any(self.folder.iterdir())
        except OSError:
            return False


def location_of(place: str | Path | Location) -> Location:
    """Return where a store lies, from a path, an address, or itself.

    Raises:
        LedgerError: an address that lacks a slash, which would be a folder of that name.
    """
    if isinstance(place, str) and _SLASHLESS.match(place):
        raise LedgerError(
            f"`{place.partition(':')[0]}:` begins no address of a store: write `postgresql://…`"
        )
    return place if isinstance(place, Location) else Location(str(place))
