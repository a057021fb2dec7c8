"""Authorize → record → permit, and every way in which it says no."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from remit.errors import HeadMovedError, LedgerError, PermitError
from remit.gate.answers import Ask, AwaitingApproval, Denial, Granted
from remit.permit import redeem
from remit.ports import Batch, Invocation, Stop
from remit.testing.memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from gate_world import World

    from remit.records import Receipt

RULE_PERMIT = ("pays", "permit", 'permit(principal, action == Remit::Action::"pay", resource);', "", ())


def granted(answer: object) -> Granted:
    assert isinstance(answer, Granted), answer
    return answer


def denied(answer: object, kind: str) -> Denial:
    assert isinstance(answer, Denial), answer
    assert answer.kind == kind, answer
    return answer


def stop(scope: str, order: str = "kill") -> Stop:
    return Stop(scope=scope, order=order, by="olga", reason="incident", at="2026-01-01T00:00:00.000Z")


def test_an_allowed_call_leaves_decision_and_intent_before_its_permit(world: World) -> None:
    answer = granted(world.gate().authorize(world.pay(amount=10)))
    kinds = [kind for kind, _, _ in world.records()]
    assert kinds == ["decision", "intent"]
    _, decision, content = world.records()[0]
    assert (decision["verdict"], decision["kind"], decision["reasons"]) == ("allow", "allowed", ["pays"])
    assert decision["request"] == answer.request
    assert content["arguments"] == {"amount": 10}
    _, intent, _ = world.records()[1]
    assert isinstance(answer.content, Invocation)
    assert answer.permit is not None
    assert intent["content"] == answer.content.digest() == answer.permit.digest
    assert intent["key"] == answer.key == "key-1"
    assert answer.permit.decision == answer.receipt.digest


def test_the_permit_runs_exactly_the_granted_content_and_nothing_else(world: World) -> None:
    answer = granted(world.gate().authorize(world.pay(amount=10)))
    other = Invocation(tool="pay", arguments={"amount": 9999}, key="key-1")
    with pytest.raises(PermitError):
        redeem(answer.permit, effect="call_tool", target="pay", digest=other.digest())
    again = granted(world.gate().authorize(world.pay(amount=10)))
    assert isinstance(again.content, Invocation)
    redeem(again.permit, effect="call_tool", target="pay", digest=again.content.digest())


def test_a_turn_is_permitted_by_its_digest(world: World) -> None:
    ask = world.turn()
    answer = granted(world.gate().authorize(ask))
    assert not isinstance(ask.content, str | Invocation)
    redeem(answer.permit, effect="dispatch", target="local", digest=ask.content.digest())
    assert len(answer.key) == 64


def test_what_needs_no_adapter_gets_a_decision_and_no_permit(world: World) -> None:
    answer = granted(world.gate().authorize(world.goes_on()))
    assert (answer.permit, answer.intent) == (None, None)
    assert [kind for kind, _, _ in world.records()] == ["decision"]


def test_a_forbidden_call_is_denied_with_rule_and_reason_and_recorded(world: World) -> None:
    answer = denied(world.gate().authorize(world.pay(amount=501)), "forbidden")
    assert (answer.rules, answer.because) == (("cap",), ("payments over 500 are not made",))
    assert answer.to_result() == {
        "denied": True,
        "kind": "forbidden",
        "rule": "cap",
        "because": "payments over 500 are not made",
        "hint": "do not repeat this call unchanged; go on without it or say why you cannot",
    }
    kind, body, _ = world.records()[0]
    assert (kind, body["verdict"], body["kind"], body["reasons"]) == (
        "decision",
        "deny",
        "forbidden",
        ["cap"],
    )
    assert len(world.records()) == 1


def test_what_no_rule_permits_is_denied(world: World) -> None:
    gate = world.gate(
        (
            "never",
            "permit",
            'permit(principal, action == Remit::Action::"pay", resource) when { false };',
            "",
            (),
        )
    )
    answer = denied(gate.authorize(world.pay(amount=1)), "not_permitted")
    assert answer.rules == ()


def test_a_rule_that_errors_denies_names_itself_and_tells_the_model_nothing_of_its_text(world: World) -> None:
    broken = (
        "broken",
        "forbid",
        "forbid(principal, action, resource) when { principal.secret_flag };",
        "",
        (),
    )
    answer = denied(world.gate(RULE_PERMIT, broken).authorize(world.pay(amount=1)), "error")
    assert answer.rules == ("broken",)
    assert "secret_flag" in answer.message
    assert "secret_flag" not in str(answer.to_result())


def test_an_argument_that_cannot_be_evaluated_is_named_to_the_model(world: World) -> None:
    ask = replace(world.pay(amount="ten"), parameters=None)
    result = denied(world.gate().authorize(ask), "error").to_result()
    assert "context.input.amount" in str(result["hint"])


def test_arguments_that_break_the_schema_are_denied_before_any_rule(world: World) -> None:
    for arguments in ({}, {"amount": "10"}, {"amount": 1, "extra": True}, {"amount": True}):
        answer = denied(world.gate().authorize(world.pay(**arguments)), "invalid_arguments")
        assert answer.decision is None
        assert answer.recorded
    assert [body["kind"] for _, body, _ in world.records()] == ["invalid_arguments"] * 4


def test_what_is_decided_must_be_what_would_run(world: World) -> None:
    ask = world.pay(amount=1)
    swaps = (
        Invocation(tool="pay", arguments={"amount": 400}, key="k"),
        Invocation(tool="pay", arguments={"amount": True}, key="k"),
        Invocation(tool="wire", arguments={"amount": 1}, key="k"),
        "sha256:aa",
    )
    for content in swaps:
        denied(world.gate().authorize(replace(ask, content=content)), "invalid_arguments")
    denied(world.gate().authorize(replace(ask, target="wire")), "invalid_arguments")
    denied(world.gate().authorize(replace(world.turn(), target="other")), "invalid_arguments")


@pytest.mark.parametrize("scope", ["all", "agent:agent-1", "run:run-1", "tool:pay", "team:blue"])
@pytest.mark.parametrize("order", ["kill", "suspend"])
def test_a_standing_order_denies_on_every_scope(world: World, scope: str, order: str) -> None:
    world.ledger.control.stop(stop(scope, order))
    ask = replace(world.pay(amount=1), scopes=("team:blue",))
    answer = denied(world.gate().authorize(ask), "stopped")
    assert answer.stop == stop(scope, order)
    assert "olga" in answer.message
    assert world.records()[0][1]["kind"] == "stopped"


def test_an_order_on_another_scope_does_not_deny(world: World) -> None:
    for scope in ("agent:agent-2", "run:run-2", "tool:search", "backend:local"):
        world.ledger.control.stop(stop(scope))
    granted(world.gate().authorize(world.pay(amount=1)))
    denied(world.gate().authorize(world.turn()), "stopped")


def test_a_control_state_that_cannot_be_read_denies(world: World) -> None:
    world.ledger.control.fail_with(LedgerError("disk gone"))
    answer = denied(world.gate().authorize(world.pay(amount=1)), "unavailable")
    assert "disk gone" in answer.message


def test_an_order_given_while_the_record_commits_still_stops_the_effect(world: World) -> None:
    class SlowLedger(MemoryLedger):
        def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
            world.ledger.control.stop(stop("all"))
            return world.ledger.submit(batch)

    answer = denied(world.gate(ledger=SlowLedger()).authorize(world.pay(amount=1)), "stopped")
    assert answer.recorded
    assert [kind for kind, _, _ in world.records()] == ["decision", "intent", "outcome"]
    assert world.records()[2][1]["status"] == "abandoned"


class BrokenLedger(MemoryLedger):
    """Fails in the way it is told to."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        future: Future[tuple[Receipt, ...]] = Future()
        if self.how == "raises":
            raise OSError("disk full")
        if self.how == "future":
            future.set_exception(LedgerError("disk full"))
        if self.how == "cancelled":
            future.cancel()
        if self.how == "empty":
            future.set_result(())
        return future


@pytest.mark.parametrize("how", ["raises", "future", "cancelled", "empty", "never"])
@pytest.mark.parametrize("amount", [1, 501])
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_a_ledger_that_fails_in_any_way_is_a_denial(
    world: World, how: str, amount: int, way: str
) -> None:
    gate = world.gate(ledger=BrokenLedger(how), ledger_timeout_s=0.05)
    ask = world.pay(amount=amount)
    answer = await gate.aauthorize(ask) if way == "async" else gate.authorize(ask)
    assert isinstance(answer, Denial)
    assert not answer.recorded
    if amount == 1:
        assert answer.kind == "unavailable"
        assert "ledger" in answer.message


def test_a_clock_that_fails_is_a_denial(world: World) -> None:
    class NoClock:
        def now(self) -> str:
            raise OSError("no time")

        def monotonic_s(self) -> float:
            return 0.0

    answer = denied(world.gate(clock=NoClock()).authorize(world.pay(amount=1)), "unavailable")
    assert "no time" in answer.message


def test_an_engine_for_another_image_is_not_believed(world: World) -> None:
    gate = world.gate()
    gate._image = replace(gate._image, digest="sha256:other")
    denied(gate.authorize(world.pay(amount=1)), "unavailable")


def test_an_engine_that_raises_is_a_denial(world: World) -> None:
    class Broken:
        name = "broken 1"

        def decide(self, request: Any) -> Any:
            raise RuntimeError("boom")

    gate = world.gate()
    gate._engine = Broken()
    answer = denied(gate.authorize(world.pay(amount=1)), "unavailable")
    assert answer.recorded


@pytest.mark.parametrize("value", [float("nan"), 2**80, "\ud800", float("inf")])
def test_content_without_a_canonical_form_is_denied_and_recorded(world: World, value: Any) -> None:
    answer = world.gate().authorize(world.pay(amount=1, memo=value))
    assert isinstance(answer, Denial)
    assert answer.recorded
    assert "unrecordable" in world.records()[0][2]


def test_nonsense_is_denied_and_never_raises(world: World) -> None:
    ask = world.pay(amount=1)
    for nonsense in (
        replace(ask, request=replace(ask.request, context=None)),  # type: ignore[arg-type]  # an untyped embedder
        replace(ask, request=replace(ask.request, action="no\ud800such")),
        replace(ask, content=None),  # type: ignore[arg-type]  # as above
        replace(ask, parameters={"type": "nonsense"}),
        replace(ask, parameters={"$ref": "#/nowhere"}),
    ):
        assert isinstance(world.gate().authorize(nonsense), Denial)


def test_an_outcome_is_recorded_beside_its_intent_and_withdraws_an_unused_permit(world: World) -> None:
    gate = world.gate()
    answer = granted(gate.authorize(world.pay(amount=10)))
    gate.outcome(answer, "abandoned", detail="the run was cancelled")
    with pytest.raises(PermitError):
        redeem(
            answer.permit,
            effect="call_tool",
            target="pay",
            digest=answer.permit.digest if answer.permit else "",
        )
    gate.outcome(answer, "ok", result={"paid": 10, "rate": 0.5})
    _, body, content = world.records()[-1]
    assert answer.intent is not None
    assert (body["status"], body["intent"], body["key"]) == ("ok", answer.intent.digest, "key-1")
    assert body["result"].startswith("sha256:")
    assert content == {"result": {"paid": 10, "rate": 0.5}}


def test_an_outcome_that_cannot_be_recorded_is_an_error_of_the_ledger(world: World) -> None:
    gate = world.gate()
    answer = granted(gate.authorize(world.pay(amount=10)))
    world.ledger.fail_with(OSError("disk full"))
    with pytest.raises(LedgerError, match="disk full"):
        gate.outcome(answer, "ok")
    world.ledger.fail_with(HeadMovedError("moved"))
    with pytest.raises(HeadMovedError):
        gate.outcome(answer, "ok")


async def test_waiting_for_the_ledger_does_not_block_the_event_loop(world: World) -> None:
    pending: list[tuple[Future[tuple[Receipt, ...]], Batch]] = []
    submitted = asyncio.Event()

    class LaterLedger(MemoryLedger):
        def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
            future: Future[tuple[Receipt, ...]] = Future()
            pending.append((future, batch))
            submitted.set()
            return future

    task = asyncio.create_task(world.gate(ledger=LaterLedger()).aauthorize(world.pay(amount=1)))
    await submitted.wait()
    assert not task.done()
    future, batch = pending[0]
    future.set_result(world.ledger.submit(batch).result())
    answer = granted(await task)
    receipt = world.gate().aoutcome(answer, "ok")
    assert (await receipt).index == 2


async def test_a_cancelled_run_does_not_cancel_the_commit(world: World) -> None:
    future: Future[tuple[Receipt, ...]] = Future()

    class LaterLedger(MemoryLedger):
        def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
            return future

    task = asyncio.create_task(world.gate(ledger=LaterLedger()).aauthorize(world.pay(amount=1)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not future.cancelled()
    future.set_result(())


async def test_both_ways_of_asking_give_the_same_answers(world: World) -> None:
    asks: list[Ask] = [world.pay(amount=1), world.pay(amount=501), world.pay(), world.turn(), world.goes_on()]
    for ask in asks:
        first, second = world.gate().authorize(ask), await world.gate().aauthorize(ask)
        assert type(first) is type(second)
        assert not isinstance(first, AwaitingApproval)
        assert not isinstance(second, AwaitingApproval)
        assert first.request == second.request
