from __future__ import annotations

import json
from importlib import import_module

import pytest
from exchange_hostility import OTHER_TYPES

from remit.document.json_text import parse_json
from remit.errors import DocumentError
from remit.exchange.export import WRITERS, writer
from remit.exchange.registry import READERS, detect, read_agents, reader

SAMPLES: dict[str, object] = {
    "openai-assistant": {"object": "assistant", "id": "asst_1", "model": "gpt-4o", "tools": []},
    "agent-framework": {"kind": "Prompt", "name": "a", "instructions": "b"},
    "docker-agent": {"agents": {"root": {"model": "openai/gpt-4o", "instruction": "b"}}},
    "letta": {"agents": [], "blocks": [], "tools": [], "mcp_servers": [], "metadata": {}, "created_at": "x"},
    "agent-spec": {"component_type": "Agent", "name": "a", "agentspec_version": "25.4.1"},
    "a2a": {"name": "a", "url": "https://a.example", "skills": [], "capabilities": {}},
}


@pytest.mark.parametrize("name", READERS)
def test_every_reader_is_found_under_its_own_name(name: str) -> None:
    assert reader(name).name == name


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_is_found_from_content_and_no_other_claims_it(name: str) -> None:
    parsed = parse_json(json.dumps(SAMPLES[name]).encode())
    assert [found for found in READERS if reader(found).detects(parsed.value)] == [name]
    assert detect(parsed).name == name


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("value", OTHER_TYPES)
def test_detection_answers_for_any_value(name: str, value: object) -> None:
    assert reader(name).detects(parse_json(json.dumps(value).encode()).value) is False


@pytest.mark.parametrize("data", [b"{}", b"[]", b"hello", b'"hello"', b"a: 1", b'{"name": "x"}'])
def test_what_is_no_agent_is_refused_with_the_formats_that_could_be_named(data: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        read_agents(data, file="agent.json")
    assert str(caught.value).startswith("agent.json:1:1: this is no agent of a format that can be read")
    assert all(name in str(caught.value) for name in READERS)


def test_a_file_that_could_be_two_formats_is_not_guessed() -> None:
    value = {**SAMPLES["agent-spec"], **SAMPLES["a2a"]}  # type: ignore[dict-item]
    with pytest.raises(DocumentError) as caught:
        read_agents(json.dumps(value).encode(), file="agent.json")
    assert "more than one format: `agent-spec`, `a2a`; say which with `--format agent-spec`" in str(
        caught.value
    )
    assert read_agents(json.dumps(value).encode(), format="a2a")[0].format == "a2a"


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        DocumentError, match=r"`crew` is no format that can be read; use one of openai-assistant"
    ):
        reader("crew")
    with pytest.raises(DocumentError, match=r"`letta` is no format that can be written; use one of a2a"):
        writer("letta")


@pytest.mark.parametrize("module", [*READERS.values(), *WRITERS.values()])
def test_no_reader_or_writer_reaches_for_files_networks_or_programs(module: str) -> None:
    import ast
    from pathlib import Path

    source = Path(str(import_module(f"remit.exchange.{module}").__file__)).read_text(encoding="utf-8")
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert names.isdisjoint({"open", "eval", "exec", "compile", "__import__", "print"})
    assert imported.isdisjoint({"os", "subprocess", "socket", "urllib", "http", "importlib", "pathlib"})


def test_a_file_of_too_many_agents_is_refused() -> None:
    data = b"---\n".join([b"kind: Prompt\n"] * 300)
    with pytest.raises(DocumentError, match="the file holds 300 agents, more than the 256 allowed; split it"):
        read_agents(data)
    many = json.dumps([SAMPLES["openai-assistant"]] * 300).encode()
    with pytest.raises(DocumentError, match="the file holds 300 agents"):
        read_agents(many)
