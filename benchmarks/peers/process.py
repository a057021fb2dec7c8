"""A worker as the runner sees it: commands out, answers in, each within a time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, cast

from peers.environments import HERE, REPOSITORY

if TYPE_CHECKING:
    from peers.catalogue import Entry

_HELLO_S = 60.0


class WorkerError(Exception):
    """A worker gave no answer, or the answer that something went wrong; the text says which."""


class WorkerProcess:
    """A peer's process.

    It is in a session of its own, so that the keyboard's interrupt reaches the runner alone, which ends it.

    Raises:
        WorkerError: it does not start.
    """

    def __init__(self, entry: Entry, python: str) -> None:
        self.entry = entry
        folders = [str(HERE.parent)]
        if entry.needs_remit:
            # What stands first on the caller's path wins, so that another checkout's engine can be measured.
            folders += [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
            folders.append(str(REPOSITORY / "runtime"))
        self._process = subprocess.Popen(
            [python, "-m", "peers.worker", entry.name, *entry.packages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": os.pathsep.join(folders),
                "PYTHONHASHSEED": "0",
                "PYTHONWARNINGS": "ignore",
            },
        )
        self._buffer = b""
        hello = self._read(_HELLO_S)
        self.python = str(hello["python"])
        self.versions = tuple(cast("list[str]", hello["versions"]))

    def ask(self, command: str, timeout_s: float, **arguments: object) -> dict[str, object]:
        """Send a command and return its answer.

        Raises:
            WorkerError: the peer failed, or said nothing in time; then it is ended.
        """
        line = json.dumps({"do": command, **arguments}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerError(self._ended()) from error
        answer = self._read(timeout_s)
        if "error" in answer:
            raise WorkerError(" ".join(str(answer["error"]).split())[:200])
        return answer

    def end(self) -> None:
        """End the process and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _read(self, timeout_s: float) -> dict[str, object]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        handle = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                self.end()
                raise WorkerError(f"no answer within {timeout_s:.0f} s")
            data = os.read(handle, 1 << 16)
            if not data:
                raise WorkerError(self._ended())
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return cast("dict[str, object]", json.loads(line))

    def _ended(self) -> str:
        code = self._process.wait()
        return f"its process ended with signal {-code}" if code < 0 else f"its process ended with code {code}"
