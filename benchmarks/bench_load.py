"""What it takes to load rules: compiled from a document, proven, and from the cache; each in its own process.

Run: `python benchmarks/bench_load.py [RULES …]`; the default is 50, 500, 5000 and 10000.
`compile` is from a document to a policy image; `cold` from there to a proven engine, the load-time comparison
included; `cached` the same from what was saved. `open` is `Runtime.open` on a new store, `again` the same in
another process, and `first` the first decision after that, which builds what was left until asked.
Memory is resident, above what the process held before, with both engines there; `peak` is the most it was.
Times are CPU time of one process, the least of three: other work on the machine counts little then.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TOOLS = 20
ROUNDS = 3
SIZES = (50, 500, 5_000, 10_000)
IMPORTS = 20
PARAMETERS = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "currency": {"type": "string"}},
    "required": ["amount", "currency"],
    "additionalProperties": False,
}


def fields(count: int) -> dict[str, Any]:
    """Return a document's fields with so many rules: one in ten forbids on all tools, others permit one."""
    rules: list[dict[str, Any]] = []
    for n in range(count):
        rule: dict[str, Any] = {"id": f"r{n}", "because": f"rule {n}"}
        if n % 10 == 4:
            rule |= {"effect": "forbid", "on": ["call_tool"], "when": f"context.usage.tokens > {10**6 + n}"}
        else:
            condition = f'context.input.amount < {500 + n} && context.input.currency == "EUR"'
            rule |= {"effect": "permit", "on": [f"tool{n % TOOLS}"], "when": condition}
        rules.append(rule)
    governance = {
        "attributes": {"jurisdiction": "EU", "risk_tier": "limited", "owner": "finance"},
        "caller": {"type": "object", "properties": {}, "required": []},
        "activation": [],
        "mutation": [],
        "termination": [],
        "rules": rules,
    }
    tools = [
        {
            "name": f"tool{n}",
            "description": "A tool.",
            "parameters": PARAMETERS,
            "effect": "write",
            "source": {"embedder": True},
            "rules": [],
        }
        for n in range(TOOLS)
    ]
    backend = {
        "name": "script",
        "adapter": "scripted",
        "provider": "local",
        "region": "EU",
        "model": "transcript",
        "config": {"script": [{"say": "done"}]},
    }
    return {
        "memory": {"blocks": []},
        "governance": governance,
        "capabilities": {"instructions": "x", "tools": tools, "backends": [backend], "dispatch": []},
        "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
    }


def resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # not a path of ours
        return int(file.read().split()[1]) * 4096 / 1e6


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def functions() -> list[Any]:
    made: list[Any] = []
    for n in range(TOOLS):

        def one(amount: int, currency: str) -> str:
            """Do nothing with an amount."""
            return f"{amount} {currency}"

        one.__name__ = f"tool{n}"
        made.append(one)
    return made


def opened(document: Any, store: str) -> dict[str, float]:
    """Open a runtime and take one decision."""
    from remit import Caller, Runtime

    before, started = resident_mb(), time.process_time()
    runtime = Runtime.open(document, store=store, tools=functions())
    loaded = time.process_time() - started
    assert runtime.engine.startswith("compiled "), runtime.engine
    held = resident_mb() - before
    runtime.suspend(by=Caller(id="ann"), reason="a question")
    first = time.process_time() - started - loaded
    peak = peak_mb() - before
    runtime.close()
    return {"s": loaded, "first_s": first, "mb": held, "peak_mb": peak}


def measure(what: str, count: int, store: str) -> dict[str, float]:
    """Measure one thing, for the parent process."""
    from remit.document.revision import genesis

    document = genesis(fields(count), nonce="0" * 32)
    small = genesis(fields(5), nonce="1" * 32)
    if what == "open":
        with tempfile.TemporaryDirectory() as folder:
            opened(small, folder)
        return opened(document, store)
    from remit.engine.checked import CheckedEngine
    from remit.policy.compile import compile_governance

    CheckedEngine(compile_governance(small), sample=1000, on_divergence=print)
    before, started = resident_mb(), time.process_time()
    image = compile_governance(document)
    compiled = time.process_time() - started
    engine = CheckedEngine(image, sample=1000, on_divergence=print)
    cold = time.process_time() - started - compiled
    assert engine.name.startswith("compiled ")
    saved = engine.save()
    assert saved is not None
    size, held, peak = len(saved), resident_mb() - before, peak_mb() - before
    started = time.process_time()
    CheckedEngine(image, sample=1000, on_divergence=print, saved=saved)
    cached = time.process_time() - started
    return {
        "compile_s": compiled,
        "cold_s": cold,
        "cached_s": cached,
        "mb": held,
        "peak_mb": peak,
        "probes": engine.probes,
        "saved_mb": size / 1e6,
    }


def child(*arguments: object) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def least(rounds: list[dict[str, float]], name: str) -> float:
    return min(one[name] for one in rounds)


def import_ms() -> float:
    """Return the least wall time of `import remit`, beyond that of an empty program."""
    times: dict[str, list[float]] = {"pass": [], "import remit": []}
    for _ in range(IMPORTS):
        for program, spent in times.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            spent.append(time.perf_counter() - started)
    return (min(times["import remit"]) - min(times["pass"])) * 1e3


def main(sizes: tuple[int, ...]) -> None:
    print(f"import remit: {import_ms():.0f} ms")
    print(
        f"{'rules':>6} {'compile s':>9} {'cold s':>7} {'cached s':>8} {'probes':>6} {'MB':>5} {'peak':>5} "
        f"{'open s':>7} {'again s':>7} {'first ms':>8} {'MB':>5} {'saved MB':>8}"
    )
    for count in sizes:
        engines = [child("engine", count, "-") for _ in range(ROUNDS)]
        fresh: list[dict[str, float]] = []
        again: list[dict[str, float]] = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                store = str(Path(folder) / "store")
                fresh.append(child("open", count, store))
                again.append(child("open", count, store))
        print(
            f"{count:>6} {least(engines, 'compile_s'):>9.2f} {least(engines, 'cold_s'):>7.2f} "
            f"{least(engines, 'cached_s'):>8.3f} {engines[0]['probes']:>6.0f} {least(engines, 'mb'):>5.0f} "
            f"{least(engines, 'peak_mb'):>5.0f} {least(fresh, 's'):>7.2f} {least(again, 's'):>7.3f} "
            f"{least(again, 'first_s') * 1e3:>8.1f} {least(again, 'mb'):>5.0f} {engines[0]['saved_mb']:>8.2f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    else:
        main(tuple(int(text) for text in sys.argv[1:]) or SIZES)
