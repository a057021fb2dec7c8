"""Values become literals of their type, whatever they hold: no value changes the shape of a rule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packs_world import RULES, USE, built, image_of, pack_at

from remit.policy.origins import Origin
from remit.policy.packs.expansion import effective_values, expand, parameter_faults
from remit.policy.packs.parameters import (
    ParameterFaultError,
    ParameterType,
    admit,
    cedar_literal,
    parameters_of,
)
from remit.policy.packs.placeholders import SubstitutedOrigin, misplaced, placeholders, substitute
from remit.workbench.pack_trial import edge_values

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject, JsonValue

TEXT = ParameterType(scalar="String")
HOSTILE = (
    '"',
    '\\"',
    '"} permit(principal, action, resource); //',
    "${cap}",
    "\n",
    "\\",
    "*",
    "\x00",
    "'; DROP",
)


def _holds(expression: str) -> bool:
    """Whether Cedar itself finds an expression true, and reads exactly one policy with one condition."""
    text = f"permit(principal, action, resource) when {{ {expression} }};"
    tree = cedarpy.PolicySet.from_str(text).to_pst()
    assert [len(policy.clauses) for policy in tree.static_policies.values()] == [1]
    request = {"principal": 'U::"a"', "action": 'Action::"a"', "resource": 'U::"a"', "context": {}}
    return bool(cedarpy.is_authorized(request, text, []).allowed)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
@settings(max_examples=150, deadline=None)
def test_a_text_becomes_a_literal_that_equals_it_and_nothing_else(text: str) -> None:
    literal = cedar_literal(TEXT, text)
    assert "\n" not in literal
    assert _holds(f'{literal} == {literal} && !({literal} == "{{") || {literal} == "{{"')
    tree = cedarpy.PolicySet.from_str(
        f"permit(principal, action, resource) when {{ {literal} == context.a }};"
    )
    assert len(tree.to_pst().static_policies) == 1
    request = {"principal": 'U::"a"', "action": 'Action::"a"', "resource": 'U::"a"', "context": {"a": text}}
    policy = f"permit(principal, action, resource) when {{ context.a == {literal} }};"
    assert cedarpy.is_authorized(request, policy, []).allowed


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_a_text_in_the_compiled_rule(text: str, tmp_path: Path) -> None:
    import json

    use = USE.replace("tools: [pay]", f"tools: [pay], vip: {json.dumps(text)}")
    held = built(tmp_path, use=use)
    (rule,) = (info for info in image_of(held).rules.values() if info.id == "caps.vip-cap")
    policy = next(iter(cedarpy.PolicySet.from_str(rule.text).to_pst().static_policies.values()))
    assert (policy.effect, len(policy.clauses)) == ("forbid", 2)
    assert held.document.governance.packs[0].parameters is not None
    assert held.document.governance.packs[0].parameters["vip"] == text


@given(st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1))
@settings(max_examples=60, deadline=None)
def test_an_integer_keeps_its_value_wherever_it_stands(number: int) -> None:
    literal = cedar_literal(ParameterType(scalar="Long"), number)
    assert _holds(f"0 - {literal} == {-number} && 1 + {literal} == {number + 1}")


@given(st.integers(min_value=-(10**12), max_value=10**12))
@settings(max_examples=60, deadline=None)
def test_a_number_of_four_places_becomes_exactly_that_decimal(tenthousandths: int) -> None:
    number = tenthousandths / 10_000
    value: JsonValue = int(number) if number.is_integer() else number
    sign, whole, places = "-" if tenthousandths < 0 else "", *divmod(abs(tenthousandths), 10_000)
    literal = cedar_literal(ParameterType(scalar="decimal"), value)
    assert _holds(f'{literal} == decimal("{sign}{whole}.{places:04}")')


@pytest.mark.parametrize(
    ("schema", "value", "literal"),
    [
        ({"type": "boolean"}, True, "true"),
        ({"type": "string", "format": "date"}, "2026-02-28", 'datetime("2026-02-28")'),
        (
            {"type": "string", "format": "date-time"},
            "2026-02-28T10:00:00Z",
            'datetime("2026-02-28T10:00:00Z")',
        ),
        ({"type": "string", "x-cedar": "duration"}, "-1h30m", 'duration("-1h30m")'),
        ({"type": "string", "x-cedar": "ip"}, "192.0.2.0/24", 'ip("192.0.2.0/24")'),
        ({"type": "string", "x-cedar": "Caller"}, 'a"b', 'Remit::Caller::"a\\"b"'),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, [1, -2], "[1, (-2)]"),
        (
            {"type": "array", "items": {"type": "string", "x-cedar": "Tool"}, "minItems": 1},
            ["a"],
            '[Remit::Tool::"a"]',
        ),
    ],
)
def test_each_type_has_its_own_literal(schema: JsonObject, value: JsonValue, literal: str) -> None:
    (item,) = parameters_of({"type": "object", "properties": {"a": schema}})
    assert cedar_literal(item.type, value) == literal


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "number"}, 0.00001),
        ({"type": "number"}, math.pi),
        ({"type": "integer"}, True),
        ({"type": "string", "format": "date"}, "2026-02-30"),
        ({"type": "string", "format": "date-time"}, "tomorrow"),
        ({"type": "string", "x-cedar": "duration"}, "PT8H"),
        ({"type": "string", "x-cedar": "duration"}, "99999999999999999999d"),
        ({"type": "string", "x-cedar": "ip"}, "192.0.2.300"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, []),
        ({"type": "array", "items": {"type": "number"}, "minItems": 1}, [1, 0.12345]),
        ({"type": "string"}, 5),
        ({"type": "integer", "maximum": 3}, 4),
    ],
)
def test_a_value_without_a_literal_is_refused(schema: JsonObject, value: JsonValue) -> None:
    with pytest.raises(ParameterFaultError):
        admit(schema, value)


@given(st.lists(st.sampled_from(["x", " ", "${a}", "${b}", '"t"', "&&", "(", "12"]), max_size=12))
@settings(max_examples=200, deadline=None)
def test_an_offset_after_substitution_leads_back_to_the_authors_own(pieces: list[str]) -> None:
    text = " ".join(pieces)
    written = substitute(text, {"a": '"a long literal"', "b": "7"})
    kept = {name for name in "x&(" if name in text}
    for mark in kept:
        places = [index for index, letter in enumerate(written.text) if letter == mark]
        assert [written.original[written.offset(index)] for index in places] == [mark] * len(places)
    for start, end, first, last in written.edits:
        assert {written.offset(position) for position in range(start, end)} == {first}
        assert written.original[first:last] in ("${a}", "${b}")
    assert written.offset(len(written.text)) == len(text)


def test_an_origin_after_substitution_names_the_authors_line_and_column() -> None:
    text = "${a} == 1 &&\n  ${b} == oops"
    written = substitute(text, {"a": "context.x", "b": "12345"})
    start = SubstitutedOrigin(file="f", line=3, column=11, indent=6, substitution=written)
    found = start.at(written.text, written.text.index("oops"))
    assert found == Origin(file="f", line=4, column=17, indent=6)


@pytest.mark.parametrize("text", ["context.a == ${a}", "[${a}, ${b}]", "context[${a}] < -${b}", "x has ${a}"])
def test_a_placeholder_that_is_one_token_may_stand(text: str) -> None:
    assert misplaced(text) == ()
    assert len(placeholders(text)) == text.count("${")


def test_defaults_fill_what_is_not_given_and_optional_ones_stay_absent(tmp_path: Path) -> None:
    pack = pack_at(tmp_path).pack
    assert effective_values(pack, {"tools": ["pay"]}) == {"tools": ["pay"], "cap": 500}
    found = expand(pack, alias="caps", given={"tools": ["pay"]})
    assert [rule.value["id"] for rule in found.rules] == ["caps.cap"]
    assert found.left_out == ("vip-cap",)


def test_what_is_given_wrongly_is_told_parameter_by_parameter(tmp_path: Path) -> None:
    pack = pack_at(tmp_path).pack
    said = {(fault.path, fault.message) for fault in parameter_faults(pack, {"cap": 0, "tool": ["pay"]})}
    assert said == {
        ("/tool", "the pack `caps` has no parameter `tool`"),
        ("", "the pack `caps` needs the parameter `tools`"),
        ("/cap", "`cap` does not fit the pack `caps`: 0 is less than the minimum of 1"),
    }


def test_the_words_of_a_reason_show_the_values(tmp_path: Path) -> None:
    held = built(tmp_path, use=USE.replace("tools: [pay]", "tools: [pay], cap: 7"))
    assert image_of(held).rules["caps.cap"].because == "more than 7 is too much"


def test_names_of_a_list_are_spliced_among_others(tmp_path: Path) -> None:
    rules = RULES.replace("on: ${tools}", 'on: [look, "${tools}"]', 1).replace(
        "input.amount > ${cap}", "now > context.now && ${cap} > 0", 1
    )
    held = built(tmp_path, rules=rules)
    assert image_of(held).rules["caps.cap"].actions == ("look", "pay")


def test_edges_are_bounds_single_elements_and_each_word(tmp_path: Path) -> None:
    del tmp_path
    whole = parameters_of(
        {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
                "b": {"type": "boolean"},
                "w": {"type": "string", "enum": ["a", "b"]},
                "l": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "minItems": 1},
                "s": {"type": "string"},
            },
        }
    )
    held: dict[str, JsonValue] = {"n": 5, "b": True, "w": "a", "l": ["a"], "s": "x"}
    assert {item.name: edge_values(item, held[item.name]) for item in whole} == {
        "n": (1, 8),
        "b": (False,),
        "w": ("b",),
        "l": (["b"], ["a", "b"]),
        "s": (),
    }
