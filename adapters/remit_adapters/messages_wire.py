"""The Messages wire, outwards: a turn as messages of content blocks.

Rules
1. The thread goes out whole, each time; consecutive messages of one role become one, results of calls first.
2. The vendor wants a user message first and last, and no blank text: what is missing is put in, what is blank
   is left out. Only a paused answer stays last, since that is how it is asked to go on.
3. What an answer carried goes back block by block as it came.

Sources: Anthropic API reference, messages (create), handling stop reasons, extended thinking.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from remit_adapters.vendor_json import objects_of, sent_object, strict_object, text_of, written_object

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.messages import Message, Turn

OPENING = "(The conversation begins with the assistant.)"
GO_ON = "Go on."
"""What stands where the vendor wants a user message and the thread has none (rule 2)."""
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_NAME = 200


def wire_messages(turn: Turn) -> list[JsonObject]:
    """Return the thread of `turn` as messages (rules 1 and 2); instructions go beside them."""
    threads: list[tuple[str, list[JsonObject]]] = []
    for message in turn.messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if blocks and threads and threads[-1][0] == role:
            threads[-1][1].extend(blocks)
        elif blocks:
            threads.append((role, blocks))
    if not threads or threads[0][0] != "user":
        threads.insert(0, ("user", [_text_block(OPENING)]))
    if threads[-1][0] == "assistant" and _carried(turn.messages[-1]) is None:
        threads.append(("user", [_text_block(GO_ON)]))
    return [{"role": role, "content": [*_results_first(role, blocks)]} for role, blocks in threads]


def wire_tools(turn: Turn) -> list[JsonObject]:
    """Return the tools that `turn` offers."""
    return [
        {"name": offer.name, "description": offer.description, "input_schema": offer.parameters}
        for offer in turn.tools
    ]


def open_container(turn: Turn) -> str:
    """Return the sandbox of the paused answer that `turn` is to go on with; empty where there is none."""
    carried = _carried(turn.messages[-1]) if turn.messages else None
    return text_of(carried.get("container")) if carried else ""


def _results_first(role: str, blocks: list[JsonObject]) -> list[JsonObject]:
    return sorted(blocks, key=lambda block: role == "user" and block["type"] != "tool_result")


def _blocks(message: Message) -> list[JsonObject]:
    if message.role == "tool":
        result: JsonObject = {"type": "tool_result", "tool_use_id": _wire_id(message.tool_call_id)}
        if message.text.strip():
            result["content"] = message.text
        value = strict_object(message.text)
        if value and (value.get("error") or value.get("denied")):
            result["is_error"] = True
        return [result]
    carried = _carried(message)
    if carried is not None:
        return objects_of(carried["content"])
    blocks = [_text_block(message.text)] if message.text.strip() else []
    blocks.extend(
        {
            "type": "tool_use",
            "id": _wire_id(call.id),
            "name": wire_name(call.name),
            "input": sent_object(call.raw, call.arguments),
        }
        for call in message.tool_calls
    )
    return blocks


def _carried(message: Message) -> JsonObject | None:
    """Return what a message carries; None where it is nothing of this wire.

    A document may give the back-end's name to another adapter; what that one carried stays here, and the
    message's own text and calls go out.
    """
    carried = written_object(message.carried) if message.role == "assistant" and message.carried else None
    content = carried.get("content") if carried else None
    if not isinstance(content, list) or not all("type" in block for block in objects_of(content)):
        return None
    return carried


def _text_block(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def is_wire_id(call_id: str) -> bool:
    """Whether the wire admits `call_id`."""
    return _ID.fullmatch(call_id) is not None


def _wire_id(call_id: str) -> str:
    """Return an id that the wire admits; other back-ends make ids of other characters."""
    if is_wire_id(call_id):
        return call_id
    return "id_" + hashlib.sha256(call_id.encode("utf-8")).hexdigest()[:32]


def wire_name(name: str) -> str:
    """Return a tool's name that the wire admits; a model may have written any."""
    return name[:_MAX_NAME] or "unnamed"
