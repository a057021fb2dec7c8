"""What a peer's module gives: a way to make the engine's own request, and a way to decide it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.workload import Asked, Value

Formed = TypeVar("Formed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Generic[Formed]):
    """A peer that has loaded its policies.

    Both steps count as the cost of a decision, as every request in service is a new one. They are apart so
    that the part which is only a matter of form can be shown.

    Args:
        form: makes the engine's own request from the neutral one: plain values, nothing that the engine
            would otherwise do while it decides.
        decide: answers it; true is allow.
    """

    form: Callable[[Asked], Formed]
    decide: Callable[[Formed], bool]

    def answer(self, asked: Asked) -> bool:
        """Form and decide."""
        return self.decide(self.form(asked))


def flat(asked: Asked) -> dict[str, Value]:
    """Return the request as one mapping from the names of fields to values."""
    values: dict[str, Value] = {"action": asked.action}
    for name, value in asked.principal[2].items():
        values["principal." + name] = value
    for name, value in asked.input.items():
        values["input." + name] = value
    for name, value in asked.usage.items():
        values["usage." + name] = value
    return values


def nested(asked: Asked) -> dict[str, object]:
    """Return the request as a mapping of mappings."""
    return {
        "action": asked.action,
        "principal": asked.principal[2],
        "resource": asked.resource[2],
        "input": asked.input,
        "usage": asked.usage,
    }
