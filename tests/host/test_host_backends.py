"""Back-ends as decisions: what is offered, what a switch is, what goes back to whom."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from host_support import ANN, RISK, agent, backend, call, fields, runtime, say

from remit.document.revision import genesis
from remit.host import events as seen
from remit.testing.assistants_server import AssistantsServer
from remit.testing.loopback import LoopbackServer, Reply, SaidCall, SaidUse

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


def test_another_declaration_under_the_same_name_is_given_nothing_that_was_carried(tmp_path: Path) -> None:
    asks = Reply(
        reasoning="sealed thoughts",
        calls=(SaidCall(name="order_status", raw='{"order":1}'),),
        finish="tool_calls",
    )
    with LoopbackServer(asks) as first, LoopbackServer(Reply(text="paid")) as second:
        document = agent(
            backends=[over_responses("main", first)],
            rules=[{"id": "amending", "effect": "permit", "on": ["amend"]}],
        )
        with runtime(document, tmp_path) as opened:
            moved = dict(document.capabilities.value)
            moved["backends"] = [over_responses("main", second)]

            def amend(event: RunEvent) -> None:
                if isinstance(event, seen.ToolFinished):
                    assert opened.amend(by=ANN, reason="another vendor", capabilities=moved).allowed

            result = opened.run("hello", caller=ANN, on_event=amend)
        assert (result.status, result.text) == ("completed", "paid")
        assert "sealed thoughts" not in str(second.received[0].body)


def test_approvals_of_built_ins_are_remembered_and_show_what_they_are_for(tmp_path: Path) -> None:
    rules = [
        {"id": "models", "because": "models may be used"},
        {
            "id": "built-ins-approved",
            "effect": "forbid",
            "when": "context.input.messages == 1 && !context.input.builtins.isEmpty()",
            "because": "a person allows built-ins",
            "obligations": [{"approve": {"by": "risk-officer"}}],
        },
    ]
    document = with_builtins(
        [{"name": "web_search"}, {"name": "code_interpreter"}], say("done"), dispatch=rules
    )
    shown: list[Any] = []
    with runtime(document, tmp_path) as opened:
        result = opened.run("hello", caller=ANN)
        while result.status == "awaiting_approval":
            assert result.pending is not None
            shown.append((result.pending.resource, result.pending.arguments["builtins"]))
            opened.approve(result.pending.id, by=RISK, reason="checked")
            result = opened.resume_run(result.run)
    assert result.status == "completed"
    assert shown == [
        ('Remit::Backend::"script"', ["web_search"]),
        ('Remit::Backend::"script"', ["code_interpreter"]),
        ('Remit::Backend::"script"', ["code_interpreter", "web_search"]),
    ]


def test_a_required_built_in_that_was_denied_is_not_asked_for_again(tmp_path: Path) -> None:
    rules = [
        {"id": "models", "because": "models may be used"},
        {
            "id": "no-web",
            "effect": "forbid",
            "when": 'resource.name == "first" && context.input.builtins.contains("web_search")',
            "because": "not there",
        },
    ]
    document = with_builtins(
        [{"name": "web_search", "required": True}],
        backends=[
            backend(say("x"), name="first"),
            backend(call("order_status", order=1), say("paid"), name="second"),
        ],
        dispatch=rules,
    )
    result, _, records = played(document, tmp_path)
    assert (result.status, result.usage["denials"]) == ("completed", 1)
    assert [item["verdict"] for item in dispatches(records)].count("deny") == 1


def test_an_answer_made_with_a_built_in_that_nobody_allowed_does_not_count(tmp_path: Path) -> None:
    searched = Reply(text="found", used=(SaidUse(name="web_search", detail={"queries": ["Ann"]}),))
    with LoopbackServer(searched) as vendor:
        document = agent(backends=[over_responses("vendor", vendor), backend(say("plain"), name="second")])
        result, events, records = played(document, tmp_path)
    assert (result.text, result.backend) == ("plain", "second")
    assert not [event for event in events if isinstance(event, seen.BuiltinUsed)]
    failed = next(item for item in records if item["record"] == "outcome" and item["status"] == "failed")
    assert "`web_search`, which was not offered" in failed["detail"]
    assert result.usage["tokens"] > 18  # what the answer cost counts all the same


@pytest.mark.parametrize("adapter", ["openai-chat", "openai-responses"])
def test_text_that_no_encoding_holds_is_mended_and_the_run_ends_as_any_other(
    adapter: str, tmp_path: Path
) -> None:
    broken = Reply(
        text="half a \ud800 pair",
        calls=(SaidCall(name="order_\ud800", raw='{"order": "\ud800"}'),),
        finish="tool_calls",
    )
    with LoopbackServer(broken, Reply(text="done")) as server:
        document = agent(backends=[{**over_responses("a", server), "adapter": adapter}])
        result, _, records = played(document, tmp_path)
    assert (result.status, result.text) == ("completed", "done")
    ends = [item["status"] for item in records if item["record"] == "run"]
    assert ends[-1] == "completed"


class _Endless(BaseHTTPRequestHandler):
    """Answers creating requests, fails every run, and drips the answer to everything else without end."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        self.rfile.read(size)
        status, body = 200, b'{"id":"x_1","object":"x"}'
        if self.path.endswith("/runs"):
            status, body = 400, b'{"error":{"message":"no"}}'
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "100000")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)

    do_GET = do_DELETE  # noqa: N815  # the standard library's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        """Say nothing."""


def test_a_vendor_that_never_lets_go_does_not_hold_up_the_run_and_is_left_to_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remit.host.dispatching.DISPOSAL_S", 1.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    config = {
        "base_url": f"http://127.0.0.1:{server.server_address[1]}/v1",
        "max_retries": 0,
        "timeout_s": 30,
    }
    assistant = {**backend(name="first"), "adapter": "openai-assistants", "config": config}
    document = agent(backends=[assistant, backend(say("hello"), name="second")])
    began = time.monotonic()
    with runtime(document, tmp_path) as opened:
        result = opened.run("hello", caller=ANN)
        left = opened.leftovers(run=result.run)
    server.shutdown()
    server.server_close()
    assert (result.status, result.backend) == ("completed", "second")
    assert time.monotonic() - began < 20
    assert {item.thing.kind for item in left} == {"assistant", "thread"}


def test_what_a_dry_run_makes_at_a_vendor_is_noted_in_the_real_store(tmp_path: Path) -> None:
    with AssistantsServer(Reply(text="hello")) as server:
        config = {"base_url": server.base_url, "max_retries": 0}
        assistant = {**backend(name="main"), "adapter": "openai-assistants", "config": config}
        with runtime(agent(backends=[assistant]), tmp_path) as opened:
            result = opened.run("hello", caller=ANN, dry_run=True)
            notes = [
                record.value["body"]["step"]
                for record in opened.store.records()
                if record.value["kind"] == "object"
            ]
        assert {kind: ids for kind, ids in server.objects.items() if ids} == {}
    assert (result.status, result.dry_run) == ("completed", True)
    assert notes == ["planned", "made", "planned", "made", "gone", "gone"]


def test_what_a_failed_vendor_run_used_up_is_counted(tmp_path: Path) -> None:
    failed = Reply(text="", finish="server_error", input_tokens=90_000, output_tokens=9_000)
    with AssistantsServer(failed) as server:
        config = {"base_url": server.base_url, "max_retries": 0, "input_microusd_per_mtok": 1_000_000}
        assistant = {**backend(name="main"), "adapter": "openai-assistants", "config": config}
        result, _, _ = played(agent(backends=[assistant]), tmp_path)
    assert result.status == "failed"
    assert (result.usage["tokens"], result.usage["cost_microusd"]) == (99_000, 90_000)
