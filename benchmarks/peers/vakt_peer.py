"""vakt: attribute-based access control in pure Python, with its rules checker and memory storage."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from peers.peer import Loaded, flat

if TYPE_CHECKING:
    from peers.workload import Asked, Rule, Workload

_RULES = {"eq": "Eq", "ne": "NotEq", "lt": "Less", "gt": "Greater", "in": "In"}


def load(workload: Workload) -> Loaded[Asked]:
    """Store the rules as vakt's policies."""
    vakt, rules = import_module("vakt"), import_module("vakt.rules")
    storage = vakt.MemoryStorage()

    def policy(rule: Rule) -> object:
        tests: dict[str, list[object]] = {}
        for c in rule.conditions:
            values = c.value if isinstance(c.value, list) else [c.value]
            tests.setdefault(c.field, []).append(getattr(rules, _RULES[c.operator])(*values))
        return vakt.Policy(
            rule.id,
            actions=[rules.Any() if rule.action is None else rules.Eq(rule.action)],
            resources=[rules.Any()],
            subjects=[rules.Any()],
            effect=vakt.ALLOW_ACCESS if rule.permits else vakt.DENY_ACCESS,
            context={name: all_[0] if len(all_) == 1 else rules.And(*all_) for name, all_ in tests.items()},
        )

    for rule in workload.rules:
        storage.add(policy(rule))
    is_allowed, inquiry = vakt.Guard(storage, vakt.RulesChecker()).is_allowed, vakt.Inquiry

    def decide(asked: Asked) -> bool:
        allowed: bool = is_allowed(
            inquiry(
                action=asked.action,
                subject=asked.principal[1],
                resource=asked.resource[1],
                context=flat(asked),
            )
        )
        return allowed

    return Loaded(form=lambda asked: asked, decide=decide)
