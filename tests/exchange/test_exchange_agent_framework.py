from __future__ import annotations

import json

import pytest
from exchange_hostility import (
    broken,
    documents,
    is_read_or_refused,
    read_bytes,
    read_value,
    said,
    shared_file,
)
from hypothesis import HealthCheck, given, settings

from remit.errors import DocumentError

NAME = "agent-framework"
AGENT = {
    "kind": "Prompt",
    "name": "Assistant",
    "displayName": "The assistant",
    "description": "Helpful assistant",
    "metadata": {"tags": ["a"]},
    "instructions": "You are helpful.",
    "additionalInstructions": "Be brief.",
    "model": {
        "id": "gpt-4.1-mini",
        "provider": "OpenAI",
        "apiType": "Assistants",
        "options": {"temperature": 0.9, "topP": 0.95},
        "connection": {"kind": "ApiKey", "key": "=Env.OPENAI_API_KEY"},
    },
    "tools": [
        {
            "kind": "function",
            "name": "GetWeather",
            "description": "Get the weather.",
            "bindings": {"get_weather": "get_weather"},
            "parameters": {
                "properties": {
                    "location": {"kind": "string", "description": "The city", "required": True},
                    "unit": {"type": "string", "enum": ["c", "f"], "required": False},
                    "days": {"kind": "array", "items": {"kind": "int"}},
                    "more": {
                        "kind": "object",
                        "properties": [{"name": "deep", "kind": "bool", "required": True}],
                    },
                }
            },
        },
        {
            "kind": "mcp",
            "name": "learn",
            "url": "https://user:word@learn.example/api/mcp?key=1",
            "approvalMode": {
                "kind": "specify",
                "alwaysRequireApprovalTools": ["b"],
                "neverRequireApprovalTools": ["a"],
            },
            "allowedTools": ["a", "b", "c"],
        },
        {"kind": "web_search", "name": "s"},
        {"kind": "file_search", "vectorStoreIds": ["vs_1"], "maximumResultCount": 3, "ranker": "auto"},
        {"kind": "openapi", "name": "o", "specification": "https://x.example/openapi.json"},
    ],
    "outputSchema": {"properties": {"answer": {"type": "string", "required": True}}},
}


def test_a_prompt_agent_becomes_instructions_tools_and_a_back_end() -> None:
    (agent,) = read_value(NAME, AGENT)
    assert (agent.name, agent.instructions) == ("Assistant", "You are helpful.\n\nBe brief.")
    assert [(tool.name, tool.source, tool.ask) for tool in agent.tools] == [
        ("GetWeather", None, False),
        ("a", {"mcp": {"url": "https://learn.example/api/mcp"}}, False),
        ("b", {"mcp": {"url": "https://learn.example/api/mcp"}}, True),
        ("c", {"mcp": {"url": "https://learn.example/api/mcp"}}, True),
    ]
    assert agent.tools[0].parameters == {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "array", "items": {"type": "integer"}},
            "more": {"type": "object", "properties": {"deep": {"type": "boolean"}}, "required": ["deep"]},
        },
        "required": ["location"],
    }
    assert agent.builtins == (
        {"name": "web_search", "required": False},
        {"name": "file_search", "required": False, "config": {"max_num_results": 3}},
    )
    assert agent.backends == (
        {
            "name": "openai",
            "adapter": "openai-responses",
            "provider": "openai",
            "region": "undecided",
            "model": "gpt-4.1-mini",
            "config": {"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"},
        },
    )
    assert agent.extensions["outputSchema"] == {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
    }
    documents(NAME, json.dumps(AGENT).encode())


def test_everything_of_a_prompt_agent_is_carried_lost_or_to_decide() -> None:
    (agent,) = read_value(NAME, AGENT)
    for what in (
        "`bindings`",
        "`options`",
        "`outputSchema`",
        "user, password and query",
        "`displayName`",
        "`ranker`",
    ):
        assert what in said(agent, "lost")
    for what in ("2026-08-26", "`vs_1`", "of kind `openapi`", "--fetch-tools"):
        assert what in said(agent, "decide")
    assert "environment variable `OPENAI_API_KEY`" in said(agent, "carried")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"instructions": "=Concat(1)"}, "`instructions` is the expression `=Concat(1)`"),
        ({"name": "=Env.NAME"}, "`name` is the expression `=Env.NAME`"),
        ({"model": {"id": "=Env.MODEL", "provider": "OpenAI"}}, "environment variable `MODEL`"),
        (
            {"model": {"id": "m", "connection": {"kind": "remote", "endpoint": "=Env.URL"}}},
            "environment variable `URL`",
        ),
        (
            {"model": {"id": "m", "connection": {"kind": "reference", "name": "shared"}}},
            "the connection `shared` is defined elsewhere",
        ),
        ({"model": {"id": "m", "provider": "Contoso"}}, "the model names `Contoso`"),
        ({"model": "gpt-4o"}, "the model names no provider"),
        ({"template": {"format": {"kind": "mustache"}}}, "`template` renders the instructions"),
    ],
)
def test_what_only_a_running_framework_knows_is_left_to_a_person(
    change: dict[str, object], what: str
) -> None:
    (agent,) = read_value(NAME, {**AGENT, **change})
    assert what in said(agent, "decide")
    assert "=" not in agent.instructions
    documents(NAME, json.dumps({**AGENT, **change}).encode())


def test_a_key_in_the_file_is_never_carried() -> None:
    model = {**AGENT["model"], "connection": {"kind": "key", "apiKey": "sk-123"}}  # type: ignore[dict-item]
    (agent,) = read_value(NAME, {**AGENT, "model": model})
    assert "secrets are not carried" in said(agent, "lost")
    assert "sk-123" not in repr(agent)


def test_a_variable_is_not_named_beside_an_address_out_of_the_file() -> None:
    connection = {"kind": "key", "endpoint": "https://elsewhere.example/v1", "key": "=Env.GITHUB_TOKEN"}
    model = {"id": "m", "provider": "AzureOpenAI", "apiType": "Responses", "connection": connection}
    (agent,) = read_value(NAME, {**AGENT, "model": model})
    assert agent.backends[0]["config"] == {"base_url": "https://elsewhere.example/v1/openai/v1"}
    assert "`GITHUB_TOKEN`: name it as `api_key_env`" in said(agent, "decide")


def test_the_agent_inside_a_manifest_is_read() -> None:
    manifest = {
        "name": "m",
        "template": AGENT,
        "parameters": {"properties": {}},
        "resources": [{"kind": "model", "id": "gpt"}],
    }
    (agent,) = read_value(NAME, manifest)
    assert agent.name == "Assistant"
    assert "`resources` of the manifest" in said(agent, "decide")


def test_a_tool_without_a_name_is_refused_at_its_place() -> None:
    tool = {"kind": "mcp", "url": "https://x.example", "allowedTools": ["a", ""]}
    with pytest.raises(DocumentError, match="`/tools/0/allowedTools/1` must not be empty"):
        read_value(NAME, {"kind": "Prompt", "tools": [tool]})


@pytest.mark.parametrize("kind", ["hosted", "Workflow", "container"])
def test_a_program_is_refused_with_the_reason(kind: str) -> None:
    data = f"name: x\ntemplate:\n  kind: {kind}\n  name: x\n".encode()
    with pytest.raises(DocumentError) as caught:
        read_bytes(NAME, data, file="agent.yaml")
    assert f"agent.yaml:3:9: `kind` is `{kind}`, which runs a program of its own" in str(caught.value)


@pytest.mark.parametrize("mode", ["never", {"kind": "never"}])
def test_only_never_means_that_nobody_confirms(mode: object) -> None:
    def asks(**more: object) -> list[bool]:
        tool = {"kind": "mcp", "url": "https://x.example", "allowedTools": ["a"], **more}
        (agent,) = read_value(NAME, {"kind": "Prompt", "tools": [tool]})
        return [tool.ask for tool in agent.tools]

    assert asks(approvalMode=mode) == [False]
    assert asks() == [True]
    assert asks(approvalMode="onFailure") == [True]
    assert asks(requireApproval="requireSpecific") == [True]


SAMPLES = ["AzureOpenAIAssistants.yaml", "GetWeather.yaml", "OpenAIAssistants.yaml"]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_framework_s_own_samples_become_documents(name: str) -> None:
    data = shared_file("ms-agent-framework", name)
    (agent,) = read_bytes(NAME, data)
    assert agent.name == "Assistant"
    assert agent.instructions.startswith("You are a helpful assistant.")
    assert read_bytes(NAME, data) == (agent,)
    assert documents(NAME, data)


def test_the_sample_for_openai_assistants_gets_the_back_end_that_still_works() -> None:
    (agent,) = read_bytes(NAME, shared_file("ms-agent-framework", "OpenAIAssistants.yaml"))
    assert [entry["adapter"] for entry in agent.backends] == ["openai-responses"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(broken(AGENT))
def test_an_agent_with_members_of_wrong_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused(NAME, value)
