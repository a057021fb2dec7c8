"""Letta agent files (`.af`): one agent as the first version wrote it, or a bundle of agents and their parts.

    {"agent_type": …, "core_memory": […], "messages": […], "tools": […], …}          one agent
    {"agents": […], "blocks": […], "tools": […], "mcp_servers": […], "files": […]}    a bundle

A bundle's parts are named by ids that mean nothing outside the file.
What a server answers about one agent (`memory.blocks` instead of `core_memory`) is read too.

Sources: the schemas of Letta 0.16 and agent files of its repositories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.exchange.foreign import ForeignAgent
from remit.exchange.letta_memory import MemoryReader
from remit.exchange.letta_messages import MessageReader
from remit.exchange.letta_model import model_entry
from remit.exchange.letta_parts import KINDS, Part, Parts
from remit.exchange.letta_rules import asked_tools, read_rules
from remit.exchange.letta_tools import ToolReader
from remit.exchange.members import Findings, ForeignObject
from remit.exchange.remnants import beside, listed, lose_together, says_nothing

if TYPE_CHECKING:
    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue

_MARKS = ("agent_type", "core_memory", "llm_config")
_IDS = (
    "created_by_id",
    "last_updated_by_id",
    "organization_id",
    "user_id",
    "identity_ids",
    "identities",
    "project",
    "project_id",
    "template_id",
    "base_template_id",
    "deployment_id",
    "entity_id",
    "from_template",
    "template",
    "group_ids",
    "message_ids",
)
_TIMES = ("created_at", "updated_at", "last_run_completion", "last_run_duration_ms", "last_stop_reason")
_SETTINGS = (
    "initial_message_sequence",
    "include_base_tools",
    "include_multi_agent_tools",
    "include_base_tool_rules",
    "include_default_source",
    "context_window_limit",
    "max_tokens",
    "max_reasoning_tokens",
    "enable_reasoner",
    "reasoning",
    "message_buffer_autoclear",
    "enable_sleeptime",
    "max_files_open",
    "per_file_view_window_char_limit",
    "hidden",
    "parallel_tool_calls",
    "compaction_settings",
    "memory_variables",
    "metadata",
    "metadata_",
    "in_context_message_ids",
    "in_context_message_indices",
    "files_agents",
)
_EMBEDDING = ("embedding_config", "embedding", "embedding_chunk_size")
_SECRETS = ("tool_exec_environment_variables", "secrets")
_PASSAGES = ("passages", "archival_memory", "archival_passages")
_FACTS = ("agent_type", "version", "timezone")
_READ = frozenset(
    (
        *KINDS,
        *_FACTS,
        *_SECRETS,
        *_PASSAGES,
        "id",
        "name",
        "description",
        "system",
        "tags",
        "tool_ids",
        "tool_rules",
        "block_ids",
        "memory_blocks",
        "core_memory",
        "memory",
        "source_ids",
        "folder_ids",
        "messages",
        "llm_config",
        "model",
        "model_settings",
        "response_format",
        "multi_agent_group",
        "managed_group",
        *_IDS,
        *_TIMES,
        *_SETTINGS,
        *_EMBEDDING,
    )
)
"""Every member of an agent that this importer knows."""


class LettaReader:
    """Reads Letta agent files."""

    @property
    def name(self) -> str:
        """Name of the format."""
        return "letta"

    def detects(self, value: JsonValue) -> bool:
        """Whether a value looks like an agent file, a bundle or a single agent."""
        if not isinstance(value, dict):
            return False
        if isinstance(value.get("agents"), list):
            return "tools" in value and ("blocks" in value or "groups" in value)
        return isinstance(value.get("agent_type"), str) and any(
            mark in value for mark in ("core_memory", "memory", "llm_config", "system")
        )

    def read(self, parsed: Parsed) -> tuple[ForeignAgent, ...]:
        """Read the agents of a file.

        Raises:
            DocumentError: it is no agent file, or a member is of a wrong type; every fault is listed.
        """
        findings = Findings(parsed)
        root = ForeignObject(parsed.value, "", findings)
        findings.refuse()
        bundled = root.has("agents")
        if bundled and root.value["agents"] == []:
            findings.fault("/agents", "`agents` holds no agent", "export an agent together with its parts")
        if not bundled and not any(root.has(mark) for mark in _MARKS):
            findings.fault(
                "",
                f"this is no Letta agent: it has no `agents`, and none of {listed(_MARKS)}",
                "export it from Letta as an agent file",
            )
        findings.refuse()
        parts = Parts(root, bundled=bundled)
        owners = root.objects("agents") if bundled else [root]
        names: set[str] = set()
        readers = [
            _AgentReader(owner, parts, beside(findings), bundled=bundled)
            for owner in owners
            if owner.is_object
        ]
        agents = [reader.read(names) for reader in readers]
        findings.refuse()
        return tuple(agents)


class _AgentReader:
    """Reads one agent of a file.

    Args:
        owner: the agent.
        parts: the parts of the bundle that it stands in.
        findings: its own.
        bundled: whether it stands in a bundle.
    """

    def __init__(self, owner: ForeignObject, parts: Parts, findings: Findings, *, bundled: bool) -> None:
        self._owner = ForeignObject(owner.value, owner.pointer, findings)
        self._parts = parts
        self._findings = findings
        self._bundled = bundled

    def read(self, names: set[str]) -> ForeignAgent:
        """Read the agent; `names` are those of the agents before it."""
        owner, findings = self._owner, self._findings
        name, system = self._name(names), owner.text("system")
        rules = owner.objects("tool_rules")
        tools = ToolReader(findings, self._servers(), asked_tools(rules))
        tools.read(self._members_and_parts("tools", "tools", "tool_ids"), self._place("tools", "tool_ids"))
        memory = MemoryReader(findings)
        memory.blocks_from(self._blocks(), self._place("core_memory", "memory", "memory_blocks", "block_ids"))
        memory.passages_from([part for kind in _PASSAGES for part in self._all(kind)])
        memory.files_from(self._files())
        memory.skills_from(self._all("skills"))
        messages = MessageReader(
            findings, owner.at("messages"), speaks_by_tool=tools.speaks_by_tool, system=system
        )
        memory.thread_from(messages, owner.objects("messages"), owner.at("messages"))
        backend = model_entry(owner)
        self._secrets()
        self._groups()
        self._rest()
        return ForeignAgent(
            format="letta",
            name=name,
            instructions=system,
            description=owner.text("description"),
            tools=tools.tools,
            backends=() if backend is None else (backend,),
            blocks=memory.blocks,
            rules=(*read_rules(rules, tools.by_name, findings, owner.at("tool_rules")), *memory.rules),
            extensions=self._extensions(tools.sources),
            remarks=findings.remarks,
        )

    def _name(self, names: set[str]) -> str:
        """Return the agent's name, unique in the file."""
        name = self._owner.text("name") or self._owner.text("id")
        unique, number = name, 1
        while unique in names:
            number += 1
            unique = f"{name} {number}"
        if unique != name:
            self._findings.decide(
                self._owner.at("name"),
                f"the file has another `{printable(name)}`, so this one is called `{printable(unique)}`",
            )
        names.add(unique)
        return unique

    def _place(self, *members: str) -> str:
        """Return where the first of some members stands that is there."""
        found = [member for member in members if not says_nothing(self._owner.any(member))]
        return self._owner.at(found[0]) if found else self._owner.pointer

    def _all(self, kind: str) -> list[Part]:
        """Return the parts of a kind in the bundle, or those that stand in the agent itself."""
        return self._parts.all(kind) or self._held(kind)

    def _held(self, member: str) -> list[Part]:
        """Return the parts that stand in the agent itself; of a mere name there is nothing to read."""
        found: list[Part] = []
        bare: list[str] = []
        for pointer, value in self._owner.items(member):
            if isinstance(value, str) and member not in _PASSAGES:
                bare.append(value)
            else:
                found.append(Part(pointer=pointer, value=value))
        if bare:
            self._findings.decide(
                self._owner.at(member), f"{listed(bare)} of `{member}` are only named: supply what is meant"
            )
        return found

    def _members_and_parts(self, member: str, kind: str, ids: str) -> list[Part]:
        """Return the parts that stand in the agent, and those of the bundle that it names."""
        found = self._held(member)
        taken: set[str] = set()
        for pointer, part_id in self._owner.texts(ids):
            part = self._parts.get(kind, part_id)
            if part is None:
                self._findings.decide(
                    pointer,
                    f"`{printable(part_id)}` is not among the `{kind}` of the file: supply what is meant",
                )
            elif part.pointer not in taken:
                taken.add(part.pointer)
                found.append(part)
        return found

    def _servers(self) -> list[ForeignObject]:
        found = [ForeignObject(part.value, part.pointer, self._findings) for part in self._all("mcp_servers")]
        return [server for server in found if server.is_object]

    def _blocks(self) -> list[Part]:
        found = self._members_and_parts("memory_blocks", "blocks", "block_ids")
        if not self._bundled:
            found.extend(self._held("blocks"))
        for member in ("core_memory", "memory"):
            if not isinstance(self._owner.value.get(member), dict):
                found.extend(self._held(member))
                continue
            memory = ForeignObject(self._owner.any(member), self._owner.at(member), self._findings)
            if memory.has("blocks"):
                found.extend(Part(pointer=where, value=value) for where, value in memory.items("blocks"))
                continue
            named = [(label, value) for label, value in memory.value.items() if isinstance(value, dict)]
            found.extend(Part(pointer=memory.at(label), value=value, name=label) for label, value in named)
            lose_together(
                memory,
                [label for label, value in memory.value.items() if not isinstance(value, dict)],
                "no block",
            )
        return found

    def _files(self) -> list[Part]:
        """Return the files that the agent may see, and remark on their sources."""
        owner = self._owner
        opened = {entry.text("file_id") for entry in owner.objects("files_agents")}
        sources = {source for _, source in (*owner.texts("source_ids"), *owner.texts("folder_ids"))}
        named = [part.text("name") or part.text("id") for part in self._parts.all("sources")]
        if named and sources:
            self._findings.lost(
                self._place("source_ids", "folder_ids"),
                f"the sources {listed(named)} are lost but for their files: Remit uses no embeddings",
            )
        if not self._bundled:
            return self._held("files")
        return [
            part
            for part in self._parts.all("files")
            if part.text("id") in opened or part.text("source_id") in sources
        ]

    def _secrets(self) -> None:
        """Name every secret and carry none."""
        owner = self._owner
        for member in _SECRETS:
            value = owner.any(member)
            if isinstance(value, dict):
                pairs = list(value.items())
            else:
                pairs = [(entry.text("key"), entry.any("value")) for entry in owner.objects(member)]
            if not pairs:
                continue
            self._findings.lost(
                owner.at(member),
                f"{listed(name for name, _ in pairs)} are secrets, which are never carried: "
                "set them where the tools run",
            )
            told = [name for name, held in pairs if not says_nothing(held)]
            if told:
                self._findings.decide(
                    owner.at(member), f"the file tells the value of {listed(told)}: take it as disclosed"
                )

    def _groups(self) -> None:
        owner = self._owner
        pointers = self._parts.groups_of(owner.text("id"), self._findings)
        pointers += [
            owner.at(member)
            for member in ("multi_agent_group", "managed_group")
            if not says_nothing(owner.any(member))
        ]
        for pointer in pointers:
            self._findings.decide(
                pointer,
                "the agents of this group called each other, here each stands alone: say how they work",
            )

    def _rest(self) -> None:
        """Remark on what has not been read."""
        owner = self._owner
        if not says_nothing(owner.any("response_format")):
            self._findings.decide(
                owner.at("response_format"),
                "`response_format` asks for a form of answer: put it into the instructions",
            )
        lose_together(owner, _EMBEDDING, "Remit uses no embeddings")
        lose_together(owner, _IDS, "ids and references of Letta's own")
        lose_together(owner, _SETTINGS, "settings of Letta's own runtime")
        lose_together(owner, _TIMES, "the time of the import counts")
        lose_together(
            owner, [name for name in owner.value if name not in _READ], "not known to this importer"
        )
        if self._bundled:
            self._parts.remark_on_rest(self._findings)

    def _extensions(self, sources: JsonObject) -> JsonObject:
        owner = self._owner
        found: JsonObject = {fact: owner.text(fact) for fact in _FACTS if owner.text(fact)}
        tags: list[JsonValue] = []
        for pointer, tag in owner.items("tags"):
            text = tag if isinstance(tag, str) else ForeignObject(tag, pointer, self._findings).text("tag")
            tags.append(text)
        if tags:
            found["tags"] = tags
        if self._parts.revision:
            found["revision_id"] = self._parts.revision
        if sources:
            found["tools"] = sources
        return found


READER = LettaReader()
