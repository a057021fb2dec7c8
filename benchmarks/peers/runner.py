"""Take turns: every peer decides a small chunk, then the next, so that the machine's noise hits all alike."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from peers.catalogue import BASE_LINE
from peers.environments import make_environment
from peers.findings import LeftOut, Measured, Samples
from peers.oracle import Oracle
from peers.process import WorkerError, WorkerProcess
from peers.workload import make_requests, make_workload

if TYPE_CHECKING:
    from pathlib import Path

    from peers.catalogue import Entry
    from peers.environments import Interpreter

LOAD_S = 90.0
COMPARE_S = 12.0
CHUNK = 50
CHUNK_S = 0.05
ANSWER_S = 60.0
DISAGREES = "decides otherwise than the workload says"


@dataclass(slots=True, kw_only=True)
class _Turn:
    """A worker that takes part at one size, and what is known of it so far."""

    worker: WorkerProcess
    load: dict[str, object]
    compared: int
    resident_kb: int
    samples: Samples


class Runner:
    """Measure peers at sizes.

    Args:
        entries: who; the base line must be among them.
        interpreter: for every environment.
        environments: the folder that holds them.
        rounds: turns at each size, at most.
        requests: how many decisions are compared before any is timed.
        limit_s: wall time for all sizes; when it is short, there are fewer rounds.
    """

    def __init__(
        self,
        *,
        entries: tuple[Entry, ...],
        interpreter: Interpreter,
        environments: Path,
        rounds: int,
        requests: int,
        limit_s: float,
    ) -> None:
        self._entries = entries
        self._interpreter = interpreter
        self._environments = environments
        self._rounds = rounds
        self._requests = requests
        self._deadline = time.monotonic() + limit_s
        self._pythons: dict[str, str] = {}
        self._turns: dict[str, _Turn] = {}
        self._missing: dict[str, str] = {}
        self.measured: list[Measured] = []
        self.left_out: list[LeftOut] = []
        self.versions: dict[str, str] = {}
        self.spoilt: dict[str, dict[str, str]] = {}

    def run(self, sizes: tuple[int, ...]) -> None:
        """Measure at each size, and end every worker however it ends."""
        self._install()
        for number, size in enumerate(sizes):
            left = self._deadline - time.monotonic()
            until = time.monotonic() + max(left, 1.0) / (len(sizes) - number)
            try:
                self._prepare(size)
                self._take_turns(size, until)
                self._collect(size)
            finally:
                for turn in self._turns.values():
                    turn.worker.end()
                self._turns.clear()

    def _install(self) -> None:
        for entry in self._entries:
            _say(f"environment of {entry.name}")
            try:
                self._pythons[entry.name] = make_environment(
                    entry.environment, self._interpreter, self._environments
                )
            except RuntimeError as error:
                self._missing[entry.name] = f"cannot be installed: {error}"

    def _prepare(self, size: int) -> None:
        oracle, requests = Oracle(make_workload(size)), make_requests(size, self._requests)
        expected = "".join("1" if oracle.decide(asked) else "0" for asked in requests)
        for entry in self._entries:
            if entry.name in self._missing:
                self._leave_out(entry, size, self._missing[entry.name])
                continue
            _say(f"{size} rules: {entry.name} loads and is compared")
            worker: WorkerProcess | None = None
            try:
                worker = WorkerProcess(entry, self._pythons[entry.name])
                self.versions[entry.name] = ", ".join(worker.versions)
                if entry.name not in self.spoilt:
                    self.spoilt[entry.name] = self._probe(entry)
                load = worker.ask("load", LOAD_S, size=size)
                answer = worker.ask("answers", ANSWER_S, requests=self._requests, limit_s=COMPARE_S)
                said = str(answer["answers"])
                _hold(said, expected)
            except WorkerError as error:
                self._leave_out(entry, size, _reason(entry, str(error)))
                if worker is not None:
                    worker.end()
                continue
            except KeyboardInterrupt:
                if worker is not None:
                    worker.end()
                raise
            self._turns[entry.name] = _Turn(
                worker=worker,
                load=load,
                compared=len(said),
                resident_kb=cast("int", answer["resident_kb"]),
                samples=Samples(),
            )

    def _probe(self, entry: Entry) -> dict[str, str]:
        """Ask about spoilt requests in a process of its own, so that nothing of it is in the measurements."""
        worker = WorkerProcess(entry, self._pythons[entry.name])
        try:
            return cast("dict[str, str]", worker.ask("probe", LOAD_S)["said"])
        finally:
            worker.end()

    def _take_turns(self, size: int, until: float) -> None:
        for number in range(self._rounds):
            if number and time.monotonic() > until:
                _say(f"{size} rules: time is up after {number} rounds")
                return
            if number % 10 == 0:
                _say(f"{size} rules: round {number + 1} of {self._rounds}")
            names = list(self._turns)
            shift = number % max(len(names), 1)
            for name in names[shift:] + names[:shift]:
                turn = self._turns[name]
                start = number * CHUNK
                try:
                    found = turn.worker.ask("chunk", ANSWER_S, start=start, requests=CHUNK, limit_s=CHUNK_S)
                except WorkerError as error:
                    self._leave_out(turn.worker.entry, size, str(error))
                    turn.worker.end()
                    del self._turns[name]
                    continue
                turn.samples.add(number, cast("list[int]", found["ns"]), cast("list[int]", found["form_ns"]))

    def _collect(self, size: int) -> None:
        for turn in self._turns.values():
            if not turn.samples.times_ns:
                self._leave_out(turn.worker.entry, size, "no round was finished in time")
                continue
            # Being ready for every action is loading; the decisions made on the way are not.
            warmed_s = cast("int", turn.load["warmed"]) * turn.samples.p50_us() / 1e6
            ready_s = max(cast("float", turn.load["warm_s"]) - warmed_s, 0.0)
            self.measured.append(
                Measured(
                    entry=turn.worker.entry,
                    size=size,
                    compared=turn.compared,
                    load_s=cast("float", turn.load["load_s"]) + ready_s,
                    resident_mb=turn.resident_kb / 1024,
                    samples=turn.samples,
                )
            )

    def _leave_out(self, entry: Entry, size: int, reason: str) -> None:
        _say(f"{size} rules: {entry.name} is left out: {reason}")
        self.left_out.append(LeftOut(entry=entry, size=size, reason=reason))
        if entry.name == BASE_LINE:
            raise RuntimeError(f"the base line `{BASE_LINE}` cannot be measured at {size} rules: {reason}")


def _hold(said: str, expected: str) -> None:
    """Raise if a peer decides otherwise than the workload says; it may have run out of time for the last."""
    wrong = sum(a != b for a, b in zip(said, expected, strict=False))
    if wrong:
        raise WorkerError(f"{DISAGREES} in {wrong} of {len(said)} requests")


def _reason(entry: Entry, text: str) -> str:
    if entry.module and text.startswith("ModuleNotFoundError"):
        return f"this checkout has no `{entry.module}`"
    return text


def _say(text: str) -> None:
    print(f"bench-peers: {text}", file=sys.stderr, flush=True)
