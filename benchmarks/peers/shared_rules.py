"""The workload in the shared policy language of agent-os-kernel and of the toolkit that followed it.

Both pick the first rule that matches, by priority; so forbids come before permits, and the last rule denies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from peers.peer import Loaded, flat

if TYPE_CHECKING:
    from peers.workload import Value, Workload


def load_shared(workload: Workload) -> Loaded[dict[str, Value]]:
    """Parse the rules once through the schema, as the package's own loader does."""
    shared = import_module("agent_os.policies.shared")
    rules: list[dict[str, object]] = []
    for rule in workload.rules:
        conditions: list[dict[str, object]] = [
            {"field": c.field, "operator": c.operator, "value": c.value} for c in rule.conditions
        ]
        if rule.action is not None:
            conditions.insert(0, {"field": "action", "operator": "eq", "value": rule.action})
        effect, priority = ("allow", 1) if rule.permits else ("deny", 2)
        rules.append({"id": rule.id, "action": effect, "conditions": conditions, "priority": priority})
    rules.append({"id": "default", "action": "deny", "conditions": [], "priority": 0})
    parsed = shared.SharedPolicySchema(name="bench", scope="agent", rules=rules).parsed_rules()
    evaluate = shared.SharedPolicyEvaluator().evaluate

    def decide(context: dict[str, Value]) -> bool:
        allowed: bool = evaluate(context, parsed).allowed
        return allowed

    return Loaded(form=flat, decide=decide)
