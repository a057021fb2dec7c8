"""Rules as Cedar text.

Every policy of an image carries its provenance as annotations, so the text alone tells all of it:

    @id("refund-cap")              the rule's id; the engine uses it as the policy's id
    @because("…")                  the reason for people
    @controls("SOX-404, …")        clauses of outside frameworks
    @approve("risk-officer, …")    obligation: a person with each of these roles approves
    @approve_within("2h")          how long these approvals may wait; left out where they wait for ever
    @redact_arguments("iban, …")   obligation: arguments masked before the tool sees them
    @redact_result("iban, …")      obligation: members masked before the model sees them
    @mode("shadow")                the rule is watched and decides nothing; left out where it is enforced

A forbid with obligations ends in `unless { context.fulfilled.contains("<id>") }`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.instants import limit_ms, limit_text
from remit.document.json_text import printable
from remit.document.rules import Approve, Obligation, Redact, Rule, RuleEffect
from remit.policy.cedar_text import join_list, quoted, split_list

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.document.model import Document

MUTATIONS = ("amend", "erase", "remember", "revise")
BLOCK_ACTIONS = ("erase", "export", "recall", "remember", "revise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where rules stand in a document, and what follows from standing there.

    Args:
        name: stem of the ids of policies that have none.
        pointer: JSON pointer of the array of rules.
        rules: the rules that stand there.
        actions: actions a rule may name with `on`; empty means any.
        default: actions a rule applies to that names none; empty means that it must name some.
        effect: effect of a rule that gives none; None means that it must give one.
        resource: the resource's scope, such as `resource == Remit::Block::"notes"`.
    """

    name: str
    pointer: str
    rules: tuple[Rule, ...]
    actions: tuple[str, ...]
    default: tuple[str, ...]
    effect: RuleEffect | None
    resource: str = "resource"


def places(document: Document) -> tuple[Place, ...]:
    """Return all places of a document in document order: governance, capabilities, memory."""
    governance = document.governance
    capabilities = document.capabilities

    def place(  # the arguments follow the table in docs/architecture.md
        name: str, pointer: str, rules: tuple[Rule, ...], actions: tuple[str, ...], effect: RuleEffect
    ) -> Place:
        return Place(name=name, pointer=pointer, rules=rules, actions=actions, default=actions, effect=effect)

    return (
        place(
            "activation", "/governance/activation", governance.activation, ("activate", "resume"), "permit"
        ),
        place("mutation", "/governance/mutation", governance.mutation, MUTATIONS, "permit"),
        place("termination", "/governance/termination", governance.termination, ("continue",), "forbid"),
        Place(
            name="rules",
            pointer="/governance/rules",
            rules=governance.rules,
            actions=(),
            default=(),
            effect=None,
        ),
        *(
            place(
                f"tool-{tool.name}", f"/capabilities/tools/{index}/rules", tool.rules, (tool.name,), "permit"
            )
            for index, tool in enumerate(capabilities.tools)
        ),
        place("dispatch", "/capabilities/dispatch", capabilities.dispatch, ("dispatch",), "permit"),
        *(
            Place(
                name=f"block-{block.name}",
                pointer=f"/memory/blocks/{index}/rules",
                rules=block.rules,
                actions=BLOCK_ACTIONS,
                default=BLOCK_ACTIONS,
                effect="permit",
                resource=f"resource == Remit::Block::{quoted(block.name)}",
            )
            for index, block in enumerate(document.memory.blocks)
        ),
    )


def structured_text(
    rule: Rule,
    *,
    rule_id: str,
    effect: RuleEffect,
    on: tuple[str, ...],
    resource: str,
) -> str:
    """Write a structured rule as one Cedar policy.

    Args:
        rule: the rule, for its annotations.
        rule_id: its id.
        effect: its effect.
        on: at least one action.
        resource: the resource's scope.
    """
    actions = [f"Remit::Action::{quoted(action)}" for action in on]
    if len(actions) == 1:
        scope = f"action {'in' if on[0] == 'call_tool' else '=='} {actions[0]}"
    else:
        scope = f"action in [{', '.join(actions)}]"
    head = [f"@{name}({quoted(value)})" for name, value in _annotations(rule, rule_id).items() if value]
    head += [f"{effect} (", "  principal,", f"  {scope},", f"  {resource}", ")"]
    for name, expression in (("when", rule.when), ("unless", rule.unless)):
        if expression is not None:
            head.append(f"{name} {{\n{_indented(expression)}\n}}")
    if effect == "forbid" and rule.obligations:
        head.append(release_clause(rule_id))
    return "\n".join(head) + ";"


def release_clause(rule_id: str) -> str:
    """Return the clause that lifts a forbid once its obligations are fulfilled."""
    return f"unless {{ context.fulfilled.contains({quoted(rule_id)}) }}"


def _annotations(rule: Rule, rule_id: str) -> Mapping[str, str]:
    approvals = tuple(item for item in rule.obligations if isinstance(item, Approve))
    # INVARIANT (one limit a rule): `document.rule_values` refuses approvals of one rule that differ in it.
    within_ms = max((item.within_ms for item in approvals), default=0)
    redactions = [item for item in rule.obligations if isinstance(item, Redact)]
    arguments = dict.fromkeys(name for item in redactions for name in item.arguments)
    result = dict.fromkeys(name for item in redactions for name in item.result)
    return {
        "id": rule_id,
        "because": rule.because,
        "controls": join_list(rule.controls),
        "approve": join_list(tuple(item.by for item in approvals)),
        "approve_within": limit_text(within_ms),
        "redact_arguments": join_list(tuple(arguments)),
        "redact_result": join_list(tuple(result)),
        "mode": "shadow" if rule.mode == "shadow" else "",
    }


def read_obligations(annotations: Mapping[str, str]) -> tuple[Obligation, ...]:
    """Return the obligations that a policy's annotations state: approvals in order, then redaction.

    Raises:
        ValueError: `@approve_within` is no time limit, or stands without `@approve`.
    """
    roles = split_list(annotations.get("approve", ""))
    within_ms = _within_ms(annotations.get("approve_within"), roles)
    approvals = tuple(Approve(by=role, within_ms=within_ms) for role in roles)
    arguments = split_list(annotations.get("redact_arguments", ""))
    result = split_list(annotations.get("redact_result", ""))
    redaction = (Redact(arguments=arguments, result=result),) if arguments or result else ()
    return (*approvals, *redaction)


def _within_ms(text: str | None, roles: tuple[str, ...]) -> int:
    if text is None:
        return 0
    if not roles:
        raise ValueError("`@approve_within` limits nothing: there is no `@approve`")
    try:
        return limit_ms(text)
    except ValueError as error:
        raise ValueError(f"`@approve_within` is `{printable(text)}`, {error}") from error


def _indented(expression: str) -> str:
    """Indent a one-line expression; text of several lines stays as it is, for strings may span lines."""
    text = expression.strip()
    return f"  {text}" if "\n" not in text else text
