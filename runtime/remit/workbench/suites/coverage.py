"""What the cases of a test run reach of each agent's rules, from the decisions that the run has taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.workbench.coverage import measure
from remit.workbench.suites.agent_world import AgentWorld
from remit.workbench.suites.model import AgentSubject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.values import JsonObject
    from remit.engine.request import Decision, Request
    from remit.workbench.coverage import Coverage
    from remit.workbench.suites.model import Suite
    from remit.workbench.suites.plan import Prepared
    from remit.workbench.suites.results import CaseResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCoverage:
    """What cases reach of one agent.

    Args:
        agent: its project folder or document file, as the user would type it.
        image: digest of its policy image.
        coverage: of the cases that are one request.
    """

    agent: str
    image: str
    coverage: Coverage

    def falls_short(self, percent: float) -> bool:
        """Return whether the total is less than a bound in per cent."""
        return self.coverage.total.percent < percent

    def to_json(self) -> JsonObject:
        """Return the coverage as a JSON object with stable keys."""
        return {"agent": self.agent, "image": self.image, **self.coverage.to_json()}


def coverage_of(
    prepared: Sequence[Prepared], outcome: Sequence[tuple[Suite, Sequence[CaseResult]]]
) -> tuple[AgentCoverage, ...]:
    """Measure what a test run reached, agent by agent, in the order of their first suites.

    No case is decided again: its decision is taken from its verdict.
    Suites of plain Cedar policies have no agent, and are left out.

    Args:
        prepared: the suites that were run.
        outcome: every suite with the results of its cases.

    Raises:
        EvaluationError: an evaluation and the engine disagree, so nothing can be said.
    """
    bound = {id(item.bound.suite): item.bound for item in prepared}
    worlds: dict[int, tuple[str, AgentWorld]] = {}
    decided: dict[int, list[tuple[Request, Decision]]] = {}
    for suite, results in outcome:
        item = bound[id(suite)]
        if not isinstance(item.world, AgentWorld) or not isinstance(suite.subject, AgentSubject):
            continue
        worlds.setdefault(id(item.world), (suite.subject.path.as_posix(), item.world))
        decided.setdefault(id(item.world), []).extend(
            (item.requests[result.case.name], result.verdict.engine)
            for result in results
            if result.verdict is not None
        )
    return tuple(
        AgentCoverage(
            agent=name,
            image=world.image.digest,
            coverage=measure(
                world.image,
                decided[key],
                tools=[tool.name for tool in world.document.capabilities.tools],
            ),
        )
        for key, (name, world) in worlds.items()
    )
