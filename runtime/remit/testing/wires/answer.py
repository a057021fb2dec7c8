"""What a wire is to the loopback server: an answer as events or as one body, and an error envelope."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.wires.reply import Reply

MODEL = "loopback"
"""The model as every wire names it: a test sees whether the server's name or the request's is kept."""
CREATED_S = 1
"""Time of every answer, in seconds since 1970: equal replies give equal bytes."""
COMMENT = b": still here\n\n"
"""A server-sent comment, which clients skip."""
_PIECES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, as far as wires look at it.

    Args:
        path: without query.
        query: the last value of each name.
        body: the JSON body.
    """

    path: str
    query: dict[str, str]
    body: JsonObject

    def flag(self, member: str) -> bool:
        """Whether a member of the body is `true`."""
        return self.body.get(member) is True

    def object(self, member: str) -> JsonObject:
        """Return an object of the body, empty where there is none."""
        value = self.body.get(member)
        return value if isinstance(value, dict) else {}

    def array(self, member: str) -> list[JsonValue]:
        """Return an array of the body, empty where there is none."""
        value = self.body.get(member)
        return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One server-sent event.

    Args:
        name: its `event` line; none where empty.
        data: its data: a JSON value, or a text that is sent as it is.
    """

    name: str = ""
    data: JsonObject | str

    def encoded(self) -> bytes:
        """Return the bytes, with the empty line that ends an event."""
        text = self.data if isinstance(self.data, str) else json.dumps(self.data)
        name = f"event: {self.name}\n" if self.name else ""
        return f"{name}data: {text}\n\n".encode()


class Answer(Protocol):
    """One answer to one request; either the two streams are taken, in order, or the body."""

    def said(self) -> Iterator[Event]:
        """Yield everything before the finish reason; a broken connection ends after it."""
        ...

    def ended(self) -> Iterator[Event]:
        """Yield the finish reason, the usage, and what marks the end."""
        ...

    def body(self) -> JsonValue:
        """Return the whole answer as one JSON value."""
        ...


class Wire(Protocol):
    """A vendor's way to ask a model and to be answered."""

    @property
    def silence(self) -> bytes:
        """What keeps a silent stream open and means nothing to this vendor's clients."""
        ...

    def streams(self, asked: Asked) -> bool:
        """Whether the request asks for server-sent events."""
        ...

    def answer(self, reply: Reply, asked: Asked) -> Answer:
        """Return `reply` as this wire says it to `asked`."""
        ...

    def error(self, status: int, message: str) -> JsonObject:
        """Return the error envelope for an HTTP status."""
        ...


def pieces(text: str) -> list[str]:
    """Cut a text into a few pieces; none where it is empty."""
    size = max(1, -(-len(text) // _PIECES))
    return [text[start : start + size] for start in range(0, len(text), size)]
