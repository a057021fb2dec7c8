"""Both engines against cedarpy's own handles and against hand-written `if`s, in one run and one process.

Run: `python benchmarks/bench_decide.py`, or with sizes: `… 5 50`. The workload is that of
`make bench-peers`. Requests take turns of 20, in CPU time, from plain values to the answer; the clock's own
cost is taken off. A ratio is a median divided by that of cedarpy's handles; in brackets are the quartiles.
Ratios of one run can be compared, times of different runs cannot.

`new` requests have never been decided before, though others with the same action have; `known` ones come back
for the tenth time. `cold` has one decision just after cedarpy has been through all rules and emptied the
processor's caches; `warm` has twenty in a row, mostly of twenty tools; `hot` has the same twenty again.
`formed` leaves out the making of the request.

How a decision grows with the rules is measured with the first and the last size in turn, on requests that
were made already: when their answers are met for the first time, and when they come back.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence  # noqa: TC003  # a script: one list of imports
from dataclasses import replace
from typing import Any

from peers import cedarpy_peer, floor_peer, remit_cedar_peer, remit_compiled_peer
from peers.oracle import Oracle
from peers.remit_form import image_of, request_of
from peers.workload import make_requests, make_workload

from remit.engine.cedar import CedarEngine
from remit.engine.policy_index import PolicyIndex

SIZES = (5, 50, 500, 5_000)
TURN = 20
COLD = 5
COMPARED = 400
TIMED = {5: 1_000, 50: 1_000, 500: 600, 5_000: 300}
AGAIN = 10
GROWTH = 600
_clock = time.process_time_ns
OVERHEAD = int(statistics.median(-(_clock() - _clock()) for _ in range(2_000)))

COLUMNS = {
    "new": "`cedar`, new",
    "known": "`cedar`, known",
    "warm": "compiled, warm",
    "cold": "compiled, cold",
    "warm formed": "compiled, warm, formed",
    "cold formed": "compiled, cold, formed",
    "hot formed": "compiled, hot, formed",
    "floor": "`if` table",
    "form": "forming",
}
RANKED = ("warm", "warm formed", "hot formed")


class Run:
    """One size.

    Args:
        size: number of rules.
    """

    def __init__(self, size: int) -> None:
        workload, oracle = make_workload(size), Oracle(make_workload(size))
        self._handles, self._floor = cedarpy_peer.load(workload), floor_peer.load(workload)
        self._cedar, self._compiled = remit_cedar_peer.load(workload), remit_compiled_peer.load(workload)
        requests = make_requests(size, COMPARED + TIMED[size])
        self._timed = requests[COMPARED:]
        self._times: dict[str, list[int]] = {name: [] for name in ("handles", *COLUMNS)}
        for asked in requests[:COMPARED]:
            for peer in (self._handles, self._floor, self._cedar, self._compiled):
                assert peer.answer(asked) is oracle.decide(asked)

    def measure(self) -> None:
        """Take the times of everything, turn by turn."""
        turns = [self._timed[start : start + TURN] for start in range(0, len(self._timed), TURN)]
        for number, turn in enumerate(turns):
            # Others than those of the same turn, whose code and data would still be at hand.
            formed = [request_of(asked) for asked in turns[number - len(turns) // 2]]
            self._take("handles", self._handles.answer, turn)
            self._take("new", self._cedar.answer, turn)
            self._take("warm", self._compiled.answer, turn)
            self._take("floor", self._floor.answer, turn)
            self._take("warm formed", self._compiled.decide, formed)
            self._take("hot formed", self._compiled.decide, formed)
            self._take("form", request_of, turn)
            for asked, request in zip(turn[:COLD], formed[:COLD], strict=True):
                self._handles.answer(asked)
                self._take("cold", self._compiled.answer, [asked])
                self._handles.answer(asked)
                self._take("cold formed", self._compiled.decide, [request])
        for _ in range(AGAIN - 2):
            for asked in self._timed:
                self._cedar.answer(asked)
        for turn in turns:
            self._handles.answer(turn[0])
            self._take("known", self._cedar.answer, turn)

    def _take(self, name: str, call: Callable[[Any], object], given: Sequence[Any]) -> None:
        for one in given:
            began = _clock()
            call(one)
            self._times[name].append(_clock() - began - OVERHEAD)

    def row(self) -> list[str]:
        """Return the ratios and what they are ratios to."""
        base = statistics.median(self._times["handles"])
        floor = statistics.median(self._times["floor"])
        cells = [f"{base / 1e3:.1f}", f"{len(self._timed):,}"]
        for name in COLUMNS:
            low, middle, high = (each / base for each in statistics.quantiles(self._times[name], n=4))
            cells.append(f"{middle:.2g} ({low:.2g}–{high:.2g})")
        cells += [f"{statistics.median(self._times[name]) / floor:.1f}" for name in RANKED]
        return cells


def growth(sizes: Sequence[int], flush: int = 4) -> None:
    """Print how much longer a compiled decision takes under the last size than under the first, in one run.

    Args:
        sizes: the numbers of rules.
        flush: decisions of cedarpy's handles under the last size before each turn, which empty the caches.
    """
    ends = (sizes[0], sizes[-1])
    peers = {size: remit_compiled_peer.load(make_workload(size)) for size in ends}
    handles = cedarpy_peer.load(make_workload(ends[1]))
    requests = {size: make_requests(size, COMPARED + GROWTH) for size in ends}
    for size, peer in peers.items():
        for asked in requests[size][:COMPARED]:
            peer.answer(asked)
    for which in ("met for the first time", "that come back"):
        times: dict[tuple[int, bool], list[int]] = {(size, hot): [] for size in ends for hot in (False, True)}
        for start in range(COMPARED, COMPARED + GROWTH, TURN):
            for size, peer in peers.items():
                for asked in requests[ends[1]][start : start + flush]:
                    handles.answer(asked)
                formed = [request_of(asked) for asked in requests[size][start : start + TURN]]
                for hot in (False, True):
                    for request in formed:
                        began = _clock()
                        peer.decide(request)
                        times[size, hot].append(_clock() - began - OVERHEAD)
        took = {key: statistics.median(found) / 1e3 for key, found in times.items()}
        print(
            f"answers {which}, from {ends[0]:,} to {ends[1]:,} rules: "
            + "; ".join(
                f"{name} {took[ends[0], hot]:.2f} to {took[ends[1], hot]:.2f} µs, "
                f"{took[ends[1], hot] / took[ends[0], hot]:.1f} times"
                for name, hot in (("warm", False), ("hot", True))
            )
        )


def by_arguments(fields: Sequence[int] = (30, 3_000)) -> None:
    """Print what a compiled decision takes when no policy reads most of its arguments, however many."""
    workload = make_workload(50)
    peer = remit_compiled_peer.load(workload)
    asked = next(asked for asked in make_requests(50, 100) if asked.action == "tool0")
    found = {}
    for count in fields:
        extra: Any = {f"k{n}": {"name": f"item {n}", "qty": n, "tags": ["a", "b"]} for n in range(count)}
        request = request_of(replace(asked, input=asked.input | {"extra": extra}))
        peer.decide(request)
        times = []
        for _ in range(2_000):
            began = _clock()
            peer.decide(request)
            times.append(_clock() - began - OVERHEAD)
        found[len(json.dumps(request.context))] = statistics.median(times) / 1e3
    (small, first), (large, second) = found.items()
    print(
        f"compiled, warm, formed, 50 rules: {first:.2f} µs with {small / 1e3:.0f} KB of arguments, "
        f"{second:.2f} µs with {large / 1e3:.0f} KB: {second / first:.2f} times"
    )


def resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # not a path of ours
        return int(file.read().split()[1]) * 4096 / 1e6


def load(size: int) -> None:
    """Print what loading the Cedar engine costs, with and without an index, for the parent process."""
    image = image_of(make_workload(size))
    requests = [request_of(asked) for asked in make_requests(size, 2_000)]
    CedarEngine(image_of(make_workload(5))).decide(requests[0])
    before, start = resident_mb(), _clock()
    engine = CedarEngine(image)
    loaded, held = _clock() - start, resident_mb() - before
    for request in requests:
        engine.decide(request)
    used = resident_mb() - before
    kept = PolicyIndex.of(image).to_bytes()
    start = _clock()
    CedarEngine(image, index=PolicyIndex.from_bytes(kept))
    indexed = _clock() - start
    print(
        json.dumps(
            {"load": loaded / 1e9, "mb": held, "used": used, "indexed": indexed / 1e9, "bytes": len(kept)}
        )
    )


def main(sizes: Sequence[int]) -> None:
    names = ("rules", "handles µs", "n", *COLUMNS.values(), *(f"{COLUMNS[name]} ÷ `if`" for name in RANKED))
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for size in sizes:
        run = Run(size)
        run.measure()
        print("| " + " | ".join([f"{size:,}", *run.row()]) + " |", flush=True)
    growth(sizes)
    by_arguments()
    for size in sizes:
        command = [sys.executable, __file__, "--load", str(size)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(
            f"load {size:,}: {found['load']:.3f} s, +{found['mb']:.0f} MB, after 2,000 requests "
            f"+{found['used']:.0f} MB; with an index of {found['bytes']:,} bytes {found['indexed']:.3f} s"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        load(int(sys.argv[2]))
    else:
        main([int(size) for size in sys.argv[1:]] or SIZES)
