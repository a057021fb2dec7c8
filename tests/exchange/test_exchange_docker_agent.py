from __future__ import annotations

import fnmatch
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
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from remit.document.revision import genesis
from remit.engine.cedar import CedarEngine
from remit.errors import DocumentError
from remit.exchange.docker_permissions import glob_fits, narrower_condition, parse_pattern, wider_condition
from remit.exchange.foreign import ForeignTool
from remit.policy.compile import compile_governance
from remit.project.questions import Question, build_request

NAME = "docker-agent"
FILE = {
    "version": "2",
    "agents": {
        "root": {
            "model": "claude",
            "description": "Coordinates.",
            "instruction": "Do the work.\n",
            "sub_agents": ["helper"],
            "max_iterations": 5,
            "add_date": True,
            "toolsets": [
                {"type": "shell"},
                {"type": "filesystem", "tools": ["read_file", "write_file"], "allow_list": ["."]},
                {"type": "think"},
                {"type": "memory", "path": "m.db"},
                {
                    "type": "mcp",
                    "command": "npx",
                    "args": ["-y", "@x/server"],
                    "tools": ["create_issue", "delete_issue"],
                    "env": {"TOKEN": "secret-1"},
                },
                {"type": "mcp", "ref": "docker:duckduckgo"},
                {"type": "mcp", "ref": "docs"},
                {
                    "type": "script",
                    "shell": {"deploy": {"cmd": "./deploy.sh $where", "args": {"where": {"type": "string"}}}},
                },
                {
                    "type": "api",
                    "api_config": {
                        "name": "weather",
                        "instruction": "Get the weather.",
                        "endpoint": "https://w.example/${city}?key=secret-2",
                        "method": "GET",
                        "args": {"city": {"type": "string"}},
                        "required": [],
                    },
                },
                {"type": "scheduler"},
            ],
            "hooks": {"pre_tool_use": []},
            "fallback": {"models": ["openai/gpt-4o", "local"]},
        },
        "helper": {"model": "openai/gpt-4o,anthropic/claude-haiku", "instruction": "Help."},
    },
    "models": {
        "claude": {"provider": "anthropic", "model": "claude-sonnet-4-0", "temperature": 0.2},
        "local": {"provider": "mine", "model": "qwen"},
    },
    "providers": {"mine": {"base_url": "http://gpu.example:8000", "token_key": "MY_KEY"}},
    "mcps": {
        "docs": {"remote": {"url": "https://d.example/mcp", "headers": {"A": "secret-3"}}, "tools": ["find"]}
    },
    "permissions": {"allow": ["read_*"], "ask": ["find"], "deny": ["delete_*", "shell:cmd=sudo*"]},
    "metadata": {"author": "me"},
}


def permissions(**lists: list[str]) -> dict[str, object]:
    toolsets = [{"type": "shell"}, {"type": "filesystem"}]
    return {
        "agents": {"root": {"model": "openai/m", "instruction": "x", "toolsets": toolsets}},
        "permissions": lists,
    }


def rules(value: dict[str, object], *, in_force: bool) -> dict[tuple[str, str], dict[str, object]]:
    (agent,) = read_value(NAME, value)
    return {
        (rule.place, str(rule.value["id"])): rule.value for rule in agent.rules if rule.in_force == in_force
    }


def test_every_agent_of_the_file_becomes_a_document_of_its_own() -> None:
    root, helper = read_value(NAME, FILE)
    assert (root.name, root.description, root.instructions) == ("root", "Coordinates.", "Do the work.\n")
    assert [tool.name for tool in root.tools] == [
        "shell",
        "read_file",
        "write_file",
        "create_issue",
        "delete_issue",
        "find",
        "deploy",
        "weather",
    ]
    sources = {tool.name: tool.source for tool in root.tools if tool.source is not None}
    assert sources == {
        "create_issue": {"mcp": {"command": ["npx", "-y", "@x/server"]}},
        "delete_issue": {"mcp": {"command": ["npx", "-y", "@x/server"]}},
        "find": {"mcp": {"url": "https://d.example/mcp"}},
    }
    assert [(entry["name"], entry["adapter"], entry["config"]) for entry in root.backends] == [
        (
            "claude",
            "anthropic",
            {"base_url": "https://api.anthropic.com", "api_key_env": "ANTHROPIC_API_KEY"},
        ),
        (
            "openai-gpt-4o",
            "openai-chat",
            {"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"},
        ),
        ("local", "openai-chat", {"base_url": "http://gpu.example:8000"}),
    ]
    assert [entry["model"] for entry in helper.backends] == ["gpt-4o", "claude-haiku"]
    assert len(documents(NAME, json.dumps(FILE).encode())) == 2


def test_everything_of_the_file_is_carried_lost_or_to_decide_and_secrets_nowhere() -> None:
    root, _ = read_value(NAME, FILE)
    for what in ("`helper`", "`think`", "`memory`", "`TOKEN`", "`temperature`", "`add_date`", "`headers`"):
        assert what in said(root, "lost")
    for what in (
        "`npx -y @x/server` would be started",
        "`docker:duckduckgo`",
        "`deploy` ran a command line",
        "`weather` called `GET https://w.example/",
        "`scheduler` is not carried",
        "`allow_list` limit",
        "`MY_KEY`",
        "`hooks`",
    ):
        assert what in said(root, "decide")
    assert "secret-" not in repr(root)
    assert "deploy.sh" not in repr(root)


def test_deny_is_in_force_allow_is_only_proposed_and_what_is_left_is_asked_about() -> None:
    root, _ = read_value(NAME, FILE)
    in_force = {(rule.place, rule.value["id"]) for rule in root.rules if rule.in_force}
    assert in_force == {
        ("tool:delete_issue", "deny-1"),
        ("tool:shell", "deny-2"),
        ("tool:find", "ask-1"),
        ("tool:shell", "otherwise-shell"),
        ("tool:write_file", "otherwise-write_file"),
        ("tool:create_issue", "otherwise-create_issue"),
        ("tool:find", "otherwise-find"),
        ("tool:deploy", "otherwise-deploy"),
        ("tool:weather", "otherwise-weather"),
        ("termination", "max-iterations"),
    }
    assert all(rule.value["effect"] == "forbid" for rule in root.rules if rule.in_force)
    offered = {(rule.place, rule.value["id"]) for rule in root.rules if not rule.in_force}
    assert offered == {("tool:read_file", "allow-1"), ("tool:shell", "deny-2-as-written")}


def test_an_argument_pattern_that_cedar_says_exactly_stays_exact() -> None:
    found = rules(permissions(deny=["write_file:path=/*/.*", "read_file:limit=42"]), in_force=True)
    assert found["tool:write_file", "deny-1"]["when"] == 'context.input.path like "/*/.*"'
    assert found["tool:read_file", "deny-2"]["when"] == "context.input has limit && context.input.limit == 42"
    assert rules(permissions(deny=["write_file:path=/*/.*"]), in_force=False) == {}


def test_an_argument_pattern_with_letters_is_wider_in_force_and_proposed_as_written() -> None:
    value = permissions(deny=["shell:cmd=rm*-rf*", "shell:cwd=/etc", "write_file:path=[ab]?*"])
    found = rules(value, in_force=True)
    assert found["tool:shell", "deny-1"]["when"] == 'context.input.cmd like "*-*"'
    assert found["tool:shell", "deny-2"]["when"] == 'context.input has cwd && context.input.cwd like "/*"'
    assert "when" not in found["tool:write_file", "deny-3"]
    offered = rules(value, in_force=False)
    assert offered["tool:shell", "deny-1-as-written"]["when"] == 'context.input.cmd like "rm*-rf*"'
    assert ("tool:write_file", "deny-3-as-written") not in offered


def test_allow_wins_over_the_question_that_is_asked_by_default_but_not_over_ask() -> None:
    value = permissions(allow=["shell:cmd=ls*", "write_file"], ask=["write_file"])
    found = rules(value, in_force=True)
    assert found["tool:shell", "otherwise-shell"]["unless"] == '(context.input.cmd like "ls*")'
    assert ("tool:write_file", "otherwise-write_file") not in found
    assert found["tool:write_file", "ask-1"]["obligations"] == [{"approve": {"by": "reviewer"}}]
    assert rules(value, in_force=False)["tool:shell", "allow-1"]["when"] == 'context.input.cmd like "ls*"'


def test_a_pattern_for_every_tool_is_one_rule_for_all_tools() -> None:
    found = rules(permissions(deny=["*"]), in_force=True)
    assert found["rules", "deny-1"]["on"] == ["call_tool"]


def test_a_pattern_that_fits_no_tool_is_a_person_s_decision() -> None:
    (agent,) = read_value(
        NAME, permissions(deny=["mcp:github:delete_*"], allow=["gone"], ask=["*:nothing=x"])
    )
    assert said(agent, "decide").count("fits no tool of this document") == 3


def test_a_permit_never_says_more_than_its_pattern() -> None:
    value = permissions(allow=["shell:cmd=l?", "shell:cmd=[a-z]*", "shell:cmd=http://x*", "shell:gone=1"])
    (agent,) = read_value(NAME, value)
    assert [rule for rule in agent.rules if rule.value["effect"] == "permit"] == []
    assert said(agent, "decide").count("has no exact form at `shell`: write a permit") == 3


@pytest.mark.parametrize(
    ("safety", "effect"),
    [("strict", "asked"), ("", "free"), ("restricted", "free"), ("autonomous", "free")],
)
def test_read_only_tools_are_asked_about_in_the_strict_mode_alone(safety: str, effect: str) -> None:
    value = permissions()
    value["agents"]["root"]["safety"] = safety or None  # type: ignore[index]
    found = rules(value, in_force=True)
    assert (("tool:read_file", "otherwise-read_file") in found) == (effect == "asked")
    assert ("obligations" in found["tool:shell", "otherwise-shell"]) == (safety != "restricted")


GLOBS = st.text(st.sampled_from("aB*?-.[]\\^"), max_size=6)
TEXTS = st.text(st.sampled_from("abAB*?-.[]\\^"), max_size=6)


@given(GLOBS, TEXTS)
def test_a_glob_fits_as_the_standard_library_s_where_both_mean_the_same(glob: str, text: str) -> None:
    assume("[" not in glob and "\\" not in glob)
    assert glob_fits(glob, text) == fnmatch.fnmatchcase(text.lower(), glob.lower())


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("[rw]*_file", "read_file", True),
        ("[^r]*", "read_file", False),
        ("[a-f]1", "e1", True),
        ("[\\]]", "]", True),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("a[", "a[", True),
        ("[]", "", False),
        ("[z-a]", "z", False),
        ("READ_???E", "read_file", True),
        ("mcp:*", "mcp:github:create", True),
        ("*a" * 40, "a" * 39 + "b", False),
    ],
)
def test_a_glob_reads_classes_escapes_and_capitals_as_the_format_does(
    glob: str, text: str, fits: bool
) -> None:
    assert glob_fits(glob, text) is fits


TOOL = ForeignTool(
    name="t",
    description="",
    parameters={
        "type": "object",
        "properties": {"need": {"type": "string"}, "may": {"type": "string"}},
        "required": ["need"],
        "additionalProperties": False,
    },
)
VALUES = st.text(st.sampled_from('abAB*?-."\\é/'), max_size=4)
ARGUMENTS = st.fixed_dictionaries({"need": VALUES}, optional={"may": VALUES})
PATTERNS = st.dictionaries(
    st.sampled_from(["need", "may"]), st.text(st.sampled_from('aB*?-."\\é/['), max_size=4), min_size=1
)


class Asked:
    """Two permits, each under its condition, put to the engine."""

    def __init__(self, wider: str, narrower: str | None) -> None:
        conditions = {"wider": wider, "narrower": "false" if narrower is None else narrower}
        rules = [
            {"id": name, "effect": "permit", **({"when": text} if text else {})}
            for name, text in conditions.items()
        ]
        tool = {
            "name": TOOL.name,
            "description": "",
            "parameters": TOOL.parameters,
            "effect": "read",
            "source": {"embedder": True},
            "rules": rules,
        }
        self._document = genesis(
            {
                "governance": {
                    "attributes": {"jurisdiction": "EU", "risk_tier": "low", "owner": "tests"},
                    "activation": [],
                    "mutation": [],
                    "termination": [],
                },
                "capabilities": {"instructions": "", "tools": [tool], "backends": []},
                "memory": {"blocks": []},
                "execution_state": {"lifecycle": "active", "usage": {}, "pending": []},
            },
            nonce="0" * 32,
        )
        self._engine = CedarEngine(compile_governance(self._document))

    def apply(self, arguments: dict[str, str]) -> set[str]:
        request = build_request(self._document, Question(action=TOOL.name, input=dict(arguments)))
        return set(self._engine.decide(request).reasons)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PATTERNS, st.lists(ARGUMENTS, min_size=1, max_size=8))
def test_a_forbid_is_never_narrower_and_a_permit_never_wider_than_its_pattern(
    globs: dict[str, str], calls: list[dict[str, str]]
) -> None:
    pattern = parse_pattern("t" + "".join(f":{name}={glob}" for name, glob in globs.items()))
    assert pattern.arguments == globs
    wider, exact = wider_condition(pattern, TOOL)
    asked = Asked(wider, narrower_condition(pattern, TOOL))
    for arguments in calls:
        fits = all(name in arguments and glob_fits(glob, arguments[name]) for name, glob in globs.items())
        applied = asked.apply(arguments)
        assert "wider" in applied or not fits
        assert "narrower" not in applied or fits
        assert not exact or ("wider" in applied) == fits


@pytest.mark.parametrize(
    ("text", "tool", "arguments", "unsure"),
    [
        ("shell", "shell", {}, set()),
        ("shell:cmd=ls*:cwd=/home/*", "shell", {"cmd": "ls*", "cwd": "/home/*"}, set()),
        ("mcp:github:create:repo=o/*", "mcp:github:create", {"repo": "o/*"}, set()),
        ("shell:cmd=rm*:cmd=*-rf*", "shell", {"cmd": "*-rf*"}, set()),
        ("fetch:url=http://x/*", "fetch", {"url": "http://x/*"}, {"url"}),
        ("fetch:url=a://x?y=1", "fetch", {"url": "a://x?y=1"}, {"url"}),
    ],
)
def test_a_pattern_is_taken_apart_as_the_format_does(
    text: str, tool: str, arguments: dict[str, str], unsure: set[str]
) -> None:
    pattern = parse_pattern(text)
    assert (pattern.tool, pattern.arguments, pattern.unsure) == (tool, arguments, unsure)


@pytest.mark.parametrize("kind", ["think", "todo", "memory", "background_agents"])
def test_what_the_agent_does_by_itself_is_lost_with_the_reason(kind: str) -> None:
    value = {"agents": {"root": {"model": "openai/m", "toolsets": [{"type": kind}]}}}
    (agent,) = read_value(NAME, value)
    assert (agent.tools, f"toolset `{kind}`: " in said(agent, "lost")) == ((), True)


def test_readonly_leaves_only_tools_that_change_nothing() -> None:
    toolsets = [{"type": "filesystem"}, {"type": "shell"}]
    value = {"agents": {"root": {"model": "openai/m", "readonly": True, "toolsets": toolsets}}}
    (agent,) = read_value(NAME, value)
    assert {tool.effect for tool in agent.tools} == {"read"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"agents": {}}, "the file names no agent"),
        ({"agents": {"root": None}}, "the agent `root` is empty"),
        ({"agents": {"root": {"model": 7}}}, "`model` must be a string, not a number"),
        ({"agents": {"root": {"use_toolsets": ["x"]}}}, "there is no toolset `x`"),
        ({"agents": {"root": {"model": "a"}}, "models": {"a": {"first_available": ["a"]}}}, "names itself"),
        ({"agents": {f"a{n}": {"model": "x/y"} for n in range(300)}}, "300 agents, more than 256"),
        ({**permissions(), "permissions": {"deny": [7]}}, "`/permissions/deny/0` must be a string"),
        (permissions(deny=["x"] * 600), "there are 600 patterns, more than 512"),
        (
            {"agents": {"a": {"model": "x/y", "toolsets": [{"type": "mcp", "command": "c", "tools": [""]}]}}},
            "`/agents/a/toolsets/0/tools/0` must not be empty",
        ),
    ],
)
def test_a_file_that_cannot_be_agents_is_refused_at_its_place(value: object, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_value(NAME, value, file="agents.yaml")
    assert message in str(caught.value)
    assert all(fault.line and fault.file == "agents.yaml" for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("basic_agent.yaml", ["root"]),
        ("background_agents.yaml", ["root", "web_researcher", "code_analyst"]),
    ],
)
def test_the_project_s_own_examples_become_documents(name: str, names: list[str]) -> None:
    data = shared_file("cagent", name)
    agents = read_bytes(NAME, data)
    assert [agent.name for agent in agents] == names
    assert all(agent.backends and agent.instructions for agent in agents)
    assert read_bytes(NAME, data) == agents
    assert len(documents(NAME, data)) == len(names)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(broken(FILE))
def test_a_file_with_members_of_wrong_types_is_read_or_refused(value: object) -> None:
    is_read_or_refused(NAME, value)
