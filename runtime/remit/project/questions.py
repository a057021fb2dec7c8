"""A question to the engine as a person writes it: names and inputs, without entities and counters.

What is not said is filled in: the agent's attributes from the document, counters with 0, a fixed time.
Used by `remit decide` and by the cases of a project.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from remit.document.field_values import LIFECYCLES
from remit.document.values import JsonObject, JsonValue
from remit.engine.request import Entity, EntityRef, Request
from remit.engine.scalars import datetime_text
from remit.errors import EvaluationError
from remit.gate.usage import COUNTERS
from remit.host.requests import agent_entity, backend_entity, block_entity, tool_entity
from remit.project.source import listing, nearest

if TYPE_CHECKING:
    from remit.document.model import Document

DEFAULT_NOW = "2026-01-01T12:00:00.000Z"
AGENT_ACTIONS = ("activate", "resume", "suspend", "terminate", "continue", "amend", "delegate")
MEMORY_ACTIONS = ("remember", "recall", "revise", "erase", "export")
_BY_CALLER = ("activate", "resume", "suspend", "terminate", "amend")
_ACTION_INPUTS: dict[str, JsonObject] = {
    "activate": {"text_bytes": 0},
    "dispatch": {"messages": 1, "tools": 0, "classifications": [], "builtins": [], "switched_from": ""},
    "remember": {"bytes": 0, "key": "key"},
    "revise": {"bytes": 0, "key": "key"},
    "recall": {},
    "erase": {},
    "export": {},
    "amend": {"fields": []},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question.

    Args:
        action: an action of the base vocabulary or a tool's name.
        resource: name of the tool, back-end or block; empty where the action knows it.
        caller: `id`, `kind`, `roles` and the declared attributes.
        principal: agent or caller; empty takes the action's own.
        input: the action's input.
        usage: counters of this run.
        lifetime: counters of all runs.
        environment: values over the declared ones.
        now: RFC 3339 UTC time.
        lifecycle: of the agent; empty takes the action's own.
        agent: values over the agent's declared attributes.
        child: for `delegate`: `id` and attributes of the other agent, over those of this one.
        fulfilled: rule ids whose obligations count as fulfilled.
    """

    action: str
    resource: str = ""
    caller: JsonObject = field(default_factory=dict[str, JsonValue])
    principal: str = ""
    input: JsonObject = field(default_factory=dict[str, JsonValue])
    usage: JsonObject = field(default_factory=dict[str, JsonValue])
    lifetime: JsonObject = field(default_factory=dict[str, JsonValue])
    environment: JsonObject = field(default_factory=dict[str, JsonValue])
    now: str = DEFAULT_NOW
    lifecycle: str = ""
    agent: JsonObject = field(default_factory=dict[str, JsonValue])
    child: JsonObject = field(default_factory=dict[str, JsonValue])
    fulfilled: tuple[str, ...] = ()


def build_request(document: Document, question: Question) -> Request:
    """Make the engine's request.

    Args:
        document: the agent.
        question: what is asked.

    Raises:
        EvaluationError: the action, the tool, the back-end or the block does not exist.
    """
    agent = _agent(document, question)
    caller = _caller(question)
    resource = _child(question, agent) if question.child else _resource(document, question, agent)
    by_caller = asked_by_caller(question)
    environment = dict(document.governance.environment)
    environment.update(question.environment)
    context: JsonObject = {
        "now": question.now,
        "caller": {"type": "Caller", "id": caller.ref.id},
        "usage": _counters(question.usage),
        "lifetime": _counters(question.lifetime),
        "environment": environment,
        "fulfilled": [*question.fulfilled],
        "run": "case",
    }
    if document.tool(question.action) is not None:
        context["input"] = question.input
    elif question.action in _ACTION_INPUTS:
        context["input"] = {**_ACTION_INPUTS[question.action], **question.input}
    elif question.input:
        context["input"] = question.input
    principal = caller if by_caller else agent
    others = tuple(entity for entity in (caller, agent) if entity not in (principal, resource))
    return Request(
        principal=principal, action=question.action, resource=resource, context=context, entities=others
    )


def asked_by_caller(question: Question) -> bool:
    """Return whether the caller is the principal of a question, and not the agent."""
    return question.principal == "caller" or (not question.principal and question.action in _BY_CALLER)


def _agent(document: Document, question: Question) -> Entity:
    lifecycle = question.lifecycle or ("ready" if question.action == "activate" else "active")
    entity, declared = agent_entity(document), document.governance.attributes
    for name in question.agent:
        if name not in declared:
            hint = nearest(name, declared) or f"attributes are {listing(declared) or 'none'}"
            raise EvaluationError(f"the agent has no attribute `{name}`; {hint}")
    return replace(entity, attributes={**entity.attributes, **question.agent, "lifecycle": lifecycle})


def _child(question: Question, agent: Entity) -> Entity:
    """Return the agent that is delegated to: a ready one like this one, except for what the question says."""
    if question.action != "delegate":
        raise EvaluationError(f"`child` is the resource of `delegate`, not of `{question.action}`")
    members = dict(question.child)
    name = members.pop("id", "child")
    attributes: JsonObject = {**agent.attributes, "lifecycle": "ready", **members}
    return Entity(ref=EntityRef(type="Agent", id=str(name)), attributes=attributes)


def _caller(question: Question) -> Entity:
    members = dict(question.caller)
    name = members.pop("id", "case")
    attributes: JsonObject = {"kind": "user", "roles": [], **members}
    return Entity(ref=EntityRef(type="Caller", id=str(name)), attributes=attributes)


def _counters(given: JsonObject) -> JsonObject:
    for name in given:
        if name not in COUNTERS:
            hint = nearest(name, COUNTERS) or f"counters are {listing(COUNTERS)}"
            raise EvaluationError(f"`{name}` is not a usage counter; {hint}")
    zero: JsonObject = dict.fromkeys(COUNTERS, 0)
    return {**zero, **given}


def _resource(document: Document, question: Question, agent: Entity) -> Entity:
    action, name = question.action, question.resource
    tool = document.tool(action)
    if tool is not None:
        if name not in {"", tool.name}:
            raise EvaluationError(f"the resource of the tool `{action}` is `{action}`, not `{name}`")
        return tool_entity(tool)
    if action in AGENT_ACTIONS:
        if name not in {"", agent.ref.id}:
            raise EvaluationError(f"the resource of `{action}` is the agent itself, not `{name}`")
        return agent
    if action == "dispatch":
        return _backend(document, name)
    if action in MEMORY_ACTIONS:
        return _block(document, action, name)
    tools = [entry.name for entry in document.capabilities.tools]
    known = (*tools, "dispatch", *AGENT_ACTIONS, *MEMORY_ACTIONS)
    hint = nearest(action, known) or f"tools are {listing(tools) or 'none'}"
    raise EvaluationError(f"no action or tool is called `{action}`; {hint}")


def _backend(document: Document, name: str) -> Entity:
    entries = document.capabilities.backends
    entry = entries[0] if not name and entries else document.backend(name)
    if entry is None:
        names = [item.name for item in entries]
        raise EvaluationError(
            f"no back-end is called `{name}`; {nearest(name, names) or f'back-ends are {listing(names)}'}"
        )
    return backend_entity(entry)


def _block(document: Document, action: str, name: str) -> Entity:
    blocks = document.memory.blocks
    names = [item.name for item in blocks]
    block = next((item for item in blocks if item.name == name), None)
    if block is None:
        if not name:
            raise EvaluationError(
                f"`{action}` needs a block as its resource; blocks are {listing(names) or 'none'}"
            )
        hint = nearest(name, names) or f"blocks are {listing(names) or 'none'}"
        raise EvaluationError(f"no memory block is called `{name}`; {hint}")
    return block_entity(block)


QUESTION_KEYS = (
    "caller",
    "action",
    "resource",
    "principal",
    "input",
    "usage",
    "lifetime",
    "environment",
    "now",
    "lifecycle",
    "agent",
    "child",
    "fulfilled",
)


def question_from(members: JsonObject) -> Question:
    """Make a question of checked members.

    Raises:
        EvaluationError: a member has another type than `QUESTION_KEYS` names it for.
    """
    principal = _text(members, "principal")
    if principal not in {"", "agent", "caller"}:
        raise EvaluationError(f"`principal` is `{principal}`; it is `agent` or `caller`")
    lifecycle = _text(members, "lifecycle")
    if lifecycle and lifecycle not in LIFECYCLES:
        hint = nearest(lifecycle, LIFECYCLES) or f"it is one of {listing(LIFECYCLES)}"
        raise EvaluationError(f"`lifecycle` is `{lifecycle}`; {hint}")
    fulfilled = members.get("fulfilled", [])
    if not isinstance(fulfilled, list):
        raise EvaluationError("`fulfilled` is not a list of rule ids")
    return Question(
        action=_text(members, "action"),
        resource=_text(members, "resource"),
        principal=principal,
        lifecycle=lifecycle,
        agent=_object(members, "agent"),
        child=_object(members, "child"),
        caller=_object(members, "caller"),
        input=_object(members, "input"),
        usage=_counts(members, "usage"),
        lifetime=_counts(members, "lifetime"),
        environment=_object(members, "environment"),
        now=_time(members),
        fulfilled=tuple(str(rule) for rule in fulfilled),
    )


def question_members(question: Question) -> JsonObject:
    """Return the members that a question is made of, without what it leaves open; see `question_from`."""
    members: JsonObject = {
        "caller": question.caller,
        "action": question.action,
        "resource": question.resource,
        "principal": question.principal,
        "input": question.input,
        "usage": question.usage,
        "lifetime": question.lifetime,
        "environment": question.environment,
        "now": "" if question.now == DEFAULT_NOW else question.now,
        "lifecycle": question.lifecycle,
        "agent": question.agent,
        "child": question.child,
        "fulfilled": [*question.fulfilled],
    }
    return {key: value for key, value in members.items() if value}


def _text(members: JsonObject, key: str) -> str:
    value = members.get(key, "")
    if not isinstance(value, str):
        raise EvaluationError(f"`{key}` is not a text")
    return value


def _time(members: JsonObject) -> str:
    now = _text(members, "now") or DEFAULT_NOW
    try:
        datetime_text(now)
    except ValueError as error:
        raise EvaluationError(f"`now` is `{now}`: {error}") from error
    return now


def _counts(members: JsonObject, key: str) -> JsonObject:
    counters = _object(members, key)
    for name, count in counters.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise EvaluationError(
                f"`{key}` has `{name}`: {json.dumps(count)}, which is no whole number from 0"
            )
    return counters


def _object(members: JsonObject, key: str) -> JsonObject:
    value = members.get(key, {})
    if not isinstance(value, dict):
        raise EvaluationError(f"`{key}` is not a mapping")
    return value
