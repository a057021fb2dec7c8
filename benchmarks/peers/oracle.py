"""What the workload itself says: the decision by the definition, which every peer is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from peers.workload import Asked, Condition, Rule, Value, Workload


class Oracle:
    """Decides by the words of `workload`: something permits, and nothing forbids."""

    def __init__(self, workload: Workload) -> None:
        self._forbids = tuple(rule for rule in workload.rules if not rule.permits)
        permits = [rule for rule in workload.rules if rule.permits]
        self._permits = {
            action: [rule for rule in permits if rule.action in {None, action}] for action in workload.actions
        }

    def decide(self, asked: Asked) -> bool:
        """Return whether the request is allowed."""
        permitted = any(_applies(rule, asked) for rule in self._permits[asked.action])
        return permitted and not any(_applies(rule, asked) for rule in self._forbids)


def _applies(rule: Rule, asked: Asked) -> bool:
    return all(_holds(condition, asked) for condition in rule.conditions)


def _holds(condition: Condition, asked: Asked) -> bool:
    value, other = _read(condition.field, asked), condition.value
    match condition.operator:
        case "eq":
            return value == other
        case "ne":
            return value != other
        case "lt":
            return cast("int", value) < cast("int", other)
        case "gt":
            return cast("int", value) > cast("int", other)
        case "in":
            return value in cast("list[str]", other)


def _read(field: str, asked: Asked) -> Value:
    record, _, member = field.partition(".")
    records = {"principal": asked.principal[2], "input": asked.input, "usage": asked.usage}
    return records[record][member]
