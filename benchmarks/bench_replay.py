"""Replay of generated decisions against a candidate with 200 rules, beside plain cedarpy, in one run.

Run: `python benchmarks/bench_replay.py` (`--count`, `--ledger DIR` to keep and use again, `--processes`).

What is compared
1. `replay`: what `remit replay` does, from the store's files to the counted flips: reading, checking content
   against its commitment, rebuilding requests, deciding, grouping; with the reference engine on a sample.
2. `plain cedarpy`: requests rebuilt already, decided by `cedarpy.is_authorized` with parsed policies, the
   schema and the whole context; nothing is read, checked or counted, which favours it.

On 20,000 of the decisions, spread over the ledger, both must agree: decision, reasons and erring rules.
Wall time depends on who else uses the machine; CPU time of all processes is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cedarpy

sys.path.insert(0, str(Path(__file__).parent))

import replay_world

from remit.host.candidate import candidate_of
from remit.host.location import location_of
from remit.workbench.replay.judge import Judge
from remit.workbench.replay.recorded import Reader, Recorded
from remit.workbench.replay.replay import Plan, choose_agent, replay
from remit.workbench.replay.source import open_source
from remit.workbench.replay.view import sentence

if TYPE_CHECKING:
    from remit.engine.request import EntityRef, Request
    from remit.host.candidate import Candidate

RULES = 200
COMPARED = 20_000
TIMED = 2_000
"""Of the compared ones, how many are timed: plain cedarpy would take minutes for more."""


class Plain:
    """cedarpy alone: all policies, the schema, the whole request."""

    def __init__(self, candidate: Candidate) -> None:
        image = candidate.image
        self._ids = [rule.id for rule in image.rules.values()]
        self._policies = cedarpy.PolicySet.from_str(image.policies)
        self._schema = cedarpy.Schema.from_json_str(json.dumps(image.schema))

    def decide(self, request: Request) -> tuple[bool, tuple[str, ...], int]:
        context = {**request.context, "fulfilled": []}
        context["caller"] = {"__entity": _uid_of(request.context["caller"])}
        answer = cedarpy.is_authorized(
            {
                "principal": _uid(request.principal.ref),
                "action": {"type": "Remit::Action", "id": request.action},
                "resource": _uid(request.resource.ref),
                "context": json.dumps(context),
            },
            self._policies,
            json.dumps(_entities(request)),
            self._schema,
        )
        assert answer.decision is not cedarpy.Decision.NoDecision, answer.diagnostics.errors
        named = answer.diagnostics.id_annotations_by_reason
        reasons = tuple(sorted(named[reason] for reason in answer.diagnostics.reasons))
        return answer.allowed, reasons, len(answer.diagnostics.errors)


def _entities(request: Request) -> list[Any]:
    found: dict[Any, Any] = {}
    for entity in (request.principal, request.resource, *request.entities):
        found[entity.ref] = {"uid": _uid(entity.ref), "attrs": entity.attributes, "parents": []}
    return list(found.values())


def _uid(ref: EntityRef) -> dict[str, str]:
    return {"type": f"Remit::{ref.type}", "id": ref.id}


def _uid_of(value: Any) -> dict[str, str]:
    return {"type": f"Remit::{value['type']}", "id": value["id"]}


def requests(folder: Path, candidate: Candidate, agent: str, size: int) -> list[Request]:
    """Requests spread evenly over the ledger, as replay rebuilds them."""
    source, reader = open_source(folder), Reader(candidate, agent)
    wanted = min(COMPARED, size)
    found: list[Request] = []
    spans = 50
    for number in range(spans):
        start = number * size // spans
        for row in source.rows("decision", start, min(start + -(-wanted // spans), size)):
            recorded = reader.read(row)
            assert isinstance(recorded, Recorded), recorded
            found.append(recorded.request)
    source.close()
    return found[:wanted]


def compare(folder: Path, candidate: Candidate, agent: str, size: int) -> float:
    """Print whether both agree, and return the CPU seconds that plain cedarpy takes for one decision."""
    asked, plain = requests(folder, candidate, agent, size), Plain(candidate)
    judge = Judge(candidate.image, every=10**9)
    unequal = 0
    spent = 0.0
    for number, request in enumerate(asked):
        request.context["fulfilled"] = []
        ours = judge.decide(request)
        began = time.process_time()
        theirs = plain.decide(request)
        if number < TIMED:
            spent += time.process_time() - began
        mine = (ours.allowed, ours.reasons, len({failure.rule for failure in ours.errors}))
        unequal += mine != theirs
    print(f"equal to plain cedarpy: {len(asked) - unequal:,} of {len(asked):,} decisions, reasons and errors")
    return spent / min(TIMED, len(asked))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--ledger", type=Path, default=None)
    parser.add_argument("--processes", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="remit-bench-") as temporary:
        folder = given.ledger or Path(temporary) / "store"
        if not (folder / "store.db").exists():
            began = time.perf_counter()
            replay_world.make_ledger(folder, given.count, rules=RULES)
            print(f"made {given.count:,} decisions in {time.perf_counter() - began:.0f} s")
        return measure(folder, given.count, given.processes)


def measure(folder: Path, count: int, processes: int) -> int:
    began = time.perf_counter()
    candidate = candidate_of(replay_world.document(RULES, stricter=True))
    agent, size = choose_agent(folder, candidate.document)
    size = min(size, count)
    before, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    found = replay(Plan(store=location_of(folder), agent=agent, size=size), candidate, processes=processes)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + time.process_time() - own
    tally = found.tally
    print(f"N = {tally.replayed:,} replayed of {tally.decisions:,}, {len(candidate.image.rules)} rules")
    print(f"wall {wall:.1f} s, {tally.replayed / wall:,.0f} a second, {found.processes} processes")
    print(f"CPU {cpu:.1f} s of all processes, {cpu / tally.replayed * 1e6:.1f} µs a decision")
    print(f"{tally.checked:,} decided by the reference engine, too; divergences: {len(tally.divergences)}")
    print(sentence(found))
    each = compare(folder, candidate, agent, size)
    print(
        f"plain cedarpy: {each * 1e6:.0f} µs of CPU a decision; ratio replay / plain cedarpy: "
        f"{cpu / tally.replayed / each:.3f} (CPU)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
