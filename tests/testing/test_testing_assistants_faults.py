"""Crashes and cuts: what a client that is killed, or whose connection breaks, leaves on the server."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai
import pytest
from assistants_world import DEPRECATED, SLOW, served, started, waited_for
from openai import OpenAI

from remit.testing.assistants_server import AssistantsServer, CutConnectionError, main
from remit.testing.loopback import Reply, SaidCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = DEPRECATED

DONE = Reply(text="one two three")
CALL = SaidCall(name="lookup_order", raw='{"order_id": "A-1001"}')


@contextmanager
def unjudged(*replies: Reply, **options: Any) -> Iterator[tuple[AssistantsServer, OpenAI]]:
    with served(*replies, truth=False, **options) as both:
        yield both


def cut_at(name: str, steps: list[str]) -> Any:
    def step(reached: str) -> None:
        steps.append(reached)
        if reached == name:
            raise CutConnectionError

    return step


def test_a_connection_cut_before_an_operation_leaves_nothing() -> None:
    steps: list[str] = []
    with unjudged(DONE, on_step=cut_at("before POST /threads", steps)) as (server, client):
        with pytest.raises(openai.APIConnectionError):
            client.beta.threads.create()
        assert server.objects["threads"] == ()
        assert (steps, server.log[0].status) == (["before POST /threads"], 0)


def test_a_connection_cut_after_an_operation_leaves_what_it_made() -> None:
    steps: list[str] = []
    with unjudged(DONE, on_step=cut_at("after POST /threads", steps)) as (server, client):
        with pytest.raises(openai.APIConnectionError):
            client.beta.threads.create()
        assert len(server.objects["threads"]) == 1
        assert steps == ["before POST /threads", "after POST /threads"]


def test_a_dropped_answer_makes_the_object_and_tells_nobody() -> None:
    with unjudged(DONE, drop=["POST /assistants"]) as (server, client):
        with pytest.raises(openai.APIConnectionError):
            client.beta.assistants.create(model="subject-1", metadata={"mark": "1"})
        assert len(server.objects["assistants"]) == 1
        server.drop.clear()
        assert [each.metadata for each in client.beta.assistants.list()] == [{"mark": "1"}]
        assert [(each.operation, each.status) for each in server.log] == [
            ("POST /assistants", 0),
            ("GET /assistants", 200),
        ]


def test_a_retry_after_a_dropped_answer_makes_another_object() -> None:
    with AssistantsServer(DONE, drop=["POST /assistants"]) as server:
        with (
            OpenAI(base_url=server.base_url, api_key="any", max_retries=1) as client,
            pytest.raises(openai.APIConnectionError),
        ):
            client.beta.assistants.create(model="subject-1")
        assert len(server.objects["assistants"]) == 2


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(
    "event",
    ["thread.run.created", "thread.run.in_progress", "thread.message.delta", "thread.run.completed", "done"],
)
def test_a_stream_may_be_cut_at_every_event_and_its_run_goes_on(side: str, event: str) -> None:
    steps: list[str] = []
    with unjudged(DONE, on_step=cut_at(f"{side} event {event}", steps)) as (server, client):
        where = started(client)
        heard: list[str] = []
        with client.beta.threads.runs.create(**where, stream=True) as stream:
            if (side, event) == ("after", "done"):
                heard += [each.event for each in stream]
            else:
                with pytest.raises(openai.APIError):
                    heard.extend(each.event for each in stream)
        if event != "done":
            assert (event in heard) == (side == "after")
        run = waited_for(
            lambda: next(
                (
                    run
                    for run in client.beta.threads.runs.list(where["thread_id"])
                    if run.status == "completed"
                ),
                None,
            )
        )
        assert run.usage.total_tokens == 18
        assert server.log[2].operation == "POST /threads/{thread_id}/runs"


def test_a_test_may_stop_the_world_at_a_step_and_look_at_it() -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "after POST /threads":
            reached.set()
            assert go_on.wait(20)

    with unjudged(DONE, on_step=hold) as (server, client):
        answers: list[str] = []
        worker = threading.Thread(target=lambda: answers.append(client.beta.threads.create().id))
        worker.start()
        assert reached.wait(20)
        assert (len(server.objects["threads"]), answers) == (1, [])
        # The rest of the server is not held up.
        assert client.beta.assistants.list().data == []
        go_on.set()
        worker.join()
        assert server.objects["threads"] == tuple(answers)


def test_a_broken_stream_tells_all_words_and_no_end_while_the_run_comes_to_its_end() -> None:
    reply = Reply(text="half an answer", broken=True)
    with unjudged(reply) as (_, client):
        where = started(client)
        heard: list[Any] = []
        with (
            client.beta.threads.runs.create(**where, stream=True) as stream,
            pytest.raises(openai.APIError),
        ):
            heard.extend(stream)
        words = [event.data.delta.content[0].text.value for event in heard if event.event.endswith("delta")]
        assert ("".join(words), heard[-1].event) == (reply.text, "thread.message.delta")
        run = waited_for(lambda: next(iter(client.beta.threads.runs.list(where["thread_id"]))))
        assert client.beta.threads.runs.poll(run.id, thread_id=where["thread_id"]).status == "completed"
        with pytest.raises(openai.APIConnectionError):
            client.beta.threads.runs.create(**where)
        assert len(client.beta.threads.runs.list(where["thread_id"]).data) == 2


def test_a_stream_broken_at_its_calls_leaves_a_run_that_waits() -> None:
    reply = Reply(calls=(CALL,), finish="tool_calls", broken=True)
    with unjudged(reply) as (_, client):
        where = started(client)
        heard: list[Any] = []
        with (
            client.beta.threads.runs.create(**where, stream=True) as stream,
            pytest.raises(openai.APIError),
        ):
            heard.extend(stream)
        assert heard[-1].event == "thread.run.step.delta"
        run = next(iter(client.beta.threads.runs.list(where["thread_id"])))
        assert client.beta.threads.runs.poll(run.id, thread_id=where["thread_id"]).status == "requires_action"


@pytest.mark.parametrize("stream", [True, False])
def test_a_raw_body_is_sent_as_it_is_while_the_run_comes_to_its_end(stream: bool) -> None:
    with unjudged(Reply(text="hello", raw_body=b"event: nonsense\n\n")) as (server, client):
        where = started(client)
        body = json.dumps({"assistant_id": where["assistant_id"], "stream": stream})
        headers = {"authorization": "Bearer any", "openai-beta": "assistants=v2"}
        path = f"/v1/threads/{where['thread_id']}/runs"
        connection = http.client.HTTPConnection(server.root_url.removeprefix("http://"))
        connection.request("POST", path, body, headers)
        assert connection.getresponse().read() == b"event: nonsense\n\n"
        connection.close()
        run = next(iter(client.beta.threads.runs.list(where["thread_id"])))
        assert client.beta.threads.runs.poll(run.id, thread_id=where["thread_id"]).status == "completed"


def test_one_connection_carries_many_requests_also_refused_and_streamed_ones() -> None:
    with AssistantsServer(DONE) as server:
        connection = http.client.HTTPConnection(server.root_url.removeprefix("http://"))
        headers = {"authorization": "Bearer any", "openai-beta": "assistants=v2"}

        def ask(method: str, path: str, body: Any = None) -> tuple[int, bytes]:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            used.append(connection.sock)
            answer = connection.getresponse()
            return answer.status, answer.read()

        used: list[Any] = []
        assistant = json.loads(ask("POST", "/v1/assistants", {"model": "m"})[1])["id"]
        assert ask("GET", "/v1/threads/thread_none")[0] == 404
        status, events = ask("POST", "/v1/threads/runs", {"assistant_id": assistant, "stream": True})
        assert (status, events.endswith(b"event: done\ndata: [DONE]\n\n")) == (200, True)
        assert ask("GET", "/_objects")[0] == 200
        assert len(set(used)) == 1
        connection.close()
        assert [each.path for each in server.received][-1] == "/v1/threads/runs"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-length": "many"}, b"", 411),
        ({"transfer-encoding": "chunked"}, b"0\r\n\r\n", 411),
        ({"content-length": "5"}, b"{nope", 400),
        ({"content-length": "2"}, b"[]", 400),
    ],
)
def test_a_request_that_is_no_request_gets_one_clear_answer(
    headers: dict[str, str], body: bytes, status: int
) -> None:
    with AssistantsServer(DONE) as server:
        connection = http.client.HTTPConnection(server.root_url.removeprefix("http://"))
        connection.putrequest("POST", "/v1/threads")
        for name, value in (*headers.items(), ("api-key", "any"), ("authorization", "Bearer any")):
            connection.putheader(name, value)
        connection.putheader("openai-beta", "assistants=v2")
        connection.endheaders(body)
        answer = connection.getresponse()
        assert (answer.status, set(json.loads(answer.read())["error"])) == (
            status,
            {"message", "type", "param", "code"},
        )
        connection.close()


def test_a_closing_server_waits_for_no_run_and_no_stream() -> None:
    begun = time.monotonic()
    with unjudged(SLOW) as (server, client):
        where = started(client)
        stream = client.beta.threads.runs.create(**where, stream=True)
        assert next(iter(stream)).event == "thread.run.created"
        assert server.objects["threads"] == (where["thread_id"],)
    with pytest.raises(openai.APIError):
        list(stream)
    stream.close()
    assert time.monotonic() - begun < 5


# As a process of its own.


@contextmanager
def process(
    folder: Path, replies: Any, *options: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    file = folder / "replies.json"
    file.write_text(json.dumps(replies), encoding="utf-8")
    command = [sys.executable, "-m", "remit.testing.assistants_server", "--replies", str(file), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server, json.loads(server.stdout.readline())
        finally:
            server.terminate()
            assert server.wait(20) == 0


def shown(url: str, what: str) -> Any:
    with urllib.request.urlopen(f"{url}/{what}") as answer:
        return json.load(answer)


CLIENT = """
import sys, warnings
warnings.simplefilter("ignore")
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
made = client.beta.assistants.create(model="subject-1")
thread = client.beta.threads.create(messages=[{"role": "user", "content": "hello"}])
with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=made.id) as stream:
    stream.until_done()
"""


def test_a_client_that_is_killed_leaves_its_objects_with_a_server_that_lives(tmp_path: Path) -> None:
    with process(tmp_path, [{"text": "late", "hang_s": 60}], "--truth") as (_, line):
        with subprocess.Popen([sys.executable, "-c", CLIENT, line["base_url"]]) as client:
            waited_for(lambda: len(shown(line["root_url"], "_log")) == 2)
            waited_for(lambda: shown(line["root_url"], "_objects")["threads"])
            os.kill(client.pid, signal.SIGKILL)
        objects = shown(line["root_url"], "_objects")
        assert {kind: len(ids) for kind, ids in objects.items()} == {
            "assistants": 1,
            "threads": 1,
            "files": 0,
            "vector_stores": 0,
        }
        with OpenAI(base_url=line["base_url"], api_key="any", max_retries=0) as other:
            (thread,) = objects["threads"]
            for run in other.beta.threads.runs.list(thread):
                other.beta.threads.runs.cancel(run.id, thread_id=thread)
            other.beta.threads.delete(thread)
            other.beta.assistants.delete(objects["assistants"][0])
        assert not any(shown(line["root_url"], "_objects").values())
        assert shown(line["root_url"], "_violations") == []
        assert {each["operation"] for each in shown(line["root_url"], "_log")} >= {
            "POST /assistants",
            "DELETE /threads/{thread_id}",
        }


def test_replies_of_a_file_are_the_replies_of_the_library(tmp_path: Path) -> None:
    replies = [
        {
            "text": "let me see",
            "calls": [{"name": "lookup_order", "raw": "{}"}],
            "used": [{"name": "code_interpreter", "detail": {"code": "1"}}],
            "finish": "tool_calls",
            "input_tokens": 3,
            "hang_s": 0.1,
            "broken": False,
        },
        {"raw_body": "nonsense"},
    ]
    with (
        process(tmp_path, replies) as (_, line),
        OpenAI(base_url=line["base_url"], api_key="any", max_retries=0) as client,
    ):
        where = started(client)
        run = client.beta.threads.runs.create_and_poll(**where)
        steps = list(client.beta.threads.runs.steps.list(run.id, thread_id=where["thread_id"]))
        assert (run.status, len(steps)) == ("requires_action", 3)
        with pytest.raises(urllib.error.HTTPError) as caught:
            shown(line["root_url"], "_nothing")
        caught.value.close()
        assert caught.value.code == 404


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "replies.json:1:1: an array with at least one reply was expected"),
        ("[]", "replies.json:1:1: an array with at least one reply was expected"),
        ("[1]", "replies.json:1:2: an object was expected"),
        ('[\n {"txt": ""}]', "replies.json:2:3: `txt` is not known here; known members: `text`, `calls`"),
        ('[{"text": 1}]', "replies.json:1:11: `text` has the wrong type: `str` was expected"),
        ('[{"status": true}]', "replies.json:1:13: `status` has the wrong type: `int` was expected"),
        ('[{"calls": {}}]', "replies.json:1:12: `calls` has the wrong type"),
        ('[{"calls": [{"name": "a"}]}]', "replies.json:1:13: `raw` is missing"),
        ('[{"calls": [{"nam": "a"}]}]', "replies.json:1:14: `nam` is not known here"),
        ("[", "replies.json:1:2: "),
    ],
)
def test_replies_that_cannot_be_read_are_refused_with_their_place(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "replies.json"
    file.write_text(text, encoding="utf-8")
    assert main(["--replies", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.removeprefix(f"{tmp_path}/").startswith(message)


def test_a_file_of_replies_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--replies", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
