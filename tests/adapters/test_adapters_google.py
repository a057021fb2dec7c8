from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_server import OpenEnded

from remit.document.model import BackendEntry, Builtin, BuiltinFile
from remit.errors import AdapterError
from remit.host.backends import backend_context
from remit.messages import BuiltinUse, CallProposed, Message, TextDelta, ToolCall, ToolOffer, Turn
from remit.testing.backend_contract import CALL, TEXT, BackendContract, Scene, Stage, infer, permit_for
from remit.testing.loopback import LoopbackServer, Reply, SaidCall, SaidUse
from remit_adapters.answers import MAX_CHARACTERS
from remit_adapters.endpoint import Endpoint
from remit_adapters.gemini_schema import openapi_schema
from remit_adapters.gemini_stream import GeminiStream
from remit_adapters.gemini_wire import GO_ON, OPENING, UNSIGNED, wire_contents
from remit_adapters.google_genai import BUILTINS, open_backend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.testing.backend_contract import Answer

KEY = "AIza-very-secret"
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
        name="subject", adapter="google", provider="tests", region="EU", model="m-1", config=config
    )


class TestGoogle(BackendContract):
    exempt: ClassVar = {
        "malformed": "the wire carries objects; the service says MALFORMED_FUNCTION_CALL instead of such text",
        "partial": "the wire carries objects; a call that was cut off is not sent",
    }

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
    raw = '{"order_id":"A-1","note":null}'
    call = ToolCall(id="c1", name="lookup_order", arguments=json.loads(raw), raw=raw)
    bad = ToolCall(id="c2", name="lookup_order", arguments=None, raw='{"order_id":')
    return replace(
        CALL.turn(),
        temperature=0.5,
        seed=7,
        messages=(
            Message(role="user", text="hi"),
            Message(role="assistant", text="looking", tool_calls=(call, bad)),
            Message(role="tool", text='{"paid":40,"by":null}', tool_call_id="c1"),
            Message(role="tool", text='["no"]', tool_call_id="c2"),
            Message(role="user", text="go on"),
        ),
    )


def test_the_whole_thread_goes_out_with_calls_and_results_and_forces_no_tool() -> None:
    turn = with_results()
    with LoopbackServer(Reply(text="ok"), truth=True) as server:
        asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, turn)
        received = server.received[0]
    assert server.violations == ()
    assert (received.path, received.query) == ("/v1beta/models/m-1:streamGenerateContent", {"alt": "sse"})
    assert received.headers["x-goog-api-key"] == KEY
    assert "x-server-timeout" not in received.headers
    assert received.body == {
        "systemInstruction": {"parts": [{"text": turn.instructions}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "looking"},
                    {
                        "functionCall": {
                            "id": "c1",
                            "name": "lookup_order",
                            "args": {"order_id": "A-1", "note": None},
                        },
                        "thoughtSignature": UNSIGNED,
                    },
                    {
                        "functionCall": {
                            "id": "c2",
                            "name": "lookup_order",
                            "args": {"malformed_arguments": '{"order_id":'},
                        }
                    },
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "c1",
                            "name": "lookup_order",
                            "response": {"paid": 40, "by": None},
                        }
                    },
                    {
                        "functionResponse": {
                            "id": "c2",
                            "name": "lookup_order",
                            "response": {"output": '["no"]'},
                        }
                    },
                ],
            },
            {"role": "user", "parts": [{"text": "go on"}]},
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "lookup_order",
                        "description": turn.tools[0].description,
                        "parametersJsonSchema": turn.tools[0].parameters,
                    }
                ]
            }
        ],
        "generationConfig": {"temperature": 0.5, "seed": 7, "maxOutputTokens": 64},
        "store": False,
    }


def test_members_that_a_server_refuses_are_left_out_and_the_version_is_the_configs() -> None:
    with LoopbackServer(Reply(text="ok")) as server:
        config: JsonObject = {
            "base_url": server.root_url,
            "api_version": "v1alpha",
            "omit": ["temperature", "seed", "store"],
            "unsigned_calls": "plain",
        }
        asked(config, with_results())
    body = server.received[0].body
    assert server.received[0].path.startswith("/v1alpha/")
    assert body["generationConfig"] == {"maxOutputTokens": 64}
    assert "store" not in body
    assert UNSIGNED not in json.dumps(body)


def shape(*messages: Message) -> list[tuple[str, list[str]]]:
    """Roles and texts of a thread as it is sent."""
    turn = Turn(instructions="", messages=messages)
    return [
        (str(item["role"]), [str(part.get("text", next(iter(part)))) for part in item["parts"]])
        for item in wire_contents(turn, backend="b", mark_unsigned=False)
    ]


def test_a_thread_of_any_shape_goes_out_as_the_vendor_wants_it() -> None:
    user, assistant = Message(role="user", text="u"), Message(role="assistant", text="a")
    blank = Message(role="user", text=" \n")
    call = ToolCall(id="c", name="t", arguments={}, raw="{}")
    calling = Message(role="assistant", text="", tool_calls=(call,))
    result = Message(role="tool", text="1", tool_call_id="c")
    assert shape() == [("user", [OPENING])]
    assert shape(blank, user) == [("user", ["u"])]
    assert shape(assistant, user) == [("user", [OPENING]), ("model", ["a"]), ("user", ["u"])]
    assert shape(user, user, blank, user) == [("user", ["u", "u", "u"])]
    assert shape(user, assistant) == [("user", ["u"]), ("model", ["a"]), ("user", [GO_ON])]
    assert shape(user, calling, result, user)[2:] == [("user", ["functionResponse"]), ("user", ["u"])]


def test_a_result_of_no_call_is_an_adapter_error_and_nothing_is_sent() -> None:
    turn = and_then(TEXT.turn(), Message(role="tool", text="1", tool_call_id="lost"))
    with LoopbackServer(Reply(text="ok")) as server:
        answer = asked({"base_url": server.root_url}, turn)
    assert isinstance(answer.error, AdapterError)
    assert "`lost`, which is not in the thread" in str(answer.error)
    assert server.received == ()


def test_a_signature_is_carried_and_goes_back_with_its_part() -> None:
    turn = CALL.turn()
    reply = replace(CALL.reply, text="Let me see.", reasoning="signed ÿ")
    with LoopbackServer(reply, Reply(text="ok"), truth=True) as server:
        config: JsonObject = {"base_url": server.root_url}
        first = asked(config, turn)
        assert first.text == "Let me see."
        result = Message(role="tool", text='{"paid":1}', tool_call_id=first.calls[0].id)
        asked(config, and_then(turn, said(first), result))
        model, user = server.received[1].body["contents"][1:]
    assert server.violations == ()
    assert model == {
        "role": "model",
        "parts": [
            {"text": "Let me see."},
            {
                "functionCall": {"id": "call_0", "name": "lookup_order", "args": {"order_id": "A-1002"}},
                "thoughtSignature": "c2lnbmVkIMO_",
            },
        ],
    }
    assert user["parts"][0]["functionResponse"]["id"] == "call_0"


def test_a_call_that_had_to_be_renamed_is_renamed_in_what_is_carried() -> None:
    turn = CALL.turn()
    reply = replace(CALL.reply, reasoning="signed")
    with LoopbackServer(reply, truth=True) as server:
        config: JsonObject = {"base_url": server.root_url}
        first = asked(config, turn)
        result = Message(role="tool", text="{}", tool_call_id=first.calls[0].id)
        second = asked(config, and_then(turn, said(first), result))
    assert (first.calls[0].id, second.calls[0].id) == ("call_0", "call_1_0")
    (part,) = json.loads(second.ends[0].carried)["content"]["parts"]
    assert part["functionCall"]["id"] == "call_1_0"


def test_text_and_calls_alone_are_not_carried() -> None:
    with LoopbackServer(replace(CALL.reply, text="hm")) as server:
        assert asked({"base_url": server.root_url}, CALL.turn()).ends[0].carried == ""


def test_what_another_adapter_carried_under_the_same_name_is_not_sent() -> None:
    items = '{"content":[{"type":"thinking"}]}'
    other = Message(role="assistant", text="said", carried=items, carried_by="subject")
    user = Message(role="user", text="u")
    assert shape(user, other, user) == [("user", ["u"]), ("model", ["said"]), ("user", ["u"])]


def test_a_carried_part_that_the_package_does_not_know_is_one_clear_error_and_nothing_is_sent() -> None:
    carried = json.dumps({"content": {"role": "model", "parts": [{"hologram": 1}]}})
    turn = and_then(
        TEXT.turn(), Message(role="assistant", text="a", carried=carried), Message(role="user", text="u")
    )
    with LoopbackServer(Reply(text="ok")) as server:
        answer = asked({"base_url": server.root_url}, turn)
    assert isinstance(answer.error, AdapterError)
    assert "the thread cannot be read by google-genai" in str(answer.error)
    assert server.received == ()


def chunks(*responses: JsonObject) -> bytes:
    return b"".join(f"data: {json.dumps(response)}\r\n\r\n".encode() for response in responses)


def response(*parts: JsonObject, finish: str = "", **members: Any) -> JsonObject:
    candidate: JsonObject = {"content": {"role": "model", "parts": [*parts]}, **members}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate]}


def test_an_answer_that_is_to_be_continued_is_paused_and_its_token_stands_for_it() -> None:
    first_piece = chunks(
        response({"text": "Once"}), response(finish="CONTINUATION", continuationToken="dG9rZW4x")
    )
    second_piece = chunks(
        response({"text": " upon"}), response(finish="CONTINUATION", continuationToken="dG9rZW4y")
    )
    with LoopbackServer(
        Reply(raw_body=first_piece), Reply(raw_body=second_piece), Reply(text=" a time"), Reply(text="ok")
    ) as server:
        config: JsonObject = {"base_url": server.root_url}
        turn = TEXT.turn()
        one = asked(config, turn)
        assert (one.text, one.ends[0].stop) == ("Once", "paused")
        two = asked(config, and_then(turn, said(one)))
        three = asked(config, and_then(turn, said(one), said(two)))
        asked(config, and_then(turn, said(one), said(two), said(three), Message(role="user", text="more")))
    asked_once, asked_twice, asked_thrice, later = (item.body for item in server.received)
    assert asked_twice == {**asked_once, "continuationToken": "dG9rZW4x"}
    assert asked_thrice == {**asked_once, "continuationToken": "dG9rZW4y"}
    assert "continuationToken" not in later
    assert later["contents"][1]["parts"] == [{"text": "Once"}, {"text": " upon"}, {"text": " a time"}]


def test_built_ins_are_offered_and_their_use_is_reported_and_carried() -> None:
    turn = replace(CALL.turn(), builtins=(CODE, replace(SEARCH, config={"x-note": 1})))
    source: JsonObject = {"url": "https://example.org/a", "title": "A"}
    reply = Reply(
        text="Found.",
        used=(
            SaidUse(name="web_search", detail={"queries": ["kettles"], "sources": [source]}),
            SaidUse(name="code_interpreter", detail={"code": "print(2)", "logs": "2\n"}),
            SaidUse(name="code_interpreter", detail={"code": "1/0", "status": "failed", "logs": "no"}),
        ),
    )
    with LoopbackServer(reply, truth=True) as server:
        config: JsonObject = {"base_url": server.root_url}
        answer = asked(config, turn)
        asked(config, and_then(turn, said(answer), Message(role="user", text="more")))
    assert server.violations == ()
    body = server.received[0].body
    assert body["tools"][1:] == [{"codeExecution": {}}, {"googleSearch": {}}]
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert answer.ends[0].used == (
        BuiltinUse(
            name="code_interpreter", detail={"status": "completed", "code": "print(2)", "logs": "2\n"}
        ),
        BuiltinUse(
            name="code_interpreter",
            detail={"status": "failed", "code": "1/0", "error": "OUTCOME_FAILED", "logs": "no"},
        ),
        BuiltinUse(
            name="web_search", detail={"status": "completed", "queries": ["kettles"], "sources": [source]}
        ),
    )
    assert server.received[1].body["contents"][1]["parts"] == [
        {"executableCode": {"language": "PYTHON", "code": "print(2)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2\n"}},
        {"executableCode": {"language": "PYTHON", "code": "1/0"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
        {"text": "Found."},
    ]


def test_a_search_that_the_answer_shows_as_its_own_part_is_reported_once() -> None:
    call: JsonObject = {"id": "s", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["kettles"]}}
    end = fed(
        TEXT.turn(),
        response({"toolCall": call, "thoughtSignature": "AAAA"}),
        response({"toolResponse": {"id": "s", "toolType": "GOOGLE_SEARCH_WEB", "response": {"x": "y"}}}),
        response({"text": "ok"}, finish="STOP", groundingMetadata={"webSearchQueries": ["kettles", "pots"]}),
    )[-1]
    detail: JsonObject = {"status": "completed", "queries": ["kettles", "pots"], "sources": []}
    assert end.used == (BuiltinUse(name="web_search", detail=detail),)
    assert [next(iter(part)) for part in json.loads(end.carried)["content"]["parts"]] == [
        "toolCall",
        "toolResponse",
        "text",
    ]


def test_numbers_beyond_our_own_range_go_back_as_they_came() -> None:
    part: JsonObject = {"toolResponse": {"id": "s", "response": {"at": 2**60}}}
    end = fed(TEXT.turn(), response(part, finish="STOP"))[-1]
    thread = and_then(
        TEXT.turn(), Message(role="assistant", text="", carried=end.carried), Message(role="user", text="u")
    )
    assert wire_contents(thread, backend="b", mark_unsigned=True)[1]["parts"] == [part]


@pytest.mark.parametrize(
    ("builtin", "message"),
    [
        (
            replace(CODE, files=(BuiltinFile(path="data/a.csv", sha256="0" * 64, classification="public"),)),
            "built-in `code_interpreter` cannot be given `data/a.csv`",
        ),
        (replace(CODE, config={"memory": "4g"}), "`memory`: cannot be set at this vendor"),
        (replace(SEARCH, config={"allowed_domains": ["a"]}), "`allowed_domains`: cannot be set"),
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


def test_parameters_go_out_as_the_older_schema_where_the_config_says_so() -> None:
    turn = replace(
        CALL.turn(),
        tools=(*CALL.tools, ToolOffer(name="now", description="The time.", parameters={"type": "object"})),
    )
    with LoopbackServer(CALL.reply, truth=True) as server:
        answer = asked({"base_url": server.root_url, "tool_schema": "openapi"}, turn)
    assert server.violations == ()
    assert server.received[0].body["tools"][0]["functionDeclarations"] == [
        {
            "name": "lookup_order",
            "description": CALL.tools[0].description,
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "order_id": {"type": "STRING", "description": "order id, such as A-1001"},
                },
                "required": ["order_id"],
            },
        },
        {"name": "now", "description": "The time."},
    ]
    assert answer.calls[0].arguments == {"order_id": "A-1002"}


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": ["string", "null"], "maxLength": 5}, {"type": "STRING", "nullable": True, "maxLength": 5}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
        ({"type": "null"}, {"type": "NULL"}),
        ({"enum": ["a", "b", None]}, {"type": "STRING", "nullable": True, "enum": ["a", "b"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER"}),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"]}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "INTEGER", "nullable": True}),
        (
            {"oneOf": [{"type": "integer"}, {"type": "boolean"}]},
            {"anyOf": [{"type": "INTEGER"}, {"type": "BOOLEAN"}]},
        ),
        ({"type": "array", "items": {"type": "number"}}, {"type": "ARRAY", "items": {"type": "NUMBER"}}),
        (
            {"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}]},
            {"type": "ARRAY", "items": {"anyOf": [{"type": "NUMBER"}, {"type": "STRING"}]}},
        ),
        (
            {
                "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}},
                "$ref": "#/$defs/n",
                "description": "a list",
            },
            {"type": "OBJECT", "properties": {"next": {"type": "OBJECT"}}, "description": "a list"},
        ),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "required": ["a", "gone"],
                "allOf": [{"properties": {"b": {"type": "boolean"}}, "required": ["b"]}],
            },
            {
                "type": "OBJECT",
                "properties": {"b": {"type": "BOOLEAN"}, "a": {"type": "STRING"}},
                "required": ["a", "b"],
            },
        ),
        ({}, {"type": "STRING"}),
        ({"$ref": "https://elsewhere/x"}, {"type": "STRING"}),
    ],
)
def test_json_schema_becomes_a_schema_of_the_vendor(schema: JsonObject, made: JsonObject) -> None:
    assert openapi_schema(schema) == made
    types.Schema.model_validate(made)


def test_nothing_of_the_environment_gets_into_a_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with LoopbackServer(Reply(text="not here")) as elsewhere, LoopbackServer(Reply(text="ok")) as server:
        for name, value in {
            "GOOGLE_API_KEY": "ambient",
            "GEMINI_API_KEY": "ambient",
            "GOOGLE_GEMINI_BASE_URL": elsewhere.root_url,
            "GOOGLE_VERTEX_BASE_URL": elsewhere.root_url,
            "GOOGLE_GENAI_USE_VERTEXAI": "true",
            "GOOGLE_GENAI_USE_ENTERPRISE": "true",
            "GOOGLE_GENAI_API_VERSION": "ambient",
            "GOOGLE_CLOUD_PROJECT": "ambient",
            "GOOGLE_CLOUD_LOCATION": "ambient",
            "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "ambient.json"),
            "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true",
            "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
            "GOOGLE_GENAI_CLIENT_MODE": "record",
            "GOOGLE_GENAI_REPLAYS_DIRECTORY": str(tmp_path),
            "GOOGLE_GENAI_REPLAY_ID": "ambient",
        }.items():
            monkeypatch.setenv(name, value)
        with_key = asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, TEXT.turn())
        without = asked({"base_url": server.root_url}, TEXT.turn())
        assert elsewhere.received == ()
    assert (with_key.text, without.text) == ("ok", "ok")
    assert [item.headers["x-goog-api-key"] for item in server.received] == [KEY, "none"]
    assert {item.path for item in server.received} == {"/v1beta/models/m-1:streamGenerateContent"}
    assert "ambient" not in repr(server.received)
    assert list(tmp_path.iterdir()) == []


def test_content_does_not_follow_a_redirect() -> None:
    with (
        LoopbackServer(Reply(text="ok")) as elsewhere,
        LoopbackServer(Reply(status=307, location=elsewhere.root_url + "/v1beta", text="moved")) as server,
    ):
        answer = asked({"base_url": server.root_url}, TEXT.turn())
        assert elsewhere.received == ()
    assert isinstance(answer.error, AdapterError)
    assert "redirects are not followed" in str(answer.error)


@pytest.mark.parametrize(
    ("status", "retryable", "way"),
    [
        (401, False, "check the key in `TEST_KEY`"),
        (404, False, "`base_url` does not hold the API version, which is `api_version`"),
        (400, False, "answered 400: bad key ***"),
        (429, True, "wait"),
        (503, True, "try again later"),
    ],
)
def test_a_refusing_server_is_one_clear_error_without_the_key(status: int, retryable: bool, way: str) -> None:
    with LoopbackServer(Reply(status=status, text=f"bad key {KEY}")) as server:
        answer = asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert answer.error.retryable is retryable
    assert way in str(answer.error)
    assert KEY not in str(answer.error)


def test_a_server_that_fails_once_is_asked_again_however_short_its_silence_may_be() -> None:
    with LoopbackServer(Reply(status=503, text="busy"), Reply(text="ok")) as server:
        answer = asked({"base_url": server.root_url, "max_retries": 1, "timeout_s": 0.5}, TEXT.turn())
    assert (answer.text, len(server.received)) == ("ok", 2)


def test_no_server_at_all_is_worth_another_try() -> None:
    with LoopbackServer(Reply()) as server:
        url = server.root_url
    answer = asked({"base_url": url}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert (answer.error.retryable, "cannot be reached" in str(answer.error)) == (True, True)


BEGUN = chunks(response({"text": "Once"}))


@pytest.mark.parametrize(
    ("begun", "sign"), [(None, b""), (b"", b""), (b"", b"\n"), (BEGUN, b""), (BEGUN, b"\n")]
)
def test_a_silent_server_runs_into_the_timeout_also_within_a_stream(begun: bytes | None, sign: bytes) -> None:
    with OpenEnded(begun, sign=sign) as server:
        answer = asked({"base_url": server.root_url, "timeout_s": 0.3}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert (answer.error.retryable, "raise `timeout_s`" in str(answer.error)) == (True, True)
    assert answer.ends == []


def test_closing_the_iterator_closes_the_connection() -> None:
    with OpenEnded(BEGUN) as server:

        async def leave() -> bool:
            config: JsonObject = {"base_url": server.root_url}
            backend = open_backend(entry(config), context=backend_context(environment={}))
            stage = Stage(backend=backend, name="subject", sent=lambda: 0)
            answer = await infer(stage, permit_for(stage, TEXT.turn()), TEXT.turn(), limit=1)
            assert answer.events == [TextDelta(text="Once")]
            # Before the loop goes on and collects what the package left behind.
            left = server.left.wait(5)
            await backend.dispose()
            return left

        assert asyncio.run(leave())


def test_an_error_within_a_stream_is_told_as_its_status_without_the_key() -> None:
    error: JsonObject = {"error": {"code": 503, "message": f"too many of {KEY}", "status": "UNAVAILABLE"}}
    with LoopbackServer(Reply(raw_body=BEGUN + chunks(error))) as server:
        answer = asked({"base_url": server.root_url, "api_key_env": "TEST_KEY"}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert "answered 503: too many of ***; try again later" in str(answer.error)
    assert (answer.error.retryable, answer.ends) == (True, [])


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"data: {nonsense\n\n",
        b"data: []\n\n",
        b'data: "text"\n\n',
        b'data: {"candidates":7}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"args":[]}}]}}]}\n\n',
        b'data: {"error":"no"}\n\n',
        b'data: {"error":{"code":"x"}}\n\n',
        b"data: \xff\xfe\n\n",
        chunks(response({"text": "\ud800"}, finish="STOP")),
        BEGUN,
    ],
)
def test_a_stream_that_is_none_or_lacks_its_end_is_an_adapter_error_and_no_answer(body: bytes) -> None:
    with LoopbackServer(Reply(raw_body=body)) as server:
        answer = asked({"base_url": server.root_url}, TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert answer.ends == []


@pytest.mark.filterwarnings("ignore:BECAUSE is not a valid FinishReason:UserWarning")
@pytest.mark.parametrize(
    ("reason", "stop", "calls"),
    [
        ("STOP", "tool_calls", 1),
        ("MAX_TOKENS", "length", 1),
        ("CONTINUATION", "length", 1),
        ("SAFETY", "refused", 0),
        ("RECITATION", "refused", 0),
        ("SPII", "refused", 0),
        ("MALFORMED_FUNCTION_CALL", "refused", 0),
        ("UNEXPECTED_TOOL_CALL", "refused", 0),
        ("BECAUSE", "refused", 0),
    ],
)
def test_finish_reasons_are_told_in_our_words_and_unknown_ones_propose_nothing(
    reason: str, stop: str, calls: int
) -> None:
    with LoopbackServer(replace(CALL.reply, finish=reason)) as server:
        answer = asked({"base_url": server.root_url}, CALL.turn())
    assert answer.error is None
    assert (answer.ends[0].stop, len(answer.calls)) == (stop, calls)
    assert answer.ends[0].detail["finish_reason"] == reason


def test_a_call_that_the_service_could_not_read_is_a_refusal() -> None:
    reply = Reply(calls=(SaidCall(name="lookup_order", raw='{"order_id":'),), finish="tool_calls")
    with LoopbackServer(reply) as server:
        answer = asked({"base_url": server.root_url}, CALL.turn())
    assert (answer.calls, answer.ends[0].stop) == ([], "refused")
    assert answer.ends[0].detail["finish_reason"] == "MALFORMED_FUNCTION_CALL"


def test_a_blocked_prompt_is_a_refusal() -> None:
    body = chunks({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}})
    with LoopbackServer(Reply(raw_body=body)) as server:
        end = asked({"base_url": server.root_url}, TEXT.turn()).ends[0]
    assert (end.stop, end.detail["finish_reason"]) == ("refused", "blocked: SAFETY")
    assert end.usage.input_tokens == 3


def test_an_answer_says_where_it_came_from() -> None:
    with LoopbackServer(Reply(text="ok")) as server:
        end = asked({"base_url": server.root_url}, TEXT.turn()).ends[0]
    assert end.model == "loopback"
    assert end.detail["response_id"] == "response-1"
    assert end.detail["sdk"].startswith("google-genai 3.")
    assert (end.detail["base_url"], end.detail["api_version"]) == (server.root_url, "v1beta")


def test_cost_is_rounded_up_from_the_declared_prices() -> None:
    with LoopbackServer(Reply(text="ok", input_tokens=3, output_tokens=5)) as server:
        prices: JsonObject = {"input_microusd_per_mtok": 250_000, "output_microusd_per_mtok": 2_000_000}
        answer = asked({"base_url": server.root_url, **prices}, TEXT.turn())
    assert answer.ends[0].usage.cost_microusd == 11


@pytest.mark.parametrize(
    ("args", "arguments"),
    [
        ('{"a":5.0,"b":1.5,"c":null}', {"a": 5, "b": 1.5, "c": None}),
        ('{"a":NaN}', None),
        ('{"a":12345678901234567890}', None),
        ('{"a":"\\ud800"}', "an adapter error"),
        ("{}", {}),
    ],
)
def test_arguments_are_those_of_the_canonical_form_or_none(args: str, arguments: object) -> None:
    body = (
        'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"lookup_order","args":'
        + args
        + '},"thoughtSignature":"AAAA"}]},"finishReason":"STOP"}]}\n\n'
    )
    with LoopbackServer(Reply(raw_body=body.encode()), Reply(text="ok")) as server:
        config: JsonObject = {"base_url": server.root_url}
        answer = asked(config, CALL.turn())
        if arguments == "an adapter error":
            assert isinstance(answer.error, AdapterError)
            return
        assert [call.arguments for call in answer.calls] == [arguments]
        assert answer.calls[0].raw
        result = Message(role="tool", text="{}", tool_call_id=answer.calls[0].id)
        asked(config, and_then(CALL.turn(), said(answer), result))
        (part,) = server.received[1].body["contents"][1]["parts"]
    assert part["thoughtSignature"] == "AAAA"
    sent = part["functionCall"]["args"]
    assert sent == (arguments if arguments is not None else {"malformed_arguments": answer.calls[0].raw})


def fed(turn: Turn, *responses: JsonObject) -> list[Any]:
    """Feed a stream and end it."""
    stream = GeminiStream(turn, endpoint=ENDPOINT)
    deltas = [delta for item in responses for delta in stream.feed(item)]
    return [*deltas, *stream.end(cost_microusd=0, detail={})]


def test_thoughts_are_carried_and_are_no_text_of_the_answer() -> None:
    end = fed(
        TEXT.turn(),
        response({"text": "hm", "thought": True}),
        response({"text": "Hel", "thought": False}),
        response({"text": "lo"}),
        response({"text": "", "thoughtSignature": "AAAA"}, finish="STOP"),
    )
    assert [delta.text for delta in end[:-1]] == ["Hel", "lo"]
    assert json.loads(end[-1].carried)["content"]["parts"] == [
        {"text": "hm", "thought": True},
        {"text": "Hello"},
        {"text": "", "thoughtSignature": "AAAA"},
    ]


def test_tokens_of_thoughts_and_of_the_vendors_tools_count() -> None:
    usage: JsonObject = {
        "promptTokenCount": 3,
        "toolUsePromptTokenCount": 4,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 6,
    }
    end = fed(TEXT.turn(), {**response({"text": "ok"}, finish="STOP"), "usageMetadata": usage})[-1]
    assert (end.usage.input_tokens, end.usage.output_tokens) == (7, 11)


def test_a_giant_answer_is_an_adapter_error() -> None:
    stream = GeminiStream(TEXT.turn(), endpoint=ENDPOINT)
    with pytest.raises(AdapterError, match="more than"):
        list(stream.feed(response({"text": "x" * MAX_CHARACTERS})))


NAMES = (
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "name",
    "args",
    "id",
    "executableCode",
    "code",
    "codeExecutionResult",
    "outcome",
    "toolCall",
    "toolType",
    "finishReason",
    "finishMessage",
    "continuationToken",
    "groundingMetadata",
    "groundingChunks",
    "web",
    "uri",
    "webSearchQueries",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "index",
    "error",
    "modelVersion",
)
LEAVES = (
    st.sampled_from(("STOP", "MAX_TOKENS", "CONTINUATION", "GOOGLE_SEARCH_WEB", "\ud800", "", "x"))
    | st.integers(-2, 3)
    | st.integers(min_value=2**60)
    | st.none()
    | st.booleans()
    | st.floats()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)
CALLS = st.builds(lambda call: {"functionCall": call}, OBJECTS)
RESPONSES = st.one_of(
    OBJECTS,
    st.builds(
        lambda parts, finish, more: {
            "candidates": [{"content": {"parts": parts}, "finishReason": finish, **more}]
        },
        st.lists(OBJECTS | CALLS, max_size=3),
        st.sampled_from(("STOP", "MAX_TOKENS", "CONTINUATION")) | LEAVES,
        OBJECTS,
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(RESPONSES, max_size=6))
def test_whatever_a_server_sends_only_adapter_errors_escape(responses: list[JsonObject]) -> None:
    try:
        ended = fed(CALL.turn(), *responses)
    except AdapterError:
        return
    assert ended[-1].stop in ("end", "tool_calls", "length", "paused", "refused")
    json.dumps([use.detail for use in ended[-1].used], allow_nan=False)
    answer = Message(
        role="assistant",
        text="".join(event.text for event in ended if isinstance(event, TextDelta)),
        tool_calls=tuple(event.call for event in ended if isinstance(event, CallProposed)),
        carried=ended[-1].carried,
        carried_by="b",
    )
    again = and_then(CALL.turn(), answer, Message(role="user", text="u"))
    again.digest()
    proposed = [
        part["functionCall"]["id"]
        for content in wire_contents(again, backend="b", mark_unsigned=True)
        for part in content["parts"]
        if "functionCall" in part
    ]
    assert proposed == [call.id for call in answer.tool_calls]


@given(st.text(max_size=60), st.integers(1, 7))
def test_text_survives_any_cutting_into_responses(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    out = fed(TEXT.turn(), *(response({"text": piece}) for piece in pieces), response(finish="STOP"))
    assert "".join(delta.text for delta in out[:-1]) == text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "`base_url`: is required"),
        ({"base_url": "http://user:pw@x"}, "secrets belong to `api_key_env`"),
        ({"base_url": "http://x", "api_key_env": "NOT_SET"}, "`NOT_SET` is not set"),
        ({"base_url": "http://x", "api_version": "v1/../x"}, "is not a version such as `v1beta`"),
        ({"base_url": "http://x", "tool_schema": "xml"}, "`xml` is not one of `json`, `openapi`"),
        ({"base_url": "http://x", "omit": ["contents"]}, "`contents` is not one of"),
        ({"base_url": "http://x", "project": "p"}, "`project`: is not known here"),
    ],
)
def test_a_config_that_is_not_acceptable_names_the_member(config: JsonObject, message: str) -> None:
    with pytest.raises(AdapterError) as failure:
        open_backend(entry(config), context=backend_context(environment={}))
    assert message in str(failure.value)


def test_importing_the_module_imports_no_sdk() -> None:
    program = "import sys, remit_adapters.google_genai; sys.exit('google.genai' in sys.modules or 'httpx2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
