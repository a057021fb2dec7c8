"""What every policy of an image came to on one request, and what that amounts to.

Rules
1. The outcome (kind, reasons, erring rules) is the reference engine's; tests hold it to that on random pairs.
2. A policy whose scope does not match is out of scope: its conditions are not evaluated and cannot err.
3. Clauses are evaluated in their order and joined like `&&`: what stands behind one that fails is left out.
4. Pure: no clock, no randomness, no input or output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cedarpy import pst

from remit.engine.compiled.program import action_fits
from remit.engine.compiled.support import check_types, supported_policies
from remit.engine.evaluation.intake import Asked, Intake
from remit.engine.evaluation.nodes import Node, node_of
from remit.engine.evaluation.source import scope_text
from remit.engine.evaluation.walk import Step, Walker, scope_holds, skipped
from remit.engine.reads import read_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.engine.compiled.values import Uid
    from remit.engine.image import PolicyImage
    from remit.engine.reads import Path
    from remit.engine.request import Decision, Kind, Request

MAX_DEPTH = 100
"""Levels of an expression; the binding's syntax tree holds no more."""

Applies = Literal["satisfied", "unsatisfied", "error", "out of scope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeStep:
    """What one constraint of a scope came to.

    Args:
        text: its Cedar source, such as `principal is Remit::Agent`.
        holds: whether it admits the request.
        value: the entity that was asked about.
    """

    text: str
    holds: bool
    value: Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseStep:
    """What one clause came to.

    Args:
        unless: whether it is an `unless`.
        step: its expression.
    """

    unless: bool
    step: Step

    @property
    def holds(self) -> bool | None:
        """Whether the clause lets its policy apply; nothing where it errs or was left out."""
        truth = self.step.truth
        return None if truth is None else truth is not self.unless


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEvaluation:
    """What one policy came to.

    Args:
        rule: its rule id.
        effect: permit or forbid.
        applies: what it came to.
        scope: its constraints that constrain anything: principal, action, resource.
        clauses: in order; all left out where the scope does not match.
    """

    rule: str
    effect: pst.Effect
    applies: Applies
    scope: tuple[ScopeStep, ...]
    clauses: tuple[ClauseStep, ...]

    @property
    def error(self) -> str:
        """Why it errs; empty where it does not."""
        return next((clause.step.error for clause in self.clauses if clause.step.error), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an image came to on one request.

    Args:
        kind: as in a decision.
        reasons: as in a decision.
        erring: ids of the rules that erred.
        faults: why the request cannot be asked; then no policy was looked at.
        policies: all that were looked at, in image order.
    """

    kind: Kind
    reasons: tuple[str, ...]
    erring: frozenset[str]
    faults: tuple[str, ...]
    policies: tuple[PolicyEvaluation, ...]


class ImageEvaluator:
    """Explains requests under one policy image.

    Args:
        image: what `remit.policy` compiled.

    Raises:
        Unsupported: the policies have no syntax tree, or hold a template.
        PolicyError: the image does not load.
    """

    def __init__(self, image: PolicyImage) -> None:
        self.intake = Intake(image.schema)
        check_types(self.intake.types)
        policies = supported_policies(image.policies, max_depth=MAX_DEPTH)
        self.policies = tuple(WalkedPolicy(rule, policy) for rule, policy in policies.items())
        self._reads = read_paths(image, policies.values())
        self._fitting: dict[str, tuple[WalkedPolicy, ...]] = {}

    def reads(self, action: str) -> frozenset[Path]:
        """Return what the policies for a declared action can read."""
        return self._reads[action]

    def fitting(self, action: str) -> tuple[WalkedPolicy, ...]:
        """Return the policies whose scope admits a declared action, in image order."""
        found = self._fitting.get(action)
        if found is None:
            declared = self.intake.types.actions[action]
            found = tuple(one for one in self.policies if action_fits(one.policy.action, declared))
            self._fitting[action] = found
        return found

    def ask(self, request: Request) -> Asked | tuple[str, ...]:
        """Return a request as values, or why it cannot be asked."""
        if not self.policies:
            return ("the policy image holds no policies, so nothing is permitted",)
        if request.action not in self.intake.types.actions:
            return (f"the action `{request.action}` is not in the schema",)
        return self.intake.take(request, self._reads[request.action])

    def evaluate(self, request: Request) -> Evaluation:
        """Explain one request.

        Raises:
            TypeError, AttributeError: the request is no JSON at all.
        """
        asked = self.ask(request)
        if not isinstance(asked, Asked):
            return Evaluation(kind="error", reasons=(), erring=frozenset(), faults=asked, policies=())
        return outcome_of(policy.evaluate(asked) for policy in self.policies)


class WalkedPolicy:
    """One policy, ready to be walked.

    Args:
        rule: its rule id.
        policy: its syntax tree.
    """

    __slots__ = ("_clauses", "_scope", "policy", "rule")

    def __init__(self, rule: str, policy: pst.Template) -> None:
        self.rule = rule
        self.policy = policy
        self._scope = tuple(
            (root, constraint, scope_text(root, constraint))
            for root, constraint in (
                ("principal", policy.principal),
                ("action", policy.action),
                ("resource", policy.resource),
            )
            if not isinstance(constraint, pst.ScopeAny)
        )
        self._clauses = tuple(
            (isinstance(clause, pst.Unless), node_of(clause.expr, str(number)))
            for number, clause in enumerate(policy.clauses)
        )

    @property
    def clauses(self) -> tuple[tuple[bool, Node], ...]:
        """Whether it is an `unless`, and the expression, of every clause."""
        return self._clauses

    def evaluate(self, asked: Asked) -> PolicyEvaluation:
        """Walk the policy on one request."""
        uids: Mapping[str, Uid] = {
            "principal": asked.principal,
            "action": asked.action,
            "resource": asked.resource,
        }
        scope = tuple(
            ScopeStep(text=text, holds=scope_holds(constraint, uids[root], asked), value=uids[root])
            for root, constraint, text in self._scope
        )
        applies: Applies = "satisfied" if all(part.holds for part in scope) else "out of scope"
        walker = Walker(asked)
        clauses: list[ClauseStep] = []
        for unless, node in self._clauses:
            step = walker.condition(node) if applies == "satisfied" else skipped(node)
            clause = ClauseStep(unless=unless, step=step)
            clauses.append(clause)
            if step.status == "error":
                applies = "error"
            elif clause.holds is False:
                applies = "unsatisfied"
        return PolicyEvaluation(
            rule=self.rule,
            effect=self.policy.effect,
            applies=applies,
            scope=scope,
            clauses=tuple(clauses),
        )


def outcome_of(policies: Iterable[PolicyEvaluation]) -> Evaluation:
    """Return what policies amount to, by Cedar's rules and with errors denying."""
    evaluated = tuple(policies)
    permits = sorted(one.rule for one in evaluated if one.applies == "satisfied" and one.effect == "permit")
    forbids = sorted(one.rule for one in evaluated if one.applies == "satisfied" and one.effect == "forbid")
    erring = frozenset(one.rule for one in evaluated if one.applies == "error")
    kind: Kind = "forbidden" if forbids else "allowed" if permits else "not_permitted"
    # As in the reference engine: permits that matched do not determine a deny.
    reasons = forbids if erring or forbids else permits
    return Evaluation(
        kind="error" if erring else kind,
        reasons=tuple(reasons),
        erring=erring,
        faults=(),
        policies=evaluated,
    )


def agrees(evaluation: Evaluation, decision: Decision) -> bool:
    """Return whether an evaluation came to what an engine decided: kind, reasons, erring rules.

    Of a request that cannot be asked only that is compared; each engine words the faults by itself.
    """
    erring = frozenset(failure.rule for failure in decision.errors)
    if evaluation.faults or "" in erring:
        return bool(evaluation.faults) and "" in erring
    found = (evaluation.kind, evaluation.reasons, evaluation.erring)
    return found == (decision.kind, decision.reasons, erring)
