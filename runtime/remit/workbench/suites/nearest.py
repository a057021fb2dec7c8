"""The nearest difference: the smallest change of a request that would give what was expected.

Changes come from the rules alone (`remit.workbench.suites.candidates`), so each of them means something;
how they are searched is in `remit.workbench.suites.changes`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from remit.errors import EvaluationError
from remit.project.answers import settle
from remit.project.questions import MEMORY_ACTIONS, build_request
from remit.workbench.suites.candidates import DURATION, comparisons, instants
from remit.workbench.suites.changes import (
    ABSENT,
    MAX_DECISIONS,
    OTHER,
    Absent,
    Change,
    Step,
    search,
    step_to,
    text_of,
    with_member,
)
from remit.workbench.suites.running import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import RuleInfo
    from remit.engine.port import Engine
    from remit.engine.request import Entity, Request
    from remit.project.questions import Question
    from remit.workbench.suites.agent_world import AgentWorld
    from remit.workbench.suites.candidates import Compared, Path
    from remit.workbench.suites.changes import Nearest
    from remit.workbench.suites.model import Case

_MEMBERS = ("input", "usage", "lifetime", "environment")


def nearest_difference(case: Case, world: AgentWorld, engine: Engine) -> Nearest:
    """Look for the smallest change of a failing case's request that gives what the case expects.

    Args:
        case: a case of an agent's suite.
        world: the agent.
        engine: decides every change.
    """
    changed = _Changed(case, world, engine)
    return search(tuple(changed.steps()), changed.gives, MAX_DECISIONS)


class _Changed:
    def __init__(self, case: Case, world: AgentWorld, engine: Engine) -> None:
        self._case = case
        self._question = cast("Question", case.question)
        self._world = world
        self._engine = engine
        self._request = build_request(world.document, self._question)

    def gives(self, steps: tuple[Step, ...]) -> bool | None:
        """Decide the changed request; see `search`."""
        question = self._question
        for step in steps:
            question = _changed(question, step)
        try:
            request = build_request(self._world.document, question)
        except EvaluationError:
            return None
        verdict = settle(self._engine, self._world.image, request)
        if not compare(self._case.expect, verdict, rules=self._world.image.rules):
            return True
        if verdict.decision == self._case.expect.decision and not verdict.errors:
            return False
        return None

    def steps(self) -> Iterator[Step]:
        """Return every change that the rules suggest, each once."""
        seen: set[tuple[Path, str]] = set()
        for rule in self._rules():
            for step in self._of_rule(rule):
                mark = (step.key, step.change.after)
                if mark not in seen:
                    seen.add(mark)
                    yield step
        yield from self._of_resource()

    def _rules(self) -> list[RuleInfo]:
        action = self._question.action
        return [
            rule for rule in self._world.image.rules.values() if not rule.actions or action in rule.actions
        ]

    def _of_rule(self, rule: RuleInfo) -> Iterator[Step]:
        for compared in comparisons(rule):
            key = self._key(compared.path)
            if key is None:
                continue
            before = _value_at(self._request, compared.path)
            for after in self._afters(compared, before):
                if text_of(after) != text_of(before):
                    yield step_to(key, before, after)
        if rule.obligations and rule.id not in self._question.fulfilled:
            after_ids: list[JsonValue] = [*self._question.fulfilled, rule.id]
            before_ids: list[JsonValue] = [*self._question.fulfilled]
            change = Change(key="fulfilled", before=text_of(before_ids), after=text_of(after_ids))
            yield Step(change=change, key=("fulfilled",), value=after_ids, size=OTHER)

    def _afters(self, compared: Compared, before: object) -> Iterator[object]:
        values = list(compared.values)
        if compared.path_too:
            other = _value_at(self._request, compared.path_too)
            values = [] if isinstance(other, Absent) else [cast("JsonValue", other)]
        if compared.tested and not isinstance(before, Absent):
            yield ABSENT
        if isinstance(before, bool) or before is ABSENT or (compared.values == (True, False)):
            # A member read for its own truth; of other kinds it is only on the way to another.
            if compared.values == (True, False) and not isinstance(before, bool):
                return
            yield from values
            return
        for value in values:
            if isinstance(value, str) and value.startswith(DURATION):
                yield from instants(self._question.now, value.removeprefix(DURATION))
            elif isinstance(before, list) and not isinstance(value, list):
                held = cast("list[JsonValue]", before)
                yield [item for item in held if item != value] if value in held else [*held, value]
            else:
                yield value

    def _key(self, path: Path) -> Path | None:
        """Return the member of a case's request that a path of the engine's request comes from."""
        root, rest = path[0], path[1:]
        if root == "context":
            if rest[0] == "caller":
                return ("caller", *rest[1:]) if rest[1:] else None
            return rest if rest[0] in (*_MEMBERS, "now") else None
        entity = self._request.principal if root == "principal" else self._request.resource
        if entity.ref.type == "Caller":
            return ("caller", *rest)
        if entity.ref.type == "Agent":
            return rest if rest == ("lifecycle",) else ("agent", *rest)
        return None

    def _of_resource(self) -> Iterator[Step]:
        """Return the other back-ends or blocks that could be asked about."""
        document, question = self._world.document, self._question
        if question.action in MEMORY_ACTIONS:
            names = [block.name for block in document.memory.blocks]
        elif question.action == "dispatch":
            names = [entry.name for entry in document.capabilities.backends]
        else:
            names = []
        for name in names:
            if name != self._request.resource.ref.id:
                change = Change(key="resource", before=self._request.resource.ref.id, after=name)
                yield Step(change=change, key=("resource",), value=name, size=OTHER)


def _changed(question: Question, step: Step) -> Question:
    first, rest = step.key[0], step.key[1:]
    if not rest:
        value = tuple(cast("list[str]", step.value)) if first == "fulfilled" else step.value
        return replace(question, **{first: value})  # type: ignore[arg-type]  # a member of the question, by its name
    whole = cast("JsonObject", getattr(question, first))
    return replace(question, **{first: with_member(whole, rest, step.value)})  # type: ignore[arg-type]  # see above


def _value_at(request: Request, path: Path) -> object:
    """Return what the engine's request holds at a path, or `ABSENT`."""
    root, rest = path[0], path[1:]
    value: JsonValue
    if root == "context":
        value = request.context
        if rest and rest[0] == "caller":
            entity = _entity(request, "Caller")
            if entity is None:
                return ABSENT
            value, rest = entity.attributes, rest[1:]
    else:
        value = (request.principal if root == "principal" else request.resource).attributes
    for step in rest:
        if not isinstance(value, dict) or step not in value:
            return ABSENT
        value = value[step]
    return value


def _entity(request: Request, kind: str) -> Entity | None:
    everyone = (request.principal, request.resource, *request.entities)
    return next((entity for entity in everyone if entity.ref.type == kind), None)
