"""Requests that tell a changed policy from the original: looked for, and confirmed by the reference engine.

Rules
1. Candidates are questions that somebody could ask of the agent: the cases' own, and these with other values.
2. Values come from the two policies: what would make each apply or not (`remit.engine.trace.needs`), values
   at the edges of their comparisons (`remit.engine.compiled.goals`), and what they read taken away.
3. Where the changed policy comes to something else but the answer is the same, what hides it is lifted next.
4. Deterministic: chance is seeded by the mutant's id. Bounded: `MAX_TRIED` candidates.
"""

from __future__ import annotations

import json
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.engine.compiled.goals import ABSENT, Absent, GoalSetter
from remit.engine.trace.intake import Asked
from remit.engine.trace.needs import needs
from remit.engine.trace.walk import Evaluator
from remit.errors import EvaluationError
from remit.project.answers import settle
from remit.project.questions import question_members
from remit.workbench.askable import Askable
from remit.workbench.proposals import proposals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonValue
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.reads import Path
    from remit.engine.request import Request
    from remit.engine.trace.needs import Alternative
    from remit.engine.trace.tracer import PolicyTrace, TracedPolicy
    from remit.project.answers import Verdict
    from remit.project.questions import Question
    from remit.workbench.mutants import Mutant
    from remit.workbench.variant_engine import Original, VariantEngine

MAX_TRIED = 400
"""Candidates for one mutant."""

MAX_DEPTH = 3
"""Rounds of changes to one question."""

_GOALS = 12
"""Candidates by chance for each question and policy."""

_FLIPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A question that the original and the changed image answer otherwise.

    Args:
        question: what is asked.
        original: the answer of the image as it is.
        changed: the answer of the image with one policy changed.
    """

    question: Question
    original: Verdict
    changed: Verdict


@dataclass(frozen=True, slots=True)
class _State:
    base: Askable
    values: Mapping[Path, JsonValue | Absent]
    depth: int


class Teller:
    """Looks for telling requests under one image.

    Args:
        document: the agent.
        original: its image.
        reference: the reference engine, prepared from that image.
        prepare: prepares one from another image.
    """

    def __init__(
        self,
        document: Document,
        original: Original,
        reference: Engine,
        prepare: Callable[[PolicyImage], Engine],
    ) -> None:
        self._document = document
        self._original = original
        self._reference = reference
        self._prepare = prepare

    def find(self, mutant: Mutant, engine: VariantEngine, questions: Sequence[Question]) -> Telling | None:
        """Return a telling question, or nothing where none was found within the bound.

        Args:
            mutant: what was changed.
            engine: decides under the changed image.
            questions: to begin with.

        Raises:
            EvaluationError: the reference engine does not confirm what was found.
        """
        search = _Search(self._original, mutant, engine)
        for question in search.candidates([Askable(self._document, one) for one in questions]):
            request = Askable(self._document, question).request()
            told = self._told(question, request, self._reference, engine, engine)
            if told is None:
                continue
            reference = self._prepare(engine.image)
            confirmed = self._told(question, request, self._reference, reference, engine)
            if confirmed is None:
                raise EvaluationError(f"the policy engine does not confirm what tells `{mutant.id}` apart")
            return confirmed
        return None

    def _told(
        self, question: Question, request: Request, first: Engine, second: Engine, engine: VariantEngine
    ) -> Telling | None:
        original = settle(first, self._original.image, request)
        changed = settle(second, engine.image, request)
        if _answer(original) == _answer(changed):
            return None
        return Telling(question=question, original=original, changed=changed)


def _answer(verdict: Verdict) -> tuple[object, ...]:
    erring = tuple(sorted({failure.rule for failure in verdict.engine.errors}))
    return (verdict.decision, verdict.kind, verdict.rules, erring)


class _Search:
    """One search, breadth first over what was changed."""

    def __init__(self, original: Original, mutant: Mutant, engine: VariantEngine) -> None:
        self._original = original
        self._engine = engine
        self._chance = random.Random(mutant.id)  # noqa: S311  # candidates, not secrets
        self._policy = next(one for one in original.tracer.policies if one.rule == mutant.rule)
        self._sides = [one for one in (self._policy, engine.changed) if one is not None]

    def candidates(self, bases: Sequence[Askable]) -> Iterator[Question]:
        """Yield questions on which the changed policy comes to something else than the original."""
        ahead = deque(_State(base, {}, 0) for base in bases)
        seen: set[str] = set()
        tried = 0
        while ahead and tried < MAX_TRIED:
            state = ahead.popleft()
            question = state.base.with_values(state.values)
            request = state.base.make(state.values)
            if question is None or request is None:
                continue
            written = json.dumps(question_members(question), sort_keys=True)
            if written in seen:
                continue
            seen.add(written)
            tried += 1
            asked, other = self._original.tracer.ask(request), self._engine.ask(request)
            if not isinstance(asked, Asked) or not isinstance(other, Asked):
                if asked != other:
                    yield question
                continue
            if contribution(self._policy, asked) != contribution(self._engine.changed, other):
                yield question
                ahead.extend(self._unhidden(state, asked, request.action))
            if state.depth < MAX_DEPTH:
                ahead.extend(self._following(state, asked, other))

    def _following(self, state: _State, asked: Asked, other: Asked) -> Iterator[_State]:
        """Yield the states in which either policy applies, or does not; at first also what chance gives.

        Args:
            state: where the question stands now.
            asked: its request with what the original policies can read.
            other: the same with what the changed ones can read.
        """
        for policy in self._sides:
            here = asked if policy is self._policy else other
            evaluator = Evaluator(here)
            for applies in (True, False):
                for alternative in needs(policy, here, applies=applies):
                    yield from self._met(state, alternative, evaluator)
        if not state.depth:
            yield from self._apart(state)
            yield from self._by_chance(state)

    def _unhidden(self, state: _State, asked: Asked, action: str) -> Iterator[_State]:
        """Yield the states in which a forbid that decides beside the changed policy does not apply."""
        if state.depth >= MAX_DEPTH:
            return
        evaluator = Evaluator(asked)
        for policy in self._original.tracer.fitting(action):
            if policy is self._policy or policy.policy.effect != "forbid":
                continue
            if policy.trace(asked).applies == "satisfied":
                for alternative in needs(policy, asked, applies=False):
                    yield from self._met(state, alternative, evaluator)

    def _met(self, state: _State, alternative: Alternative, evaluator: Evaluator) -> Iterator[_State]:
        found: list[dict[Path, JsonValue | Absent]] = [{}]
        for need in alternative:
            proposed = [*proposals(need.step.node.expr, evaluator, truth=need.wanted)]
            found = [
                {**known, path: value}
                for known in found
                for wanted, given in proposed
                for path, value in self._admitted(state.base, wanted, given)
            ]
        for values in found:
            if values:
                yield _State(state.base, {**state.values, **values}, state.depth + 1)

    @staticmethod
    def _admitted(
        base: Askable, path: Path, value: JsonValue | Absent
    ) -> Iterator[tuple[Path, JsonValue | Absent]]:
        domain = base.domain(path)
        if domain is None or value in domain:
            yield path, value
        else:
            yield from ((path, other) for other in domain)

    def _apart(self, state: _State) -> Iterator[_State]:
        """Yield the states in which what the policies read is taken away, or is another of a few."""
        paths: set[Path] = set()
        for policy in self._sides:
            paths |= self._original.paths(policy) if policy is self._policy else self._engine.changed_paths
        for path in sorted(paths):
            for value in (ABSENT, *(state.base.domain(path) or ())):
                yield _State(state.base, {**state.values, path: value}, state.depth + 1)

    def _by_chance(self, state: _State) -> Iterator[_State]:
        """Yield the states that probes are made of: all comparisons at their edges, one of them turned."""
        for policy in self._sides:
            for number in range(_GOALS):
                setter = GoalSetter(self._chance, self._chance.randrange(_FLIPS) if number % 2 else -1)
                setter.policy(policy.policy)
                if setter.goal.values:
                    yield _State(state.base, {**state.values, **setter.goal.values}, state.depth + 1)


def _added(trace: PolicyTrace) -> str | None:
    """Return what a policy adds to a decision; nothing where it does not apply."""
    if trace.applies == "error":
        return "error"
    return trace.effect if trace.applies == "satisfied" else None


def contribution(policy: TracedPolicy | None, asked: Asked) -> str | None:
    """Return what a policy adds to the decision of a request: its effect, `error`, or nothing."""
    return None if policy is None else _added(policy.trace(asked))
