from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remit.document.model import BackendEntry, Builtin, BuiltinFile
from remit.errors import AdapterError
from remit.host.backends import backend_context, open_backend
from remit.messages import Message, ToolCall, TurnEnd
from remit.testing.assistants_server import AssistantsServer
from remit.testing.backend_contract import CALL, TEXT, Answer, Stage, infer, permit_for
from remit.testing.loopback import LoopbackServer, Reply, SaidCall, SaidUse
from remit.testing.object_register import KeptRegister
from remit_adapters.responses_wire import ResponsesStream

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.messages import Turn

KEY = {"TEST_KEY": "sk-very-secret"}


def asked(config: JsonObject, turn: Turn, *, folder: Path | None = None, register: Any = None) -> Answer:
    async def ask() -> Answer:
        entry = BackendEntry(
            name="b",
            adapter="openai-responses",
            provider="p",
            region="EU",
            model="m-1",
            config={"max_retries": 0, **config},
        )
        context = backend_context(environment=KEY, folder=folder, register=register)
        backend = open_backend(entry, context=context)
        try:
            stage = Stage(backend=backend, name="b", sent=lambda: 0)
            return await infer(stage, permit_for(stage, turn), turn)
        finally:
            await backend.dispose()

    return asyncio.run(ask())


def with_builtins(*builtins: Builtin) -> Turn:
    return replace(TEXT.turn(), builtins=builtins)


def builtin(name: str, *files: BuiltinFile, **config: Any) -> Builtin:
    return Builtin(name=name, required=False, files=files, config=config)


def test_the_whole_thread_goes_out_unstored_with_calls_and_results_and_no_tool_choice() -> None:
    call = ToolCall(id="c1", name="lookup_order", arguments={"order_id": "A-1"}, raw='{"order_id":"A-1"}')
    bad = ToolCall(id="c2", name="lookup_order", arguments=None, raw='{"order_id":')
    turn = replace(
        CALL.turn(),
        messages=(
            Message(role="user", text="hi"),
            Message(role="assistant", text="looking", tool_calls=(call, bad)),
            Message(role="tool", text='{"paid":40}', tool_call_id="c1"),
            Message(role="tool", text='{"error":"no"}', tool_call_id="c2"),
        ),
    )
    with LoopbackServer(Reply(text="ok"), truth=True) as server:
        asked({"base_url": server.base_url, "api_key_env": "TEST_KEY"}, turn)
        received = server.received[0]
        assert server.violations == ()
    assert received.headers["authorization"] == "Bearer sk-very-secret"
    assert received.body == {
        "model": "m-1",
        "instructions": turn.instructions,
        "input": [
            {"type": "message", "role": "user", "content": "hi"},
            {"type": "message", "role": "assistant", "content": "looking"},
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "lookup_order",
                "arguments": '{"order_id":"A-1"}',
            },
            {
                "type": "function_call",
                "call_id": "c2",
                "name": "lookup_order",
                "arguments": '{"malformed_arguments":"{\\"order_id\\":"}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": '{"paid":40}'},
            {"type": "function_call_output", "call_id": "c2", "output": '{"error":"no"}'},
        ],
        "tools": [
            {
                "type": "function",
                "name": "lookup_order",
                "description": turn.tools[0].description,
                "parameters": turn.tools[0].parameters,
                "strict": False,
            }
        ],
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 64,
        "temperature": 0.0,
    }


def test_reasoning_is_carried_whole_and_in_order_and_goes_back_as_it_came() -> None:
    said = Reply(
        reasoning="sealed",
        text="let me look",
        calls=(SaidCall(name="lookup_order", raw='{"order_id":"A-1"}'),),
        finish="tool_calls",
    )
    with LoopbackServer(said, Reply(text="ok"), truth=True) as server:
        config: JsonObject = {"base_url": server.base_url}
        turn = CALL.turn()
        first = asked(config, turn)
        call, end = first.calls[0], first.ends[0]
        answer = Message(
            role="assistant", text=first.text, tool_calls=(call,), carried=end.carried, carried_by="b"
        )
        result = Message(role="tool", text="{}", tool_call_id=call.id)
        asked(config, replace(turn, messages=(*turn.messages, answer, result)))
        sent: Any = server.received[1].body["input"]
        assert server.violations == ()
    assert [item["type"] for item in sent] == [
        "message",
        "reasoning",
        "message",
        "function_call",
        "function_call_output",
    ]
    assert sent[1:4] == json.loads(end.carried)
    assert sent[1]["encrypted_content"] == "sealed"
    assert sent[3]["call_id"] == sent[4]["call_id"] == call.id


def test_an_answer_of_text_and_calls_alone_carries_nothing() -> None:
    with LoopbackServer(CALL.reply) as server:
        assert asked({"base_url": server.base_url}, CALL.turn()).ends[0].carried == ""


def test_a_carried_call_has_the_id_that_our_thread_knows() -> None:
    taken = ToolCall(id="call_0", name="lookup_order", arguments={}, raw="{}")
    turn = replace(
        CALL.turn(),
        messages=(
            Message(role="user", text="hi"),
            Message(role="assistant", text="", tool_calls=(taken,)),
            Message(role="tool", text="{}", tool_call_id="call_0"),
        ),
    )
    stream = ResponsesStream(turn, backend="b")
    item: JsonObject = {"type": "function_call", "call_id": "call_0", "name": "x", "arguments": "{}"}
    list(stream.feed({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning"}}))
    list(stream.feed({"type": "response.output_item.done", "output_index": 1, "item": item}))
    list(stream.feed({"type": "response.completed", "response": {"status": "completed"}}))
    events = list(stream.end(cost_microusd=0, detail={}))
    end = events[-1]
    assert isinstance(end, TurnEnd)
    assert json.loads(end.carried)[1]["call_id"] == "call_1_0"


def test_allowed_builtins_are_offered_and_their_use_is_reported() -> None:
    said = Reply(
        text="found",
        used=(
            SaidUse(name="web_search", detail={"queries": ["kettle"]}),
            SaidUse(name="code_interpreter", detail={"code": "6*7", "logs": "42"}),
        ),
    )
    turn = with_builtins(
        builtin("web_search", allowed_domains=["example.com"], search_context_size="low"),
        builtin("code_interpreter"),
    )
    with LoopbackServer(said, truth=True) as server:
        answer = asked({"base_url": server.base_url}, turn)
        body = server.received[0].body
        assert server.violations == ()
    assert body["tools"] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["example.com"]},
            "search_context_size": "low",
        },
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    used = answer.ends[0].used
    assert [use.name for use in used] == ["web_search", "code_interpreter"]
    assert "kettle" in str(used[0].detail)
    assert (used[1].detail["code"], "42" in str(used[1].detail)) == ("6*7", True)
    assert answer.ends[0].carried


def test_files_are_uploaded_indexed_and_deleted_again(tmp_path: Path) -> None:
    (tmp_path / "policy.md").write_bytes(b"no refunds on Sundays")
    digest = hashlib.sha256(b"no refunds on Sundays").hexdigest()
    file = BuiltinFile(path="policy.md", sha256=digest, classification="internal")
    register = KeptRegister()
    # The Assistants server keeps files and vector stores; it has no Responses, so the answer is an error.
    with AssistantsServer(Reply(text="x"), truth=False) as server:
        answer = asked(
            {"base_url": server.base_url},
            with_builtins(builtin("file_search", file)),
            folder=tmp_path,
            register=register,
        )
        made = [item.path for item in server.received if item.method == "POST"]
        assert {kind: ids for kind, ids in server.objects.items() if ids} == {}
    assert isinstance(answer.error, AdapterError)
    assert made[:2] == ["/v1/files", "/v1/vector_stores"]
    assert [(step, thing.kind) for step, thing in register.notes] == [
        ("planned", "file"),
        ("made", "file"),
        ("planned", "vector_store"),
        ("made", "vector_store"),
        ("gone", "vector_store"),
        ("gone", "file"),
    ]
    assert register.left == ()


@pytest.mark.parametrize(
    ("content", "path", "message"),
    [
        (b"changed", "policy.md", "is not what the document names"),
        (None, "absent.md", "cannot be read"),
    ],
)
def test_a_file_that_is_not_what_the_document_names_is_never_uploaded(
    content: bytes | None, path: str, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / path).write_bytes(content)
    file = BuiltinFile(path=path, sha256="0" * 64, classification="internal")
    register = KeptRegister()
    with AssistantsServer(Reply(text="x")) as server:
        answer = asked(
            {"base_url": server.base_url},
            with_builtins(builtin("code_interpreter", file)),
            folder=tmp_path,
            register=register,
        )
        assert server.received == ()
    assert isinstance(answer.error, AdapterError)
    assert message in str(answer.error)
    assert register.notes == []


def test_nothing_is_made_at_the_vendors_without_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"a")
    file = BuiltinFile(path="a.md", sha256=hashlib.sha256(b"a").hexdigest(), classification="internal")
    with AssistantsServer(Reply(text="x")) as server:
        answer = asked(
            {"base_url": server.base_url}, with_builtins(builtin("code_interpreter", file)), folder=tmp_path
        )
        assert server.received == ()
    assert "without a ledger" in str(answer.error)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (builtin("web_search", domains=["x"]), "`domains`: is not known here"),
        (builtin("file_search"), "`vector_store_ids`: is required"),
        (builtin("file_search", vector_store_ids=[]), "must be distinct, non-empty strings"),
    ],
)
def test_a_builtin_that_is_not_acceptable_names_the_member(made: Builtin, message: str) -> None:
    with LoopbackServer(Reply(text="x")) as server:
        answer = asked({"base_url": server.base_url}, with_builtins(made))
        assert server.received == ()
    assert isinstance(answer.error, AdapterError)
    assert message in str(answer.error)


def test_azure_style_endpoints_get_the_key_and_the_version_where_they_look_for_them() -> None:
    with LoopbackServer(Reply(text="ok")) as server:
        answer = asked(
            {
                "base_url": f"{server.root_url}/openai",
                "api_version": "2025-04-01-preview",
                "api_key_env": "TEST_KEY",
            },
            TEXT.turn(),
        )
        received = server.received[0]
    assert answer.text == "ok"
    assert (received.path, received.query) == ("/openai/responses", {"api-version": "2025-04-01-preview"})
    assert received.headers["api-key"] == "sk-very-secret"


def test_members_that_a_server_refuses_can_be_left_out() -> None:
    with LoopbackServer(Reply(text="ok")) as server:
        config: JsonObject = {"omit": ["temperature", "include"], "reasoning_effort": "low"}
        asked({"base_url": server.base_url, **config}, TEXT.turn())
        body = server.received[0].body
    assert not {"temperature", "include"} & set(body)
    assert body["reasoning"] == {"effort": "low"}


def test_a_failed_response_is_an_adapter_error_that_says_whether_to_try_again() -> None:
    for code, retryable in (("server_error", True), ("invalid_prompt", False)):
        stream = ResponsesStream(TEXT.turn(), backend="b")
        event: JsonObject = {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": code, "message": "no\nluck"}},
        }
        with pytest.raises(AdapterError, match="no luck") as failure:
            list(stream.feed(event))
        assert failure.value.retryable is retryable


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_TYPES = st.sampled_from(
    [
        "response.output_text.delta",
        "response.output_item.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
        "response.created",
    ]
)


# Building nested values is slow on a machine that is busy with other tests; that says nothing about the wire.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": _TYPES},
            optional={
                "delta": _JSON,
                "item": _JSON,
                "output_index": _JSON,
                "response": _JSON,
                "error": _JSON,
            },
        ),
        max_size=5,
    )
)
def test_whatever_a_server_streams_is_an_answer_or_an_adapter_error(events: list[JsonObject]) -> None:
    stream = ResponsesStream(CALL.turn(), backend="b")
    try:
        for event in events:
            list(stream.feed(event))
        ended = list(stream.end(cost_microusd=0, detail={}))
    except AdapterError:
        return
    assert isinstance(ended[-1], TurnEnd)


def test_a_turn_is_offered_its_own_files_and_never_those_of_an_earlier_one(tmp_path: Path) -> None:
    files: list[BuiltinFile] = []
    for name in ("health.csv", "rates.csv"):
        (tmp_path / name).write_bytes(name.encode())
        digest = hashlib.sha256(name.encode()).hexdigest()
        files.append(BuiltinFile(path=name, sha256=digest, classification=name))
    register = KeptRegister()

    async def ask(server: AssistantsServer) -> list[tuple[str, ...]]:
        entry = BackendEntry(
            name="b",
            adapter="openai-responses",
            provider="p",
            region="EU",
            model="m",
            config={"max_retries": 0, "base_url": server.base_url},
        )
        backend = open_backend(entry, context=backend_context(folder=tmp_path, register=register))
        stage = Stage(backend=backend, name="b", sent=lambda: 0)
        there: list[tuple[str, ...]] = []
        for file in (files[0], files[1], files[1]):
            turn = with_builtins(builtin("code_interpreter", file))
            await infer(stage, permit_for(stage, turn), turn)
            there.append(server.objects["files"])
        await backend.dispose()
        return there

    with AssistantsServer(Reply(text="x")) as server:
        first, second, third = asyncio.run(ask(server))
        assert server.objects["files"] == ()
    assert len(first) == len(second) == 1
    assert first != second == third
    assert register.left == ()
