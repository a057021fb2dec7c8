"""What a run says, in order, for as many streams as want to hear it.

Rules
1. Events are appended by the run's own thread or by the request that moves the run; nothing is taken away.
2. A stream starts at a position, and ends at the first mark after it: at rest (the run waits for tool outputs
   or is over), or cut (the connection breaks without a word).
3. A slow stream holds up no run.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from remit.testing.assistants.faults import CutConnectionError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from remit.document.values import JsonObject

_BEAT_S = 0.1
_Mark = Literal["rest", "cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One server-sent event, before it is written.

    Args:
        name: event name, as the description lists them.
        data: the object as it was at that moment.
    """

    name: str
    data: JsonObject


class Feed:
    """The events of one run.

    Args:
        changed: the store's condition; held by whoever appends.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._entries: list[StreamEvent | _Mark] = []

    def position(self) -> int:
        """Return where a stream that starts now would start."""
        with self._changed:
            return len(self._entries)

    def say(self, name: str, value: JsonObject) -> None:
        """Append an event with a copy of `value`."""
        with self._changed:
            self._entries.append(StreamEvent(name=name, data=copy.deepcopy(value)))
            self._changed.notify_all()

    def rest(self) -> None:
        """End the streams that are listening."""
        self._mark("rest")

    def cut(self) -> None:
        """Break the streams that are listening."""
        self._mark("cut")

    def read(self, start: int) -> Iterator[StreamEvent | None]:
        """Yield events from `start` on, and None after every tenth of a second of silence.

        Raises:
            CutConnectionError: the stream breaks here.
        """
        position = start
        while True:
            with self._changed:
                if position == len(self._entries):
                    self._changed.wait(_BEAT_S)
                entry = self._entries[position] if position < len(self._entries) else None
            if entry == "rest":
                return
            if entry == "cut":
                raise CutConnectionError
            position += entry is not None
            yield entry

    def _mark(self, mark: _Mark) -> None:
        with self._changed:
            self._entries.append(mark)
            self._changed.notify_all()
