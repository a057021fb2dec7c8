"""Memory as tools of the model: `memory_remember`, `memory_recall`, `memory_revise`, `memory_erase`.

Rules
1. A tool is offered only where a rule of the document could permit its action.
2. The names belong to the runtime; a document whose own tool has one of them is refused.
3. Each call is the Cedar action of the same name on the block, decided like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import DocumentError, Fault
from remit.host.memory_operations import Done, Invalid, MemoryDesk, Outcome
from remit.messages import ToolOffer

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.image import PolicyImage

PREFIX = "memory_"
ACTIONS = ("remember", "recall", "revise", "erase")
NAMES = frozenset(PREFIX + action for action in ACTIONS)
_WORDS = {
    "remember": "Write a new entry into a memory block.",
    "recall": "Read the entries of a memory block.",
    "revise": "Replace the value of an entry of a memory block.",
    "erase": "Erase one entry of a memory block, or all entries about one data subject.",
}


def offers(document: Document, image: PolicyImage) -> tuple[ToolOffer, ...]:
    """Return the memory tools that rules could permit.

    Raises:
        DocumentError: a tool of the document has a name that belongs to the runtime.
    """
    for tool in document.capabilities.tools:
        if tool.name in NAMES:
            raise DocumentError(
                Fault(message=f"tool `{tool.name}` has a name of the runtime's own", hint="rename it")
            )
    if not document.memory.blocks:
        return ()
    permitted = {
        action
        for action in ACTIONS
        for rule in image.rules.values()
        if rule.effect == "permit" and (not rule.actions or action in rule.actions)
    }
    return tuple(_offer(document, action) for action in ACTIONS if action in permitted)


def _offer(document: Document, action: str) -> ToolOffer:
    blocks = document.memory.blocks
    lines = [f"`{block.name}`: {block.description}" for block in blocks]
    names: list[JsonValue] = [block.name for block in blocks]
    properties: dict[str, JsonValue] = {"block": {"type": "string", "enum": names}}
    required: list[JsonValue] = ["block"]
    if action in ("remember", "revise"):
        schemas: list[JsonValue] = []
        for block in blocks:
            if block.schema not in schemas:
                schemas.append(block.schema)
        properties["value"] = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        required.append("value")
    if action in ("revise", "erase"):
        properties["entry"] = {"type": "string", "description": "id or key of the entry"}
    if action == "revise":
        required.append("entry")
    if action == "remember":
        properties["key"] = {"type": "string", "description": "a name for the entry"}
    if action != "revise" and any(block.subject for block in blocks):
        properties["subject"] = {"type": "string", "description": "id of the person whom it is about"}
    parameters: JsonObject = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    description = f"{_WORDS[action]} Blocks: {'; '.join(lines)}"
    return ToolOffer(name=PREFIX + action, description=description, parameters=parameters)


async def call(desk: MemoryDesk, name: str, arguments: JsonObject) -> Outcome:
    """Carry out one memory call of the model."""
    action = name.removeprefix(PREFIX)
    block = _text(arguments, "block")
    subject = _text(arguments, "subject")
    entry = _text(arguments, "entry")
    if action == "remember":
        return await desk.remember(
            block, arguments.get("value"), key=_text(arguments, "key") or None, subject=subject
        )
    if action == "revise":
        return await desk.revise(block, entry, arguments.get("value"))
    if action == "erase":
        return await desk.erase(block, entry=entry, subject=subject)
    return await desk.recall(block, subject=subject)


def _text(arguments: JsonObject, name: str) -> str:
    value = arguments.get(name, "")
    return value if isinstance(value, str) else ""


def result_value(outcome: Done | Invalid) -> JsonValue:
    """Return what the model is given."""
    if isinstance(outcome, Invalid):
        return {
            "denied": True,
            "kind": "invalid_arguments",
            "rule": "",
            "because": outcome.message,
            "hint": "correct the arguments",
        }
    return {"ok": True, "result": outcome.value}
