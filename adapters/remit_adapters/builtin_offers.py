"""The built-ins of a turn, checked before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit_adapters.config import ConfigReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.model import Builtin
    from remit.messages import Turn


def offered_without_files(
    turn: Turn, *, backend: str, names: Sequence[str]
) -> Iterator[tuple[Builtin, ConfigReader]]:
    """Yield the built-ins of `turn`, each with the reader of its config, for a vendor that takes no files.

    Args:
        turn: what is about to be sent.
        backend: the document's name of the back-end, for messages.
        names: what the adapter can offer.

    Raises:
        AdapterError: a built-in that cannot be offered, or one with files.
    """
    for item in turn.builtins:
        where = f"back-end `{backend}`: built-in `{item.name}`"
        if item.name not in names:
            offered = ", ".join(f"`{name}`" for name in names)
            raise AdapterError(f"{where} cannot be offered; it can offer {offered}")
        if item.files:
            listed = ", ".join(f"`{file.path}`" for file in item.files)
            raise AdapterError(
                f"{where} cannot be given {listed}: this adapter uploads nothing; "
                "leave out `files`, or use a back-end that takes them"
            )
        yield item, ConfigReader(value=item.config, where=f"{where}: config")


def nothing_to_set(reader: ConfigReader) -> None:
    """Refuse every member but extensions (`x-…`).

    Raises:
        AdapterError: a member is set that the vendor does not have.
    """
    for name in sorted(reader.value):
        if not name.startswith("x-"):
            raise reader.error(name, "cannot be set at this vendor; leave it out, or use another back-end")
