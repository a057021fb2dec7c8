"""Agents of Docker Agent (cagent): a YAML file of agents, models, MCP servers and permissions.

Every agent of the file is a document of its own; that one hands work to another is lost.
Nothing that the file names is read, started or fetched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.document.values import pointer_to
from remit.exchange.docker_models import Models
from remit.exchange.docker_permissions import Permissions
from remit.exchange.docker_toolsets import Toolsets
from remit.exchange.foreign import MAX_AGENTS, ForeignAgent, ForeignRule
from remit.exchange.members import Findings, ForeignObject, without_nulls
from remit.exchange.remnants import beside, listed, lose_together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue

NAME = "docker-agent"

_SIGNS = frozenset(
    (
        "model",
        "instruction",
        "instruction_file",
        "toolsets",
        "use_toolsets",
        "sub_agents",
        "handoffs",
        "harness",
    )
)
_MINOR = (
    *("welcome_message", "add_date", "add_environment_info", "num_history_items", "add_prompt_files"),
    *("add_prompt_files_depth", "commands", "use_commands", "code_mode_tools", "add_description_parameter"),
    *("cache", "session_compaction", "compaction_threshold", "compaction_model", "max_old_tool_call_tokens"),
    *("max_tool_result_tokens", "max_consecutive_tool_calls", "redact_secrets", "structured_output"),
)
_ELSEWHERE = {
    "instruction_file": "the instructions stand in another file: write them into the project",
    "harness": "another program runs this agent: declare a back-end in its place",
    "skills": "skills stand in other files: write what matters into the instructions",
    "use_skills": "skills stand in other files: write what matters into the instructions",
    "hooks": "hooks are programs: write rules for what they forbade",
    "budgets": "budgets are rules on `termination`: write them with `context.usage`",
    "rag": "what the agent searched is not carried: supply a tool for it",
    "force_handoff": "the agent hands its answer on: let your program do so",
}
_TOP = (
    *("version", "agents", "models", "providers", "mcps", "toolsets", "permissions", "runtime", "metadata"),
    *("skills", "commands", "rag", "budget", "budgets", "flavors"),
)


class _Reader:
    """Reads Docker Agent files."""

    name = NAME

    def detects(self, value: JsonValue) -> bool:
        """Whether a value is a file of agents by name that look like this family's."""
        agents = value.get("agents") if isinstance(value, dict) else None
        return (
            isinstance(agents, dict)
            and bool(agents)
            and all(isinstance(agent, dict) and not _SIGNS.isdisjoint(agent) for agent in agents.values())
        )

    def read(self, parsed: Parsed) -> tuple[ForeignAgent, ...]:
        """Read every agent of a file; see `remit.exchange.registry.Reader`."""
        findings = Findings(parsed)
        named = _File(findings).names
        if not named and not findings.log.faults:
            findings.fault("/agents", "the file names no agent", "write one under `agents`")
        if len(named) > MAX_AGENTS:
            findings.fault("/agents", f"the file names {len(named)} agents, more than {MAX_AGENTS}")
            findings.refuse()
        agents = [_File(beside(findings)).agent(name, first=index == 0) for index, name in enumerate(named)]
        findings.refuse()
        return tuple(agents)


READER = _Reader()


class _File:
    """The whole file, as one of its agents sees it.

    Args:
        findings: what is said about that agent.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._root = ForeignObject(findings.parsed.value, "", findings)
        self._agents = self._root.object("agents")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the agents, in the file's order."""
        return () if self._agents is None else tuple(self._agents.value)

    def agent(self, name: str, *, first: bool) -> ForeignAgent:
        """Read one agent.

        Args:
            name: its key.
            first: whether it stands for the file, and remarks on what concerns no agent belong to it.
        """
        findings = self._findings
        found = None if self._agents is None else self._agents.object(name)
        if found is None:
            findings.fault(pointer_to("/agents", name), f"the agent `{printable(name)}` is empty")
        own = found or ForeignObject({}, pointer_to("/agents", name), findings)
        toolsets = Toolsets(dict(self._root.members("mcps")), findings)
        readonly = own.boolean("readonly") is True
        for toolset in (*own.objects("toolsets"), *self._shared(own)):
            toolsets.add(toolset, readonly=readonly)
        models = self._models(own)
        instructions = own.text("instruction")
        if instructions:
            findings.carried(own.at("instruction"), "`instruction` is the agent's instructions")
        rules = (*self._permissions(own, toolsets), *self._bounds(own))
        agent = ForeignAgent(
            format=NAME,
            name=name,
            instructions=instructions,
            description=own.text("description"),
            tools=tuple(toolsets.tools),
            backends=models.entries,
            rules=rules,
            extensions=self._kept(own),
        )
        self._close(own, first=first)
        return replace(agent, remarks=findings.remarks)

    def _shared(self, own: ForeignObject) -> Iterator[ForeignObject]:
        """Yield the toolsets that the agent takes from the file's own by name."""
        known = dict(self._root.members("toolsets"))
        for pointer, name in own.texts("use_toolsets"):
            if name in known:
                yield known[name]
            else:
                self._findings.fault(pointer, f"there is no toolset `{printable(name)}` in `toolsets`")

    def _models(self, own: ForeignObject) -> Models:
        models = Models(
            dict(self._root.members("models")),
            dict(self._root.members("providers")),
            self._findings,
        )
        reference = own.text("model")
        if reference:
            models.add(reference, own.at("model"))
        fallback = own.object("fallback")
        if fallback is not None:
            for pointer, name in fallback.texts("models"):
                models.add(name, pointer)
            lose_together(fallback, ("retries", "cooldown", "no_fallback_status_codes"), "no counterpart")
            fallback.close()
        return models

    def _permissions(self, own: ForeignObject, toolsets: Toolsets) -> tuple[ForeignRule, ...]:
        runtime = self._root.object("runtime")
        safety = own.text("safety") or (runtime.text("safety") if runtime is not None else "")
        if safety == "autonomous":
            self._findings.decide(
                own.at("safety") if own.has("safety") else "/runtime/safety",
                "`autonomous` would ask nobody: that a person confirms stays in force",
            )
        found = self._root.object("permissions")
        permissions = Permissions(found, safety, toolsets.tools, self._findings)
        rules = permissions.rules()
        if found is not None:
            found.close()
        return rules

    def _bounds(self, own: ForeignObject) -> Iterator[ForeignRule]:
        turns = own.number("max_iterations")
        if turns is not None and turns > 0 and isinstance(turns, int):
            self._findings.carried(own.at("max_iterations"), "`max_iterations` is a rule on `termination`")
            yield ForeignRule(
                place="termination",
                value={
                    "id": "max-iterations",
                    "effect": "forbid",
                    "when": f"context.usage.turns >= {turns}",
                    "because": "the imported file bounds the number of turns",
                },
                in_force=True,
            )

    def _kept(self, own: ForeignObject) -> JsonObject:
        kept: JsonObject = {}
        for owner, name in (
            (self._root, "permissions"),
            (self._root, "metadata"),
            (own, "structured_output"),
        ):
            if owner.has(name):
                kept[name] = without_nulls(owner.value[name])
        return kept

    def _close(self, own: ForeignObject, *, first: bool) -> None:
        findings = self._findings
        others = [name for member in ("sub_agents", "handoffs") for _, name in own.texts(member)]
        if others:
            place = own.at("sub_agents" if own.has("sub_agents") else "handoffs")
            findings.lost(place, f"that the agent hands work to {listed(others)}: let your program do so")
        for name, why in _ELSEWHERE.items():
            if own.has(name):
                findings.decide(own.at(name), f"`{name}`: {why}")
        lose_together(own, _MINOR, "no counterpart")
        own.close()
        for name in _TOP:
            self._root.any(name)
        if first:
            runtime = self._root.object("runtime")
            if runtime is not None:
                runtime.text("safety")
                lose_together(runtime, ("sandbox", "network_allowlist"), "what runs the tools must see to it")
                runtime.close()
            lose_together(self._root, ("flavors", "budget", "budgets"), "no counterpart")
            self._root.close()
