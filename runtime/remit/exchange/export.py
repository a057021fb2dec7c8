"""What an agent becomes in another format, and what of it that format cannot say.

Rules
1. A format gets what it can hold. Everything else is named, rules above all: no other format holds them.
2. An export grants nothing by itself, and it is not the agent: it has no identity, no history and no proof.
3. Writing is a function of the document alone: no clock, no randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from remit.document.json_text import printable
from remit.document.rules import Approve
from remit.errors import DocumentError, Fault
from remit.exchange.document import EXTENSION
from remit.exchange.remnants import listed
from remit.policy.rule_text import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.model import BackendEntry, Document, Tool
    from remit.document.values import JsonObject

WRITERS = {
    "a2a": "export_a2a",
    "agent-spec": "export_agent_spec",
    "openai-assistant": "export_openai_assistant",
}
"""Name of each format and the module of its writer, which exposes `write`."""


_SCRIPTED = "scripted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An agent on its way out.

    Args:
        document: the agent.
        name: what it is called there; a document holds no name.
        description: what it is said to do; may be empty.
        url: where it is reached; empty where nobody said so.
        backend: name of the back-end whose model is written; empty for the first that has one.
    """

    document: Document
    name: str
    description: str = ""
    url: str = ""
    backend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An agent in another format.

    Args:
        value: what that format's readers take.
        lost: what it does not say, one clause each.
    """

    value: JsonObject
    lost: tuple[str, ...]


class Writer(Protocol):
    """Writes one format."""

    def __call__(self, subject: Subject) -> Exported:
        """Write an agent.

        Raises:
            DocumentError: the agent lacks what the format cannot do without.
        """
        ...


def writer(name: str) -> Writer:
    """Return the writer of a format.

    Raises:
        DocumentError: there is no such format.
    """
    module = WRITERS.get(name)
    if module is None:
        raise DocumentError(
            Fault(
                message=f"`{printable(name)}` is no format that can be written",
                hint=f"use one of {', '.join(WRITERS)}",
            )
        )
    return cast("Writer", import_module(f"remit.exchange.{module}").write)


def imported_as(document: Document) -> tuple[str, str, JsonObject]:
    """Return name, description and kept facts of an imported agent; empty for any other."""
    extension = document.extensions.get(EXTENSION)
    members = extension if isinstance(extension, dict) else {}
    name, description, kept = members.get("agent"), members.get("description"), members.get("kept")
    return (
        name if isinstance(name, str) else "",
        description if isinstance(description, str) else "",
        kept if isinstance(kept, dict) else {},
    )


def chosen_backend(subject: Subject, what: str) -> tuple[BackendEntry, tuple[BackendEntry, ...]]:
    """Return the back-end whose model is written, and the other ones.

    Without a name it is the first that is no transcript, for what somebody wrote down is no model.

    Args:
        subject: the agent.
        what: what the format calls an agent, for the fault.

    Raises:
        DocumentError: there is no back-end, or none of that name.
    """
    entries = subject.document.capabilities.backends
    if not entries:
        raise DocumentError(
            Fault(message=f"the agent has no back-end, and {what} has a model", hint="declare one first")
        )
    if subject.backend:
        chosen = next((entry for entry in entries if entry.name == subject.backend), None)
        if chosen is None:
            raise DocumentError(
                Fault(
                    message=f"the agent has no back-end `{printable(subject.backend)}`",
                    hint=f"it has {listed(entry.name for entry in entries)}",
                )
            )
    else:
        chosen = next((entry for entry in entries if entry.adapter != _SCRIPTED), entries[0])
    return chosen, tuple(entry for entry in entries if entry is not chosen)


def asks_first(tool: Tool) -> bool:
    """Whether some rule at a tool wants a person to approve calls."""
    return any(isinstance(item, Approve) for rule in tool.rules for item in rule.obligations)


def losses(document: Document) -> Iterator[str]:
    """Yield what no other format says of any agent."""
    for place in places(document):
        for number, rule in enumerate(place.rules, start=1):
            named = rule.id or f"{place.name}-{number}"
            because = f": {printable(rule.because)}" if rule.because else ""
            yield f"rule `{printable(named)}` at `{place.pointer}`{because}"
    governance = document.governance
    yield f"attributes {listed(governance.attributes)}"
    for name in ("caller", "environment", "limits", "packs", "trusted_keys"):
        if governance.value.get(name):
            yield f"`governance.{name}`"
    for block in document.memory.blocks:
        count = sum(entry.block == block.name for entry in document.memory.tree)
        yield f"memory block `{block.name}` with {count} entries"
    yield (
        f"identity, signatures and history: revision `{document.identity.revision}` "
        f"after {len(document.lineage.operations)} operations"
    )
    if document.execution_state.lifecycle != "ready":
        yield f"lifecycle `{document.execution_state.lifecycle}`"


def clipped(text: str, limit: int, what: str, lost: list[str]) -> str:
    """Return a text of at most `limit` characters; what is cut off is lost."""
    if len(text) <= limit:
        return text
    lost.append(f"{what} beyond {limit} characters")
    return text[:limit]
