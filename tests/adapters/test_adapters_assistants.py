from __future__ import annotations

import asyncio
import copy
import hashlib
import os
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remit.document.model import BackendEntry, Builtin, BuiltinFile
from remit.errors import AdapterError, LedgerError
from remit.host.backends import backend_context, open_backend
from remit.host.models import catalogue, models_folder
from remit.messages import Message, TurnEnd
from remit.ports import VendorObject
from remit.testing.assistants_server import AssistantsServer
from remit.testing.backend_contract import CALL, SLOW, TEXT, Answer, Stage, infer, permit_for
from remit.testing.loopback import Reply, SaidUse
from remit.testing.object_register import KeptRegister
from remit_adapters.assistants_wire import RunAnswer, thread_messages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.messages import Turn, TurnEvent

KEY = {"TEST_KEY": "sk-very-secret"}
WEIGHTS = models_folder(os.environ) / f"{catalogue()[0].sha256}.gguf"
CALLS = CALL.reply


@dataclass(slots=True, kw_only=True)
class Scene:
    """An adapter before a server; asked in one event loop, as a run does."""

    server: AssistantsServer
    register: KeptRegister
    backend: Any
    loop: asyncio.AbstractEventLoop

    def ask(self, turn: Turn) -> Answer:
        stage = Stage(backend=self.backend, name="b", sent=lambda: 0)
        return self.loop.run_until_complete(infer(stage, permit_for(stage, turn), turn))

    def dispose(self) -> None:
        self.loop.run_until_complete(self.backend.dispose())

    def operations(self) -> list[str]:
        return [
            f"{item.method} {item.path.removeprefix('/v1').removeprefix('/openai')}"
            for item in self.server.received
        ]

    def there(self) -> dict[str, tuple[str, ...]]:
        return {kind: ids for kind, ids in self.server.objects.items() if ids}


@contextmanager
def scene(
    *replies: Reply, folder: Path | None = None, azure: bool = False, truth: bool = True, **config: Any
) -> Iterator[Scene]:
    loop = asyncio.new_event_loop()
    register = KeptRegister()
    with AssistantsServer(*replies, truth=truth) as server:
        base = (
            {"base_url": server.azure_url, "api_version": "2025-04-01-preview"}
            if azure
            else {"base_url": server.base_url}
        )
        entry = BackendEntry(
            name="b",
            adapter="openai-assistants",
            provider="p",
            region="EU",
            model="m-1",
            config={"max_retries": 0, "api_key_env": "TEST_KEY", "poll_interval_s": 0.01, **base, **config},
        )
        context = backend_context(environment=KEY, folder=folder, register=register)
        made = Scene(
            server=server, register=register, backend=open_backend(entry, context=context), loop=loop
        )
        try:
            yield made
        finally:
            made.dispose()
            loop.close()
        assert made.there() == {}
        assert register.left == ()
        assert server.violations == ()


def answered(turn: Turn, answer: Answer, *results: str) -> Turn:
    """The turn that goes on with the results of the answer's calls."""
    said = Message(role="assistant", text=answer.text, tool_calls=tuple(answer.calls))
    outputs = (
        Message(role="tool", text=result, tool_call_id=call.id)
        for call, result in zip(answer.calls, results, strict=True)
    )
    return replace(turn, messages=(*turn.messages, said, *outputs))


@pytest.mark.parametrize("mode", ["stream", "poll"])
def test_a_turn_that_goes_on_submits_exactly_the_outputs_of_exactly_the_calls(mode: str) -> None:
    with scene(CALLS, Reply(text="It is lost."), mode=mode) as stage:
        turn = CALL.turn()
        first = stage.ask(turn)
        assert (first.error, first.ends[0].stop) == (None, "tool_calls")
        second = stage.ask(answered(turn, first, '{"status":"lost"}'))
        assert (second.error, second.text, second.ends[0].stop) == (None, "It is lost.", "end")
        bodies = {item.path.rpartition("/")[2]: cast("Any", item.body) for item in stage.server.received}
    outputs = bodies["submit_tool_outputs"]["tool_outputs"]
    assert [item["output"] for item in outputs] == ['{"status":"lost"}']
    assert len({item["tool_call_id"] for item in outputs}) == 1
    assert bodies["assistants"]["instructions"] == turn.instructions
    assert [tool["function"]["name"] for tool in bodies["assistants"]["tools"]] == ["lookup_order"]
    assert bodies["runs"]["additional_messages"] == [{"role": "user", "content": turn.messages[0].text}]
    assert "tool_choice" not in bodies["runs"]


def test_the_thread_is_empty_until_the_run_so_that_a_lost_one_says_nothing() -> None:
    with scene(Reply(text="hello")) as stage:
        stage.ask(TEXT.turn())
        made = next(item for item in stage.server.received if item.path == "/v1/threads")
    assert set(cast("Any", made.body)) == {"metadata"}
    assert set(cast("Any", made.body)["metadata"]) == {"remit_tag"}


@pytest.mark.parametrize(
    "change",
    [
        {"instructions": "Other instructions."},
        {"tools": ()},
        {"temperature": 0.5},
        {"messages": (Message(role="user", text="Something else."),)},
    ],
    ids=["instructions", "tools", "temperature", "messages"],
)
def test_any_other_turn_cancels_the_waiting_run_and_starts_on_a_new_thread(change: dict[str, Any]) -> None:
    with scene(CALLS, Reply(text="anew")) as stage:
        turn = CALL.turn()
        first = stage.ask(turn)
        second = stage.ask(replace(answered(turn, first, "{}"), **change))
        assert (second.error, second.text) == (None, "anew")
        operations = stage.operations()
        cancelled = [name for name in operations if name.endswith("/cancel")]
        assert len(cancelled) == 1
        assert operations.count("POST /threads") == 2
        assert len(stage.there()["threads"]) == 1
        assert not [name for name in operations if name.endswith("submit_tool_outputs")]


def test_a_conversation_that_another_back_end_began_is_shown_as_text() -> None:
    with scene(Reply(text="It was refused.")) as stage:
        first = Answer(events=[])
        turn = answered(CALL.turn(), first)
        from remit.messages import ToolCall

        call = ToolCall(id="c1", name="refund", arguments={"amount": 9000}, raw='{"amount":9000}')
        turn = replace(
            turn,
            messages=(
                Message(role="user", text="Refund 9000."),
                Message(role="assistant", text="I try.", tool_calls=(call,)),
                Message(role="tool", text='{"denied":true}', tool_call_id="c1"),
            ),
        )
        stage.ask(turn)
        run = next(item for item in stage.server.received if item.path.endswith("/runs"))
    assert cast("Any", run.body)["additional_messages"] == [
        {"role": "user", "content": "Refund 9000."},
        {"role": "assistant", "content": 'I try.\n[called refund with {"amount":9000}]'},
        {"role": "user", "content": '[result of refund] {"denied":true}'},
    ]


def test_an_answer_that_is_not_waited_for_is_cancelled_and_everything_is_deleted() -> None:
    with scene(SLOW.reply, truth=False) as stage:

        async def leave_early() -> None:
            turn = SLOW.turn()
            view = Stage(backend=stage.backend, name="b", sent=lambda: 0)
            events = cast("AsyncGenerator[TurnEvent]", stage.backend.infer(permit_for(view, turn), turn))
            async with aclosing(events):
                waiting = asyncio.ensure_future(anext(events))
                await asyncio.sleep(0.4)
                waiting.cancel()
                await asyncio.wait([waiting])

        stage.loop.run_until_complete(leave_early())
        assert [name for name in stage.operations() if name.endswith("/cancel")]
        stage.dispose()
        assert stage.there() == {}


def test_tokens_are_estimated_until_the_run_reports_them_and_never_counted_twice() -> None:
    done = Reply(text="done", input_tokens=4000, output_tokens=50)
    with scene(CALLS, done) as stage:
        turn = CALL.turn()
        first = stage.ask(turn)
        second = stage.ask(answered(turn, first, "{}"))
    early, late = first.ends[0], second.ends[0]
    assert (early.detail["usage"], late.detail["usage"]) == ("estimated", "reported")
    assert early.usage.input_tokens > 0
    total = early.usage.input_tokens + late.usage.input_tokens
    assert total >= 4000


def test_files_become_tool_resources_and_are_deleted_after_the_run(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"a,b\n1,2\n")
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    file = BuiltinFile(path="rows.csv", sha256=digest, classification="internal")
    builtins = (
        Builtin(name="code_interpreter", required=True, files=(file,), config={}),
        Builtin(name="file_search", required=False, files=(file,), config={"max_num_results": 3}),
    )
    said = Reply(text="3", used=(SaidUse(name="code_interpreter", detail={"code": "1+2", "logs": "3"}),))
    for mode in ("stream", "poll"):
        with scene(said, folder=tmp_path, mode=mode) as stage:
            answer = stage.ask(replace(TEXT.turn(), builtins=builtins))
            assert answer.error is None
            body = cast("Any", next(i.body for i in stage.server.received if i.path == "/v1/assistants"))
            assert [tool["type"] for tool in body["tools"]] == ["code_interpreter", "file_search"]
            assert len(body["tool_resources"]["code_interpreter"]["file_ids"]) == 1
            assert len(body["tool_resources"]["file_search"]["vector_store_ids"]) == 1
            assert {kind: len(ids) for kind, ids in stage.there().items()} == {
                "assistants": 1,
                "threads": 1,
                "files": 2,
                "vector_stores": 1,
            }
            assert [use.name for use in answer.ends[0].used] == ["code_interpreter"]
            assert answer.ends[0].used[0].detail["input"] == "1+2"


def test_azure_style_endpoints_work_the_same() -> None:
    with scene(CALLS, Reply(text="done"), azure=True, truth=False) as stage:
        turn = CALL.turn()
        first = stage.ask(turn)
        second = stage.ask(answered(turn, first, "{}"))
        assert (second.error, second.text) == (None, "done")
        assert {item.headers.get("api-key") for item in stage.server.received} == {"sk-very-secret"}
        assert {item.query.get("api-version") for item in stage.server.received} == {"2025-04-01-preview"}


def test_the_base_url_is_required_and_the_message_says_why() -> None:
    entry = BackendEntry(
        name="b", adapter="openai-assistants", provider="p", region="EU", model="m", config={}
    )
    with pytest.raises(AdapterError, match="closed on 2026-08-26") as failure:
        open_backend(entry, context=backend_context())
    assert "`base_url`: is required" in str(failure.value)
    assert "`openai-responses`" in str(failure.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mode": "push"}, "`push` is not one of"),
        ({"metadata": {"a": 1}}, "`metadata`: `a`"),
        ({"metadata": {str(n): "x" for n in range(16)}}, "more than 15 members"),
        ({"thread": "t"}, "`thread`: is not known here"),
    ],
)
def test_a_config_that_is_not_acceptable_names_the_member(config: JsonObject, message: str) -> None:
    entry = BackendEntry(
        name="b",
        adapter="openai-assistants",
        provider="p",
        region="EU",
        model="m",
        config={"base_url": "http://127.0.0.1:1/v1", **config},
    )
    with pytest.raises(AdapterError) as failure:
        open_backend(entry, context=backend_context())
    assert message in str(failure.value)


def test_a_use_of_a_built_in_is_reported_once_also_where_the_run_is_polled_for() -> None:
    said = replace(CALLS, used=(SaidUse(name="code_interpreter", detail={"code": "1+2"}),))
    builtins = (Builtin(name="code_interpreter", required=False, files=(), config={}),)
    for mode in ("stream", "poll"):
        with scene(said, Reply(text="3"), mode=mode) as stage:
            turn = replace(CALL.turn(), builtins=builtins)
            first = stage.ask(turn)
            second = stage.ask(answered(turn, first, "{}"))
            assert [len(answer.ends[0].used) for answer in (first, second)] == [1, 0]


class _Meddling(KeptRegister):
    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._schema = schema

    async def planned(self, thing: VendorObject) -> None:
        await super().planned(thing)
        self._schema["properties"]["smuggled"] = {"type": "string"}


def test_what_was_permitted_is_sent_whoever_changes_it_meanwhile() -> None:
    loop = asyncio.new_event_loop()
    turn = copy.deepcopy(CALL.turn())
    register = _Meddling(turn.tools[0].parameters)
    with AssistantsServer(CALLS) as server:
        entry = BackendEntry(
            name="b",
            adapter="openai-assistants",
            provider="p",
            region="EU",
            model="m",
            config={"base_url": server.base_url},
        )
        backend = open_backend(entry, context=backend_context(register=register))
        stage = Stage(backend=backend, name="b", sent=lambda: 0)
        loop.run_until_complete(infer(stage, permit_for(stage, turn), turn))
        sent = str([item.body for item in server.received if item.path == "/v1/assistants"])
        loop.run_until_complete(backend.dispose())
    loop.close()
    assert "lookup_order" in sent
    assert "smuggled" not in sent


class _FullLedger(KeptRegister):
    async def made(self, thing: VendorObject) -> None:
        if thing.kind == "thread":
            raise LedgerError("the disk is full")
        await super().made(thing)


def test_a_ledger_that_fails_stops_the_run_and_what_was_made_is_deleted() -> None:
    loop = asyncio.new_event_loop()
    register = _FullLedger()
    with AssistantsServer(Reply(text="hello")) as server:
        entry = BackendEntry(
            name="b",
            adapter="openai-assistants",
            provider="p",
            region="EU",
            model="m",
            config={"base_url": server.base_url},
        )
        backend = open_backend(entry, context=backend_context(register=register))
        stage = Stage(backend=backend, name="b", sent=lambda: 0)
        turn = TEXT.turn()
        answer = loop.run_until_complete(infer(stage, permit_for(stage, turn), turn))
        assert isinstance(answer.error, LedgerError)
        assert not [item for item in server.received if item.path.endswith("/runs") and item.method == "POST"]
        loop.run_until_complete(backend.dispose())
        assert {kind: ids for kind, ids in server.objects.items() if ids} == {}
    loop.close()


def test_a_sweep_finds_by_its_tag_what_was_planned_and_made_but_never_noted() -> None:
    left = [
        VendorObject(kind="assistant", tag="a" * 32),
        VendorObject(kind="assistant", tag="b" * 32),
        VendorObject(kind="thread", tag="c" * 32),
    ]
    with scene(Reply(text="x")) as stage:
        client = stage.backend._client

        async def leave_behind() -> None:
            options = {"headers": {"OpenAI-Beta": "assistants=v2"}}
            for tag in ["a" * 32, *(f"{n:032d}" for n in range(120))]:
                body = {"model": "m", "metadata": {"remit_tag": tag}}
                await client.post("/assistants", cast_to=object, body=body, options=options)

        stage.loop.run_until_complete(leave_behind())
        doubts = stage.loop.run_until_complete(stage.backend.sweep(left))
        assert [thing.tag for step, thing in stage.register.notes if step == "gone"] == ["a" * 32, "b" * 32]
        assert len(doubts) == 1
        assert "no way to list threads" in doubts[0]
        assert len(stage.there()["assistants"]) == 120  # what is not ours is left alone
        for number in stage.there()["assistants"]:
            stage.loop.run_until_complete(
                client.delete(
                    f"/assistants/{number}",
                    cast_to=object,
                    options={"headers": {"OpenAI-Beta": "assistants=v2"}},
                )
            )


def test_empty_texts_are_left_out_since_the_wire_refuses_them() -> None:
    assert thread_messages((Message(role="user", text=""), Message(role="assistant", text=""))) == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_RUN = st.fixed_dictionaries(
    {
        "id": st.just("run_1"),
        "status": st.sampled_from(["requires_action", "completed", "incomplete", "failed", "x"]),
    },
    optional={
        "required_action": _JSON
        | st.fixed_dictionaries({"submit_tool_outputs": st.fixed_dictionaries({"tool_calls": _JSON})}),
        "usage": _JSON,
        "incomplete_details": _JSON,
        "last_error": _JSON,
    },
)
_EVENTS = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            [
                "thread.run.created",
                "thread.run.completed",
                "thread.message.delta",
                "thread.run.step.completed",
                "error",
            ]
        ),
        "data": _JSON | _RUN,
    }
)


# Building nested values is slow on a machine that is busy with other tests; that says nothing about the wire.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(_EVENTS | _JSON, max_size=5))
def test_whatever_a_server_streams_is_an_answer_or_an_adapter_error(events: list[Any]) -> None:
    from remit.messages import TokenUsage
    from remit_adapters.endpoint import Endpoint

    endpoint = Endpoint(
        backend="b",
        model="m",
        base_url="http://127.0.0.1:1/v1",
        api_key_env="",
        api_key="none",
        timeout_s=1.0,
        max_retries=0,
        input_microusd_per_mtok=0,
        output_microusd_per_mtok=0,
        path_hint="",
    )
    answer = RunAnswer(CALL.turn(), backend="b")
    try:
        for event in events:
            list(answer.feed(event if isinstance(event, dict) else {}))
        ended = list(answer.end(endpoint=endpoint, counted=TokenUsage(), detail={}))
    except AdapterError:
        return
    assert isinstance(ended[-1], TurnEnd)


@pytest.mark.model
@pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="the embedded model's weights are not in the cache: remit models pull"
)
def test_a_real_model_drives_the_real_protocol_through_the_adapter() -> None:
    from remit_adapters.llama_assistants import llama_model_turn

    register = KeptRegister()
    loop = asyncio.new_event_loop()
    with (
        llama_model_turn(WEIGHTS, sha256=catalogue()[0].sha256) as model,
        AssistantsServer(model=model, truth=True) as server,
    ):
        entry = BackendEntry(
            name="b",
            adapter="openai-assistants",
            provider="p",
            region="EU",
            model="local-default",
            config={"base_url": server.base_url},
        )
        backend = open_backend(entry, context=backend_context(register=register))
        stage = Stage(backend=backend, name="b", sent=lambda: 0)
        turn = CALL.turn()
        first = loop.run_until_complete(infer(stage, permit_for(stage, turn), turn))
        assert [(call.name, call.arguments) for call in first.calls] == [
            ("lookup_order", {"order_id": "A-1002"})
        ]
        going = answered(turn, first, '{"order_id":"A-1002","status":"lost"}')
        second = loop.run_until_complete(infer(stage, permit_for(stage, going), going))
        assert (second.error, second.ends[0].stop) == (None, "end")
        loop.run_until_complete(backend.dispose())
        assert {kind: ids for kind, ids in server.objects.items() if ids} == {}
        assert server.violations == ()
    loop.close()
    assert register.left == ()
