"""Explanations: what every rule came to, what was missing, and a request that gives the other answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from workbench_desk import Desk, question, read_desk, write_desk

from remit.engine.compiled.goals import ABSENT
from remit.workbench.askable import Askable
from remit.workbench.explanation import Explanation, explain

if TYPE_CHECKING:
    from pathlib import Path

    from remit.engine.request import Decision, Request
    from remit.project.questions import Question


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return read_desk(write_desk(tmp_path_factory.mktemp("desk")))


def explained(desk: Desk, asked: Question) -> Explanation:
    askable = Askable(desk.document, asked)
    return explain(desk.image, desk.engine, askable.request(), askable)


def missing(found: Explanation) -> list[tuple[str, str, list[str]]]:
    return [(one.rule, one.turn, [need.text for need in one.needs]) for one in found.missing]


def suggested(desk: Desk, asked: Question, found: Explanation) -> dict[str, Any]:
    """Return the changes of a suggestion, having asked the reference engine about it once more."""
    suggestion = found.suggestion
    assert suggestion is not None
    values = {change.path: change.after for change in suggestion.changes}
    request = Askable(desk.document, asked).make(values)
    assert request is not None
    assert desk.engine.decide(request) == suggestion.decision
    assert suggestion.decision.allowed is not found.decision.allowed
    return {".".join(path): value for path, value in values.items()}


def test_a_forbid_says_which_condition_made_it_apply_and_the_bound_it_needs(desk: Desk) -> None:
    asked = question("pay", input={"amount": 9000, "to": "bob"})
    found = explained(desk, asked)
    assert missing(found) == [("pay-ceiling", "not apply", ["context.input.amount <= 5000"])]
    assert suggested(desk, asked, found) == {"context.input.amount": 500}


def test_several_forbids_must_all_be_lifted(desk: Desk) -> None:
    asked = question(
        "pay", input={"amount": 900, "to": "b", "note": "a secret"}, environment={"freeze": True}
    )
    found = explained(desk, asked)
    assert {rule for rule, _, _ in missing(found)} == {"pay-cap", "pay-note", "freeze"}
    changes = suggested(desk, asked, found)
    assert changes["context.environment.freeze"] is False
    assert len(changes) == 3


def test_a_permit_that_fails_says_what_it_lacks_also_behind_what_was_left_out(desk: Desk) -> None:
    asked = question("remember", resource="visits", principal="caller", input={"bytes": 500, "key": "k"})
    found = explained(desk, asked)
    assert missing(found) == [
        ("visits", "apply", ["principal is Remit::Agent", "context.input.bytes <= 400"])
    ]
    assert suggested(desk, asked, found) == {"principal": "agent", "context.input.bytes": 400}


def test_of_alternatives_the_fewest_conditions_are_named(desk: Desk) -> None:
    asked = question("look")
    found = explained(desk, asked)
    ((rule, turn, needs),) = missing(found)
    assert (rule, turn, len(needs)) == ("look", "apply", 1)
    assert suggested(desk, asked, found) == {"context.caller.roles": ["clerk"]}


def test_two_paths_that_are_compared_are_brought_together_where_somebody_can(desk: Desk) -> None:
    asked = question("activate", caller={"id": "bob", "jurisdiction": "US"})
    found = explained(desk, asked)
    assert suggested(desk, asked, found) == {"principal.jurisdiction": "EU"}


def test_a_back_end_is_chosen_from_those_of_the_document(desk: Desk) -> None:
    asked = question("dispatch", resource="far")
    found = explained(desk, asked)
    assert suggested(desk, asked, found) == {"resource.region": "EU"}


def test_an_allow_says_what_would_deny_it(desk: Desk) -> None:
    asked = question("pay", input={"amount": 20, "to": "bob"})
    found = explained(desk, asked)
    assert all(turn == "apply" for _, turn, _ in missing(found))
    assert len(suggested(desk, asked, found)) == 1


def test_what_nobody_permits_has_no_other_answer(desk: Desk) -> None:
    found = explained(desk, question("amend"))
    assert (found.decision.kind, found.missing, found.suggestion) == ("not_permitted", (), None)


def test_a_permit_for_other_requests_says_for_which(tmp_path: Path) -> None:
    folder = write_desk(tmp_path)
    (folder / "rules" / "more.cedar").write_text(
        '@id("officers-stop") @because("officers stop it")\n'
        'permit (principal, action == Remit::Action::"delegate", resource == Remit::Agent::"other");\n'
    )
    desk = read_desk(folder)
    found = explained(desk, question("delegate"))
    assert [(one.rule, one.scope) for one in found.missing] == [
        ("officers-stop", ('resource == Remit::Agent::"other"',))
    ]


def test_a_request_that_cannot_be_asked_is_told_so(desk: Desk) -> None:
    found = explained(desk, question("activate", caller={"id": "bob"}))
    assert found.trace is not None
    assert "is missing" in found.trace.faults[0]
    assert (found.missing, found.suggestion) == ((), None)


def test_an_answer_that_the_trace_does_not_come_to_is_not_explained(desk: Desk) -> None:
    class Wrong:
        name = "wrong"

        def decide(self, request: Request) -> Decision:
            decision = desk.engine.decide(request)
            return replace(decision, verdict="allow", kind="allowed")

    askable = Askable(desk.document, question("amend"))
    found = explain(desk.image, Wrong(), askable.request(), askable)
    assert found.trace is None
    assert "disagree" in found.note


def test_a_suggestion_is_a_request_that_somebody_could_send(desk: Desk) -> None:
    askable = Askable(desk.document, question("pay", input={"amount": 20, "to": "bob"}))
    for values in (
        {("context", "input", "amount"): -5000},  # below what the tool takes
        {("context", "input", "amount"): "many"},
        {("context", "input", "to"): ABSENT},
        {("principal", "jurisdiction"): "US"},  # the agent's own
        {("resource", "effect"): "read"},  # the tool's own
        {("context", "run"): "x"},
        {("principal", "lifecycle"): "asleep"},
        {("context", "usage", "turns"): -1},
        {("context", "now"): "soon"},
        {("context", "now"): ABSENT},
        {("principal",): "caller"},
    ):
        assert askable.make(values) is None
    made = askable.make(
        {
            ("context", "input", "note"): "x",
            ("context", "usage", "turns"): 3,
            ("context", "caller", "roles"): ["clerk"],
            ("principal", "lifecycle"): "suspended",
            ("context", "caller"): {"type": "Caller", "id": "bob"},
        }
    )
    assert made is not None
    assert made.context["input"] == {"amount": 20, "to": "bob", "note": "x"}
    assert made.principal.attributes["lifecycle"] == "suspended"
    assert made.context["caller"] == {"type": "Caller", "id": "bob"}
