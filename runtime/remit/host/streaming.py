"""Events as an asynchronous iterator over a run in the same loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from remit.host.events import RunEvent
    from remit.host.results import RunResult


async def stream_events(
    start: Callable[[Callable[[RunEvent], None]], Coroutine[object, object, RunResult]],
) -> AsyncIterator[RunEvent]:
    """Start a run and yield its events in order; closing the iterator cancels the run and waits for its end.

    Raises:
        GovernanceError: what the run itself raises, after its last event.
    """
    queue: asyncio.Queue[RunEvent | None] = asyncio.Queue()
    task = asyncio.ensure_future(start(queue.put_nowait))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
