"""Documents for tests of the compiler, built from the model's own values."""

from __future__ import annotations

from typing import Any

from remit.document.lineage import Lineage
from remit.document.memory import Block, Memory
from remit.document.memory_tree import MemoryTree
from remit.document.merkle import Frontier
from remit.document.model import (
    BackendEntry,
    Capabilities,
    Document,
    ExecutionState,
    Governance,
    Identity,
    Limits,
    Tool,
)
from remit.document.rules import Approve, Redact, Rule

REFUND: dict[str, Any] = {
    "type": "object",
    "properties": {
        "order_id": {"type": "string"},
        "amount": {"type": "number"},
        "count": {"type": "integer"},
        "iban": {"type": "string"},
        "currency": {"type": "string", "enum": ["EUR", "USD"]},
        "items": {"type": "array", "items": {"type": "string"}},
        "due": {"type": "string", "format": "date-time"},
        "address": {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]},
    },
    "required": ["order_id", "amount", "count", "items", "due", "address", "currency"],
}


def rule(rule_id: str = "", effect: Any = None, **members: Any) -> Rule:
    return Rule(id=rule_id, effect=effect, **members)


def cedar(text: str) -> Rule:
    return Rule(id="", effect=None, cedar=text)


def refund_tool(*rules: Rule, name: str = "refund", parameters: dict[str, Any] | None = None) -> Tool:
    return Tool(
        name=name,
        description="Refund an order.",
        parameters=REFUND if parameters is None else parameters,
        effect="write",
        source={"python": "tools:refund"},
        rules=rules,
    )


def lookup_tool(*rules: Rule) -> Tool:
    return Tool(
        name="get-order",
        description="Look an order up.",
        parameters={
            "type": "object",
            "properties": {"order_id": {"type": "string"}},
            "required": ["order_id"],
        },
        effect="read",
        source={"python": "tools:get_order"},
        rules=rules,
    )


def notes_block(*rules: Rule) -> Block:
    return Block(
        name="notes",
        description="What was learned.",
        schema={"type": "string"},
        classification="internal",
        rules=rules,
    )


def document(
    *,
    attributes: dict[str, Any] | None = None,
    caller: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    activation: tuple[Rule, ...] = (),
    mutation: tuple[Rule, ...] = (),
    termination: tuple[Rule, ...] = (),
    rules: tuple[Rule, ...] = (),
    dispatch: tuple[Rule, ...] = (),
    tools: tuple[Tool, ...] | None = None,
    blocks: tuple[Block, ...] | None = None,
) -> Document:
    return Document(
        identity=Identity(agent="sha256:" + "a" * 64, revision="sha256:" + "b" * 64, fields={}),
        memory=Memory(
            blocks=(notes_block(),) if blocks is None else blocks, tree=MemoryTree.build(()), value={}
        ),
        governance=Governance(
            attributes=attributes
            or {"jurisdiction": "EU", "risk_tier": "limited", "owner": "refunds-team", "tier": 2},
            caller_schema=caller
            or {
                "type": "object",
                "properties": {"jurisdiction": {"type": "string"}, "team": {"type": "string"}},
                "required": ["jurisdiction"],
            },
            environment_schema=environment
            or {"type": "object", "properties": {"frozen": {"type": "boolean"}}, "required": ["frozen"]},
            environment={},
            activation=activation,
            mutation=mutation,
            termination=termination,
            rules=rules,
            limits=Limits(),
            packs=(),
            trusted_keys=(),
            value={},
        ),
        capabilities=Capabilities(
            builtins=(),
            instructions="Be brief.",
            tools=(refund_tool(), lookup_tool()) if tools is None else tools,
            backends=(
                BackendEntry(
                    name="local", adapter="llama-cpp", provider="local", region="EU", model="m", config={}
                ),
            ),
            dispatch=dispatch,
            value={},
        ),
        execution_state=ExecutionState(lifecycle="ready", usage={}, pending=(), value={}),
        lineage=Lineage(parents=(), operations=(), value={}, frontier=Frontier()),
    )


def full_document() -> Document:
    """Every place and every feature once."""
    return document(
        activation=(
            rule("staff", when='principal.jurisdiction == "EU"', unless='principal.kind == "service"'),
            rule("no-agents", "forbid", on=("activate",), when='!principal.roles.contains("clerk")'),
        ),
        mutation=(
            rule(
                "owner-amends", on=("amend",), when='principal is Remit::Caller && principal.kind == "user"'
            ),
        ),
        termination=(
            rule(
                "budget", when="context.usage.cost_microusd > 2000000", because="the run has used its budget"
            ),
        ),
        rules=(
            rule(
                "office-hours",
                "forbid",
                on=("call_tool", "dispatch"),
                when='context.now.toTime() < duration("8h")\n|| context.now.toTime() > duration("18h")',
                because='only in "office hours"',
                controls=("ISO-27001, A.5", "SOX-404"),
            ),
            cedar(
                "// Frozen means frozen.\n"
                "forbid(principal, action, resource)\n"
                "when { context.environment.frozen }; // all of it\n"
                '@id("four-eyes") @approve("auditor, risk-officer")\n'
                'forbid(principal, action == Remit::Action::"amend", resource) // amend;\n'
                ";"
            ),
        ),
        tools=(
            refund_tool(
                rule("refund"),
                rule(
                    "refund-cap",
                    "forbid",
                    when='context.input.amount.greaterThan(decimal("500.0"))',
                    because="refunds over 500 need a person",
                    controls=("SOX-404",),
                    obligations=(
                        Approve(by="risk-officer"),
                        Redact(arguments=("iban",), result=("iban", "order_id")),
                    ),
                ),
            ),
            lookup_tool(rule("lookup", obligations=(Redact(result=("email",)),))),
        ),
        dispatch=(rule("residency", when="resource.region == principal.jurisdiction"),),
        blocks=(
            notes_block(rule("notes", on=("remember", "recall")), rule("", when="principal is Remit::Agent")),
        ),
    )
