"""The generateContent wire, outwards: a turn as contents.

Rules
1. The thread goes out whole, each time; consecutive messages of one role become one content, but results of
   calls keep a content of their own, which follows on the calls.
2. The vendor wants the user first and last, and no blank text: what is missing is put in, what is blank is
   left out. An answer that is to be continued is not sent; its token stands for it.
3. What an answer carried goes back part by part as it came.
4. A call that carries no signature came from another back-end or a model that signs nothing. Models that
   insist on signatures accept the vendor's marker on the first call of each content.

Sources: Gemini API reference, generateContent; guides on function calling and thought signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.errors import AdapterError
from remit_adapters.vendor_json import (
    object_of,
    objects_of,
    sent_object,
    strict_object,
    text_of,
    written_object,
)

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Message, Turn

OPENING = "(The conversation begins with the model.)"
GO_ON = "Go on."
"""What stands where the vendor wants the user to speak and the thread has nothing (rule 2)."""
UNSIGNED = "skip_thought_signature_validator"
"""The vendor's marker of rule 4; it is Base64 as it stands."""
_MAX_NAME = 128


def wire_contents(turn: Turn, *, backend: str, mark_unsigned: bool) -> list[JsonObject]:
    """Return the thread of `turn` as contents; instructions go beside them.

    Args:
        turn: what is about to be sent.
        backend: the document's name of the back-end, for messages.
        mark_unsigned: whether calls without a signature get the marker of rule 4.

    Raises:
        AdapterError: a result answers a call that is not in the thread.
    """
    names = {call.id: call.name for message in turn.messages for call in message.tool_calls}
    contents: list[tuple[str, list[JsonValue]]] = []
    for message in turn.messages[: len(turn.messages) - _continued(turn)]:
        kind = {"user": "user", "assistant": "model", "tool": "results"}[message.role]
        if message.role == "tool":
            if message.tool_call_id not in names:
                raise AdapterError(
                    f"back-end `{backend}`: a result answers the call `{message.tool_call_id}`, "
                    "which is not in the thread"
                )
            parts: list[JsonValue] = [_result(message, names[message.tool_call_id])]
        else:
            parts = _parts(message, mark_unsigned=mark_unsigned)
        if parts and contents and contents[-1][0] == kind:
            contents[-1][1].extend(parts)
        elif parts:
            contents.append((kind, parts))
    if not contents or contents[0][0] == "model":
        contents.insert(0, ("user", [{"text": OPENING}]))
    if contents[-1][0] == "model":
        contents.append(("user", [{"text": GO_ON}]))
    return [{"role": "model" if kind == "model" else "user", "parts": [*parts]} for kind, parts in contents]


def continuation_token(turn: Turn) -> str:
    """Return the token of the answer that `turn` is to go on with; empty where there is none."""
    carried = _carried(turn.messages[-1]) if turn.messages else None
    return text_of(carried.get("continuationToken")) if carried else ""


def _continued(turn: Turn) -> int:
    """How many messages at the end are pieces of the answer that is to go on; the token stands for them."""
    if not continuation_token(turn):
        return 0
    count = 0
    for message in reversed(turn.messages):
        carried = _carried(message)
        if carried is None or not text_of(carried.get("continuationToken")):
            break
        count += 1
    return count


def _parts(message: Message, *, mark_unsigned: bool) -> list[JsonValue]:
    carried = _carried(message)
    if carried is not None:
        return [*objects_of(object_of(carried["content"]).get("parts"))]
    parts: list[JsonValue] = [{"text": message.text}] if message.text.strip() else []
    for number, call in enumerate(message.tool_calls):
        part: JsonObject = {
            "functionCall": {
                "id": call.id,
                "name": wire_name(call.name),
                "args": sent_object(call.raw, call.arguments),
            }
        }
        if mark_unsigned and number == 0:
            part["thoughtSignature"] = UNSIGNED
        parts.append(part)
    return parts


def _result(message: Message, name: str) -> JsonObject:
    value = strict_object(message.text)
    return {
        "functionResponse": {
            "id": message.tool_call_id,
            "name": wire_name(name),
            "response": {"output": message.text} if value is None else value,
        }
    }


def _carried(message: Message) -> JsonObject | None:
    """Return what a message carries; None where it is nothing of this wire.

    A document may give the back-end's name to another adapter; what that one carried stays here, and the
    message's own text and calls go out.
    """
    carried = written_object(message.carried) if message.role == "assistant" and message.carried else None
    if carried is None or not isinstance(object_of(carried.get("content")).get("parts"), list):
        return None
    return carried


def wire_name(name: str) -> str:
    """Return a tool's name that the wire admits; a model may have written any."""
    return name[:_MAX_NAME] or "unnamed"
