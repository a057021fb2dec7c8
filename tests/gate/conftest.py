"""The fixture of this area; what it is made of stands in `gate_world`."""

from __future__ import annotations

import pytest
from gate_world import World


@pytest.fixture
def world() -> World:
    return World()
