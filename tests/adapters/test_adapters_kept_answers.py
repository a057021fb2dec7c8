from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import pytest

import remit_adapters.ask_once
from remit.document.model import BackendEntry
from remit.errors import AdapterError
from remit.host.backends import backend_context, open_backend
from remit.ports import VendorObject
from remit.testing.assistants_server import AssistantsServer
from remit.testing.backend_contract import TEXT, Stage, infer, permit_for
from remit.testing.loopback import Reply
from remit.testing.object_register import KeptRegister
from remit_adapters.kept_answers import ANSWER, ASKING, LOCKS, Asking, KeptAnswers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from remit.ports import Backend

KEY = "sk-very-secret"
SCRIPT = remit_adapters.ask_once.__file__
handed_on = pytest.mark.skipif(not LOCKS, reason="a lock cannot be handed on to another process here")


def opened(server: AssistantsServer, register: KeptRegister, **config: Any) -> Any:
    entry = BackendEntry(
        name="b",
        adapter="openai-assistants",
        provider="p",
        region="EU",
        model="m-1",
        config={
            "base_url": server.base_url,
            "max_retries": 0,
            "api_key_env": "TEST_KEY",
            "timeout_s": 30,
            **config,
        },
    )
    return open_backend(entry, context=backend_context(environment={"TEST_KEY": KEY}, register=register))


async def asked(backend: Backend) -> list[Any]:
    turn = TEXT.turn()
    stage = Stage(backend=backend, name="b", sent=lambda: 0)
    async with aclosing(backend.infer(permit_for(stage, turn), turn)) as events:  # type: ignore[type-var]
        return [event async for event in events]


def order(answers: Path, url: str, **members: Any) -> bytes:
    (answers / f"t{ASKING}").touch()
    value = {
        "method": "POST",
        "url": url,
        "headers": [],
        "body": "",
        "timeout_s": 5,
        "proxy": "",
        "asking": str(answers / f"t{ASKING}"),
        "answer": str(answers / f"t{ANSWER}"),
        "held": None,
        **members,
    }
    return json.dumps(value).encode()


def carried_out(text: bytes) -> int:
    return subprocess.run([sys.executable, "-I", SCRIPT], input=text, timeout=60, check=False).returncode


def test_a_run_through_a_process_that_outlives_it_keeps_no_file_and_no_key(tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    seen: dict[str, bytes] = {}

    def look(step: str) -> None:
        if step == "after POST /threads":
            seen.update({file.name: file.read_bytes() for file in answers.iterdir()})

    register = KeptRegister(answers)
    with AssistantsServer(Reply(text="hello"), truth=True, on_step=look) as server:
        backend = opened(server, register)
        stage = Stage(backend=backend, name="b", sent=lambda: 0)

        async def scene() -> str:
            answer = await infer(stage, permit_for(stage, TEXT.turn()), TEXT.turn())
            await backend.dispose()
            return answer.text

        assert asyncio.run(scene()) == "hello"
        headers = [item.headers for item in server.received if item.path == "/v1/threads"]
        assert server.violations == ()
    tag = next(thing.tag for step, thing in register.notes if thing.kind == "thread")
    assert seen == {f"{tag}{ASKING}": b"asked"}
    assert list(answers.iterdir()) == []
    assert register.left == ()
    assert headers[0]["authorization"] == f"Bearer {KEY}"
    if os.name == "posix":
        assert answers.stat().st_mode & 0o777 == 0o700


@handed_on
def test_a_thread_whose_making_was_cancelled_is_found_and_deleted(tmp_path: Path) -> None:
    made, go_on = threading.Event(), threading.Event()

    def hold(step: str) -> None:
        if step == "after POST /threads":
            made.set()
            go_on.wait(20)

    async def scene(backend: Backend) -> None:
        task = asyncio.ensure_future(asked(backend))
        await asyncio.to_thread(made.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        asyncio.get_running_loop().call_later(0.2, go_on.set)
        await backend.dispose()

    register = KeptRegister(tmp_path / "answers")
    with AssistantsServer(Reply(text="hello"), on_step=hold) as server:
        asyncio.run(scene(opened(server, register)))
        assert {kind: ids for kind, ids in server.objects.items() if ids} == {}
    assert register.left == ()
    assert list((tmp_path / "answers").iterdir()) == []


def test_a_thread_that_the_server_refuses_is_known_not_to_exist(tmp_path: Path) -> None:
    register = KeptRegister(tmp_path / "answers")
    with AssistantsServer(Reply(text="hello")) as server:
        backend = opened(server, register, api_key_env="")
        answer = KeptAnswers(tmp_path / "answers").begin("t")
        done = answer.ask(
            {
                "method": "POST",
                "url": server.base_url + "/nowhere",
                "headers": [],
                "body": "",
                "timeout_s": 5,
                "proxy": "",
            }
        )
        assert 400 <= done.result(30).status < 500
        answer.leave()
        thing = VendorObject(kind="thread", tag="t")
        assert asyncio.run(disposed(backend, lambda: backend.sweep([thing]))) == ()
    assert register.notes == [("gone", thing)]


async def disposed(backend: Backend, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    try:
        return await work()
    finally:
        await backend.dispose()


def test_where_no_process_can_be_started_nothing_is_made_and_the_message_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = KeptRegister(tmp_path / "answers")
    with AssistantsServer(Reply(text="hello")) as server:
        backend = opened(server, register)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        with pytest.raises(AdapterError, match="no process can be started that keeps a vendor's answer"):
            asyncio.run(disposed(backend, lambda: asked(backend)))
        assert {kind: ids for kind, ids in server.objects.items() if ids} == {}
    assert register.left == ()
    assert list((tmp_path / "answers").iterdir()) == []


def test_a_folder_that_cannot_be_used_is_an_adapter_error_before_anything_is_planned(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("a file")
    register = KeptRegister(tmp_path / "answers")
    with AssistantsServer(Reply(text="hello")) as server:
        backend = opened(server, register)
        with pytest.raises(AdapterError, match="a vendor's answers cannot be kept in"):
            asyncio.run(disposed(backend, lambda: asked(backend)))
    assert [thing.kind for step, thing in register.notes if step == "planned"] == ["assistant"]
    assert register.left == ()


@handed_on
def test_what_was_planned_and_never_asked_is_certainly_not_there(tmp_path: Path) -> None:
    kept = KeptAnswers(tmp_path)
    asking = kept.begin("t")
    assert kept.fate("t", wait_s=0).under_way
    asking.leave()
    assert kept.fate("t", wait_s=0).never_asked


def test_a_request_that_was_sent_without_an_answer_stays_a_doubt(tmp_path: Path) -> None:
    (tmp_path / f"t{ASKING}").write_bytes(b"asked")
    fate = KeptAnswers(tmp_path).fate("t", wait_s=0)
    assert (fate.answer, fate.never_asked, fate.under_way) == (None, False, False)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"status":200,"body":"%%"}', b'{"status":"x"}', b'{"status":200}']
)
def test_an_answer_that_cannot_be_read_is_a_doubt_and_never_counts_as_gone(
    text: bytes, tmp_path: Path
) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / f"t{ASKING}").write_bytes(b"asked")
    (answers / f"t{ANSWER}").write_bytes(text)
    register = KeptRegister(answers)
    with AssistantsServer(Reply(text="hello")) as server:
        backend = opened(server, register)
        thing = VendorObject(kind="thread", tag="t")
        said = asyncio.run(disposed(backend, lambda: backend.sweep([thing])))
    assert len(said) == 1
    assert "whose id never arrived" in said[0]
    assert register.notes == []


def test_an_order_that_was_cut_off_is_not_carried_out(tmp_path: Path) -> None:
    with AssistantsServer(Reply(text="hello")) as server:
        whole = order(tmp_path, server.base_url + "/threads")
        assert carried_out(whole[:-1]) == 2
        assert carried_out(b"") == 2
        assert server.received == ()
    assert (tmp_path / f"t{ASKING}").read_bytes() == b""


def test_a_server_that_cannot_be_reached_is_written_down_as_such(tmp_path: Path) -> None:
    with AssistantsServer(Reply(text="hello")) as server:
        url = server.base_url + "/threads"
    assert carried_out(order(tmp_path, url)) == 0
    assert json.loads((tmp_path / f"t{ANSWER}").read_bytes())["failed"] == "ConnectError"
    assert (tmp_path / f"t{ASKING}").read_bytes() == b"asked"


def test_a_server_that_is_silent_is_written_down_as_such(tmp_path: Path) -> None:
    with AssistantsServer(Reply(text="hello"), on_step=lambda _: time.sleep(4)) as server:
        text = order(tmp_path, server.base_url + "/threads", timeout_s=1.5)
        assert carried_out(text) == 0
    assert json.loads((tmp_path / f"t{ANSWER}").read_bytes())["failed"] == "ReadTimeout"


def test_a_server_that_never_comes_to_an_end_is_left_after_twice_the_time_limit(tmp_path: Path) -> None:
    def dribble(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(100):
                connection.sendall(b" ")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=dribble, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/threads"
        assert carried_out(order(tmp_path, url, timeout_s=0.5)) == 3
        thread.join(30)
    assert not (tmp_path / f"t{ANSWER}").exists()
    assert (tmp_path / f"t{ASKING}").read_bytes() == b"asked"


def test_two_requests_never_share_a_tag(tmp_path: Path) -> None:
    Asking(tmp_path, "t").leave()
    with pytest.raises(AdapterError, match="cannot be kept"):
        KeptAnswers(tmp_path).begin("t")
