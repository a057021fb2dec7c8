"""The log of these tests is structlog's own: the command line, which other tests call, configures it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _unconfigured_log() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
