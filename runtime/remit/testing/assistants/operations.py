"""What an operation is given and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.values import JsonObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remit.testing.assistants.feed import Feed
    from remit.testing.assistants.multipart import Form
    from remit.testing.assistants.runs import RunEngine
    from remit.testing.assistants.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What operations act on.

    Args:
        store: the objects; each operation holds it from beginning to end.
        engine: moves runs.
        run_lifetime_s: seconds until a run expires.
    """

    store: Store
    engine: RunEngine
    run_lifetime_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, read and checked.

    Args:
        ids: the ids in its path, by the names that the description gives them.
        query: query parameters; of a repeated one the last.
        body: JSON body, empty where there is none.
        form: the multipart form of an upload.
    """

    ids: Mapping[str, str]
    query: Mapping[str, str]
    body: JsonObject
    form: Form | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStream:
    """An answer as a stream of events.

    Args:
        feed: where they come from.
        start: the first of them.
        opening: the thread that was created with the run, which is told first; empty where there is none.
        content: whether what a search found is told.
        raw_body: sent instead of the events.
    """

    feed: Feed
    start: int
    opening: JsonObject
    content: bool
    raw_body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """An answer that is bytes.

    Args:
        data: the bytes.
        content_type: header.
        cut: whether only half of them arrives.
    """

    data: bytes
    content_type: str
    cut: bool = False


Answer = JsonObject | Raw | RunStream
