"""Usage counters: what a run, and an agent over all its runs, has consumed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from remit.document.values import MAX_SAFE_INTEGER, JsonObject, JsonValue

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTER_LIMIT = MAX_SAFE_INTEGER
"""Counters stop here: exact in every JSON reader; a rule can multiply one by 1,000 without overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counters that rules read as `context.usage` and `context.lifetime`; all are non-negative integers.

    Args:
        turns: inference calls that were permitted.
        tool_calls: tool calls that were permitted.
        denials: requests that were denied.
        tokens: input and output tokens.
        cost_microusd: cost in millionths of a US dollar.
        wall_time_s: whole seconds of wall time.
        mutations: memory and document changes that were permitted.

    Raises:
        ValueError: a counter is no integer, is negative or lies beyond `COUNTER_LIMIT`.
    """

    turns: int = 0
    tool_calls: int = 0
    denials: int = 0
    tokens: int = 0
    cost_microusd: int = 0
    wall_time_s: int = 0
    mutations: int = 0

    def __post_init__(self) -> None:
        for name in COUNTERS:
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"counter `{name}` is not an integer")  # noqa: TRY004  # one error type for one promise
            if not 0 <= value <= COUNTER_LIMIT:
                raise ValueError(f"counter `{name}` lies outside 0 to {COUNTER_LIMIT}")

    def plus(
        self,
        *,
        turns: int = 0,
        tool_calls: int = 0,
        denials: int = 0,
        tokens: int = 0,
        cost_microusd: int = 0,
        wall_time_s: int = 0,
        mutations: int = 0,
    ) -> Usage:
        """Return the counters with non-negative amounts added; each saturates at `COUNTER_LIMIT`.

        Raises:
            ValueError: an amount is negative: a counter never goes back, or a budget could be refilled.
        """
        added = {
            "turns": turns,
            "tool_calls": tool_calls,
            "denials": denials,
            "tokens": tokens,
            "cost_microusd": cost_microusd,
            "wall_time_s": wall_time_s,
            "mutations": mutations,
        }
        return Usage(
            **{name: _saturated(self.value_of(name), name, amount) for name, amount in added.items()}
        )

    def with_all(self, other: Usage) -> Usage:
        """Return the counters with all of `other` added (a run's usage onto the lifetime's)."""
        return self.plus(**{name: other.value_of(name) for name in COUNTERS})

    def value_of(self, name: str) -> int:
        """Return the counter called `name`.

        Raises:
            KeyError: no such counter.
        """
        if name not in COUNTERS:
            raise KeyError(name)
        value: int = getattr(self, name)
        return value

    def to_json(self) -> JsonObject:
        """Return all seven counters as a JSON object of integers."""
        return {name: self.value_of(name) for name in COUNTERS}

    @classmethod
    def from_json(cls, value: Mapping[str, JsonValue]) -> Usage:
        """Read counters; absent ones are 0.

        Raises:
            ValueError: a counter is unknown, no integer, negative or too large.
        """
        counters: dict[str, int] = {}
        for name, count in value.items():
            if name not in COUNTERS:
                raise ValueError(f"`{name}` is not a usage counter")
            if isinstance(count, bool) or not isinstance(count, int):
                raise ValueError(f"counter `{name}` is not an integer")  # noqa: TRY004  # see __post_init__
            counters[name] = count
        return cls(**counters)


COUNTERS: tuple[str, ...] = tuple(field.name for field in fields(Usage))
"""The names of the counters, in the order of the Cedar schema."""


def _saturated(current: int, name: str, amount: int) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int):  # pyright: ignore[reportUnnecessaryIsInstance]  # an embedder may be untyped
        raise ValueError(f"amount for `{name}` is not an integer")  # noqa: TRY004  # see __post_init__
    if amount < 0:
        raise ValueError(f"amount for `{name}` is negative: counters never go back")
    return min(current + amount, COUNTER_LIMIT)
