"""Lists, metadata and limits; files and vector stores."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from assistants_world import BETA, DEPRECATED, DONE, served, started
from openai import OpenAI

from remit.testing.assistants_server import AssistantsServer

pytestmark = DEPRECATED


def test_lists_go_both_ways_in_pages() -> None:
    with served(DONE) as (_, client):
        made = [client.beta.assistants.create(model=f"m{number}").id for number in range(7)]
        assert [each.id for each in client.beta.assistants.list()] == made[::-1]
        assert [each.id for each in client.beta.assistants.list(order="asc", limit=2)] == made
        page = client.beta.assistants.list(order="asc", limit=2, after=made[1])
        assert [each.id for each in page.data] == made[2:4]
        assert (page.first_id, page.last_id, page.has_more) == (made[2], made[3], True)
        page = client.beta.assistants.list(order="asc", limit=2, before=made[4])
        assert ([each.id for each in page.data], page.has_more) == (made[2:4], True)
        page = client.beta.assistants.list(order="desc", after=made[3], before=made[0])
        assert ([each.id for each in page.data], page.has_more) == ([made[2], made[1]], False)
        page = client.beta.assistants.list(after=made[0])
        assert (page.data, page.first_id, page.last_id, page.has_more) == ([], "", "", False)


def test_a_client_that_deletes_while_it_pages_sees_everything() -> None:
    with served(DONE) as (server, client):
        for number in range(7):
            client.beta.assistants.create(model=f"m{number}")
        for each in client.beta.assistants.list(limit=2):
            client.beta.assistants.delete(each.id)
        assert server.objects["assistants"] == ()


def test_messages_are_listed_by_run_too() -> None:
    with served(DONE) as (_, client):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        listed = client.beta.threads.messages.list(where["thread_id"], run_id=run.id)
        assert [message.role for message in listed] == ["assistant"]
        assert [each.id for each in client.beta.threads.runs.list(where["thread_id"])] == [run.id]


def test_metadata_is_kept_and_replaced_everywhere() -> None:
    with served(DONE) as (_, client):
        mark, other = {"mark": "1"}, {"other": "2"}
        assistant = client.beta.assistants.create(model="m", metadata=mark)
        thread = client.beta.threads.create(metadata=mark)
        message = client.beta.threads.messages.create(
            thread.id, role="assistant", content=[{"type": "text", "text": "hello"}], metadata=mark
        )
        run = client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, metadata=mark
        )
        store = client.vector_stores.create(metadata=mark)
        for each in (assistant, thread, message, run, store):
            assert each.metadata == mark
        changed = (
            client.beta.assistants.update(assistant.id, metadata=other, name="new", tool_resources={}),
            client.beta.threads.update(thread.id, metadata=other, tool_resources={}),
            client.beta.threads.messages.update(message.id, thread_id=thread.id, metadata=other),
            client.beta.threads.runs.update(run.id, thread_id=thread.id, metadata=other),
            client.vector_stores.update(store.id, metadata=other, name="new"),
        )
        for each in changed:
            assert each.metadata == other
        assert changed[0] == client.beta.assistants.retrieve(assistant.id)
        assert changed[0].name == "new"
        assert changed[4].name == "new"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"metadata": {f"k{number}": "v" for number in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"temperature": 3}, "temperature"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools.0"),
        ({"surprise": 1}, None),
        ({"model": None}, "model"),
    ],
)
def test_a_body_beyond_the_limits_is_refused_by_its_member(body: dict[str, Any], param: str | None) -> None:
    with (
        AssistantsServer(DONE) as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            client.post("/assistants", cast_to=object, body={"model": "m", **body}, options=BETA)
        assert caught.value.param == param
        assert server.objects["assistants"] == ()


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/assistants", {}, 400),
        ("GET", "/vector_stores", {}, 400),
        ("GET", "/assistants?limit=0", BETA, 400),
        ("GET", "/assistants?limit=101", BETA, 400),
        ("GET", "/assistants?order=up", BETA, 400),
        ("GET", "/assistants?after=asst_none", BETA, 400),
        ("GET", "/nothing", BETA, 404),
        ("GET", "/threads", BETA, 405),
        ("DELETE", "/threads/thread_none/runs/run_none", BETA, 405),
        ("POST", "/files", {}, 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(method: str, path: str, options: Any, status: int) -> None:
    with (
        AssistantsServer(DONE) as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client,
    ):
        send = {"GET": client.get, "POST": client.post, "DELETE": client.delete}[method]
        with pytest.raises(openai.APIStatusError) as caught:
            send(path, cast_to=object, options=options)
        assert (caught.value.status_code, set(caught.value.body)) == (
            status,
            {"message", "type", "param", "code"},
        )


def test_nobody_is_let_in_without_the_key() -> None:
    with AssistantsServer(DONE, api_key="right") as server:
        for key, wanted in (("wrong", openai.AuthenticationError), ("right", None)):
            with OpenAI(base_url=server.base_url, api_key=key, max_retries=0) as client:
                if wanted is None:
                    assert client.beta.assistants.list().data == []
                    continue
                with pytest.raises(wanted):
                    client.beta.assistants.list()
        with (
            OpenAI(base_url=server.azure_url, api_key="right", max_retries=0) as client,
            pytest.raises(openai.BadRequestError, match="api-version"),
        ):
            client.beta.assistants.list()


# Files and vector stores.


def test_files_come_back_byte_for_byte() -> None:
    content = bytes(range(256)) + b"\r\n--not-a-boundary\r\n\r\n"
    with served(DONE) as (server, client):
        file = client.files.create(file=("naïve plan.bin", content), purpose="assistants")
        other = client.files.create(
            file=("b.txt", b""), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert (file.filename, file.bytes) == ("naïve plan.bin", len(content))
        assert other.expires_at == other.created_at + 3600
        assert client.files.content(other.id).read() == b""
        assert [each.id for each in client.files.list(order="asc")] == [file.id, other.id]
        assert [each.id for each in client.files.list(purpose="user_data")] == [other.id]
        assert client.files.retrieve(file.id) == file
        assert client.files.delete(other.id).deleted
        assert server.objects["files"] == (file.id,)
    with (
        AssistantsServer(DONE) as server,
        OpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client,
    ):
        file = client.files.create(file=("plan.bin", content), purpose="assistants")
        assert client.files.content(file.id).read() == content


def test_vector_stores_hold_files_and_let_them_go() -> None:
    with served(DONE) as (server, client):
        one, two = (
            client.files.create(file=(name, name.encode()), purpose="assistants") for name in ("a.md", "b.md")
        )
        store = client.vector_stores.create(
            name="plans", file_ids=[one.id], expires_after={"anchor": "last_active_at", "days": 1}
        )
        assert (store.status, store.file_counts.completed, store.usage_bytes) == ("completed", 1, 4)
        added = client.vector_stores.files.create_and_poll(two.id, vector_store_id=store.id)
        assert (added.status, added.vector_store_id) == ("completed", store.id)
        listed = client.vector_stores.files.list(store.id, order="asc", filter="completed")
        assert [each.id for each in listed] == [one.id, two.id]
        assert client.vector_stores.files.delete(one.id, vector_store_id=store.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.vector_stores.files.retrieve(one.id, vector_store_id=store.id)
        assert client.vector_stores.files.retrieve(two.id, vector_store_id=store.id) == added
        client.files.delete(two.id)
        assert client.vector_stores.retrieve(store.id).file_counts.total == 0
        assert [each.id for each in client.vector_stores.list()] == [store.id]
        assert client.vector_stores.delete(store.id).deleted
        assert server.objects == {
            "assistants": (),
            "threads": (),
            "files": (one.id,),
            "vector_stores": (),
        }


def test_a_vector_store_that_a_request_wants_made_is_an_object_like_any_other() -> None:
    with served(DONE) as (server, client):
        file = client.files.create(file=("a.md", b"a"), purpose="assistants")
        thread = client.beta.threads.create(
            messages=[
                {
                    "role": "user",
                    "content": "read",
                    "attachments": [
                        {"file_id": file.id, "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}
                    ],
                }
            ]
        )
        assert thread.tool_resources.code_interpreter.file_ids == [file.id]
        (attached,) = thread.tool_resources.file_search.vector_store_ids
        assistant = client.beta.assistants.create(
            model="m",
            tool_resources={"file_search": {"vector_stores": [{"file_ids": [file.id]}]}},
        )
        (wanted,) = assistant.tool_resources.file_search.vector_store_ids
        assert server.objects["vector_stores"] == (attached, wanted)
        client.beta.threads.delete(thread.id)
        client.beta.assistants.delete(assistant.id)
        assert server.objects["vector_stores"] == (attached, wanted)
        assert client.vector_stores.retrieve(attached).expires_after.days == 7


def test_a_run_may_bring_the_resources_of_its_new_thread() -> None:
    with served(DONE) as (_, client):
        store = client.vector_stores.create()
        assistant = client.beta.assistants.create(model="m", tools=[{"type": "file_search"}])
        run = client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id,
            thread={"messages": [{"role": "user", "content": "read"}]},
            tool_resources={"file_search": {"vector_store_ids": [store.id]}},
        )
        thread = client.beta.threads.retrieve(run.thread_id)
        assert thread.tool_resources.file_search.vector_store_ids == [store.id]
        with pytest.raises(openai.NotFoundError, match="No run step found"):
            client.beta.threads.runs.steps.retrieve("step_x", run_id=run.id, thread_id=thread.id)
        with pytest.raises(openai.NotFoundError, match="No run found"):
            client.beta.threads.runs.retrieve("run_x", thread_id=thread.id)


def test_a_request_that_names_a_missing_file_makes_nothing() -> None:
    missing: Any = {"file_search": {"vector_stores": [{"file_ids": ["file-none"]}]}}
    message: Any = {
        "role": "user",
        "content": "read",
        "attachments": [{"file_id": "file-none", "tools": [{"type": "file_search"}]}],
    }
    with served(DONE) as (server, client):
        for ask in (
            lambda: client.beta.assistants.create(model="m", tool_resources=missing),
            lambda: client.beta.threads.create(tool_resources=missing),
            lambda: client.beta.threads.create(messages=[message]),
            lambda: client.vector_stores.create(file_ids=["file-none"]),
        ):
            with pytest.raises(openai.NotFoundError):
                ask()
        assert not any(server.objects.values())
