"""Back-ends as decisions: what is offered, what a switch is, what goes back to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from host_support import ANN, agent, backend, call, fields, runtime, say

from remit.document.revision import genesis
from remit.host import events as seen
from remit.testing.loopback import LoopbackServer, Reply, SaidCall

if TYPE_CHECKING:
    from pathlib import Path

    from remit import Document, RunResult
    from remit.host.events import RunEvent

NONCE = "ab" * 16


def with_builtins(builtins: list[dict[str, Any]], *script: dict[str, Any], **more: Any) -> Document:
    value = fields(*script, **more)
    value["capabilities"]["builtins"] = builtins
    return genesis(value, nonce=NONCE)


def played(document: Document, tmp_path: Path) -> tuple[RunResult, list[RunEvent], list[dict[str, Any]]]:
    events: list[RunEvent] = []
    with runtime(document, tmp_path) as opened:
        result = opened.run("hello", caller=ANN, on_event=events.append)
        records = [
            {**record.value["body"], "content": record.content, "record": record.value["kind"]}
            for record in opened.store.records(run=result.run)
        ]
    return result, events, records


def dispatches(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**item["content"]["context"]["input"], "verdict": item["verdict"], "resource": item["resource"]}
        for item in records
        if item["record"] == "decision" and item["action"] == "dispatch"
    ]


def test_a_builtin_is_offered_only_where_a_dispatch_decision_allows_it(tmp_path: Path) -> None:
    rules = [
        {"id": "models", "because": "models may be used"},
        {
            "id": "no-web",
            "effect": "forbid",
            "when": 'context.input.builtins.contains("web_search")',
            "because": "nothing is searched for on the web",
        },
    ]
    step = {"say": "counted", "used": [{"name": "code_interpreter", "detail": {"code": "6*7"}}]}
    document = with_builtins([{"name": "web_search"}, {"name": "code_interpreter"}], step, dispatch=rules)
    result, events, records = played(document, tmp_path)
    assert result.status == "completed"
    asked = [(item["builtins"], item["verdict"]) for item in dispatches(records)]
    assert asked == [
        (["web_search"], "deny"),
        (["code_interpreter"], "allow"),
        (["code_interpreter"], "allow"),
    ]
    uses = [event for event in events if isinstance(event, seen.BuiltinUsed)]
    assert [(use.name, use.detail) for use in uses] == [("code_interpreter", {"code": "6*7"})]
    outcome = next(item for item in records if item["record"] == "outcome")
    assert outcome["content"]["result"]["builtins"] == [
        {"name": "code_interpreter", "detail": {"code": "6*7"}}
    ]


def test_a_builtin_is_asked_for_once_a_run_and_judged_again_with_every_turn(tmp_path: Path) -> None:
    document = with_builtins([{"name": "web_search"}], call("order_status", order=1), say("done"))
    _, _, records = played(document, tmp_path)
    assert [item["builtins"] for item in dispatches(records)] == [["web_search"]] * 3


def test_a_back_end_that_lacks_a_required_builtin_is_refused_by_name_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    lacking = {
        **backend(name="plain"),
        "adapter": "openai-chat",
        "config": {"base_url": "http://127.0.0.1:1/v1"},
    }
    document = with_builtins(
        [{"name": "web_search", "required": True}], backends=[lacking, backend(say("found it"))]
    )
    result, events, records = played(document, tmp_path)
    assert (result.status, result.backend) == ("completed", "script")
    skipped = [event for event in events if isinstance(event, seen.BackendSkipped)]
    assert [event.name for event in skipped] == ["plain"]
    assert skipped[0].reason == "adapter `openai-chat` of back-end `plain` cannot offer `web_search`"
    assert not [event for event in events if isinstance(event, seen.BackendOpened) and event.name == "plain"]
    refusal = next(item for item in records if item.get("kind") == "unsupported")
    assert (refusal["verdict"], refusal["resource"]) == ("deny", 'Remit::Backend::"plain"')


def test_a_required_builtin_that_is_denied_rules_the_back_end_out(tmp_path: Path) -> None:
    rules = [
        {"id": "models", "because": "models may be used"},
        {
            "id": "web-in-the-us-only",
            "effect": "forbid",
            "when": 'context.input.builtins.contains("web_search") && resource.region == "EU"',
            "because": "the search engine is not in the EU",
        },
    ]
    document = with_builtins(
        [{"name": "web_search", "required": True}],
        backends=[backend(say("here"), name="eu"), backend(say("there"), name="us", region="US")],
        dispatch=rules,
    )
    result, events, _ = played(document, tmp_path)
    assert (result.status, result.backend) == ("completed", "us")
    skipped = [event for event in events if isinstance(event, seen.BackendSkipped)]
    assert [event.reason for event in skipped] == [
        "built-in `web_search`: the search engine is not in the EU"
    ]


def test_the_classification_of_a_builtins_files_is_judged(tmp_path: Path) -> None:
    rules = [
        {"id": "models", "because": "models may be used"},
        {
            "id": "health-stays",
            "effect": "forbid",
            "when": 'context.input.classifications.contains("health")',
            "because": "health data stays",
        },
    ]
    files = [{"path": "data/notes.md", "sha256": "0" * 64, "classification": "health"}]
    document = with_builtins(
        [{"name": "file_search", "files": files}], say("without the file"), dispatch=rules
    )
    result, _, records = played(document, tmp_path)
    assert result.status == "completed"
    asked = [(item["builtins"], item["classifications"], item["verdict"]) for item in dispatches(records)]
    assert asked == [(["file_search"], ["health"], "deny"), ([], [], "allow")]


def test_a_switch_is_a_decision_of_its_own_and_can_be_forbidden(tmp_path: Path) -> None:
    rules = [
        {"id": "models", "because": "models may be used"},
        {
            "id": "no-silent-switch",
            "effect": "forbid",
            "when": 'context.input.switched_from != ""',
            "because": "a person chooses the back-end",
        },
    ]
    broken = backend({"say": "I was", "fail": "the line is dead"}, name="first")
    document = agent(backends=[broken, backend(say("hello"), name="second")], dispatch=rules)
    result, events, records = played(document, tmp_path)
    assert result.status == "failed"
    assert [(item["switched_from"], item["verdict"]) for item in dispatches(records)] == [
        ("", "allow"),
        ("first", "deny"),
    ]
    skipped = [event.name for event in events if isinstance(event, seen.BackendSkipped)]
    assert skipped == ["first", "second"]


def test_a_switch_is_none_any_more_once_the_second_back_end_has_answered(tmp_path: Path) -> None:
    broken = backend({"fail": "the line is dead"}, name="first")
    document = agent(backends=[broken, backend(call("order_status", order=1), say("paid"), name="second")])
    result, _, records = played(document, tmp_path)
    assert (result.status, result.backend) == ("completed", "second")
    assert [(item["resource"], item["switched_from"]) for item in dispatches(records)] == [
        ('Remit::Backend::"first"', ""),
        ('Remit::Backend::"second"', "first"),
        ('Remit::Backend::"second"', ""),
    ]


def over_responses(name: str, server: LoopbackServer) -> dict[str, Any]:
    config = {"base_url": server.base_url, "max_retries": 0}
    return {**backend(name=name), "adapter": "openai-responses", "config": config}


def test_what_a_back_end_asks_to_have_carried_goes_back_to_it_and_to_no_other(tmp_path: Path) -> None:
    asks = Reply(
        reasoning="sealed thoughts",
        calls=(SaidCall(name="order_status", raw='{"order":1}'),),
        finish="tool_calls",
    )
    with (
        LoopbackServer(asks, Reply(status=500, text="gone")) as first,
        LoopbackServer(Reply(text="paid")) as second,
    ):
        document = agent(backends=[over_responses("first", first), over_responses("second", second)])
        result, _, _ = played(document, tmp_path)
        thought, same, other = first.received[0].body, first.received[1].body, second.received[0].body
    assert (result.status, result.text, result.backend) == ("completed", "paid", "second")
    assert "sealed thoughts" not in str(thought["input"])
    assert "sealed thoughts" in str(same["input"])
    assert "sealed thoughts" not in str(other["input"])
    assert [item["type"] for item in other["input"]] == ["message", "function_call", "function_call_output"]


def test_a_paused_answer_goes_on_with_another_decided_turn(tmp_path: Path) -> None:
    document = agent({"say": "searching", "stop": "paused", "carry": "[]"}, say("found"))
    result, _, records = played(document, tmp_path)
    assert (result.status, result.text) == ("completed", "found")
    assert len(dispatches(records)) == 2


def test_traces_name_the_context_by_a_digest_that_measurements_do_not_change(tmp_path: Path) -> None:
    usage = {"input_tokens": 999, "output_tokens": 5, "cost_microusd": 7}
    cheap = agent(call("order_status", order=1), say("paid"))
    dear = agent({**call("order_status", order=1), "usage": usage}, say("paid"))
    first, _, _ = played(cheap, tmp_path / "a")
    second, _, _ = played(dear, tmp_path / "b")
    assert first.steps == second.steps
    assert all(step.context.startswith("sha256:") for step in first.steps)
    assert {step.principal for step in first.steps} == {'Remit::Caller::"ann"', "Remit::Agent"}
