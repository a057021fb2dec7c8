"""An agent as an A2A 1.0 agent card: what it tells the world about itself.

A card is public, so neither instructions nor memory nor rules get into it.
Its skills are those of the card that the agent was imported from, else one for each tool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.json_text import printable
from remit.errors import DocumentError, Fault
from remit.exchange.endpoints import clean_address
from remit.exchange.export import Exported, Subject, imported_as, losses

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

PROTOCOL_VERSION = "1.0"
BINDING = "JSONRPC"
TEXT = "text/plain"


def write(subject: Subject) -> Exported:
    """Write an agent; see `remit.exchange.export.Writer`."""
    document = subject.document
    if not subject.url:
        raise DocumentError(
            Fault(message="an agent card names where the agent is reached", hint="give `--url https://…`")
        )
    if subject.backend:
        raise DocumentError(Fault(message="an agent card names no model", hint="leave `--backend` out"))
    address, _ = clean_address(subject.url)
    if address != subject.url.strip():
        raise DocumentError(
            Fault(
                message=f"`{printable(subject.url)}` is no address that a card could name",
                hint="write such as `https://agents.example/refunds`, without user, password and query",
            )
        )
    kept = imported_as(document)[2]
    value: JsonObject = {
        "name": subject.name,
        "description": subject.description or f"The agent {subject.name}.",
        "supportedInterfaces": [
            {"url": address, "protocolBinding": BINDING, "protocolVersion": PROTOCOL_VERSION}
        ],
        "version": document.identity.revision,
        "capabilities": {"streaming": False, "pushNotifications": False},
        "defaultInputModes": [TEXT],
        "defaultOutputModes": [TEXT],
        "skills": _skills(subject, kept),
    }
    lost = [
        "instructions: a card is public",
        *(f"back-end `{entry.name}`" for entry in document.capabilities.backends),
    ]
    lost.extend(f"parameters of the tool `{tool.name}`" for tool in document.capabilities.tools)
    lost.extend(f"built-in `{builtin.name}`" for builtin in document.capabilities.builtins)
    lost.append("security schemes: say how callers prove who they are, and serve the agent yourself")
    return Exported(value=value, lost=(*losses(document), *lost))


def _skills(subject: Subject, kept: JsonObject) -> list[JsonValue]:
    skills = [skill for skill in map(_skill, _list(kept.get("skills"))) if skill is not None]
    if skills:
        return list(skills)
    tools = subject.document.capabilities.tools
    if tools:
        return [
            {
                "id": tool.name,
                "name": tool.name,
                "description": tool.description or tool.name,
                "tags": [tool.effect],
            }
            for tool in tools
        ]
    return [
        {
            "id": "talk",
            "name": subject.name,
            "description": subject.description or f"Talk to {subject.name}.",
            "tags": ["conversation"],
        }
    ]


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _skill(value: JsonValue) -> JsonObject | None:
    """Return a skill of an imported card in the form of 1.0; None where it has no id and no name."""
    members = value if isinstance(value, dict) else {}
    own, name, description = (members.get(member) for member in ("id", "name", "description"))
    if not isinstance(own, str) or not isinstance(name, str):
        return None
    skill: JsonObject = {
        "id": own,
        "name": name,
        "description": description if isinstance(description, str) and description else name,
        "tags": _texts(members.get("tags")),
    }
    examples = _texts(members.get("examples"))
    return {**skill, "examples": examples} if examples else skill


def _texts(value: JsonValue) -> list[JsonValue]:
    return [item for item in _list(value) if isinstance(item, str)]
