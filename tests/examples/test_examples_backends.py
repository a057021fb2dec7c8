"""The refund desk on three back-ends: where the model asks for the same calls, the decisions are the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest
from examples_support import MODEL_SHA256, SCENES, build, copy_example

from remit import Caller, Runtime
from remit.document.revision import genesis
from remit.host.events import CallProposed
from remit.host.models import models_folder

if TYPE_CHECKING:
    from pathlib import Path

    from remit import Document, RunResult
    from remit.document.values import JsonObject, JsonValue
    from remit.host.events import RunEvent

WEIGHTS = models_folder(os.environ) / f"{MODEL_SHA256}.gguf"
ANA = Caller(id="ana", roles=("clerk",), attributes={"jurisdiction": "EU"})
PLAYED = ("small-refund", "too-large")


def _with_config(document: Document, name: str, config: JsonObject) -> Document:
    """The same agent but for the config of one back-end."""
    return _with_configs(document, {name: config})


def _with_configs(document: Document, configs: dict[str, JsonObject]) -> Document:
    """The same agent but for the configs of some back-ends."""
    capabilities = dict(document.capabilities.value)
    entries = cast("list[JsonObject]", capabilities["backends"])
    changed: list[JsonValue] = [
        {**entry, "config": configs[str(entry["name"])]} if entry["name"] in configs else entry
        for entry in entries
    ]
    fields: JsonObject = {
        "memory": {"blocks": document.memory.value["blocks"]},
        "governance": document.governance.value,
        "capabilities": {**capabilities, "backends": changed},
        "execution_state": document.execution_state.value,
        "lineage": {"parents": []},
    }
    return genesis(fields, nonce="0" * 32)


def _play(
    document: Document, project: Path, store: Path, backend: str, text: str
) -> tuple[RunResult, list[tuple[str, JsonObject | None]]]:
    for database in project.glob("desk.sqlite3*"):
        database.unlink()
    events: list[RunEvent] = []
    with Runtime.open(document, store=store, folder=project, backend=backend) as runtime:
        result = runtime.run(text, caller=ANA, on_event=events.append)
    return result, [(event.tool, event.arguments) for event in events if isinstance(event, CallProposed)]


def _trace(result: RunResult) -> list[tuple[object, ...]]:
    # The agents' ids differ (another config is another agent), so resources that name the agent are left out.
    return [(step.action, step.verdict, step.kind, step.rules, step.because) for step in result.steps]


@pytest.mark.model
@pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="the embedded model's weights are not in the cache: remit models pull"
)
def test_the_decision_trace_is_the_same_in_process_behind_a_server_and_from_a_transcript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remit_adapters.llama_server import llama_server

    monkeypatch.delenv("REFUND_DESK_DB", raising=False)
    project = copy_example("refund-desk", tmp_path)
    document = build(project)
    local = {
        name: _play(document, project, tmp_path / f"local-{name}", "local", SCENES[name]) for name in PLAYED
    }
    with llama_server(WEIGHTS, sha256=MODEL_SHA256) as served:
        monkeypatch.setenv("LOCAL_KEY", served.api_key)
        remote = _with_config(
            document,
            "server",
            {"base_url": served.base_url, "api_key_env": "LOCAL_KEY", "tool_mode": "envelope"},
        )
        server = {
            name: _play(remote, project, tmp_path / f"server-{name}", "server", SCENES[name])
            for name in PLAYED
        }
    for name in PLAYED:
        result, calls = local[name]
        assert [tool for tool, _ in calls] == ["refund"]
        script: list[JsonValue] = [
            *({"call": {"name": tool, "arguments": arguments}} for tool, arguments in calls),
            {"say": "done"},
        ]
        written = _with_config(document, "scripted", {"script": script})
        replayed, _ = _play(written, project, tmp_path / f"scripted-{name}", "scripted", SCENES[name])
        assert calls == server[name][1]
        assert _trace(result) == _trace(server[name][0]) == _trace(replayed)
        assert result.status == server[name][0].status == replayed.status
    assert local["too-large"][0].status == "completed"


@pytest.mark.model
@pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="the embedded model's weights are not in the cache: remit models pull"
)
def test_one_document_runs_on_the_llama_cpp_server_through_chat_responses_and_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remit_adapters.llama_server import llama_server

    monkeypatch.delenv("REFUND_DESK_DB", raising=False)
    project = copy_example("refund-desk", tmp_path)
    with llama_server(WEIGHTS, sha256=MODEL_SHA256, native=True) as served:
        monkeypatch.setenv("LOCAL_KEY", served.api_key)
        at: JsonObject = {"base_url": served.base_url, "api_key_env": "LOCAL_KEY"}
        root: JsonObject = {**at, "base_url": served.base_url.removesuffix("/v1"), "temperature": "send"}
        document = _with_configs(build(project), {"server": at, "responses": at, "messages": root})
        for scene in ("lookup", "too-large"):
            played = {
                name: _play(document, project, tmp_path / f"{scene}-{name}", name, SCENES[scene])
                for name in ("server", "responses", "messages")
            }
            chat, calls = played["server"]
            assert [tool for tool, _ in calls] == ["refund" if scene == "too-large" else "lookup_order"]
            for result, proposed in played.values():
                assert result.status == "completed"
                assert proposed == calls
                assert result.steps == chat.steps
