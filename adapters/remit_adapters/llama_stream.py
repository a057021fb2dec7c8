"""From the engine's thread to the event loop: one request's chunks."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from remit.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from remit.document.values import JsonObject
    from remit_adapters.llama_model import LoadedModel

_POLL_S = 0.05


class _Generation:
    """One request; `work` runs in a thread, the rest in the event loop."""

    def __init__(self, model: LoadedModel, request: JsonObject, loop: asyncio.AbstractEventLoop) -> None:
        self.queue: asyncio.Queue[JsonObject | Exception | None] = asyncio.Queue()
        self.stop = threading.Event()
        self._model = model
        self._request = request
        self._loop = loop

    def work(self) -> None:
        try:
            while not self._model.busy.acquire(timeout=_POLL_S):
                if self.stop.is_set():
                    return
            try:
                if not self.stop.is_set():
                    self._model.chat(self._request, self._on_chunk)
            finally:
                self._model.busy.release()
            self._post(None)
        except Exception as error:  # noqa: BLE001  # the engine raises what it likes
            self._post(error)

    def _on_chunk(self, chunk: object) -> bool:
        # INVARIANT (no exception into the engine): what is raised in a callback is lost inside it.
        for each in cast("list[object]", chunk) if isinstance(chunk, list) else [chunk]:
            readable = isinstance(each, dict)
            self._post(cast("JsonObject", each) if readable else AdapterError("the engine sent no object"))
        return self.stop.is_set() or self._loop.is_closed()

    def _post(self, item: JsonObject | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self.queue.put_nowait, item)


async def chunks(model: LoadedModel, request: JsonObject, *, backend: str) -> AsyncGenerator[JsonObject]:
    """Generate in a thread and hand over the chunks; closing it stops the engine before it returns.

    Args:
        model: a loaded model.
        request: members of the Chat Completions wire.
        backend: the document's name of the back-end, for messages.

    Raises:
        AdapterError: the engine failed.
    """
    generation = _Generation(model, request, asyncio.get_running_loop())
    running = asyncio.ensure_future(asyncio.to_thread(generation.work))
    try:
        while (item := await generation.queue.get()) is not None:
            if isinstance(item, Exception):
                raise AdapterError(f"back-end `{backend}` failed: {item}") from item
            yield item
    finally:
        generation.stop.set()
        await asyncio.shield(running)
