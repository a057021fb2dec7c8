"""Telemetry as structured log lines: each observation is one structlog event under its own name.

Where they go and which levels are kept is structlog's configuration, which belongs to the embedder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.observations import NAMES

if TYPE_CHECKING:
    from remit.observations import Observation

LOGGED_AT_SOURCE = frozenset({"engine_diverged"})
"""What the runtime logs by itself, also where nobody measures."""


class LogSink:
    """Writes observations to structlog."""

    def __init__(self) -> None:
        import structlog

        self._log = structlog.get_logger("remit")

    def observe(self, observation: Observation) -> None:
        """Log one observation at its level."""
        named = NAMES.get(observation.name)
        if named is None or observation.name in LOGGED_AT_SOURCE:
            return
        members: dict[str, object] = {"agent": observation.agent}
        if observation.run:
            members["run"] = observation.run
        members |= {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in observation.values.items()
        }
        members |= observation.private
        if observation.began_ns != observation.at_ns:
            members["duration_ms"] = round(observation.duration_s * 1000, 3)
        getattr(self._log, named.level)(observation.name, **members)

    def close(self) -> None:
        """Hold nothing back."""


def open_sink() -> LogSink:
    """Open the sink `log`."""
    return LogSink()
