"""A lock that the system drops when its holder dies."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextlib.contextmanager
def held_alone(lock: Path, *, otherwise: Exception) -> Generator[None]:
    """Hold the file `lock`, making it where it is not there.

    Args:
        lock: the file; it stays.
        otherwise: raised where another process holds it.
    """
    with lock.open("ab") as held:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(held.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(held.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise otherwise from error
        yield
