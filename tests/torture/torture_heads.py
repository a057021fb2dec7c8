"""Two hosts move one agent's head at once, ten thousand times: part of `make torture`.

    python tests/torture/torture_heads.py --store postgresql://… [--mutations N] [--hosts N] [--threads N]

Each host is a process with a signing key of its own. Its threads remember something, each through the gate and
each a new revision, until so many mutations were tried in all. A mutation that loses its compare-and-swap is
decided again and tried again; one that loses too often is refused, which is no fault. What must hold: one
linear lineage, whose operations and entries are those that were confirmed, and a log that verifies.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import itertools

from torture_places import Places
from torture_world import ANN, _unused, document

from remit import Runtime
from remit.errors import GovernanceError, HeadMovedError
from torture import forked, report, warm

TOLD_EVERY_S = 10.0


def moving(store: str, folder: Path, number: int, *, mutations: int, threads: int) -> None:
    """Remember in many threads; write down what was confirmed."""
    os.environ["REMIT_STATE"] = str(folder / f"host-{number}")
    confirmed: list[str] = []
    counts: Counter[str] = Counter()
    left = threading.Semaphore(mutations)

    def mover() -> None:
        with Runtime.open(document(0), store=shared.store, backend="script", tools=[_unused]) as runtime:
            while left.acquire(blocking=False):
                text = os.urandom(8).hex()
                counts["mutations tried"] += 1
                try:
                    answer = runtime.remember("notes", text, by=ANN)
                except GovernanceError as error:
                    counts[f"refused with {type(error).__name__}"] += 1
                    continue
                if answer.allowed:
                    confirmed.append(text)
                else:
                    counts[f"denied: {answer.kind}"] += 1

    with Runtime.open(document(0), store=store, backend="script", tools=[_unused]) as shared:
        _count_conflicts(shared.store, counts)
        movers = [threading.Thread(target=mover) for _ in range(threads)]
        for one in movers:
            one.start()
        while any(one.is_alive() for one in movers):
            movers[0].join(TOLD_EVERY_S)
            print(f"host {number}: {len(confirmed)} of {mutations} confirmed", flush=True)
            for one in movers[1:]:
                one.join(0.01)
    (folder / f"answer-{number}").write_text(json.dumps({"confirmed": confirmed, "counts": counts}))


def _count_conflicts(store: Any, counts: Counter[str]) -> None:
    submit = store.submit

    def counted(batch: Any) -> Any:
        future = submit(batch)
        future.add_done_callback(
            lambda done: (
                counts.update(["conflicts"]) if isinstance(done.exception(), HeadMovedError) else None
            )
        )
        return future

    store.submit = counted


def checked(store: str, confirmed: list[str], total: Counter[str]) -> list[str]:
    """Hold the agent and the log against what was confirmed."""
    faults: list[str] = []
    with Runtime.open(document(0), store=store, backend="script", tools=[_unused]) as runtime:
        ledger: Any = runtime.store
        head = ledger.load(runtime.document.identity.agent)
        moves = head.lineage.operations[1:]
        revisions = [*(move.parent for move in moves), head.identity.revision]
        if len(set(revisions)) != len(revisions):
            faults.append("a revision stands twice in the lineage")
        values = Counter(str(entry.payload.value) for entry in head.memory.tree)
        lost = [text for text in confirmed if values[text] != 1]
        if lost:
            faults.append(f"{len(lost)} confirmed mutations are not in memory exactly once")
        recorded = [
            (body["parent"], body["child"])
            for record in ledger.records()
            if record.value["kind"] == "revision"
            for body in (record.value["body"],)
        ]
        if recorded != list(itertools.pairwise(revisions)):
            faults.append("the records of the head's moves are not the lineage")
        found = ledger.verify()
        faults += [str(finding) for finding in found.findings]
        total["records"] = found.size
        total["operations in the lineage"] = len(moves)
        total["not confirmed, but done"] = len(moves) - len(confirmed)
    return faults


def main() -> int:
    """Read the arguments, move, print the counts."""
    parser = argparse.ArgumentParser(description="move one agent's head from several hosts at once")
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--store", default="", help="a database to work in; a SQLite folder if not given")
    given = parser.parse_args()
    warm()
    places = Places(given.store)
    folder = Path(tempfile.mkdtemp(prefix="torture-heads-"))
    store = places.new(folder)
    with Runtime.open(document(0), store=store, backend="script", tools=[_unused]):
        pass
    began = time.monotonic()
    share = -(-given.mutations // given.hosts)
    hosts = [
        forked(lambda number=number: moving(store, folder, number, mutations=share, threads=given.threads))
        for number in range(given.hosts)
    ]
    if any([os.waitpid(host, 0)[1] for host in hosts]):  # noqa: C419  # all of them are waited for
        return report(Counter(), ["a host failed"])
    took = time.monotonic() - began
    answers = [json.loads((folder / f"answer-{number}").read_text()) for number in range(given.hosts)]
    total: Counter[str] = Counter()
    for answer in answers:
        total.update(answer["counts"])
    confirmed = [text for answer in answers for text in answer["confirmed"]]
    total["mutations confirmed"] = len(confirmed)
    faults = checked(store, confirmed, total)
    print(f"{len(confirmed) / took:.0f} mutations a second")
    places.drop(store)
    shutil.rmtree(folder)
    return report(total, faults)


if __name__ == "__main__":
    sys.exit(main())
