"""Whoever watches a run: their failure ends the run, recorded, and reaches them as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remit.host.events import RunEvent
    from remit.host.session import Emit


class ObserverError(Exception):
    """The embedder's callback raised; what it raised is the cause."""


class Observer:
    """Passes events on until the callback raises; from then on it is silent, so that the run can end.

    Args:
        emit: the embedder's callback.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._failed = False

    def __call__(self, event: RunEvent) -> None:
        """Pass one event on.

        Raises:
            ObserverError: the callback raised; it is not called again.
        """
        if self._failed:
            return
        try:
            self._emit(event)
        except Exception as error:
            self._failed = True
            raise ObserverError(f"the observer of the run raised {type(error).__name__}") from error
