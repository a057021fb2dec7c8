from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_server import OpenEnded

from remit.document.model import BackendEntry, Builtin, BuiltinFile
from remit.errors import AdapterError
from remit.host.backends import backend_context
from remit.host.models import catalogue, models_folder
from remit.messages import BuiltinUse, CallProposed, Message, TextDelta, ToolCall, Turn
from remit.testing.backend_contract import CALL, TEXT, BackendContract, Scene, Stage, infer, permit_for
from remit.testing.loopback import LoopbackServer, Reply, SaidUse
from remit_adapters.answers import MAX_CHARACTERS
from remit_adapters.anthropic_messages import BUILTINS, open_backend
from remit_adapters.endpoint import Endpoint
from remit_adapters.llama_server import llama_server
from remit_adapters.messages_stream import MessagesStream
from remit_adapters.messages_wire import GO_ON, OPENING, wire_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject
    from remit.testing.backend_contract import Answer

KEY = "sk-ant-very-secret"
WEIGHTS = models_folder(os.environ) / f"{catalogue()[0].sha256}.gguf"
CODE = Builtin(name="code_interpreter", required=False, files=(), config={})
SEARCH = Builtin(name="web_search", required=False, files=(), config={})
ENDPOINT = Endpoint(
    backend="b",
    model="m-1",
    base_url="http://127.0.0.1",
    api_key_env="",
    api_key="none",
    timeout_s=1,
    max_retries=0,
    input_microusd_per_mtok=0,
    output_microusd_per_mtok=0,
    path_hint="",
)


def entry(config: JsonObject) -> BackendEntry:
    return BackendEntry(
        name="subject", adapter="anthropic", provider="tests", region="EU", model="m-1", config=config
    )


class TestAnthropic(BackendContract):
    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        with LoopbackServer(scene.reply, truth=True) as server:
            config: JsonObject = {
                "base_url": server.root_url,
                "max_retries": 0,
                "timeout_s": 0.5 if scene.silent else 20,
            }
            backend = open_backend(entry(config), context=backend_context(environment={}))
            yield Stage(backend=backend, name="subject", sent=lambda: len(server.received))
        assert server.violations == ()


def asked(config: JsonObject, *turns: Turn, limit: int = -1) -> Answer:
    """Ask one back-end each turn; return the last answer."""

    async def ask() -> Answer:
        backend = open_backend(
            entry({"max_retries": 0, "timeout_s": 20, **config}),
            context=backend_context(environment={"TEST_KEY": KEY}),
        )
        stage = Stage(backend=backend, name="subject", sent=lambda: 0)
        try:
            for turn in turns:
                answer = await infer(stage, permit_for(stage, turn), turn, limit=limit)
            return answer
        finally:
            await backend.dispose()

    return asyncio.run(ask())


def said(answer: Answer) -> Message:
    """The answer as the host puts it into the thread."""
    end = answer.ends[0]
    return Message(
        role="assistant",
        text=answer.text,
        tool_calls=tuple(answer.calls),
        carried=end.carried,
        carried_by="subject" if end.carried else "",
    )


def and_then(turn: Turn, *messages: Message) -> Turn:
    return replace(turn, messages=(*turn.messages, *messages))


def with_results() -> Turn:
    call = ToolCall(id="c1", name="lookup_order", arguments={"order_id": "A-1"}, raw='{"order_id":"A-1"}')
    bad = ToolCall(id="c2", name="lookup_order", arguments=None, raw='{"order_id":')
    return replace(
        CALL.turn(),
        messages=(
            Message(role="user", text="hi"),
            Message(role="assistant", text="looking", tool_calls=(call, bad)),
            Message(role="tool", text='{"paid":40}', tool_call_id="c1"),
            Message(role="tool", text='{"denied":true,"because":"no"}', tool_call_id="c2"),
            Message(role="user", text="go on"),
        ),
    )


def test_the_whole_thread_goes_out_with_calls_and_results_and_no_tool_choice() -> None:
    turn = with_results()
    with LoopbackServer(Reply(text="ok"), truth=True) as server:
        asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, turn)
        received = server.received[0]
    assert server.violations == ()
    assert received.path == "/v1/messages"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.body == {
        "model": "m-1",
        "max_tokens": 64,
        "stream": True,
        "system": turn.instructions,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "looking"},
                    {"type": "tool_use", "id": "c1", "name": "lookup_order", "input": {"order_id": "A-1"}},
                    {
                        "type": "tool_use",
                        "id": "c2",
                        "name": "lookup_order",
                        "input": {"malformed_arguments": '{"order_id":'},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": '{"paid":40}'},
                    {
                        "type": "tool_result",
                        "tool_use_id": "c2",
                        "content": '{"denied":true,"because":"no"}',
                        "is_error": True,
                    },
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
        "tools": [
            {
                "name": "lookup_order",
                "description": turn.tools[0].description,
                "input_schema": turn.tools[0].parameters,
            }
        ],
    }


def test_the_temperature_is_sent_where_the_config_says_so() -> None:
    with LoopbackServer(Reply(text="ok")) as server:
        asked({"base_url": server.root_url, "temperature": "send"}, replace(TEXT.turn(), temperature=0.5))
    assert server.received[0].body["temperature"] == 0.5


def shape(*messages: Message) -> list[tuple[str, list[str]]]:
    """Roles and texts of a thread as it is sent."""
    sent = wire_messages(Turn(instructions="", messages=messages))
    return [
        (str(item["role"]), [str(block.get("text", block["type"])) for block in item["content"]])
        for item in sent
    ]


def test_a_thread_of_any_shape_goes_out_as_the_vendor_wants_it() -> None:
    user, assistant = Message(role="user", text="u"), Message(role="assistant", text="a")
    blank = Message(role="user", text=" \n")
    call = ToolCall(id="c", name="t", arguments={}, raw="{}")
    calling = Message(role="assistant", text="", tool_calls=(call,))
    result = Message(role="tool", text="1", tool_call_id="c")
    assert shape() == [("user", [OPENING])]
    assert shape(blank, user) == [("user", ["u"])]
    assert shape(assistant, user) == [("user", [OPENING]), ("assistant", ["a"]), ("user", ["u"])]
    assert shape(user, user, blank, user) == [("user", ["u", "u", "u"])]
    assert shape(user, assistant) == [("user", ["u"]), ("assistant", ["a"]), ("user", [GO_ON])]
    assert shape(user, calling, user, result)[2] == ("user", ["tool_result", "u"])


def test_ids_and_names_that_the_wire_does_not_admit_are_replaced_alike() -> None:
    call = ToolCall(id="call|7/ä", name="", arguments={}, raw="")
    _, assistant, user = wire_messages(
        Turn(
            instructions="",
            messages=(
                Message(role="user", text="u"),
                Message(role="assistant", text="", tool_calls=(call,)),
                Message(role="tool", text="", tool_call_id=call.id),
            ),
        )
    )
    (use,), (result,) = assistant["content"], user["content"]
    assert use["id"] == result["tool_use_id"]
    assert use["id"].startswith("id_")
    assert use["name"] == "unnamed"
    assert "content" not in result


def test_thinking_is_carried_and_goes_back_block_by_block_as_it_came() -> None:
    turn = CALL.turn()
    reply = replace(CALL.reply, text="Let me see.", reasoning="c2lnbmVk")
    with LoopbackServer(reply, Reply(text="ok"), truth=True) as server:
        config: JsonObject = {"base_url": server.root_url}
        first = asked(config, turn)
        assert first.text == "Let me see."
        result = Message(role="tool", text='{"paid":1}', tool_call_id=first.calls[0].id)
        asked(config, and_then(turn, said(first), result))
        assistant, user = server.received[1].body["messages"][1:]
    assert server.violations == ()
    assert assistant == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "weighing the request", "signature": "c2lnbmVk"},
            {"type": "text", "text": "Let me see.", "citations": None},
            {
                "type": "tool_use",
                "id": "toolu_0",
                "name": "lookup_order",
                "input": {"order_id": "A-1002"},
                "caller": {"type": "direct"},
            },
        ],
    }
    assert user["content"][0]["tool_use_id"] == "toolu_0"


def test_a_call_that_had_to_be_renamed_is_renamed_in_what_is_carried() -> None:
    turn = CALL.turn()
    reply = replace(CALL.reply, reasoning="c2lnbmVk")
    with LoopbackServer(reply, truth=True) as server:
        config: JsonObject = {"base_url": server.root_url}
        first = asked(config, turn)
        result = Message(role="tool", text="{}", tool_call_id=first.calls[0].id)
        second = asked(config, and_then(turn, said(first), result))
    assert (first.calls[0].id, second.calls[0].id) == ("toolu_0", "call_1_0")
    assert json.loads(second.ends[0].carried)["content"][-1]["id"] == "call_1_0"


def test_text_and_calls_alone_are_not_carried() -> None:
    with LoopbackServer(replace(CALL.reply, text="hm")) as server:
        assert asked({"base_url": server.root_url}, CALL.turn()).ends[0].carried == ""


def test_what_another_adapter_carried_under_the_same_name_is_not_sent() -> None:
    items = '[{"type":"reasoning","encrypted_content":"x"}]'
    other = Message(role="assistant", text="said", carried=items, carried_by="subject")
    user = Message(role="user", text="u")
    assert shape(user, other, user) == [("user", ["u"]), ("assistant", ["said"]), ("user", ["u"])]


def test_a_paused_answer_is_carried_whole_and_asked_to_go_on_in_its_sandbox() -> None:
    turn = replace(TEXT.turn(), builtins=(CODE,))
    use = SaidUse(name="code_interpreter", detail={"code": "1+1", "logs": "2"})
    pause = Reply(text="One moment", used=(use,), finish="pause_turn")
    with LoopbackServer(pause, Reply(text="Two."), truth=True) as server:
        config: JsonObject = {"base_url": server.root_url}
        first = asked(config, turn)
        assert (first.ends[0].stop, first.text) == ("paused", "One moment")
        asked(config, and_then(turn, said(first)))
        body = server.received[1].body
    assert server.violations == ()
    assert body["container"] == "container_1"
    assert [item["role"] for item in body["messages"]] == ["user", "assistant"]
    assert [block["type"] for block in body["messages"][1]["content"]] == [
        "server_tool_use",
        "code_execution_tool_result",
        "text",
    ]
    assert body["messages"][1]["content"][0]["input"] == {"code": "1+1"}


def test_built_ins_are_offered_with_their_settings_and_their_use_is_reported() -> None:
    search = replace(SEARCH, config={"max_uses": 2, "allowed_domains": ["example.org"], "x-note": 1})
    turn = replace(CALL.turn(), builtins=(CODE, search))
    source: JsonObject = {"url": "https://example.org/a", "title": "A"}
    reply = Reply(
        text="Found.",
        used=(
            SaidUse(name="web_search", detail={"queries": ["kettles"], "sources": [source]}),
            SaidUse(name="code_interpreter", detail={"code": "print(2)", "logs": "2\n"}),
            SaidUse(name="code_interpreter", detail={"code": "1/0", "status": "failed"}),
            SaidUse(name="web_search", detail={"queries": ["pots"], "status": "failed"}),
        ),
    )
    with LoopbackServer(reply, truth=True) as server:
        answer = asked({"base_url": server.root_url}, turn)
    assert server.violations == ()
    assert server.received[0].body["tools"][1:] == [
        {"type": "code_execution_20250522", "name": "code_execution"},
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 2,
            "allowed_domains": ["example.org"],
        },
    ]
    assert answer.ends[0].used == (
        BuiltinUse(
            name="web_search", detail={"status": "completed", "queries": ["kettles"], "sources": [source]}
        ),
        BuiltinUse(
            name="code_interpreter",
            detail={"status": "completed", "code": "print(2)", "logs": "2\n", "return_code": 0},
        ),
        BuiltinUse(name="code_interpreter", detail={"status": "failed", "code": "1/0", "return_code": 1}),
        BuiltinUse(
            name="web_search",
            detail={"status": "failed", "queries": ["pots"], "error": "unavailable", "requests": 2},
        ),
    )
    assert "opaque" not in json.dumps([use.detail for use in answer.ends[0].used])
    assert "opaque" in answer.ends[0].carried


def test_the_newer_code_tool_reports_its_commands_as_the_older_one_its_code() -> None:
    turn = replace(TEXT.turn(), builtins=(CODE,))
    reply = Reply(text="x", used=(SaidUse(name="code_interpreter", detail={"code": "ls", "logs": "a"}),))
    with LoopbackServer(reply, truth=True) as server:
        config: JsonObject = {"base_url": server.root_url, "code_tool": "code_execution_20250825"}
        answer = asked(config, turn)
    assert server.violations == ()
    assert answer.ends[0].used == (
        BuiltinUse(
            name="code_interpreter",
            detail={"status": "completed", "code": "ls", "logs": "a", "return_code": 0},
        ),
    )


@pytest.mark.parametrize(
    ("builtin", "message"),
    [
        (
            replace(CODE, files=(BuiltinFile(path="data/a.csv", sha256="0" * 64, classification="public"),)),
            "built-in `code_interpreter` cannot be given `data/a.csv`",
        ),
        (replace(CODE, config={"memory": "4g"}), "`memory`: cannot be set at this vendor"),
        (replace(SEARCH, config={"region": "EU"}), "`region`: is not known here"),
        (replace(SEARCH, config={"max_uses": 0}), "`max_uses`: `0` is not between 1"),
        (
            replace(SEARCH, config={"allowed_domains": ["a"], "blocked_domains": ["b"]}),
            "`blocked_domains`: cannot be set beside `allowed_domains`",
        ),
        (Builtin(name="file_search", required=False, files=(), config={}), "`file_search` cannot be offered"),
    ],
)
def test_a_built_in_that_cannot_be_offered_is_one_clear_error_and_nothing_is_sent(
    builtin: Builtin, message: str
) -> None:
    assert set(BUILTINS) == {"code_interpreter", "web_search"}
    with LoopbackServer(Reply(text="ok")) as server:
        answer = asked({"base_url": server.root_url}, replace(TEXT.turn(), builtins=(builtin,)))
    assert isinstance(answer.error, AdapterError)
    assert message in str(answer.error)
    assert server.received == ()


def test_nothing_of_the_environment_gets_into_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(Reply(text="not here")) as elsewhere, LoopbackServer(Reply(text="ok")) as server:
        for name, value in {
            "ANTHROPIC_API_KEY": "ambient",
            "ANTHROPIC_AUTH_TOKEN": "ambient",
            "ANTHROPIC_BASE_URL": elsewhere.root_url,
            "ANTHROPIC_CUSTOM_HEADERS": "x-ambient: ambient\nauthorization: Bearer ambient",
            "ANTHROPIC_PROFILE": "ambient",
            "ANTHROPIC_IDENTITY_TOKEN": "ambient",
            "ANTHROPIC_FEDERATION_RULE_ID": "ambient",
            "ANTHROPIC_ORGANIZATION_ID": "ambient",
            "ANTHROPIC_WORKSPACE_ID": "ambient",
            "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "content",
        }.items():
            monkeypatch.setenv(name, value)
        with_key = asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, TEXT.turn())
        without = asked({"base_url": server.root_url}, TEXT.turn())
        assert elsewhere.received == ()
    assert (with_key.text, without.text) == ("ok", "ok")
    assert [item.headers["authorization"] for item in server.received] == [f"Bearer {KEY}", "Bearer none"]
    assert "ambient" not in repr(server.received)


def test_content_does_not_follow_a_redirect() -> None:
    with (
        LoopbackServer(Reply(text="ok")) as elsewhere,
        LoopbackServer(
            Reply(status=307, location=elsewhere.root_url + "/v1/messages", text="moved")
        ) as server,
    ):
        answer = asked({"base_url": server.root_url}, TEXT.turn())
        assert elsewhere.received == ()
    assert isinstance(answer.error, AdapterError)
    assert "redirects are not followed" in str(answer.error)


@pytest.mark.parametrize(
    ("status", "retryable", "way"),
    [
        (401, False, "check the key in `TEST_KEY`"),
        (404, False, "`base_url` does not end in `/v1`"),
        (400, False, "answered 400: bad key ***"),
        (429, True, "wait"),
        (529, True, "try again later"),
    ],
)
def test_a_refusing_server_is_one_clear_error_without_the_key(status: int, retryable: bool, way: str) -> None:
    with LoopbackServer(Reply(status=status, text=f"bad key {KEY}")) as server:
        answer = asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert answer.error.retryable is retryable
    assert way in str(answer.error)
    assert KEY not in str(answer.error)


def test_a_server_that_fails_once_is_asked_again() -> None:
    with LoopbackServer(Reply(status=503, text="busy"), Reply(text="ok")) as server:
        answer = asked({"base_url": server.root_url, "max_retries": 1}, TEXT.turn())
    assert (answer.text, len(server.received)) == ("ok", 2)


def test_no_server_at_all_is_worth_another_try() -> None:
    with LoopbackServer(Reply()) as server:
        url = server.root_url
    answer = asked({"base_url": url}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert (answer.error.retryable, "cannot be reached" in str(answer.error)) == (True, True)


def frames(*events: JsonObject) -> bytes:
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


BEGUN = frames(
    {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Once"}},
)


@pytest.mark.parametrize(
    ("begun", "sign"), [(None, b""), (b"", b""), (BEGUN, b""), (BEGUN, b": still here\n\n")]
)
def test_a_silent_server_runs_into_the_timeout_also_within_a_stream(begun: bytes | None, sign: bytes) -> None:
    with OpenEnded(begun, sign=sign) as server:
        answer = asked({"base_url": server.root_url, "timeout_s": 0.3}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert (answer.error.retryable, "raise `timeout_s`" in str(answer.error)) == (True, True)
    assert answer.ends == []


def test_closing_the_iterator_closes_the_connection() -> None:
    with OpenEnded(BEGUN) as server:
        answer = asked({"base_url": server.root_url}, TEXT.turn(), limit=1)
        assert answer.events == [TextDelta(text="Once")]
        assert server.left.wait(5)


def test_turns_share_a_connection_where_the_server_keeps_it() -> None:
    with LoopbackServer(Reply(text="ok"), keep_alive=True) as server:

        async def ask_twice() -> int:
            backend = open_backend(
                entry({"base_url": server.root_url}), context=backend_context(environment={})
            )
            stage = Stage(backend=backend, name="subject", sent=lambda: 0)
            for _ in range(2):
                answer = await infer(stage, permit_for(stage, TEXT.turn()), TEXT.turn())
                assert answer.text == "ok"
            open_connections = len(server._state.connections)
            await backend.dispose()
            return open_connections

        assert asyncio.run(ask_twice()) == 1


def test_an_error_within_a_stream_is_told_as_its_status_without_the_key() -> None:
    error: JsonObject = {
        "type": "error",
        "error": {"type": "overloaded_error", "message": f"too many of {KEY}"},
    }
    with LoopbackServer(Reply(raw_body=BEGUN + frames(error))) as server:
        answer = asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert "answered 529: too many of ***; try again later" in str(answer.error)
    assert (answer.error.retryable, answer.ends) == (True, [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"data: {nonsense\n\n",
        b'{"type":"message"}',
        b'event: x\ndata: {"type":"ping","type":"ping"}\n\n',
        b"event: message_start\ndata: \xff\n\n",
        BEGUN,
        BEGUN + frames({"type": "message_stop"}),
        BEGUN
        + frames(
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
            {"type": "message_stop"},
        ),
        BEGUN
        + frames(
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        ),
    ],
)
def test_a_stream_that_is_none_or_lacks_its_end_is_an_adapter_error_and_no_answer(body: bytes) -> None:
    with LoopbackServer(Reply(raw_body=body or b" ")) as server:
        answer = asked({"base_url": server.root_url}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert answer.ends == []


@pytest.mark.parametrize(
    ("reason", "stop", "calls"),
    [
        ("stop_sequence", "tool_calls", 1),
        ("max_tokens", "length", 1),
        ("model_context_window_exceeded", "length", 1),
        ("refusal", "refused", 0),
        ("because", "refused", 0),
    ],
)
def test_stop_reasons_are_told_in_our_words_and_unknown_ones_propose_nothing(
    reason: str, stop: str, calls: int
) -> None:
    with LoopbackServer(replace(CALL.reply, finish=reason)) as server:
        answer = asked({"base_url": server.root_url}, CALL.turn())
    assert (answer.ends[0].stop, len(answer.calls)) == (stop, calls)
    assert answer.ends[0].detail["stop_reason"] == reason


def test_an_answer_says_where_it_came_from() -> None:
    with LoopbackServer(Reply(text="ok")) as server:
        end = asked({"base_url": server.root_url}, TEXT.turn()).ends[0]
    assert end.model == "loopback"
    assert end.detail["message_id"] == "msg_1"
    assert end.detail["sdk"].startswith("anthropic 2.")
    assert end.detail["base_url"] == server.root_url


def fed(turn: Turn, *events: JsonObject) -> list[Any]:
    """Feed a stream and end it."""
    stream = MessagesStream(turn, endpoint=ENDPOINT)
    deltas = [delta for event in events for delta in stream.feed(json.dumps(event))]
    return [*deltas, *stream.end(cost_microusd=0, detail={})]


def test_cached_tokens_count_as_tokens_of_the_prompt_and_cost_what_they_would() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 7}
    events: tuple[JsonObject, ...] = (
        {"type": "message_start", "message": {"model": "m", "usage": {**usage, "output_tokens": 1}}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 9, "input_tokens": None},
        },
        {"type": "message_stop"},
    )
    end = fed(TEXT.turn(), *events)[-1]
    assert (end.usage.input_tokens, end.usage.output_tokens) == (50, 9)
    with LoopbackServer(Reply(text="ok", input_tokens=3, output_tokens=5)) as server:
        prices: JsonObject = {"input_microusd_per_mtok": 250_000, "output_microusd_per_mtok": 2_000_000}
        answer = asked({"base_url": server.root_url, **prices}, TEXT.turn())
    assert answer.ends[0].usage.cost_microusd == 11


def test_a_citation_is_carried_since_the_vendor_wants_it_back() -> None:
    cited: JsonObject = {"type": "web_search_result_location", "url": "u", "encrypted_index": "e"}
    end = fed(
        TEXT.turn(),
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "so"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": cited}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )[-1]
    assert json.loads(end.carried) == {"content": [{"type": "text", "text": "so", "citations": [cited]}]}


def test_arguments_that_come_whole_with_their_block_are_arguments() -> None:
    block: JsonObject = {"type": "tool_use", "id": "x", "name": "lookup_order", "input": {"order_id": "A"}}
    proposed = fed(
        CALL.turn(),
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )[0]
    assert (proposed.call.arguments, proposed.call.raw) == ({"order_id": "A"}, '{"order_id":"A"}')


def test_a_giant_answer_is_an_adapter_error() -> None:
    stream = MessagesStream(TEXT.turn(), endpoint=ENDPOINT)
    block: JsonObject = {"type": "text", "text": "x" * MAX_CHARACTERS}
    with pytest.raises(AdapterError, match="more than"):
        list(stream.feed(json.dumps({"type": "content_block_start", "index": 0, "content_block": block})))


KINDS = (
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
    "text",
    "tool_use",
    "thinking",
    "server_tool_use",
    "web_search_tool_result",
    "text_delta",
    "input_json_delta",
    "citations_delta",
    "signature_delta",
    "end_turn",
    "pause_turn",
)
NAMES = (
    "type",
    "index",
    "message",
    "delta",
    "content_block",
    "text",
    "partial_json",
    "stop_reason",
    "usage",
    "input",
    "id",
    "name",
    "content",
    "tool_use_id",
    "error",
    "citation",
    "container",
    "server_tool_use",
    "web_search_requests",
    "output_tokens",
)
LEAVES = (
    st.sampled_from(KINDS)
    | st.integers(-2, 3)
    | st.none()
    | st.booleans()
    | st.floats()
    | st.sampled_from(("", "\ud800", "{}", '{"a":1}', "x"))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
EVENTS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"type": st.sampled_from(KINDS)},
        optional={
            "index": st.integers(-1, 2) | VALUES,
            "delta": st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional={"text": LEAVES})
            | VALUES,
            "content_block": st.fixed_dictionaries(
                {"type": st.sampled_from(KINDS)}, optional={"text": LEAVES, "input": VALUES}
            )
            | VALUES,
            "message": VALUES,
            "usage": VALUES,
            "error": VALUES,
        },
    ),
)


DELTAS = st.fixed_dictionaries(
    {"type": st.sampled_from(("text_delta", "input_json_delta", "citations_delta", "signature_delta"))},
    optional={"text": LEAVES, "partial_json": LEAVES, "citation": VALUES, "signature": LEAVES},
)
BLOCKS = st.tuples(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                ("text", "tool_use", "thinking", "server_tool_use", "web_search_tool_result", "novelty")
            )
        },
        optional=dict.fromkeys(
            ("text", "input", "id", "name", "content", "tool_use_id", "citations", "thinking"), VALUES
        ),
    ),
    st.lists(DELTAS, max_size=3),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_whatever_a_server_sends_only_adapter_errors_escape(events: list[JsonObject]) -> None:
    try:
        fed(CALL.turn(), *events)
    except AdapterError:
        return


@settings(max_examples=400, deadline=None)
@given(
    st.lists(BLOCKS, max_size=4),
    VALUES,
    st.sampled_from(("end_turn", "tool_use", "pause_turn", "max_tokens")),
)
def test_whatever_blocks_hold_an_answer_can_be_written_down_and_given_back(
    blocks: list[tuple[JsonObject, list[JsonObject]]], usage: object, reason: str
) -> None:
    events: list[JsonObject] = [{"type": "message_start", "message": {"usage": usage}}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.extend({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage})
    try:
        out = fed(CALL.turn(), *events, {"type": "message_stop"})
    except AdapterError:
        return
    end = out[-1]
    answer = Message(
        role="assistant",
        text="".join(event.text for event in out if isinstance(event, TextDelta)),
        tool_calls=tuple(event.call for event in out if isinstance(event, CallProposed)),
        carried=end.carried,
        carried_by="b",
    )
    json.dumps([use.detail for use in end.used], allow_nan=False)
    again = and_then(CALL.turn(), answer)
    again.digest()
    proposed = [
        block["id"]
        for message in wire_messages(again)
        for block in message["content"]
        if block["type"] == "tool_use"
    ]
    assert proposed == [call.id for call in answer.tool_calls]


@given(st.text(max_size=60), st.integers(1, 7))
def test_text_and_arguments_survive_any_cutting_into_events(text: str, size: int) -> None:
    raw = json.dumps({"order_id": text})
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    parts = [raw[at : at + size] for at in range(0, len(raw), size)]
    out = fed(
        CALL.turn(),
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "lookup_order", "input": {}},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": part},
            }
            for part in parts
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )
    assert "".join(delta.text for delta in out if isinstance(delta, TextDelta)) == text
    assert (out[-2].call.raw, out[-2].call.arguments) == (raw, {"order_id": text})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "`base_url`: is required"),
        ({"base_url": "http://user:pw@x"}, "secrets belong to `api_key_env`"),
        ({"base_url": "http://x", "api_key_env": "NOT_SET"}, "`NOT_SET` is not set"),
        ({"base_url": "http://x", "temperature": "0"}, "`0` is not one of `omit`, `send`"),
        ({"base_url": "http://x", "code_tool": "bash"}, "`bash` is not one of"),
        ({"base_url": "http://x", "thinking": True}, "`thinking`: is not known here"),
    ],
)
def test_a_config_that_is_not_acceptable_names_the_member(config: JsonObject, message: str) -> None:
    with pytest.raises(AdapterError) as failure:
        open_backend(entry(config), context=backend_context(environment={}))
    assert message in str(failure.value)


def test_importing_the_module_imports_no_sdk() -> None:
    program = "import sys, remit_adapters.anthropic_messages; sys.exit('anthropic' in sys.modules or 'httpx2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.model
@pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="the embedded model's weights are not in the cache: remit models pull"
)
def test_the_embedded_model_behind_a_messages_server_calls_the_tool() -> None:
    turn = CALL.turn()
    with llama_server(WEIGHTS, native=True, context_tokens=2048) as served:
        backend = open_backend(
            entry(
                {
                    "base_url": served.base_url.removesuffix("/v1"),
                    "api_key_env": "TEST_KEY",
                    "temperature": "send",
                }
            ),
            context=backend_context(environment={"TEST_KEY": served.api_key}),
        )
        stage = Stage(backend=backend, name="subject", sent=lambda: 0)

        async def ask() -> Answer:
            try:
                return await infer(stage, permit_for(stage, turn), turn)
            finally:
                await backend.dispose()

        answer = asyncio.run(ask())
    assert answer.error is None
    assert [(call.name, call.arguments) for call in answer.calls] == [
        ("lookup_order", {"order_id": "A-1002"})
    ]
    assert answer.ends[0].stop == "tool_calls"
    assert answer.ends[0].usage.output_tokens > 0
