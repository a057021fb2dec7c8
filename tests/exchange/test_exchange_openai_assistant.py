from __future__ import annotations

import json
from typing import Any

import pytest
from exchange_hostility import broken, documents, is_read_or_refused, read_value, said
from hypothesis import HealthCheck, given, settings

from remit.errors import DocumentError
from remit.exchange.registry import read_agents, reader

NAME = "openai-assistant"
FUNCTION = {
    "type": "function",
    "function": {
        "name": "refund",
        "description": "Refund an order.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "amount": {"type": "number"},
                "note": {"type": ["string", "null"], "default": None},
            },
            "required": ["amount"],
            "additionalProperties": False,
        },
    },
}
ASSISTANT = {
    "id": "asst_abc123",
    "object": "assistant",
    "created_at": 1700000000,
    "name": "Refund helper",
    "description": "Helps with refunds.",
    "model": "gpt-4o",
    "instructions": "Be kind.",
    "tools": [
        {"type": "code_interpreter"},
        {"type": "file_search", "file_search": {"max_num_results": 5, "ranking_options": {"ranker": "auto"}}},
        FUNCTION,
    ],
    "tool_resources": {
        "code_interpreter": {"file_ids": ["file-1"]},
        "file_search": {"vector_store_ids": ["vs_1"]},
    },
    "metadata": {"team": "refunds"},
    "temperature": 0.2,
    "top_p": 1.0,
    "response_format": {"type": "json_object"},
    "reasoning_effort": None,
}


def message(number: int, role: str, text: str, **more: object) -> dict[str, Any]:
    return {
        "id": f"msg_{number}",
        "object": "thread.message",
        "created_at": 1700000000 + number,
        "thread_id": "thread_1",
        "role": role,
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
        "attachments": [],
        "metadata": {},
        **more,
    }


BUNDLE = {
    "assistant": ASSISTANT,
    "threads": [
        {
            "thread": {"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {}},
            "messages": {
                "object": "list",
                "data": [
                    message(2, "assistant", "Hello!", run_id="run_1"),
                    message(
                        1,
                        "user",
                        "Hi",
                        attachments=[{"file_id": "file-1", "tools": [{"type": "file_search"}]}],
                    ),
                ],
                "first_id": "msg_2",
                "last_id": "msg_1",
                "has_more": True,
            },
        }
    ],
    "files": [{"id": "file-1", "object": "file", "filename": "prices.csv"}],
    "vector_stores": [{"id": "vs_1", "object": "vector_store"}],
}


def test_an_assistant_becomes_instructions_tools_and_a_back_end_that_can_work() -> None:
    (agent,) = read_value(NAME, ASSISTANT)
    assert (agent.name, agent.description, agent.instructions) == (
        "Refund helper",
        "Helps with refunds.",
        "Be kind.",
    )
    assert [(tool.name, tool.effect, tool.source, tool.ask) for tool in agent.tools] == [
        ("refund", "external", None, False)
    ]
    assert agent.tools[0].parameters == FUNCTION["function"]["parameters"]  # type: ignore[index]
    assert agent.builtins == (
        {"name": "code_interpreter", "required": False},
        {"name": "file_search", "required": False, "config": {"max_num_results": 5}},
    )
    assert agent.backends == (
        {
            "name": "openai",
            "adapter": "openai-responses",
            "provider": "openai",
            "region": "undecided",
            "model": "gpt-4o",
            "config": {"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"},
        },
    )
    assert agent.extensions["assistant"]["temperature"] == 0.2  # type: ignore[index, call-overload]
    assert agent.extensions["assistant"]["metadata"] == {"team": "refunds"}  # type: ignore[index, call-overload]


def test_everything_of_an_assistant_is_carried_lost_or_to_decide() -> None:
    (agent,) = read_value(NAME, {**ASSISTANT, "colour": "blue"}, file="a.json")
    assert "`instructions`" in said(agent, "carried")
    for member in ("temperature", "top_p", "response_format", "colour", "strict", "ranking_options"):
        assert f"`{member}`" in said(agent, "lost")
    for what in ("2026-08-26", "`file-1`", "`vs_1`", "comes without files"):
        assert what in said(agent, "decide")
    assert all(remark.line and remark.column for remark in agent.remarks)


def test_messages_become_memory_oldest_first_with_times_and_files() -> None:
    (agent,) = read_value(NAME, BUNDLE)
    (block,) = agent.blocks
    assert (block.name, block.classification) == ("thread", "unreviewed")
    assert [(entry.key, entry.value) for entry in block.entries] == [
        (
            "thread_1/msg_1",
            {
                "thread": "thread_1",
                "role": "user",
                "text": "Hi",
                "at": "2023-11-14T22:13:21.000Z",
                "attachments": [{"file_id": "file-1", "filename": "prices.csv"}],
            },
        ),
        (
            "thread_1/msg_2",
            {"thread": "thread_1", "role": "assistant", "text": "Hello!", "at": "2023-11-14T22:13:22.000Z"},
        ),
    ]
    assert "2 messages of the threads `thread_1`" in said(agent, "carried")
    assert "`run_id`" in said(agent, "lost")
    assert "goes on in another page" in said(agent, "lost")
    assert "vector store `vs_1` of `file_search`" in said(agent, "decide")
    assert "`file-1` (`prices.csv`)" in said(agent, "decide")


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ([ASSISTANT], ["Refund helper"]),
        ({"object": "list", "data": [ASSISTANT, {**ASSISTANT, "name": "Other"}]}, ["Refund helper", "Other"]),
        ({"assistants": {"object": "list", "data": [ASSISTANT]}}, ["Refund helper"]),
        ({"assistant": {**ASSISTANT, "name": None}}, ["asst_abc123"]),
        ({"model": "gpt-4o", "instructions": "x", "tools": []}, [""]),
        ({"assistant": ASSISTANT, "messages": [message(1, "user", "Hi")]}, ["Refund helper"]),
        (
            {
                "assistant": ASSISTANT,
                "threads": [{"thread": "thread_9", "messages": [message(1, "user", "Hi")]}],
            },
            ["Refund helper"],
        ),
        (
            {"assistant": ASSISTANT, "threads": [{"id": "thread_9", "object": "thread", "messages": []}]},
            ["Refund helper"],
        ),
    ],
)
def test_every_plausible_shape_of_an_export_is_read(shape: object, names: list[str]) -> None:
    assert [agent.name for agent in read_value(NAME, shape)] == names
    documents(NAME, json.dumps(shape).encode())


def test_threads_beside_several_assistants_belong_to_none_and_are_lost() -> None:
    value = {"assistants": [ASSISTANT, ASSISTANT], "threads": BUNDLE["threads"]}
    agents = read_value(NAME, value)
    assert all(not agent.blocks for agent in agents)
    assert all("belong to no single assistant" in said(agent, "lost") for agent in agents)


def test_message_content_of_every_kind_is_text_an_attachment_or_lost() -> None:
    content = [
        {"type": "text", "text": {"value": "see", "annotations": [{"type": "file_citation"}]}},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_file", "image_file": {"file_id": "file-7"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/i.png"}},
        {"type": "audio"},
    ]
    shape = {"assistant": ASSISTANT, "messages": [message(1, "user", "", content=content)]}
    (agent,) = read_value(NAME, shape)
    assert agent.blocks[0].entries[0].value["text"] == "see\nno"  # type: ignore[index, call-overload]
    assert agent.blocks[0].entries[0].value["attachments"] == [  # type: ignore[index, call-overload]
        {"file_id": "file-7"},
        {"url": "https://x.example/i.png"},
    ]
    assert "content of type `audio`" in said(agent, "lost")
    assert "annotations" in said(agent, "lost")


def test_messages_that_share_an_id_are_both_kept() -> None:
    shape = {"assistant": ASSISTANT, "messages": [message(1, "user", "a"), message(1, "user", "b")]}
    (agent,) = read_value(NAME, shape)
    assert len({entry.key for entry in agent.blocks[0].entries}) == 2


def test_a_function_that_a_document_could_not_name_is_renamed_and_said_so() -> None:
    names = ["dispatch", "9 lives", "refund order", "refund_order", ""]
    tools = [{"type": "function", "function": {"name": name, "parameters": None}} for name in names[:4]]
    (agent,) = read_value(NAME, {**ASSISTANT, "tools": tools})
    assert [tool.name for tool in agent.tools] == [
        "dispatch_tool",
        "_9_lives",
        "refund_order",
        "refund_order_2",
    ]
    assert "`9 lives` is the tool `_9_lives`" in said(agent, "decide")
    documents(NAME, json.dumps({**ASSISTANT, "tools": tools}).encode())


def test_a_schema_that_a_document_may_not_hold_gives_way_and_a_person_decides() -> None:
    tools = [
        {"type": "function", "function": {"name": "a", "parameters": {"$ref": "https://x.example/s.json"}}},
        {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "pattern": "("}}},
        {
            "type": "function",
            "function": {"name": "c", "parameters": {"$schema": "x", "properties": {"d": None}}},
        },
    ]
    (agent,) = read_value(NAME, {**ASSISTANT, "tools": tools})
    assert [tool.parameters for tool in agent.tools] == [
        {"type": "object"},
        {"type": "object"},
        {"type": "object", "properties": {}},
    ]
    assert said(agent, "decide").count("declare them anew") == 2


@pytest.mark.parametrize(
    "shape",
    [
        {"object": "list", "data": [ASSISTANT, ASSISTANT], "has_more": True, "colour": "blue"},
        {"data": [ASSISTANT], "has_more": True, "colour": "blue"},
        {"assistants": {"object": "list", "data": [ASSISTANT], "has_more": True, "colour": "blue"}},
    ],
)
def test_a_list_of_assistants_that_goes_on_elsewhere_is_said_of_each(shape: object) -> None:
    for agent in read_value(NAME, shape):
        assert said(agent, "lost").count("the list goes on in another page, which is not here") == 1
        assert said(agent, "lost").count("`colour` is not known") == 1


@pytest.mark.parametrize("member", ["files", "vector_stores", "messages", "threads"])
def test_any_list_page_that_goes_on_elsewhere_is_said(member: str) -> None:
    page = {"object": "list", "data": [], "has_more": True}
    (agent,) = read_value(NAME, {"assistant": ASSISTANT, member: page})
    assert "the list goes on in another page" in said(agent, "lost")


def test_every_file_and_vector_store_of_a_bundle_is_named_once_whether_it_is_used_or_not() -> None:
    files = [
        {"id": "file-1", "filename": "prices.csv", "bytes": 7},
        {"id": "file-2", "filename": "old.csv", "purpose": "assistants"},
        {"filename": "nameless.csv"},
        {},
    ]
    stores = [{"id": "vs_1"}, {"id": "vs_2", "name": "Handbook", "file_counts": {"total": 2}}]
    note = message(1, "user", "Hi", attachments=[{"file_id": "file-1"}, {"file_id": "file-8"}])
    image = message(2, "user", "", content=[{"type": "image_file", "image_file": {"file_id": "file-9"}}])
    shape = {
        "assistant": ASSISTANT,
        "messages": [note, note, image],
        "files": files,
        "vector_stores": {"object": "list", "data": stores},
    }
    (agent,) = read_value(NAME, shape)
    lines = [line for line in said(agent, "decide").splitlines() if " at the vendor" in line]
    assert sorted(line.split(" is at the vendor")[0] for line in lines) == [
        "file `file-1` (`prices.csv`) of `code_interpreter`, 2 messages",
        "file `file-2` (`old.csv`) of the export",
        "file `file-8` of 2 messages",
        "file `file-9` of 1 message",
        "file `nameless.csv` of the export",
        "file without an id of the export",
        "vector store `vs_1` of `file_search`",
        "vector store `vs_2` (`Handbook`) of the export",
    ]
    assert "of the files, `bytes`, `purpose`: has no counterpart" in said(agent, "lost")
    assert "of the vector stores, `file_counts`: has no counterpart" in said(agent, "lost")


def test_what_an_attachment_or_a_picture_says_beyond_its_file_is_named_as_lost() -> None:
    content = [
        {"type": "text", "text": {"value": "see", "colour": "blue"}, "cache": 1},
        {"type": "image_file", "image_file": {"file_id": "file-7", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/i.png", "zoom": 2}},
    ]
    attachments = [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]
    shape = {
        "assistant": ASSISTANT,
        "messages": [message(1, "user", "", content=content, attachments=attachments)],
    }
    (agent,) = read_value(NAME, shape)
    assert "of the attachments, `tools`: has no counterpart" in said(agent, "lost")
    assert "of the parts of messages, `colour`, `cache`, `detail`, `zoom`: has no counterpart" in said(
        agent, "lost"
    )


def test_an_assistant_of_the_first_version_keeps_its_search_and_names_its_files() -> None:
    first = {
        "id": "asst_old",
        "object": "assistant",
        "model": "gpt-4",
        "tools": [{"type": "retrieval"}, {"type": "code_interpreter"}],
        "file_ids": ["file-1", "file-2"],
    }
    talk = {"id": "m1", "role": "user", "content": "Hi", "file_ids": ["file-3"]}
    (agent,) = read_value(NAME, {"assistant": first, "messages": [talk], "files": [{"id": "file-1"}]})
    assert [builtin["name"] for builtin in agent.builtins] == ["file_search", "code_interpreter"]
    assert "`retrieval` of the first version is `file_search`" in said(agent, "carried")
    for name in ("file `file-1` of the assistant", "file `file-2` of the assistant", "file `file-3` of 1 "):
        assert said(agent, "decide").count(name) == 1
    assert agent.blocks[0].entries[0].value["attachments"] == [{"file_id": "file-3"}]  # type: ignore[index, call-overload]
    assert agent.extensions["assistant"]["file_ids"] == ["file-1", "file-2"]  # type: ignore[index, call-overload]
    body = {"model": "gpt-4", "instructions": "x", "file_ids": ["file-1"]}
    assert reader(NAME).detects(body)


@pytest.mark.parametrize(
    "shape",
    [
        {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False},
        {"assistants": []},
        {"assistants": {"object": "list", "data": []}},
        {"assistants": [], "threads": [], "files": []},
    ],
)
def test_an_empty_list_is_refused_for_what_it_is(shape: object) -> None:
    with pytest.raises(DocumentError, match=r"a\.json:1:1: the list holds no assistant; export it again"):
        read_agents(json.dumps(shape).encode(), file="a.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 7}, "`model` must be a string, not a number"),
        ({"model": None}, "`model` is missing"),
        ({"tools": "all"}, "`tools` must be a list, not a string"),
        ({"tools": [7]}, "`/tools/0` must be an object, not a number"),
        ({"tools": [{"type": "function"}]}, "`function` is missing in `/tools/0`"),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, "`name` must be a string"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]}, "must be an object"),
        (
            {"tool_resources": {"code_interpreter": {"file_ids": [1]}}},
            "`/tool_resources/code_interpreter/file_ids/0`",
        ),
        ({"object": "thread"}, "`object` is `thread`, not `assistant`"),
    ],
)
def test_a_member_of_a_wrong_type_is_refused_at_its_place(change: dict[str, object], message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_value(NAME, {**ASSISTANT, **change}, file="a.json")
    assert message in str(caught.value)
    assert all(fault.file == "a.json" and fault.line for fault in caught.value.faults)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(broken(BUNDLE))
def test_an_export_with_members_of_wrong_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused(NAME, value)
