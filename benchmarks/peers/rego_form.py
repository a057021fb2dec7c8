"""The workload in Rego: one rule a policy, in few lines, as regorus bounds the lines of a module."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peers.workload import Condition, Rule, Workload

_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">"}
_HEAD = """package bench

import rego.v1

default allow := false

default permitted := false

default forbidden := false

allow if {
\tpermitted
\tnot forbidden
}
"""


def module_text(workload: Workload) -> str:
    """Write the module whose `data.bench.allow` is the decision."""
    return "\n".join([_HEAD, *(_rule(rule) for rule in workload.rules)])


def _rule(rule: Rule) -> str:
    tests = [_expression(condition) for condition in rule.conditions]
    if rule.action is not None:
        tests.insert(0, f'input.action == "{rule.action}"')
    name = "permitted" if rule.permits else "forbidden"
    return f"# {rule.id}\n{name} if {{ {'; '.join(tests)} }}\n"


def _expression(condition: Condition) -> str:
    value = json.dumps(condition.value)
    if isinstance(condition.value, list):
        return f"input.{condition.field} in {{{value[1:-1]}}}"
    return f"input.{condition.field} {_SYMBOLS[condition.operator]} {value}"
