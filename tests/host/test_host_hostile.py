"""Hostile surroundings: observers, tool sources, amendments and rivals; every run has an end on record."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, ORDER, REFUND, RISK, agent, backend, call, notes_block, runtime, say, tool

from remit import Caller, EvaluationError
from remit.host import events as seen

if TYPE_CHECKING:
    from pathlib import Path

APPROVAL = {
    "id": "large",
    "effect": "forbid",
    "on": ["refund"],
    "when": "context.input.amount > 500",
    "because": "refunds over 500 need a person",
    "obligations": [{"approve": {"by": "risk-officer"}}],
}
HIDDEN = {
    "id": "refund-permitted",
    "effect": "permit",
    "because": "clerks use it",
    "obligations": [{"redact": {"result": ["iban"]}}],
}
AMEND = {"id": "anybody-amends", "on": ["amend"], "effect": "permit", "because": "this is a test"}


def desk(*given: Any, **more: Any) -> Any:
    return runtime(*given, **more)


def statuses(rt: Any) -> list[str]:
    return [state.status for state in rt.store.runs()]


@pytest.mark.parametrize(
    "event",
    [seen.RunStarted, seen.Decided, seen.BackendOpened, seen.Dispatched, seen.TextArrived, seen.ToolFinished],
)
def test_an_observer_that_raises_ends_the_run_on_record_and_gets_its_own_error(
    tmp_path: Path, event: Any
) -> None:
    rt = desk(agent({**call("refund", order=1, amount=1), "say": "so"}, say("done")), tmp_path)

    def observer(happened: object) -> None:
        if isinstance(happened, event):
            raise ValueError("the observer's own")

    with pytest.raises(ValueError, match="the observer's own"):
        rt.run("x", caller=ANN, on_event=observer)
    assert statuses(rt) == ["failed"]
    assert list(rt.store.unfinished()) == []
    assert rt.run("x", caller=ANN).status == "completed"
    rt.store.close()


def test_an_observer_cannot_change_what_the_model_proposed(tmp_path: Path) -> None:
    amounts: list[int] = []

    def refund(order: int, amount: int, iban: str = "none") -> str:
        amounts.append(amount)
        return "ok"

    def observer(happened: object) -> None:
        if isinstance(happened, seen.CallProposed) and happened.arguments is not None:
            happened.arguments["amount"] = 9999

    document = agent(call("refund", order=1, amount=5), say("done"), tools=[tool("refund", REFUND)])
    rt = desk(document, tmp_path, tools=(refund,))
    rt.run("x", caller=ANN, on_event=observer)
    assert amounts == [5]
    rt.store.close()


def test_an_error_does_not_show_what_a_rule_hides_in_results(tmp_path: Path) -> None:
    def refund(order: int, amount: int, iban: str = "none") -> str:
        raise ValueError("no account DE99")

    document = agent(
        call("refund", order=1, amount=5), say("done"), tools=[tool("refund", REFUND, rules=[HIDDEN])]
    )
    rt = desk(document, tmp_path, tools=(refund,))
    events: list[object] = []
    result = rt.run("x", caller=ANN, on_event=events.append)
    everything = str([(record.value, record.content) for record in rt.store.records()])
    assert "DE99" not in everything + str(events) + str(result)
    assert "[redacted]" in everything
    rt.store.close()


def test_a_hidden_member_of_a_memory_is_hidden_in_the_projection_and_to_callers(tmp_path: Path) -> None:
    opened = {
        "id": "notes-open",
        "effect": "permit",
        "because": "notes are open",
        "obligations": [{"redact": {"result": ["value"]}}],
    }
    document = agent(call("memory_recall", block="notes"), say("done"), blocks=[notes_block(rules=[opened])])
    rt = desk(document, tmp_path)
    assert rt.remember("notes", "the secret", by=ANN).allowed
    answer = rt.recall("notes", by=ANN)
    assert [item["value"] for item in answer.value] == ["[redacted]"]
    turns: list[object] = []
    rt.run("x", caller=ANN, on_event=turns.append)
    contents = [str(r.content) for r in rt.store.records() if r.value["kind"] != "revision"]
    assert "the secret" not in str(turns) + "".join(contents)
    rt.store.close()


def test_many_refused_calls_in_one_turn_end_the_run_at_the_limit(tmp_path: Path) -> None:
    calls: Any = {"calls": [{"name": f"nuke{n}", "arguments": {"n": n}} for n in range(50)]}
    rt = desk(agent(calls, say("done")), tmp_path)
    result = rt.run("x", caller=ANN)
    assert result.status == "terminated"
    assert "max_consecutive_denials" in result.reason
    assert len([step for step in result.steps if step.kind == "unknown_tool"]) == 4
    rt.store.close()


def test_a_tool_source_that_breaks_its_contract_leaves_an_unknown_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remit_adapters.python_tools import PythonTools

    async def broken(*_: object) -> None:
        raise KeyError("a defect of the source")

    monkeypatch.setattr(PythonTools, "call", broken)
    rt = desk(agent(call("refund", order=1, amount=5), say("done")), tmp_path)
    result = rt.run("x", caller=ANN)
    assert result.status == "completed"
    bodies: Any = [r.value["body"] for r in rt.store.records() if r.value["kind"] == "outcome"]
    assert [body["status"] for body in bodies if body["target"] == "refund"] == ["unknown"]
    assert list(rt.store.unfinished()) == []
    rt.store.close()


def test_a_backend_that_breaks_its_contract_fails_the_run_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remit_adapters.scripted import ScriptedBackend

    def broken(*_: object) -> None:
        raise RuntimeError("a defect of the adapter")

    monkeypatch.setattr(ScriptedBackend, "infer", broken)
    rt = desk(agent(say("done")), tmp_path)
    result = rt.run("x", caller=ANN)
    assert result.status == "failed"
    assert "`script` raised RuntimeError" in result.reason
    assert list(rt.store.unfinished()) == []
    rt.store.close()


def test_what_is_not_json_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    rt = desk(agent(say("done")), tmp_path)
    nan = Caller(id="ann", roles=("clerk",), attributes={"jurisdiction": float("nan")})
    with pytest.raises(EvaluationError, match="`caller` holds what is not JSON"):
        rt.run("x", caller=nan)
    with pytest.raises(EvaluationError, match="`environment` holds what is not JSON"):
        rt.run("x", caller=ANN, environment={"a": float("inf")})
    assert statuses(rt) == []
    assert rt.run("x\ud800", caller=ANN).status == "completed"
    rt.store.close()


def test_another_run_goes_on_while_one_waits_for_an_approval(tmp_path: Path) -> None:
    document = agent(
        backends=[
            backend(call("refund", order=1, amount=900), say("paid"), name="large"),
            backend(say("hello"), name="small"),
        ],
        rules=[APPROVAL],
    )
    rt = desk(document, tmp_path)
    waiting = rt.run("x", caller=ANN, backend="large")
    assert waiting.status == "awaiting_approval"
    lifecycles: list[str] = []

    def observer(happened: object) -> None:
        if isinstance(happened, seen.Revised):
            lifecycles.append(happened.lifecycle)

    other = rt.run("x", caller=ANN, backend="small", on_event=observer)
    assert (other.status, lifecycles) == ("completed", ["active", "awaiting_approval"])
    second = rt.run("x", caller=ANN, backend="large")
    state = rt.document.execution_state
    assert [waiting.pending.id, second.pending.id] == [item.id for item in state.pending]
    assert rt.approve(waiting.pending.id, by=RISK, reason="fine").allowed
    assert rt.resume_run(waiting.run).status == "completed"
    state = rt.document.execution_state
    assert (state.lifecycle, [item.id for item in state.pending]) == (
        "awaiting_approval",
        [second.pending.id],
    )
    assert rt.refuse(second.pending.id, by=RISK, reason="no").allowed
    assert rt.resume_run(second.run).status == "completed"
    assert (rt.document.execution_state.lifecycle, rt.document.execution_state.pending) == ("ready", ())
    rt.store.close()


def test_of_two_that_resume_a_run_at_once_one_drives_it(tmp_path: Path) -> None:
    ran: list[int] = []

    def refund(order: int, amount: int, iban: str = "none") -> str:
        ran.append(order)
        return "ok"

    step: Any = {
        "calls": [
            {"name": "refund", "arguments": {"order": 1, "amount": 900}},
            {"name": "refund", "arguments": {"order": 2, "amount": 5}},
        ]
    }
    document = agent(step, say("done"), rules=[APPROVAL], tools=[tool("refund", REFUND)])
    rt = desk(document, tmp_path, tools=(refund,))
    rival = desk(document, tmp_path, tools=(refund,))
    waiting = rt.run("x", caller=ANN)
    assert rt.approve(waiting.pending.id, by=RISK, reason="fine").allowed
    results: list[str] = []

    def resume(one: Any) -> None:
        try:
            results.append(one.resume_run(waiting.run).status)
        except EvaluationError:
            results.append("refused")

    threads = [threading.Thread(target=resume, args=(one,)) for one in (rt, rival, rt)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(results), ran) == (["completed", "refused", "refused"], [1, 2])
    rt.store.close()
    rival.store.close()


def test_an_earlier_refusal_does_not_renew_what_waits_now(tmp_path: Path) -> None:
    document = agent(
        call("refund", order=1, amount=900),
        call("refund", order=2, amount=900),
        say("done"),
        rules=[APPROVAL],
    )
    rt = desk(document, tmp_path)
    first = rt.run("x", caller=ANN)
    assert rt.refuse(first.pending.id, by=RISK, reason="no").allowed
    second = rt.resume_run(first.run)
    assert second.status == "awaiting_approval"
    again = rt.resume_run(first.run)
    assert (again.status, again.pending) == ("awaiting_approval", second.pending)
    rt.store.close()


def other_refund(order: int, amount: int, iban: str = "none") -> str:
    raise AssertionError("this was never approved")


def test_an_approval_does_not_outlive_the_tool_it_was_given_for(tmp_path: Path) -> None:
    document = agent(
        call("refund", order=1, amount=900),
        say("done"),
        rules=[APPROVAL, AMEND],
        tools=[tool("order_status", ORDER), tool("refund", REFUND)],
    )
    rt = desk(document, tmp_path)
    waiting = rt.run("x", caller=ANN)
    assert rt.approve(waiting.pending.id, by=RISK, reason="fine").allowed
    capabilities = dict(rt.document.capabilities.value)
    tools: Any = capabilities["tools"]
    moved = [{**item, "source": {"python": "elsewhere:refund"}} for item in tools]
    assert rt.amend(by=RISK, reason="moved", capabilities={**capabilities, "tools": moved}).allowed
    again = rt.resume_run(waiting.run)
    assert again.status == "awaiting_approval"
    assert again.pending.id != waiting.pending.id
    rt.store.close()
