"""For all tests: no test is judged by the time that it takes; speed is checked in `benchmarks/`."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
