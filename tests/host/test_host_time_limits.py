"""Approvals with a time limit: who is too late, what a lapse does, and that both outlive the process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, OPERATOR, RISK, agent, call, order_status, refund, say

from remit import Caller, EvaluationError, Runtime
from remit.host import loop
from remit.testing.clock import FixedClock

if TYPE_CHECKING:
    from remit.document.model import Document
    from store_places import StorePlace

UNTIL = "2026-01-01T02:00:00.000Z"
LAPSED = f"nobody answered by {UNTIL}"
HOUR_S = 3_600.0


def asks(role: str, within: str = "", *, name: str = "big-refunds", on: str = "refund") -> dict[str, Any]:
    return {
        "id": name,
        "effect": "forbid",
        "on": [on],
        "because": "big refunds need a person",
        "obligations": [{"approve": {"by": role, **({"within": within} if within else {})}}],
    }


class Desk:
    """An agent in a store, the runtime of which ends and begins anew with the time standing where it was."""

    def __init__(self, place: StorePlace, *rules: dict[str, Any], script: tuple[Any, ...] = ()) -> None:
        self.place = place
        self.clock = FixedClock()
        self.ran: list[int] = []
        given = script or (call("refund", order=1, amount=900), say("done"))
        self._document: Document = agent(*given, rules=list(rules))
        self.rt = self.opened()

    def opened(self) -> Runtime:
        def counted(order: int, amount: int, iban: str = "none") -> dict[str, Any]:
            self.ran.append(order)
            return refund(order, amount, iban)

        counted.__name__ = "refund"
        return Runtime.open(
            self._document, store=self.place.open(), tools=(order_status, counted), clock=self.clock
        )

    def restarted(self) -> Runtime:
        self.rt.store.close()
        self.rt = self.opened()
        return self.rt

    def bodies(self, run: str, kind: str) -> list[Any]:
        return [r.value["body"] for r in self.rt.store.records(run=run) if r.value["kind"] == kind]


@pytest.fixture
def desk(store_place: StorePlace) -> Any:
    made = Desk(store_place, asks("risk-officer", "2h"))
    yield made
    made.rt.store.close()


def test_a_run_says_until_when_it_waits_and_says_it_again_after_a_restart(desk: Desk) -> None:
    waiting = desk.rt.run("x", caller=ANN)
    assert (waiting.status, waiting.pending.until) == ("awaiting_approval", UNTIL)  # type: ignore[union-attr]
    assert waiting.reason == f"waits for approval by `risk-officer` until {UNTIL}"
    (decided,) = [
        body for body in desk.bodies(waiting.run, "decision") if body["verdict"] == "awaiting_approval"
    ]
    assert [item["until"] for item in decided["pending"]] == [UNTIL]
    rt = desk.restarted()
    (item,) = rt.document.execution_state.pending
    assert (item.until, item.by) == (UNTIL, "risk-officer")
    desk.clock.advance(2 * HOUR_S - 0.001)
    again = rt.resume_run(waiting.run)
    assert (again.status, again.pending, again.reason) == (waiting.status, waiting.pending, waiting.reason)
    assert desk.bodies(waiting.run, "approval") == []


def test_an_approval_in_time_counts_also_when_the_run_goes_on_after_the_limit(desk: Desk) -> None:
    waiting = desk.rt.run("x", caller=ANN)
    desk.clock.advance(2 * HOUR_S - 0.001)
    assert desk.restarted().approve(waiting.pending.id, by=RISK, reason="checked").allowed  # type: ignore[union-attr]
    desk.clock.advance(HOUR_S)
    done = desk.restarted().resume_run(waiting.run)
    assert (done.status, desk.ran) == ("completed", [1])
    assert [body["by"] for body in desk.bodies(waiting.run, "approval")] == ["rita"]


@pytest.mark.parametrize("verb", ["approve", "refuse"])
def test_an_answer_at_the_limit_does_not_count_and_is_on_record_as_denied(desk: Desk, verb: str) -> None:
    waiting = desk.rt.run("x", caller=ANN)
    desk.clock.advance(2 * HOUR_S)
    late = getattr(desk.restarted(), verb)(waiting.pending.id, by=RISK, reason="checked")  # type: ignore[union-attr]
    assert (late.allowed, late.kind) == (False, "ineligible")
    assert late.because == f"the approval lapsed at {UNTIL}: let the run go on, and ask again"
    (record,) = [found for found in desk.rt.store.records() if found.digest == late.record]
    assert (record.value["kind"], record.value["body"]["verdict"]) == ("decision", "deny")
    assert desk.bodies(waiting.run, "approval") == []


def test_a_lapse_is_recorded_once_and_the_run_goes_on_as_after_a_refusal(desk: Desk) -> None:
    waiting = desk.rt.run("x", caller=ANN)
    desk.clock.advance(2 * HOUR_S)
    done = desk.restarted().resume_run(waiting.run)
    assert (done.status, done.text, desk.ran) == ("completed", "done", [])
    (lapse,) = desk.bodies(waiting.run, "approval")
    (shown,) = desk.bodies(waiting.run, "decision")[-3:-2]
    assert {name: lapse[name] for name in ("approved", "by", "role", "reason", "id", "at", "rules")} == {
        "approved": False,
        "by": "remit:clock",
        "role": "risk-officer",
        "reason": LAPSED,
        "id": waiting.pending.id,  # type: ignore[union-attr]
        "at": UNTIL,
        "rules": ["big-refunds"],
    }
    assert (shown["kind"], shown["message"], shown["request"]) == (
        "approval_refused",
        LAPSED,
        lapse["request"],
    )
    assert (desk.rt.document.execution_state.lifecycle, desk.rt.document.execution_state.pending) == (
        "ready",
        (),
    )
    with pytest.raises(EvaluationError, match="cannot go on: it is completed"):
        desk.restarted().resume_run(waiting.run)
    with pytest.raises(EvaluationError, match="no approval"):
        desk.rt.approve(waiting.pending.id, by=RISK, reason="checked")  # type: ignore[union-attr]
    assert len(desk.bodies(waiting.run, "approval")) == 1


def test_what_lapsed_is_not_asked_anew_when_the_model_proposes_it_again(store_place: StorePlace) -> None:
    again = call("refund", order=1, amount=900)
    desk = Desk(store_place, asks("risk-officer", "2h"), script=(again, again, say("done")))
    waiting = desk.rt.run("x", caller=ANN)
    desk.clock.advance(2 * HOUR_S)
    done = desk.restarted().resume_run(waiting.run)
    assert (done.status, desk.ran) == ("completed", [])
    assert [step.kind for step in done.steps if step.action == "refund"] == [
        "approval",
        "approval_refused",
        "approval_refused",
    ]
    desk.rt.store.close()


def test_of_two_hosts_that_resume_a_lapsed_run_at_once_one_records_the_lapse(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in two processes: neither knows what the other drives.
    monkeypatch.setattr(loop, "claim_here", lambda _: True)
    waiting = desk.rt.run("x", caller=ANN)
    desk.clock.advance(3 * HOUR_S)
    hosts = [desk.rt, desk.opened()]
    together = threading.Barrier(2)
    results: list[str] = []

    def resume(host: Runtime) -> None:
        together.wait(timeout=30)
        try:
            results.append(host.resume_run(waiting.run).status)
        except EvaluationError as error:
            results.append("refused" if "cannot go on" in str(error) else str(error))

    threads = [threading.Thread(target=resume, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["completed", "refused"]
    assert [body["by"] for body in desk.bodies(waiting.run, "approval")] == ["remit:clock"]
    hosts[1].store.close()


def test_an_answer_that_is_in_the_log_before_the_lapse_outweighs_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The approver's host, whose clock is behind, writes after the other has looked and before it records.
    waiting = desk.rt.run("x", caller=ANN)
    rival = Runtime.open(desk.rt.document, store=desk.place.open(), clock=FixedClock())
    desk.clock.advance(2 * HOUR_S)
    first_to_go_on = loop.first_to_go_on

    def answered_meanwhile(*given: Any) -> None:
        first_to_go_on(*given)
        assert rival.approve(waiting.pending.id, by=RISK, reason="just in time").allowed  # type: ignore[union-attr]

    monkeypatch.setattr(loop, "first_to_go_on", answered_meanwhile)
    done = desk.rt.resume_run(waiting.run)
    assert (done.status, desk.ran) == ("completed", [1])
    assert [body["by"] for body in desk.bodies(waiting.run, "approval")] == ["rita"]
    rival.store.close()


def test_one_of_two_roles_that_does_not_answer_in_time_is_a_refusal(store_place: StorePlace) -> None:
    desk = Desk(
        store_place,
        asks("risk-officer", "2h"),
        asks("counsel", name="legal"),
        asks("risk-officer", "3h", name="b"),
    )
    waiting = desk.rt.run("x", caller=ANN)
    limits = {item.by: item.until for item in desk.rt.document.execution_state.pending}
    assert limits == {"risk-officer": UNTIL, "counsel": ""}
    counsel = next(item.id for item in desk.rt.document.execution_state.pending if item.by == "counsel")
    lena = Caller(id="lena", roles=("counsel",), attributes={"jurisdiction": "EU"})
    assert desk.rt.approve(counsel, by=lena, reason="lawful").allowed
    desk.clock.advance(2 * HOUR_S)
    done = desk.restarted().resume_run(waiting.run)
    assert (done.status, desk.ran) == ("completed", [])
    assert [(body["by"], body["role"]) for body in desk.bodies(waiting.run, "approval")] == [
        ("lena", "counsel"),
        ("remit:clock", "risk-officer"),
    ]
    desk.rt.store.close()


def test_nobody_answers_under_the_clocks_name(desk: Desk) -> None:
    waiting = desk.rt.run("x", caller=ANN)
    clock = Caller(id="Remit:Clock", roles=("risk-officer",), attributes={"jurisdiction": "EU"})
    denied = desk.rt.refuse(waiting.pending.id, by=clock, reason="no")  # type: ignore[union-attr]
    assert (denied.allowed, denied.kind) == (False, "ineligible")
    assert desk.rt.resume_run(waiting.run).status == "awaiting_approval"


def test_an_amendment_that_nobody_answers_in_time_is_denied_and_changes_nothing(
    store_place: StorePlace,
) -> None:
    operators = {"id": "operators", "effect": "permit", "on": ["amend"], "because": "operators amend"}
    desk = Desk(store_place, operators, asks("risk-officer", "2h", on="amend"))
    changed = {**desk.rt.document.capabilities.value, "instructions": "Be brief."}
    answer: Any = desk.rt.amend(by=OPERATOR, reason="shorter answers", capabilities=changed)
    assert [item["until"] for item in answer.value["pending"]] == [UNTIL]
    run = answer.value["run"]
    waiting = desk.restarted().resume_run(run)
    assert waiting.reason == f"waits for approval by `risk-officer` until {UNTIL}"
    desk.clock.advance(2 * HOUR_S)
    done = desk.restarted().resume_run(run)
    assert (done.status, done.reason) == ("denied", LAPSED)
    assert desk.rt.document.capabilities.instructions == "You refund orders."
    assert (desk.rt.document.execution_state.lifecycle, desk.rt.document.execution_state.pending) == (
        "ready",
        (),
    )
    assert [body["by"] for body in desk.bodies(run, "approval")] == ["remit:clock"]
    desk.rt.store.close()


def test_what_waits_without_a_limit_stands_in_the_document_as_it_always_did(store_place: StorePlace) -> None:
    desk = Desk(store_place, asks("risk-officer"))
    waiting = desk.rt.run("x", caller=ANN)
    value: Any = desk.rt.document.execution_state.value
    assert [sorted(item) for item in value["pending"]] == [
        ["action", "because", "by", "id", "request", "rules", "run"]
    ]
    assert [sorted(b["pending"][0]) for b in desk.bodies(waiting.run, "decision") if "pending" in b] == [
        ["by", "id", "rules"]
    ]
    desk.clock.advance(10_000 * HOUR_S)
    assert desk.restarted().resume_run(waiting.run).reason == "waits for approval by `risk-officer`"
    desk.rt.store.close()


@pytest.mark.parametrize("said", ["", "noon", "2026-01-01T00:00:00"])
def test_a_clock_that_gives_no_time_neither_sets_a_limit_nor_ends_one(
    desk: Desk, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = desk.rt.run("x", caller=ANN)
    monkeypatch.setattr(desk.clock, "now", lambda: said)
    with pytest.raises(EvaluationError, match="cannot be told"):
        desk.rt.resume_run(waiting.run)
    assert desk.ran == []
