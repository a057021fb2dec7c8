"""Kill everything under saturating load, and see whether anything is decided afterwards: part of `make torture`.

    python tests/torture/torture_kill.py [--runs N] [--store postgresql://…]

In each run two processes ask as fast as they can, in many threads each, and a third gives the order
`kill all`. From the moment at which the order is durable no call that begins may be allowed, and each thread
must have been refused within a second. Clocks are CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from torture_places import Places
from torture_world import ANN, _unused, document

from remit import Runtime
from remit.ports import Stop
from torture import forked, warm

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES = 2
THREADS = 16
AFTER_S = 0.3
"""How long each thread goes on asking after its first refusal."""

LIMIT_S = 1.0
GIVE_UP_S = 30.0
"""How long a thread goes on asking where no order comes."""


def asking(store: str, answer: Path, epoch: int) -> None:
    """Ask in many threads until well after the first refusal; write down when."""
    found: list[dict[str, Any]] = []

    def thread() -> None:
        mine: dict[str, Any] = {"allowed": 0, "last": 0.0, "refused": 0.0, "odd": ""}
        found.append(mine)
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            began = time.monotonic()
            told = runtime.recall("notes", by=ANN)
            if told.allowed:
                mine["allowed"] += 1
                mine["last"] = max(mine["last"], began)
            elif told.kind == "stopped":
                if not mine["refused"]:
                    mine["refused"] = time.monotonic()
                    until = mine["refused"] + AFTER_S
            else:
                mine["odd"] = f"{told.kind}: {told.because}"
                until = 0

    with Runtime.open(document(epoch), store=store, backend="script", tools=[_unused]) as runtime:
        answer.with_suffix(".ready").touch()
        threads = [threading.Thread(target=thread) for _ in range(THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    answer.write_text(json.dumps(found))


def ordering(store: str, answer: Path, epoch: int, ready: list[Path], wait_s: float) -> None:
    """Wait for the load, then order the kill, and write down when it was durable."""
    with Runtime.open(document(epoch), store=store, backend="script", tools=[_unused]) as runtime:
        while not all(path.exists() for path in ready):
            time.sleep(0.01)
        time.sleep(wait_s)
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        began = time.monotonic()
        runtime.store.control.stop(Stop(scope="all", order="kill", by="olga", reason="torture", at=at))
        durable = time.monotonic()
        said = datetime.now(UTC)
        time.sleep(LIMIT_S)
        late = [
            record.index
            for record in runtime.store.records()
            if record.value["kind"] == "decision"
            and _body(record.value["body"]).get("verdict") == "allow"
            and (datetime.fromisoformat(str(record.value["at"])) - said).total_seconds() > 0
        ]
    answer.write_text(json.dumps({"began": began, "durable": durable, "late": late}))


def _body(value: Any) -> dict[str, Any]:
    return value


def one_run(store: str, folder: Path, epoch: int, wait_s: float) -> tuple[list[str], list[float], float, int]:
    """Return faults, seconds to each thread's refusal, seconds that the order took, and decisions allowed."""
    answers = [folder / f"asking-{number}" for number in range(PROCESSES)]
    order = folder / "order"
    ready = [answer.with_suffix(".ready") for answer in answers]
    work: list[Callable[[], None]] = [
        *(lambda answer=answer: asking(store, answer, epoch) for answer in answers),
        lambda: ordering(store, order, epoch, ready, wait_s),
    ]
    children = [forked(do) for do in work]
    if any([os.waitpid(child, 0)[1] for child in children]):  # noqa: C419  # all of them are waited for
        return ["a process of the run failed"], [], 0.0, 0
    given = json.loads(order.read_text())
    threads = [thread for answer in answers for thread in json.loads(answer.read_text())]
    faults = [f"a thread was answered otherwise: {thread['odd']}" for thread in threads if thread["odd"]]
    faults += ["a thread was never refused" for thread in threads if not thread["refused"]]
    late = [thread["last"] - given["durable"] for thread in threads if thread["last"] > given["durable"]]
    faults += [f"a call that began {1e3 * by:.1f} ms after the order was allowed" for by in late]
    faults += [f"record {index} allows and is later than the order" for index in given["late"]]
    waits = [max(0.0, thread["refused"] - given["durable"]) for thread in threads]
    return faults, waits, given["durable"] - given["began"], sum(thread["allowed"] for thread in threads)


def main() -> int:
    """Read the arguments, kill, print the counts."""
    parser = argparse.ArgumentParser(description="kill everything under load and see that nothing goes on")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--store", default="", help="a database to work in; a SQLite folder if not given")
    given = parser.parse_args()
    warm()
    places = Places(given.store)
    waits: list[float] = []
    orders: list[float] = []
    allowed = held = 0
    chance = random.Random(1)
    for number in range(given.runs):
        folder = Path(tempfile.mkdtemp(prefix="torture-kill-"))
        store = places.new(folder)
        faults, some, took, count = one_run(store, folder, number, 0.2 + chance.random() * 0.3)
        waits += some
        orders.append(took)
        allowed += count
        held += not faults
        for fault in faults:
            print(f"run {number}: {fault}")
        places.drop(store)
        shutil.rmtree(folder)
        if number % 10 == 9:
            print(f"{number + 1} of {given.runs} runs", flush=True)
    waits.sort()
    p99 = waits[int(len(waits) * 0.99)] if waits else float("inf")
    print(f"{held} of {given.runs} runs: no decision began after the durable kill")
    print(f"{allowed:,} decisions allowed before; {PROCESSES} processes of {THREADS} threads each")
    print(f"refused after {1e3 * statistics.median(waits):.1f} ms at the median, {1e3 * p99:.1f} ms at p99")
    print(f"the order was durable after {1e3 * statistics.median(orders):.1f} ms at the median")
    sound = held == given.runs and p99 <= LIMIT_S
    print("held" if sound else "DID NOT HOLD")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
