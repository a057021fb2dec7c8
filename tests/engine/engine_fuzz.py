"""Compiled policies against the reference engine on random worlds.

Used by the differential tests; alone, `python tests/engine/engine_fuzz.py N` compares N pairs of policy set and
request in as many processes as there are cores, and prints what it saw. Exit code 1 at a difference, with the
line that repeats it: work is cut into units, each with a seed of its own.

A pair is decided by the reference engine, by the compiled one as it was made, and by the one that was saved and
made again from bytes; decision, reasons, errors and what compiled code alone found are compared.
Of half of the images the compiler makes tables wherever it can, and not only where they are worth it.
"""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from engine_worlds import Caller, random_image

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.engine import CompiledEngine
from remit.engine.compiled.index import Index
from remit.engine.compiled.support import Unsupported
from remit.engine.policy_index import PolicyIndex
from remit.errors import PolicyError

if TYPE_CHECKING:
    from remit.engine.image import PolicyImage
    from remit.engine.request import Decision, Request

REQUESTS_PER_IMAGE = 32
UNIT = 1_200
"""Pairs that one seed stands for: seconds, so that a difference is soon seen again."""
PROGRESS_S = 10.0


class DivergenceError(AssertionError):
    """The engines differ; the message holds all that is needed to see it again."""


def comparable(decision: Decision) -> Any:
    """Return all of a decision but the engine's name; which entity of a cycle Cedar names is its hash seed's choice."""
    errors = [
        (
            failure.rule,
            re.sub(r"has a cycle containing vertex .*", "has a cycle", failure.message, flags=re.DOTALL),
        )
        for failure in decision.errors
    ]
    return decision.verdict, decision.kind, decision.reasons, errors, decision.image


class Tables(Index):
    """Makes tables of all conditions that tables can answer."""

    MIN_MASKED = 1
    MIN_MASKED_EACH = 0


class Remembered:
    """An engine that decides the same request once."""

    def __init__(self, engine: CedarEngine) -> None:
        self._engine = engine
        self._last: tuple[Request, Decision] | None = None

    @property
    def name(self) -> str:
        return self._engine.name

    def decide(self, request: Request) -> Decision:
        if self._last is None or self._last[0] is not request:
            self._last = (request, self._engine.decide(request))
        return self._last[1]


def compare(
    compiled: CompiledEngine,
    again: CompiledEngine | None,
    reference: Remembered,
    request: Request,
    image: PolicyImage,
) -> str:
    """Compare one decision; return what kind of pair it was."""
    wanted = reference.decide(request)
    found = compiled.outcome(request)
    whole = compiled.decide(request)

    def differs(what: str) -> DivergenceError:
        where = f"{image.policies}\n{image.schema}\n{request}"
        return DivergenceError(f"{what}\n{where}\nreference: {wanted}\ncompiled: {found}\nwhole: {whole}")

    if comparable(whole) != comparable(wanted):
        raise differs("the decisions differ")
    if again is not None and again.outcome(request) != found:
        raise differs(f"the saved engine differs: {again.outcome(request)}")
    if found is None:
        unanswered = any(not failure.rule for failure in wanted.errors)
        return "left: fault" if unanswered else "left: no fault"
    erring = frozenset(failure.rule for failure in wanted.errors)
    if "" in erring:
        raise differs("the reference finds a fault in the request")
    if (found.kind, found.reasons, found.erring) != (wanted.kind, wanted.reasons, erring):
        raise differs("the outcomes differ")
    return found.kind


def run(seed: int, pairs: int) -> Counter[str]:
    """Compare many pairs.

    Raises:
        DivergenceError: at the first difference.
    """
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    while sum(seen.values()) < pairs:
        world, image = random_image(chance)
        try:
            index = PolicyIndex.of(image)
            reference = Remembered(CedarEngine(image, index=index))
        except PolicyError:
            seen["image refused"] += 1
            continue
        try:
            arranger = chance.choice([Index, Tables])
            compiled = CompiledEngine(image, reference=reference, index=index, arranger=arranger)
        except Unsupported:
            seen["image unsupported"] += 1
            continue
        caller = Caller(world)
        requests = [caller.request() for _ in range(REQUESTS_PER_IMAGE)]
        first = [compiled.outcome(request) for request in requests[:4]]
        saved = compiled.save()
        again = (
            None if saved is None else CompiledEngine(image, reference=reference, index=index, saved=saved)
        )
        assert [compiled.outcome(request) for request in requests[:4]] == first
        for request in requests:
            seen[compare(compiled, again, reference, request, image)] += 1
    return seen


def unit(seed: int, pairs: int) -> tuple[int, Counter[str], str]:
    """Compare one unit; return its seed, what was seen, and the difference if there was one."""
    try:
        return seed, run(seed, pairs), ""
    except DivergenceError as error:
        return seed, Counter(), str(error)


def main(arguments: list[str]) -> int:
    pairs = int(arguments[0]) if arguments else 10_000
    seed = int(os.environ.get("REMIT_FUZZ_SEED", str(time.time_ns() % 10**9)))
    units = [(seed + number, min(UNIT, pairs - start)) for number, start in enumerate(range(0, pairs, UNIT))]
    workers = min(os.cpu_count() or 1, len(units))
    say(f"{pairs} pairs from seed {seed} on, {workers} processes")
    total: Counter[str] = Counter()
    started = told = time.monotonic()
    with ProcessPoolExecutor(max_workers=workers) as pool:
        for future in as_completed([pool.submit(unit, *one) for one in units]):
            number, seen, difference = future.result()
            if difference:
                pool.shutdown(wait=False, cancel_futures=True)
                say(difference)
                say(
                    f"seed {number} differs; see it again: REMIT_FUZZ_SEED={number} make fuzz-engine N={UNIT}"
                )
                return 1
            total += seen
            done, now = total.total(), time.monotonic()
            if now - told >= PROGRESS_S:
                told = now
                left = (now - started) * (pairs - done) / done
                say(f"{done} of {pairs} pairs, {done / (now - started):.0f} a second, {left:.0f} s left")
    say(f"{total.total()} pairs without a difference in {time.monotonic() - started:.0f} s: {dict(total)}")
    return 0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a program of its own


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
