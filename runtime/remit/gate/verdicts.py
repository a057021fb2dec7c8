"""What a request comes to under one image, what people said included.

Rules
1. The question is the gate's own: nothing fulfilled, and where that denies, what would have to be fulfilled.
2. What people had approved counts as approved: asked is what rules would say, not whether the same person
   would say yes again. What a person refused stays refused where the rules ask for a person at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.rules import Approve
from remit.gate import obligations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Decision, Request

MAX_KNOWN = 20_000
"""Outcomes whose answers are kept; the reference engine makes a new value for every decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request comes to under one image.

    Args:
        verdict: allow, deny or awaiting_approval.
        kind: why: allowed, forbidden, not_permitted, error, awaiting_approval or approval_refused.
        rules: those that decided, sorted.
        roles: in which people must approve.
        permits: where people must approve, the rules that allow once they did.
        errors: what could not be evaluated, as `rule: message`.
    """

    verdict: str
    kind: str
    rules: tuple[str, ...]
    roles: frozenset[str] = frozenset()
    permits: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class Answers:
    """Answers under one image; equal outcomes are one value.

    Args:
        image: the policy image.
        engine: prepared from it.
    """

    def __init__(self, image: PolicyImage, engine: Engine) -> None:
        self._image = image
        self._engine = engine
        self._known: dict[int, tuple[Decision, Answer]] = {}
        self._bearing: dict[str, bool] = {}

    def answer(self, request: Request) -> Answer:
        """Decide one request with nothing fulfilled, and say what people would have to approve."""
        request.context["fulfilled"] = []
        decision = self._engine.decide(request)
        if decision.allowed or not (decision.errors or self._has_obligations(request.action)):
            # INVARIANT (nothing to settle): `obligations.settle` returns this very decision where it allows,
            # and where no forbid of the action could be lifted.
            known = self._known.get(id(decision))
            if known is not None and known[0] is decision:
                return known[1]
            answer = self._plain(decision)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            # The decision is kept alive beside its answer, so that its id stays its own.
            self._known[id(decision)] = (decision, answer)
            return answer
        if decision.errors:
            return _erred(decision)
        settled = obligations.settle(_Begun(self._engine, decision), self._image, request)
        waiting = {rule.id: roles for rule in settled.rules if (roles := _roles(rule.obligations))}
        if not settled.decision.allowed:
            return self._plain(settled.decision)
        if waiting:
            return _awaiting(waiting, settled.decision)
        return self._plain(settled.decision)

    def _plain(self, decision: Decision) -> Answer:
        if decision.errors:
            return _erred(decision)
        if not decision.allowed:
            return Answer(verdict="deny", kind=decision.kind, rules=decision.reasons)
        bearing = {
            rule: roles for rule in decision.reasons if (roles := _roles(self._image.rules[rule].obligations))
        }
        if bearing:
            return _awaiting(bearing, decision)
        return Answer(verdict="allow", kind="allowed", rules=decision.reasons)

    def _has_obligations(self, action: str) -> bool:
        known = self._bearing.get(action)
        if known is None:
            known = self._bearing[action] = any(
                rule.effect == "forbid" and rule.obligations and (not rule.actions or action in rule.actions)
                for rule in self._image.rules.values()
            )
        return known


class _Begun:
    """An engine whose next question, the one with nothing fulfilled, is answered already.

    INVARIANT (plain first): `obligations.settle` begins with exactly that question; tests compare answers.
    """

    def __init__(self, engine: Engine, first: Decision) -> None:
        self._engine = engine
        self._first: Decision | None = first

    @property
    def name(self) -> str:
        """Name of the engine behind."""
        return self._engine.name

    def decide(self, request: Request) -> Decision:
        """Answer the first question with what is known, every other one by the engine."""
        first, self._first = self._first, None
        return self._engine.decide(request) if first is None else first


def _awaiting(waiting: Mapping[str, frozenset[str]], decision: Decision) -> Answer:
    return Answer(
        verdict="awaiting_approval",
        kind="awaiting_approval",
        rules=tuple(sorted(waiting)),
        roles=frozenset[str]().union(*waiting.values()),
        permits=decision.reasons,
    )


def _erred(decision: Decision) -> Answer:
    return Answer(
        verdict="deny",
        kind="error",
        rules=tuple(sorted({failure.rule for failure in decision.errors if failure.rule})),
        errors=tuple(
            f"{failure.rule}: {failure.message}" if failure.rule else failure.message
            for failure in decision.errors
        ),
    )


def _roles(duties: Iterable[object]) -> frozenset[str]:
    return frozenset(duty.by for duty in duties if isinstance(duty, Approve))


def with_people(answer: Answer, *, approved: frozenset[str], refused: bool) -> Answer:
    """Return the answer once people said what they had said (rule 2).

    Args:
        answer: what the rules say.
        approved: roles in which people had approved exactly this request.
        refused: whether a person had refused it.
    """
    if answer.verdict != "awaiting_approval":
        return answer
    if refused:
        return Answer(verdict="deny", kind="approval_refused", rules=answer.rules)
    if approved and answer.roles <= approved:
        return Answer(verdict="allow", kind="allowed", rules=answer.permits)
    return answer
