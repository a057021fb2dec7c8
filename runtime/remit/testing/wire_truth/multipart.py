"""Multipart bodies, as far as a description speaks of them: parts by name, and their texts."""

from __future__ import annotations

import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from email.message import Message

    from remit.document.values import JsonObject, JsonValue

_BRACKETS = re.compile(r"\[([^\]]*)\]")


def read_multipart(body: bytes, content_type: str) -> JsonObject | str:
    """Return the parts as an object, or what is wrong.

    A file is an empty text, `a[b]` is a member `b` of `a`, and `a[]` is an element of the array `a`.

    Args:
        body: the body as sent.
        content_type: the header, with the boundary.
    """
    head = f"content-type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if message.get_content_maintype() != "multipart" or not message.is_multipart() or message.defects:
        return "the body is no multipart body with the boundary that its header names"
    parts: JsonObject = {}
    for part in cast("list[Message]", message.get_payload()):
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            return "a part has no name"
        payload = part.get_payload(decode=True)
        text = (
            ""
            if part.get_filename() is not None or not isinstance(payload, bytes)
            else payload.decode(errors="replace")
        )
        _place(parts, name, text)
    return parts


def _place(parts: JsonObject, name: str, text: str) -> None:
    first, _, _ = name.partition("[")
    keys = [first, *cast("list[str]", _BRACKETS.findall(name[len(first) :]))]
    here: JsonObject = parts
    for position, key in enumerate(keys):
        last = position == len(keys) - 1
        if not last and keys[position + 1] == "":
            items: JsonValue = here.setdefault(key, [])
            if isinstance(items, list):
                items.append(text)
            return
        if last:
            here[key] = text
            return
        below = here.setdefault(key, {})
        if not isinstance(below, dict):
            return
        here = below
