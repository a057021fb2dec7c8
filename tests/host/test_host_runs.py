"""A governed run, end to end, with the scripted back-end and the SQLite store."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from host_support import (
    ANN,
    agent,
    backend,
    call,
    notes_block,
    order_status,
    refund,
    runtime,
    say,
    tool,
)

from remit import Caller
from remit.host import events as seen

if TYPE_CHECKING:
    from pathlib import Path


def trace(result: Any) -> Any:
    return [(step.action, step.verdict, step.kind) for step in result.steps]


def body_of(store: Any, kind: Any) -> Any:
    return [record.value["body"] for record in store.records() if record.value["kind"] == kind]


def tool_results(events: Any) -> Any:
    return [(event.tool, event.outcome) for event in events if isinstance(event, seen.ToolFinished)]


def test_a_run_is_decided_at_every_step_and_recorded_before_it_happens(tmp_path: Path) -> None:
    rt = runtime(
        agent(call("order_status", order=7), call("refund", order=7, amount=20), say("done")), tmp_path
    )
    result = rt.run("refund order 7", caller=ANN)
    assert trace(result) == [
        ("activate", "allow", "allowed"),
        ("continue", "allow", "allowed"),
        ("dispatch", "allow", "allowed"),
        ("order_status", "allow", "allowed"),
        ("continue", "allow", "allowed"),
        ("dispatch", "allow", "allowed"),
        ("refund", "allow", "allowed"),
        ("continue", "allow", "allowed"),
        ("dispatch", "allow", "allowed"),
    ]
    assert (result.status, result.text, result.reason) == ("completed", "done", "")
    assert result.usage["tool_calls"] == 2
    assert rt.store.verify().findings == ()
    assert rt.store.unfinished() == ()
    assert rt.document.execution_state.lifecycle == "ready"
    assert result.revision == rt.document.identity.revision
    assert [op.operation for op in rt.document.lineage.operations] == ["create", "activate", "settle"]
    assert rt.document.execution_state.usage["tool_calls"] == 2
    rt.store.close()


def test_lifetime_usage_grows_over_runs_and_is_not_counted_twice(tmp_path: Path) -> None:
    rt = runtime(agent(call("order_status", order=7), say("done")), tmp_path)
    for expected in (1, 2, 3):
        rt.run("x", caller=ANN)
        assert expected == rt.document.execution_state.usage["tool_calls"]
    rt.store.close()


@pytest.mark.parametrize(
    "caller",
    [
        Caller(id="eve", roles=("clerk",), attributes={"jurisdiction": "US"}),
        Caller(id="eve", roles=(), attributes={"jurisdiction": "EU"}),
        Caller(id="eve", roles=("clerk",)),
        Caller(id="eve", roles=("clerk",), attributes={"jurisdiction": 7}),
    ],
)
def test_a_caller_that_the_activation_rules_do_not_permit_is_denied_with_a_reason(
    tmp_path: Path, caller: Any
) -> None:
    rt = runtime(agent(say("never")), tmp_path)
    result = rt.run("x", caller=caller)
    assert (result.status, result.steps[-1].action) == ("denied", "activate")
    assert result.reason
    assert body_of(rt.store, "intent") == []
    rt.store.close()


def test_a_denied_call_goes_back_to_the_model_with_rule_and_reason(tmp_path: Path) -> None:
    cap = {
        "id": "cap",
        "effect": "forbid",
        "on": ["refund"],
        "when": "context.input.amount > 500",
        "because": "refunds over 500 need a person",
    }
    rt = runtime(agent(call("refund", order=1, amount=900), say("sorry"), rules=[cap]), tmp_path)
    sent = []
    result = rt.run("x", caller=ANN, on_event=sent.append)
    assert ("refund", "deny", "forbidden") in trace(result)
    assert result.status == "completed"
    assert tool_results(sent) == []
    denied = next(step for step in result.steps if step.verdict == "deny")
    assert (denied.rules, denied.because) == (("cap",), "refunds over 500 need a person")
    rt.store.close()


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (call("delete_everything", now=True), "unknown_tool"),
        ({"raw_call": {"name": "refund", "raw": "{not json"}}, "invalid_arguments"),
        (call("refund", order="seven", amount=1), "invalid_arguments"),
        (call("refund", order=7), "invalid_arguments"),
        (call("refund", order=7, amount=1, extra=2), "invalid_arguments"),
        (call("memory_remember", block="notes", value="x"), "unknown_tool"),
    ],
)
def test_a_call_that_makes_no_sense_is_a_recorded_deny_and_the_run_goes_on(
    tmp_path: Path, step: Any, kind: Any
) -> None:
    rt = runtime(agent(step, say("sorry")), tmp_path)
    sent = []
    result = rt.run("x", caller=ANN, on_event=sent.append)
    assert kind in [item.kind for item in result.steps if item.verdict == "deny"]
    assert kind in [body["kind"] for body in body_of(rt.store, "decision")]
    assert (result.status, tool_results(sent)) == ("completed", [])
    rt.store.close()


def test_a_model_that_repeats_one_call_is_ended(tmp_path: Path) -> None:
    rt = runtime(agent(backends=[backend(call("order_status", order=7), on_end="repeat")]), tmp_path)
    result = rt.run("x", caller=ANN)
    assert result.status == "terminated"
    assert "same call" in result.reason
    assert result.usage["tool_calls"] < 5
    rt.store.close()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_turns": 2}, "max_turns"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"max_consecutive_denials": 2}, "max_consecutive_denials"),
    ],
)
def test_loop_bounds_end_a_run_with_their_name(tmp_path: Path, limits: Any, reason: Any) -> None:
    name = "nothing" if reason == "max_consecutive_denials" else "order_status"
    script = [call(name, order=number) for number in range(8)]
    rt = runtime(agent(*script, limits=limits), tmp_path)
    result = rt.run("x", caller=ANN)
    assert result.status == "terminated"
    assert reason in result.reason
    assert rt.document.execution_state.lifecycle == "ready"
    rt.store.close()


def test_a_budget_rule_ends_the_run_and_the_agent_is_ready_again(tmp_path: Path) -> None:
    budget = {"id": "budget", "when": "context.usage.tool_calls >= 2", "because": "two calls are enough"}
    rt = runtime(agent(*[call("order_status", order=n) for n in range(6)], termination=[budget]), tmp_path)
    result = rt.run("x", caller=ANN)
    assert (
        result.status,
        result.reason,
        result.usage["tool_calls"],
    ) == ("terminated", "two calls are enough", 2)
    assert rt.document.execution_state.lifecycle == "ready"
    rt.store.close()


def test_a_lifetime_budget_also_ends_the_next_run(tmp_path: Path) -> None:
    budget = {"id": "budget", "when": "context.lifetime.tool_calls >= 1", "because": "one call in a lifetime"}
    rt = runtime(agent(call("order_status", order=1), say("done"), termination=[budget]), tmp_path)
    assert rt.run("x", caller=ANN).status == "terminated"
    second = rt.run("x", caller=ANN)
    assert (second.status, second.usage["turns"]) == ("terminated", 0)
    rt.store.close()


def test_a_denied_back_end_falls_to_the_next_and_both_are_recorded(tmp_path: Path) -> None:
    residency = [{"id": "eu", "when": 'resource.region == "EU"', "because": "data stays in the EU"}]
    backends = [backend(say("from the US"), name="us", region="US"), backend(say("from the EU"), name="eu")]
    rt = runtime(agent(dispatch=residency, backends=backends), tmp_path)
    result = rt.run("x", caller=ANN)
    assert (result.status, result.text, result.backend) == ("completed", "from the EU", "eu")
    assert [pair[:2] for pair in trace(result) if pair[0] == "dispatch"] == [
        ("dispatch", "deny"),
        ("dispatch", "allow"),
    ]
    denied = rt.run("x", caller=ANN, backend="us")
    assert denied.status == "denied"
    rt.store.close()


def test_a_failing_back_end_falls_to_the_next_and_without_one_the_run_fails(tmp_path: Path) -> None:
    backends = [
        backend({"say": "half", "fail": "broken wire"}, name="bad"),
        backend(say("whole"), name="good"),
    ]
    rt = runtime(agent(backends=backends), tmp_path)
    result = rt.run("x", caller=ANN)
    assert (result.status, result.text) == ("completed", "whole")
    alone = rt.run("x", caller=ANN, backend="bad")
    assert alone.status == "failed"
    assert "broken wire" in alone.reason
    assert rt.store.unfinished() == ()
    rt.store.close()


def test_redaction_hides_arguments_from_the_tool_and_results_from_the_model(tmp_path: Path) -> None:
    got = []

    def refund(order: int, amount: int, iban: str = "none") -> dict[str, str]:
        got.append(iban)
        return {"iban": "DE00", "state": "ok"}

    rule = {
        "id": "hide",
        "effect": "forbid",
        "on": ["refund"],
        "because": "no account numbers",
        "obligations": [{"redact": {"arguments": ["iban"], "result": ["iban"]}}],
    }
    sent = []
    rt = runtime(
        agent(call("refund", order=1, amount=2, iban="DE99"), say("done"), rules=[rule]),
        tmp_path,
        tools=(order_status, refund),
    )
    rt.run("x", caller=ANN, on_event=sent.append)
    assert got == ["[redacted]"]
    shown = next(event.value for event in sent if isinstance(event, seen.ToolFinished))
    assert shown == {"iban": "[redacted]", "state": "ok"}
    rt.store.close()


def test_memory_written_by_the_model_is_projected_into_the_next_run(tmp_path: Path) -> None:
    document = agent(
        call("memory_remember", block="notes", value="ann likes <tea>"), say("noted"), blocks=[notes_block()]
    )
    rt = runtime(document, tmp_path)
    sent = []
    result = rt.run("remember", caller=ANN, on_event=sent.append)
    assert ("remember", "allow", "allowed") in trace(result)
    assert result.usage["mutations"] == 1
    changed = next(event for event in sent if isinstance(event, seen.MemoryChanged))
    operation = next(op for op in rt.document.lineage.operations if op.operation == "remember")
    decision = next(
        r
        for r in rt.store.records()
        if r.value["kind"] == "decision" and r.value["body"]["action"] == "remember"
    )
    assert decision.digest == operation.decision
    assert changed.operation == "remember"
    second = rt.run("again", caller=ANN)
    assert ("recall", "allow", "allowed") in trace(second)
    rt.store.close()


def test_a_memory_value_that_does_not_fit_its_block_is_denied_and_nothing_is_written(tmp_path: Path) -> None:
    rt = runtime(
        agent(call("memory_remember", block="notes", value=7), say("ok"), blocks=[notes_block()]), tmp_path
    )
    result = rt.run("x", caller=ANN)
    assert ("remember", "deny", "invalid_arguments") in trace(result)
    assert result.usage["mutations"] == 0
    rt.store.close()


def test_a_block_whose_recall_is_denied_is_not_shown(tmp_path: Path) -> None:
    rules = [{"id": "write-only", "effect": "permit", "on": ["remember"], "because": "write only"}]
    rt = runtime(agent(say("ok"), blocks=[notes_block(rules=rules)]), tmp_path)
    assert rt.remember("notes", "secret", by=ANN).allowed
    result = rt.run("x", caller=ANN)
    assert ("recall", "deny", "not_permitted") in trace(result)
    dispatched = [
        r.content["context"]["input"]
        for r in rt.store.records()
        if r.value["kind"] == "decision" and r.value["body"]["action"] == "dispatch"
    ]
    assert dispatched[0]["classifications"] == []
    rt.store.close()


def test_classification_of_projected_memory_reaches_the_dispatch_rules(tmp_path: Path) -> None:
    dispatch = [
        {"id": "open", "because": "open"},
        {
            "id": "no-internal",
            "effect": "forbid",
            "when": 'context.input.classifications.contains("internal")',
            "because": "internal data stays here",
        },
    ]
    rt = runtime(agent(say("ok"), blocks=[notes_block()], dispatch=dispatch), tmp_path)
    assert rt.run("x", caller=ANN).status == "completed"
    rt.remember("notes", "inside", by=ANN)
    result = rt.run("x", caller=ANN)
    assert (result.status, result.reason) == ("denied", "internal data stays here")
    rt.store.close()


def test_a_dry_run_evaluates_everything_and_touches_nothing(tmp_path: Path) -> None:
    touched = []

    def refund(order: int, amount: int, iban: str = "none") -> str:
        touched.append(order)
        return "done"

    document = agent(
        call("memory_remember", block="notes", value="x"),
        call("refund", order=1, amount=2),
        say("done"),
        blocks=[notes_block()],
    )
    rt = runtime(document, tmp_path, tools=(order_status, refund))
    before = (rt.document.identity.revision, rt.store.size())
    result = rt.run("x", caller=ANN, dry_run=True)
    assert (result.status, result.dry_run) == ("completed", True)
    assert ("refund", "allow", "allowed") in trace(result)
    assert ([], before) == (touched, (rt.document.identity.revision, rt.store.size()))
    rt.store.close()


def test_two_back_ends_that_propose_the_same_calls_give_equal_traces(tmp_path: Path) -> None:
    script = [call("order_status", order=7), call("refund", order=7, amount=1), say("done")]
    one = runtime(agent(backends=[backend(*script, name="one")]), tmp_path / "one")
    two = runtime(agent(backends=[backend(*script, name="two")]), tmp_path / "two")
    assert one.run("x", caller=ANN).steps == two.run("x", caller=ANN).steps
    one.store.close()
    two.store.close()


async def test_the_synchronous_call_works_inside_a_running_loop(tmp_path: Path) -> None:
    rt = runtime(agent(say("hello")), tmp_path)
    assert rt.run("x", caller=ANN).status == "completed"
    assert (await rt.arun("x", caller=ANN)).status == "completed"
    rt.store.close()


async def test_a_stream_begins_with_run_started_and_ends_with_run_ended(tmp_path: Path) -> None:
    rt = runtime(agent(call("order_status", order=1), say("hello there")), tmp_path)
    events = [event async for event in rt.stream("x", caller=ANN)]
    assert (seen.RunStarted, seen.RunEnded) == (type(events[0]), type(events[-1]))
    assert "".join(e.text for e in events if isinstance(e, seen.TextArrived)) == "hello there"
    assert all(json.loads(json.dumps(e.to_json()))["event"] == type(e).__name__ for e in events)
    rt.store.close()


async def test_cancelling_a_run_records_what_was_in_flight(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def refund(order: int, amount: int, iban: str = "none") -> str:
        started.set()
        await asyncio.sleep(60)
        return "never"

    rt = runtime(agent(call("refund", order=1, amount=2)), tmp_path, tools=(order_status, refund))
    task = asyncio.ensure_future(rt.arun("x", caller=ANN))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rt.store.unfinished() == ()
    assert [body["status"] for body in body_of(rt.store, "outcome") if body["target"] == "refund"] == [
        "unknown"
    ]
    assert rt.store.runs(agent=rt.document.identity.agent)[0].status == "failed"
    rt.store.close()


def test_a_tool_that_raises_hangs_or_returns_too_much_gives_an_error_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    def raises() -> str:
        raise KeyError("no such order")

    def hangs() -> str:
        import time

        time.sleep(3)
        return "late"

    def floods() -> str:
        return "x" * 50_000_000

    def odd() -> float:
        return float("nan")

    none = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = [
        tool(name, none, timeout_s=0.2 if name == "hangs" else 30)
        for name in ("raises", "hangs", "floods", "odd")
    ]
    sent = []
    rt = runtime(
        agent(*[call(item["name"]) for item in tools], say("done"), tools=tools),
        tmp_path,
        tools=(raises, hangs, floods, odd),
    )
    result = rt.run("x", caller=ANN, on_event=sent.append)
    assert result.status == "completed"
    assert tool_results(sent) == [
        ("raises", "failed"),
        ("hangs", "unknown"),
        ("floods", "failed"),
        ("odd", "failed"),
    ]
    values = json.dumps([e.value for e in sent if isinstance(e, seen.ToolFinished)])
    assert "no such order" in values
    assert "Traceback" not in values
    assert rt.store.unfinished() == ()
    rt.store.close()


def test_a_tool_whose_schema_differs_from_its_function_stops_the_run_before_anything_runs(
    tmp_path: Path,
) -> None:
    wrong = {
        "type": "object",
        "properties": {"order": {"type": "integer"}, "colour": {"type": "string"}},
        "required": ["order"],
    }
    rt = runtime(agent(say("x"), tools=[tool("order_status", wrong)]), tmp_path, tools=(order_status,))
    result = rt.run("x", caller=ANN)
    assert result.status == "failed"
    assert "`colour`" in result.reason
    assert body_of(rt.store, "intent") == []
    rt.store.close()


def test_several_calls_of_one_turn_run_in_the_order_of_the_proposal(tmp_path: Path) -> None:
    both = {
        "calls": [
            {"name": "refund", "arguments": {"order": 1, "amount": 1}},
            {"name": "order_status", "arguments": {"order": 1}},
        ]
    }
    sent = []
    rt = runtime(agent(both, say("done")), tmp_path, tools=(order_status, refund))
    rt.run("x", caller=ANN, on_event=sent.append)
    assert tool_results(sent) == [("refund", "ok"), ("order_status", "ok")]
    rt.store.close()


def test_the_compiled_engine_decides_a_run_as_the_reference_does(tmp_path: Path) -> None:
    document = agent(call("order_status", order=1), call("refund", order=1, amount=900), say("done"))
    traces = []
    for engine in ("cedar", "compiled"):
        with runtime(document, tmp_path / engine, engine=engine) as opened:
            traces.append(opened.run("hello", caller=ANN).steps)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 5
