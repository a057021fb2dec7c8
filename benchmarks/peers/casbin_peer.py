"""pycasbin: the ordinary enforcer with rules in the policy, which its matcher evaluates one after another."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from peers.peer import Loaded

if TYPE_CHECKING:
    from peers.workload import Asked, Condition, Workload

_MODEL = """
[request_definition]
r = principal, act, input, usage

[policy_definition]
p = act, rule, eft

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = (p.act == "*" || p.act == r.act) && eval(p.rule)
"""
_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">"}
Form = tuple["_Record", str, "_Record", "_Record"]


class _Record:
    """Attributes, as casbin's attribute-based policies read them."""

    def __init__(self, values: dict[str, object]) -> None:
        self.__dict__.update(values)


def load(workload: Workload) -> Loaded[Form]:
    """Load the model and the rules."""
    casbin = import_module("casbin")
    model = casbin.Enforcer.new_model(text=_MODEL)
    for rule in workload.rules:
        text = " && ".join(_expression(condition) for condition in rule.conditions)
        model.add_policy("p", "p", [rule.action or "*", text, "allow" if rule.permits else "deny"])
    enforcer = casbin.Enforcer(model)

    def decide(formed: Form) -> bool:
        allowed: bool = enforcer.enforce(*formed)
        return allowed

    return Loaded(form=_form, decide=decide)


def _form(asked: Asked) -> Form:
    principal = _Record(dict(asked.principal[2]))
    return principal, asked.action, _Record(dict(asked.input)), _Record(dict(asked.usage))


def _expression(condition: Condition) -> str:
    path = f"r.{condition.field}"
    if isinstance(condition.value, list):
        return "(" + " || ".join(f'{path} == "{value}"' for value in condition.value) + ")"
    value = f'"{condition.value}"' if isinstance(condition.value, str) else condition.value
    return f"{path} {_SYMBOLS[condition.operator]} {value}"
