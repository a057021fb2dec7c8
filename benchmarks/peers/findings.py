"""What a run found, as values."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peers.catalogue import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The timed decisions of one peer at one size.

    Args:
        times_ns: CPU time of each decision, the making of its request included.
        forms_ns: CPU time of making the requests alone.
        rounds_ns: median of `times_ns` by round.
    """

    times_ns: list[int] = field(default_factory=list[int])
    forms_ns: list[int] = field(default_factory=list[int])
    rounds_ns: dict[int, float] = field(default_factory=dict[int, float])

    def add(self, number: int, times_ns: list[int], forms_ns: list[int]) -> None:
        """Add what one round found."""
        self.times_ns.extend(times_ns)
        self.forms_ns.extend(forms_ns)
        self.rounds_ns[number] = statistics.median(times_ns)

    def p50_us(self) -> float:
        """Return the median of a decision in microseconds."""
        return statistics.median(self.times_ns) / 1000

    def p99_us(self) -> float:
        """Return the 99th percentile of a decision in microseconds."""
        ordered = sorted(self.times_ns)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] / 1000

    def form_us(self) -> float:
        """Return the median of making a request in microseconds."""
        return statistics.median(self.forms_ns) / 1000

    def ratio(self, base: Samples) -> float:
        """Return the median as a multiple of another peer's."""
        return self.p50_us() / base.p50_us()

    def spread(self, base: Samples) -> tuple[float, float]:
        """Return the quartiles over the rounds of the ratio of medians within a round."""
        both = self.rounds_ns.keys() & base.rounds_ns.keys()
        ratios = sorted(self.rounds_ns[n] / base.rounds_ns[n] for n in both)
        if not ratios:
            return 0.0, 0.0
        return ratios[len(ratios) // 4], ratios[len(ratios) * 3 // 4]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One peer at one size.

    Args:
        entry: who.
        size: number of rules.
        compared: requests that it decided as the workload says, before anything was timed.
        load_s: CPU time to load the rules and to be ready for every action, imports apart.
        resident_mb: memory of its process, the interpreter included.
        samples: its decisions.
    """

    entry: Entry
    size: int
    compared: int
    load_s: float
    resident_mb: float
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One peer that is not in the ranking at a size, and why."""

    entry: Entry
    size: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A whole run.

    Args:
        command: what made it.
        machine: what it ran on.
        sizes: numbers of rules.
        rounds: turns that each peer took at a size, at most.
        versions: of the packages, by name of the peer.
        spoilt: what each peer does with spoilt requests, by its name.
        measured: in the order of the catalogue, by size.
        left_out: likewise.
    """

    command: str
    machine: str
    sizes: tuple[int, ...]
    rounds: int
    versions: dict[str, str]
    spoilt: dict[str, dict[str, str]]
    measured: tuple[Measured, ...]
    left_out: tuple[LeftOut, ...]

    def at(self, name: str, size: int) -> Measured | None:
        """Return what was measured of a peer at a size."""
        return next((m for m in self.measured if m.entry.name == name and m.size == size), None)
