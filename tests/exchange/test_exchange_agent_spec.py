from __future__ import annotations

import json
import re

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
from remit.exchange.agent_spec import READER


def component(kind: str, name: str, **members: object) -> dict[str, object]:
    return {
        "component_type": kind,
        "id": f"id-{name}",
        "name": name,
        "description": None,
        "metadata": {},
        **members,
    }


def text_input(title: str, **members: object) -> dict[str, object]:
    return {"title": title, "type": "string", **members}


VLLM = component(
    "VllmConfig", "llm", url="models.example:8000", model_id="m", default_generation_parameters=None
)
TOOL = component(
    "ServerTool", "look up", inputs=[text_input("word"), text_input("more", default="")], outputs=[]
)


def agent(name: str = "desk", **members: object) -> dict[str, object]:
    return component(
        "Agent",
        name,
        **{
            "inputs": [],
            "outputs": [],
            "llm_config": VLLM,
            "system_prompt": f"You are {name}.",
            "tools": [TOOL],
            "agentspec_version": "25.4.1",
            **members,
        },
    )


def transport(kind: str, **members: object) -> dict[str, object]:
    return component(kind, "server", session_parameters={"read_timeout_seconds": 60.0}, **members)


READ = {
    "howto_agents.json": ["Helpful agent with username and tools"],
    "howto_mcp_agent.json": ["Agent using MCP"],
    "howto_managerworkers.json": ["CustomerServiceManager", "RefundSpecialist", "SatisfactionSurveyor"],
    "example_tools_with_confirmation_25_4_2.yaml": ["Dummy Agent With All Tools"],
}


@pytest.mark.parametrize("name", READ)
def test_a_real_file_becomes_documents(name: str) -> None:
    data = shared_file("agent-spec", name)
    agents = read_bytes("agent-spec", data, file=name)
    assert [found.name for found in agents] == READ[name]
    assert all(found.instructions and found.backends for found in agents)
    assert all(remark.line for found in agents for remark in found.remarks)
    assert len(documents("agent-spec", data)) == len(agents)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "agentspec_oracle_it_assistant.json",
            ":2:21: `component_type` of `Oracle IT Assistant Flow` is `Flow`: the order of its steps has no",
        ),
        (
            "howto_a2aagent.json",
            ":2:23: `component_type` is `A2AAgent`: `Test A2A Agent` runs elsewhere, and the file holds",
        ),
    ],
)
def test_a_real_file_that_holds_no_agent_is_refused_with_place_and_reason(name: str, message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(name + message)):
        read_bytes("agent-spec", shared_file("agent-spec", name), file=name)


def test_confirmation_makes_every_kind_of_tool_wait_for_a_person() -> None:
    (found,) = read_bytes(
        "agent-spec", shared_file("agent-spec", "example_tools_with_confirmation_25_4_2.yaml")
    )
    assert [item.name for item in found.tools] == [
        "tool",
        "server_tool",
        "remote_tool",
        "mcp_tool",
        "builtin_tool",
    ]
    assert all(item.ask for item in found.tools)
    assert found.backends[0]["adapter"] == "openai-responses"


@pytest.mark.parametrize("value", [agent(), {"$referenced_components": {}}, component("Flow", "f")])
def test_a_component_is_found_by_its_content(value: object) -> None:
    assert READER.detects(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "Agent",
        {},
        {"component_type": 3},
        {"component_type": "team", "provider": "autogen_agentchat.teams.RoundRobinGroupChat", "config": {}},
        {"$referenced_components": []},
    ],
)
def test_other_values_are_not_taken_for_a_component(value: object) -> None:
    assert not READER.detects(value)


def test_instructions_tools_and_facts_are_carried() -> None:
    (found,) = read_value("agent-spec", agent(description="a desk"))
    assert (found.format, found.name, found.instructions) == ("agent-spec", "desk", "You are desk.")
    assert found.description == "a desk"
    assert found.extensions == {"component_type": "Agent", "agentspec_version": "25.4.1"}


def test_inputs_become_parameters_and_what_has_a_default_is_optional() -> None:
    (tool,) = read_value("agent-spec", agent())[0].tools
    assert tool.name == "look_up"
    assert tool.parameters == {
        "type": "object",
        "properties": {"word": {"type": "string"}, "more": {"type": "string", "default": ""}},
        "required": ["word"],
    }
    assert (tool.effect, tool.source, tool.ask) == ("external", None, False)


def test_types_of_inputs_stay_what_json_schema_says() -> None:
    inputs = [
        {"title": "score", "anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        {"title": "rows", "type": "array", "items": {"title": "row", "type": "object", "properties": {"a": {"type": "number"}}}},
    ]  # fmt: skip
    value = agent(tools=[component("ClientTool", "save", inputs=inputs)])
    (tool,) = read_value("agent-spec", value)[0].tools
    assert tool.parameters["properties"]["score"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "default": None,
    }
    assert tool.parameters["properties"]["rows"]["items"]["properties"] == {"a": {"type": "number"}}
    assert tool.parameters["required"] == ["rows"]
    assert documents("agent-spec", json.dumps(value).encode())


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("ServerTool", "ran in the system that ran the agent"),
        ("ClientTool", "ran in the application that called the agent"),
        ("BuiltinTool", "was built into the system that ran the agent"),
        ("PluginTool", "is a `PluginTool`, which is not known"),
    ],
)
def test_where_a_tool_ran_is_told_and_the_embedder_supplies_it(kind: str, where: str) -> None:
    (found,) = read_value("agent-spec", agent(tools=[component(kind, "x", inputs=[])]))
    assert f"`x` {where}: the embedder supplies it" in said(found, "decide")
    assert found.tools[0].source is None


def test_a_remote_tools_request_is_described_without_its_secrets() -> None:
    remote = component(
        "RemoteTool",
        "call",
        inputs=[text_input("x")],
        url="https://user:told@api.example/{{x}}?key=told",
        http_method="POST",
        headers={"X-Key": "told"},
        sensitive_headers={"$component_ref": "call.sensitive_headers"},
        data={"q": "{{x}}"},
        query_params={},
        url_allow_list=["https://api.example/"],
    )
    (found,) = read_value("agent-spec", agent(tools=[remote]))
    assert "`call` sent POST to `https://api.example/{{x}}`, with `data`" in said(found, "decide")
    assert "`call` was to reach `https://api.example/` alone" in said(found, "decide")
    assert "headers `X-Key` are never carried" in said(found, "lost")
    assert "told" not in repr(found)


@pytest.mark.parametrize(
    ("server", "source"),
    [
        (transport("StreamableHTTPTransport", url="https://mcp.example/mcp", headers={"K": "told"}), {"url": "https://mcp.example/mcp"}),
        (transport("StreamableHTTPTransport", url="https://u:told@mcp.example/mcp?k=told"), {"url": "https://mcp.example/mcp"}),
        (transport("StreamableHTTPmTLSTransport", url="https://mcp.example/mcp", key_file="told"), {"url": "https://mcp.example/mcp"}),
        (transport("StdioTransport", command="uvx", args=["serve"], env={"K": "told"}), {"command": ["uvx", "serve"]}),
    ],
)  # fmt: skip
def test_a_tool_of_an_mcp_server_keeps_where_it_runs_but_no_secret(
    server: dict[str, object], source: dict[str, object]
) -> None:
    tool = component("MCPTool", "find it", inputs=[], client_transport=server)
    (found,) = read_value("agent-spec", agent(tools=[tool]))
    assert found.tools[0].source == {"mcp": source, "tool": "find it"}
    assert "told" not in repr(found)


def test_server_sent_events_are_said_not_to_be_spoken() -> None:
    tool = component(
        "MCPTool", "x", inputs=[], client_transport=transport("SSETransport", url="http://h/sse")
    )
    (found,) = read_value("agent-spec", agent(tools=[tool]))
    assert "server-sent events are not spoken here" in said(found, "decide")


def test_of_a_toolbox_only_declared_tools_are_carried() -> None:
    box = component(
        "MCPToolBox",
        "box",
        client_transport=transport("StreamableHTTPTransport", url="https://mcp.example/mcp"),
        tool_filter=["plain", component("MCPToolSpec", "spec", inputs=[text_input("q")], requires_confirmation=True)],
    )  # fmt: skip
    (found,) = read_value("agent-spec", agent(tools=[], toolboxes=[box]))
    (tool,) = found.tools
    assert (tool.name, tool.ask) == ("spec", True)
    assert tool.source == {"mcp": {"url": "https://mcp.example/mcp"}, "tool": "spec"}
    assert "toolbox `box` offered the tools `plain`: declare each" in said(found, "decide")
    assert found.extensions["toolboxes"] == [
        {
            "name": "box",
            "tools": ["plain"],
            "requires_confirmation": False,
            "mcp": {"url": "https://mcp.example/mcp"},
        }
    ]


def test_a_toolbox_without_a_filter_offers_what_no_rule_could_name() -> None:
    box = component(
        "MCPToolBox",
        "box",
        client_transport=transport("SSETransport", url="http://h/sse"),
        tool_filter=None,
        requires_confirmation=True,
    )
    (found,) = read_value("agent-spec", agent(tools=[], toolboxes=[box]))
    assert found.tools == ()
    assert "toolbox `box` offered every tool of its server" in said(found, "decide")
    assert "each call was to be confirmed" in said(found, "decide")


def test_placeholders_stay_and_a_person_must_write_them() -> None:
    value = agent(
        system_prompt="Hello {{ name }}, {{name}} of {{ town }}.",
        inputs=[text_input("name"), text_input("unused")],
        outputs=[text_input("verdict")],
        human_in_the_loop=False,
    )
    (found,) = read_value("agent-spec", value)
    assert found.instructions == "Hello {{ name }}, {{name}} of {{ town }}."
    assert "places for `name`, `town`, which nothing fills" in said(found, "decide")
    assert "inputs `unused`" in said(found, "lost")
    assert "outputs `verdict`: an answer is text" in said(found, "decide")
    assert "the agent was not to ask people anything" in said(found, "decide")


@pytest.mark.parametrize(
    ("config", "adapter", "provider", "base_url"),
    [
        (VLLM, "openai-chat", "vllm", "http://models.example:8000/v1"),
        (component("OllamaConfig", "o", url="http://h:11434/", model_id="m"), "openai-chat", "ollama", "http://h:11434/v1"),
        (component("OpenAiCompatibleConfig", "o", url="https://h/x/v1", model_id="m", api_type="responses"), "openai-responses", "openai-compatible", "https://h/x/v1"),
        (component("OpenAiCompatibleConfig", "o", url="https://api.openai.com/v1", model_id="m"), "openai-chat", "openai", "https://api.openai.com/v1"),
        (component("OpenAiConfig", "o", model_id="m"), "openai-chat", "openai", "https://api.openai.com/v1"),
        (component("GeminiConfig", "g", model_id="m", auth=component("GeminiAIStudioAuthConfig", "a")), "google", "google", "https://generativelanguage.googleapis.com"),
        (component("LlmConfig", "l", model_id="m", api_provider="anthropic"), "anthropic", "anthropic", "https://api.anthropic.com"),
        (component("LlmConfig", "l", model_id="m", api_provider="shop", url="https://h/v1"), "openai-chat", "shop", "https://h/v1"),
    ],
)  # fmt: skip
def test_each_known_model_becomes_a_back_end_in_an_undecided_region(
    config: dict[str, object], adapter: str, provider: str, base_url: str
) -> None:
    (backend,) = read_value("agent-spec", agent(llm_config=config))[0].backends
    assert (backend["adapter"], backend["provider"], backend["config"]["base_url"]) == (
        adapter,
        provider,
        base_url,
    )
    assert (backend["region"], backend["model"]) == ("undecided", "m")
    keys = {"openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
    assert backend["config"].get("api_key_env") == keys.get(provider)


@pytest.mark.parametrize(
    "config",
    [
        component("OciGenAiConfig", "o", model_id="m", compartment_id="c", client_config={"auth_file_location": "told"}),
        component("GeminiConfig", "g", model_id="m", auth=component("GeminiVertexAIAuthConfig", "a", credentials="told")),
        component("LlmConfig", "l", model_id="m"),
        component("VllmConfig", "v", model_id="m", url="http://[broken"),
        component("VllmConfig", "v", url="http://h"),
        component("OpenAiConfig", "o", model_id="m", api_type="future"),
        {"$component_ref": "elsewhere"},
        None,
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_reached_is_for_a_person_to_declare(config: object) -> None:
    (found,) = read_value("agent-spec", agent(llm_config=config))
    assert found.backends == ()
    assert (
        "/llm_config" in [remark.pointer for remark in found.remarks if remark.fate == "decide"]
        or config is None
    )
    assert "told" not in repr(found)


def test_a_key_in_the_file_is_never_carried_and_counts_as_disclosed() -> None:
    config = component("OpenAiConfig", "o", model_id="m", api_key="told-key")
    (found,) = read_value("agent-spec", agent(llm_config=config))
    assert "`api_key`: keys and credentials are never carried" in said(found, "lost")
    assert "the file tells the value of `api_key`" in said(found, "decide")
    assert "told-key" not in repr(found)


def test_references_are_followed_wherever_their_components_stand() -> None:
    value = agent(
        llm_config={"$component_ref": "llm"}, tools=[{"$component_ref": "tool"}, {"$component_ref": "tool"}]
    )
    value["$referenced_components"] = {"llm": {"$component_ref": "other"}, "other": VLLM, "tool": TOOL}
    (found,) = read_value("agent-spec", value)
    assert [item.name for item in found.tools] == ["look_up"]
    assert found.backends[0]["model"] == "m"


def test_a_component_of_another_file_is_for_a_person_to_supply() -> None:
    (found,) = read_value("agent-spec", agent(tools=[{"$component_ref": "client_tool"}]))
    assert found.tools == ()
    assert "component `client_tool` is not in this file" in said(found, "decide")


def test_a_reference_that_leads_back_to_itself_is_refused() -> None:
    value = agent(llm_config={"$component_ref": "a"})
    value["$referenced_components"] = {"a": {"$component_ref": "b"}, "b": {"$component_ref": "a"}}
    with pytest.raises(DocumentError, match="leads back to itself"):
        read_value("agent-spec", value)


def test_a_group_that_contains_itself_is_refused() -> None:
    group = component("ManagerWorkers", "loop", group_manager=agent(), workers=[{"$component_ref": "loop"}])
    value = {**group, "$referenced_components": {"loop": group}}
    with pytest.raises(DocumentError, match="the group `loop` contains itself"):
        read_value("agent-spec", value)


def chain(length: int) -> dict[str, object]:
    """Return groups that each name the next one twice; the last is an agent."""
    groups = {
        f"g{level}": component(
            "ManagerWorkers",
            f"g{level}",
            group_manager={"$component_ref": f"g{level + 1}"},
            workers=[{"$component_ref": f"g{level + 1}"}],
        )
        for level in range(length)
    }
    return {**groups["g0"], "$referenced_components": {**groups, f"g{length}": agent()}}


def test_groups_that_name_each_other_twice_over_do_not_multiply() -> None:
    assert [found.name for found in read_value("agent-spec", chain(60))] == ["desk"]


def test_groups_nested_without_end_are_refused() -> None:
    with pytest.raises(DocumentError, match="groups are nested deeper than 64 levels"):
        read_value("agent-spec", chain(3000))


def swarm() -> dict[str, object]:
    first, second = {"$component_ref": "a"}, {"$component_ref": "b"}
    inner = component("ManagerWorkers", "inner", group_manager=second, workers=[agent("c")])
    away = component("A2AAgent", "away", agent_url="https://h")
    return {
        **component("Swarm", "swarm", first_agent=first, handoff="always", agentspec_version="26.1.0"),
        "relationships": [[first, second], [second, first], [first, inner], [first, away]],
        "$referenced_components": {"a": agent("a"), "b": agent("b")},
    }


def test_every_agent_of_nested_groups_becomes_one_once() -> None:
    agents = read_value("agent-spec", swarm())
    assert [found.name for found in agents] == ["a", "b", "c"]
    assert agents[1].extensions["groups"][0] == {"group": "swarm", "kind": "Swarm", "called_by": "a"}
    assert {"group": "inner", "kind": "ManagerWorkers", "role": "manager"} in agents[1].extensions["groups"]
    for found in agents:
        assert "called each other, here each stands alone" in said(found, "decide")
        assert "`away` of type `A2AAgent` of the same group is not carried" in said(found, "decide")
        assert "of the group `swarm`, `handoff`" in said(found, "lost")


def test_a_worker_of_another_file_is_told_to_every_agent_of_the_group() -> None:
    value = component(
        "ManagerWorkers", "team", group_manager=agent(), workers=[{"$component_ref": "elsewhere"}]
    )
    (found,) = read_value("agent-spec", value)
    assert "component `elsewhere` is not in this file" in said(found, "decide")


def test_a_specialized_agent_is_the_general_one_with_what_it_adds() -> None:
    parameters = component(
        "AgentSpecializationParameters",
        "p",
        additional_instructions="Be brief.",
        additional_tools=[component("ClientTool", "extra", inputs=[])],
        human_in_the_loop=True,
    )
    general = agent(human_in_the_loop=False)
    value = component(
        "SpecializedAgent", "special", agent=general, agent_specialization_parameters=parameters
    )
    (found,) = read_value("agent-spec", value)
    assert (found.name, found.instructions) == ("special", "You are desk.\n\nBe brief.")
    assert [item.name for item in found.tools] == ["look_up", "extra"]
    assert "was not to ask people" not in said(found, "decide")


def test_what_looks_like_an_agent_is_read_though_its_type_is_not_known() -> None:
    (found,) = read_value("agent-spec", {**agent(), "component_type": "ExtendedAgent", "skills": ["x"]})
    assert found.instructions == "You are desk."
    assert "`skills`: not known to this importer" in said(found, "lost")


def test_agents_among_components_to_refer_to_are_read() -> None:
    agents = read_value(
        "agent-spec", {"$referenced_components": {"llm": VLLM, "a": agent("a"), "b": agent("b")}}
    )
    assert [found.name for found in agents] == ["a", "b"]


@pytest.mark.parametrize(
    ("version", "told"), [("25.4.2", False), ("26.4.0", False), ("27.1.0", True), ("new", True)]
)
def test_a_version_that_is_not_known_is_told(version: str, *, told: bool) -> None:
    (found,) = read_value("agent-spec", agent(agentspec_version=version))
    assert (f"version `{version}` is not known to this importer" in said(found, "decide")) == told


def test_what_is_not_known_is_lost_by_name() -> None:
    value = agent(transforms=[component("MessageSummarizationTransform", "t")], novelty=1)
    value["tools"] = [{**TOOL, "novelty": 2}]
    (found,) = read_value("agent-spec", value)
    assert "`transforms`, `novelty`: not known to this importer" in said(found, "lost")
    assert "of the tools, `novelty`" in said(found, "lost")


def test_json_and_yaml_of_one_agent_read_alike() -> None:
    text = """\
component_type: Agent
id: x
name: desk
metadata: {}
inputs: []
outputs: []
llm_config: {component_type: OpenAiConfig, id: o, name: o, model_id: m}
system_prompt: |
  You are desk.
tools: []
agentspec_version: 25.4.1
"""
    (found,) = read_bytes("agent-spec", text.encode())
    config = {"component_type": "OpenAiConfig", "id": "o", "name": "o", "model_id": "m"}
    value = agent(id="x", llm_config=config, system_prompt="You are desk.\n", tools=[])
    (plain,) = read_value("agent-spec", value)
    assert (found.instructions, found.backends) == (plain.instructions, plain.backends)
    assert [remark.what for remark in found.remarks] == [remark.what for remark in plain.remarks]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (component("Flow", "f"), "`component_type` of `f` is `Flow`: the order of its steps has no counterpart"),
        (component("ServerTool", "t"), "`component_type` of `t` is `ServerTool`: that is no agent"),
        (component("OciAgent", "o"), "`component_type` is `OciAgent`: `o` runs elsewhere"),
        ({"name": "x"}, "this is no component of Open Agent Spec: it has no `component_type`"),
        ({"$referenced_components": {"t": TOOL}}, "this file holds components to refer to, but no agent"),
        (component("Swarm", "s", relationships=[]), "no agent of this group is in this file"),
        (component("Swarm", "s", relationships=[[1]]), "`/relationships/0` must be a pair of agents"),
        (component("Agent", "a", llm_config=VLLM), "`system_prompt` is missing"),
        (agent(system_prompt=3), "`system_prompt` must be a string, not a number"),
        (agent(tools={}), "`tools` must be a list, not an object"),
        (agent(tools=[component("ServerTool", "t", inputs=[{"type": "string"}])]), "`title` is missing in `/tools/0/inputs/0`"),
        (agent(tools=[component("ServerTool", "t", inputs=[text_input("a"), text_input("a")])]), "`title` is `a`, which occurs twice"),
        (agent(tools=[component("ServerTool", "")]), "`name` is missing in `/tools/0`"),
        ([], "the file must be an object, not an array"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_agent_is_refused_with_place_and_reason(value: object, message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(message)) as caught:
        read_value("agent-spec", value, file="spec.json")
    assert str(caught.value).startswith("spec.json:")


def test_a_flow_is_refused_with_the_places_of_its_agents() -> None:
    flow = component("Flow", "f", nodes=[component("AgentNode", "n", agent=agent())])
    with pytest.raises(DocumentError, match=re.escape("its agents stand at `/nodes/0/agent`")):
        read_value("agent-spec", flow)


SAMPLE = {
    **swarm(),
    "relationships": [
        *swarm()["relationships"],
        [
            {"$component_ref": "a"},
            component(
                "SpecializedAgent",
                "special",
                agent=agent(
                    "general",
                    toolboxes=[
                        component(
                            "MCPToolBox",
                            "box",
                            client_transport=transport("StdioTransport", command="uvx", args=["x"]),
                            tool_filter=["plain", component("MCPToolSpec", "spec", inputs=[text_input("q")])],
                        )
                    ],
                    tools=[component("RemoteTool", "call", inputs=[], url="https://h", http_method="GET", headers={"K": "v"})],
                ),
                agent_specialization_parameters=component("AgentSpecializationParameters", "p", additional_tools=[TOOL]),
            ),
        ],
    ],
}  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken(SAMPLE))
def test_a_file_with_values_of_other_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused("agent-spec", value)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken(agent()))
def test_one_agent_with_values_of_other_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused("agent-spec", value)
