"""Slicing, policy ids, and policies that the parser must never see."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.engine.cedar import CedarEngine, _Scope
from remit.engine.image import PolicyImage
from remit.engine.request import Decision, Entity, EntityRef, Request
from remit.engine.statements import check_nesting, scan_statements
from remit.errors import PolicyError

SCHEMA: dict[str, Any] = {
    "Remit": {
        "entityTypes": {"Agent": {}, "Tool": {}},
        "actions": {
            "call_tool": {},
            **{
                name: {
                    "memberOf": [{"id": "call_tool"}],
                    "appliesTo": {
                        "principalTypes": ["Agent"],
                        "resourceTypes": ["Tool", "Agent"],
                        "context": {
                            "type": "Record",
                            "attributes": {"x": {"type": "String", "required": False}},
                        },
                    },
                }
                for name in ("pay", "search")
            },
        },
    }
}


def engine(text: str) -> CedarEngine:
    return CedarEngine(
        PolicyImage(policies=text, schema=SCHEMA, schema_text="", rules={}, digest="sha256:00")
    )


def request(action: str, resource: str, context: dict[str, Any]) -> Request:
    return Request(
        principal=Entity(ref=EntityRef(type="Agent", id="a")),
        action=action,
        resource=Entity(ref=EntityRef(type="Tool", id=resource)),
        context=context,
    )


def ask(on: CedarEngine, action: str, resource: str = "t", **context: Any) -> Decision:
    return on.decide(request(action, resource, context))


def test_reasons_and_errors_carry_the_authors_ids() -> None:
    text = '@id("go") permit(principal, action, resource); @id("odd `id`: x") forbid(principal, action, resource) when { context.x == "a" };'
    decision = ask(engine(text), "pay")
    assert [failure.rule for failure in decision.errors] == ["odd `id`: x"]
    assert ask(engine(text), "pay", x="b").reasons == ("go",)
    assert ask(engine(text), "pay", x="a").reasons == ("odd `id`: x",)


def test_a_forbid_applies_although_a_permit_would_allow_and_an_error_beside_a_forbid_names_both() -> None:
    text = """
    @id("go") permit(principal, action, resource);
    @id("stop") forbid(principal, action, resource);
    @id("broken") forbid(principal, action, resource) when { context.x == "a" };
    """
    decision = ask(engine(text), "pay")
    assert (decision.kind, decision.reasons) == ("error", ("stop",))
    assert [failure.rule for failure in decision.errors] == ["broken"]


def test_only_policies_that_can_match_are_asked() -> None:
    text = """
    @id("go") permit(principal, action, resource);
    @id("pay") forbid(principal, action == Remit::Action::"pay", resource) when { context.x == "a" };
    @id("group") forbid(principal, action in Remit::Action::"call_tool", resource == Remit::Tool::"t") when { context.x == "a" };
    @id("agent") forbid(principal, action, resource is Remit::Agent);
    @id("other") forbid(principal == Remit::Agent::"b", action, resource);
    """
    on = engine(text)
    assert ask(on, "search", "u").reasons == ("go",)
    assert [f.rule for f in ask(on, "search", "t").errors] == ["group"]
    assert [f.rule for f in ask(on, "pay", "t").errors] == ["group", "pay"]
    assert [f.rule for f in ask(on, "pay", "u").errors] == ["pay"]
    # What comes back is cut out by all that is known; the long way, which words the errors, cuts by scope.
    assert asked_of(text, "search", "u") == [{"go", "group", "other"}, {"go"}]
    assert asked_of(text, "pay", "t") == [{"go", "pay", "group", "other"}, {"go", "group", "pay"}]
    kept = {key: set(cut.rules.values()) for key, cut in cuts(on).items() if isinstance(key, _Scope)}
    assert {(scope.action, scope.resource[1]): rules for scope, rules in kept.items()} == {
        ("search", "t"): {"go", "group"},
        ("pay", "t"): {"go", "group", "pay"},
        ("pay", None): {"go", "pay"},
    }


@pytest.mark.parametrize("scope", ["action", 'action in Remit::Action::"call_tool"'])
def test_what_many_actions_share_is_parsed_once(scope: str) -> None:
    shared = "".join(
        f'@id("no{n}") forbid(principal, {scope}, resource) when {{ context has x && context.x == "{n}" }};'
        for n in range(20)
    )
    own = "".join(
        f'@id("{name}") permit(principal, action in [Remit::Action::"{name}"], resource);'
        for name in ("pay", "search")
    )
    on = engine(shared + own)
    for action in ("pay", "search"):
        assert ask(on, action, x="7").reasons == ("no7",)
        assert ask(on, action, x="a").reasons == (action,)
    assert sorted(len(cut.rules) for cut in cuts(on).values()) == [1, 1, 20]


def cuts(on: CedarEngine) -> dict[Any, Any]:
    kept = on._slices._kept
    return {key: value for key, (value, _) in (kept._old | kept._young).items()}


def asked_of(text: str, action: str, resource: str) -> list[set[str]]:
    """Return which choices of rules the short way asks for a request that comes back."""
    fresh = engine(text)
    for _ in range(100):
        assert fresh._short(request(action, resource, {"x": "b"})) is not None
    return [set(cut.rules.values()) for cut in cuts(fresh).values()]


def test_ids_that_no_policy_names_do_not_make_slices() -> None:
    on = engine('@id("go") permit(principal, action, resource == Remit::Tool::"t");')
    for number in range(50):
        ask(on, "pay", f"tool-{number}")
        on._long(request("pay", f"tool-{number}", {}))
    assert len(on._slices._kept) == 1


def test_threads_get_the_same_answers() -> None:
    on = engine('@id("go") permit(principal, action, resource) when { context has x };')
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.extend(ask(on, "pay", x="a").allowed for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 200


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("permit(principal, action, resource);", "no `@id`"),
        (
            '@id("a") permit(principal, action, resource); @id("a") forbid(principal, action, resource);',
            "used twice",
        ),
        ('@id("a") permit(principal == ?principal, action, resource);', "template"),
        ('@id("a") permit(principal', "does not parse"),
        ("nonsense", "does not parse"),
    ],
)
def test_an_image_whose_policies_cannot_be_told_apart_or_read_is_refused(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        engine(text)


def test_a_long_chain_of_alternatives_is_decided_under_its_own_ids() -> None:
    chain = " || ".join(f'context.x == "{n}"' for n in range(150))
    on = engine(
        f'@id("go") permit(principal, action, resource);\n@id("list") forbid(principal, action, resource) when {{ {chain} }};'
    )
    assert ask(on, "pay", x="149").reasons == ("list",)
    assert ask(on, "pay", x="150").reasons == ("go",)
    assert [failure.rule for failure in ask(on, "pay").errors] == ["list"]


DEEP = {
    "brackets": "(" * 3000 + "true" + ")" * 3000,
    "not": "!(" * 3000 + "true" + ")" * 3000,
    "sets": "[" * 3000 + "]" * 3000 + " == []",
    "records": "{a:" * 3000 + "1" + "}" * 3000 + " == 1",
    "sum": "1" + "+1" * 3000 + " == 2",
    "or": "true" + " || true" * 3000,
    "members": "context" + ".a" * 3000,
    "index": "context" + '["a"]' * 3000,
    "calls": "context" + ".contains(1)" * 3000,
    "if": "if true then true else " * 3000 + "true",
    "has": "context has " + "a." * 3000 + "a",
    "commas": "[" + "1," * 3 + "[" * 3000 + "]" * 3000 + "]",
}


@pytest.mark.parametrize("name", DEEP)
def test_a_policy_that_would_overflow_the_parsers_stack_is_refused_before_it_gets_there(name: str) -> None:
    text = f'@id("deep") permit(principal, action, resource) when {{ {DEEP[name]} }};'
    with pytest.raises(PolicyError, match="`deep` nests too deeply"):
        engine(text)


def test_a_carriage_return_ends_a_comment_as_it_does_for_the_parser() -> None:
    text = f'// a comment\r@id("deep") permit(principal, action, resource) when {{ {DEEP["brackets"]} }};'
    with pytest.raises(PolicyError, match="`deep` nests too deeply"):
        engine(text)


@pytest.mark.parametrize("name", ["brackets", "or", "if", "members", "index", "calls", "records"])
def test_what_is_just_not_refused_does_not_end_the_process(name: str) -> None:
    shape = {
        "brackets": lambda n: "(" * n + "true" + ")" * n,
        "or": lambda n: "true" + " || true" * n,
        "if": lambda n: "if true then true else " * n + "true",
        "members": lambda n: "context" + ".a" * n,
        "index": lambda n: "context" + '["a"]' * n,
        "calls": lambda n: "context" + ".contains(1)" * n,
        "records": lambda n: "{a:" * n + "1" + "}" * n + " == 1",
    }[name]
    fits = 0
    for n in range(10, 700, 10):
        text = f'@id("deep") permit(principal, action, resource) when {{ {shape(n)} }};'
        try:
            check_nesting(text)
        except PolicyError:
            break
        fits = n
    assert fits >= 100
    text = f'@id("deep") permit(principal, action, resource) when {{ {shape(fits)} }};'
    script = "import sys, cedarpy; cedarpy.PolicySet.from_str(sys.stdin.read())"
    done = subprocess.run(
        [sys.executable, "-c", script], input=text.encode(), timeout=60, check=False, capture_output=True
    )
    assert done.returncode in {0, 1}


def test_long_flat_policies_are_not_deep() -> None:
    names = ", ".join(f'"name-{n}"' for n in range(5000))
    check_nesting(f'@id("a") permit(principal, action, resource) when {{ [{names}].contains(context.x) }};')
    check_nesting(
        "\n".join(f'@id("r{n}") permit(principal, action, resource) when {{ 1 < 2 }};' for n in range(5000))
    )


def test_statements_are_found_through_texts_and_comments() -> None:
    text = """
    // a comment with ; and "quotes and @id("no")
    @id("one") @because("has ; and \\" and @id(\\"no\\")") permit(principal, action, resource) when { "a;b//c" == "d" };
    permit(principal, action, resource);
    @because("x") @id("three")
    forbid(principal, action, resource) unless { context has x };
    """
    statements = scan_statements(text)
    assert [statement.id for statement in statements] == ["one", "", "three"]
    assert "".join(text[one.start : one.end] for one in statements).strip() == text.strip()


SIGNS = (
    *("(", "[", "{", ")", "]", "}", "()", "[]", "{}", "+", "-", "*", "!", "!!", ".b"),
    *("|| ", "&& ", "< ", ">= ", "== ", "if ", "in ", "has ", "like ", "is "),
)
PIECES = st.sampled_from(
    [*SIGNS, *(",", ";", '"', "\\", " ", "x"), *('"a && (b;"', "// [[; \n", '@id("a")', '"\\""')]
)


@given(st.lists(PIECES, max_size=60).map("".join), st.integers(min_value=0, max_value=40))
def test_a_statement_nests_beyond_a_limit_where_its_nesting_is_above_it(text: str, limit: int) -> None:
    statements = scan_statements(text)
    end = statements[-1].end if statements else 0
    assert "".join(text[one.start : one.end] for one in statements) == text[:end]
    for statement in statements:
        assert statement.nests_beyond(limit) == (statement.nesting > limit)


@pytest.mark.parametrize("sign", SIGNS)
def test_no_sign_is_left_out_where_a_statement_is_measured(sign: str) -> None:
    # Four times as many as there are signs at least: so one that was not counted would be missed.
    for count in range(4, 40):
        (statement,) = scan_statements(f"{sign * count};")
        assert statement.nests_beyond(statement.nesting - 1)
        assert not statement.nests_beyond(statement.nesting)
