"""What every back-end over HTTP keeps to: one route, nothing ambient, bounded answers, no key in a message."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from remit.document.model import BackendEntry
from remit.errors import AdapterError
from remit.host.backends import backend_context, open_backend
from remit.ports import VendorObject
from remit.testing.assistants_server import AssistantsServer
from remit.testing.backend_contract import CALL, TEXT, Answer, Stage, infer, permit_for
from remit.testing.loopback import LoopbackServer, Reply
from remit.testing.object_register import KeptRegister
from remit_adapters import transport
from remit_adapters.assistants_wire import RunAnswer
from remit_adapters.chat_wire import ChatStream
from remit_adapters.responses_wire import ResponsesStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from remit.document.values import JsonObject
    from remit.messages import Turn

KEY = {"TEST_KEY": "sk-very-secret-key"}
HTTP = ("openai-chat", "openai-responses", "anthropic", "google", "openai-assistants")


def entry(adapter: str, base_url: str, /, **config: Any) -> BackendEntry:
    return BackendEntry(
        name="b",
        adapter=adapter,
        provider="p",
        region="EU",
        model="m-1",
        config={"base_url": base_url, "api_key_env": "TEST_KEY", "max_retries": 0} | config,
    )


def asked(declared: BackendEntry, turn: Turn, register: KeptRegister | None = None) -> Answer:
    async def ask() -> Answer:
        context = backend_context(environment=KEY, register=register or KeptRegister())
        backend = open_backend(declared, context=context)
        stage = Stage(backend=backend, name="b", sent=lambda: 0)
        try:
            return await infer(stage, permit_for(stage, turn), turn)
        finally:
            try:
                await backend.dispose()
            except AdapterError as error:
                disposal.append(str(error))

    disposal: list[str] = []
    return asyncio.run(ask())


def base_of(server: LoopbackServer, adapter: str) -> str:
    return server.root_url if adapter in ("anthropic", "google") else server.base_url


@pytest.mark.parametrize("adapter", HTTP[:4])
def test_nothing_of_the_environment_changes_key_headers_or_route(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackServer(Reply(text="from the proxy")) as proxy, LoopbackServer(Reply(text="ok")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.root_url)
        for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
            monkeypatch.setenv(name, "Authorization: Bearer ambient\nX-Api-Key: ambient")
        monkeypatch.setenv("OPENAI_BASE_URL", proxy.base_url)
        answer = asked(entry(adapter, base_of(server, adapter)), TEXT.turn())
        assert proxy.received == ()
        headers = str(server.received[0].headers)
    assert answer.text == "ok"
    assert "ambient" not in headers
    assert "sk-very-secret-key" in headers


def test_a_proxy_that_the_document_names_is_used() -> None:
    with LoopbackServer(Reply(text="through the proxy")) as proxy:
        declared = entry("openai-chat", "http://models.invalid/v1", proxy=proxy.root_url)
        answer = asked(declared, TEXT.turn())
        # A proxy is asked for the whole address.
        assert [item.path for item in proxy.received] in (
            ["http://models.invalid/v1/chat/completions"],
            ["/v1/chat/completions"],
        )
    assert answer.error is None or "404" in str(answer.error)


@pytest.mark.parametrize("adapter", HTTP[:4])
def test_an_answer_without_end_is_cut_off(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 4096)
    with LoopbackServer(Reply(raw_body=b"data: " + b"x" * 100_000)) as server:
        answer = asked(entry(adapter, base_of(server, adapter)), TEXT.turn())
    assert isinstance(answer.error, AdapterError)
    assert "4,096 bytes" in str(answer.error)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"base_url": "http://[::1/v1"}, "is no address"),
        ({"base_url": "http://127.0.0.1:99999999/v1"}, "is no address"),
        ({"base_url": "mailto:x"}, "is not an http or https address"),
        ({"proxy": "http://user:pw@proxy.example"}, "holds more than an address"),
    ],
)
@pytest.mark.parametrize("adapter", HTTP)
def test_an_address_that_is_none_is_named(adapter: str, config: dict[str, Any], message: str) -> None:
    declared = entry(adapter, "http://127.0.0.1:1/v1", **config)
    with pytest.raises(AdapterError) as failure:
        open_backend(declared, context=backend_context(environment=KEY))
    assert message in str(failure.value)


def hidden(text: str) -> str:
    return text.replace("sk-very-secret-key", "***")


@pytest.mark.parametrize(
    "fed",
    [
        lambda: list(
            ChatStream(TEXT.turn(), backend="b", safe=hidden).feed(
                {"error": {"message": "sk-very-secret-key"}}
            )
        ),
        lambda: list(
            ResponsesStream(TEXT.turn(), backend="b", safe=hidden).feed(
                {"type": "response.failed", "response": {"error": {"message": "sk-very-secret-key"}}}
            )
        ),
        lambda: list(
            RunAnswer(TEXT.turn(), backend="b", safe=hidden).feed(
                {"event": "error", "data": {"message": "sk-very-secret-key"}}
            )
        ),
    ],
)
def test_a_failure_within_a_stream_is_told_without_the_key(fed: Callable[[], object]) -> None:
    with pytest.raises(AdapterError, match=r"\*\*\*") as failure:
        fed()
    assert "sk-very" not in str(failure.value)


class _Scripted(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: tuple[int, str, bytes] = (200, "application/json", b"{}")
    seen = 0

    def _say(self) -> None:
        type(self).seen += 1
        self.rfile.read(int(self.headers.get("content-length", "0")))
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _say  # noqa: N815  # the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the standard library's name
        """Say nothing."""


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[tuple[str, type[_Scripted]]]:
    handler = type("Handler", (_Scripted,), {"answer": (status, kind, body), "seen": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


LEFT = (
    VendorObject(kind="assistant", tag="a" * 32, id="asst_1"),
    VendorObject(kind="assistant", tag="b" * 32),
    VendorObject(kind="thread", tag="c" * 32, id="thread_1"),
    VendorObject(kind="file", tag="d" * 32, id="file-1"),
)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<html>log in</html>"),
        (200, "application/json", b'{"data":"no"}'),
        (200, "application/json", b'{"object":"list","data":[],"has_more":"yes"}'),
        (200, "application/json", b'{"id":"asst_1","deleted":false}'),
        (200, "application/json", b'{"data":[{"id":"x"}],"has_more":true}'),
        (404, "text/html", b"<html>no such page</html>"),
        (500, "application/json", b'{"error":{"message":"no"}}'),
    ],
)
def test_what_nobody_says_is_deleted_is_never_noted_as_gone(status: int, kind: str, body: bytes) -> None:
    register = KeptRegister()
    with answering(status, kind, body) as (base_url, handler):

        async def sweep() -> tuple[str, ...]:
            context = backend_context(environment=KEY, register=register)
            backend: Any = open_backend(entry("openai-assistants", base_url), context=context)
            try:
                return tuple(await backend.sweep(LEFT))
            finally:
                await backend.dispose()

        doubts = asyncio.run(sweep())
        assert handler.seen < 50
    assert register.notes == []
    assert doubts
    assert all("back-end `b`" in doubt for doubt in doubts)


def test_a_create_that_was_never_answered_stays_planned_until_a_later_sweep_decides() -> None:
    register = KeptRegister()
    slow = threading.Event()

    def late(step: str) -> None:
        if step == "before POST /assistants":
            slow.wait(3)

    with AssistantsServer(Reply(text="x"), on_step=late) as server:
        answer = asked(entry("openai-assistants", server.base_url, timeout_s=0.3), TEXT.turn(), register)
        assert isinstance(answer.error, AdapterError)
        assert [thing.kind for thing in register.left] == ["assistant"]
        slow.set()
        for _ in range(100):
            if server.objects["assistants"]:
                break
            threading.Event().wait(0.05)
        assert len(server.objects["assistants"]) == 1

        async def sweep(*left: VendorObject) -> tuple[str, ...]:
            context = backend_context(environment=KEY, register=register)
            backend: Any = open_backend(entry("openai-assistants", server.base_url), context=context)
            try:
                return tuple(await backend.sweep(left))
            finally:
                await backend.dispose()

        absent = VendorObject(kind="assistant", tag="f" * 32, recent=True)
        doubts = asyncio.run(sweep(*register.left, absent))
        assert len(doubts) == 1
        assert "may still be under way" in doubts[0]
        assert server.objects["assistants"] == ()
    assert register.left == ()


def test_a_run_that_waits_for_something_that_is_no_call_is_a_refusal() -> None:
    from remit.messages import TokenUsage
    from remit_adapters.config import ConfigReader
    from remit_adapters.endpoint import read_endpoint

    declared = entry("openai-assistants", "http://127.0.0.1:1/v1")
    endpoint = read_endpoint(
        ConfigReader.of_entry(declared), declared, backend_context(environment=KEY), path_hint=""
    )
    answer = RunAnswer(CALL.turn(), backend="b")
    run: JsonObject = {
        "id": "run_1",
        "status": "requires_action",
        "required_action": {"type": "submit_new_thing"},
    }
    list(answer.feed({"event": "thread.run.requires_action", "data": run}))
    (end,) = answer.end(endpoint=endpoint, counted=TokenUsage(), detail={})
    assert getattr(end, "stop", "") == "refused"


def test_an_event_of_no_wire_is_passed_over() -> None:
    answer = RunAnswer(CALL.turn(), backend="b")
    assert list(answer.feed({})) == []
    assert list(answer.feed({"event": "ping", "data": {}})) == []
