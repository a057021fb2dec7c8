"""Questions that could be asked of one agent: one question with other values, where anybody could give them.

What a document fixes (its own attributes, its tools' effects) no caller can change, so a request that differs
from another there is none. Paths are those of `remit.engine.reads`, as policies name them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.field_values import LIFECYCLES
from remit.engine.compiled.goals import Absent
from remit.errors import EvaluationError
from remit.gate.arguments import argument_faults
from remit.host.requests import backend_entity, block_entity
from remit.project.questions import (
    AGENT_ACTIONS,
    MEMORY_ACTIONS,
    asked_by_caller,
    build_request,
    question_from,
    question_members,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.reads import Path
    from remit.engine.request import Entity, Request
    from remit.project.questions import Question

_KINDS: tuple[JsonValue, ...] = ("user", "service")
_PRINCIPALS: tuple[JsonValue, ...] = ("agent", "caller")


class Askable:
    """A question, and those that differ from it in some values.

    Args:
        document: the agent that is asked about.
        question: the question as it is.
    """

    def __init__(self, document: Document, question: Question) -> None:
        self.question = question
        self._document = document
        self._resources = _resources(document, question.action)
        tool = document.tool(question.action)
        # A question whose own input the tool refuses is free to have another such.
        refused = tool is None or bool(argument_faults(question.input, tool.parameters))
        self._tool = None if refused else tool

    def request(self) -> Request:
        """Return the engine's request for the question as it is.

        Raises:
            EvaluationError: there is none.
        """
        return build_request(self._document, self.question)

    def domain(self, path: Path) -> tuple[JsonValue, ...] | None:
        """Return the only values that can stand at a path; None where any of its type can."""
        by_caller = asked_by_caller(self.question)
        match path:
            case ("principal", "lifecycle") if not by_caller:
                return LIFECYCLES
            case ("resource", "lifecycle") if self.question.action in AGENT_ACTIONS:
                return LIFECYCLES
            case ("context", "caller", "kind"):
                return _KINDS
            case ("principal", "kind") if by_caller:
                return _KINDS
            case ("principal",) if self.question.action in MEMORY_ACTIONS:
                return _PRINCIPALS
            case ("resource", name) if self._resources:
                values = [entity.attributes.get(name) for entity in self._resources.values()]
                return tuple(value for number, value in enumerate(values) if value not in values[:number])
            case _:
                return None

    def with_values(self, values: Mapping[Path, JsonValue | Absent]) -> Question | None:
        """Return the question with other values; nothing where nobody could ask it."""
        members: JsonObject | None = question_members(self.question)
        chosen: dict[str, JsonValue] = {}
        for path, value in values.items():
            if path[0] == "resource" and len(path) > 1 and self._resources and not isinstance(value, Absent):
                chosen[path[1]] = value
            elif members is not None:
                members = self._member(members, path, value)
        if members is not None and chosen:
            members = self._with_resource(members, chosen)
        if members is None:
            return None
        try:
            question = question_from(members)
        except EvaluationError:
            return None
        if self._tool is not None and argument_faults(question.input, self._tool.parameters):
            return None
        return question

    def make(self, values: Mapping[Path, JsonValue | Absent]) -> Request | None:
        """Return the engine's request with other values; nothing where nobody could ask it."""
        question = self.with_values(values)
        if question is None:
            return None
        try:
            return build_request(self._document, question)
        except EvaluationError:
            return None

    def _member(self, members: JsonObject, path: Path, value: JsonValue | Absent) -> JsonObject | None:
        by_caller = asked_by_caller(self.question)
        match path:
            case ("context", "now" | "fulfilled" as name):
                return None if isinstance(value, Absent) else {**members, name: value}
            case ("context", "input" | "environment" | "usage" | "lifetime" | "caller", _, *_):
                return _below(members, path[1:], value)
            case ("principal", name) if by_caller:
                return _below(members, ("caller", name), value)
            case ("principal" | "resource", "lifecycle"):
                return {**members, "lifecycle": value} if isinstance(value, str) else None
            case ("principal",) if isinstance(value, str):
                # Who acts is open for memory alone; elsewhere the action says it.
                return {**members, "principal": value} if self.question.action in MEMORY_ACTIONS else None
            case ("context", "caller") | ("principal",):
                return _with_caller(members, value)
            case _:
                return None

    def _with_resource(self, members: JsonObject, chosen: Mapping[str, JsonValue]) -> JsonObject | None:
        """Choose the first resource of the document that has all wanted attributes."""
        for name, entity in self._resources.items():
            if all(entity.attributes.get(key) == value for key, value in chosen.items()):
                return {**members, "resource": name}
        return None


def _resources(document: Document, action: str) -> Mapping[str, Entity]:
    """Return the resources among which a question of this action chooses."""
    if action == "dispatch":
        return {entry.name: backend_entity(entry) for entry in document.capabilities.backends}
    if action in MEMORY_ACTIONS:
        return {block.name: block_entity(block) for block in document.memory.blocks}
    return {}


def _with_caller(members: JsonObject, value: JsonValue | Absent) -> JsonObject | None:
    if not isinstance(value, dict) or value.get("type") != "Caller":
        return None
    return _below(members, ("caller", "id"), value.get("id"))


def _below(record: JsonObject, path: Path, value: JsonValue | Absent) -> JsonObject | None:
    name, rest = path[0], path[1:]
    if rest:
        inner = record.get(name, {})
        below = _below(inner, rest, value) if isinstance(inner, dict) else None
        return None if below is None else {**record, name: below}
    if isinstance(value, Absent):
        return {key: member for key, member in record.items() if key != name}
    return {**record, name: value}
