"""Replies written down as JSON, for a server in a process of its own."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, cast

from remit.document.json_text import parse_json
from remit.errors import DocumentError, Fault
from remit.testing.loopback import Reply, SaidCall, SaidUse

if TYPE_CHECKING:
    from remit.document.places import Parsed
    from remit.document.values import JsonValue

_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "bytes": (str,),
    "UseName": (str,),
    "JsonObject": (dict,),
}


def read_replies(data: bytes, *, file: str) -> tuple[Reply, ...]:
    """Read a JSON array of replies: objects with the members of `Reply`, calls and uses as objects of theirs.

    Args:
        data: the file's bytes.
        file: its name, for messages.

    Raises:
        DocumentError: it is no such array; names the place.
    """
    parsed = parse_json(data, file=file)
    if not isinstance(parsed.value, list) or not parsed.value:
        raise _error(parsed, "", "an array with at least one reply was expected")
    return tuple(_reply(parsed, each, f"/{number}") for number, each in enumerate(parsed.value))


def _reply(parsed: Parsed, value: JsonValue, pointer: str) -> Reply:
    members = _members(parsed, value, pointer, Reply)
    for name, kind in (("calls", SaidCall), ("used", SaidUse)):
        if name not in members:
            continue
        entries = members[name]
        members[name] = tuple(
            kind(**_members(parsed, each, f"{pointer}/{name}/{number}", kind))
            for number, each in enumerate(entries)
        )
    if "raw_body" in members:
        members["raw_body"] = members["raw_body"].encode()
    return Reply(**members)


def _members(parsed: Parsed, value: JsonValue, pointer: str, kind: type) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _error(parsed, pointer, "an object was expected")
    known = {each.name: str(each.type) for each in fields(cast("Any", kind))}
    for name, member in value.items():
        place = f"{pointer}/{name}"
        if name not in known:
            listed = ", ".join(f"`{each}`" for each in known)
            message = f"`{name}` is not known here; known members: {listed}"
            raise _error(parsed, place, message, at_name=True)
        types = _KINDS.get(known[name], (list,))
        if not isinstance(member, types) or (isinstance(member, bool) and bool not in types):
            raise _error(parsed, place, f"`{name}` has the wrong type: `{known[name]}` was expected")
    for each in fields(cast("Any", kind)):
        if each.name not in value and each.default is MISSING and each.default_factory is MISSING:
            raise _error(parsed, pointer, f"`{each.name}` is missing")
    return {**value}


def _error(parsed: Parsed, pointer: str, message: str, *, at_name: bool = False) -> DocumentError:
    line, column = parsed.place_of_name(pointer) if at_name else parsed.place(pointer)
    return DocumentError(Fault(message=message, file=parsed.file, line=line, column=column, pointer=pointer))
