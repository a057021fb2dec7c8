from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest

from remit.document.model import BackendEntry
from remit.host.backends import backend_context, open_backend
from remit.host.models import catalogue, models_folder
from remit.testing.assistants_server import AssistantsServer
from remit.testing.backend_contract import BackendContract, Scene, Stage
from remit.testing.loopback import LoopbackServer, Reply
from remit.testing.object_register import KeptRegister
from remit_adapters.llama_model import release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject

Server = TypeVar("Server", LoopbackServer, AssistantsServer)
WEIGHTS = catalogue()[0].sha256
CONTEXT = backend_context()
NO_WEIGHTS = not (models_folder(os.environ) / f"{WEIGHTS}.gguf").is_file()


def entry(adapter: str, config: JsonObject) -> BackendEntry:
    return BackendEntry(
        name="subject", adapter=adapter, provider="tests", region="EU", model="subject-1", config=config
    )


@contextmanager
def checked(server: Server) -> Iterator[Server]:
    """Serve, and hold every request, response and event against the vendor's description."""
    with server:
        yield server
        assert server.violations == ()


def remote(scene: Scene, base_url: str) -> JsonObject:
    return {"base_url": base_url, "max_retries": 0, "timeout_s": 0.5 if scene.silent else 20}


def scripted_step(reply: Reply) -> JsonObject:
    step: JsonObject = {"say": reply.text, "hang_s": reply.hang_s}
    if reply.status != 200:
        return {"fail": {"message": reply.text, "retryable": True}}
    if reply.broken:
        return {"say": reply.text, "fail": "the transcript breaks off"}
    if reply.finish == "content_filter":
        step["stop"] = "refused"
    elif reply.finish == "length":
        step["stop"] = "length"
    return step


class TestScripted(BackendContract):
    exempt: ClassVar = {"silent": "a transcript has no connection that could be silent"}

    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        steps: list[JsonObject] = [scripted_step(scene.reply)]
        if scene.reply.calls and len(scene.reply.calls) == 1:
            steps[0]["raw_call"] = {"name": scene.reply.calls[0].name, "raw": scene.reply.calls[0].raw}
        elif scene.reply.calls:
            steps[0]["raw_calls"] = [{"name": call.name, "raw": call.raw} for call in scene.reply.calls]
        backend = open_backend(entry("scripted", {"script": [*steps], "on_end": "repeat"}), context=CONTEXT)
        yield Stage(backend=backend, name="subject", sent=lambda: 0)


class TestOpenAiChat(BackendContract):
    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        with checked(LoopbackServer(scene.reply, truth=True)) as server:
            backend = open_backend(entry("openai-chat", remote(scene, server.base_url)), context=CONTEXT)
            yield Stage(backend=backend, name="subject", sent=lambda: len(server.received))


class TestOpenAiResponses(BackendContract):
    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        with checked(LoopbackServer(scene.reply, truth=True)) as server:
            backend = open_backend(entry("openai-responses", remote(scene, server.base_url)), context=CONTEXT)
            yield Stage(backend=backend, name="subject", sent=lambda: len(server.received))


class AssistantsContract(BackendContract):
    mode = ""

    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        register = KeptRegister()
        with checked(AssistantsServer(scene.reply, truth=True)) as server:
            config: JsonObject = {
                **remote(scene, server.base_url),
                "mode": self.mode,
                "poll_interval_s": 0.02,
            }
            context = backend_context(register=register)
            backend = open_backend(entry("openai-assistants", config), context=context)
            yield Stage(backend=backend, name="subject", sent=lambda: len(server.received))
            assert {kind: list(ids) for kind, ids in server.objects.items() if ids} == {}
            assert register.left == ()


class TestOpenAiAssistantsStreaming(AssistantsContract):
    mode = "stream"


class TestOpenAiAssistantsPolling(AssistantsContract):
    exempt: ClassVar = {"broken": "a run that is polled for has no stream that could break off"}
    mode = "poll"


def llama_config(mode: str) -> JsonObject:
    return {"model_sha256": WEIGHTS, "tool_mode": mode, "context_tokens": 2048}


@pytest.fixture(scope="class")
def kept_in_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold the model over the class, as a second user does, so that it is loaded once."""
    backend = open_backend(entry("llama-cpp", llama_config(request.cls.mode)), context=CONTEXT)
    key, _ = backend._load()
    yield
    release(key)


class LlamaCppContract(BackendContract):
    exact_text = False
    exempt: ClassVar = {
        "parallel": "a small model asks for one order at a time",
        "malformed": "arguments are written under a grammar",
        "unknown_tool": "names are written under a grammar",
        "refused": "the engine has no filter",
        "broken": "there is no connection to break",
        "overloaded": "there is no server to be overloaded",
        "failing": "there is no server to fail",
        "silent": "there is no connection that could be silent",
        "partial": "a small model may finish within the bound",
    }
    mode = ""

    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        backend = open_backend(entry("llama-cpp", llama_config(self.mode)), context=CONTEXT)
        yield Stage(backend=backend, name="subject", sent=lambda: 0)


@pytest.mark.model
@pytest.mark.usefixtures("kept_in_memory")
@pytest.mark.skipif(NO_WEIGHTS, reason="the embedded model's weights are not in the cache: remit models pull")
class TestLlamaCppEnvelope(LlamaCppContract):
    mode = "envelope"


@pytest.mark.model
@pytest.mark.usefixtures("kept_in_memory")
@pytest.mark.skipif(NO_WEIGHTS, reason="the embedded model's weights are not in the cache: remit models pull")
class TestLlamaCppNative(LlamaCppContract):
    mode = "native"
