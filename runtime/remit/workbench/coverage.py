"""What requests reach of an image: rules, their conditions both ways, actions allowed and denied.

Rules
1. Counted are the rules of the document; base rules are Remit's own and tested there.
2. A rule is evaluated where its scope matched, and decisive where it is a reason of the decision.
3. A branch is a `when` or an `unless`, an operand of `&&` or `||`, or the test of an `if`; it has two ways.
   What was left out, or erred, went neither way.
4. An action counts if it is a tool of the document or a rule of the document names it. It has two ways,
   allowed and denied; allowed counts only where some permit admits the action.
5. A total is a share of ways, in per cent, rounded down: 100 means all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cedarpy import pst

from remit.engine.evaluation.evaluator import ImageEvaluator, agrees
from remit.engine.evaluation.nodes import within
from remit.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from remit.document.values import JsonObject
    from remit.engine.evaluation.evaluator import PolicyEvaluation, WalkedPolicy
    from remit.engine.evaluation.nodes import Node
    from remit.engine.evaluation.walk import Step
    from remit.engine.image import PolicyImage, RuleInfo
    from remit.engine.request import Decision, Request

SIGNS = {"and": "&&", "or": "||"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Part of a whole.

    Args:
        covered: how many.
        total: of how many.
    """

    covered: int
    total: int

    @property
    def percent(self) -> float:
        """Per cent with one place, rounded down; of nothing, all is covered."""
        return self.covered * 1000 // self.total / 10 if self.total else 100.0

    def to_json(self) -> JsonObject:
        """Return the share as a JSON object with stable keys."""
        return {"covered": self.covered, "total": self.total, "percent": self.percent}


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A condition of a rule, and how often it went each way.

    Args:
        kind: `when`, `unless`, `&&`, `||` or `if`.
        place: see `remit.engine.evaluation.nodes`.
        text: its Cedar source.
        true: how often it was true.
        false: how often it was false.
        errors: how often it erred.
    """

    kind: str
    place: str
    text: str
    true: int
    false: int
    errors: int

    def to_json(self) -> JsonObject:
        """Return the branch as a JSON object with stable keys."""
        return {
            "kind": self.kind,
            "place": self.place,
            "text": self.text,
            "true": self.true,
            "false": self.false,
            "errors": self.errors,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCoverage:
    """What requests reached of one rule.

    Args:
        rule: its id.
        effect: permit or forbid.
        origin: where it was written; empty where that is not known.
        evaluated: how often its scope matched.
        applied: how often its conditions held.
        decisive: how often it was a reason of the decision.
        errors: how often it erred.
        branches: its conditions, in order.
    """

    rule: str
    effect: str
    origin: str
    evaluated: int
    applied: int
    decisive: int
    errors: int
    branches: tuple[Branch, ...]

    def to_json(self) -> JsonObject:
        """Return the rule as a JSON object with stable keys."""
        return {
            "rule": self.rule,
            "effect": self.effect,
            "origin": self.origin,
            "evaluated": self.evaluated,
            "applied": self.applied,
            "decisive": self.decisive,
            "errors": self.errors,
            "branches": [branch.to_json() for branch in self.branches],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCoverage:
    """What became of the requests for one action.

    Args:
        action: its name.
        tool: whether it is a tool.
        allowable: whether some permit admits it.
        allowed: how often it was allowed.
        denied: how often it was denied.
    """

    action: str
    tool: bool
    allowable: bool
    allowed: int
    denied: int

    def to_json(self) -> JsonObject:
        """Return the action as a JSON object with stable keys."""
        return {
            "action": self.action,
            "tool": self.tool,
            "allowable": self.allowable,
            "allowed": self.allowed,
            "denied": self.denied,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What requests reach of an image.

    Args:
        requests: how many were asked.
        rules: of the document, in image order.
        actions: sorted by name.
    """

    requests: int
    rules: tuple[RuleCoverage, ...]
    actions: tuple[ActionCoverage, ...]

    @property
    def evaluated(self) -> Share:
        """Rules that were evaluated."""
        return _share(rule.evaluated for rule in self.rules)

    @property
    def decisive(self) -> Share:
        """Rules that were decisive."""
        return _share(rule.decisive for rule in self.rules)

    @property
    def branches(self) -> Share:
        """Ways of branches."""
        branches = (branch for rule in self.rules for branch in rule.branches)
        return _share(way for branch in branches for way in (branch.true, branch.false))

    @property
    def outcomes(self) -> Share:
        """Ways of actions."""
        ways = ((one.allowed, one.denied) if one.allowable else (one.denied,) for one in self.actions)
        return _share(way for action in ways for way in action)

    @property
    def total(self) -> Share:
        """All of these together."""
        parts = (self.evaluated, self.decisive, self.branches, self.outcomes)
        return Share(covered=sum(part.covered for part in parts), total=sum(part.total for part in parts))

    def to_json(self) -> JsonObject:
        """Return the coverage as a JSON object with stable keys."""
        return {
            "requests": self.requests,
            "total": self.total.to_json(),
            "evaluated": self.evaluated.to_json(),
            "decisive": self.decisive.to_json(),
            "branches": self.branches.to_json(),
            "outcomes": self.outcomes.to_json(),
            "rules": [rule.to_json() for rule in self.rules],
            "actions": [action.to_json() for action in self.actions],
        }


def _share(counts: Iterable[int]) -> Share:
    ways = [count > 0 for count in counts]
    return Share(covered=sum(ways), total=len(ways))


def measure(
    image: PolicyImage, decided: Iterable[tuple[Request, Decision]], *, tools: Collection[str]
) -> Coverage:
    """Evaluate requests that were decided and note what they reach.

    Args:
        image: the policies.
        decided: each request with an engine's answer to it under `image`.
        tools: names of the document's tools.

    Raises:
        EvaluationError: the evaluation and the engine disagree, so nothing can be said.
        PolicyError: the image cannot be walked.
    """
    evaluator = ImageEvaluator(image)
    own = {rule: info for rule, info in image.rules.items() if info.pointer}
    tallies = {policy.rule: _Tally(policy) for policy in evaluator.policies if policy.rule in own}
    allowed: dict[str, int] = {}
    denied: dict[str, int] = {}
    for request, decision in decided:
        evaluation = evaluator.evaluate(request)
        if not agrees(evaluation, decision):
            raise EvaluationError(f"the evaluation of `{request.action}` and the policy engine disagree")
        counts = allowed if decision.allowed else denied
        counts[request.action] = counts.get(request.action, 0) + 1
        for policy in evaluation.policies:
            if policy.rule in tallies:
                tallies[policy.rule].note(policy, decision)
    return Coverage(
        requests=sum(allowed.values()) + sum(denied.values()),
        rules=tuple(tallies[rule].coverage(info) for rule, info in own.items() if rule in tallies),
        actions=tuple(
            ActionCoverage(
                action=action,
                tool=action in tools,
                allowable=_allowable(image, action),
                allowed=allowed.get(action, 0),
                denied=denied.get(action, 0),
            )
            for action in sorted({*tools, *(name for info in own.values() for name in info.actions)})
            if action in evaluator.intake.types.actions and evaluator.intake.types.actions[action].principals
        ),
    )


def _allowable(image: PolicyImage, action: str) -> bool:
    return any(
        info.effect == "permit" and (not info.actions or action in info.actions)
        for info in image.rules.values()
    )


@dataclass(slots=True)
class _Ways:
    true: int = 0
    false: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Tally:
    """Counts of one rule."""

    policy: WalkedPolicy
    evaluated: int = 0
    applied: int = 0
    decisive: int = 0
    errors: int = 0
    ways: dict[str, _Ways] = field(default_factory=dict[str, _Ways])

    def note(self, evaluation: PolicyEvaluation, decision: Decision) -> None:
        """Count what one request came to."""
        if evaluation.applies == "out of scope":
            return
        self.evaluated += 1
        self.applied += evaluation.applies == "satisfied"
        self.errors += evaluation.applies == "error"
        self.decisive += evaluation.rule in decision.reasons
        for clause in evaluation.clauses:
            self._walk(clause.step)

    def _walk(self, step: Step) -> None:
        ways = self.ways.setdefault(step.node.place, _Ways())
        ways.true += step.truth is True
        ways.false += step.truth is False
        ways.errors += step.status == "error"
        for inner in step.inner:
            self._walk(inner)

    def coverage(self, info: RuleInfo) -> RuleCoverage:
        """Return the counts with where the rule was written."""
        return RuleCoverage(
            rule=info.id,
            effect=info.effect,
            origin=info.origin,
            evaluated=self.evaluated,
            applied=self.applied,
            decisive=self.decisive,
            errors=self.errors,
            branches=tuple(_branch(kind, node, self.ways) for kind, node in branch_points(self.policy)),
        )


def _branch(kind: str, node: Node, ways: Mapping[str, _Ways]) -> Branch:
    found = ways.get(node.place, _Ways())
    return Branch(
        kind=kind,
        place=node.place,
        text=node.text,
        true=found.true,
        false=found.false,
        errors=found.errors,
    )


def branch_points(policy: WalkedPolicy) -> Iterator[tuple[str, Node]]:
    """Yield the branches of a policy with their kinds, in order; what is written out goes one way only."""
    for unless, clause in policy.clauses:
        if not isinstance(clause.expr, pst.BoolLit):
            yield ("unless" if unless else "when"), clause
        for node in within(clause):
            tests = node.inner[:1] if isinstance(node.expr, pst.IfThenElse) else ()
            points = node.inner if node.connective else tests
            kind = SIGNS.get(node.connective, "if")
            yield from ((kind, point) for point in points if not isinstance(point.expr, pst.BoolLit))
