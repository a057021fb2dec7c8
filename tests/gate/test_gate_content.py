"""One content: what is decided is what is recorded, permitted and shown, whoever else holds the objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from gate_world import HIDE, PERMIT, REVIEW

from remit.document.rules import Redact
from remit.gate.answers import Ask, AwaitingApproval, Granted, request_digest
from remit.gate.approvals import judge
from remit.gate.obligations import REDACTED, mask, mask_error
from remit.ports import Batch, Invocation
from remit.testing.memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from gate_world import World

    from remit.records import Receipt


class Meddling(MemoryLedger):
    """A ledger during whose commit somebody else changes the proposed arguments."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__()
        self._meddle = meddle

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        self._meddle()
        return super().submit(batch)


def test_arguments_changed_while_the_ledger_commits_do_not_change_what_is_permitted(world: World) -> None:
    ask = world.pay(amount=10)
    assert isinstance(ask.content, Invocation)
    proposed = ask.content.arguments
    ledger = Meddling(lambda: proposed.update(amount=9999))
    answer = world.gate(ledger=ledger).authorize(ask)
    assert isinstance(answer, Granted)
    assert isinstance(answer.content, Invocation)
    assert answer.permit is not None
    assert answer.content.arguments == {"amount": 10}
    records = [(record.value["kind"], record.value["body"]) for record in ledger.records()]
    bodies: Any = dict(records)
    assert bodies["intent"]["content"] == answer.permit.digest == answer.content.digest()


def test_a_nested_argument_with_a_hidden_name_is_masked_too(world: World) -> None:
    hide_all = ("pays", "permit", PERMIT[2], "", (Redact(arguments=("iban",)),))
    ask = world.pay(amount=10)
    nested: Any = {"amount": 10, "memo": [{"iban": "DE1", "text": "x"}]}
    ask = replace(
        ask,
        request=replace(ask.request, context={**ask.request.context, "input": nested}),
        content=Invocation(tool="pay", arguments=nested, key="k"),
        parameters=None,
    )
    answer = world.gate(hide_all).authorize(ask)
    assert isinstance(answer, Granted), answer
    assert isinstance(answer.content, Invocation)
    assert answer.content.arguments == {"amount": 10, "memo": [{"iban": REDACTED, "text": "x"}]}
    assert answer.redacted_arguments == ("iban",)
    assert nested["memo"][0]["iban"] == "DE1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"customer": {"iban": "DE1", "n": 1}}, {"customer": {"iban": REDACTED, "n": 1}}),
        ({"rows": [{"iban": "DE1"}, {"iban": ["DE1"]}]}, {"rows": [{"iban": REDACTED}, {"iban": REDACTED}]}),
        ([[{"a": {"iban": "DE1"}}], "DE1"], [[{"a": {"iban": REDACTED}}], REDACTED]),
    ],
)
def test_hidden_members_are_masked_at_every_depth(value: Any, expected: Any) -> None:
    assert expected == mask(value, ("iban",))


def test_an_error_text_is_masked_whole_where_members_of_results_are_hidden() -> None:
    assert mask_error({"error": "no account DE1"}, ("iban",)) == {"error": REDACTED}
    assert mask_error({"error": "no account"}, ()) == {"error": "no account"}


def _digest(ask: Ask) -> str:
    return request_digest(ask.request, content=ask.content, image="sha256:i", agent="agent-1")


def test_an_approval_is_bound_to_the_caller_on_whose_behalf_it_was_asked(world: World) -> None:
    assert _digest(world.pay(amount=101)) != _digest(world.pay(amount=101, caller="carl"))
    gate = world.gate(PERMIT, REVIEW)
    waiting = gate.authorize(world.pay(amount=101))
    assert isinstance(waiting, AwaitingApproval)
    given = world.grant(waiting.request)
    other = gate.authorize(world.pay(amount=101, caller="carl", approvals=(given,)))
    assert isinstance(other, AwaitingApproval)
    assert isinstance(gate.authorize(world.pay(amount=101, approvals=(given,))), Granted)


@pytest.mark.parametrize(
    "spelling", ["cora", "Cora", " cora ", "CORA\u200b", "\uff43\uff4f\uff52\uff41", "cora\n"]
)
def test_nobody_approves_their_own_request_under_another_spelling(world: World, spelling: str) -> None:
    grant = world.grant("sha256:r", by=spelling)
    judgement = judge(grant, role="risk", request="sha256:r", run="run-1", caller="cora", principal="agent-1")
    assert judgement.standing == "ineligible"


def test_hidden_arguments_that_are_absent_are_not_named_as_masked(world: World) -> None:
    answer = world.gate(PERMIT, HIDE).authorize(world.pay(amount=1, iban="DE1"))
    assert isinstance(answer, Granted)
    assert answer.redacted_arguments == ("iban",)
