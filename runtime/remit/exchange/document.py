"""A foreign agent made into a document: a draft that nothing permits.

Rules
1. The same file gives the same agent id, on any machine and under any name: no clock and no randomness enters
   the genesis revision, and its nonce comes from the file's bytes and the agent's name alone.
2. No permit rule stands anywhere. What the file allows is listed in `x-import` as a proposal; what it denies,
   and what it wants a person to confirm, is in force as forbids.
3. Jurisdiction, risk tier and owner are `undecided`, and one rule forbids activation until somebody decides.
4. Memory follows as one child revision: entries carry random salts and times, so the agent id stays.
   Each entry has a time of its own, in the order of the file and up to the time of the import, for memory is
   recalled by time, and an entry of the future would be recalled after what a run right away remembers.
5. The rules in force compile.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from remit.document.entries import remember
from remit.document.faults import SHAPES, TIME
from remit.document.json_text import printable
from remit.document.memory import Payload
from remit.document.revision import genesis, revise
from remit.document.values import JsonObject, JsonValue, tagged_sha256
from remit.errors import DocumentError, Fault
from remit.exchange.bounds import bounded
from remit.exchange.foreign import ForeignAgent, ForeignRule, Remark
from remit.exchange.names import fit_name
from remit.exchange.remnants import listed
from remit.policy.compile import compile_governance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from remit.document.model import Document

EXTENSION = "x-import"
UNDECIDED = "undecided"
REVIEWER = "reviewer"
"""Role that confirms what the file wants a person to confirm, until the owner names another."""

GUARD = "undecided"
"""Id of the rule that forbids activation until somebody decides."""

_MILLISECOND = timedelta(milliseconds=1)
OPERATOR = 'Remit::Caller::"operator"'
_ATTRIBUTES = ("jurisdiction", "risk_tier", "owner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An agent of a foreign file as a document.

    Args:
        document: the genesis revision; without memory entries.
        agent: what was read.
        label: the agent's name, made unique within its file; may be empty where the file holds one.
        file_sha256: of the file's bytes, 64 hexadecimal digits.
        remarks: what became of everything, with what a person must decide about any import.
        proposed: rules that a person may put in force.
        in_force: rules of the document.
    """

    document: Document
    agent: ForeignAgent
    label: str
    file_sha256: str
    remarks: tuple[Remark, ...]
    proposed: tuple[ForeignRule, ...]
    in_force: tuple[ForeignRule, ...]

    @property
    def nonce(self) -> str:
        """The nonce of the genesis operation."""
        return nonce_of(self.file_sha256, self.label)


def nonce_of(file_sha256: str, label: str) -> str:
    """Return the nonce of an imported agent: 32 hexadecimal digits that follow from file and name alone."""
    return tagged_sha256("import", bytes.fromhex(file_sha256) + label.encode()).hex()[:32]


def import_agents(agents: Sequence[ForeignAgent], data: bytes) -> tuple[Imported, ...]:
    """Make a document of every agent of a file.

    Args:
        agents: what a reader found in `data`.
        data: the bytes of the file.

    Raises:
        DocumentError: what was read does not make a document.
        PolicyError: what was read does not compile.
    """
    digest = hashlib.sha256(data).hexdigest()
    return tuple(_import(agent, label, digest) for agent, label in zip(agents, _labels(agents), strict=True))


def _labels(agents: Sequence[ForeignAgent]) -> Iterator[str]:
    taken: set[str] = set()
    for agent in agents:
        label, number = agent.name, 1
        while label in taken:
            number += 1
            label = f"{agent.name}#{number}"
        taken.add(label)
        yield label


def _import(agent: ForeignAgent, label: str, file_sha256: str) -> Imported:
    agent = bounded(agent)
    rules = _Rules(agent)
    remarks = (*agent.remarks, *_undecided(agent))
    extension: JsonObject = {
        "format": agent.format,
        "file_sha256": file_sha256,
        "agent": agent.name,
        "description": agent.description,
        "proposed": [rule_value(rule) for rule in rules.proposed],
        "remarks": [remark_value(remark) for remark in remarks],
        "kept": agent.extensions,
    }
    fields: JsonObject = {
        "governance": _governance(rules),
        "capabilities": _capabilities(agent, rules),
        "memory": {"blocks": _blocks(agent, rules)},
        "execution_state": {"lifecycle": "draft", "usage": {}, "pending": []},
        EXTENSION: extension,
    }
    document = genesis(fields, nonce=nonce_of(file_sha256, label), operation="import")
    compile_governance(document)
    return Imported(
        document=document,
        agent=agent,
        label=label,
        file_sha256=file_sha256,
        remarks=remarks,
        proposed=rules.proposed,
        in_force=rules.in_force,
    )


def rule_value(rule: ForeignRule) -> JsonObject:
    """Return a rule as a project folder's rule file holds it."""
    return {"place": rule.place, **rule.value}


def remark_value(remark: Remark) -> JsonObject:
    """Return a remark as `x-import` holds it; lines are left out, the pointer finds the place."""
    value: JsonObject = {"fate": remark.fate, "what": remark.what}
    if remark.pointer:
        value["pointer"] = remark.pointer
    return value


def _undecided(agent: ForeignAgent) -> Iterator[Remark]:
    for name in _ATTRIBUTES:
        yield Remark(fate="decide", what=f"`{name}` is undecided: no foreign file says it for you")
    if not agent.backends:
        yield Remark(fate="decide", what="no back-end came along: declare one before the agent can run")
    supplied = [tool.name for tool in agent.tools if tool.source is None]
    if supplied:
        yield Remark(
            fate="decide",
            what="`remit run` has no functions to pass in: a tool that is to run from the command line needs "
            f'a source, such as `python: "tools:{supplied[0]}"`, in place of `embedder: true`: '
            f"{listed(supplied, most=len(supplied))}",
        )
    if any(block.entries for block in agent.blocks):
        yield Remark(
            fate="decide",
            what="imported memory is classified `unreviewed`: say what it is, and whether persons are in it",
        )


class _Rules:
    """Rules by place, with ids that are unique in the document."""

    def __init__(self, agent: ForeignAgent) -> None:
        self._ids: set[str] = set()
        guard = self._named(
            ForeignRule(
                place="activation",
                value={
                    "id": GUARD,
                    "effect": "forbid",
                    "because": "this agent was imported, and nobody has decided yet what it may do",
                },
                in_force=True,
            )
        )
        asks = [self._named(_ask(tool.name)) for tool in agent.tools if tool.ask]
        own = [self._named(rule) for rule in agent.rules]
        # INVARIANT (a file grants nothing): whatever a reader says, only a forbid comes into force.
        binding = [rule for rule in own if rule.in_force and rule.value.get("effect") == "forbid"]
        offered = [rule for rule in own if rule not in binding]
        self.in_force = (guard, *asks, *binding)
        covered = {rule.place for rule in offered if rule.value.get("effect") == "permit"}
        usual = [self._named(rule) for rule in _usual(agent) if rule.place not in covered]
        self.proposed = tuple(replace(rule, in_force=False) for rule in (*offered, *usual))

    def _named(self, rule: ForeignRule) -> ForeignRule:
        wanted = rule.value.get("id")
        if "cedar" in rule.value:
            return rule
        name = fit_name(wanted if isinstance(wanted, str) else "rule", self._ids)
        self._ids.add(name)
        return replace(rule, value={**rule.value, "id": name})

    def at(self, place: str) -> list[JsonValue]:
        """Return the rules in force at a place."""
        return [dict(rule.value) for rule in self.in_force if rule.place == place]


def _ask(tool: str) -> ForeignRule:
    return ForeignRule(
        place=f"tool:{tool}",
        value={
            "id": f"confirm-{tool}",
            "effect": "forbid",
            "because": "the imported file wants a person to confirm each call",
            "obligations": [{"approve": {"by": REVIEWER}}],
        },
        in_force=True,
    )


def _usual(agent: ForeignAgent) -> Iterator[ForeignRule]:
    """What having a tool, a model or a memory amounts to in the file: leave to use it."""

    def permit(place: str, name: str, because: str) -> ForeignRule:
        value: JsonObject = {"id": name, "effect": "permit", "because": because}
        return ForeignRule(place=place, value=value, in_force=False)

    yield permit("activation", "start", "the imported file lets anybody start the agent")
    yield permit("dispatch", "use-model", "the imported file names this model without a condition")
    for tool in agent.tools:
        yield permit(f"tool:{tool.name}", f"use-{tool.name}", "the imported agent had this tool")
    for block in agent.blocks:
        yield permit(f"memory:{block.name}", f"use-{block.name}", "the imported agent had this memory")


def _governance(rules: _Rules) -> JsonObject:
    return {
        "attributes": dict.fromkeys(_ATTRIBUTES, UNDECIDED),
        "activation": rules.at("activation"),
        "mutation": rules.at("mutation"),
        "termination": rules.at("termination"),
        "rules": rules.at("rules"),
    }


def _capabilities(agent: ForeignAgent, rules: _Rules) -> JsonObject:
    tools: list[JsonValue] = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "effect": tool.effect,
            "source": {"embedder": True} if tool.source is None else tool.source,
            "rules": rules.at(f"tool:{tool.name}"),
        }
        for tool in agent.tools
    ]
    capabilities: JsonObject = {
        "instructions": agent.instructions,
        "tools": tools,
        "backends": list(agent.backends),
        "dispatch": rules.at("dispatch"),
    }
    if agent.builtins:
        capabilities["builtins"] = list(agent.builtins)
    return capabilities


def _blocks(agent: ForeignAgent, rules: _Rules) -> list[JsonValue]:
    return [
        {
            "name": block.name,
            "description": block.description,
            "schema": block.schema,
            "classification": block.classification,
            "rules": rules.at(f"memory:{block.name}"),
        }
        for block in agent.blocks
    ]


def with_memory(imported: Imported, *, at: str, salt: Callable[[], str]) -> Document:
    """Return the document with the agent's memory entries, as one child revision; itself without any.

    Args:
        imported: the agent.
        at: when the import happens, as RFC 3339 UTC time with milliseconds; the last entry's time.
        salt: gives 16 fresh random bytes as hex at each call.

    Raises:
        DocumentError: an entry does not fit its block, or `at` is no time.
    """
    document = imported.document
    memory = document.memory
    entries = [(block.name, entry) for block in imported.agent.blocks for entry in block.entries]
    if not entries:
        return document
    for (block, entry), moment in zip(entries, _times(at, len(entries)), strict=True):
        memory, _ = remember(
            memory,
            block=block,
            key=entry.key,
            payload=Payload(value=entry.value),
            author="operator",
            operation="remember",
            at=moment,
            salt=salt(),
        )
    return revise(document, operation="remember", actor=OPERATOR, at=at, decision="", memory=memory)


def _times(at: str, count: int) -> Iterator[str]:
    """Yield times a millisecond apart that end with `at`; later where no earlier time can be written."""
    try:
        last = datetime.fromisoformat(at) if TIME.fullmatch(at) else None
    except ValueError:
        last = None  # such as 30 February
    if last is None:
        raise DocumentError(Fault(message=f"`{printable(at)}` is not {SHAPES[TIME]}"))
    before = min(count - 1, (last - datetime.min.replace(tzinfo=UTC)) // _MILLISECOND)
    for number in range(count):
        moment = last + (number - before) * _MILLISECOND
        yield moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
