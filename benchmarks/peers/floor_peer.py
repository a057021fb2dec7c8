"""The floor: what a person would write by hand for exactly these rules, as functions in a dict.

It gives the decision alone: no reasons, no errors, no check of the request, and changing a rule is changing
code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from peers.peer import Loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peers.workload import Asked, Rule, Workload

_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "in": "in"}
_SIGNATURE = "(principal, input, usage)"


def load(workload: Workload) -> Loaded[Asked]:
    """Write the table and take its functions."""
    names = {action: f"action_{n}" for n, action in enumerate(workload.actions)}
    lines = _function("forbidden", (rule for rule in workload.rules if not rule.permits))
    for action, name in names.items():
        lines += _function(name, _permits(workload, action))
    space: dict[str, object] = {}
    # The text is made above, from the workload; nobody's input is in it.
    exec("\n".join(lines), space)
    forbidden = cast("Callable[..., bool]", space["forbidden"])
    permitted = {action: cast("Callable[..., bool]", space[name]) for action, name in names.items()}

    def decide(asked: Asked) -> bool:
        principal, given, usage = asked.principal[2], asked.input, asked.usage
        return permitted[asked.action](principal, given, usage) and not forbidden(principal, given, usage)

    return Loaded(form=lambda asked: asked, decide=decide)


def _permits(workload: Workload, action: str) -> Iterable[Rule]:
    return (rule for rule in workload.rules if rule.permits and rule.action in {None, action})


def _function(name: str, rules: Iterable[Rule]) -> list[str]:
    lines = [f"def {name}{_SIGNATURE}:"]
    for rule in rules:
        tests: list[str] = []
        for condition in rule.conditions:
            record, _, member = condition.field.partition(".")
            tests.append(f'{record}["{member}"] {_SYMBOLS[condition.operator]} {condition.value!r}')
        lines += [f"    if {' and '.join(tests)}:", "        return True"]
    return [*lines, "    return False"]
