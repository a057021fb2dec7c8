from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from remit.document.model import BackendEntry
from remit.errors import AdapterError
from remit.host.backends import backend_context, known_adapters, open_backend
from remit.messages import Message, TokenUsage
from remit.testing.backend_contract import TEXT, Answer, Stage, infer, permit_for

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.values import JsonObject
    from remit.ports import Backend


def opened(config: JsonObject, folder: Path | None = None) -> Backend:
    entry = BackendEntry(name="b", adapter="scripted", provider="p", region="EU", model="m", config=config)
    return open_backend(entry, context=backend_context(folder=folder, environment={"HOME": "/h"}))


def answered(backend: Backend, said: int) -> Answer:
    messages = [Message(role="user", text="hi")]
    messages += [Message(role="assistant", text="said") for _ in range(said)]
    turn = replace(TEXT.turn(), messages=tuple(messages))
    stage = Stage(backend=backend, name="b", sent=lambda: 0)

    async def ask() -> Answer:
        return await infer(stage, permit_for(stage, turn), turn)

    return asyncio.run(ask())


def test_the_position_comes_from_the_thread_so_that_another_process_goes_on_where_it_stood() -> None:
    config: JsonObject = {"script": [{"say": "one"}, {"say": "two"}]}
    assert [answered(opened(config), said).text for said in (1, 0, 1, 2)] == ["two", "one", "two", ""]


def test_a_repeating_transcript_starts_again() -> None:
    backend = opened({"script": [{"say": "one"}, {"say": "two"}], "on_end": "repeat"})
    assert [answered(backend, said).text for said in range(5)] == ["one", "two", "one", "two", "one"]


def test_text_keeps_its_white_space() -> None:
    said = "  two  spaces\n\nand a line "
    assert answered(opened({"script": [{"say": said}]}), 0).text == said


def test_written_usage_is_reported_as_written() -> None:
    usage: JsonObject = {"input_tokens": 5, "output_tokens": 6, "cost_microusd": 7}
    answer = answered(opened({"script": [{"say": "x", "usage": usage}]}), 0)
    assert answer.ends[0].usage == TokenUsage(input_tokens=5, output_tokens=6, cost_microusd=7)


def test_a_transcript_may_lie_in_the_project_folder(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text("script:\n  - say: from a file\n", encoding="utf-8")
    assert answered(opened({"path": "case.yaml"}, tmp_path), 0).text == "from a file"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "exactly one of `script` and `path`"),
        ({"script": []}, "at least one step"),
        ({"script": ["say"]}, "`script[0]`: is a string, not an object"),
        ({"script": [{}]}, "a step needs at least one of"),
        ({"script": [{"say": 1}]}, "`say`: is an integer, not a string"),
        ({"script": [{"call": {"name": "x", "args": {}}}]}, "`args`: is not known here"),
        ({"script": [{"call": {"name": "x", "arguments": []}}]}, "`arguments`: is an array, not an object"),
        ({"script": [{"say": "x", "stop": "later"}]}, "`later` is not one of"),
        ({"script": [{"hang_s": -1}]}, "is not between 0 and 3600"),
        ({"path": "../outside.yaml"}, "leads out of the project folder"),
        ({"path": "absent.yaml"}, "cannot be read"),
    ],
)
def test_a_config_that_is_not_acceptable_names_the_member(
    config: JsonObject, message: str, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError) as failure:
        opened(config, tmp_path / "project")
    assert message in str(failure.value)


def test_an_unknown_adapter_lists_the_known_ones() -> None:
    entry = BackendEntry(name="b", adapter="telepathy", provider="p", region="EU", model="m", config={})
    with pytest.raises(
        AdapterError, match="no adapter is called `telepathy`; installed adapters: `anthropic`, "
    ):
        open_backend(entry, context=backend_context())
    assert set(known_adapters()) >= {
        "anthropic",
        "google",
        "llama-cpp",
        "openai-assistants",
        "openai-chat",
        "openai-responses",
        "scripted",
    }


def test_a_missing_package_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    config: JsonObject = {"base_url": "http://127.0.0.1:1/v1"}
    entry = BackendEntry(name="b", adapter="openai-chat", provider="p", region="EU", model="m", config=config)
    with pytest.raises(AdapterError, match=r"install `remit\[openai\]`"):
        open_backend(entry, context=backend_context())
