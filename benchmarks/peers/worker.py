"""One peer in a process of its own, speaking JSON lines: it says what it is, then answers commands.

Commands: `load` the workload of a size, `answers` to so many requests, a `chunk` of timed decisions, and a
`probe` of spoilt requests.
What goes wrong is answered as `{"error": …}`; the end of the input ends the process.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from peers.workload import broken_requests, make_requests, make_workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.peer import Loaded
    from peers.workload import Asked

Answer = dict[str, object]
_POOL = 2000
_WARM_S = 8.0


class Worker:
    """Holds the loaded peer between commands."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loaded: Loaded[object] | None = None
        self._requests: tuple[Asked, ...] = ()
        self._overhead_ns = _clock_overhead_ns()

    def load(self, size: int) -> Answer:
        """Load the rules and decide once for each action, so that nothing is left for the first request."""
        workload = make_workload(size)
        self._requests = make_requests(size, _POOL)
        module = importlib.import_module(f"peers.{self._name}_peer")
        load = cast("Callable[[object], Loaded[object]]", module.load)
        start = time.process_time()
        self._loaded = load(workload)
        load_s = time.process_time() - start
        first = {asked.action: asked for asked in reversed(self._requests)}
        deadline = time.monotonic() + _WARM_S
        start = time.process_time()
        warmed = 0
        for asked in first.values():
            self._loaded.answer(asked)
            warmed += 1
            if time.monotonic() > deadline:
                break
        return {
            "load_s": load_s,
            "warm_s": time.process_time() - start,
            "warmed": warmed,
        }

    def answers(self, requests: int, limit_s: float) -> Answer:
        """Decide the first requests, as many as fit into the time."""
        loaded = self._ready()
        deadline = time.monotonic() + limit_s
        found: list[str] = []
        for asked in self._requests[:requests]:
            found.append("1" if loaded.answer(asked) else "0")
            if time.monotonic() > deadline:
                break
        return {"answers": "".join(found), "resident_kb": _resident_kb()}

    def chunk(self, start: int, requests: int, limit_s: float) -> Answer:
        """Time single decisions, and apart from them the making of the same requests."""
        loaded = self._ready()
        form, decide, clock = loaded.form, loaded.decide, time.process_time_ns
        times: list[int] = []
        forms: list[int] = []
        # What the other peers put out of the processor's caches since the last turn is nobody's cost.
        loaded.answer(self._requests[start % len(self._requests)])
        deadline = time.monotonic() + limit_s
        for n in range(requests):
            asked = self._requests[(start + n) % len(self._requests)]
            began = clock()
            decide(form(asked))
            ended = clock()
            times.append(max(ended - began - self._overhead_ns, 1))
            began = clock()
            form(asked)
            ended = clock()
            forms.append(max(ended - began - self._overhead_ns, 1))
            if time.monotonic() > deadline:
                break
        return {"ns": times, "form_ns": forms}

    def probe(self) -> Answer:
        """Say what becomes of requests in which the argument that a forbid reads is spoilt."""
        workload, requests = broken_requests()
        module = importlib.import_module(f"peers.{self._name}_peer")
        load = cast("Callable[[object], Loaded[object]]", module.load)
        whole = requests.pop("whole")
        permit = replace(workload, rules=workload.rules[:1])
        loaded = load(workload)
        if loaded.answer(whole) or not load(permit).answer(whole):
            raise RuntimeError("the two rules of the probe are not decided as they say")
        said: dict[str, str] = {}
        for what, asked in requests.items():
            try:
                said[what] = "allows" if loaded.answer(asked) else "denies"
            except Exception as error:  # noqa: BLE001  # that it raises is what is asked for
                said[what] = f"raises `{type(error).__name__}`"
        return {"said": said}

    def _ready(self) -> Loaded[object]:
        if self._loaded is None:
            raise RuntimeError("nothing is loaded yet")
        return self._loaded


def serve(name: str, packages: list[str]) -> None:
    """Answer commands until the input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints must not mix with the replies
    worker = Worker(name)
    versions = [f"{package} {_version(package)}" for package in packages]
    _reply(replies.write, replies.flush, {"python": sys.version.split()[0], "versions": versions})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer: Answer = getattr(worker, command.pop("do"))(**command)
        except BaseException as error:  # noqa: BLE001  # whatever a peer raises, also a panic of its extension, is its result
            text = (str(error).strip().splitlines() or ["no text"])[0]
            answer = {"error": f"{type(error).__name__}: {text}"}
        _reply(replies.write, replies.flush, answer)


def _reply(write: Callable[[str], int], flush: Callable[[], None], answer: Answer) -> None:
    write(json.dumps(answer) + "\n")
    flush()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _clock_overhead_ns() -> int:
    clock = time.process_time_ns
    pairs = [(clock(), clock()) for _ in range(2000)]
    return int(statistics.median(end - start for start, end in pairs))


def _resident_kb() -> int:
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
