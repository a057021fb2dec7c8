from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remit.document.model import BackendEntry
from remit.errors import AdapterError
from remit.host.backends import backend_context, open_backend
from remit.messages import CallProposed, Message, TextDelta, ToolCall, TurnEnd
from remit.testing.backend_contract import CALL, TEXT, Stage, infer, permit_for
from remit.testing.loopback import LoopbackServer, Reply
from remit_adapters.calls import sent_arguments, strict_arguments
from remit_adapters.chat_wire import ChatStream
from remit_adapters.envelope import offers_left

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.messages import Turn
    from remit.testing.backend_contract import Answer

KEY = {"TEST_KEY": "sk-very-secret"}


def asked(config: JsonObject, turn: Turn) -> Answer:
    async def ask() -> Answer:
        entry = BackendEntry(
            name="b",
            adapter="openai-chat",
            provider="p",
            region="EU",
            model="m-1",
            config={"max_retries": 0, **config},
        )
        backend = open_backend(entry, context=backend_context(environment=KEY))
        stage = Stage(backend=backend, name="b", sent=lambda: 0)
        try:
            return await infer(stage, permit_for(stage, turn), turn)
        finally:
            await backend.dispose()

    return asyncio.run(ask())


def with_results() -> Turn:
    call = ToolCall(id="c1", name="lookup_order", arguments={"order_id": "A-1"}, raw='{"order_id":"A-1"}')
    bad = ToolCall(id="c2", name="lookup_order", arguments=None, raw='{"order_id":')
    return replace(
        CALL.turn(),
        messages=(
            Message(role="user", text="hi"),
            Message(role="assistant", text="looking", tool_calls=(call, bad)),
            Message(role="tool", text='{"paid":40}', tool_call_id="c1"),
            Message(role="tool", text='{"error":"no"}', tool_call_id="c2"),
        ),
    )


def test_the_whole_thread_goes_out_with_calls_and_results_and_no_tool_choice() -> None:
    turn = with_results()
    with LoopbackServer(Reply(text="ok")) as server:
        asked({"base_url": server.base_url, "api_key_env": "TEST_KEY"}, turn)
        received = server.received[0]
    assert received.headers["authorization"] == "Bearer sk-very-secret"
    assert "openai-organization" not in received.headers
    assert received.body == {
        "model": "m-1",
        "temperature": 0.0,
        "seed": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 64,
        "messages": [
            {"role": "system", "content": turn.instructions},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "looking",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "lookup_order", "arguments": '{"order_id":"A-1"}'},
                    },
                    {
                        "id": "c2",
                        "type": "function",
                        "function": {
                            "name": "lookup_order",
                            "arguments": '{"malformed_arguments":"{\\"order_id\\":"}',
                        },
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": '{"paid":40}'},
            {"role": "tool", "tool_call_id": "c2", "content": '{"error":"no"}'},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "lookup_order",
                    "description": turn.tools[0].description,
                    "parameters": turn.tools[0].parameters,
                },
            }
        ],
    }


def test_content_does_not_follow_a_redirect() -> None:
    with (
        LoopbackServer(Reply(text="ok")) as elsewhere,
        LoopbackServer(
            Reply(status=307, location=elsewhere.base_url + "/chat/completions", text="moved")
        ) as server,
    ):
        answer = asked({"base_url": server.base_url}, TEXT.turn())
        assert elsewhere.received == ()
    assert isinstance(answer.error, AdapterError)
    assert "redirects are not followed" in str(answer.error)


@pytest.mark.parametrize(
    ("status", "retryable", "way"),
    [
        (401, False, "check the key in `TEST_KEY`"),
        (404, False, "`base_url` ends in `/v1`"),
        (400, False, "400"),
        (429, True, "wait"),
        (503, True, "try again later"),
    ],
)
def test_a_refusing_server_is_one_clear_error_without_the_key(status: int, retryable: bool, way: str) -> None:
    with LoopbackServer(Reply(status=status, text="bad key sk-very-secret")) as server:
        answer = asked({"base_url": server.base_url, "api_key_env": "TEST_KEY"}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert answer.error.retryable is retryable
    assert way in str(answer.error)
    assert "sk-very-secret" not in str(answer.error)


def test_no_server_at_all_is_worth_another_try() -> None:
    with LoopbackServer(Reply()) as server:
        url = server.base_url
    answer = asked({"base_url": url}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert (answer.error.retryable, "cannot be reached" in str(answer.error)) == (True, True)


def test_a_silent_server_runs_into_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        answer = asked({"base_url": url, "timeout_s": 0.3}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert (answer.error.retryable, "raise `timeout_s`" in str(answer.error)) == (True, True)


def test_a_stream_that_is_no_stream_is_an_adapter_error() -> None:
    with LoopbackServer(Reply(status=200, raw_body=b"data: {nonsense\n\n")) as server:
        answer = asked({"base_url": server.base_url}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)


def test_cost_is_rounded_up_from_the_declared_prices() -> None:
    with LoopbackServer(Reply(text="ok", input_tokens=3, output_tokens=5)) as server:
        prices: JsonObject = {"input_microusd_per_mtok": 250_000, "output_microusd_per_mtok": 2_000_000}
        answer = asked({"base_url": server.base_url, **prices}, TEXT.turn())
    assert answer.ends[0].usage.cost_microusd == 11


def test_an_unknown_finish_reason_is_a_refusal_and_proposes_nothing() -> None:
    with LoopbackServer(replace(CALL.reply, finish="because")) as server:
        answer = asked({"base_url": server.base_url}, CALL.turn())
    assert (answer.ends[0].stop, answer.calls) == ("refused", [])


def test_the_envelope_works_over_the_wire() -> None:
    text = json.dumps({"tool": "lookup_order", "arguments": {"order_id": "A-1002"}})
    with LoopbackServer(Reply(text=text)) as server:
        answer = asked({"base_url": server.base_url, "tool_mode": "envelope"}, CALL.turn())
        body = server.received[0].body
    assert "tools" not in body
    assert answer.text == ""
    assert [(c.name, c.arguments) for c in answer.calls] == [("lookup_order", {"order_id": "A-1002"})]
    assert answer.ends[0].stop == "tool_calls"


def test_json_in_free_text_is_text_and_never_a_call() -> None:
    text = json.dumps({"name": "lookup_order", "arguments": {"order_id": "A-1002"}})
    with LoopbackServer(Reply(text=text)) as server:
        answer = asked({"base_url": server.base_url}, CALL.turn())
    assert (answer.text, answer.calls) == (text, [])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "`base_url`: is required"),
        ({"base_url": "ftp://x"}, "not an http or https address"),
        ({"base_url": "http://user:pw@x/v1"}, "secrets belong to `api_key_env`"),
        ({"base_url": "http://x/v1", "api_key_env": "NOT_SET"}, "`NOT_SET` is not set"),
        ({"base_url": "http://x/v1", "apikey": "k"}, "`apikey`: is not known here"),
        ({"base_url": "http://x/v1", "omit": ["model"]}, "`model` is not one of"),
    ],
)
def test_a_config_that_is_not_acceptable_names_the_member(config: JsonObject, message: str) -> None:
    entry = BackendEntry(name="b", adapter="openai-chat", provider="p", region="EU", model="m", config=config)
    with pytest.raises(AdapterError) as failure:
        open_backend(entry, context=backend_context(environment=KEY))
    assert message in str(failure.value)


def test_a_cut_call_without_arguments_has_none_rather_than_an_empty_object() -> None:
    stream = ChatStream(CALL.turn(), backend="b")
    call: JsonObject = {"index": 0, "id": "c", "function": {"name": "lookup_order", "arguments": ""}}
    list(stream.feed({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "length"}]}))
    events = list(stream.end())
    assert isinstance(events[0], CallProposed)
    assert events[0].call.arguments is None
    assert isinstance(events[1], TurnEnd)
    assert events[1].stop == "length"


@given(st.text(max_size=60), st.integers(1, 7))
def test_text_survives_any_cutting_into_chunks(text: str, size: int) -> None:
    stream = ChatStream(TEXT.turn(), backend="b")
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    out = [
        d for piece in pieces for d in stream.feed({"choices": [{"index": 0, "delta": {"content": piece}}]})
    ]
    assert "".join(delta.text for delta in out if isinstance(delta, TextDelta)) == text


@given(st.text(max_size=40))
def test_arguments_are_a_strict_object_or_nothing_and_go_back_as_an_object(raw: str) -> None:
    arguments = strict_arguments(raw)
    assert arguments is None or isinstance(arguments, dict)
    assert isinstance(json.loads(sent_arguments(raw, arguments)), dict)


def test_a_tool_is_offered_again_only_after_the_user_spoke() -> None:
    turn = with_results()
    assert offers_left(turn, calls_per_tool=2) == ()
    assert offers_left(turn, calls_per_tool=3) == turn.tools
    spoke = replace(turn, messages=(*turn.messages, Message(role="user", text="more")))
    assert offers_left(spoke, calls_per_tool=1) == turn.tools
