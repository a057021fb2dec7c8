"""Authorize and record durably from several processes: on one store, and each on a store of its own.

Run: `python benchmarks/bench_processes.py --help`.

What is compared, in rounds one after the other
1. `one row`: each process inserts one row of the same bytes and commits it by itself, on one file for all.
2. `one store`: each process authorizes a tool call, compiled engine and 50 rules, on one store for all.
3. `own stores`: the same, each process on a store of its own.

Throughput is all operations over the time from the common start to the end of the last process.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import bench_gate
from bare_append import Alone, OneTable

from remit.engine.checked import CheckedEngine

SUBJECTS = ("one row", "one store", "own stores")


class Row:
    """One row a call, in a table that another process may have made."""

    def __init__(self, file: Path, rows: Path) -> None:
        self._alone = Alone(file, bench_gate.recorded_rows(rows), OneTable)
        self.call = self._alone.call

    def settle(self) -> None:
        """Nothing is left open."""

    def close(self) -> None:
        self._alone.close()


def subject(name: str, folder: Path, number: int) -> Any:
    if name == "one row":
        return Row(folder / "row.db", folder / f"rows-{number}")
    image = bench_gate.policy_image()
    engine = CheckedEngine(image, sample=bench_gate.SAMPLE, on_divergence=bench_gate.diverged)
    return bench_gate.Gated(folder / ("store" if name == "one store" else f"store-{number}"), engine, image)


def work(name: str, folder: Path, number: int, callers: int, operations: int) -> None:
    """Be one process: a round for each line on standard input, its result on standard output."""
    made = subject(name, folder, number)
    bench_gate.run_threads(made, callers, max(callers, operations // 10), bench_gate.Sample())
    made.settle()
    print("ready", flush=True)
    for _ in sys.stdin:
        sample = bench_gate.Sample()
        bench_gate.run_threads(made, callers, operations, sample)
        count = len(sample.latencies_us)
        print(
            json.dumps(
                {
                    "count": count,
                    "elapsed_us": sample.wall_us[0] * count,
                    "cpu_us": sample.cpu_us[0] * count,
                    "p50_us": sample.quantile_us(0.5),
                    "p99_us": sample.quantile_us(0.99),
                }
            ),
            flush=True,
        )
        made.settle()
        print("ready", flush=True)
    made.close()


def measure(
    name: str, folder: Path, processes: int, callers: int, *, operations: int, rounds: int
) -> list[list[dict[str, float]]]:
    """Return, for each round, what each process found."""
    command = [sys.executable, __file__, "--be", name, str(folder)]
    numbers = [str(callers), str(max(callers, operations // processes))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([*command, str(n), *numbers], **pipes) for n in range(processes)]
    try:
        found = []
        for _ in range(rounds):
            for child in children:
                assert child.stdout.readline() == "ready\n"
            for child in children:
                child.stdin.write("go\n")
                child.stdin.flush()
            found.append([json.loads(child.stdout.readline()) for child in children])
        return found
    finally:
        for child in children:
            child.stdin.close()
        for child in children:
            child.wait(60)


HEAD = (
    "processes x callers  subject      wall us/op  (min-max)       cpu us/op  p50 us   p99 us      n   ratio"
)


def line(what: str, name: str, rounds: list[list[dict[str, float]]], bare: float) -> tuple[str, float]:
    walls, cpus = [], []
    for found in rounds:
        count = sum(process["count"] for process in found)
        walls.append(max(process["elapsed_us"] for process in found) / count)
        cpus.append(sum(process["cpu_us"] for process in found) / count)
    wall = statistics.median(walls)
    each = [process for found in rounds for process in found]
    spread = f"({min(walls):.0f}-{max(walls):.0f})"
    text = (
        f"{what:<20} {name:<12} {wall:>10.0f}  {spread:<15} {statistics.median(cpus):>9.0f}"
        f" {statistics.median(p['p50_us'] for p in each):>7.0f}"
        f" {statistics.median(p['p99_us'] for p in each):>8.0f}"
        f" {sum(int(p['count']) for p in each):>6} {wall / (bare or wall):>7.2f}"
    )
    return text, wall


def main() -> None:
    if sys.argv[1:2] == ["--be"]:
        name, folder, number, callers, operations = sys.argv[2:]
        work(name, Path(folder), int(number), int(callers), int(operations))
        return
    parser = argparse.ArgumentParser(description="authorize and record from several processes")
    parser.add_argument("--operations", type=int, default=512, help="operations a round, over all processes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--callers", type=int, nargs="*", default=[1, 8], help="threads in each process")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    print(HEAD)
    for processes in given.processes:
        for callers in given.callers:
            bare = 0.0
            for name in SUBJECTS:
                with tempfile.TemporaryDirectory() as folder:
                    rounds = measure(
                        name,
                        Path(folder),
                        processes,
                        callers,
                        operations=given.operations,
                        rounds=given.rounds,
                    )
                text, wall = line(f"{processes} x {callers}", name, rounds, bare)
                bare = bare or wall
                print(text, flush=True)


if __name__ == "__main__":
    main()
