from __future__ import annotations

import random
from typing import Any

import pytest
from policy_documents import REFUND, cedar, document, lookup_tool, notes_block, refund_tool, rule

from remit.document.rules import Redact
from remit.errors import PolicyError
from remit.policy.compile import compile_governance
from remit.policy.origins import Origin

WHEN = "/capabilities/tools/0/rules/0/when"
FILE = Origin(file="rules/refunds.yaml", line=12, column=9)


def faults(origins: dict[str, Origin] | None = None, **members: Any) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        compile_governance(document(**members), origins=origins or {})
    return [str(fault) for fault in caught.value.faults]


def outcome(expression: str) -> set[str]:
    """Return where the faults of an expression are, or `compiled`."""
    try:
        compile_governance(document(tools=(refund_tool(rule("r", when=expression)),)))
    except PolicyError as error:
        return {fault.pointer for fault in error.faults}
    return {"compiled"}


def when_faults(expression: str) -> list[str]:
    return faults({WHEN: FILE}, tools=(refund_tool(rule("r", when=expression)), lookup_tool()))


EXPRESSIONS: list[tuple[str, str]] = [
    (
        "context.input.count > ",
        "12:29: not valid Cedar: the condition ends too early; write what stands behind the last operator",
    ),
    (
        '(context.input.order_id == "a) (b"',
        "12:42: not valid Cedar: the condition ends too early; close every `(` and `[`",
    ),
    (
        'contains(context.input.order_id, "x")',
        "12:9: `contains` is a method, not a function; write `x.contains(…)`",
    ),
    (
        "context.input.count 5",
        "12:29: not valid Cedar: unexpected `5`; an operator, a comma or a bracket is missing before it, or it is one too many",
    ),
    (
        "context.input.amont > 5",
        "12:23: attribute `amont` not found in `context.input` of `refund`: did you mean `amount`",
    ),
    (
        "context.input.amount > 500",
        (
            "12:9: `context.input.amount` is a decimal: `>` compares whole numbers; "
            'write `context.input.amount.greaterThan(decimal("500.0"))`'
        ),
    ),
    (
        "context.input.count == 1 && context.input.amount <= 9.5",
        (
            "12:61: unexpected number `9.5`: Cedar has no decimal literals; "
            'write `decimal("9.5")` and compare with `.greaterThan(…)` and the like'
        ),
    ),
    (
        'context.input.iban == "x"',
        (
            "12:23: attribute `iban` of `context.input` may be absent: the rule would fail where it is; "
            "ask for it first: `context.input has iban && …`"
        ),
    ),
    (
        'context.input.count == "x"',
        "12:29: `Long` and `String` can never be equal; compare values of one type",
    ),
    (
        "context.input has amuont",
        "12:27: attribute `amuont` is never in `context.input`: did you mean `amount`",
    ),
    ("contxt.input.count == 1", "12:9: unknown variable `contxt`: did you mean `context`"),
    (
        'principal.jursdiction == "x"',
        "12:19: attribute `jursdiction` not found on `Agent`: did you mean `jurisdiction`",
    ),
    (
        'principal in Remit::Agnt::"x"',
        "12:22: unknown entity type `Remit::Agnt`: did you mean `Remit::Agent`",
    ),
    (
        'action == Action::"refund"',
        (
            '12:19: unknown action `Action::"refund"`: actions live in the namespace `Remit`; '
            'write `Remit::Action::"refund"`'
        ),
    ),
    ('action == Remit::Action::"refnd"', "12:19: unknown action `refnd`: did you mean `refund`"),
    (
        "principal is Caller",
        "12:22: unknown entity type `Caller`: types live in the namespace `Remit`; write `Remit::Caller`",
    ),
    ("not context.input.count > 3", "12:9: unexpected word `not`: Cedar's operator is `!`; write `!`"),
    ("context.run == 1 # why", "12:26: not valid Cedar: character `#`; a comment begins with `//`"),
    (
        'context.run.contains("x")',
        '12:9: a value of type `String` stands where a set is needed; write `["a", "b"].contains(…)`, or `like "*a*"` for a part of a text',
    ),
    ("foo(1)", "12:9: unknown function `foo`: there is `datetime`, `decimal`, `duration`, `ip`"),
    (
        'context.input.amount.greaterThn(decimal("1.0"))',
        "12:30: unknown method `greaterThn`: did you mean `greaterThan`",
    ),
    ("context.input.count = 1", "12:29: `=` is no operator of Cedar; write `==`"),
    (
        "context.input.count == 1 and true",
        "12:34: unexpected word `and`: Cedar's operator is `&&`; write `&&`",
    ),
    ("context.input.order_id == 'a'", '12:35: not valid Cedar: a text in single quotes; write it in `"`'),
    (
        "context.input.count",
        "12:9: a value of type `Long` stands where `Bool` is needed; compare it with something, so that it is true or false",
    ),
    ("", "12:9: an expression is empty; write one, or leave the member out"),
    (
        "true } unless { false",
        "12:14: an expression closes a bracket that it did not open; write one expression here, without clauses",
    ),
    (
        "true }; permit(principal, action, resource) when { true",
        "12:14: an expression closes a bracket that it did not open; write one expression here, without clauses",
    ),
    (
        'context.input.due > "2026-01-01"',
        '12:29: a text stands where a datetime is needed; write `datetime("…")`',
    ),
    ("[].contains(1)", "12:9: an empty set `[]` has no type; write `.isEmpty()`"),
    ('decimal("x") == context.input.amount', '12:9: `"x"` is not a valid decimal'),
    ('resource == Remit::Tool::"refnd"', "12:34: unknown tool `refnd`: did you mean `refund`"),
    (
        'context.input.order_id in ["a"]',
        (
            "12:32: `in` asks whether an entity belongs to another: this is no entity; "
            'for texts write `["a", "b"].contains(…)`'
        ),
    ),
    (
        "context.input.count == 99999999999999999999",
        "12:32: a whole number is too large: Cedar counts in 64 bits",
    ),
    ('"a\\q" == "b"', "12:11: `\\q` is not a valid escape in a text"),
    ("!!!!!true", "12:9: too many `!` in a row: Cedar takes four"),
    (
        'true &&\ncontext.input.address.contry == "x"',
        "13:23: attribute `contry` not found in `context.input.address` of `refund`: did you mean `country`",
    ),
    (
        "true" + " && true" * 30_000,
        (
            "12:9: not valid Cedar: an expression nests deeper than 100 levels; "
            "split the rule, or write `[…].contains(…)` for a long chain of `||`"
        ),
    ),
    (
        "(" * 30_000 + "true" + ")" * 30_000,
        (
            "12:9: not valid Cedar: an expression nests deeper than 100 levels; "
            "split the rule, or write `[…].contains(…)` for a long chain of `||`"
        ),
    ),
    (
        "true" + " && true" * 150,
        (
            "12:9: not valid Cedar: an expression nests deeper than 100 levels; "
            "split the rule, or write `[…].contains(…)` for a long chain of `||`"
        ),
    ),
]


@pytest.mark.parametrize(("expression", "message"), EXPRESSIONS, ids=[text[:40] for text, _ in EXPRESSIONS])
def test_a_wrong_expression_is_explained_at_the_authors_line(expression: str, message: str) -> None:
    assert [f"rules/refunds.yaml:{message}"] == when_faults(expression)


def test_the_text_of_a_string_is_not_taken_for_the_offending_token() -> None:
    assert when_faults('context.input.order_id != "amont" && context.input.amont == 1') == [
        "rules/refunds.yaml:12:60: attribute `amont` not found in `context.input` of `refund`: did you mean `amount`"
    ]


def test_a_block_scalars_indentation_counts() -> None:
    origin = Origin(file="a.yaml", line=3, column=7, indent=6)
    expression = "true &&\n  context.input.amont == 1"
    found = faults({WHEN: origin}, tools=(refund_tool(rule("r", when=expression)),))
    assert found[0].startswith("a.yaml:4:23: attribute `amont`")


def test_a_fault_in_unless_points_into_unless() -> None:
    origins = {WHEN: FILE, WHEN.replace("when", "unless"): Origin(file="b.yaml", line=1, column=1)}
    own = rule("r", when="context.input.count > 1", unless="context.input.amont == 1")
    assert faults(origins, tools=(refund_tool(own),))[0].startswith("b.yaml:1:15: attribute `amont`")


def test_a_fault_in_the_second_plain_policy_has_its_own_line() -> None:
    text = "permit(principal, action, resource);\n// next\nforbid(principal, action, resource)\nwhen { context.nw };\n"
    origin = Origin(file="rules/house.cedar", line=1, column=1)
    found = faults({"/governance/rules/0/cedar": origin}, rules=(cedar(text),))
    assert len(found) == 1
    assert found[0].startswith("rules/house.cedar:4:16: attribute `nw` not found in `context`")
    assert found[0].endswith("did you mean `now`")


def test_without_an_origin_a_fault_names_the_member_of_the_document() -> None:
    assert faults(tools=(refund_tool(rule("r", when="context.input.amont == 1")),)) == [
        "attribute `amont` not found in `context.input` of `refund`: did you mean `amount` (at `"
        + WHEN
        + "`)"
    ]


def test_all_faults_are_listed_in_document_order() -> None:
    found = faults(
        blocks=(notes_block(rule("b", when="contxt == 1")),),
        tools=(refund_tool(rule("t", when="context.input.amont == 1")),),
        rules=(rule("x", "forbid", on=("refnd",)),),
        activation=(rule("remit.mine"), cedar("permit(principal, action, resource)")),
    )
    assert [text.partition("(at ")[2].partition(")")[0] for text in found] == [
        "`/governance/activation/0/id`",
        "`/governance/activation/1/cedar`",
        "`/governance/rules/0/on/0`",
        f"`{WHEN}`",
        "`/memory/blocks/0/rules/0/when`",
    ]


PLACED: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "no rule",
        {},
        [
            (
                "governance has no rule of its own: nothing would ever be permitted (at `/governance`); "
                "write at least one rule, such as a permit under `activation`"
            )
        ],
    ),
    (
        "unknown action",
        {"rules": (rule("x", "permit", on=("refnd",)),)},
        ["unknown action `refnd`: did you mean `refund` (at `/governance/rules/0/on/0`)"],
    ),
    (
        "no action and no effect",
        {"rules": (rule("x"),)},
        [
            "a rule here must name its actions (at `/governance/rules/0`); write `on: [dispatch]` or the like",
            "a rule here needs an effect (at `/governance/rules/0`); write `effect: permit` or `effect: forbid`",
        ],
    ),
    (
        "action of another place",
        {"activation": (rule("x", on=("refund",)),)},
        [
            (
                "action `refund` does not fit here: rules at `/governance/activation` are about `activate`, `resume` "
                "(at `/governance/activation/0/on/0`); move the rule to `governance.rules`"
            )
        ],
    ),
    (
        "reserved id",
        {"rules": (rule("remit.z", "forbid", on=("refund",)),)},
        [
            (
                "rule id `remit.z` is reserved: `remit.…` names base rules (at `/governance/rules/0/id`); "
                "choose another id"
            )
        ],
    ),
    (
        "id twice",
        {
            "activation": (rule("dup"),),
            "rules": (cedar('@id("dup") permit(principal, action, resource);'),),
        },
        [
            (
                "rule id `dup` stands twice: first at `/governance/activation/0` (at `/governance/rules/0/cedar`); "
                "give every rule an id of its own"
            )
        ],
    ),
    (
        "template",
        {"rules": (cedar("permit(principal == ?principal, action, resource);"),)},
        [
            (
                "a template is no rule: nothing here links it (at `/governance/rules/0/cedar`); "
                "name the principal and resource instead of `?principal` and `?resource`"
            )
        ],
    ),
    (
        "no request",
        {
            "rules": (
                cedar('permit(principal is Remit::Block, action == Remit::Action::"refund", resource);'),
            )
        },
        [
            (
                "the rule can never apply: no request joins this principal, action and resource "
                "(at `/governance/rules/0/cedar`); "
                "see which principals and resources each action has in the rule reference"
            )
        ],
    ),
    (
        "no policy",
        {"rules": (cedar("// nothing\n"),)},
        ["no policy in this Cedar text (at `/governance/rules/0/cedar`); write one, or leave the rule out"],
    ),
    (
        "no semicolon",
        {"rules": (cedar("permit(principal, action, resource)"),)},
        [
            (
                "not valid Cedar: the text ends in the middle of a policy (at `/governance/rules/0/cedar`); "
                "close every bracket, and end a plain Cedar policy with `;`"
            )
        ],
    ),
    (
        "attribute of the other principal",
        {"mutation": (rule("m", on=("remember",), when='principal.kind == "user"'),)},
        [
            (
                "attribute `kind` not found on `Agent`: `Caller` has it (at `/governance/mutation/0/when`); "
                "ask for the type first: `principal is Remit::Caller && …`"
            )
        ],
    ),
    (
        "argument of another tool",
        {"rules": (rule("m", "forbid", on=("refund", "get-order"), when="context.input.count > 1"),)},
        [
            (
                "attribute `count` not found in `context.input` of `get-order`: only `refund` has it "
                "(at `/governance/rules/0/when`); name these actions with `on`, or in the policy's scope"
            )
        ],
    ),
    (
        "tool named like an action",
        {"tools": (refund_tool(name="remember"),), "rules": (cedar("permit(principal, action, resource);"),)},
        [
            "tool name `remember` is taken: it is an action already (at `/capabilities/tools/0/name`); rename it"
        ],
    ),
    (
        "tool without an object",
        {"tools": (refund_tool(rule("x"), parameters={"type": "array"}),)},
        ["the schema must have type `object` (at `/capabilities/tools/0/parameters/type`)"],
    ),
    (
        "tool with an unknown type",
        {
            "tools": (
                refund_tool(rule("x"), parameters={"type": "object", "properties": {"q": {"type": "strng"}}}),
            )
        },
        ["unknown type `strng` (at `/capabilities/tools/0/parameters/properties/q/type`)"],
    ),
    (
        "attributes",
        {
            "attributes": {"owner": "c", "x": 1.23456, "lifecycle": "z", "n": [1, "a"]},
            "rules": (cedar("permit(principal, action, resource);"),),
        },
        [
            "the items of an array must have one type: Cedar sets hold one type (at `/governance/attributes/n`)",
            (
                "`1.23456` is no Cedar decimal: it has more than four digits after the point "
                "(at `/governance/attributes/x`); round it, or write it as text"
            ),
        ],
    ),
    (
        "attribute that every agent has",
        {
            "attributes": {"owner": "c", "lifecycle": "z"},
            "caller": {"type": "object", "properties": {"kind": {"type": "string"}}},
            "rules": (cedar("permit(principal, action, resource);"),),
        },
        [
            (
                "attribute `lifecycle` is taken: every Agent has one already (at `/governance/attributes/lifecycle`); "
                "rename it"
            ),
            (
                "attribute `kind` is taken: every Caller has one already (at `/governance/caller/properties/kind`); "
                "rename it"
            ),
        ],
    ),
]


@pytest.mark.parametrize(
    ("members", "expected"), [case[1:] for case in PLACED], ids=[case[0] for case in PLACED]
)
def test_a_wrong_rule_or_declaration_is_explained_with_its_place(
    members: dict[str, Any], expected: list[str]
) -> None:
    assert expected == faults(**members)


def test_a_faulty_tool_does_not_hide_the_faults_of_other_rules() -> None:
    odd = {"type": "object", "properties": {"q": {"type": "strng"}}}
    found = faults(
        tools=(
            refund_tool(rule("a", when="context.input.q == 1"), name="odd", parameters=odd),
            refund_tool(rule("b", when="context.input.amont == 1")),
        )
    )
    assert found == [
        "unknown type `strng` (at `/capabilities/tools/0/parameters/properties/q/type`)",
        (
            "attribute `amont` not found in `context.input` of `refund`: did you mean `amount` "
            "(at `/capabilities/tools/1/rules/0/when`)"
        ),
    ]


def test_faults_come_in_the_same_order_whatever_the_validator_does() -> None:
    text = "forbid(principal, action, resource) when { context.input.bytes > principal.tier };"
    first = faults(rules=(cedar(text),))
    assert all(first == faults(rules=(cedar(text),)) for _ in range(5))


def test_no_mutilated_rule_escapes_as_anything_but_a_policy_error() -> None:
    chance = random.Random(7)
    good = 'context.input.amount.greaterThan(decimal("1.0")) && [1, 2].contains(context.input.count) || principal.tier < 3'
    for _ in range(300):
        text = list(good)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(text))
            text[place : place + chance.randint(0, 3)] = chance.choice(
                ["", "(", "}", '"', "//", ";", "é", "\\", "@", "."]
            )
        assert outcome("".join(text)) <= {WHEN, "compiled"}


def test_a_schema_that_refers_to_itself_is_readable_up_to_there() -> None:
    tree = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node"}},
        "required": ["root"],
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}},
                "required": ["name"],
            }
        },
    }
    own = rule("r", when='context.input.root.name == "a" && !(context.input.root has next)')
    assert "r" in compile_governance(document(tools=(refund_tool(own, parameters=tree),))).rules


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/X"}}},
            "`$ref` points at nothing: `#/$defs/X`",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "http://x/y"}}},
            "`$ref` must point into the same schema",
        ),
        ({"type": "object", "properties": []}, "`properties` must be an object"),
        ({"type": "object", "properties": {"a": 3}}, "a schema must be an object, true or false"),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/d0"}},
                "$defs": {
                    f"d{n}": {
                        "type": "object",
                        "properties": {
                            "l": {"$ref": f"#/$defs/d{n + 1}"},
                            "r": {"$ref": f"#/$defs/d{n + 1}"},
                        },
                    }
                    for n in range(40)
                }
                | {"d40": {"type": "string"}},
            },
            "the schema is too large: over 5000 members or 32 levels",
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/d0"}},
                "$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(3000)},
            },
            "the schema is too large: over 5000 members or 32 levels",
        ),
    ],
)
def test_a_schema_without_a_cedar_type_is_named(schema: dict[str, Any], message: str) -> None:
    assert faults(tools=(refund_tool(rule("x"), parameters=schema),))[0].startswith(message)


@pytest.mark.parametrize(
    ("member", "when"),
    [
        ({"type": ["string", "null"]}, 'context.input has v && context.input.v == "a"'),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "context.input has v && context.input.v > 1",
        ),
        ({"enum": ["a", "b"]}, 'context.input.v == "a"'),
        ({"const": 3}, "context.input.v == 3"),
        ({"type": "array", "items": {"enum": ["a"]}}, 'context.input.v.contains("a")'),
        ({"type": ["integer", "number"]}, 'context.input.v.lessThan(decimal("1.0"))'),
        ({"allOf": [{"type": "boolean"}]}, "context.input.v"),
        ({"type": "string", "format": "email"}, 'context.input.v like "*@example.org"'),
        ({"type": "string", "format": "date-time"}, 'context.input.v > datetime("2026-01-01")'),
        ({"properties": {"w": {"type": "integer"}}, "required": ["w"]}, "context.input.v.w == 1"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "context.input has v"),
        (True, "context.input has v"),
    ],
)
def test_what_json_schema_can_say_is_what_a_rule_can_ask(member: Any, when: str) -> None:
    parameters = {"type": "object", "properties": {"v": member}, "required": ["v"]}
    assert (
        "r"
        in compile_governance(
            document(tools=(refund_tool(rule("r", when=when), parameters=parameters),))
        ).rules
    )


def test_the_refund_schema_of_these_tests_is_complete() -> None:
    assert "r" in compile_governance(document(tools=(refund_tool(rule("r"), parameters=REFUND),))).rules


@pytest.mark.parametrize("closed", [True, False])
def test_an_argument_to_mask_that_the_tool_does_not_have_is_a_fault(closed: bool) -> None:
    masking = rule("r", obligations=(Redact(arguments=("order_id", "ordr_id"), result=("anything",)),))
    tool = refund_tool(masking, parameters={**REFUND, "additionalProperties": not closed})
    if closed:
        (fault,) = faults({}, tools=(tool,))
        assert "no argument to mask is called `ordr_id`: did you mean `order_id`" in fault
        assert "name an argument of the tools that the rule is about" in fault
    else:
        # What a tool takes without declaring it may be there.
        assert compile_governance(document(tools=(tool,))).rules["r"].obligations
