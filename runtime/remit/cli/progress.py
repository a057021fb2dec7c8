"""How far a long piece of work is: bars on stderr, where that is a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.progress import Progress, TaskID

AFTER_S = 0.3
"""Work that is done by then shows no bar."""


@contextmanager
def stages() -> Generator[Callable[[str], Callable[[int, int], None] | None]]:
    """Yield what begins a stage: from its name to what is told how much of how much is done.

    A stage that is told nothing more, or all, is over. Without a terminal there is nothing to tell.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bars = _Bars()
    try:
        yield bars.stage
    finally:
        bars.close()


class _Bars:
    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._progress: Progress | None = None

    def stage(self, name: str) -> Callable[[int, int], None]:
        """Begin a stage."""
        tasks: list[TaskID] = []

        def report(done: int, whole: int) -> None:
            if self._progress is None:
                if time.monotonic() - self._started_s < AFTER_S:
                    return
                self._progress = _started()
            if not tasks:
                tasks.append(self._progress.add_task(name, total=whole))
            self._progress.update(tasks[0], completed=done, total=whole)

        return report

    def close(self) -> None:
        """Take the bars away."""
        if self._progress is not None:
            self._progress.stop()


def _started() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )
    progress.start()
    return progress
