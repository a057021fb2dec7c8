"""A mark beside the control file: whether an order may have changed, for the price of a look at memory.

Two counters in a file of their own, mapped by every process that has the control state open: how many changes
have begun, and the number of the last one that is done.

Rules
1. Who changes orders counts `begun` up under the control file's write lock, before the commit, and sets
   `done` to that number after it. So equal counters mean that nothing is under way.
2. What was read from the control file while both were n holds as long as both are n.
3. Counters that differ (a change is under way, or its process died, or two ended out of order) mean: read the
   control file. The next change makes them equal again.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

UNSETTLED: Final = -1
_BYTES: Final = 16
_BEGUN, _DONE = 0, 1
_OWNER_ONLY: Final = 0o600


class Mark:
    """The counters in `file`, which is made on first use unless `read_only`.

    Raises:
        OSError: the file cannot be used, or is too short and may not be written.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
        descriptor = os.open(file, flags, _OWNER_ONLY)
        try:
            # Only ever lengthened: whoever has mapped it would be killed by a look at what was cut off.
            if os.fstat(descriptor).st_size < _BYTES:
                if read_only:
                    raise OSError(errno.EINVAL, "the mark is cut off", os.fspath(file))
                os.ftruncate(descriptor, _BYTES)
            self._map = mmap.mmap(
                descriptor, _BYTES, access=mmap.ACCESS_READ if read_only else mmap.ACCESS_WRITE
            )
        finally:
            os.close(descriptor)
        self._counters = memoryview(self._map).cast("Q")

    def value(self) -> int:
        """Return the number of changes, or `UNSETTLED` where one may be under way.

        Raises:
            ValueError: it was closed.
        """
        begun = self._counters[_BEGUN]
        return begun if self._counters[_DONE] == begun else UNSETTLED

    def begin(self) -> int:
        """Count a change; the caller holds the control file's write lock and has not committed.

        Returns:
            Its number, for `end`.
        """
        number = self._counters[_BEGUN] + 1
        self._counters[_BEGUN] = number
        return number

    def end(self, number: int) -> None:
        """Say that the change is committed, or given up."""
        self._counters[_DONE] = max(number, self._counters[_DONE])

    def close(self) -> None:
        """Release the mapping; idempotent."""
        self._counters.release()
        self._map.close()
