"""Everything the server holds, in memory, under one lock.

Rules
1. Whoever reads or changes an object holds `Store.changed`; nothing that takes long happens under it.
2. An id is never given twice, and not by another server either, so that a stale id names nothing.
3. What a list is ordered by is the order of creation, since two objects may be of one second.
   The place of a deleted object is kept: a client that deletes while it pages goes on where it was.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remit.testing.assistants.faults import WireFault, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from remit.document.values import JsonObject, JsonValue
    from remit.testing.assistants.feed import Feed

MAX_PAGE = 100
DEFAULT_PAGE = 20
ACTIVE = ("queued", "in_progress", "requires_action", "cancelling")
"""States of a run that is not over."""


@dataclass(slots=True, kw_only=True, eq=False)
class StoredRun:
    """A run.

    Args:
        value: the object.
        thread: where it runs.
        deadline_s: when it expires, on the store's clock.
        feed: its events.
        steps: its steps by id, in order.
        input_tokens: used so far.
        output_tokens: used so far.
        turn_usage: usage of the turn that is on, once its answer is there.
        gone: its thread was deleted.
    """

    value: JsonObject
    thread: StoredThread
    deadline_s: float
    feed: Feed
    steps: dict[str, JsonObject] = field(default_factory=dict[str, "JsonObject"])
    input_tokens: int = 0
    output_tokens: int = 0
    turn_usage: JsonObject | None = None
    gone: bool = False

    @property
    def status(self) -> str:
        """The run's status."""
        return str(self.value["status"])

    @property
    def active(self) -> bool:
        """Whether it is not over."""
        return self.status in ACTIVE


@dataclass(slots=True, kw_only=True, eq=False)
class StoredThread:
    """A thread with its messages and runs by id, in order."""

    value: JsonObject
    messages: dict[str, JsonObject] = field(default_factory=dict[str, "JsonObject"])
    runs: dict[str, StoredRun] = field(default_factory=dict[str, StoredRun])


@dataclass(slots=True, kw_only=True, eq=False)
class StoredFile:
    """An uploaded file with its bytes."""

    value: JsonObject
    content: bytes


@dataclass(slots=True, kw_only=True, eq=False)
class StoredVectorStore:
    """A vector store with its files by id, in order."""

    value: JsonObject
    files: dict[str, JsonObject] = field(default_factory=dict[str, "JsonObject"])


class Store:
    """See the module's docstring.

    Args:
        now: seconds since 1970.
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self.now = now
        self.changed = threading.Condition(threading.RLock())
        self.assistants: dict[str, JsonObject] = {}
        self.threads: dict[str, StoredThread] = {}
        self.files: dict[str, StoredFile] = {}
        self.vector_stores: dict[str, StoredVectorStore] = {}
        self._nonce = secrets.token_hex(8)
        self._places: dict[str, int] = {}

    def at_s(self) -> int:
        """Return the present second, as objects state it."""
        return int(self.now())

    def new_id(self, prefix: str) -> str:
        """Return an id such as `asst_…`; it has its place in the order of creation."""
        place = len(self._places)
        identifier = f"{prefix}{self._nonce}{place:08d}"
        self._places[identifier] = place
        return identifier

    def assistant(self, identifier: str) -> JsonObject:
        """Return an assistant.

        Raises:
            WireFault: 404.
        """
        found = self.assistants.get(identifier)
        if found is None:
            raise missing("assistant", identifier)
        return found

    def thread(self, identifier: str) -> StoredThread:
        """Return a thread.

        Raises:
            WireFault: 404.
        """
        found = self.threads.get(identifier)
        if found is None:
            raise missing("thread", identifier)
        return found

    def message(self, thread_id: str, identifier: str) -> JsonObject:
        """Return a message of a thread.

        Raises:
            WireFault: 404.
        """
        found = self.thread(thread_id).messages.get(identifier)
        if found is None:
            raise missing("message", identifier)
        return found

    def run(self, thread_id: str, identifier: str) -> StoredRun:
        """Return a run of a thread.

        Raises:
            WireFault: 404.
        """
        found = self.thread(thread_id).runs.get(identifier)
        if found is None:
            raise missing("run", identifier)
        return found

    def file(self, identifier: str) -> StoredFile:
        """Return a file.

        Raises:
            WireFault: 404.
        """
        found = self.files.get(identifier)
        if found is None:
            raise missing("file", identifier)
        return found

    def vector_store(self, identifier: str) -> StoredVectorStore:
        """Return a vector store.

        Raises:
            WireFault: 404.
        """
        found = self.vector_stores.get(identifier)
        if found is None:
            raise missing("vector store", identifier)
        return found

    def objects(self) -> dict[str, tuple[str, ...]]:
        """Return the ids that exist now, by kind, in order of creation."""
        with self.changed:
            return {
                "assistants": tuple(self.assistants),
                "threads": tuple(self.threads),
                "files": tuple(self.files),
                "vector_stores": tuple(self.vector_stores),
            }

    def page(
        self,
        values: Iterable[JsonObject],
        query: Mapping[str, str],
        *,
        most: int = MAX_PAGE,
        default: int = DEFAULT_PAGE,
    ) -> JsonObject:
        """Return one page of a list.

        `before` gives the page that ends just before that object, in the order that is asked for.
        A page without objects has empty ids, because the description knows no other.

        Args:
            values: all objects, in order of creation.
            query: may hold `limit`, `order`, `after`, `before`.
            most: largest `limit`.
            default: `limit` where none is given.

        Raises:
            WireFault: 400, a parameter makes no sense.
        """
        limit = _limit(query.get("limit"), most=most, default=default)
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise WireFault(400, f"Invalid `order`: '{order}'; it is 'asc' or 'desc'.", param="order")
        ordered = list(values) if order == "asc" else list(values)[::-1]
        sign = 1 if order == "asc" else -1
        for name, side in (("after", 1), ("before", -1)):
            if name in query:
                cursor = self._place(name, query[name])
                ordered = [
                    each for each in ordered if (self._places[str(each["id"])] - cursor) * sign * side > 0
                ]
        backwards = "before" in query and "after" not in query
        shown = ordered[-limit:] if backwards else ordered[:limit]
        ids: list[JsonValue] = [each["id"] for each in shown]
        return {
            "object": "list",
            "data": [*shown],
            "first_id": ids[0] if ids else "",
            "last_id": ids[-1] if ids else "",
            "has_more": len(ordered) > limit,
        }

    def _place(self, name: str, identifier: str) -> int:
        place = self._places.get(identifier)
        if place is None:
            raise WireFault(400, f"Invalid `{name}`: no object with id '{identifier}'.", param=name)
        return place


def _limit(text: str | None, *, most: int, default: int) -> int:
    if text is None:
        return default
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= most:
        raise WireFault(400, f"Invalid `limit`: '{text}'; it is from 1 to {most}.", param="limit")
    return value
