"""Authorize and record durably, against bare durable appends of the same bytes, in one run.

Run: `make bench`, pytest with -s on this file, or `python benchmarks/bench_gate.py --help`.

What is compared
1. The bare appends of `bare_append.py`: `one row` and `one row, own` and `alone` are committed by their
   callers, `grouped` by one thread for all.
2. `ledger`: Remit's own ledger appends the two records of such a call, and nobody decides anything.
3. `stand-in`: `Gate.authorize` of a tool call with an engine that answers at once: decision, intent, permit.
4. `compiled`: the same with the engine that a run gets (`remit.engine.checked`) and 50 rules.
5. `cedar`: the same with the reference engine.

With `--store postgresql://…` all of them run on that server, each in a schema of its own that is dropped at
the end, and the bare appends are those of `bare_append_postgres.py`.

Rounds are interleaved, so that a busy machine is busy for all; a ratio is the median of the rounds' own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import secrets
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import bench_engine
from bare_append import Rows, appenders

from remit.engine.cedar import CedarEngine
from remit.engine.checked import CheckedEngine, Divergence
from remit.engine.image import PolicyImage, RuleInfo, image_digest
from remit.engine.request import Decision
from remit.gate.answers import Ask, Granted
from remit.gate.gate import Gate
from remit.host.location import location_of
from remit.host.stores import opened_at
from remit.permit import redeem
from remit.ports import Batch, Invocation
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

AGENT = "sha256:" + "a" * 64
RUN = "0" * 32
RULES = 50
SAMPLE = 1000
"""As in a run: every 1,000th decision is decided again by the reference engine."""
CALLERS = (1, 32, 128)
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "integer", "description": "in whole euros"},
        "currency": {"type": "string", "enum": ["EUR", "USD"]},
        "memo": {"type": "string"},
        "region": {"type": "string"},
        "count": {"type": "integer"},
    },
    "required": ["amount"],
    "additionalProperties": False,
}


class Clock:
    """The system's clock."""

    def now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())

    def monotonic_s(self) -> float:
        return time.monotonic()


def policy_image(rules: int = RULES) -> PolicyImage:
    text = bench_engine.policies(rules)
    schema = bench_engine.schema()
    infos = {
        f"r{n}": RuleInfo(
            id=f"r{n}",
            effect="forbid" if n % 10 == 4 else "permit",
            because="",
            controls=(),
            obligations=(),
            actions=(),
            pointer="",
            origin="",
            text="",
        )
        for n in range(rules)
    }
    return PolicyImage(
        policies=text, schema=schema, schema_text="", rules=infos, digest=image_digest(text, schema)
    )


class StandInEngine:
    """Answers every request with the same allow: what remains is the path around the engine."""

    name = "stand-in"

    def __init__(self, image: PolicyImage) -> None:
        self._answer = Decision(
            verdict="allow", kind="allowed", reasons=(), errors=(), engine=self.name, image=image.digest
        )

    def decide(self, _: Any) -> Decision:
        return self._answer


def diverged(difference: Divergence) -> None:
    raise AssertionError(difference)


def tool_call(number: int) -> Ask:
    """Ask as a host does: a fresh request, arguments of some 300 bytes."""
    request = bench_engine.request()
    arguments: Any = request.context["input"]
    return Ask(
        request=request,
        revision="sha256:" + "b" * 64,
        step=number,
        content=Invocation(tool="tool1", arguments=arguments, key=f"{number:064x}"),
        effect="call_tool",
        target="tool1",
        parameters=PARAMETERS,
        basis="sha256:" + "c" * 64,
    )


class Gated:
    """One gate on one store."""

    def __init__(self, store: Any, engine: Any, image: PolicyImage) -> None:
        self._store = store
        self._gate = Gate(engine, image, self._store, self._store.control, Clock(), agent=AGENT, run=RUN)
        self._ask = tool_call(1)
        self._granted: list[Any] = []

    def call(self) -> None:
        self._granted.append(self._gate.authorize(self._ask))

    async def acall(self) -> None:
        self._granted.append(await self._gate.aauthorize(self._ask))

    def settle(self) -> None:
        """Redeem every permit and record its outcome, as a host does; not part of what is measured."""
        waiting = []
        for granted in self._granted:
            assert isinstance(granted, Granted), granted
            permit: Any = granted.permit
            redeem(permit, effect="call_tool", target="tool1", digest=granted.content.digest())
            waiting.append(self._store.submit(self._gate._outcome(granted, "ok")))
        wait(waiting)
        self._granted.clear()

    def close(self) -> None:
        self._store.close()


class Appended:
    """One store that is given what the gate would record."""

    def __init__(self, store: Any, batch: Batch) -> None:
        self._store = store
        self._batch = batch

    def call(self) -> None:
        self._store.commit(self._batch, timeout_s=60)

    async def acall(self) -> None:
        await asyncio.wrap_future(self._store.submit(self._batch))

    def settle(self) -> None:
        """Nothing is left open but intents that nobody asks about."""

    def close(self) -> None:
        self._store.close()


class Places:
    """Where the subjects of one measurement lie.

    Args:
        folder: for files.
        server: address of a database, or empty for SQLite.
    """

    def __init__(self, folder: Path, server: str = "") -> None:
        self.folder = folder
        self._server = server
        self._schemas: list[str] = []

    def appenders(self, rows: Rows) -> dict[str, Any]:
        if not self._server:
            return appenders(self.folder, rows)
        from bare_append_postgres import postgres_appenders

        return postgres_appenders(self._address, rows)

    def store(self, name: str) -> Any:
        if not self._server:
            return open_store(self.folder / name)
        os.environ["REMIT_STATE"] = str(self.folder / "state")
        return opened_at(location_of(self._address()))

    def drop(self) -> None:
        if self._schemas:
            import psycopg

            with psycopg.connect(self._server, autocommit=True) as connection:
                for schema in self._schemas:
                    connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())

    def _address(self) -> str:
        self._schemas.append(f"remit_bench_{secrets.token_hex(6)}")
        joint = "&" if "?" in self._server else "?"
        return f"{self._server}{joint}schema={self._schemas[-1]}"


def recorded_rows(folder: Path) -> Rows:
    """Let the gate record one call, and take the rows of it."""
    image = policy_image()
    gated = Gated(open_store(folder), StandInEngine(image), image)
    gated.call()
    gated.close()
    connection = sqlite3.connect(folder / "store.db")
    try:
        leaves = connection.execute("SELECT leaf, kind FROM records ORDER BY idx").fetchall()
        contents = connection.execute("SELECT idx, salt, content FROM contents ORDER BY idx").fetchall()
        note = connection.execute("SELECT note FROM checkpoints ORDER BY number DESC").fetchone()[0]
    finally:
        connection.close()
    return Rows(agent=AGENT, run=RUN, records=leaves, contents=contents, note=note)


def recorded_batch(folder: Path) -> Batch:
    """Return what the gate would give to the ledger for one call."""
    image = policy_image()
    gated = Gated(open_store(folder), StandInEngine(image), image)
    try:
        return next(gated._gate._steps(gated._ask))
    finally:
        gated.close()


@dataclass
class Sample:
    """Rounds of one subject: wall and CPU microseconds an operation, latencies in microseconds."""

    wall_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    latencies_us: list[float] = field(default_factory=list)

    def quantile_us(self, share: float) -> float:
        ordered = sorted(self.latencies_us)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run_threads(subject: Any, callers: int, operations: int, sample: Sample) -> None:
    each = max(1, operations // callers)
    spent: list[list[float]] = [[] for _ in range(callers)]
    start = threading.Barrier(callers + 1)

    def work(times: list[float]) -> None:
        start.wait()
        for _ in range(each):
            began = time.perf_counter()
            subject.call()
            times.append((time.perf_counter() - began) * 1e6)

    threads = [threading.Thread(target=work, args=(times,)) for times in spent]
    for thread in threads:
        thread.start()
    start.wait()
    began, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    note(sample, began, cpu, spent)


def run_tasks(subject: Any, callers: int, operations: int, sample: Sample) -> None:
    each = max(1, operations // callers)
    spent: list[list[float]] = [[] for _ in range(callers)]

    async def work(times: list[float]) -> None:
        for _ in range(each):
            began = time.perf_counter()
            await subject.acall()
            times.append((time.perf_counter() - began) * 1e6)

    async def work_all() -> None:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(times) for times in spent))
        note(sample, began, cpu, spent)

    asyncio.run(work_all())


def note(sample: Sample, began: float, cpu: float, spent: list[list[float]]) -> None:
    count = sum(map(len, spent))
    sample.wall_us.append((time.perf_counter() - began) / count * 1e6)
    sample.cpu_us.append((time.process_time() - cpu) / count * 1e6)
    for times in spent:
        sample.latencies_us.extend(times)


def measure(
    places: Places, callers: int, run: Any, *, operations: int, rounds: int, only: Sequence[str] = ()
) -> dict[str, Sample]:
    """Measure the subjects in turn, `rounds` times, each on a file of its own."""
    image = policy_image()
    rows = recorded_rows(places.folder / "rows")
    batch = recorded_batch(places.folder / "batch")
    engines = {
        "stand-in": StandInEngine(image),
        "compiled": CheckedEngine(image, sample=SAMPLE, on_divergence=diverged),
        "cedar": CedarEngine(image),
    }
    subjects: dict[str, Any] = {name: make() for name, make in places.appenders(rows).items()}
    subjects["ledger"] = Appended(places.store("ledger"), batch)
    subjects |= {
        name: Gated(places.store(name), engine, image)
        for name, engine in engines.items()
        if not only or name in only
    }
    samples = {name: Sample() for name in subjects}
    try:
        for subject in subjects.values():
            run(subject, callers, max(callers, operations // 10), Sample())
            subject.settle()
        for _ in range(rounds):
            for name, subject in subjects.items():
                run(subject, callers, operations, samples[name])
                subject.settle()
    finally:
        for subject in subjects.values():
            subject.close()
        places.drop()
    return samples


HEAD = (
    "callers       subject        wall us/op  (min-max)      cpu us/op   p50 us   p99 us      n"
    "   /one row   /alone  /grouped   /ledger"
)
BARE = {
    "one row": ("one row", "one row, own"),
    "alone": ("alone",),
    "grouped": ("grouped",),
    "ledger": ("ledger",),
}
"""What a program without Remit would do; where there are two ways, the quicker one counts."""


def ratio(sample: Sample, ways: list[Sample]) -> float:
    """Compare round by round, since a disk that is slow for a while is slow for the whole round."""
    bare = [min(round_us) for round_us in zip(*(way.wall_us for way in ways), strict=True)]
    return statistics.median(ours / theirs for ours, theirs in zip(sample.wall_us, bare, strict=True))


def lines(what: str, samples: dict[str, Sample]) -> list[str]:
    walls = {name: statistics.median(sample.wall_us) for name, sample in samples.items()}
    found = []
    for name, sample in samples.items():
        spread = f"({min(sample.wall_us):.0f}-{max(sample.wall_us):.0f})"
        ratios = [ratio(sample, [samples[way] for way in ways if way in samples]) for ways in BARE.values()]
        found.append(
            f"{what:<13} {name:<13} {walls[name]:>11.0f}  {spread:<13}"
            f" {statistics.median(sample.cpu_us):>10.0f}"
            f" {sample.quantile_us(0.5):>8.0f} {sample.quantile_us(0.99):>8.0f} {len(sample.latencies_us):>6}"
            f" {ratios[0]:>10.2f} {ratios[1]:>8.2f} {ratios[2]:>9.2f} {ratios[3]:>9.2f}"
        )
    return found


MODES = {"threads": run_threads, "tasks": run_tasks}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("callers", CALLERS)
def test_authorize_and_record(tmp_path: Path, callers: int, mode: str) -> None:
    samples = measure(Places(tmp_path), callers, MODES[mode], operations=512, rounds=3)
    print("\n" + "\n".join([HEAD, *lines(f"{callers} {mode}", samples)]))


def main() -> None:
    parser = argparse.ArgumentParser(description="authorize and record against bare durable appends")
    parser.add_argument("--operations", type=int, default=1024, help="operations a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--callers", type=int, nargs="*", default=list(CALLERS))
    parser.add_argument("--subjects", nargs="*", default=[], help="measure these only, beside the bare ones")
    parser.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    parser.add_argument("--store", default="", help="a PostgreSQL database; SQLite if not given")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.machine()}")
    print(HEAD)
    for mode, run in ((mode, MODES[mode]) for mode in given.modes):
        for callers in given.callers:
            with tempfile.TemporaryDirectory() as folder:
                samples = measure(
                    Places(Path(folder), given.store),
                    callers,
                    run,
                    operations=given.operations,
                    rounds=given.rounds,
                    only=given.subjects,
                )
            print("\n".join(lines(f"{callers} {mode}", samples)), flush=True)


if __name__ == "__main__":
    main()
