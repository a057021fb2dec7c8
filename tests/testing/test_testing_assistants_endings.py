"""How runs end other than with an answer, and what is refused."""

from __future__ import annotations

import openai
import pytest
from assistants_world import CALLS, DEPRECATED, DONE, SLOW, outputs, said, served, started
from openai import OpenAI

from remit.testing.assistants_server import AssistantsServer
from remit.testing.loopback import Reply

pytestmark = DEPRECATED


@pytest.mark.parametrize(
    ("finish", "status", "reason", "message_reason"),
    [
        ("length", "incomplete", "max_completion_tokens", "max_tokens"),
        ("max_prompt_tokens", "incomplete", "max_prompt_tokens", "max_tokens"),
        ("content_filter", "incomplete", None, "content_filter"),
        ("expired", "expired", None, "run_expired"),
    ],
)
def test_a_finish_word_ends_the_run_in_the_words_of_the_api(
    finish: str, status: str, reason: str | None, message_reason: str
) -> None:
    with served(Reply(text="half an ans", finish=finish)) as (_, client):
        where = started(client)
        with client.beta.threads.runs.create(**where, stream=True) as stream:
            events = list(stream)
        run = events[-1].data
        message = next(iter(client.beta.threads.messages.list(where["thread_id"])))
        assert (events[-1].event, run.status) == (f"thread.run.{status}", status)
        assert (run.incomplete_details.reason if run.incomplete_details else None) == reason
        assert (message.status, message.incomplete_details.reason) == ("incomplete", message_reason)
        assert message.content[0].text.value == "half an ans"


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", "invalid_prompt"])
def test_a_failed_turn_says_nothing_and_leaves_its_error_in_the_run(code: str) -> None:
    with served(Reply(text="out of order", finish=code)) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        assert (run.status, run.last_error.code, run.last_error.message) == ("failed", code, "out of order")
        assert len(said(client, where["thread_id"])) == 1


def test_a_refusal_is_a_part_of_its_own() -> None:
    with served(Reply(text="I will not do that.", finish="refusal")) as (_, client):
        where = started(client)
        with client.beta.threads.runs.stream(**where) as stream:
            message = stream.get_final_messages()[0]
        assert (message.content[0].type, message.content[0].refusal) == ("refusal", "I will not do that.")


def test_a_filtered_answer_without_words_still_says_why() -> None:
    with served(Reply(finish="content_filter")) as (_, client):
        where = started(client)
        client.beta.threads.runs.create_and_poll(**where)
        message = next(iter(client.beta.threads.messages.list(where["thread_id"])))
        assert (message.content, message.incomplete_details.reason) == ([], "content_filter")


def test_calls_that_were_cut_off_are_not_proposed() -> None:
    with served(Reply(calls=CALLS.calls, finish="length")) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        step = next(iter(client.beta.threads.runs.steps.list(run.id, thread_id=where["thread_id"])))
        assert (run.status, run.required_action, step.status) == ("incomplete", None, "failed")


def test_a_run_ends_when_its_token_budget_is_used_up() -> None:
    with served(Reply(text="long", output_tokens=300), Reply(text="long", input_tokens=300)) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where, max_completion_tokens=256)
        assert run.incomplete_details.reason == "max_completion_tokens"
        run = client.beta.threads.runs.create_and_poll(**where, max_prompt_tokens=256)
        assert run.incomplete_details.reason == "max_prompt_tokens"


def test_a_run_that_hangs_is_cancelled_and_its_stream_hears_of_it() -> None:
    with served(SLOW) as (_, client):
        where = started(client)
        names: list[str] = []
        with client.beta.threads.runs.create(**where, stream=True) as stream:
            for event in stream:
                names.append(event.event)
                if event.event == "thread.run.in_progress":
                    shown = client.beta.threads.runs.cancel(event.data.id, thread_id=where["thread_id"])
                    assert shown.status == "cancelling"
        assert names[-2:] == ["thread.run.cancelling", "thread.run.cancelled"]
        run = client.beta.threads.runs.retrieve(event.data.id, thread_id=where["thread_id"])
        assert (run.status, run.cancelled_at is None) == ("cancelled", False)


def test_a_run_that_is_cancelled_amid_its_words_leaves_them_incomplete() -> None:
    with served(Reply(text="one two three"), pace_s=0.5) as (_, client):
        where = started(client)
        with client.beta.threads.runs.create(**where, stream=True) as stream:
            for event in stream:
                if event.event == "thread.message.delta":
                    break
            client.beta.threads.runs.cancel(
                next(iter(client.beta.threads.runs.list(where["thread_id"]))).id,
                thread_id=where["thread_id"],
            )
            names = [event.event for event in stream]
        assert names[-4:] == [
            "thread.run.cancelling",
            "thread.message.incomplete",
            "thread.run.step.cancelled",
            "thread.run.cancelled",
        ]
        message = next(iter(client.beta.threads.messages.list(where["thread_id"])))
        assert message.incomplete_details.reason == "run_cancelled"


def test_a_run_that_waits_for_outputs_is_cancelled_too_and_takes_none_any_more() -> None:
    with served(CALLS) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        wanted = outputs(run)
        assert client.beta.threads.runs.cancel(run.id, thread_id=where["thread_id"]).status == "cancelling"
        run = client.beta.threads.runs.retrieve(run.id, thread_id=where["thread_id"])
        assert (run.status, run.required_action) == ("cancelled", None)
        with pytest.raises(openai.BadRequestError, match="do not accept tool outputs"):
            client.beta.threads.runs.submit_tool_outputs(
                run.id, thread_id=where["thread_id"], tool_outputs=wanted
            )


def test_runs_expire_while_they_wait_and_while_they_work() -> None:
    moment = [1_800_000_000.0]
    with served(CALLS, SLOW, now=lambda: moment[0], run_lifetime_s=60) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        assert run.expires_at == 1_800_000_060
        moment[0] += 60
        run = client.beta.threads.runs.retrieve(run.id, thread_id=where["thread_id"])
        step = next(iter(client.beta.threads.runs.steps.list(run.id, thread_id=where["thread_id"])))
        assert (run.status, step.status) == ("expired", "expired")
        with client.beta.threads.runs.create(**where, stream=True) as stream:
            for event in stream:
                if event.event == "thread.run.in_progress":
                    moment[0] += 60
        assert event.event == "thread.run.expired"


# Refusals.


def test_what_is_deleted_is_not_found() -> None:
    with served(DONE) as (server, client):
        where = started(client)
        thread, assistant = where["thread_id"], where["assistant_id"]
        message = client.beta.threads.messages.create(thread, role="user", content="again")
        assert client.beta.threads.messages.delete(message.id, thread_id=thread).deleted
        with pytest.raises(openai.NotFoundError, match=f"No message found with id '{message.id}'"):
            client.beta.threads.messages.retrieve(message.id, thread_id=thread)
        run = client.beta.threads.runs.create_and_poll(**where)
        assert client.beta.threads.delete(thread).deleted
        assert client.beta.assistants.delete(assistant).deleted
        for ask in (
            lambda: client.beta.threads.retrieve(thread),
            lambda: client.beta.threads.delete(thread),
            lambda: client.beta.threads.messages.list(thread),
            lambda: client.beta.threads.runs.retrieve(run.id, thread_id=thread),
            lambda: client.beta.threads.runs.create(**where),
            lambda: client.beta.assistants.retrieve(assistant),
            lambda: client.beta.assistants.delete(assistant),
            lambda: client.files.retrieve("file-none"),
            lambda: client.vector_stores.retrieve("vs_none"),
        ):
            with pytest.raises(openai.NotFoundError) as caught:
                ask()
            assert caught.value.body["type"] == "invalid_request_error"
        assert not any(server.objects.values())


def test_a_thread_with_a_run_takes_neither_a_second_run_nor_a_message() -> None:
    with served(SLOW, DONE) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create(**where)
        with pytest.raises(openai.BadRequestError, match=f"its run '{run.id}' is active"):
            client.beta.threads.runs.create(**where)
        with pytest.raises(openai.BadRequestError, match="Cannot add messages"):
            client.beta.threads.messages.create(where["thread_id"], role="user", content="hello?")
        client.beta.threads.runs.cancel(run.id, thread_id=where["thread_id"])
        assert client.beta.threads.runs.poll(run.id, thread_id=where["thread_id"]).status == "cancelled"
        # The refused run was no turn: the next one gets the second reply.
        assert client.beta.threads.runs.create_and_poll(**where).status == "completed"


def test_outputs_name_each_pending_call_exactly_once() -> None:
    with served(CALLS, DONE) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        good = outputs(run)
        for bad in (good[:1], [*good, good[0]], [good[0], {"tool_call_id": "call_x", "output": "?"}], []):
            with pytest.raises(openai.BadRequestError, match="name each pending call once"):
                client.beta.threads.runs.submit_tool_outputs(
                    run.id, thread_id=where["thread_id"], tool_outputs=bad
                )
        ended = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=where["thread_id"], tool_outputs=good[::-1]
        )
        assert ended.status == "completed"


def test_a_run_that_is_over_cannot_be_cancelled() -> None:
    with served(DONE) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        with pytest.raises(openai.BadRequestError, match="Cannot cancel run with status 'completed'"):
            client.beta.threads.runs.cancel(run.id, thread_id=where["thread_id"])


def test_a_thread_may_be_deleted_under_its_run() -> None:
    with served(SLOW, DONE) as (server, client):
        where = started(client)
        client.beta.threads.runs.create(**where)
        client.beta.threads.delete(where["thread_id"])
        assert server.objects["threads"] == ()
        where["thread_id"] = client.beta.threads.create().id
        assert client.beta.threads.runs.create_and_poll(**where).status == "completed"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_reply_with_a_status_refuses_the_request_and_nothing_is_made(status: int) -> None:
    with served(Reply(status=status, text="not now"), CALLS, Reply(status=status, text="nor now"), DONE) as (
        server,
        client,
    ):
        made = client.beta.assistants.create(model="subject-1")
        with pytest.raises(openai.APIStatusError, match="not now") as caught:
            client.beta.threads.create_and_run(assistant_id=made.id)
        assert (caught.value.status_code, server.objects["threads"]) == (status, ())
        run = client.beta.threads.create_and_run_poll(assistant_id=made.id)
        where = {"run_id": run.id, "thread_id": run.thread_id}
        with pytest.raises(openai.APIStatusError, match="nor now"):
            client.beta.threads.runs.submit_tool_outputs(**where, tool_outputs=outputs(run))
        assert client.beta.threads.runs.retrieve(**where).status == "requires_action"
        run = client.beta.threads.runs.submit_tool_outputs_and_poll(**where, tool_outputs=outputs(run))
        assert run.status == "completed"


def test_a_redirect_says_where_to() -> None:
    with AssistantsServer(Reply(status=307, location="http://127.0.0.1:9/v1")) as server:
        with OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client:
            where = started(client)
            with pytest.raises(openai.APIConnectionError):
                client.beta.threads.runs.create(**where)
        assert server.log[-1].status == 307
