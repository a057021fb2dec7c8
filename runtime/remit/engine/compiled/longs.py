"""Many integers checked at once: whether each of them fits into 64 bits.

`struct` packs integers as 64-bit ones in C and raises for what does not fit, which takes a third of the time
of comparing each with both bounds. What it takes for an integer beside `int` is for its caller to refuse.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PACKED: Final = range(3, 33)
"""How many are checked by one call; fewer are compared one by one."""


def packer(count: int) -> str:
    """Return the name of the function that raises where one of `count` integers does not fit."""
    return f"pack{count}"


PACKERS: Final[Mapping[str, Callable[..., bytes]]] = {
    packer(count): Struct(f"{count}q").pack for count in PACKED
}
