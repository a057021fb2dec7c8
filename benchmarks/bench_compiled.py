"""Compiled policies against cedarpy's own handles and against hand-written `if`s, in one run.

Run: `python benchmarks/bench_compiled.py`. Rounds are interleaved in one process and in CPU time; a table of
ratios of medians is printed, then growth, argument size, load time and memory (each size in its own process).
Absolute times depend on the machine and its load; compare ratios.

`cold` has one decision in each round, just after cedarpy has been through its own data and emptied the
processor's caches; `warm` has many in a row.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench_engine import Handles, policies, request, schema

from remit.engine.compiled.engine import CompiledEngine
from remit.engine.image import PolicyImage, image_digest
from remit.engine.request import Request

SIZES = (5, 50, 500, 5_000)
TARGETS = {5: 0.045, 50: 0.035, 500: 0.011, 5_000: 0.001}
WARM = 20
Decide = Callable[[Request], object]


def image(count: int) -> PolicyImage:
    text = policies(count)
    return PolicyImage(
        policies=text, schema=schema(), schema_text="", rules={}, digest=image_digest(text, schema())
    )


def written_by_hand(count: int) -> Decide:
    """What a person would write in Python for these rules: no checks, decision only, one function a tool."""
    lines: dict[int, list[str]] = {}
    for n in range(count):
        if n % 10 != 4:
            lines.setdefault(n % 20, []).append(
                f"    if amount < {500 + n} and currency == 'EUR': return True"
            )
    space: dict[str, Any] = {}
    forbids = [10**6 + n for n in range(count) if n % 10 == 4]
    for tool, body in lines.items():
        source = "\n".join([f"def tool{tool}(amount, currency):", *body, "    return False"])
        exec(source, space)  # the floor is code, too
    tools = {f"tool{tool}": space[f"tool{tool}"] for tool in lines}
    lowest = min(forbids, default=2**63)

    def decide(asked: Request) -> bool:
        if asked.context["usage"]["tokens"] > lowest:  # type: ignore[index, call-overload, operator]  # as a person would
            return False
        given: Any = asked.context["input"]
        return tools[asked.action](given["amount"], given["currency"])

    return decide


def medians(asked: Request, rounds: int, *timed: tuple[Decide, int]) -> list[float]:
    """Return the median CPU time of one call in nanoseconds, rounds interleaved."""
    times: list[list[float]] = [[] for _ in timed]
    for _ in range(rounds):
        for (decide, calls), spent in zip(timed, times, strict=True):
            start = time.process_time_ns()
            for _ in range(calls):
                decide(asked)
            spent.append((time.process_time_ns() - start) / calls)
    return [statistics.median(spent) for spent in times]


def resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # not a path of ours
        return int(file.read().split()[1]) * 4096 / 1e6


def load(count: int) -> None:
    """Print load time and memory of one size, for the parent process."""
    on = image(count)
    CompiledEngine(image(5)).decide(request())
    before, start = resident_mb(), time.process_time()
    engine = CompiledEngine(on)
    loaded = time.process_time() - start
    engine.decide(request())
    first = time.process_time() - start - loaded
    print(json.dumps({"load_s": loaded, "first_s": first, "mb": resident_mb() - before}))


def long_request(size: int) -> Request:
    asked = request()
    given: Any = asked.context["input"]
    lines = [{"name": f"line {n}", "count": n, "tags": ["a", "b", "c"]} for n in range(size // 60)]
    return Request(
        principal=asked.principal,
        action=asked.action,
        resource=asked.resource,
        context={**asked.context, "input": {**given, "memo": "x" * (size // 10), "lines": lines}},
        entities=asked.entities,
    )


def main() -> None:
    print(
        f"{'rules':>6} {'handles µs':>11} {'cold':>8} {'warm':>8} {'target':>7} {'by hand':>8} {'warm µs':>8}"
    )
    warm_us: dict[int, float] = {}
    cold_us: dict[int, float] = {}
    asked = request()
    for count in SIZES:
        engine, handles, hand = CompiledEngine(image(count)), Handles(policies(count)), written_by_hand(count)
        assert engine.decide(asked).allowed is handles.decide(asked) is hand(asked) is True
        rounds = 100 if count >= 5_000 else 400
        theirs, cold, warm, floor = medians(
            asked, rounds, (handles.decide, 1), (engine.decide, 1), (engine.decide, WARM), (hand, WARM)
        )
        warm_us[count], cold_us[count] = warm / 1e3, cold / 1e3
        print(
            f"{count:>6} {theirs / 1e3:>11.1f} {cold / theirs:>8.5f} {warm / theirs:>8.5f} "
            f"{TARGETS[count]:>7} {floor / theirs:>8.5f} {warm / 1e3:>8.2f}"
        )
    first, last = SIZES[0], SIZES[-1]
    warm, cold = warm_us[last] / warm_us[first], cold_us[last] / cold_us[first]
    print(f"growth {first} → {last}: warm {warm:.2f}, cold {cold:.2f}")
    engine = CompiledEngine(image(50))
    small, large = long_request(2_000), long_request(200_000)
    sizes = [len(json.dumps(one.context)) for one in (small, large)]
    times = [medians(one, 300, (engine.decide, WARM))[0] for one in (small, large)]
    print(f"arguments {sizes[0]} → {sizes[1]} bytes: {times[1] / times[0]:.2f}")
    for count in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, str(count)], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        print(
            f"load {count:>5}: {found['load_s']:.2f} s, first decision {found['first_s'] * 1e3:.1f} ms, "
            f"{found['mb']:.0f} MB"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        load(int(sys.argv[1]))
    else:
        main()
