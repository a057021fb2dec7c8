"""What is installed beside the runtime, by entry-point group.

To ask the interpreter reads the metadata of every installed distribution, which takes longer than a whole run
of an agent; so it is asked once for each search path.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points


def installed(group: str, name: str | None = None) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, in the order in which they are found.

    Args:
        group: such as `remit.backends`.
        name: only those that are called so.
    """
    points = _installed(group, tuple(sys.path))
    return points if name is None else tuple(point for point in points if point.name == name)


@lru_cache(maxsize=64)
def _installed(group: str, _: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))
