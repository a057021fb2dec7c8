"""The Assistants server with the vendor's own package as its client, judged by the vendor's own description."""

from __future__ import annotations

import threading
from typing import Any

import openai
import pytest
from assistants_world import CALLS, DEPRECATED, DONE, LOOKUP, outputs, said, served, started
from openai import AssistantEventHandler, AsyncOpenAI, AzureOpenAI, OpenAI

from remit.testing.assistants_server import AssistantsServer, TurnRequest
from remit.testing.loopback import Reply, SaidUse

pytestmark = DEPRECATED


def test_a_run_that_is_polled_comes_to_its_answer_and_its_usage() -> None:
    with served(DONE) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        assert (run.status, run.usage.total_tokens) == ("completed", 18)
        assert said(client, where["thread_id"])[-1] == ("assistant", DONE.text)


def test_a_run_is_queued_when_it_is_created() -> None:
    with served(DONE) as (_, client):
        run = client.beta.threads.runs.create(**started(client))
        assert (run.status, run.usage, run.started_at) == ("queued", None, None)


def test_a_run_waits_for_the_outputs_of_its_calls_and_then_goes_on() -> None:
    with served(CALLS, DONE) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        calls = run.required_action.submit_tool_outputs.tool_calls
        assert (run.status, run.usage) == ("requires_action", None)
        assert [(call.function.name, call.function.arguments) for call in calls] == [
            (call.name, call.raw) for call in CALLS.calls
        ]
        ended = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=where["thread_id"], tool_outputs=outputs(run)
        )
        assert (ended.status, ended.required_action, ended.usage.total_tokens) == ("completed", None, 36)
        steps = list(client.beta.threads.runs.steps.list(run.id, thread_id=where["thread_id"], order="asc"))
        assert [step.type for step in steps] == ["message_creation", "tool_calls", "message_creation"]
        assert [call.function.output for call in steps[1].step_details.tool_calls] == ["delivered"] * 2
        assert sum(step.usage.total_tokens for step in steps) == 36
        again = client.beta.threads.runs.steps.retrieve(
            steps[1].id, run_id=run.id, thread_id=where["thread_id"]
        )
        assert again == steps[1]


class Listener(AssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.ended: list[str] = []

    def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.heard.append(delta.value)

    def on_tool_call_done(self, tool_call: Any) -> None:
        self.heard.append(tool_call.function.arguments)

    def on_message_done(self, message: Any) -> None:
        self.ended.append(message.status)


def test_an_event_handler_hears_words_and_calls_and_streams_the_outputs_too() -> None:
    with served(CALLS, DONE) as (_, client):
        where = started(client)
        first, second = Listener(), Listener()
        with client.beta.threads.runs.stream(**where, event_handler=first) as stream:
            stream.until_done()
        run = first.get_final_run()
        heard = "".join(first.heard)
        assert heard.startswith(CALLS.text)
        assert [call.raw in heard for call in CALLS.calls] == [True, True]
        with client.beta.threads.runs.submit_tool_outputs_stream(
            run_id=run.id,
            thread_id=where["thread_id"],
            tool_outputs=outputs(run),
            event_handler=second,
        ) as stream:
            stream.until_done()
        assert ("".join(second.heard), second.ended) == (DONE.text, ["completed"])
        assert second.get_final_run().status == "completed"


def test_a_raw_stream_tells_the_events_in_their_order() -> None:
    opened = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
    step = ["thread.run.step.created", "thread.run.step.in_progress"]
    words = ["thread.message.created", "thread.message.in_progress", *["thread.message.delta"] * 3]
    finished = ["thread.message.completed", "thread.run.step.completed"]
    with served(CALLS, DONE) as (_, client):
        where = started(client)
        with client.beta.threads.runs.create(**where, stream=True) as stream:
            events = list(stream)
        calling = [*step, *["thread.run.step.delta"] * 8, "thread.run.requires_action"]
        assert [event.event for event in events] == [*opened, *step, *words, *finished, *calling]
        run = events[-1].data
        with client.beta.threads.runs.submit_tool_outputs(
            run.id, thread_id=where["thread_id"], tool_outputs=outputs(run), stream=True
        ) as stream:
            names = [event.event for event in stream]
        resumed = ["thread.run.step.completed", *opened[1:]]
        assert names == [*resumed, *step, *words, *finished, "thread.run.completed"]


def test_a_thread_and_its_run_are_created_at_once() -> None:
    with served(DONE) as (server, client):
        made = client.beta.assistants.create(model="subject-1")
        thread = {"messages": [{"role": "user", "content": "hello"}], "metadata": {"mark": "1"}}
        with client.beta.threads.create_and_run(assistant_id=made.id, thread=thread, stream=True) as stream:
            events = list(stream)
        assert (events[0].event, events[0].data.metadata) == ("thread.created", {"mark": "1"})
        assert (events[-1].event, events[-1].data.thread_id) == ("thread.run.completed", events[0].data.id)
        run = client.beta.threads.create_and_run_poll(assistant_id=made.id, thread=thread)
        assert said(client, run.thread_id) == [("user", "hello"), ("assistant", DONE.text)]
        assert server.objects["threads"] == (events[0].data.id, run.thread_id)


async def test_the_asynchronous_client_goes_the_same_way() -> None:
    with AssistantsServer(CALLS, DONE, truth=True) as server:
        async with AsyncOpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client:
            made = await client.beta.assistants.create(model="subject-1", tools=[LOOKUP])
            thread = await client.beta.threads.create(messages=[{"role": "user", "content": "hello"}])
            async with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=made.id) as stream:
                run = await stream.get_final_run()
            run = await client.beta.threads.runs.submit_tool_outputs_and_poll(
                run_id=run.id, thread_id=thread.id, tool_outputs=outputs(run)
            )
            messages = [message async for message in client.beta.threads.messages.list(thread.id)]
            await client.beta.threads.delete(thread.id)
            await client.beta.assistants.delete(made.id)
        assert (run.status, messages[0].content[0].text.value) == ("completed", DONE.text)
        assert server.objects == {"assistants": (), "threads": (), "files": (), "vector_stores": ()}
        assert server.violations == ()


def test_the_azure_client_finds_the_same_api_under_its_own_base() -> None:
    with AssistantsServer(CALLS, DONE, truth=True, api_key="azure-key") as server:
        with AzureOpenAI(
            azure_endpoint=server.root_url, api_version="2025-04-01-preview", api_key="azure-key"
        ) as client:
            where = started(client)
            run = client.beta.threads.runs.create_and_poll(**where)
            with client.beta.threads.runs.submit_tool_outputs_stream(
                run_id=run.id, thread_id=where["thread_id"], tool_outputs=outputs(run)
            ) as stream:
                assert stream.get_final_run().status == "completed"
        assert server.azure_url == f"{server.root_url}/openai"
        assert {each.path.split("/")[1] for each in server.received} == {"openai"}
        assert server.received[0].query == {"api-version": "2025-04-01-preview"}
        assert server.violations == ()


# What the model is told.


class Recorder:
    """A model that answers as written and keeps what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[TurnRequest] = []

    def __call__(self, request: TurnRequest) -> Reply:
        self.asked.append(request)
        return self.replies.pop(0)


def test_the_model_is_told_the_thread_and_what_the_run_called_and_was_told() -> None:
    model = Recorder(CALLS, DONE)
    with served(model=model) as (_, client):
        where = started(client, instructions="Be brief.", temperature=0.5)
        run = client.beta.threads.runs.create_and_poll(**where)
        wanted = outputs(run)
        client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=where["thread_id"], tool_outputs=wanted
        )
    first, second = model.asked
    assert (first.instructions, first.model, first.temperature) == ("Be brief.", "subject-1", 0.5)
    assert first.messages == ({"role": "user", "content": "Where are my orders?"},)
    assert first.tools == (LOOKUP,)
    ids = [each["tool_call_id"] for each in wanted]
    assert [(each["role"], each["content"]) for each in second.messages[1:]] == [
        ("assistant", CALLS.text),
        ("tool", "delivered"),
        ("tool", "delivered"),
    ]
    assert [each["tool_call_id"] for each in second.messages[2:]] == ids
    assert second.messages[1]["tool_calls"] == [
        {"id": number, "type": "function", "function": {"name": call.name, "arguments": call.raw}}
        for number, call in zip(ids, CALLS.calls, strict=True)
    ]


def test_calls_without_words_are_a_message_of_the_next_turn_all_the_same() -> None:
    model = Recorder(Reply(calls=CALLS.calls[:1]), DONE)
    with served(model=model) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=where["thread_id"], tool_outputs=outputs(run)
        )
    assert [(each["role"], each["content"]) for each in model.asked[1].messages[1:]] == [
        ("assistant", ""),
        ("tool", "delivered"),
    ]


def test_a_run_overrides_what_the_assistant_says() -> None:
    model = Recorder(DONE, DONE)
    with served(model=model) as (_, client):
        where = started(client, instructions="Be brief.")
        client.beta.threads.runs.create_and_poll(
            **where,
            instructions="Be long.",
            additional_instructions="And kind.",
            additional_messages=[{"role": "user", "content": "And a third?"}],
            model="subject-2",
            tools=[],
            max_completion_tokens=300,
            metadata={"mark": "1"},
        )
        client.beta.threads.runs.create_and_poll(
            **where, tool_choice="none", truncation_strategy={"type": "last_messages", "last_messages": 1}
        )
    first, second = model.asked
    assert (first.instructions, first.model) == ("Be long.\nAnd kind.", "subject-2")
    assert (first.tools, first.max_output_tokens) == ((), 300)
    assert [each["content"] for each in first.messages] == ["Where are my orders?", "And a third?"]
    assert (second.instructions, second.tools) == ("Be brief.", ())
    assert [each["content"] for each in second.messages] == [DONE.text]


def test_what_a_model_raises_is_the_last_error_of_the_run() -> None:
    def broken(request: TurnRequest) -> Reply:
        raise RuntimeError("no memory left")

    with served(model=broken) as (_, client):
        run = client.beta.threads.runs.create_and_poll(**started(client))
        assert (run.status, run.last_error.message) == ("failed", "no memory left")


def test_a_server_answers_by_replies_or_by_a_model_and_never_by_both() -> None:
    for arguments, options in (((), {}), ((DONE,), {"model": Recorder()})):
        with pytest.raises(ValueError, match="either replies or a model"):
            AssistantsServer(*arguments, **options)


def test_the_use_of_built_ins_is_told_in_steps_and_what_was_found_only_when_asked() -> None:
    used = (
        SaidUse(name="code_interpreter", detail={"code": "1 + 1", "logs": "2"}),
        SaidUse(
            name="file_search",
            detail={"results": [{"file_id": "file-1", "filename": "a.md", "text": "found", "score": 0.5}]},
        ),
        SaidUse(name="code_interpreter", detail={"status": "failed"}),
        SaidUse(name="web_search", detail={"queries": ["kettles"]}),
    )
    asked = ["step_details.tool_calls[*].file_search.results[*].content"]
    with served(Reply(text="2", used=used)) as (_, client):
        where = started(client)
        with client.beta.threads.runs.stream(**where) as stream:
            run, told = stream.get_final_run(), stream.get_final_run_steps()
        listing = {"run_id": run.id, "thread_id": where["thread_id"], "order": "asc"}
        steps = list(client.beta.threads.runs.steps.list(**listing))
        code, search, failed = (step.step_details.tool_calls[0] for step in steps[:3])
        assert (code.code_interpreter.input, code.code_interpreter.outputs[0].logs) == ("1 + 1", "2")
        assert (search.file_search.results[0].file_name, search.file_search.results[0].content) == (
            "a.md",
            None,
        )
        assert (failed.code_interpreter.outputs, steps[2].status) == ([], "failed")
        assert [step.type for step in steps[3:]] == ["message_creation"]
        assert [step.id for step in told] == [step.id for step in steps]
        assert told[0].step_details.tool_calls[0].code_interpreter.outputs[0].logs == "2"
        steps = list(client.beta.threads.runs.steps.list(**listing, include=asked))
        assert steps[1].step_details.tool_calls[0].file_search.results[0].content[0].text == "found"


# The judge.


def test_a_wrong_answer_a_wrong_event_and_a_wrong_request_are_found() -> None:
    with (
        AssistantsServer(Reply(text="?", finish="nobody_knows"), Reply(raw_body=b"{}"), truth=True) as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client,
    ):
        where = started(client)
        with client.beta.threads.runs.create(**where, stream=True) as stream:
            run = list(stream)[-1].data
        assert {(each.side, each.pointer) for each in server.violations} == {
            ("event", "/incomplete_details/reason")
        }
        found = len(server.violations)
        client.beta.threads.runs.retrieve(run.id, thread_id=where["thread_id"])
        assert [(each.side, each.pointer) for each in server.violations[found:]] == [
            ("response", "/incomplete_details/reason")
        ]
        found = len(server.violations)
        client.beta.threads.runs.create(**where)
        assert server.violations[found].side == "response"
        found = len(server.violations)
        with pytest.raises(openai.BadRequestError):
            client.beta.assistants.create(model="m", extra_body={"surprise": 1})
        assert [each.side for each in server.violations[found:]] == ["request"]


def test_many_clients_at_once_do_not_mix() -> None:
    with served(model=lambda request: Reply(text=f"you said {request.messages[-1]['content']}")) as (
        _,
        client,
    ):
        answers: dict[int, list[tuple[str, str]]] = {}

        def talk(number: int) -> None:
            where = started(client, f"number {number}")
            with client.beta.threads.runs.stream(**where) as stream:
                stream.until_done()
            answers[number] = said(client, where["thread_id"])

        talkers = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join()
        assert answers == {
            number: [("user", f"number {number}"), ("assistant", f"you said number {number}")]
            for number in range(8)
        }
