"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FixedClock:
    """Implements `remit.ports.Clock`; one evaluation sees one instant, and a test says which.

    Args:
        now: RFC 3339 UTC time, `YYYY-MM-DDThh:mm:ss.sssZ`.
        monotonic_s: seconds that the monotonic clock shows at first.
    """

    def __init__(self, now: str = "2026-01-01T00:00:00.000Z", *, monotonic_s: float = 0.0) -> None:
        self._now = datetime.fromisoformat(now).astimezone(UTC)
        self._monotonic_s = monotonic_s

    def now(self) -> str:
        """RFC 3339 UTC time with milliseconds."""
        return self._now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self._now.microsecond // 1000:03d}Z"

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Move both clocks forward.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self._now += timedelta(seconds=seconds)
        self._monotonic_s += seconds
