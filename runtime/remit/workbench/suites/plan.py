"""A whole test run: every suite prepared, cases decided in one or several processes, results in their order.

Rules
1. Suites of the same agent share its document, its image and its engine.
2. Results come in the order of files and cases, however many processes decided them.
3. Several processes are used where they pay: what a process costs is more than a few hundred decisions.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.errors import DocumentError, EvaluationError, FaultsError, GovernanceError, PolicyError
from remit.workbench.suites.agent_world import engine_of, read_world
from remit.workbench.suites.binding import bind
from remit.workbench.suites.cedar_world import CedarWorld
from remit.workbench.suites.model import AgentSubject, RunCase
from remit.workbench.suites.results import CaseResult
from remit.workbench.suites.running import run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from remit.engine.port import Engine
    from remit.host.engines import EngineName
    from remit.host.results import RunResult
    from remit.project.answers import Verdict
    from remit.workbench.suites.agent_world import AgentWorld
    from remit.workbench.suites.binding import Bound, World
    from remit.workbench.suites.model import AnyCase, Suite
    from remit.workbench.suites.results import Difference

RUN_WEIGHT = 100
"""A whole run takes about as long as so many decisions of the reference engine."""

WORTH_A_PROCESS = 500
"""Decisions beyond which another process pays (docs/testing.md, "Speed")."""

_CHUNK = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A suite ready to be decided.

    Args:
        bound: the suite beside what it is decided under.
        engine: what decides an agent's requests; None for plain policies, which Cedar itself decides.
        engine_name: which engine whole runs use.
    """

    bound: Bound
    engine: Engine | None
    engine_name: EngineName


def prepare(suites: Sequence[Suite], *, engine: EngineName = "cedar") -> tuple[Prepared, ...]:
    """Build, compile and bind what the suites are about.

    Args:
        suites: as read.
        engine: what decides an agent's requests.

    Raises:
        FaultsError: an agent or policies do not load, or a suite does not fit them; lists every fault.
    """
    worlds: dict[Path, World | FaultsError] = {}
    engines: dict[int, Engine] = {}
    faults: list[FaultsError] = []
    prepared: list[Prepared] = []
    for suite in suites:
        world = _world(suite, worlds)
        if isinstance(world, FaultsError):
            if world not in faults:
                faults.append(world)
            continue
        try:
            bound = bind(suite, world)
        except DocumentError as error:
            faults.append(error)
            continue
        decides = None if isinstance(world, CedarWorld) else _engine(world, engine, engines)
        prepared.append(Prepared(bound=bound, engine=decides, engine_name=engine))
    if faults:
        raise FaultsError(*(fault for error in faults for fault in error.faults))
    return tuple(prepared)


def _world(suite: Suite, worlds: dict[Path, World | FaultsError]) -> World | FaultsError:
    subject = suite.subject
    try:
        if not isinstance(subject, AgentSubject):
            return CedarWorld(subject)
        key = subject.path.resolve()
        if key not in worlds:
            worlds[key] = read_world(subject.path)
        return worlds[key]
    except (DocumentError, PolicyError) as error:
        if isinstance(subject, AgentSubject):
            worlds[subject.path.resolve()] = error
        return error


def _engine(world: AgentWorld, name: EngineName, engines: dict[int, Engine]) -> Engine:
    # Worlds are kept alive by the suites bound to them, so that their ids stay their own.
    if id(world) not in engines:
        engines[id(world)] = engine_of(world.image, name)
    return engines[id(world)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    suite: int
    case: AnyCase


def run_all(
    prepared: Sequence[Prepared],
    *,
    wanted: Callable[[Suite, AnyCase], bool] = lambda _suite, _case: True,
    jobs: int = 0,
    fail_fast: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[tuple[Suite, tuple[CaseResult, ...]], ...]:
    """Decide every wanted case.

    Args:
        prepared: the suites.
        wanted: whether a case is decided; others are left out of the result.
        jobs: processes; 0 uses as many as pay.
        fail_fast: whether the first failing case ends the run.
        progress: told how many cases of how many are decided.
    """
    tasks = [
        _Task(suite=number, case=case)
        for number, item in enumerate(prepared)
        for case in item.bound.suite.cases
        if wanted(item.bound.suite, case)
    ]
    results: dict[int, list[CaseResult]] = {}
    for number, result in enumerate(
        _results(prepared, tasks, 1 if fail_fast else jobs or worthwhile(tasks)), 1
    ):
        results.setdefault(tasks[number - 1].suite, []).append(result)
        progress(number, len(tasks))
        if fail_fast and not result.passed:
            break
    return tuple((prepared[number].bound.suite, tuple(results[number])) for number in sorted(results))


def worthwhile(tasks: Sequence[_Task]) -> int:
    """Return how many processes pay for these tasks on this machine."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    weight = sum(RUN_WEIGHT if isinstance(task.case, RunCase) else 1 for task in tasks)
    return max(1, min(_processors(), weight // WORTH_A_PROCESS))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _results(prepared: Sequence[Prepared], tasks: Sequence[_Task], jobs: int) -> Iterator[CaseResult]:
    if jobs <= 1 or len(tasks) < jobs or "fork" not in multiprocessing.get_all_start_methods():
        return (_decided(prepared, task) for task in tasks)
    return _shared(prepared, tasks, jobs)


def _decided(prepared: Sequence[Prepared], task: _Task) -> CaseResult:
    item = prepared[task.suite]
    began = time.perf_counter()
    if isinstance(task.case, RunCase) and not task.case.skip:
        from remit.workbench.suites.rehearsing import rehearse_case

        assert not isinstance(
            item.bound.world, CedarWorld
        )  # INVARIANT (reading): plain policies have no runs
        result = rehearse_case(task.case, item.bound.world, engine=item.engine_name)
    else:
        result = run_case(task.case, item.bound, engine=item.engine)
    return replace(result, seconds=time.perf_counter() - began)


_Found = tuple["Verdict | None", "RunResult | None", "tuple[Difference, ...]", float]
"""What a process tells of a case; the case itself stays with the parent, which has it."""


def _shared(prepared: Sequence[Prepared], tasks: Sequence[_Task], jobs: int) -> Iterator[CaseResult]:
    """Let forked processes, which hold everything that was prepared, decide a share of the tasks each.

    Shares are interleaved, so that cases that take longer are spread; results are put in order again.
    """
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(jobs)]
    processes = [
        context.Process(target=_work, args=(prepared, tasks[first::jobs], writer), daemon=True)
        for first, (_, writer) in enumerate(pipes)
    ]
    for process, (_, writer) in zip(processes, pipes, strict=True):
        process.start()
        # The child alone holds the writing end, so that its death is seen as the end of what it tells.
        writer.close()
    try:
        told = [_received(reader) for reader, _ in pipes]
        for number, task in enumerate(tasks):
            verdict, run, differences, seconds = next(told[number % jobs])
            yield CaseResult(
                case=task.case, verdict=verdict, run=run, differences=differences, seconds=seconds
            )
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _received(reader: Connection) -> Iterator[_Found]:
    while True:
        try:
            chunk: list[_Found] | GovernanceError = reader.recv()
        except EOFError:
            raise EvaluationError("a process that decides cases ended before its work was done") from None
        if isinstance(chunk, GovernanceError):
            raise chunk
        yield from chunk


def _work(prepared: Sequence[Prepared], tasks: Sequence[_Task], writer: Connection) -> None:
    chunk: list[_Found] = []
    try:
        for task in tasks:
            result = _decided(prepared, task)
            chunk.append((result.verdict, result.run, result.differences, result.seconds))
            if len(chunk) == _CHUNK:
                writer.send(chunk)
                chunk = []
        writer.send(chunk)
    except GovernanceError as error:
        writer.send(error)
    except (BrokenPipeError, KeyboardInterrupt):
        return  # the parent is gone, or is being ended by the same key
    finally:
        writer.close()
