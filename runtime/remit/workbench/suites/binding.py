"""A suite beside what it is decided under: requests made, and every expectation that cannot hold refused.

Rules
1. A request that cannot be made (no such tool, block, attribute, counter) is a fault of the file, and so is a
   rule that does not exist.
2. A rule that cannot be among those that decide the request is a fault, too: by its actions, by its effect,
   or because it asks for nobody's approval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.document.rules import Approve
from remit.errors import EvaluationError
from remit.project.questions import AGENT_ACTIONS, MEMORY_ACTIONS, Question, build_request
from remit.project.source import FaultList, listing, nearest
from remit.workbench.suites.agent_world import AgentWorld
from remit.workbench.suites.cedar_world import CedarWorld
from remit.workbench.suites.members import node_at
from remit.workbench.suites.model import Case, RunCase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from remit.engine.image import RuleInfo
    from remit.engine.request import Request
    from remit.project.source import Node
    from remit.workbench.suites.model import Suite

World = AgentWorld | CedarWorld
_INPUTS: Mapping[str, tuple[str, ...]] = {
    "activate": ("text_bytes",),
    "dispatch": ("messages", "tools", "classifications", "builtins", "switched_from"),
    "remember": ("bytes", "key", "subject"),
    "revise": ("bytes", "key", "subject"),
    "recall": ("subject",),
    "erase": ("subject",),
    "export": ("subject",),
    "amend": ("fields",),
}
"""Members of the inputs of the base vocabulary (docs/rules.md, "Actions")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A suite whose requests can be asked.

    Args:
        suite: as read.
        world: what it is decided under.
        requests: the engine's request of every case of an agent's suite that is decided, by the case's name.
    """

    suite: Suite
    world: World
    requests: Mapping[str, Request]


def bind(suite: Suite, world: World) -> Bound:
    """Make a suite's requests and check its expectations against the rules.

    Args:
        suite: as read.
        world: what it is decided under.

    Raises:
        DocumentError: a request cannot be made or an expectation cannot hold; lists every fault.
    """
    faults, requests = FaultList(), dict[str, "Request"]()
    for case in suite.cases:
        # What is skipped may speak of what is not there yet.
        if case.skip:
            continue
        if isinstance(world, CedarWorld):
            if isinstance(case, Case) and suite.origin == "cases":
                _known_rules(case, world.rules, faults)
            continue
        if isinstance(case, RunCase):
            _run_fits(case, world, faults)
            continue
        request = _request(case, world, faults)
        if request is not None:
            requests[case.name] = request
            _rules_fit(case, world, faults)
    faults.settle()
    return Bound(suite=suite, world=world, requests=requests)


def _request(case: Case, world: AgentWorld, faults: FaultList) -> Request | None:
    question = cast("Question", case.question)
    try:
        request = build_request(world.document, question)
    except EvaluationError as error:
        message, _, hint = str(error).partition("; ")
        key = next(
            (key for key in ("agent", "usage", "resource", "action") if _meant(key, case, message)), ""
        )
        node = node_at(case.written, key)
        faults.add(node.fault(message, hint or "compare with the agent's document"))
        return None
    unknown = [] if case.expect.errors or case.expect.error_count else _unknown_inputs(question, world)
    for name, known in unknown:
        hint = nearest(name, known) or f"it has {listing(known) or 'none'}"
        node = node_at(case.written, "input", name)
        faults.add(node.fault(f"`{question.action}` has no input `{name}`", hint))
    for rule in question.fulfilled:
        _known(rule, world.image.rules, case, faults, at="request")
    return request


def _unknown_inputs(question: Question, world: AgentWorld) -> list[tuple[str, tuple[str, ...]]]:
    """Return inputs that the action does not have: no rule can mean them, so they are slips of the pen."""
    tool = world.document.tool(question.action)
    if tool is not None:
        declared = tool.parameters.get("properties")
        if not isinstance(declared, dict) or tool.parameters.get("additionalProperties") is not False:
            return []
        known = tuple(declared)
    elif question.action in (*AGENT_ACTIONS, *MEMORY_ACTIONS, "dispatch"):
        known = _INPUTS.get(question.action, ())
    else:
        return []
    return [(name, known) for name in question.input if name not in known]


def _rules_fit(case: Case, world: AgentWorld, faults: FaultList) -> None:
    expect, rules = case.expect, world.image.rules
    action = cast("Question", case.question).action
    place = _expected_at(case, "rules")
    for name in expect.rules or ():
        if not _known(name, rules, case, faults, at="rules"):
            continue
        rule = rules[name]
        if rule.actions and action not in rule.actions:
            hint = f"it applies to {listing(rule.actions)}"
            faults.add(place.fault(f"rule `{name}` never decides `{action}`, so this cannot hold", hint))
        elif rule.effect != ("permit" if expect.decision == "allow" else "forbid"):
            hint = "name the rules that decide, or correct the decision"
            message = f"rule `{name}` is a {rule.effect}, so it cannot make `decision: {expect.decision}`"
            faults.add(place.fault(message, hint))
        elif expect.decision == "awaiting_approval" and not _approvers(rule):
            hint = "name the rule that has the obligation `approve`"
            faults.add(place.fault(f"rule `{name}` asks for nobody's approval, so this cannot hold", hint))
    roles = {role for rule in rules.values() for role in _approvers(rule)}
    for role in expect.approve or ():
        if role not in roles:
            hint = nearest(role, roles) or f"rules ask for {listing(sorted(roles)) or 'nobody'}"
            faults.add(
                _expected_at(case, "obligations", "approve").fault(
                    f"no rule asks for the approval of `{role}`", hint
                )
            )


def _approvers(rule: RuleInfo) -> tuple[str, ...]:
    return tuple(duty.by for duty in rule.obligations if isinstance(duty, Approve))


def _known_rules(case: Case, rules: Iterable[str], faults: FaultList) -> None:
    for name in case.expect.rules or ():
        _known(name, rules, case, faults, at="rules")


def _known(name: str, rules: Iterable[str], case: Case, faults: FaultList, *, at: str) -> bool:
    known = tuple(rules)
    if name in known:
        return True
    hint = (
        nearest(name, known) or f"rules are {listing(known[:_LISTED])}{', …' if len(known) > _LISTED else ''}"
    )
    place = node_at(case.written, "fulfilled") if at == "request" else _expected_at(case, at)
    faults.add(place.fault(f"no rule is called `{name}`", hint))
    return False


_LISTED = 8


def _expected_at(case: Case, *path: str) -> Node:
    """Return where an expectation was written."""
    return node_at(case.expect.written or case.written, *path)


def _meant(key: str, case: Case, message: str) -> bool:
    """Return whether a message about a request is about this member of it."""
    value = case.written.object() or {}
    named = value.get(key)
    names = [named] if isinstance(named, str) else list(named) if isinstance(named, dict) else []
    return any(f"`{name}`" in message for name in names)


def _run_fits(case: RunCase, world: AgentWorld, faults: FaultList) -> None:
    tools = [tool.name for tool in world.document.capabilities.tools]
    for name in case.conversation.tools:
        if name not in tools:
            hint = nearest(name, tools) or f"tools are {listing(tools) or 'none'}"
            faults.add(case.place.fault(f"no tool is called `{name}`, so its answer is never given", hint))
    if not any(entry.adapter for entry in world.document.capabilities.backends):
        faults.add(
            case.place.fault("the agent has no back-end, so nothing runs", "declare one under `backends`")
        )
    for step in case.expect.trace or ():
        for rule in step.rules or ():
            if rule not in world.image.rules:
                hint = nearest(rule, world.image.rules) or "compare with `remit compile`"
                faults.add(step.place.fault(f"no rule is called `{rule}`", hint))
