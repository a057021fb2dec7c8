"""`remit test --watch`: the same command again, whenever a file changes that it could depend on.

Rules
1. Every round is a process of its own: tool modules and engines are never those of an earlier round.
2. A round that finds faults does not end the watch; Ctrl-C does, and that is no error.
3. Watched are the files below each path, and below the project that a file lies in; hidden folders, caches
   and the reports that every round writes are not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from remit.cli.exits import ExitCode
from remit.workbench.suites.reading import project_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from remit.cli.output import Session

POLL_S = 0.3
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})
_START = "from remit.cli.main import main; main()"


def watch_paths(session: Session, paths: Sequence[str], *, written: Sequence[str] = ()) -> int:
    """Run `remit test` with this command line, but for `--watch`, now and after every change.

    Args:
        session: for people.
        paths: what is tested.
        written: files that every round writes.
    """
    reports = frozenset(Path(name).resolve() for name in written)
    arguments = [word for word in sys.argv[1:] if word != "--watch"]
    try:
        while True:
            seen = _stamp(paths, reports)
            subprocess.run([sys.executable, "-c", _START, *arguments], check=False)  # noqa: S603  # this program itself
            session.say("watching; Ctrl-C ends", style="dim")
            sys.stdout.flush()
            while _stamp(paths, reports) == seen:
                time.sleep(POLL_S)
            session.say()
    except KeyboardInterrupt:
        session.say()
        session.say("stopped watching", style="dim")
        return ExitCode.FINE


def _stamp(paths: Sequence[str], reports: Container[Path]) -> dict[str, tuple[int, int]]:
    """Return size and time of change of every file that a round could depend on."""
    found: dict[str, tuple[int, int]] = {}
    for path in _watched(paths or (".",)):
        try:
            if path.resolve() in reports:
                continue
            status = path.stat()
        except OSError:
            continue  # it went away between the listing and now, which the next stamp sees
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def _watched(paths: Sequence[str]) -> Iterator[Path]:
    for given in paths:
        path = Path(given)
        if path.is_file():
            yield path
            path = project_of(path) or path.parent
        for place, folders, names in os.walk(path):
            folders[:] = [name for name in folders if not name.startswith(".") and name not in _LEFT_OUT]
            # What tools write (SQLite files) changes while they are watched, and decides nothing.
            yield from (Path(place) / name for name in names if ".sqlite" not in name)
