"""Obligations and approvals."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from gate_world import CAP, HIDE, PERMIT, REVIEW, forbid, image_of

from remit.document.rules import Approve, Redact
from remit.engine.cedar import CedarEngine
from remit.gate.answers import AwaitingApproval, Denial, Granted
from remit.gate.approvals import ApprovalGrant, judge
from remit.gate.obligations import REDACTED, mask, settle
from remit.ports import Invocation
from remit.testing.clock import FixedClock
from remit.testing.memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from gate_world import World

RULES = (PERMIT, CAP, REVIEW, HIDE)


def waiting(answer: object) -> AwaitingApproval:
    assert isinstance(answer, AwaitingApproval), answer
    return answer


def test_a_request_that_needs_a_person_waits_and_says_for_whom(world: World) -> None:
    answer = waiting(world.gate(*RULES, new_id=lambda: "fresh").authorize(world.pay(amount=200)))
    (pending,) = answer.pending
    assert (pending.id, pending.by, pending.rules, pending.request) == (
        "fresh",
        "risk",
        ("review",),
        answer.request,
    )
    assert pending.because == "payments over 100 need a person"
    kind, body, _ = world.records()[0]
    assert (kind, body["verdict"]) == ("decision", "awaiting_approval")
    assert body["pending"] == [{"id": "fresh", "by": "risk", "rules": ["review"]}]


def test_an_approved_request_runs_and_the_record_names_the_approval(world: World) -> None:
    gate = world.gate(*RULES)
    request = waiting(gate.authorize(world.pay(amount=200))).request
    answer = gate.authorize(world.pay(amount=200, approvals=[world.grant(request)]))
    assert isinstance(answer, Granted)
    assert answer.approvals == ("approval-1",)
    body = world.records()[1][1]
    assert body["approvals"][0]["by"] == "rita"
    assert body["obligations"] == [{"rule": "review", "fulfilled": True}]


def test_an_approval_of_one_amount_cannot_pay_another(world: World) -> None:
    gate = world.gate(*RULES)
    request = waiting(gate.authorize(world.pay(amount=200))).request
    waiting(gate.authorize(world.pay(amount=201, approvals=[world.grant(request)])))


def test_an_approval_under_one_image_is_void_under_another(world: World) -> None:
    request = waiting(world.gate(*RULES).authorize(world.pay(amount=200))).request
    other = world.gate(*RULES, forbid("more", "context.input.amount == 7"))
    waiting(other.authorize(world.pay(amount=200, approvals=[world.grant(request)])))


def test_an_approval_works_once_also_for_another_gate_on_the_same_ledger(world: World) -> None:
    request = waiting(world.gate(*RULES).authorize(world.pay(amount=200))).request
    approvals = [world.grant(request)]
    assert isinstance(world.gate(*RULES).authorize(world.pay(amount=200, approvals=approvals)), Granted)
    waiting(world.gate(*RULES).authorize(world.pay(amount=200, step=2, approvals=approvals)))


def test_of_racing_processes_that_claim_one_approval_one_acts(world: World) -> None:
    request = waiting(world.gate(*RULES).authorize(world.pay(amount=200))).request
    approvals = [world.grant(request)]
    barrier = threading.Barrier(6)

    class Together(MemoryLedger):
        """Lets everybody look for earlier claims before anybody writes one."""

        def submit(self, batch: Any) -> Any:
            if any(draft.kind == "intent" for draft in batch.records):
                barrier.wait(timeout=30)
            return world.ledger.submit(batch)

        def records(self, **given: Any) -> Any:
            return world.ledger.records(**given)

    gates = [world.gate(*RULES, ledger=Together()) for _ in range(6)]
    answers: list[object] = []
    threads = [
        threading.Thread(
            target=lambda g=g: answers.append(g.authorize(world.pay(amount=200, approvals=approvals)))
        )
        for g in gates
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers) == ["Denial"] * 5 + ["Granted"]
    assert sum(body.get("status") == "abandoned" for _, body, _ in world.records()) == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "intern"},
        {"by": "cora"},
        {"by": "agent-1"},
        {"by": ""},
        {"run": "run-2"},
        {"request": "sha256:00"},
        {"id": ""},
    ],
    ids=str,
)
def test_an_approval_that_does_not_count_leaves_the_request_waiting(
    world: World, changes: dict[str, str]
) -> None:
    gate = world.gate(*RULES)
    request = waiting(gate.authorize(world.pay(amount=200))).request
    given = {"request": request} | changes
    waiting(gate.authorize(world.pay(amount=200, approvals=[world.grant(**given)])))


def test_a_refusal_denies_with_the_persons_words_and_outweighs_an_approval(world: World) -> None:
    gate = world.gate(*RULES)
    request = waiting(gate.authorize(world.pay(amount=200))).request
    no = world.grant(request, id="approval-2", approved=False, reason="not this supplier")
    answer = gate.authorize(world.pay(amount=200, approvals=[world.grant(request), no]))
    assert isinstance(answer, Denial)
    assert (answer.kind, answer.rules) == ("approval_refused", ("review",))
    assert "not this supplier" in answer.message


def test_two_roles_need_two_approvals(world: World) -> None:
    legal = forbid("legal", "context.input.amount > 150", Approve(by="counsel"))
    gate = world.gate(PERMIT, REVIEW, legal)
    answer = waiting(gate.authorize(world.pay(amount=200)))
    assert sorted(pending.by for pending in answer.pending) == ["counsel", "risk"]
    first = world.grant(answer.request)
    half = waiting(gate.authorize(world.pay(amount=200, approvals=[first])))
    assert [pending.by for pending in half.pending] == ["counsel"]
    second = world.grant(answer.request, id="approval-2", by="lena", role="counsel")
    assert isinstance(gate.authorize(world.pay(amount=200, approvals=[first, second])), Granted)


def test_no_approval_lifts_a_forbid_without_obligations(world: World) -> None:
    answer = world.gate(*RULES).authorize(world.pay(amount=600))
    assert isinstance(answer, Denial)
    assert answer.rules == ("cap", "review")


def test_only_the_rules_that_apply_must_be_fulfilled(world: World) -> None:
    image = image_of(*RULES)
    settled = settle(CedarEngine(image), image, world.pay(amount=200).request)
    assert settled.fulfilled == ("review",)
    settled = settle(CedarEngine(image), image, world.pay(amount=200, iban="DE1").request)
    assert settled.fulfilled == ("hide", "review")
    settled = settle(CedarEngine(image), image, world.pay(amount=1).request)
    assert (settled.fulfilled, settled.rules) == ((), ())


def test_the_tool_sees_a_masked_argument_and_the_permit_is_bound_to_that(world: World) -> None:
    answer = world.gate(*RULES).authorize(world.pay(amount=1, iban="DE1"))
    assert isinstance(answer, Granted)
    assert isinstance(answer.content, Invocation)
    assert answer.content.arguments == {"amount": 1, "iban": REDACTED}
    assert answer.permit is not None
    assert answer.permit.digest == answer.content.digest()
    assert (answer.redacted_arguments, answer.redact_result) == (("iban",), ("iban",))
    assert world.records()[0][2]["arguments"] == {"amount": 1, "iban": REDACTED}


def test_what_a_caller_puts_into_fulfilled_does_not_count(world: World) -> None:
    ask = world.pay(amount=200)
    ask.request.context["fulfilled"] = ["review", "hide", "cap"]
    waiting(world.gate(*RULES).authorize(ask))


def test_a_permit_with_obligations_must_see_them_fulfilled(world: World) -> None:
    text = 'permit(principal, action == Remit::Action::"pay", resource);'
    gate = world.gate(
        ("pays", "permit", text, "only with a person", (Approve(by="risk"), Redact(result=("iban",))))
    )
    answer = waiting(gate.authorize(world.pay(amount=1)))
    granted = gate.authorize(world.pay(amount=1, approvals=[world.grant(answer.request)]))
    assert isinstance(granted, Granted)
    assert granted.redact_result == ("iban",)


def test_masking_hides_members_at_the_top_in_lists_and_whole_texts() -> None:
    assert mask({"iban": "DE1", "ok": True}, ("iban",)) == {"iban": REDACTED, "ok": True}
    assert mask([{"iban": "DE1"}, "DE1"], ("iban",)) == [{"iban": REDACTED}, REDACTED]
    assert mask("DE1", ("iban",)) == REDACTED
    assert mask("DE1", ()) == "DE1"


def test_without_a_known_caller_nobody_is_eligible(world: World) -> None:
    verdict = judge(
        world.grant("sha256:aa"),
        role="risk",
        request="sha256:aa",
        run="run-1",
        caller="",
        principal="agent-1",
    )
    assert verdict.standing == "ineligible"
    assert "segregation of duties" in verdict.reason


def test_a_grant_survives_its_json(world: World) -> None:
    grant = world.grant("sha256:aa")
    assert ApprovalGrant.from_json(grant.to_json()) == grant
    for name in grant.to_json():
        broken = {key: value for key, value in grant.to_json().items() if key != name}
        with pytest.raises(ValueError, match=name):
            ApprovalGrant.from_json(broken)


def test_what_waits_says_until_when_by_the_shortest_limit_of_its_role(world: World) -> None:
    rules = (
        PERMIT,
        forbid("slow", "context.input.amount > 100", Approve(by="risk", within_ms=7_200_000)),
        forbid("quick", "context.input.amount > 100", Approve(by="risk", within_ms=5_400_000)),
        forbid("ever", "context.input.amount > 100", Approve(by="risk")),
        forbid("legal", "context.input.amount > 100", Approve(by="counsel")),
    )
    answer = waiting(world.gate(*rules).authorize(world.pay(amount=200)))
    limits = {pending.by: pending.until for pending in answer.pending}
    assert limits == {"risk": "2026-01-01T01:30:00.000Z", "counsel": ""}
    (_, body, _) = world.records()[0]
    assert {item["by"]: item.get("until") for item in body["pending"]} == {
        "risk": "2026-01-01T01:30:00.000Z",
        "counsel": None,
    }


def test_without_a_time_there_is_no_limit_and_therefore_no_wait(world: World) -> None:
    class Stopped(FixedClock):
        def now(self) -> str:
            return "noon"

    limited = forbid("slow", "context.input.amount > 100", Approve(by="risk", within_ms=1))
    answer = world.gate(PERMIT, limited, clock=Stopped()).authorize(world.pay(amount=200))
    assert isinstance(answer, Denial)
    assert answer.kind == "unavailable"
    assert "no time limit can be set" in answer.message


def test_a_lapse_refuses_for_its_role_whoever_asks(world: World) -> None:
    gate = world.gate(*RULES)
    request = waiting(gate.authorize(world.pay(amount=200))).request
    lapse = world.grant(request, id="approval-2", by="remit:clock", approved=False, reason="nobody answered")
    # Later consent does not undo it, and neither does a caller of the same name or of none.
    for caller in ("cora", "", "remit:clock"):
        ask = world.pay(amount=200, caller=caller)
        mine = waiting(gate.authorize(ask)).request
        given = [replace(lapse, request=mine), world.grant(mine)]
        answer = gate.authorize(world.pay(amount=200, caller=caller, approvals=given))
        assert isinstance(answer, Denial)
        assert (answer.kind, answer.message) == ("approval_refused", "nobody answered")
    other = replace(lapse, role="intern")
    waiting(gate.authorize(world.pay(amount=200, approvals=[other])))
