"""Telemetry of one opened agent: observations go through a bounded queue to whoever measures.

Rules
1. A run never waits for telemetry: where the queue is full, an observation is dropped and counted.
2. A run never fails by telemetry: what a sink raises is counted, and logged once for each sink.
3. One thread tells every sink in the order in which things happened; it is started by the first observation.
4. A sink sees the context variables of whoever began the run, so that a trace of the embedder goes on.
5. Closing waits `CLOSE_S` for what is queued; whatever a sink still does then is left to itself.
"""

from __future__ import annotations

import queue
import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from remit.errors import EvaluationError
from remit.host.installed import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context

    from remit.observations import Observation
    from remit.ports import TelemetrySink

GROUP = "remit.telemetry"
MAX_QUEUED = 4096
"""Observations that may wait; a run makes some ten a turn."""
CLOSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryCounts:
    """What became of observations.

    Args:
        told: handed to the sinks.
        dropped: not told, because the queue was full or the sinks did not come to an end.
        failed: how often a sink raised.
    """

    told: int
    dropped: int
    failed: int


class Telemetry:
    """The sinks of one opened agent.

    Args:
        sinks: who is told.
        owned: those of them that are closed at the end; an embedder's own may be told of other agents, too.
        private: whether they are told what may be personal: arguments, results, reasons, callers.
        max_queued: observations that may wait.
        close_s: seconds to wait for them at the end.
    """

    def __init__(
        self,
        sinks: Sequence[TelemetrySink],
        *,
        owned: Sequence[TelemetrySink] = (),
        private: bool = False,
        max_queued: int = MAX_QUEUED,
        close_s: float = CLOSE_S,
    ) -> None:
        self.private = private
        self._sinks = tuple(sinks)
        self._owned = tuple(owned)
        self._close_s = close_s
        self._queue: queue.Queue[tuple[Context, Observation] | None] = queue.Queue(max_queued)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._told = self._dropped = self._failed = 0
        self._logged: set[int] = set()
        # Wall time that never goes back: durations are differences of it.
        self._origin_ns = time.time_ns() - time.perf_counter_ns()

    @property
    def counts(self) -> TelemetryCounts:
        """What became of observations so far."""
        return TelemetryCounts(told=self._told, dropped=self._dropped, failed=self._failed)

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z, as of when this was opened, and going on steadily."""
        return self._origin_ns + time.perf_counter_ns()

    def tell(self, observation: Observation, context: Context | None = None) -> None:
        """Queue an observation; never waits and never raises.

        Args:
            observation: what happened.
            context: context variables under which sinks are told; the calling thread's where None.
        """
        try:
            self._start()
            self._queue.put_nowait((context or copy_context(), observation))
        except Exception:  # noqa: BLE001  # rule 2: a full queue, a closed one, an interpreter that ends
            self._drop()

    def missed(self) -> None:
        """Count an observation that could not be made."""
        self._drop()

    def close(self) -> None:
        """Tell what is queued and close the sinks; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
        deadline = time.monotonic() + self._close_s
        if thread is None:
            # Sinks may be as slow to close as to be told.
            thread = threading.Thread(target=self._close_sinks, name="remit-telemetry", daemon=True)
            thread.start()
        else:
            try:
                self._queue.put(None, timeout=self._close_s)
            except queue.Full:
                self._abandon()
                return
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            self._abandon()

    def _start(self) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("telemetry is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="remit-telemetry", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            context, observation = item
            for sink in self._sinks:
                try:
                    context.run(sink.observe, observation)
                except BaseException as error:  # noqa: BLE001  # rule 2: a sink may raise anything, also what ends a thread
                    self._note(sink, error)
            self._told += 1
        self._close_sinks()

    def _close_sinks(self) -> None:
        for sink in self._owned:
            try:
                sink.close()
            except BaseException as error:  # noqa: BLE001  # rule 2
                self._note(sink, error)

    def _note(self, sink: TelemetrySink, error: BaseException) -> None:
        self._failed += 1
        if id(sink) not in self._logged:
            self._logged.add(id(sink))
            _log("telemetry_failed", sink=type(sink).__name__, error=type(error).__name__)

    def _drop(self) -> None:
        with self._lock:
            self._dropped += 1
            first = self._dropped == 1
        if first:
            _log("telemetry_dropped", queued=self._queue.qsize())

    def _abandon(self) -> None:
        left = self._queue.qsize()
        with self._lock:
            self._dropped += left
        _log("telemetry_abandoned", queued=left)


def open_telemetry(sinks: Sequence[str | TelemetrySink], *, private: bool) -> Telemetry | None:
    """Open the named sinks; None where there are none.

    Args:
        sinks: names of the entry-point group `remit.telemetry`, or sinks of the embedder's own.
        private: whether they are told what may be personal.

    Raises:
        EvaluationError: no such sink is installed, or it cannot be opened.
    """
    if not sinks:
        return None
    named = {name: _opened(name) for name in sinks if isinstance(name, str)}
    told = [named[sink] if isinstance(sink, str) else sink for sink in sinks]
    return Telemetry(told, owned=tuple(named.values()), private=private)


def _opened(name: str) -> TelemetrySink:
    points = installed(GROUP, name)
    if not points:
        known = ", ".join(sorted(f"`{point.name}`" for point in installed(GROUP))) or "none"
        raise EvaluationError(f"no telemetry is called `{name}`: there is {known}")
    try:
        return cast("Callable[[], TelemetrySink]", points[0].load())()
    except ImportError as error:
        raise EvaluationError(
            f"telemetry `{name}` cannot be opened: {error}; install `remit[{name}]`"
        ) from error
    except Exception as error:
        cause = str(error) or type(error).__name__
        raise EvaluationError(f"telemetry `{name}` cannot be opened: {cause}") from error


def _log(name: str, **members: str | int) -> None:
    import structlog

    try:
        structlog.get_logger().warning(name, **members)
    except Exception:  # noqa: BLE001  # rule 2: also where the log itself cannot be written
        return
