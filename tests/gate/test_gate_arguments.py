"""Tool arguments against their JSON Schema."""

from __future__ import annotations

from typing import Any

import pytest

from remit.document.value_schemas import Conformance
from remit.gate.arguments import MAX_FAULTS, MAX_PATTERN_TEXT, argument_faults


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def test_arguments_that_fit_have_no_faults() -> None:
    parameters = schema(
        amount={"type": "integer", "minimum": 1}, when={"type": "string", "format": "date-time"}
    )
    assert argument_faults({"amount": 3, "when": "2026-01-01T00:00:00+02:00"}, parameters) == ()


def test_every_fault_is_named_with_its_place() -> None:
    parameters = schema(amount={"type": "integer"}, items={"type": "array", "items": {"type": "string"}})
    assert argument_faults({"amount": "x", "items": ["a", 1]}, parameters) == (
        "`arguments.amount`: is a text, expected is an integer",
        "`arguments.items[1]`: is an integer, expected is a text",
    )


def test_a_boolean_is_no_integer() -> None:
    assert argument_faults({"amount": True}, schema(amount={"type": "integer"})) != ()


@pytest.mark.parametrize("arguments", [None, [], "x", 1])
def test_what_is_no_object_is_a_fault(arguments: object) -> None:
    assert argument_faults(arguments, schema()) == ("the arguments are not a JSON object",)


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-30T00:00:00Z",
        "2026-01-01",
        "yesterday",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T24:00:00Z",
    ],
)
def test_a_date_time_is_checked(value: str) -> None:
    assert argument_faults({"when": value}, schema(when={"type": "string", "format": "date-time"})) != ()


def test_a_date_is_checked() -> None:
    parameters = schema(day={"type": "string", "format": "date"})
    assert argument_faults({"day": "2026-02-28"}, parameters) == ()
    assert argument_faults({"day": "2026-02-29"}, parameters) != ()
    assert argument_faults({"day": "2026-01-01T00:00:00Z"}, parameters) != ()


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a*)*b", "(x|xx)+y", "([a-z]+)*$", "(a{1,9}){1,9}b"])
def test_a_pattern_that_could_take_for_ever_is_not_searched(pattern: str) -> None:
    faults = argument_faults({"text": "a" * 60 + "!"}, schema(text={"type": "string", "pattern": pattern}))
    assert faults == ("`arguments.text`: the tool's pattern nests repetitions and is not searched",)


def test_an_ordinary_pattern_is_searched() -> None:
    parameters = schema(iban={"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}$"})
    assert argument_faults({"iban": "DE89370400440532013000"}, parameters) == ()
    assert argument_faults({"iban": "nope"}, parameters) != ()


def test_a_long_text_under_a_pattern_is_a_fault() -> None:
    parameters = schema(text={"type": "string", "pattern": "a"})
    assert argument_faults({"text": "a" * MAX_PATTERN_TEXT}, parameters) == ()
    assert argument_faults({"text": "a" * (MAX_PATTERN_TEXT + 1)}, parameters) != ()


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "nonsense"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.org/schema"},
        schema(a={"pattern": "("}),
        {"minLength": -1},
    ],
)
def test_a_schema_that_cannot_be_applied_lets_nothing_pass(parameters: dict[str, Any]) -> None:
    assert argument_faults({"a": "x"}, parameters) != ()


def test_a_schema_that_refers_to_itself_is_not_a_crash() -> None:
    assert argument_faults({}, {"$ref": "#"}) == ("the arguments are nested too deeply",)


def test_no_more_faults_are_listed_than_anybody_reads() -> None:
    parameters = {"type": "object", "additionalProperties": {"type": "string"}}
    assert len(argument_faults({f"a{n}": n for n in range(50)}, parameters)) == MAX_FAULTS


SECRET = "Ada Lovelace"
WRONG: list[tuple[dict[str, Any], Any]] = [
    ({"type": "integer"}, SECRET),
    ({"type": ["integer", "array"]}, {SECRET: SECRET}),
    ({"enum": ["a", "b"]}, SECRET),
    ({"const": "a"}, [SECRET]),
    ({"minLength": 99}, SECRET),
    ({"maxLength": 3}, SECRET),
    ({"pattern": "^[0-9]+$"}, SECRET),
    ({"type": "string", "format": "date"}, SECRET),
    ({"maxItems": 0}, [SECRET]),
    ({"uniqueItems": True}, [SECRET, SECRET]),
    ({"items": {"type": "object", "required": ["n"]}}, [{SECRET: 1}]),
    ({"contains": {"type": "integer"}}, [SECRET]),
    ({"additionalProperties": False}, {SECRET: 1}),
    ({"unevaluatedProperties": False}, {SECRET: 1}),
    ({"additionalProperties": {"type": "integer"}}, {SECRET: SECRET}),
    ({"patternProperties": {"^A": {"type": "integer"}}}, {SECRET: SECRET}),
    ({"propertyNames": {"maxLength": 3}}, {SECRET: 1}),
    ({"dependentRequired": {"a": ["b"]}}, {"a": SECRET}),
    ({"dependentSchemas": {SECRET: {"maxProperties": 0}}}, {SECRET: SECRET}),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, SECRET),
    ({"oneOf": [{"type": "string"}, {"minLength": 1}]}, SECRET),
    ({"not": {"type": "string"}}, SECRET),
    ({"if": {"type": "string"}, "then": {"maxLength": 2}}, SECRET),
    ({"allOf": [{"type": "integer"}]}, SECRET),
    ({"maximum": 5}, 4711),
    ({"exclusiveMaximum": 5}, 4711),
    ({"multipleOf": 2}, 4711),
]


@pytest.mark.parametrize(("declared", "value"), WRONG)
def test_a_fault_says_nothing_of_the_value_but_its_type_and_place(declared: Any, value: Any) -> None:
    for parameters, arguments in (
        (schema(person=declared), {"person": value}),
        (schema(list={"type": "array", "items": declared}), {"list": [value]}),
    ):
        faults = argument_faults(arguments, parameters)
        assert faults
        for fault in faults:
            assert "Ada" not in fault
            assert "4711" not in fault
            assert fault.startswith(("`arguments.person", "`arguments.list[0]"))
    if isinstance(declared, dict) and not {"items", "additionalProperties"} & declared.keys():
        conforms = Conformance({"properties": {"person": declared}})
        assert "Ada" not in str(conforms.told_faults({"person": value}))


def test_what_the_schema_expects_is_told() -> None:
    assert argument_faults(
        {"a": "z", "b": 1, "c": "x", "open": {SECRET: 1}},
        schema(
            a={"enum": ["x", "y"]},
            b={"minimum": 3},
            c={"pattern": "^[0-9]+$"},
            d={"type": "string"},
            open={"additionalProperties": {"type": "string"}},
        )
        | {"required": ["d"]},
    ) == (
        '`arguments.a`: is none of ["x", "y"]',
        "`arguments.b`: is less than 3",
        '`arguments.c`: does not match "^[0-9]+$"',
        "`arguments.open.*`: is an integer, expected is a text",
        "'d' is a required property",
    )


def test_text_without_a_utf8_form_can_still_be_reported() -> None:
    (fault,) = argument_faults({"n": "\ud800"}, schema(n={"type": "integer"}))
    fault.encode()


def test_a_schema_never_makes_the_gate_reach_for_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    reached: list[object] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *given, **_: reached.append(given))
    assert argument_faults({"a": "x"}, {"$ref": "https://example.org/schema"}) != ()
    assert reached == []
