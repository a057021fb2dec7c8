"""Why a request was decided as it was, and what would have given the other answer.

Rules
1. The decision is the reference engine's; the trace must come to the same, or nothing is explained.
2. What is missing is told per rule: conditions, with the values they had (`remit.engine.trace.needs`).
3. A changed request is shown only after the reference engine has decided it, and with as few changes as were
   found within a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal, Protocol

from remit.engine.trace.intake import Asked
from remit.engine.trace.needs import needs
from remit.engine.trace.tracer import Tracer
from remit.engine.trace.walk import Evaluator
from remit.errors import PolicyError
from remit.workbench.proposals import proposals
from remit.workbench.request_values import value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from remit.document.values import JsonValue
    from remit.engine.compiled.goals import Absent
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.reads import Path
    from remit.engine.request import Decision, Request
    from remit.engine.trace.needs import Alternative, Need
    from remit.engine.trace.tracer import Trace, TracedPolicy

MAX_TRIED = 200
"""Changed requests that are traced in search of one that gives the other answer."""

MAX_CHANGES = 6
_WANTED_OF_FORBIDS = 3
"""Rules that are named where an allow would need any of them to deny."""

Turn = Literal["apply", "not apply", "not err"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What one rule lacked for the other answer.

    Args:
        rule: its id.
        turn: what it would have to do.
        needs: the fewest conditions that would have to be otherwise; empty where no request could do it.
        scope: constraints of its scope that do not match, where that is what stands in the way.
    """

    rule: str
    turn: Turn
    needs: Alternative = ()
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value of a request that is another.

    Args:
        path: where it stands, as a policy names it.
        before: as it was; `ABSENT` where it was not there.
        after: as it would be; `ABSENT` where it would not be there.
    """

    path: Path
    before: JsonValue | Absent
    after: JsonValue | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A request that the reference engine answers the other way.

    Args:
        changes: what is other, sorted by path.
        decision: the reference engine's.
    """

    changes: tuple[Change, ...]
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a request was decided as it was.

    Args:
        decision: the reference engine's.
        trace: what every policy came to; None where that cannot be told.
        note: why not; empty where it is told.
        missing: what each rule lacked for the other answer; rules that must all turn come first.
        suggestion: a request with the other answer; None where none was found within the bound.
    """

    decision: Decision
    trace: Trace | None
    note: str = ""
    missing: tuple[Missing, ...] = ()
    suggestion: Suggestion | None = None


class Variants(Protocol):
    """Requests that differ from one in some values; `remit.workbench.askable` has those of an agent."""

    def domain(self, path: Path) -> tuple[JsonValue, ...] | None:
        """Return the only values that can stand at a path; None where any of its type can."""
        ...

    def make(self, values: Mapping[Path, JsonValue | Absent]) -> Request | None:
        """Return the request with other values; nothing where there can be none."""
        ...


def explain(image: PolicyImage, engine: Engine, request: Request, variants: Variants) -> Explanation:
    """Explain one decision.

    Args:
        image: the policies.
        engine: the reference engine, prepared from `image`.
        request: what was asked.
        variants: what else could have been asked.
    """
    decision = engine.decide(request)
    try:
        tracer = Tracer(image)
    except PolicyError as error:
        return Explanation(decision=decision, trace=None, note=f"the policies cannot be explained: {error}")
    trace = tracer.trace(request)
    if not _agree(trace, decision):
        note = "the explanation and the policy engine disagree, so nothing is explained; please report it"
        return Explanation(decision=decision, trace=None, note=note)
    asked = tracer.ask(request)
    if not isinstance(asked, Asked):
        return Explanation(decision=decision, trace=trace)
    own = frozenset(info.id for info in image.rules.values() if info.pointer)
    return Explanation(
        decision=decision,
        trace=trace,
        missing=tuple(_missing(tracer, trace, asked, request.action, own)),
        suggestion=_Search(tracer, engine, request, variants, own).run(allow=not decision.allowed),
    )


def _agree(trace: Trace, decision: Decision) -> bool:
    erring = frozenset(failure.rule for failure in decision.errors)
    if trace.faults or "" in erring:
        return bool(trace.faults) and "" in erring
    return (trace.kind, trace.reasons, trace.erring) == (decision.kind, decision.reasons, erring)


def _missing(
    tracer: Tracer, trace: Trace, asked: Asked, action: str, own: frozenset[str]
) -> Iterator[Missing]:
    by_rule = {policy.rule: policy for policy in tracer.fitting(action)}
    if trace.kind != "allowed":
        for traced in trace.policies:
            if traced.applies == "error":
                policy = by_rule[traced.rule]
                mended = (*needs(policy, asked, applies=True), *needs(policy, asked, applies=False))
                yield Missing(rule=traced.rule, turn="not err", needs=min(mended, key=len, default=()))
            elif traced.effect == "forbid" and traced.applies == "satisfied":
                yield _turned(by_rule[traced.rule], asked, "not apply")
        permits = [one for one in trace.policies if one.effect == "permit"]
        if not any(one.applies == "satisfied" for one in permits):
            lacking = (
                _turned(by_rule[one.rule], asked, "apply") for one in permits if one.applies == "unsatisfied"
            )
            nearest = _nearest(lacking, own)
            yield from nearest or _elsewhere(trace, frozenset(by_rule))
        return
    forbids = (one for one in trace.policies if one.effect == "forbid" and one.applies == "unsatisfied")
    lacking = (_turned(by_rule[one.rule], asked, "apply") for one in forbids)
    yield from _nearest(lacking, own)[:_WANTED_OF_FORBIDS]
    for rule in trace.reasons:
        found = _turned(by_rule[rule], asked, "not apply")
        if found.needs:
            yield found


def _turned(policy: TracedPolicy, asked: Asked, turn: Turn) -> Missing:
    found = needs(policy, asked, applies=turn == "apply")
    return Missing(rule=policy.rule, turn=turn, needs=found[0] if found else ())


def _nearest(found: Iterator[Missing], own: frozenset[str]) -> list[Missing]:
    """Return what lacks least, the author's own rules before the base rules."""
    return sorted((one for one in found if one.needs), key=lambda one: (one.rule not in own, len(one.needs)))


def _elsewhere(trace: Trace, fitting: frozenset[str]) -> Iterator[Missing]:
    """Yield the permits for this action that are for other principals or resources."""
    for one in trace.policies:
        if one.effect == "permit" and one.rule in fitting and one.applies == "out of scope":
            scope = tuple(part.text for part in one.scope if not part.holds)
            yield Missing(rule=one.rule, turn="apply", scope=scope)


_State = tuple[tuple["Path", "JsonValue | Absent"], ...]


class _Search:
    """Looks for a request with the other answer: fewest changes first, each a value near its condition."""

    def __init__(
        self,
        tracer: Tracer,
        engine: Engine,
        request: Request,
        variants: Variants,
        own: frozenset[str],
    ) -> None:
        self._tracer = tracer
        self._engine = engine
        self._request = request
        self._variants = variants
        self._own = own

    def run(self, *, allow: bool) -> Suggestion | None:
        ahead: list[tuple[int, int, _State]] = [(0, 0, ())]
        seen: set[str] = {repr(())}
        tried = number = 0
        while ahead and tried < MAX_TRIED:
            _, _, state = heappop(ahead)
            request = self._variants.make(dict(state)) if state else self._request
            if request is None:
                continue
            tried += 1
            asked = self._tracer.ask(request)
            if not isinstance(asked, Asked):
                continue
            trace = self._tracer.trace(request)
            if state and (trace.kind == "allowed") is allow and trace.kind != "error":
                decision = self._engine.decide(request)
                if decision.allowed is allow and not decision.errors:
                    return Suggestion(changes=self._changes(state), decision=decision)
            for following in self._following(trace, asked, request.action, dict(state), allow=allow):
                if len(following) <= MAX_CHANGES and repr(following) not in seen:
                    seen.add(repr(following))
                    number += 1
                    heappush(ahead, (len(following), number, following))
        return None

    def _following(
        self,
        trace: Trace,
        asked: Asked,
        action: str,
        state: dict[Path, JsonValue | Absent],
        *,
        allow: bool,
    ) -> Iterator[_State]:
        evaluator = Evaluator(asked)
        for policy, applies in self._turns(trace, action, allow=allow):
            for alternative in needs(policy, asked, applies=applies):
                yield from self._met(alternative, evaluator, state)

    def _turns(self, trace: Trace, action: str, *, allow: bool) -> Iterator[tuple[TracedPolicy, bool]]:
        """Yield the policies that would have to turn next, and how."""
        by_rule = {policy.rule: policy for policy in self._tracer.fitting(action)}
        traced = [one for one in trace.policies if one.applies != "out of scope"]
        traced.sort(key=lambda one: one.rule not in self._own)
        wrong = [one for one in traced if one.applies == "error"]
        if wrong:
            yield by_rule[wrong[0].rule], False
            yield by_rule[wrong[0].rule], True
        elif allow:
            applying = [one for one in traced if one.effect == "forbid" and one.applies == "satisfied"]
            if applying:
                yield by_rule[applying[0].rule], False
            else:
                yield from ((by_rule[one.rule], True) for one in traced if one.effect == "permit")
        else:
            for one in traced:
                if one.effect == "forbid" or one.applies == "satisfied":
                    yield by_rule[one.rule], one.effect == "forbid"

    def _met(
        self, alternative: Alternative, evaluator: Evaluator, state: dict[Path, JsonValue | Absent]
    ) -> Iterator[_State]:
        """Yield the state with every need of an alternative met by one proposal each."""
        states: list[dict[Path, JsonValue | Absent]] = [{}]
        for need in alternative:
            states = [
                {**known, path: value}
                for known in states
                for path, value in self._proposed(need, evaluator)
                if known.get(path, value) == value
            ]
        states = [state | found for found in states]
        for found in states:
            kept = {path: value for path, value in found.items() if self._before(path) != value}
            yield tuple(sorted(kept.items(), key=lambda item: item[0]))

    def _proposed(self, need: Need, evaluator: Evaluator) -> Iterator[tuple[Path, JsonValue | Absent]]:
        for path, value in proposals(need.step.node.expr, evaluator, truth=need.wanted):
            domain = self._variants.domain(path)
            if domain is None or value in domain:
                yield path, value
            else:
                yield from ((path, other) for other in domain)

    def _before(self, path: Path) -> JsonValue | Absent:
        return value_at(self._request, path, self._tracer.intake.types)

    def _changes(self, state: _State) -> tuple[Change, ...]:
        return tuple(Change(path=path, before=self._before(path), after=value) for path, value in state)
