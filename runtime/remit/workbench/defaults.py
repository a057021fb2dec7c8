"""A plain question for an action that no case asks about: whatever its types need, and nothing special."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.engine.request import NAMESPACE
from remit.engine.schema import EntityType, Primitive, RecordType, SetType, Type
from remit.errors import EvaluationError
from remit.project.questions import AGENT_ACTIONS, MEMORY_ACTIONS, Question, build_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.schema import SchemaTypes

_PLAIN: Mapping[str, JsonValue] = {
    "Bool": False,
    "Long": 1,
    "String": "x",
    "decimal": 1,
    "datetime": "2026-01-01T12:00:00.000Z",
    "duration": "1h",
    "ipaddr": "192.0.2.1",
}
_GIVEN = frozenset({"kind", "roles"})


def default_question(
    document: Document, types: SchemaTypes, action: str, *, like: Sequence[Question]
) -> tuple[Question, ...]:
    """Return a question for an action, once for each resource among which it chooses; none where none can be.

    Args:
        document: the agent.
        types: its schema.
        action: what is asked.
        like: questions of cases for this action; where there are some, none is made.
    """
    if like or action not in types.actions:
        return ()
    declared = types.actions[action]
    caller: JsonObject = {"id": "case"}
    attributes = types.entities[f"{NAMESPACE}::Caller"].attributes
    caller |= {
        name: _plain(member.type)
        for name, member in attributes.items()
        if member.required and name not in _GIVEN
    }
    given = declared.context.attributes.get("input")
    members = _plain(given.type) if given is not None and document.tool(action) is not None else {}
    resources: Sequence[str] = ("",)
    if action == "dispatch":
        resources = [entry.name for entry in document.capabilities.backends]
    elif action in MEMORY_ACTIONS:
        resources = [block.name for block in document.memory.blocks]
    elif action not in AGENT_ACTIONS and document.tool(action) is None:
        return ()
    questions = (
        Question(
            action=action,
            resource=resource,
            caller=caller,
            input=members if isinstance(members, dict) else {},
        )
        for resource in resources
    )
    return tuple(question for question in questions if _asks(document, question))


def _asks(document: Document, question: Question) -> bool:
    try:
        build_request(document, question)
    except EvaluationError:
        return False
    return True


def _plain(declared: Type) -> JsonValue:
    match declared:
        case Primitive(name):
            return _PLAIN[name]
        case SetType():
            return []
        case EntityType(name):
            return {"type": name.removeprefix(f"{NAMESPACE}::"), "id": "case"}
        case RecordType(attributes):
            return {name: _plain(member.type) for name, member in attributes.items() if member.required}
