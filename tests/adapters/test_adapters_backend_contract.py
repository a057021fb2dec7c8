from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import pytest

from remit.document.model import BackendEntry
from remit.host.backends import backend_context, open_backend
from remit.host.models import catalogue, models_folder
from remit.testing.backend_contract import BackendContract, Scene, Stage
from remit.testing.loopback import LoopbackServer, Reply
from remit_adapters.llama_model import release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject

WEIGHTS = catalogue()[0].sha256
CONTEXT = backend_context()
NO_WEIGHTS = not (models_folder(os.environ) / f"{WEIGHTS}.gguf").is_file()


def entry(adapter: str, config: JsonObject) -> BackendEntry:
    return BackendEntry(
        name="subject", adapter=adapter, provider="tests", region="EU", model="subject-1", config=config
    )


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
    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        steps: list[JsonObject] = [scripted_step(scene.reply)]
        if scene.reply.calls and len(scene.reply.calls) == 1:
            steps[0]["raw_call"] = {"name": scene.reply.calls[0].name, "raw": scene.reply.calls[0].raw}
        elif scene.reply.calls:
            steps[0]["raw_calls"] = [{"name": call.name, "raw": call.raw} for call in scene.reply.calls]
        backend = open_backend(entry("scripted", {"script": [*steps]}), context=CONTEXT)
        yield Stage(backend=backend, name="subject", sent=lambda: 0)


class TestOpenAiChat(BackendContract):
    @contextmanager
    def stage(self, scene: Scene) -> Iterator[Stage]:
        with LoopbackServer(scene.reply) as server:
            config: JsonObject = {"base_url": server.base_url, "max_retries": 0, "timeout_s": 20}
            backend = open_backend(entry("openai-chat", config), context=CONTEXT)
            yield Stage(backend=backend, name="subject", sent=lambda: len(server.received))


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
