"""Tool rules of a Letta agent.

Rules
1. `requires_approval` becomes a person's approval of each call (see `asked_tools`).
2. `run_first` becomes a forbid in force: while no tool call was made, only the named tools may be called.
3. `continue_loop` is lost: a run of Remit goes on after every tool call.
4. All others order or count the calls of single tools, which no rule of Remit sees: a person must decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.foreign import ForeignRule
from remit.exchange.remnants import Remnants, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.exchange.foreign import ForeignTool
    from remit.exchange.members import Findings, ForeignObject

APPROVAL = "requires_approval"
_FIRST = "run_first"
_CONTINUE = "continue_loop"
_READ = (
    "tool_name",
    "type",
    "children",
    "default_child",
    "child_output_mapping",
    "require_output_mapping",
    "max_count_limit",
)


def asked_tools(rules: list[ForeignObject]) -> set[str]:
    """Return the names of the tools whose calls a person has to approve."""
    return {rule.text("tool_name") for rule in rules if rule.text("type") == APPROVAL}


def read_rules(
    rules: list[ForeignObject], tools: Mapping[str, ForeignTool], findings: Findings, pointer: str
) -> tuple[ForeignRule, ...]:
    """Read an agent's tool rules.

    Args:
        rules: the rules.
        tools: the carried tools by their name in the file.
        findings: where remarks go.
        pointer: where the rules stand.
    """
    rest = Remnants(findings, pointer, "tool rules")
    for rule in rules:
        rest.add(rule, _READ)
        _remark(rule, tools)
    rest.close("words and arguments that Letta's own loop put in")
    continued = [rule.text("tool_name") for rule in rules if rule.text("type") == _CONTINUE]
    if continued:
        findings.lost(pointer, f"`{_CONTINUE}` for {listed(continued)}: a run goes on after every tool call")
    foreign = asked_tools(rules) - set(tools)
    if foreign:
        findings.lost(pointer, f"`{APPROVAL}` for {listed(sorted(foreign))}: the agent has no such tool here")
    return _first(rules, tools, findings, pointer)


def _first(
    rules: list[ForeignObject], tools: Mapping[str, ForeignTool], findings: Findings, pointer: str
) -> tuple[ForeignRule, ...]:
    first = [rule.text("tool_name") for rule in rules if rule.text("type") == _FIRST]
    if not first:
        return ()
    if any(name not in tools for name in first):
        findings.decide(
            pointer,
            f"{listed(first)} had to be called first, but not all of them are here: say what comes first",
        )
        return ()
    others: list[JsonValue] = [tool.name for name, tool in tools.items() if name not in first]
    if not others:
        findings.lost(pointer, f"`{_FIRST}` for {listed(first)}: the agent has no other tool")
        return ()
    value: JsonObject = {
        "id": "imported-run-first",
        "effect": "forbid",
        "on": others,
        "when": "context.usage.tool_calls == 0",
        "because": f"{_plain(first, tools)} must be called before any other tool",
    }
    findings.carried(pointer, f"{listed(first)} must be called first: a forbid on all other tools, in force")
    return (ForeignRule(place="rules", value=value, in_force=True),)


def _plain(names: list[str], tools: Mapping[str, ForeignTool]) -> str:
    return " or ".join(dict.fromkeys(tools[name].name for name in names))


def _remark(rule: ForeignObject, tools: Mapping[str, ForeignTool]) -> None:
    """Say what a rule that has no counterpart meant."""
    kind, name = rule.text("type"), rule.text("tool_name")
    if kind in (APPROVAL, _FIRST, _CONTINUE):
        return
    said = _meaning(kind, f"`{printable(name)}`", rule)
    if not said:
        rule.findings.decide(
            rule.pointer,
            f"the tool rule `{printable(kind)}` for `{printable(name)}` is not known: say what it means",
        )
    elif name in tools:
        rule.findings.decide(
            rule.pointer,
            f"{said}: no rule sees single tools' order or number, so put it in words or in the tool",
        )
    else:
        rule.findings.lost(rule.pointer, f"{said}: the agent has no such tool here")


def _meaning(kind: str, tool: str, rule: ForeignObject) -> str:
    if kind == "exit_loop":
        return f"the run ended after {tool}"
    if kind == "constrain_child_tools":
        return f"only {_children(rule)} could follow {tool}"
    if kind == "parent_last_tool":
        return f"{_children(rule)} could only follow {tool}"
    if kind == "conditional":
        mapping = rule.object("child_output_mapping")
        chosen = (
            [] if mapping is None else [child for child in mapping.value.values() if isinstance(child, str)]
        )
        among = f" among {listed(chosen)}" if chosen else ""
        return f"the result of {tool} chose the next tool{among}"
    if kind == "required_before_exit":
        return f"a run could not end before {tool} was called"
    if kind == "max_count_per_step":
        return f"{tool} could be called {rule.number('max_count_limit')} times in a run"
    return ""


def _children(rule: ForeignObject) -> str:
    return listed(name for _, name in rule.texts("children"))
