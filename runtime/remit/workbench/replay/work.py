"""One range of the log, decided again; the same code in every process and in none.

Rules
1. Within a range runs are taken in log order, with the counters that the candidate would have left.
2. A run that began before the range is deferred: what it did before is known only once earlier ranges are
   done. Its decisions are then taken in log order.
3. Where a rule reads counters of all runs, one worker takes the whole log, so that nothing is deferred.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from remit.engine.request import Request
from remit.gate.verdicts import Answer, Answers, with_people
from remit.workbench.replay.changes import Flip, Side, Tally, change_of
from remit.workbench.replay.counters import Drift, counter_rules
from remit.workbench.replay.judge import Judge
from remit.workbench.replay.recorded import Reader, Recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from remit.document.values import JsonObject
    from remit.host.candidate import Candidate
    from remit.workbench.replay.source import LogSource, Row

AT_LEAST = 1_000
"""Decisions of a whole log that the reference engine takes, too, however small its share."""

_HOUR = 13
_SHOWN = 120


@dataclass(slots=True, kw_only=True)
class Part:
    """What a range came to.

    Args:
        tally: its counts.
        drifts: runs whose decisions flipped.
        deferred: indexes of decisions of runs that began before the range.
    """

    tally: Tally
    drifts: dict[str, Drift] = field(default_factory=dict[str, Drift])
    deferred: list[int] = field(default_factory=list[int])


class RangeWork:
    """Decides ranges of a log again.

    Args:
        source: the log.
        candidate: what decides now.
        baseline: what the candidate is compared with; None for what was recorded.
        agent: whose decisions.
        size: records of the whole log.
        examples: flips kept for each group.
        share: percentage of decisions that the reference engine takes, too.
    """

    def __init__(
        self,
        source: LogSource,
        candidate: Candidate,
        baseline: Candidate | None,
        *,
        agent: str,
        size: int,
        examples: int,
        share: float,
    ) -> None:
        self._source = source
        self._baseline = baseline
        self._agent = agent
        self._size = max(1, size)
        self._examples = examples
        self._most = max(1, round(100 / share)) if share > 0 else self._size
        self.reader = Reader(candidate, agent)
        self.judges = [Judge(candidate.image, every=self._most)]
        self._answers = Answers(candidate.image, self.judges[0])
        self._old: Answers | None = None
        if baseline is not None:
            self.judges.append(Judge(baseline.image, every=self._most))
            self._old = Answers(baseline.image, self.judges[1])
        self._sides: dict[tuple[str, str, tuple[str, ...]], Side] = {}
        reads = frozenset[str]().union(*counter_rules(candidate.image).values())
        self._reads_usage = "usage" in reads
        self.all_runs: Drift | None = Drift() if "lifetime" in reads else None

    def close(self) -> None:
        """Release the log."""
        self._source.close()

    @property
    def status(self) -> str:
        """Name of the engine, and why it is not the compiled one if it is not."""
        judge = self.judges[0]
        return f"{judge.name} ({judge.status})" if judge.status else judge.name

    def take(self, start: int, stop: int) -> Part:
        """Decide the records from `start` up to, not including, `stop`; runs from before are deferred."""
        part = Part(tally=Tally(examples=self._examples))
        sweep = _Sweep(self, part, part.drifts, begun=set())
        sweep.take(self._rows(start, stop))
        return part

    def take_in_order(self, start: int, stop: int, carry: dict[str, Drift]) -> Part:
        """Decide a range when all earlier ones are done; `carry` holds what runs left, and is brought on."""
        part = Part(tally=Tally(examples=self._examples))
        _Sweep(self, part, carry, begun=None).take(self._rows(start, stop))
        return part

    def take_deferred(self, indexes: Iterable[int], tally: Tally, carry: dict[str, Drift]) -> None:
        """Decide single records that were deferred, adding to `tally`."""
        sweep = _Sweep(self, Part(tally=tally), carry, begun=None)
        for index in indexes:
            rows = self._source.rows("decision", index, index + 1)
            sweep.take(rows)
            # They were counted when they were deferred.
            tally.decisions -= len(rows)

    def _rows(self, start: int, stop: int) -> Sequence[Row]:
        rows = self._source.rows("decision", start, stop)
        wanted = AT_LEAST * (stop - start) / self._size
        every = max(1, min(self._most, int(len(rows) / wanted)))
        for judge in self.judges:
            judge.every = every
        return rows

    def before(self, recorded: Recorded, request: Request) -> Side | str:
        """Return what the candidate is compared with, or why that cannot be asked."""
        baseline, answers = self._baseline, self._old
        if baseline is None or answers is None:
            key = (recorded.verdict, recorded.kind, tuple(recorded.rules))
            side = self._sides.get(key)
            if side is None:
                side = self._sides[key] = Side(verdict=key[0], kind=key[1], rules=key[2])
            return side
        unasked = baseline.unasked(request.action, request.resource.ref)
        if unasked:
            return unasked.replace("candidate", "old document")
        answer = answers.answer(baseline.seen(request, agent=self._agent))
        answer = _with_people(answer, recorded)
        return Side(verdict=answer.verdict, kind=answer.kind, rules=answer.rules)

    def after(self, recorded: Recorded, request: Request) -> Answer:
        """Return what the candidate says."""
        answer = self._answers.answer(request)
        return _with_people(answer, recorded) if answer.roles else answer

    def moved(self, request: Request, drift: Drift | None, tally: Tally) -> Request:
        """Return the request with the counters that the candidate would have left."""
        changed: JsonObject = {}
        if self._reads_usage and drift is not None and drift.moved:
            usage = request.context.get("usage")
            if isinstance(usage, dict):
                changed["usage"] = drift.applied(usage)
        if self.all_runs is not None and self.all_runs.moved:
            lifetime = request.context.get("lifetime")
            if isinstance(lifetime, dict):
                changed["lifetime"] = self.all_runs.applied(lifetime)
        if not changed:
            return request
        tally.moved += 1
        return Request(
            principal=request.principal,
            action=request.action,
            resource=request.resource,
            context={**request.context, **changed},
            entities=request.entities,
        )


class _Sweep:
    """Rows in log order into one part.

    Args:
        work: decides.
        part: receives the counts.
        drifts: what runs left so far; brought on.
        begun: runs that began in this range, brought on; None where nothing is deferred.
    """

    def __init__(
        self, work: RangeWork, part: Part, drifts: dict[str, Drift], *, begun: set[str] | None
    ) -> None:
        self._work = work
        self._part = part
        self._drifts = drifts
        self._begun = begun

    def take(self, rows: Sequence[Row]) -> None:
        """Decide rows."""
        tally, judges = self._part.tally, self._work.judges
        read, skipped = self._work.reader.read, tally.skipped
        checked = sum(judge.checked for judge in judges)
        for row in rows:
            found = read(row)
            if type(found) is Recorded:
                self._decide(found)
            else:
                skipped[cast("str", found)] += 1
        tally.decisions += len(rows)
        tally.checked += sum(judge.checked for judge in judges) - checked
        for judge in judges:
            if judge.divergence:
                tally.divergences.append(judge.divergence)
                judge.divergence = ""

    def _decide(self, recorded: Recorded) -> None:
        run, begun, work, tally = recorded.run, self._begun, self._work, self._part.tally
        if begun is not None and run not in begun:
            if recorded.step > 1:
                self._part.deferred.append(recorded.record)
                return
            begun.add(run)
        request, drift = recorded.request, self._drifts.get(run)
        if drift is not None or work.all_runs is not None:
            request = work.moved(request, drift, tally)
        before = work.before(recorded, request)
        if isinstance(before, str):
            tally.skipped[before] += 1
            return
        after = work.after(recorded, request)
        verdict, kind = before.verdict, before.kind
        tally.cells[request.action, verdict, kind, before.rules, after.verdict, after.kind, after.rules] += 1
        hour = tally.hours.get(recorded.at[:_HOUR])
        if hour is None:
            hour = tally.hours[recorded.at[:_HOUR]] = [0, 0]
        hour[0] += 1
        if after.verdict != verdict or (after.kind == "error" and kind != "error"):
            hour[1] += 1
            self._flip(recorded, request, before, after)
        elif drift is not None:
            # Rule 2 of `counters`: the recorded repetition of a call that was won before.
            drift.note(request, recorded.digest, verdict, verdict)

    def _flip(self, recorded: Recorded, request: Request, before: Side, answer: Answer) -> None:
        drift = self._drifts.get(recorded.run)
        follows = drift is not None
        if drift is None:
            drift = self._drifts[recorded.run] = Drift()
        after = Side(verdict=answer.verdict, kind=answer.kind, rules=answer.rules)
        for counters in (drift, self._work.all_runs):
            if counters is not None:
                counters.note(request, recorded.digest, before.verdict, after.verdict)
        change = change_of(before.verdict, before.kind, after.verdict, after.kind, same_rules=False)
        self._part.tally.note(
            Flip(
                index=recorded.record,
                at=recorded.at,
                run=recorded.run,
                action=request.action,
                resource=str(request.resource.ref),
                change=change,
                before=before,
                after=after,
                errors=answer.errors,
                caller=caller_of(request),
                follows=follows,
            )
        )


def _with_people(answer: Answer, recorded: Recorded) -> Answer:
    return with_people(answer, approved=recorded.roles, refused=recorded.kind == "approval_refused")


def caller_of(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the caller's attributes as texts, lists item by item, sorted by name."""
    named = request.context.get("caller")
    wanted = named.get("id") if isinstance(named, dict) else None
    for entity in (request.principal, *request.entities):
        if entity.ref.type == "Caller" and entity.ref.id == wanted:
            pairs: list[tuple[str, str]] = []
            for name, value in sorted(entity.attributes.items()):
                items = value if isinstance(value, list) else [value]
                pairs.extend((name, _text(item)) for item in items)
            return tuple(pairs)
    return ()


def _text(value: object) -> str:
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
