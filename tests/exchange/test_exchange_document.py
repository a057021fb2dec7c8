from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from exchange_hostility import AGENTS, said

from remit.document.lineage import GENESIS_OPERATIONS
from remit.document.parse import parse_document, serialize_document
from remit.document.revision import genesis
from remit.engine.cedar import CedarEngine
from remit.errors import DocumentError
from remit.exchange.document import EXTENSION, Imported, import_agents, rule_value, with_memory
from remit.exchange.foreign import ForeignAgent, ForeignBlock, ForeignEntry, ForeignRule, ForeignTool, Remark
from remit.exchange.registry import read_agents
from remit.policy.compile import compile_governance
from remit.project.questions import Question, build_request

if TYPE_CHECKING:
    from pathlib import Path

    from remit.document.model import Document
    from remit.document.values import JsonObject

AT = "2026-01-02T03:04:05.006Z"
DATA = json.dumps(
    {
        "assistant": {
            "object": "assistant",
            "id": "asst_1",
            "name": "Desk",
            "model": "gpt-4o",
            "instructions": "Be kind.",
            "tools": [{"type": "code_interpreter"}, {"type": "function", "function": {"name": "refund"}}],
        },
        "messages": [{"id": "m1", "role": "user", "content": "Hi", "created_at": 1}],
    }
).encode()
SAMPLES = sorted(
    path
    for family in ("a2a", "agent-spec", "cagent", "letta", "ms-agent-framework")
    for path in (AGENTS / family).glob("*")
)
TOOL = ForeignTool(name="pay", description="Pay.", parameters={"type": "object", "properties": {}})
REFUSED = {"agentspec_oracle_it_assistant.json", "howto_a2aagent.json"}
"""A flow, and an agent that runs elsewhere: neither is an agent that a document could hold."""


def imported(data: bytes = DATA) -> Imported:
    return import_agents(read_agents(data), data)[0]


def agent(**members: object) -> ForeignAgent:
    return replace(ForeignAgent(format="letta", name="a", instructions="x"), **members)


def rule(effect: str, *, in_force: bool, place: str = "tool:pay", **members: object) -> ForeignRule:
    value: JsonObject = {"id": f"r-{effect}", "effect": effect, "because": "b", **members}  # type: ignore[dict-item]
    return ForeignRule(place=place, value=value, in_force=in_force)


def test_the_same_bytes_give_the_same_agent_whatever_the_file_is_called() -> None:
    first = import_agents(read_agents(DATA, file="a.json"), DATA)[0]
    second = import_agents(read_agents(DATA, file="/elsewhere/b.txt"), DATA)[0]
    assert first.document.identity == second.document.identity
    assert serialize_document(first.document) == serialize_document(second.document)


def test_one_byte_more_gives_another_agent() -> None:
    assert imported().document.identity.agent != imported(DATA + b"\n").document.identity.agent


def test_agents_of_one_file_are_different_agents_also_under_one_name() -> None:
    made = import_agents((agent(), agent(), agent(name="b")), b"x")
    assert len({item.document.identity.agent for item in made}) == 3
    assert [item.label for item in made] == ["a", "a#2", "b"]


def test_an_imported_agent_is_a_draft_that_nothing_permits() -> None:
    document = imported().document
    assert document.execution_state.lifecycle == "draft"
    assert document.lineage.operations[0].operation == "import"
    assert document.governance.attributes == {
        "jurisdiction": "undecided",
        "risk_tier": "undecided",
        "owner": "undecided",
    }
    image = compile_governance(document)
    own = [info for info in image.rules.values() if info.pointer]
    assert {info.effect for info in own} == {"forbid"}
    engine = CedarEngine(image)
    for action in ("activate", "refund", "dispatch"):
        question = Question(action=action, resource="openai" if action == "dispatch" else "")
        assert engine.decide(build_request(document, question)).verdict == "deny"


def test_every_decision_that_any_import_leaves_open_is_remarked_on() -> None:
    open_points = [remark.what for remark in imported().remarks if remark.fate == "decide"]
    for word in ("`jurisdiction`", "`risk_tier`", "`owner`", "`unreviewed`"):
        assert any(word in what for what in open_points)
    bare = import_agents((agent(),), b"x")[0]
    assert any("no back-end came along" in remark.what for remark in bare.remarks)


def test_what_the_file_says_stands_in_the_extension_and_nothing_of_its_name() -> None:
    made = import_agents(read_agents(DATA, file="secret-name.json"), DATA)[0]
    extension = made.document.extensions[EXTENSION]
    assert isinstance(extension, dict)
    assert extension["format"] == "openai-assistant"
    assert extension["file_sha256"] == hashlib.sha256(DATA).hexdigest()
    assert extension["agent"] == "Desk"
    assert extension["proposed"] == [rule_value(item) for item in made.proposed]
    assert {"fate": "decide", "what": "`owner` is undecided: no foreign file says it for you"} in extension[
        "remarks"
    ]  # type: ignore[operator]
    assert "secret-name" not in json.dumps(extension)


def test_only_a_forbid_ever_comes_into_force_whatever_a_reader_says() -> None:
    rules = (
        rule("permit", in_force=True),
        rule("forbid", in_force=True),
        rule("forbid", in_force=False, place="rules", on=["call_tool"]),
        ForeignRule(place="rules", value={"cedar": "permit(principal, action, resource);"}, in_force=True),
        ForeignRule(place="tool:pay", value={"id": "none"}, in_force=True),
    )
    made = import_agents((agent(tools=(TOOL,), rules=rules),), b"x")[0]
    assert [item.value.get("id") for item in made.in_force] == ["undecided", "r-forbid"]
    image = compile_governance(made.document)
    assert {info.effect for info in image.rules.values() if info.pointer} == {"forbid"}
    assert all(not item.in_force for item in made.proposed)


def test_a_tool_that_the_file_wants_confirmed_waits_for_a_reviewer() -> None:
    made = import_agents((agent(tools=(replace(TOOL, ask=True),)),), b"x")[0]
    assert made.document.tool("pay").rules[0].obligations[0].by == "reviewer"  # type: ignore[union-attr]


def test_rules_that_share_an_id_each_keep_one_of_their_own() -> None:
    rules = (rule("forbid", in_force=True), rule("forbid", in_force=True, place="dispatch"))
    made = import_agents((agent(tools=(TOOL,), rules=rules),), b"x")[0]
    assert [item.value["id"] for item in made.in_force] == ["undecided", "r-forbid", "r-forbid_2"]


def test_memory_follows_as_one_child_revision_and_the_agent_id_stays() -> None:
    made = imported()
    salts = iter(("00" * 16, "11" * 16))
    document = with_memory(made, at=AT, salt=lambda: next(salts))
    assert document.identity.agent == made.document.identity.agent
    assert [operation.operation for operation in document.lineage.operations] == ["import", "remember"]
    assert document.lineage.operations[1].changed == ("memory",)
    assert document.lineage.operations[0].operation in GENESIS_OPERATIONS
    (entry,) = document.memory.tree
    assert (entry.author, entry.at, entry.key, entry.salt) == ("operator", AT, "thread/m1", "00" * 16)
    assert parse_document(serialize_document(document)).identity == document.identity


def test_every_entry_has_a_time_of_its_own_in_the_order_of_the_file_and_none_lies_ahead() -> None:
    blocks = tuple(
        ForeignBlock(
            name=name,
            description="",
            schema={},
            entries=tuple(ForeignEntry(key=f"{name}{number}", value=number) for number in range(12)),
        )
        for name in ("b", "a")
    )
    made = import_agents((agent(blocks=blocks),), b"x")[0]
    document = with_memory(made, at=AT, salt=lambda: "00" * 16)
    written = sorted((entry.at, entry.key) for entry in document.memory.tree)
    assert [key for _, key in written] == [entry.key for block in blocks for entry in block.entries]
    assert len({at for at, _ in written}) == 24
    assert (written[0][0], written[-1][0]) == ("2026-01-02T03:04:04.983Z", AT)
    assert parse_document(serialize_document(document)) == document


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_times_of_entries_stay_within_what_a_document_can_say(at: str) -> None:
    entries = tuple(ForeignEntry(key=f"k{number}", value=number) for number in range(3))
    block = ForeignBlock(name="notes", description="", schema={}, entries=entries)
    document = with_memory(import_agents((agent(blocks=(block,)),), b"x")[0], at=at, salt=lambda: "00" * 16)
    assert [entry.key for entry in sorted(document.memory.tree, key=lambda entry: entry.at)] == [
        "k0",
        "k1",
        "k2",
    ]


def test_a_time_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"`2026-02-30T00:00:00\.000Z` is not a time"):
        with_memory(imported(), at="2026-02-30T00:00:00.000Z", salt=lambda: "00" * 16)


def test_an_agent_without_memory_stays_at_its_genesis() -> None:
    made = import_agents((agent(),), b"x")[0]
    assert with_memory(made, at=AT, salt=lambda: "00" * 16) is made.document


@pytest.mark.parametrize("carrier", ["json", "yaml", "cbor"])
def test_an_imported_document_comes_back_from_every_carrier(carrier: str) -> None:
    document = with_memory(imported(), at=AT, salt=lambda: "00" * 16)
    again = parse_document(serialize_document(document, format=carrier), format=carrier)  # type: ignore[arg-type]
    assert again == document


def test_what_is_nested_too_deep_for_a_document_is_lost_and_said_so() -> None:
    deep: object = 1
    for _ in range(60):
        deep = [deep]
    block = ForeignBlock(
        name="notes",
        description="",
        schema={},
        entries=(ForeignEntry(key="a", value=deep), ForeignEntry(key="b", value=1)),  # type: ignore[arg-type]
    )
    made = import_agents(
        (
            agent(
                extensions={"deep": deep, "flat": 1},
                tools=(replace(TOOL, parameters={"type": "object", "examples": deep}),),
                builtins=({"name": "file_search", "required": False, "config": {"x": deep}},),
                blocks=(block,),
            ),
        ),
        b"x",
    )[0]
    document = with_memory(made, at=AT, salt=lambda: "00" * 16)
    assert parse_document(serialize_document(document)) == document
    assert document.extensions[EXTENSION]["kept"] == {"flat": 1}  # type: ignore[index, call-overload]
    assert document.capabilities.tools[0].parameters == {"type": "object"}
    assert [entry.key for entry in document.memory.tree] == ["b"]
    assert [remark.what for remark in made.remarks if "too deep" in remark.what] == [
        "what the parameters of `pay` say is nested too deep to be kept",
        "the configuration of `file_search` is nested too deep to be kept",
        "each of 1 entries of the memory block `notes` is nested too deep to be kept",
        "`deep` is nested too deep to be kept",
    ]


def test_a_tool_of_the_embedder_and_one_of_a_server_keep_their_sources() -> None:
    server = replace(TOOL, name="find", source={"mcp": {"url": "https://x.example/mcp"}})
    document = import_agents((agent(tools=(TOOL, server)),), b"x")[0].document
    assert [tool.source for tool in document.capabilities.tools] == [
        {"embedder": True},
        {"mcp": {"url": "https://x.example/mcp"}},
    ]


def test_an_entry_that_does_not_fit_its_block_is_refused_and_nothing_is_made() -> None:
    block = ForeignBlock(
        name="notes", description="", schema={"type": "string"}, entries=(ForeignEntry(key="a", value=7),)
    )
    made = import_agents((agent(blocks=(block,)),), b"x")[0]
    with pytest.raises(DocumentError, match="does not fit the schema of block `notes`"):
        with_memory(made, at=AT, salt=lambda: "00" * 16)


@pytest.mark.skipif(not SAMPLES, reason="the optional files ../shared/data/agents are not here")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_real_file_is_imported_alike_twice_or_refused_with_a_reason(path: Path) -> None:
    data = path.read_bytes()
    if path.name in REFUSED:
        with pytest.raises(DocumentError) as caught:
            read_agents(data, file=path.name)
        assert all(fault.message and fault.line for fault in caught.value.faults)
        return
    made = import_agents(read_agents(data, file=path.name), data)
    again = import_agents(read_agents(data), data)
    assert [item.document.identity for item in made] == [item.document.identity for item in again]
    for item in made:
        document = with_memory(item, at=AT, salt=lambda: "00" * 16)
        assert parse_document(serialize_document(document)) == document
        assert {remark.fate for remark in item.remarks} <= {"carried", "lost", "decide"}
        assert said(item.agent, "decide")


@pytest.mark.skipif(not SAMPLES, reason="the optional files ../shared/data/agents are not here")
@pytest.mark.parametrize(
    "path",
    [path for path in SAMPLES if path.name not in REFUSED],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_what_is_proposed_for_a_real_file_compiles_once_it_is_in_force(path: Path) -> None:
    data = path.read_bytes()
    for item in import_agents(read_agents(data), data):
        compile_governance(in_force(item))


def in_force(item: Imported) -> Document:
    """Return the document with everything proposed put in force, as its owner would do it."""
    document = item.document
    governance = {**document.governance.value}
    capabilities = {**document.capabilities.value}
    tools = [{**tool} for tool in capabilities["tools"]]  # type: ignore[union-attr, misc]
    blocks = [{**block} for block in document.memory.value["blocks"]]  # type: ignore[union-attr, misc]
    for proposed in item.proposed:
        kind, _, name = proposed.place.partition(":")
        if kind == "tool":
            owner = next(tool for tool in tools if tool["name"] == name)
            owner["rules"] = [*owner["rules"], proposed.value]
        elif kind == "memory":
            owner = next(block for block in blocks if block["name"] == name)
            owner["rules"] = [*owner["rules"], proposed.value]
        elif kind == "dispatch":
            capabilities["dispatch"] = [*capabilities["dispatch"], proposed.value]  # type: ignore[misc]
        else:
            governance[kind] = [*governance[kind], proposed.value]  # type: ignore[misc]
    capabilities["tools"] = tools
    return genesis(
        {
            "governance": governance,
            "capabilities": capabilities,
            "memory": {"blocks": blocks},
            "execution_state": {"lifecycle": "ready", "usage": {}, "pending": []},
        },
        nonce="0" * 32,
    )


def test_a_remark_knows_its_place_and_the_document_keeps_only_the_pointer() -> None:
    remark = Remark(fate="lost", what="x", pointer="/a", line=3, column=4)
    made = import_agents((agent(remarks=(remark,)),), b"x")[0]
    kept = made.document.extensions[EXTENSION]["remarks"]  # type: ignore[index, call-overload]
    assert kept[0] == {"fate": "lost", "what": "x", "pointer": "/a"}
    assert made.remarks[0] is remark
