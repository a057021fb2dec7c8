from __future__ import annotations

import hashlib
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
from remit.exchange.letta import READER

CODE = "import os\n\ndef cancel(order):\n    os.remove(order)\n"


def tool(name: str, **members: object) -> dict[str, object]:
    return {
        "id": f"tool-{name}",
        "name": name,
        "tool_type": "custom",
        "source_type": "python",
        "source_code": CODE,
        "description": f"does {name}",
        "json_schema": {
            "name": name,
            "description": f"does {name}",
            "parameters": {
                "type": "object",
                "properties": {"order": {"type": "string"}, "request_heartbeat": {"type": "boolean"}},
                "required": ["order", "request_heartbeat"],
            },
        },
        "return_char_limit": 6000,
        "created_by_id": "user-00000000",
        **members,
    }


def agent(**members: object) -> dict[str, object]:
    return {
        "id": "agent-0",
        "name": "desk",
        "agent_type": "memgpt_v2_agent",
        "system": "You are a desk.",
        "description": "a desk",
        "tool_ids": ["tool-cancel", "tool-look_up", "tool-say"],
        "block_ids": ["block-0", "block-1"],
        "tool_rules": [
            {"tool_name": "look_up", "type": "run_first"},
            {"tool_name": "cancel", "type": "requires_approval"},
            {"tool_name": "send_message", "type": "exit_loop"},
            {"tool_name": "look_up", "type": "max_count_per_step", "max_count_limit": 3},
            {"tool_name": "look_up", "type": "constrain_child_tools", "children": ["cancel"]},
            {"tool_name": "look_up", "type": "continue_loop"},
        ],
        "llm_config": {
            "model": "gpt-4o-mini",
            "model_endpoint_type": "openai",
            "model_endpoint": "https://api.openai.com/v1",
            "temperature": 0.7,
        },
        "embedding_config": {"embedding_model": "text-embedding-3-small"},
        "tool_exec_environment_variables": {"SHOP_KEY": "", "SHOP_TOKEN": "told-value"},
        "max_files_open": 5,
        "tags": ["shop"],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "You are a desk.\n<memory_blocks>"}]},
            {
                "role": "user",
                "created_at": "2026-01-01T00:00:00",
                "content": [
                    {"type": "text", "text": '{"type": "user_message", "message": "hello", "time": "now"}'}
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "they greet me"}],
                "tool_calls": [
                    {"id": "c1", "function": {"name": "look_up", "arguments": '{"order": "A-1"}'}},
                    {"id": "c2", "function": {"name": "send_message", "arguments": '{"message": "hi"}'}},
                ],
            },
            {
                "role": "tool",
                "content": [{"type": "text", "text": "found"}],
                "tool_call_id": "c1",
                "tool_returns": [{"tool_call_id": "c1", "status": "success", "func_response": "found"}],
            },
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x/y"}}]},
        ],
        **members,
    }


def bundle(*agents: dict[str, object], **members: object) -> dict[str, object]:
    return {
        "agents": list(agents) or [agent()],
        "groups": [],
        "blocks": [
            {"id": "block-0", "label": "human", "value": "Ana", "limit": 100, "read_only": True},
            {"id": "block-1", "label": "persona", "value": "", "description": "who I am"},
        ],
        "files": [],
        "sources": [],
        "tools": [
            tool("cancel"),
            tool("look_up"),
            {"id": "tool-say", "name": "send_message", "tool_type": "letta_core", "json_schema": None},
        ],
        "mcp_servers": [],
        "metadata": {"revision_id": "abc"},
        "created_at": "2026-01-01T00:00:00",
        **members,
    }


def flat(**members: object) -> dict[str, object]:
    parts = {name: value for name, value in agent().items() if not name.endswith("_ids")}
    return {
        **parts,
        "version": "0.10.0",
        "core_memory": [{"label": "human", "value": "Ana", "limit": 5000, "created_at": "2026-01-01"}],
        "tools": [tool("cancel"), tool("look_up")],
        "tool_exec_environment_variables": [{"key": "SHOP_KEY", "value": ""}],
        "in_context_message_indices": [0, 1],
        "multi_agent_group": None,
        **members,
    }


FILES = ("loop.af", "outreach_workflow_agent.af", "test_basic_v2.af", "test_agent_with_files_and_sources.af")


@pytest.mark.parametrize("name", FILES)
def test_a_real_agent_file_becomes_a_document(name: str) -> None:
    data = shared_file("letta", name)
    (found,) = read_bytes("letta", data, file=name)
    assert found.name
    assert found.backends
    assert {remark.fate for remark in found.remarks} == {"carried", "lost", "decide"}
    assert all(remark.line and remark.column for remark in found.remarks)
    assert len(documents("letta", data)) == 1


@pytest.mark.parametrize("name", FILES)
def test_no_code_and_no_account_of_a_real_agent_file_is_carried(name: str) -> None:
    data = shared_file("letta", name)
    value = json.loads(data)
    codes = [
        item["source_code"] for item in (json.loads(value) if isinstance(value, str) else value)["tools"]
    ]
    text = repr([*read_bytes("letta", data), *documents("letta", data)])
    assert all(repr(code) not in text for code in codes if code)
    assert re.search(r"user-[0-9a-f]{8}-", text) is None


def test_what_a_real_agent_file_holds_is_counted() -> None:
    (found,) = read_bytes("letta", shared_file("letta", "test_agent_with_files_and_sources.af"))
    assert [(block.name, len(block.entries)) for block in found.blocks] == [
        ("human", 1),
        ("persona", 1),
        ("files", 2),
        ("thread", 6),
    ]
    assert found.blocks[2].entries[0].value == {
        "name": "test_disk_export_source/test.txt",
        "media_type": "text/plain",
        "text": "test",
    }


def test_a_file_that_is_json_inside_json_keeps_its_places() -> None:
    (found,) = read_bytes("letta", shared_file("letta", "outreach_workflow_agent.af"))
    assert [item.name for item in found.tools] == [
        "reject",
        "send_email",
        "evaluate_candidate",
        "retrieve_candidate",
    ]
    (rule,) = found.rules
    assert rule.value["on"] == ["reject", "send_email", "evaluate_candidate"]
    assert {remark.line for remark in found.remarks} == {1}


@pytest.mark.parametrize("value", [bundle(), flat()], ids=["bundle", "alone"])
def test_both_shapes_are_found_by_their_content(value: dict[str, object]) -> None:
    assert READER.detects(value)


@pytest.mark.parametrize(
    "value",
    [None, 3, "agents", [], {}, {"agents": {"root": {}}}, {"agents": []}, {"agent_type": 3, "system": ""}],
)
def test_other_values_are_not_taken_for_an_agent_file(value: object) -> None:
    assert not READER.detects(value)


def test_a_double_encoded_bundle_reads_like_the_plain_one() -> None:
    plain = read_value("letta", bundle())[0]
    wrapped = read_bytes("letta", json.dumps(json.dumps(bundle())).encode())[0]
    assert wrapped.tools == plain.tools
    assert wrapped.blocks == plain.blocks
    assert wrapped.rules == plain.rules
    assert sorted(remark.what for remark in wrapped.remarks) == sorted(
        remark.what for remark in plain.remarks
    )


def test_instructions_name_and_description_are_carried() -> None:
    (found,) = read_value("letta", bundle())
    assert (found.format, found.name) == ("letta", "desk")
    assert (found.instructions, found.description) == ("You are a desk.", "a desk")
    assert found.extensions["tags"] == ["shop"]
    assert found.extensions["revision_id"] == "abc"


def test_source_code_is_neither_carried_nor_run_and_its_digest_is_told() -> None:
    (found,) = read_value("letta", bundle())
    digest = hashlib.sha256(CODE.encode()).hexdigest()
    assert found.extensions["tools"]["cancel"] == {"source_type": "python", "source_sha256": digest}
    assert f"sha256 {digest[:12]}" in said(found, "decide")
    assert "os.remove" not in repr(found)


def test_a_tool_keeps_its_parameters_but_for_the_one_of_lettas_loop() -> None:
    cancel = read_value("letta", bundle())[0].tools[0]
    assert cancel.parameters == {
        "type": "object",
        "properties": {"order": {"type": "string"}},
        "required": ["order"],
    }
    assert (cancel.name, cancel.effect, cancel.source) == ("cancel", "external", None)


@pytest.mark.parametrize(
    "declared",
    [
        {"json_schema": {"type": "function", "function": {"name": "x", "parameters": {"type": "object", "properties": {"order": {"type": "string"}}}}}},
        {"json_schema": {"type": "object", "properties": {"order": {"type": "string"}}}},
        {"json_schema": None, "args_json_schema": {"type": "object", "properties": {"order": {"type": "string"}}}},
    ],
    ids=["wrapped", "bare", "arguments"],
)  # fmt: skip
def test_parameters_are_found_wherever_exporters_put_them(declared: dict[str, object]) -> None:
    value = bundle(tools=[tool("cancel", **declared), tool("look_up")])
    cancel = read_value("letta", value)[0].tools[0]
    assert cancel.parameters["properties"] == {"order": {"type": "string"}}


def test_lettas_own_tools_are_lost_with_the_reason() -> None:
    own = [
        {"id": "tool-say", "name": "send_message", "tool_type": "letta_core"},
        {"id": "tool-cancel", "name": "memory_insert", "tool_type": "letta_sleeptime_core"},
        {"id": "tool-look_up", "name": "web_search", "tool_type": "letta_builtin"},
    ]
    (found,) = read_value("letta", bundle(tools=own))
    assert found.tools == ()
    assert "Letta's own `send_message`: an agent's answer is its text" in said(found, "lost")
    assert "`memory_insert`: Remit has memory tools of its own" in said(found, "lost")
    assert "`web_search` ran at Letta's" in said(found, "decide")


def test_a_tool_rule_that_asks_makes_the_tool_wait_for_a_person() -> None:
    (found,) = read_value("letta", bundle())
    assert {item.name: item.ask for item in found.tools} == {"cancel": True, "look_up": False}


def test_a_tool_that_asks_by_default_waits_for_a_person_too() -> None:
    (found,) = read_value("letta", bundle(tools=[tool("look_up", default_requires_approval=True)]))
    assert found.tools[0].ask


def test_run_first_becomes_a_forbid_on_all_other_tools_in_force() -> None:
    (found,) = read_value("letta", bundle())
    first = next(rule for rule in found.rules if rule.place == "rules")
    assert first.in_force
    assert first.value["effect"] == "forbid"
    assert first.value["on"] == ["cancel"]
    assert first.value["when"] == "context.usage.tool_calls == 0"


def test_what_orders_single_tools_is_for_a_person_to_decide() -> None:
    (found,) = read_value("letta", bundle())
    assert "`look_up` could be called 3 times in a run" in said(found, "decide")
    assert "only `cancel` could follow `look_up`" in said(found, "decide")
    assert "`continue_loop` for `look_up`" in said(found, "lost")
    assert "the run ended after `send_message`: the agent has no such tool here" in said(found, "lost")


def test_no_rule_of_a_file_permits_anything() -> None:
    (found,) = read_value("letta", bundle())
    assert {rule.value["effect"] for rule in found.rules} == {"forbid"}


def test_core_memory_becomes_blocks_that_keep_their_limits() -> None:
    human, persona = read_value("letta", bundle())[0].blocks[:2]
    assert human.schema == {"type": "string", "maxLength": 100}
    assert [(entry.key, entry.value) for entry in human.entries] == [("value", "Ana")]
    assert (persona.name, persona.description, persona.entries) == ("persona", "who I am", ())
    assert human.classification == "unreviewed"


def test_a_block_that_the_agent_could_only_read_is_forbidden_to_write() -> None:
    (found,) = read_value("letta", bundle())
    read_only = next(rule for rule in found.rules if rule.place == "memory:human")
    assert read_only.in_force
    assert read_only.value["on"] == ["remember", "revise", "erase"]
    assert documents("letta", json.dumps(bundle()).encode())


def test_a_limit_below_what_a_block_holds_is_lost() -> None:
    value = bundle(blocks=[{"id": "block-0", "label": "human", "value": "Ana", "limit": 2}])
    (found,) = read_value("letta", value)
    assert found.blocks[0].schema == {"type": "string"}
    assert "the limit 2 of `human` does not fit" in said(found, "lost")


def test_messages_become_a_thread_in_the_files_order() -> None:
    thread = read_value("letta", bundle())[0].blocks[-1]
    assert [entry.key for entry in thread.entries] == ["000001", "000002", "000003", "000004"]
    assert [entry.value["role"] for entry in thread.entries] == ["user", "assistant", "tool", "user"]
    assert thread.entries[0].value == {"role": "user", "text": "hello", "at": "2026-01-01T00:00:00"}


def test_what_an_agent_thought_stands_apart_from_what_it_said() -> None:
    thread = read_value("letta", bundle())[0].blocks[-1]
    assert thread.entries[1].value == {
        "role": "assistant",
        "text": "hi",
        "thoughts": "they greet me",
        "calls": [{"id": "c1", "name": "look_up", "arguments": '{"order": "A-1"}'}],
    }


def test_an_agent_without_a_tool_to_speak_says_its_text() -> None:
    value = bundle(agent(tool_ids=["tool-look_up"]))
    thread = read_value("letta", value)[0].blocks[-1]
    assert thread.entries[1].value["text"] == "they greet me\nhi"


def test_compiled_system_messages_and_pictures_are_lost_by_number() -> None:
    lost = said(read_value("letta", bundle())[0], "lost")
    assert "compiled system messages: 1" in lost
    assert "parts of messages that are no text are lost: 1 of type `image`" in lost


def test_secrets_are_named_and_never_carried() -> None:
    (found,) = read_value("letta", bundle())
    assert "`SHOP_KEY`, `SHOP_TOKEN` are secrets, which are never carried" in said(found, "lost")
    assert "the file tells the value of `SHOP_TOKEN`: take it as disclosed" in said(found, "decide")
    assert "told-value" not in repr(found)


def test_the_model_becomes_a_back_end_in_an_undecided_region() -> None:
    (backend,) = read_value("letta", bundle())[0].backends
    assert backend == {
        "name": "openai",
        "adapter": "openai-chat",
        "provider": "openai",
        "region": "undecided",
        "model": "gpt-4o-mini",
        "config": {"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"},
    }


@pytest.mark.parametrize(
    ("config", "adapter", "base_url", "key"),
    [
        ({"model_endpoint_type": "anthropic", "model_endpoint": "https://api.anthropic.com/v1"}, "anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        ({"model_endpoint_type": "google_ai"}, "google", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
        ({"model_endpoint_type": "ollama", "model_endpoint": "http://localhost:11434"}, "openai-chat", "http://localhost:11434/v1", None),
        ({"model_endpoint_type": "openai", "model_endpoint": "https://elsewhere.example/v1"}, "openai-chat", "https://elsewhere.example/v1", None),
        ({"model_endpoint_type": "openai", "model_endpoint": "http://api.openai.com/v1"}, "openai-chat", "http://api.openai.com/v1", None),
        ({"model_endpoint_type": "openai", "model_endpoint": "https://u:w@elsewhere.example/v1?k=1"}, "openai-chat", "https://elsewhere.example/v1", None),
    ],
)  # fmt: skip
def test_a_key_is_named_only_beside_its_own_providers_address(
    config: dict[str, object], adapter: str, base_url: str, key: str | None
) -> None:
    value = bundle(agent(llm_config={"model": "m", **config}))
    (backend,) = read_value("letta", value)[0].backends
    assert (backend["adapter"], backend["config"]["base_url"]) == (adapter, base_url)
    assert backend["config"].get("api_key_env") == key


@pytest.mark.parametrize(
    "config",
    [
        {"model_endpoint_type": "bedrock", "model": "m"},
        {"model_endpoint_type": "vllm", "model": "m"},
        {"model_endpoint_type": "vllm", "model": "m", "model_endpoint": "http://[broken"},
        {"model_endpoint_type": "openai"},
        None,
    ],
)
def test_a_model_that_cannot_be_reached_is_for_a_person_to_declare(config: object) -> None:
    (found,) = read_value("letta", bundle(agent(llm_config=config)))
    assert found.backends == ()
    assert "declare a back-end" in said(found, "decide")


def test_a_handle_names_provider_and_model_where_there_is_no_config() -> None:
    value = bundle(agent(llm_config=None, model="anthropic/claude", model_settings={"temperature": 1.0}))
    (backend,) = read_value("letta", value)[0].backends
    assert (backend["adapter"], backend["model"]) == ("anthropic", "claude")


def test_a_tool_of_an_mcp_server_keeps_the_address_without_its_secrets() -> None:
    value = bundle(
        tools=[
            tool("look_up", tool_type="external_mcp", metadata_={"mcp": {"server_name": "shop"}}),
            tool("cancel", tool_type="external_mcp", tags=["mcp:local"]),
        ],
        mcp_servers=[
            {"server_name": "shop", "server_url": "https://mcp.example/mcp?key=told", "token": "told"},
            {
                "server_name": "local",
                "stdio_config": {"command": "shop", "args": ["serve"], "env": {"K": "told"}},
            },
        ],
    )
    (found,) = read_value("letta", value)
    assert {item.name: item.source for item in found.tools} == {
        "look_up": {"mcp": {"url": "https://mcp.example/mcp"}, "tool": "look_up"},
        "cancel": {"mcp": {"command": ["shop", "serve"]}, "tool": "cancel"},
    }
    assert "starts the program `shop` on the host" in said(found, "decide")
    assert "told" not in repr(found)


def test_names_that_a_document_cannot_hold_are_changed_and_the_change_is_told() -> None:
    value = bundle(
        agent(tool_ids=["tool-0", "tool-1"], tool_rules=[]),
        tools=[tool("look up!", id="tool-0"), tool("remember", id="tool-1")],
    )
    (found,) = read_value("letta", value)
    assert [item.name for item in found.tools] == ["look_up_", "remember_tool"]
    assert "tool `remember` is called `remember_tool` here" in said(found, "carried")


def test_every_agent_of_a_bundle_becomes_one_with_what_it_names() -> None:
    group = {"id": "group-0", "agent_ids": ["agent-1"], "manager_config": {"manager_agent_id": "agent-0"}}
    value = bundle(
        agent(),
        agent(id="agent-1", tool_ids=["tool-look_up"], block_ids=["block-1", "block-9"], tool_rules=[]),
        groups=[group],
    )
    first, second = read_value("letta", value)
    assert (first.name, second.name) == ("desk", "desk 2")
    assert [item.name for item in second.tools] == ["look_up"]
    assert [block.name for block in second.blocks] == ["persona", "thread"]
    assert "`block-9` is not among the `blocks` of the file" in said(second, "decide")
    for found in (first, second):
        assert "the agents of this group called each other" in said(found, "decide")


def test_skills_archival_passages_and_files_become_memory() -> None:
    value = bundle(
        agent(source_ids=["source-0"], passages=[{"text": "once"}, "twice"]),
        skills=[{"name": "pdf", "files": {"SKILL.md": "# pdf"}}, {"name": "web", "source_url": "letta:web"}],
        files=[{"id": "file-0", "source_id": "source-0", "file_name": "a b.txt", "content": "text"}],
        sources=[{"id": "source-0", "name": "shelf"}],
    )
    (found,) = read_value("letta", value)
    blocks = {block.name: [entry.value for entry in block.entries] for block in found.blocks}
    assert blocks["archival"] == ["once", "twice"]
    assert blocks["files"] == [{"name": "a b.txt", "text": "text"}]
    assert blocks["skills"] == [{"skill": "pdf", "path": "SKILL.md", "text": "# pdf"}]
    assert "skill `web` stands at `letta:web`, which is not fetched" in said(found, "decide")


def test_what_is_not_known_is_lost_by_name_and_in_few_words() -> None:
    messages = [{"role": "user", "content": "x", "novelty": index} for index in range(1, 500)]
    value = bundle(agent(messages=messages, future_setting={"a": 1}), future_part=[1])
    (found,) = read_value("letta", value)
    lost = said(found, "lost")
    assert "`future_setting`: not known to this importer" in lost
    assert "`future_part`: not known to this importer" in lost
    assert "of the messages, `novelty`" in lost
    assert len(found.remarks) < 40


def test_parts_that_no_agent_uses_are_told() -> None:
    (found,) = read_value("letta", bundle(agent(tool_ids=["tool-look_up"])))
    assert "no agent of the file uses `cancel`, `send_message` of `tools`" in said(found, "lost")


def test_one_agent_alone_reads_like_the_first_version_wrote_it() -> None:
    (found,) = read_value("letta", flat())
    assert [item.name for item in found.tools] == ["cancel", "look_up"]
    assert [block.name for block in found.blocks] == ["human", "thread"]
    assert found.extensions["version"] == "0.10.0"
    assert "`SHOP_KEY` are secrets" in said(found, "lost")


def test_what_a_server_answers_about_an_agent_is_read_too() -> None:
    value = flat(core_memory=None, memory={"blocks": [{"label": "human", "value": "Ana"}]})
    assert read_value("letta", value)[0].blocks[0].name == "human"
    value = flat(core_memory={"human": {"value": "Ana"}, "persona": "short"})
    (found,) = read_value("letta", value)
    assert found.blocks[0].name == "human"
    assert "`persona`: no block" in said(found, "lost")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (bundle(agents=[]), "`agents` holds no agent"),
        ({"blocks": []}, "this is no Letta agent"),
        ([], "the file must be an object, not an array"),
        (bundle(agent(system=3)), "`system` must be a string, not a number in `/agents/0`"),
        (bundle(agent(messages={})), "`messages` must be a list, not an object in `/agents/0`"),
        (bundle(agent(tools=[3])), "`/agents/0/tools/0` must be an object, not a number"),
        (bundle(agent(tool_ids=["tool-0"]), tools=[{"id": "tool-0"}]), "`name` is missing in `/tools/0`"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_agent_is_refused_with_place_and_reason(value: object, message: str) -> None:
    with pytest.raises(DocumentError, match=re.escape(message)) as caught:
        read_value("letta", value, file="desk.af")
    assert str(caught.value).startswith("desk.af:")


def test_every_fault_is_listed_once() -> None:
    value = bundle(agent(name=3, system=[], tool_rules=[{"tool_name": 5, "type": 7}]))
    with pytest.raises(DocumentError) as caught:
        read_value("letta", value)
    assert [fault.pointer for fault in caught.value.faults] == [
        "/agents/0/name",
        "/agents/0/system",
        "/agents/0/tool_rules/0/tool_name",
        "/agents/0/tool_rules/0/type",
    ]


SAMPLE = bundle(
    agent(source_ids=["source-0"]),
    agent(id="agent-1", name="other"),
    skills=[{"name": "pdf", "files": {"SKILL.md": "# pdf"}}],
    files=[{"id": "file-0", "source_id": "source-0", "file_name": "a.txt", "content": "text"}],
    groups=[{"id": "group-0", "agent_ids": ["agent-1"], "manager_config": {"manager_agent_id": "agent-0"}}],
    mcp_servers=[{"server_name": "shop", "server_url": "https://mcp.example/mcp"}],
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken(SAMPLE))
def test_a_bundle_with_values_of_other_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused("letta", value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken(flat()))
def test_an_agent_alone_with_values_of_other_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused("letta", value)
