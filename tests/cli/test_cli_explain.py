"""`remit decide --explain`: what every rule came to, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANA = ("--as", "ana", "--attr", "jurisdiction=EU")
PAY = ("decide", "desk", "--action", "pay", "--explain", *ANA)


def test_the_value_of_an_explanation_holds_every_rule_every_part_and_what_was_missing(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    done = remit(*PAY, "--input", '{"amount": 900, "to": "bob"}', "--json")
    assert done.code == 4
    value = done.json["explanation"]
    assert [*value] == ["note", "faults", "policies", "missing", "suggestion"]
    by_rule = {policy["rule"]: policy for policy in value["policies"]}
    assert by_rule["pay-cap"]["applies"] == "satisfied"
    assert by_rule["pay-cap"]["origin"].startswith("desk/rules/desk.yaml:")
    assert by_rule["start"]["applies"] == "out of scope"
    when, unless = by_rule["pay-cap"]["clauses"]
    assert (when["clause"], when["holds"]) == ("when", True)
    assert (unless["clause"], unless["holds"]) == ("unless", True)
    assert when["expression"]["text"] == "context.input.amount > 500"
    assert [part["value"] for part in when["expression"]["inner"]] == [900, 500]
    (missing,) = value["missing"]
    assert (missing["rule"], missing["turn"]) == ("pay-cap", "not apply")
    assert missing["needs"][0]["text"] == "context.input.amount <= 500"
    assert missing["needs"][0]["values"] == {"context.input.amount": "900"}
    (change,) = value["suggestion"]["changes"]
    assert (change["path"], change["from"], change["to"]) == ("context.input.amount", 900, 500)
    assert value["suggestion"]["decision"] == "allow"


def test_a_decision_without_explain_says_nothing_of_it(remit: Any, project: Callable[..., Path]) -> None:
    project()
    done = remit("decide", "desk", "--action", "pay", *ANA, "--input", '{"amount": 9, "to": "b"}', "--json")
    assert "explanation" not in done.json


def test_a_request_that_cannot_be_asked_is_explained_by_its_faults(
    remit: Any, project: Callable[..., Path]
) -> None:
    project()
    done = remit(*PAY, "--input", '{"amount": "many", "to": "bob"}')
    assert done.code == 3
    assert "no rule was looked at" in done.stdout
    assert "`context.input.amount` is text" in done.stdout


def test_what_nobody_permits_is_said_in_so_many_words(remit: Any, project: Callable[..., Path]) -> None:
    project()
    done = remit("decide", "desk", "--action", "amend", "--explain", *ANA)
    assert done.code == 3
    assert "no rule permits this action at all" in done.stdout


def test_what_is_shown_holds_no_control_characters(remit: Any, project: Callable[..., Path]) -> None:
    project()
    done = remit(*PAY, "--input", '{"amount": 900, "to": "\\u001b[31mred"}')
    assert "\x1b" not in done.stdout
