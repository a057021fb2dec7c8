"""The comparisons of Cedar's numbers, by the names of its syntax tree and of its extension functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FLIPPED: Mapping[str, str] = {
    "less": "greater",
    "less_eq": "greater_eq",
    "greater": "less",
    "greater_eq": "less_eq",
}
"""The same comparison with its sides exchanged."""

ORDERS: Mapping[str, str] = {
    **{name: name for name in FLIPPED},
    "decimal_less_than": "less",
    "decimal_less_eq": "less_eq",
    "decimal_greater": "greater",
    "decimal_greater_eq": "greater_eq",
}
"""The comparison that an operator or function makes."""

STEPS: Mapping[str, tuple[int, int]] = {
    "less": (-1, 0),
    "less_eq": (0, 1),
    "greater": (1, 0),
    "greater_eq": (0, -1),
}
"""From a bound: the last value that satisfies a comparison, and the first that does not."""
