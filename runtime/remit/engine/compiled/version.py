"""Which compiler this is."""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1
"""Raised with every change of what the generated code decides.

An image whose compiled code once differed from the reference stays on the reference until this changes.
"""

NAME: Final = f"compiled {FORMAT}"
