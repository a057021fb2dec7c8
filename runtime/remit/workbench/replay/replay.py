"""A ledger against a candidate: ranges spread over processes, added up in log order.

Rules
1. The result does not depend on how many processes there are, nor on where ranges end.
2. Processes read the store themselves; what crosses between them is counts and a few examples.
3. Where a rule reads counters of all runs, one process takes everything in log order.
4. An interrupt ends all processes; nothing is left behind, since nothing was written.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.document.parse import parse_document, serialize_document
from remit.errors import EvaluationError, LedgerError
from remit.host.candidate import Candidate, candidate_of
from remit.host.location import Location, location_of
from remit.workbench.replay.changes import Tally
from remit.workbench.replay.counters import Drift, counter_rules
from remit.workbench.replay.reach import RuleReach, reach_of
from remit.workbench.replay.source import open_source
from remit.workbench.replay.work import Part, RangeWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from remit.document.model import Document

SPAN = 8_192
"""Records in a range: large enough that reading it is one sweep, small enough to show progress."""

ALONE = 4 * SPAN
"""Records up to which processes of their own do not pay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to replay.

    Args:
        store: where it lies.
        agent: id of the agent whose decisions are replayed.
        size: records of the log that are looked at, from its start.
        examples: flips kept for each group.
        share: percentage of decisions that the reference engine takes, too; at least 1,000 in all.
    """

    store: Location
    agent: str
    size: int
    examples: int = 3
    share: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay came to.

    Args:
        agent: whose decisions.
        records: in the log.
        tally: all counts.
        candidate: image digest of the candidate.
        revision: of the candidate.
        baseline: image digest of what it was compared with; empty for what was recorded.
        engine: which engine decided, and why if it is not the compiled one.
        processes: how many there were.
        reads_counters: rules of the candidate that read counters, with which.
        reach: what the decisions reach of the candidate's rules.
        notes: what a reader must know besides.
    """

    agent: str
    records: int
    tally: Tally
    candidate: str
    revision: str
    baseline: str
    engine: str
    processes: int
    reads_counters: Mapping[str, frozenset[str]]
    reach: tuple[RuleReach, ...]
    notes: tuple[str, ...] = ()


def choose_agent(
    store: str | Path | Location, document: Document | None, wanted: str = ""
) -> tuple[str, int]:
    """Return whose decisions a candidate is held against, and how many records the log has.

    Args:
        store: where it lies.
        document: the candidate; None where it is to be made from the agent's own document.
        wanted: an agent id or a unique beginning of one; empty takes the candidate's own id, one that it
            descends from, or the only one there is.

    Raises:
        EvaluationError: none or several are meant.
        LedgerError: the store cannot be read.
    """
    source = open_source(store)
    try:
        agents = [agent for agent, _ in source.agents()]
        heads = {head: agent for agent, head in source.agents()}
        size = source.size()
    finally:
        source.close()
    if not agents:
        raise EvaluationError(
            f"the store in `{location_of(store).shown}` holds no agent: there is nothing to replay"
        )
    start = wanted.removeprefix("sha256:")
    if start:
        found = [agent for agent in agents if agent.removeprefix("sha256:").startswith(start)]
    elif document is None:
        found = agents
    else:
        own = document.identity.agent
        parents = [heads[parent] for parent in document.lineage.parents if parent in heads]
        found = [own] if own in agents else parents or agents
    if len(found) == 1:
        return found[0], size
    listed = ", ".join(f"`{agent.removeprefix('sha256:')[:12]}`" for agent in (found or agents)[:8])
    if not found:
        raise EvaluationError(f"the store holds no agent `{wanted}`: it holds {listed}")
    raise EvaluationError(f"the store holds several agents: name one of {listed} with `--agent`")


def head_of(store: Location, agent: str) -> Document:
    """Return the newest document of an agent in a store.

    Raises:
        EvaluationError: the store holds none.
        LedgerError: the store cannot be read.
    """
    head = _newest(store, agent)
    if head is None:
        raise EvaluationError(f"the store lost agent `{agent}`; run `remit ledger verify`")
    return head


def _newest(store: Location, agent: str) -> Document | None:
    source = open_source(store)
    try:
        return source.load(agent)
    finally:
        source.close()


def remarks_on(store: Location, agent: str, candidate: Document) -> tuple[str, ...]:
    """Say what of a candidate a replay cannot show, because records hold what was in force.

    Raises:
        LedgerError: the store cannot be read.
    """
    head = _newest(store, agent)
    if head is None:
        return ()
    old, new = head.governance.environment, candidate.governance.environment
    changed = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    if not changed:
        return ()
    named = ", ".join(changed)
    return (f"The candidate declares other values of {named}: recorded requests keep those that they had.",)


def replay(
    plan: Plan,
    candidate: Candidate,
    baseline: Candidate | None = None,
    *,
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
    notes: tuple[str, ...] = (),
) -> Replay:
    """Decide a ledger's decisions again under a candidate.

    Args:
        plan: which ones.
        candidate: decides now.
        baseline: decides what the candidate is compared with; None compares with what was recorded.
        processes: how many; 0 takes as many as there are cores.
        progress: called with records done and records in all.
        notes: what a reader must know besides.

    Raises:
        LedgerError: the store cannot be read, or a process died.
    """
    reads = counter_rules(candidate.image)
    lifetime = any("lifetime" in names for names in reads.values())
    wanted = processes or _cores()
    if lifetime or plan.size <= ALONE:
        wanted = 1
    task = _Task(plan=plan, candidate=candidate, baseline=baseline)
    if lifetime:
        tally, engine = _in_order(task, progress)
    else:
        tally, engine = _spread(task, wanted, progress)
    return Replay(
        agent=plan.agent,
        records=plan.size,
        tally=tally,
        candidate=candidate.image.digest,
        revision=candidate.document.identity.revision,
        baseline="" if baseline is None else baseline.image.digest,
        engine=engine,
        processes=wanted,
        reads_counters=reads,
        reach=reach_of(candidate.image, tally),
        notes=notes,
    )


def _cores() -> int:
    # Not every system tells which cores this process may use.
    own = getattr(os, "sched_getaffinity", None)
    return len(own(0)) if own is not None else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    plan: Plan
    candidate: Candidate
    baseline: Candidate | None

    def work(self) -> RangeWork:
        plan = self.plan
        return RangeWork(
            open_source(plan.store),
            self.candidate,
            self.baseline,
            agent=plan.agent,
            size=plan.size,
            examples=plan.examples,
            share=plan.share,
        )

    def sent(self) -> tuple[Plan, bytes, bytes | None]:
        """Return what another process needs to make the same: documents, which compile alike everywhere."""
        old = None if self.baseline is None else serialize_document(self.baseline.document)
        return self.plan, serialize_document(self.candidate.document), old


def _ranges(size: int) -> list[tuple[int, int]]:
    return [(start, min(start + SPAN, size)) for start in range(0, size, SPAN)]


def _in_order(task: _Task, progress: Callable[[int, int], None] | None) -> tuple[Tally, str]:
    """Take the whole log in one process, in order."""
    work, tally = task.work(), Tally(examples=task.plan.examples)
    carry: dict[str, Drift] = {}
    try:
        for start, stop in _ranges(task.plan.size):
            tally.add(work.take_in_order(start, stop, carry).tally)
            if progress is not None:
                progress(stop, task.plan.size)
    finally:
        work.close()
    return tally, work.status


def _spread(task: _Task, processes: int, progress: Callable[[int, int], None] | None) -> tuple[Tally, str]:
    """Take ranges anywhere, add them up in order, then decide what was deferred, in order."""
    tally = Tally(examples=task.plan.examples)
    carry: dict[str, Drift] = {}
    work = task.work()
    done = 0
    try:
        ranges = _ranges(task.plan.size)
        parts = (
            (work.take(start, stop) for start, stop in ranges)
            if processes == 1
            else _from_processes(task, ranges, processes)
        )
        for (_, stop), part in zip(ranges, parts, strict=True):
            tally.add(part.tally)
            work.take_deferred(part.deferred, tally, carry)
            carry.update(part.drifts)
            done = stop
            if progress is not None:
                progress(done, task.plan.size)
    finally:
        work.close()
    return tally, work.status


def _from_processes(task: _Task, ranges: list[tuple[int, int]], processes: int) -> Iterator[Part]:
    """Yield the parts in order of their ranges, while processes work ahead."""
    forks = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    # A fork inherits what is compiled; beside other threads it could inherit a lock that nobody releases.
    context = multiprocessing.get_context("fork" if forks and sys.platform != "darwin" else "spawn")
    if context.get_start_method() == "fork":
        _INHERITED.append(task)
    pool = ProcessPoolExecutor(
        processes,
        mp_context=context,
        initializer=_start,
        initargs=(None if context.get_start_method() == "fork" else task.sent(),),
    )
    pending: dict[int, Future[Part]] = {}
    given = 0
    try:
        for number in range(len(ranges)):
            while given < len(ranges) and given - number < 4 * processes:
                pending[given] = pool.submit(_take, *ranges[given])
                given += 1
            # A wait that ends: an interrupt is then seen between two of them.
            while not pending[number].done():
                wait([pending[number]], timeout=0.5, return_when=FIRST_COMPLETED)
            yield pending.pop(number).result()
    except BrokenProcessPool as error:
        raise LedgerError(
            "a process of the replay died: is there enough memory? try `--processes 1`"
        ) from error
    finally:
        _INHERITED.clear()
        for future in pending.values():
            future.cancel()
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True)
class _Here:
    """What one process holds."""

    work: RangeWork | None = field(default=None)


_INHERITED: list[_Task] = []
_HERE = _Here()


def _start(sent: tuple[Plan, bytes, bytes | None] | None) -> None:
    # The parent answers an interrupt for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sent is None:
        task = _INHERITED[-1]
    else:
        plan, candidate, baseline = sent
        task = _Task(
            plan=plan,
            candidate=candidate_of(parse_document(candidate)),
            baseline=None if baseline is None else candidate_of(parse_document(baseline)),
        )
    # What is read and decided holds no cycles, and looking for them takes a tenth of the time.
    gc.freeze()
    gc.disable()
    _HERE.work = task.work()


def _take(start: int, stop: int) -> Part:
    assert _HERE.work is not None
    part = _HERE.work.take(start, stop)
    gc.collect(0)
    return part
