"""The nearest difference: the smallest change of a request that would give what was expected.

Rules
1. Changes come from the rules alone (`remit.workbench.suites.candidates`), so each of them means something.
2. Every change is decided by the engine before it is told; nothing is guessed.
3. One changed member is nearer than two; of numbers, the smaller step.
4. The search is bounded; finding nothing within the bound is said, and is no proof that there is nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, cast

from remit.errors import EvaluationError
from remit.project.answers import settle
from remit.project.questions import MEMORY_ACTIONS, build_request
from remit.workbench.suites.candidates import DURATION, comparisons, instants
from remit.workbench.suites.running import compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import RuleInfo
    from remit.engine.port import Engine
    from remit.engine.request import Entity, Request
    from remit.project.questions import Question
    from remit.workbench.suites.agent_world import AgentWorld
    from remit.workbench.suites.candidates import Compared, Path
    from remit.workbench.suites.model import Case

MAX_DECISIONS = 400
"""For one failing case: a tenth of a second or two with the reference engine."""

_MAX_PAIRED = 24
_MEMBERS = ("input", "usage", "lifetime", "environment")


class _Absent:
    """Stands for a member that is not there."""


ABSENT = _Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One member of a request, changed.

    Args:
        key: the member as a case writes it, such as `input.amount`.
        before, after: its values, as JSON text; `absent` where it is not there.
    """

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"`{self.key}` {self.after} instead of {self.before}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What would give the expected outcome.

    Args:
        changes: the smallest that were found; empty where none was within the bound.
        whole: whether the whole expectation then holds, or only its decision.
        tried: how many changed requests were decided.
    """

    changes: tuple[Change, ...]
    whole: bool
    tried: int

    def __str__(self) -> str:
        if not self.changes:
            return f"no change of one or two members was found that gives it ({self.tried} were tried)"
        return "with " + " and ".join(str(change) for change in self.changes)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        changes: list[JsonValue] = [
            {"key": change.key, "before": change.before, "after": change.after} for change in self.changes
        ]
        return {"changes": changes, "whole": self.whole, "tried": self.tried}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A change with the question that it makes, and how large it is."""

    change: Change
    key: Path
    value: object
    size: float


def nearest_difference(case: Case, world: AgentWorld, engine: Engine) -> Nearest:
    """Look for the smallest change of a failing case's request that gives what the case expects.

    Args:
        case: a case of an agent's suite.
        world: the agent.
        engine: decides every change.
    """
    search = _Search(case, world, engine)
    steps = tuple(search.steps())
    found = search.best((step,) for step in steps)
    if found is None:
        near = sorted(steps, key=lambda step: step.size)[:_MAX_PAIRED]
        found = search.best(pair for pair in combinations(near, 2) if pair[0].key != pair[1].key)
    if found is None:
        return Nearest(changes=(), whole=False, tried=search.tried)
    chosen, whole = found
    return Nearest(changes=tuple(step.change for step in chosen), whole=whole, tried=search.tried)


class _Search:
    def __init__(self, case: Case, world: AgentWorld, engine: Engine) -> None:
        self._case = case
        self._question = cast("Question", case.question)
        self._world = world
        self._engine = engine
        self._request = build_request(world.document, self._question)
        self.tried = 0

    def best(self, tries: Iterable[tuple[_Step, ...]]) -> tuple[tuple[_Step, ...], bool] | None:
        """Return the smallest steps that give the whole expectation, else those that give its decision."""
        best: tuple[tuple[_Step, ...], bool] | None = None
        smallest = (True, 0.0)
        for steps in tries:
            if self.tried >= MAX_DECISIONS:
                break
            whole = self._gives(steps)
            if whole is None:
                continue
            size = (not whole, sum(step.size for step in steps))
            if best is None or size < smallest:
                best, smallest = (steps, whole), size
        return best

    def _gives(self, steps: tuple[_Step, ...]) -> bool | None:
        question = self._question
        for step in steps:
            question = _changed(question, step)
        try:
            request = build_request(self._world.document, question)
        except EvaluationError:
            return None
        self.tried += 1
        verdict = settle(self._engine, self._world.image, request)
        if not compare(self._case.expect, verdict, rules=self._world.image.rules):
            return True
        if verdict.decision == self._case.expect.decision and not verdict.errors:
            return False
        return None

    def steps(self) -> Iterator[_Step]:
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

    def _of_rule(self, rule: RuleInfo) -> Iterator[_Step]:
        for compared in comparisons(rule):
            key = self._key(compared.path)
            if key is None:
                continue
            before = _value_at(self._request, compared.path)
            for after in self._afters(compared, before):
                if _text(after) != _text(before):
                    change = Change(key=".".join(key), before=_text(before), after=_text(after))
                    yield _Step(change=change, key=key, value=after, size=_size(before, after))
        if rule.obligations and rule.id not in self._question.fulfilled:
            after_ids: list[JsonValue] = [*self._question.fulfilled, rule.id]
            before_ids: list[JsonValue] = [*self._question.fulfilled]
            change = Change(key="fulfilled", before=_text(before_ids), after=_text(after_ids))
            yield _Step(change=change, key=("fulfilled",), value=after_ids, size=_OTHER)

    def _afters(self, compared: Compared, before: object) -> Iterator[object]:
        values = list(compared.values)
        if compared.path_too:
            other = _value_at(self._request, compared.path_too)
            values = [] if isinstance(other, _Absent) else [cast("JsonValue", other)]
        if compared.tested and not isinstance(before, _Absent):
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

    def _of_resource(self) -> Iterator[_Step]:
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
                yield _Step(change=change, key=("resource",), value=name, size=_OTHER)


_ONE = 1.0
_OTHER = 1.5
"""A change of what the request is about, rather than of a value in it."""


def _changed(question: Question, step: _Step) -> Question:
    first, rest = step.key[0], step.key[1:]
    if not rest:
        value = tuple(cast("list[str]", step.value)) if first == "fulfilled" else step.value
        return replace(question, **{first: value})  # type: ignore[arg-type]  # a member of the question, by its name
    whole = cast("JsonObject", getattr(question, first))
    return replace(question, **{first: _with(whole, rest, step.value)})  # type: ignore[arg-type]  # see above


def _with(whole: JsonObject, steps: Path, value: object) -> JsonObject:
    name, rest = steps[0], steps[1:]
    if rest:
        inner = whole.get(name, {})
        return {**whole, name: _with(inner if isinstance(inner, dict) else {}, rest, value)}
    if isinstance(value, _Absent):
        return {key: member for key, member in whole.items() if key != name}
    return {**whole, name: cast("JsonValue", value)}


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


def _text(value: object) -> str:
    return "absent" if isinstance(value, _Absent) else json.dumps(value, ensure_ascii=False)


def _size(before: object, after: object) -> float:
    """Return how large a change is: one, and for numbers a little more the further they are apart."""
    numbers = (int, float)
    if isinstance(before, numbers) and isinstance(after, numbers) and not isinstance(before, bool):
        apart = abs(float(after) - float(before))
        return _ONE + apart / (apart + 1e6)
    return _ONE
