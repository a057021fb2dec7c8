"""The workload in Cedar: policy text and schema, shared by every peer that speaks it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from peers.workload import (
    COUNTERS,
    PRINCIPAL_SHAPE,
    PRINCIPALS,
    RESOURCE_SHAPE,
    RESOURCES,
    input_shape,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peers.workload import Asked, Condition, Kind, Rule, Workload

_TYPES = {"String": "String", "Long": "Long", "Bool": "Boolean"}
_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">"}


def policy_text(rule: Rule) -> str:
    """Write one rule as a Cedar policy with its id as an annotation."""
    effect = "permit" if rule.permits else "forbid"
    action = "action" if rule.action is None else f'action == Remit::Action::"{rule.action}"'
    conditions = " && ".join(_expression(condition) for condition in rule.conditions)
    return f'@id("{rule.id}")\n{effect}(principal, {action}, resource) when {{ {conditions} }};'


def policies_text(workload: Workload) -> str:
    """Write all rules."""
    return "\n".join(policy_text(rule) for rule in workload.rules)


def schema_json(workload: Workload) -> dict[str, object]:
    """Return the workload's schema in the JSON form of Cedar schemas."""
    entities = dict.fromkeys(("Caller", "Agent"), PRINCIPAL_SHAPE)
    entities |= dict.fromkeys(("Document", "Tool", "Block"), RESOURCE_SHAPE)
    return {
        "Remit": {
            "entityTypes": {name: {"shape": _record(shape)} for name, shape in entities.items()},
            "actions": {
                action: {
                    "appliesTo": {
                        "principalTypes": [PRINCIPALS.get(action, "Agent")],
                        "resourceTypes": [RESOURCES.get(action, "Tool")],
                        "context": {
                            "type": "Record",
                            "attributes": {
                                "input": _record(input_shape(action)),
                                "usage": _record(dict.fromkeys(COUNTERS, "Long")),
                            },
                        },
                    }
                }
                for action in workload.actions
            },
        }
    }


def context_of(asked: Asked) -> dict[str, object]:
    """Return the context of a request."""
    return {"input": asked.input, "usage": asked.usage}


def _record(shape: Mapping[str, Kind]) -> dict[str, object]:
    return {"type": "Record", "attributes": {name: {"type": _TYPES[kind]} for name, kind in shape.items()}}


def _expression(condition: Condition) -> str:
    path = condition.field if condition.field.startswith("principal.") else f"context.{condition.field}"
    if condition.operator == "in":
        return f"{json.dumps(condition.value)}.contains({path})"
    return f"{path} {_SYMBOLS[condition.operator]} {json.dumps(condition.value)}"


def schema_text(workload: Workload) -> str:
    """Return the same schema in Cedar's own syntax."""
    entities = dict.fromkeys(("Caller", "Agent"), PRINCIPAL_SHAPE)
    entities |= dict.fromkeys(("Document", "Tool", "Block"), RESOURCE_SHAPE)
    lines = [f"entity {name} = {_members(shape)};" for name, shape in entities.items()]
    usage = _members(dict.fromkeys(COUNTERS, "Long"))
    for action in workload.actions:
        given = f"context: {{ input: {_members(input_shape(action))}, usage: {usage} }}"
        principal, resource = PRINCIPALS.get(action, "Agent"), RESOURCES.get(action, "Tool")
        applies = f"principal: [{principal}], resource: [{resource}], {given}"
        lines.append(f'action "{action}" appliesTo {{ {applies} }};')
    return "namespace Remit {\n" + "\n".join(lines) + "\n}\n"


def _members(shape: Mapping[str, Kind]) -> str:
    return "{ " + ", ".join(f"{name}: {kind}" for name, kind in shape.items()) + " }"
