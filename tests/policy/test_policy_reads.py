from __future__ import annotations

import pytest
from policy_documents import cedar, document, full_document, refund_tool, rule

from remit.engine.image import PolicyImage
from remit.engine.reads import EVERYTHING, Path, read_paths
from remit.policy.compile import compile_governance


def own_paths(condition: str) -> frozenset[Path]:
    """Return what one rule on `refund` reads beyond what the base rules read."""
    bare = read_paths(compile_governance(document(tools=(refund_tool(rule("r")),))))["refund"]
    return (
        read_paths(compile_governance(document(tools=(refund_tool(rule("r", when=condition)),))))["refund"]
        - bare
    )


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("context.input.count > 1", {("context", "input", "count")}),
        ('context.input.address.country == "DE"', {("context", "input", "address", "country")}),
        ('context.input["count"] > 1', {("context", "input", "count")}),
        ("context.input has iban", {("context", "input", "iban")}),
        ('context.input has iban && context.input.iban like "D*"', {("context", "input", "iban")}),
        ("context.input.address == context.input.address", {("context", "input", "address")}),
        ('context.input.address == {country: "DE"}', {("context", "input", "address")}),
        ("context.input == context.input && context.input.count > 1", {("context", "input")}),
        (
            "[context.input.count].contains(context.usage.turns)",
            {("context", "input", "count"), ("context", "usage", "turns")},
        ),
        ("principal is Remit::Agent", {("principal",)}),
        ('resource == Remit::Tool::"refund"', {("resource",)}),
        ("principal.tier > 1", {("principal", "tier")}),
        ('context.caller.roles.contains("x")', {("context", "caller", "roles")}),
        ('context.caller == Remit::Caller::"kim"', {("context", "caller")}),
        (
            "(if principal.tier > 1 then context.usage else context.lifetime).turns > 1",
            {("principal", "tier"), ("context", "usage", "turns"), ("context", "lifetime", "turns")},
        ),
        ("{a: context.input}.a.count > 1", EVERYTHING - {("principal", "lifecycle")}),
        ('context.input.amount.lessThan(decimal("1.0"))', {("context", "input", "amount")}),
        (
            'context.now.offset(duration("1h")) > context.input.due',
            {("context", "now"), ("context", "input", "due")},
        ),
        (
            "-context.input.count < 3 && !(context.environment.frozen)",
            {("context", "input", "count"), ("context", "environment", "frozen")},
        ),
    ],
)
def test_a_rule_reads_what_its_text_says_and_no_more(condition: str, expected: set[Path]) -> None:
    assert frozenset(expected) == own_paths(condition)


def test_a_rule_on_one_tool_reads_nothing_of_another() -> None:
    paths = read_paths(compile_governance(full_document()))
    assert ("context", "input", "amount") in paths["refund"]
    assert not any(path[:2] == ("context", "input") for path in paths["get-order"])


def test_a_rule_on_the_group_of_tools_reads_for_every_tool() -> None:
    paths = read_paths(compile_governance(full_document()))
    assert all(("context", "now") in paths[action] for action in ("refund", "get-order", "dispatch"))
    assert ("context", "now") not in paths["recall"]


def test_a_rule_on_all_actions_reads_for_every_action() -> None:
    image = compile_governance(
        document(rules=(cedar("forbid(principal, action, resource) when { context.environment.frozen };"),))
    )
    assert all(("context", "environment", "frozen") in paths for paths in read_paths(image).values())


def test_every_action_of_the_schema_has_its_paths() -> None:
    image = compile_governance(full_document())
    assert set(image.schema["Remit"]["actions"]) == set(read_paths(image))  # type: ignore[arg-type,call-overload,index]


def test_policies_that_cannot_be_read_as_a_tree_read_everything() -> None:
    image = compile_governance(full_document())
    broken = PolicyImage(
        policies="permit(", schema=image.schema, schema_text="", rules=image.rules, digest=image.digest
    )
    assert {EVERYTHING} == set(read_paths(broken).values())
