"""A failing case, told: what was asked, what decided, what differs, and what would give the expected answer.

Only what rules can read of a request is shown, so that what is shown is what the answer depends on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.engine.reads import read_paths
from remit.workbench.suites.cedar_world import CedarWorld
from remit.workbench.suites.model import RunCase
from remit.workbench.suites.nearest import nearest_difference
from remit.workbench.suites.nearest_plain import nearest_plain
from remit.workbench.suites.trace_difference import trace_difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.engine.request import Entity, Request
    from remit.workbench.suites.agent_world import AgentWorld
    from remit.workbench.suites.binding import Bound
    from remit.workbench.suites.changes import Nearest
    from remit.workbench.suites.model import Case, CedarQuestion
    from remit.workbench.suites.results import CaseResult
    from remit.workbench.suites.trace_difference import TraceDifference

MAX_SEARCHED = 20
"""Failing cases of one run whose nearest difference is looked for; the others say that it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """A rule that decided.

    Args:
        rule: its id.
        effect: permit or forbid; empty where it is not known.
        because: its reason; may be empty.
        place: `file:line:column` of the author's text, or its pointer in the document; may be empty.
    """

    rule: str
    effect: str
    because: str
    place: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {"rule": self.rule, "effect": self.effect, "because": self.because, "place": self.place}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Everything that is told of a failing case.

    Args:
        result: what became of it.
        asked: principal, action and resource; empty for a run.
        read: what rules can read of the request, as `path = value` texts.
        deciding: the rules that decided.
        nearest: what would give the expected answer, or where a run leaves it; None where nobody looked.
        trace: the decisions of a run, one text each.
        forward: what to do next.
    """

    result: CaseResult
    asked: tuple[str, str, str] | None
    read: tuple[str, ...]
    deciding: tuple[Deciding, ...]
    nearest: Nearest | TraceDifference | None
    trace: tuple[str, ...]
    forward: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        rules: list[JsonValue] = [rule.to_json() for rule in self.deciding]
        asked = self.asked
        return {
            "request": None
            if asked is None
            else {"principal": asked[0], "action": asked[1], "resource": asked[2], "read": [*self.read]},
            "deciding": rules,
            "nearest": None if self.nearest is None else self.nearest.to_json(),
            "forward": self.forward,
        }


def explain_failure(
    result: CaseResult, bound: Bound, engine: Engine | None, *, search: bool = True
) -> Failure:
    """Say what is behind a failing case.

    Args:
        result: of a case that did not hold.
        bound: its suite and what it was decided under.
        engine: what decided; needed for an agent's requests.
        search: whether the nearest difference is looked for.
    """
    case = result.case
    if isinstance(case, RunCase):
        return _run(result, case, cast("AgentWorld", bound.world))
    if isinstance(bound.world, CedarWorld):
        return _plain(result, case, bound.world, search=search)
    request, image = bound.requests[case.name], bound.world.image
    nearest = None
    if search and engine is not None:
        nearest = nearest_difference(case, bound.world, engine)
    verdict = result.verdict
    deciding = tuple(_deciding(rule, image) for rule in (() if verdict is None else verdict.rules))
    return Failure(
        result=result,
        asked=(_name(request.principal), request.action, _name(request.resource)),
        read=tuple(_read(request, image)),
        deciding=deciding,
        nearest=nearest,
        trace=(),
        forward=_forward(result, deciding, bound.world),
    )


def _run(result: CaseResult, case: RunCase, world: AgentWorld) -> Failure:
    steps = () if result.run is None else result.run.steps
    trace = tuple(
        f"{step.step:>2} {step.action} {step.verdict} {', '.join(step.rules) or step.kind}" for step in steps
    )
    nearest = None if result.run is None else trace_difference(case.expect, result.run)
    rules = () if nearest is None or nearest.step is None else nearest.step.rules
    deciding = tuple(_deciding(rule, world.image) for rule in rules if rule in world.image.rules)
    places = ", ".join(f"`{item.rule}` ({item.place})" for item in deciding if item.place)
    forward = f"correct {places or 'the rules'}, the transcript or the expected trace"
    return Failure(
        result=result, asked=None, read=(), deciding=deciding, nearest=nearest, trace=trace, forward=forward
    )


def _plain(result: CaseResult, case: Case, world: CedarWorld, *, search: bool) -> Failure:
    question = cast("CedarQuestion", case.question)
    rules = () if result.verdict is None else result.verdict.rules
    effects = {policy.id: policy.effect for policy in world.tree()}
    deciding = tuple(
        Deciding(rule=rule, effect=effects.get(rule, ""), because="", place=world.place(rule))
        for rule in rules
    )
    places = ", ".join(f"`{item.rule}` ({item.place})" for item in deciding if item.place)
    return Failure(
        result=result,
        asked=(str(question.principal), str(question.action), str(question.resource)),
        read=tuple(f"context.{key} = {_json(value)}" for key, value in question.context.items()),
        deciding=deciding,
        nearest=nearest_plain(case, world) if search else None,
        trace=(),
        forward=f"correct {places or 'the policies'}, the entities or the expectation",
    )


def _deciding(rule: str, image: PolicyImage) -> Deciding:
    info = image.rules[rule]
    return Deciding(rule=rule, effect=info.effect, because=info.because, place=info.origin or info.pointer)


def _name(entity: Entity) -> str:
    return str(entity.ref)


def _read(request: Request, image: PolicyImage) -> Iterator[str]:
    """Yield what rules can read of a request, in a stable order."""
    entities = {"principal": request.principal, "resource": request.resource}
    callers = {entity.ref.type: entity for entity in (request.principal, request.resource, *request.entities)}
    for path in sorted(read_paths(image).get(request.action, ())):
        root, *rest = path
        if path == ("context", "fulfilled") and not request.context.get("fulfilled"):
            continue
        if root == "context" and rest[:1] == ["caller"]:
            caller = callers.get("Caller")
            value: JsonValue | None = None if caller is None else caller.attributes
            rest = rest[1:]
        else:
            value = request.context if root == "context" else entities[root].attributes
        for step in rest:
            value = value.get(step, _NOT_THERE) if isinstance(value, dict) else _NOT_THERE
        if rest and (value is not _NOT_THERE or root == "context"):
            # Attributes of an entity that it does not have belong to another type that rules can meet here.
            text = "absent" if value is _NOT_THERE else _json(value)
            yield f"{'.'.join(path)} = {text}"


_NOT_THERE = "\x00 no value of a request"
_SHOWN = 200


def _json(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _forward(result: CaseResult, deciding: tuple[Deciding, ...], world: AgentWorld) -> str:
    verdict, case = result.verdict, result.case
    if verdict is None:
        return ""
    if verdict.errors:
        return "give the request what the rules read, or name the error in `errors`"
    if deciding:
        places = ", ".join(f"`{item.rule}`" + (f" ({item.place})" if item.place else "") for item in deciding)
        return f"correct {places}, or the expectation in {case.place.file}:{case.place.line}"
    permits = _permits(world, result)
    if permits:
        return f"no permit applied; those for this action are {permits}"
    return f"no rule permits this at all; write one, or correct {case.place.file}:{case.place.line}"


def _permits(world: AgentWorld, result: CaseResult) -> str:
    question = getattr(result.case, "question", None)
    action = getattr(question, "action", "")
    rules = [
        f"`{info.id}`" + (f" ({info.origin})" if info.origin else "")
        for info in world.image.rules.values()
        if info.effect == "permit" and (not info.actions or action in info.actions)
    ]
    return ", ".join(rules)
