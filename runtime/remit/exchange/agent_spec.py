"""Open Agent Spec: an agent, or a group of agents, as a tree of components; JSON or YAML.

Rules
1. An `Agent` and a `SpecializedAgent` become an agent; the agents of `ManagerWorkers` and `Swarm` one each.
2. A `Flow` is refused: the order of its steps is what it is, and nothing here could keep it.
3. An agent that runs elsewhere (`A2AAgent`, `OciAgent`, …) is refused, for the file holds nothing of it;
   in a group it is left out, with a remark.
4. Placeholders stay in the instructions as they are: nothing fills them.

Source: pyagentspec 26.3 and its documentation; versions 25.4.1 to 26.4 are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.document.values import MAX_DEPTH, canonical_bytes, pointer_to
from remit.exchange.agent_spec_components import COMMON, REFERENCED, TYPE, Components, objects_of
from remit.exchange.agent_spec_models import model_entry
from remit.exchange.agent_spec_tools import ToolReader
from remit.exchange.foreign import ForeignAgent
from remit.exchange.members import Findings, ForeignObject
from remit.exchange.remnants import beside, listed, lose_together, says_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.places import Parsed
    from remit.document.values import JsonObject, JsonValue

_NEWEST = (26, 4)
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.[0-9A-Za-z.]{1,20})?")
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_GROUPS = ("ManagerWorkers", "Swarm")
_REMOTE = ("A2AAgent", "OciAgent", "OpenAiAgent", "RemoteAgent")
_READ = (
    "inputs",
    "outputs",
    "llm_config",
    "system_prompt",
    "tools",
    "toolboxes",
    "human_in_the_loop",
    *COMMON,
)
_GROUP_READ = ("group_manager", "workers", "first_agent", "relationships")
_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """An agent with its place in the groups around it.

    Args:
        component: an `Agent`, a `SpecializedAgent`, or what can be read like one.
        roles: what it is in each group.
    """

    component: ForeignObject
    roles: tuple[JsonObject, ...] = ()


class AgentSpecReader:
    """Reads Open Agent Spec files."""

    @property
    def name(self) -> str:
        """Name of the format."""
        return "agent-spec"

    def detects(self, value: JsonValue) -> bool:
        """Whether a value is a component of the specification, or holds components to refer to."""
        if not isinstance(value, dict):
            return False
        if isinstance(value.get(REFERENCED), dict):
            return True
        kind = value.get(TYPE)
        # Other formats have a member of this name too, but write what it says in lower case.
        return isinstance(kind, str) and kind[:1].isupper() and "provider" not in value

    def read(self, parsed: Parsed) -> tuple[ForeignAgent, ...]:
        """Read the agents of a file.

        Raises:
            DocumentError: it holds no agent, or a member is of a wrong type; every fault is listed.
        """
        findings = Findings(parsed)
        root = ForeignObject(parsed.value, "", findings)
        findings.refuse()
        survey = _Survey(Components(parsed.value), findings)
        members = survey.members(root)
        findings.refuse()
        agents = tuple(_Reading(member, survey, root, beside(findings)).agent() for member in members)
        findings.refuse()
        return agents


class _Survey:
    """Finds the agents of a file."""

    def __init__(self, components: Components, findings: Findings) -> None:
        self.components = components
        self.findings = findings
        self.left_out: list[tuple[str, str]] = []
        self.unread: list[tuple[str, str]] = []
        self._open: set[str] = set()
        self._seen: set[str] = set()
        self._found: dict[str, _Member] = {}

    def members(self, root: ForeignObject) -> list[_Member]:
        """Return every agent; faults say why there is none."""
        if not root.text(TYPE):
            for component in self.components.referenced(self.findings):
                if _is_agent(component):
                    self._note(component, ())
            if not self._found:
                self.findings.fault(
                    "",
                    "this file holds components to refer to, but no agent"
                    if root.has(REFERENCED)
                    else f"this is no component of Open Agent Spec: it has no `{TYPE}`",
                    "import the file of the agent",
                )
        elif _is_agent(root) or root.text(TYPE) in _GROUPS:
            self._visit(root, ())
            if not self._found and not self.findings.log.faults:
                self.findings.fault(
                    "", "no agent of this group is in this file", "import the files of its agents"
                )
        else:
            self._refuse(root)
        return list(self._found.values())

    def _visit(self, component: ForeignObject, roles: tuple[JsonObject, ...]) -> None:
        kind, name = component.text(TYPE), component.text("name")
        if kind in _GROUPS:
            if component.pointer in self._open:
                self.findings.fault(component.pointer, f"the group `{printable(name)}` contains itself")
                return
            if len(self._open) == MAX_DEPTH:
                self.findings.fault(component.pointer, f"groups are nested deeper than {MAX_DEPTH} levels")
                return
            # Groups that name each other twice over must not multiply.
            if component.pointer in self._seen:
                return
            self._seen.add(component.pointer)
            self._open.add(component.pointer)
            rest = [
                member
                for member, value in component.value.items()
                if member not in (*_GROUP_READ, *COMMON) and not says_nothing(value)
            ]
            if rest:
                self.unread.append((component.pointer, f"of the group `{printable(name)}`, {listed(rest)}"))
            for inner, role in self._group(component, kind):
                self._visit(inner, (*roles, {"group": name, "kind": kind, **role}))
            self._open.discard(component.pointer)
        elif _is_agent(component):
            self._note(component, roles)
        else:
            self.left_out.append((component.pointer, f"`{printable(name)}` of type `{printable(kind)}`"))

    def _group(self, group: ForeignObject, kind: str) -> Iterator[tuple[ForeignObject, JsonObject]]:
        if kind == "ManagerWorkers":
            manager = self.components.member(group, "group_manager")
            if manager is not None:
                yield manager, {"role": "manager"}
            for worker in self.components.members(group, "workers"):
                yield worker, {"role": "worker"}
            return
        first = self.components.member(group, "first_agent")
        if first is not None:
            yield first, {"role": "first"}
        for pointer, pair in group.items("relationships"):
            if not isinstance(pair, list) or len(pair) != len(("caller", "called")):
                self.findings.fault(pointer, f"`{printable(pointer)}` must be a pair of agents")
                continue
            ends = [
                self.components.resolved(end, pointer_to(pointer, index), self.findings)
                for index, end in enumerate(pair)
            ]
            caller, called = ends[0], ends[1]
            if caller is not None and called is not None:
                yield caller, {"may_call": called.text("name")}
                yield called, {"called_by": caller.text("name")}

    def _note(self, component: ForeignObject, roles: tuple[JsonObject, ...]) -> None:
        known = self._found.get(component.pointer)
        before = () if known is None else known.roles
        self._found[component.pointer] = _Member(component=component, roles=(*before, *roles))

    def _refuse(self, root: ForeignObject) -> None:
        kind, name = root.text(TYPE), printable(root.text("name"))
        if kind in _REMOTE:
            self.findings.fault(
                root.at(TYPE),
                f"`{TYPE}` is `{kind}`: `{name}` runs elsewhere, and the file holds nothing of it",
                "an agent card of it can be imported with `--format a2a`" if kind == "A2AAgent" else "",
            )
            return
        inside = [where for where, inner in objects_of(root.value, "") if inner.get(TYPE) == "Agent"]
        where = f"; its agents stand at {listed(inside, _SHOWN)}" if inside else ""
        reason = "the order of its steps has no counterpart" if kind == "Flow" else "that is no agent"
        self.findings.fault(
            root.at(TYPE),
            f"`{TYPE}` of `{name}` is `{printable(kind)}`: {reason}{where}",
            "import the agents one by one, each in a file of its own" if inside else "",
        )


class _Reading:
    """Reads one agent."""

    def __init__(self, member: _Member, survey: _Survey, root: ForeignObject, findings: Findings) -> None:
        found = member.component
        self._roles = member.roles
        self._components = survey.components
        self._survey = survey
        self._findings = findings
        self._root = ForeignObject(root.value, "", findings)
        self._outer = ForeignObject(found.value, found.pointer, findings)

    def agent(self) -> ForeignAgent:
        outer, findings = self._outer, self._findings
        special = self._components.member(outer, "agent_specialization_parameters")
        base = self._components.member(outer, "agent") if outer.text(TYPE) == "SpecializedAgent" else outer
        if base is None:
            outer.missing("agent")
            base = outer
        tools = ToolReader(findings, self._components)
        tools.read(self._components.members(base, "tools"), base.at("tools"))
        if special is not None:
            tools.read(self._components.members(special, "additional_tools"), special.at("additional_tools"))
        tools.read_boxes(self._components.members(base, "toolboxes"))
        tools.remark(base.at("tools"))
        instructions = self._instructions(base, special)
        backend = model_entry(base, self._components)
        self._remark(base, special)
        return ForeignAgent(
            format="agent-spec",
            name=outer.text("name") or outer.text("id"),
            instructions=instructions,
            description=outer.text("description") or base.text("description"),
            tools=tools.tools,
            backends=() if backend is None else (backend,),
            extensions=self._extensions(tools),
            remarks=(*self._survey.findings.remarks, *findings.remarks),
        )

    def _instructions(self, base: ForeignObject, special: ForeignObject | None) -> str:
        texts = [base.text("system_prompt", required=True)]
        if special is not None:
            texts.append(special.text("additional_instructions"))
        text = "\n\n".join(part for part in texts if part)
        placeholders = _PLACEHOLDER.findall(text)
        if placeholders:
            self._findings.decide(
                base.at("system_prompt"),
                f"the instructions have places for {listed(placeholders)}, which nothing fills: write them",
            )
        owners = [base] if special is None else [base, special]
        inputs = [item.text("title") for owner in owners for item in owner.objects("inputs")]
        unused = [title for title in inputs if title not in placeholders]
        if unused:
            self._findings.lost(
                base.at("inputs"), f"inputs {listed(unused)}: an agent here is given text alone"
            )
        return text

    def _remark(self, base: ForeignObject, special: ForeignObject | None) -> None:
        findings = self._findings
        self._remark_on_version()
        outputs = [item.text("title") for item in base.objects("outputs")]
        if outputs:
            findings.decide(
                base.at("outputs"),
                f"outputs {listed(outputs)}: an answer is text, so ask for its form in the instructions",
            )
        asks = base.boolean("human_in_the_loop")
        if special is not None and special.boolean("human_in_the_loop") is not None:
            asks = special.boolean("human_in_the_loop")
        if asks is False:
            findings.decide(
                base.pointer,
                "the agent was not to ask people anything: say so in the instructions if it matters",
            )
        read = (*_READ, "agent", "agent_specialization_parameters")
        for owner in {id(owner): owner for owner in (self._outer, base)}.values():
            lose_together(
                owner, [name for name in owner.value if name not in read], "not known to this importer"
            )
            lose_together(owner, ("id", "metadata"), "ids and notes of the file's own")
        for pointer, what in self._survey.unread:
            findings.lost(pointer, f"{what}: agents here do not call each other")
        for pointer, what in self._survey.left_out:
            findings.decide(pointer, f"{what} of the same group is not carried: say what stands for it")
        if self._roles:
            groups = listed(str(role["group"]) for role in self._roles)
            findings.decide(
                self._outer.pointer,
                f"the agents of {groups} called each other, here each stands alone: say how they work",
            )

    def _remark_on_version(self) -> None:
        version = self._root.text("agentspec_version") or self._root.text("air_version")
        if not version:
            return
        match = _VERSION.fullmatch(version)
        if match is None or (int(match[1]), int(match[2])) > _NEWEST:
            self._findings.decide(
                self._root.at("agentspec_version"),
                f"version `{printable(version)}` is not known to this importer: compare what was carried",
            )

    def _extensions(self, tools: ToolReader) -> JsonObject:
        found: JsonObject = {"component_type": self._outer.text(TYPE)}
        version = self._root.text("agentspec_version") or self._root.text("air_version")
        if version:
            found["agentspec_version"] = version
        if tools.toolboxes:
            found["toolboxes"] = tools.toolboxes
        if self._roles:
            distinct = {canonical_bytes(role): role for role in self._roles}
            found["groups"] = list(distinct.values())
        return found


def _is_agent(component: ForeignObject) -> bool:
    """Whether a component can be read as an agent: its type says so, or it has what an agent has."""
    if component.text(TYPE) in ("Agent", "SpecializedAgent"):
        return True
    return "system_prompt" in component.value and "llm_config" in component.value


READER = AgentSpecReader()
