"""The mutation score of a project's cases: rules are changed on purpose, and a case must notice.

Rules
1. A mutant that Cedar's validator refuses is not counted: nobody could have compiled it.
2. A mutant is killed where a case fails under it. Cases must all pass under the image as it is.
3. For a mutant that no case notices a telling request is looked for. Where one is found, and the reference
   engine answers it otherwise under the two images, the mutant survived: the cases have a gap there.
4. Where none is found within the bound, the mutant is probably equivalent: listed apart, not counted.
5. Base rules are not changed: they are Remit's own, and tested there.
6. Deterministic: the same project gives the same report.

Only the changed policy is walked for most mutants and cases: a case whose requests it answers as before
cannot come to anything else (`_Baseline`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cedarpy

from remit.engine.cedar import CedarEngine
from remit.engine.compiled.program import action_fits
from remit.engine.evaluation.evaluator import ImageEvaluator, agrees
from remit.engine.evaluation.intake import Asked
from remit.engine.evaluation.source import policy_text
from remit.engine.reads import action_members
from remit.errors import EvaluationError
from remit.workbench.coverage import Share
from remit.workbench.defaults import default_question
from remit.workbench.mutants import Mutant, mutants_of
from remit.workbench.telling import Teller, Telling, contribution
from remit.workbench.variant_engine import Original, VariantEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from remit.document.model import Document
    from remit.engine.evaluation.evaluator import WalkedPolicy
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Decision, Request
    from remit.project.questions import Question
    from remit.workbench.asked_cases import AskedCase

MAX_BASES = 8
"""Questions of cases from which a search begins, for one mutant."""

MAX_DEFAULTS = 8
"""Actions without a case for which a question is made, for one mutant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A mutant that a case noticed.

    Args:
        mutant: what was changed.
        case: the name of the first case that failed.
    """

    mutant: Mutant
    case: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A mutant that no case noticed, with a request that tells it from the original.

    Args:
        mutant: what was changed.
        telling: the request and both answers.
    """

    mutant: Mutant
    telling: Telling


@dataclass(frozen=True, slots=True, kw_only=True)
class MutationReport:
    """What the cases noticed.

    Args:
        killed: mutants that a case noticed.
        survivors: mutants that no case noticed though a request tells them apart.
        untold: mutants for which no telling request was found: probably equivalent.
        rejected: how many the validator refused.
    """

    killed: tuple[Killed, ...]
    survivors: tuple[Survivor, ...]
    untold: tuple[Mutant, ...]
    rejected: int

    @property
    def score(self) -> Share:
        """Killed mutants of all that can be told apart."""
        return Share(covered=len(self.killed), total=len(self.killed) + len(self.survivors))


class _Recorder:
    """Decides as another engine does and keeps the requests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._engine.name

    def decide(self, request: Request) -> Decision:
        self.requests.append(request)
        return self._engine.decide(request)


@dataclass(slots=True)
class _Baseline:
    """One case under the image as it is.

    INVARIANT (same requests, same answers): how a case is decided follows from the answers to its requests
    and from effects, obligations and actions of rules alone. Where these stay, so does its result.
    """

    case: AskedCase
    requests: list[Request]
    asked: list[Asked | tuple[str, ...]]


class MutationRun:
    """Changes the rules of one agent and runs its cases.

    Args:
        document: the agent.
        image: its compiled governance.
        cases: what it promises.
        reference: prepares the engine that is the judge; tests give another one to see it overruled.

    Raises:
        EvaluationError: a case fails under the image as it is, or evaluation and reference engine disagree.
        PolicyError: the image cannot be walked.
    """

    def __init__(
        self,
        document: Document,
        image: PolicyImage,
        cases: Sequence[AskedCase],
        *,
        reference: Callable[[PolicyImage], Engine] = CedarEngine,
    ) -> None:
        self._image = image
        self._reference = reference(image)
        self._evaluator = ImageEvaluator(image)
        self._original = Original(image, self._evaluator, action_members(image.schema))
        self._schema = cedarpy.Schema.from_json_str(json.dumps(image.schema))
        self._teller = Teller(document, self._original, self._reference, reference)
        self._document = document
        self._baselines: dict[str, list[tuple[int, _Baseline]]] = {}
        for number, case in enumerate(cases):
            asked = self._baselines.setdefault(case.request.action, [])
            asked.append((number, self._baseline(case)))

    def run(
        self,
        *,
        only: Callable[[Mutant], bool] = lambda _: True,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> MutationReport:
        """Try all mutants.

        Args:
            only: which of them.
            progress: is told how many rules of how many are done.
        """
        killed: list[Killed] = []
        survivors: list[Survivor] = []
        untold: list[Mutant] = []
        rejected = 0
        own = [policy for policy in self._evaluator.policies if self._image.rules[policy.rule].pointer]
        for number, policy in enumerate(own):
            progress(number, len(own))
            mutants = [mutant for mutant in mutants_of(policy.rule, policy.policy) if only(mutant)]
            valid = self._valid(mutants)
            rejected += len(mutants) - len(valid)
            for mutant in valid:
                engine = VariantEngine(self._original, mutant)
                name = self._killer(policy, mutant, engine)
                if name is not None:
                    killed.append(Killed(mutant=mutant, case=name))
                    continue
                telling = self._teller.find(mutant, engine, self._questions(policy, engine))
                if telling is None:
                    untold.append(mutant)
                else:
                    survivors.append(Survivor(mutant=mutant, telling=telling))
        progress(len(own), len(own))
        return MutationReport(
            killed=tuple(killed), survivors=tuple(survivors), untold=tuple(untold), rejected=rejected
        )

    def _baseline(self, case: AskedCase) -> _Baseline:
        recorder = _Recorder(self._reference)
        problems = case.problems(recorder, self._image)
        if problems:
            why = f"the case `{case.name}` fails under the rules as they are: {problems[0]}"
            raise EvaluationError(str(replace(case.place, message=why)))
        for request in recorder.requests:
            if not agrees(self._evaluator.evaluate(request), self._reference.decide(request)):
                raise EvaluationError(f"the evaluation of `{request.action}` and the policy engine disagree")
        asked = [self._evaluator.ask(request) for request in recorder.requests]
        return _Baseline(case, recorder.requests, asked)

    def _valid(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        """Return the mutants that validate strictly, as rules must."""
        changed = [mutant.policy for mutant in mutants if mutant.policy is not None]
        if not changed:
            return [*mutants]
        text = "\n".join(policy_text(replace(policy, annotations={})) for policy in changed)
        result = cedarpy.validate_policies(text, self._schema)  # pyright: ignore[reportUnknownMemberType]  # cedarpy leaves a dict bare
        wrong = {changed[int(error.policy_id.removeprefix("policy"))] for error in result.errors}
        return [mutant for mutant in mutants if mutant.policy is None or mutant.policy not in wrong]

    def _killer(self, policy: WalkedPolicy, mutant: Mutant, engine: VariantEngine) -> str | None:
        """Return the name of the first case that fails under a mutant."""
        asked = [one for action in self._slice(policy, engine) for one in self._baselines.get(action, ())]
        for _, baseline in sorted(asked, key=_number):
            case = baseline.case
            if self._may_differ(policy, mutant, engine, baseline) and case.problems(engine, engine.image):
                return case.name
        return None

    def _slice(self, policy: WalkedPolicy, engine: VariantEngine) -> list[str]:
        """Return the actions that the policy admits as it is, or as it is changed, in the schema's order."""
        return [
            action
            for action, declared in self._evaluator.intake.types.actions.items()
            if declared.principals and (action_fits(policy.policy.action, declared) or engine.fits(action))
        ]

    def _may_differ(
        self, policy: WalkedPolicy, mutant: Mutant, engine: VariantEngine, baseline: _Baseline
    ) -> bool:
        info = self._image.rules[mutant.rule]
        action = baseline.case.request.action
        if info.obligations and (mutant.policy is None or mutant.policy.effect != info.effect):
            return True
        fits = action_fits(policy.policy.action, self._evaluator.intake.types.actions[action])
        if info.obligations and fits != engine.fits(action):
            return True
        same_reads = engine.reads(action) == self._evaluator.reads(action)
        for request, asked in zip(baseline.requests, baseline.asked, strict=True):
            other = asked if same_reads else engine.ask(request)
            if not isinstance(asked, Asked) or not isinstance(other, Asked):
                if asked != other:
                    return True
                continue
            if contribution(policy, asked) != contribution(engine.changed, other):
                return True
        return False

    def _questions(self, policy: WalkedPolicy, engine: VariantEngine) -> list[Question]:
        """Return the questions that a search begins with: of the cases for the actions at hand, else made."""
        fitting = self._slice(policy, engine)
        found: list[Question] = []
        for action in fitting[: MAX_DEFAULTS * 2]:
            asked = [one.case.question for _, one in self._baselines.get(action, ())]
            share = max(1, MAX_BASES // len(fitting))
            found += _spread(asked, share)
            if len(found) < MAX_BASES + MAX_DEFAULTS:
                found += default_question(self._document, self._evaluator.intake.types, action, like=asked)
        return found


def _number(numbered: tuple[int, _Baseline]) -> int:
    return numbered[0]


def _spread(asked: Sequence[Question], count: int) -> Iterable[Question]:
    """Return so many of the questions, evenly from first to last."""
    stride = max(1, -(-len(asked) // count))
    return asked[::stride]
