"""A request whose answer outlives the process that wants it: a process of its own asks and writes it down.

For what a vendor makes at once and can neither list nor make under a key of ours: a thread of Assistants.

Files in the folder, by the object's tag
    <tag>.asking   there and locked before the object is planned; holds `asked` from just before the request
                   is sent
    <tag>.answer   what came of the request, whole or not at all (`ask_once`)

Rules
1. The request goes to the asking process through a pipe: no argument, variable or file holds the key.
2. The asking process has a session of its own and holds the lock, so that it outlives a kill of its parent
   and others can wait for it. It ends after twice the time limit at the latest.
3. Never asked is certain only where the lock could be had and `asked` is missing. Windows cannot hand a lock
   on, so that a request without an answer stays a doubt there.
4. Files are forgotten once the ledger has the object's id or knows that it is gone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from remit.errors import AdapterError

if TYPE_CHECKING:
    import httpx2

    from remit_adapters.endpoint import Endpoint

ASKING, ANSWER = ".asking", ".answer"
LOCKS = os.name == "posix"
"""Whether a lock can be handed on to the asking process."""
_SCRIPT = Path(__file__).with_name("ask_once.py")
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What came of a request.

    Args:
        status: HTTP status; 0 where no answer came.
        body: the answer's body.
        failed: name of the transport's error where no answer came.
        why: its words.
    """

    status: int = 0
    body: bytes = b""
    failed: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What is known of a request that an earlier process, or a cancelled task, wanted to be asked.

    Args:
        answer: what came of it, if that is written down.
        never_asked: whether it was certainly never sent.
        under_way: whether it is being asked still.
    """

    answer: KeptAnswer | None = None
    never_asked: bool = False
    under_way: bool = False


class Asking:
    """One request that will be asked by a process of its own; holds the lock until it is forgotten."""

    def __init__(self, folder: Path, tag: str) -> None:
        self._file = folder / f"{tag}{ASKING}"
        self._answer = folder / f"{tag}{ANSWER}"
        self._held: int | None = os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        self._done: Future[KeptAnswer] | None = None
        if LOCKS:
            _lock(self._held)

    def ask(self, order: dict[str, Any]) -> Future[KeptAnswer]:
        """Have `order` asked, once; the future gives what came of it.

        Raises (through the future):
            AdapterError: no process could be started for it, or it ended without an answer.
        """
        done: Future[KeptAnswer] = Future()
        self._done = done

        def work() -> None:
            try:
                done.set_result(self._ask(order))
            except Exception as error:  # noqa: BLE001  # carried over to the one who waits
                done.set_exception(error)

        # A thread that nobody has to wait for; the end of an event loop waits for those of its executor.
        threading.Thread(target=work, name="remit-kept-answer", daemon=True).start()
        return done

    def wait(self, longest_s: float) -> None:
        """Wait until what is being asked has an answer; returns at once where nothing is."""
        if self._done is not None:
            wait((self._done,), timeout=longest_s)

    def _ask(self, order: dict[str, Any]) -> KeptAnswer:
        held = self._held
        assert held is not None
        order |= {"asking": str(self._file), "answer": str(self._answer), "held": held if LOCKS else None}
        try:
            # -I: nothing of the environment or the working folder decides what code sees the key.
            process = subprocess.Popen(  # noqa: S603  # our own script, no shell
                [sys.executable, "-I", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(held,) if LOCKS else (),
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise AdapterError(f"no process can be started that keeps a vendor's answer: {error}") from error
        process.communicate(json.dumps(order).encode())
        answer = _read(self._answer)
        if answer is None:
            raise AdapterError(
                f"the process that keeps a vendor's answer ended without one (exit {process.returncode})"
            )
        return answer

    def never_asked(self) -> bool:
        """Whether the request was certainly never sent; only once `ask` has returned."""
        return self._file.stat().st_size == 0

    def leave(self) -> None:
        """Let go of the lock and keep the files; idempotent."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


class KeptAnswers:
    """The folder of kept answers.

    Args:
        folder: where they lie; made (mode 0700) when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, tag: str) -> Asking:
        """Reserve the files of `tag`.

        Raises:
            AdapterError: the folder cannot be used.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Asking(self._folder, tag)
        except OSError as error:
            raise AdapterError(
                f"a vendor's answers cannot be kept in `{self._folder}`: {error.strerror or error}"
            ) from error

    def fate(self, tag: str, *, wait_s: float) -> Fate:
        """Return what is known of the request of `tag`, waiting for it if it is being asked; blocks."""
        file = self._folder / f"{tag}{ASKING}"
        until = time.monotonic() + wait_s
        free = False
        try:
            held = os.open(file, os.O_RDWR)
        except OSError:
            return Fate(answer=_read(self._folder / f"{tag}{ANSWER}"))
        try:
            while LOCKS and not (free := _lock(held)) and time.monotonic() < until:
                time.sleep(_LOOK_S)
            answer = _read(self._folder / f"{tag}{ANSWER}")
            asked = os.fstat(held).st_size > 0
        finally:
            os.close(held)
        return Fate(
            answer=answer,
            never_asked=answer is None and free and not asked,
            under_way=answer is None and LOCKS and not free,
        )

    def forget(self, tag: str) -> None:
        """Remove what is kept of `tag`, if anything is."""
        for suffix in (ANSWER, ASKING):
            with suppress(OSError):
                (self._folder / f"{tag}{suffix}").unlink(missing_ok=True)


def outliving_client(endpoint: Endpoint, asking: Asking) -> httpx2.AsyncClient:
    """Return an HTTP client whose one request is asked by a process that outlives this one.

    A cancelled task does not end the request: its answer is kept all the same.

    Raises:
        ImportError: `httpx2` is not installed.
    """
    import httpx2

    class Outliving(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            order = {
                "method": request.method,
                "url": str(request.url),
                "headers": [[name, value] for name, value in request.headers.multi_items()],
                "body": base64.b64encode(await request.aread()).decode(),
                "timeout_s": endpoint.timeout_s,
                "proxy": endpoint.proxy,
            }
            # Shielded: a task that is cancelled does not end the request.
            answer = await asyncio.shield(asyncio.wrap_future(asking.ask(order)))
            if answer.failed:
                kind = cast(
                    "type[httpx2.TransportError]", getattr(httpx2, answer.failed, httpx2.TransportError)
                )
                raise kind(answer.why)
            headers = {"content-type": "application/json"}
            return httpx2.Response(answer.status, headers=headers, content=answer.body, request=request)

    return httpx2.AsyncClient(
        transport=Outliving(), timeout=endpoint.timeout_s, follow_redirects=False, trust_env=False
    )


def _lock(held: int) -> bool:
    import fcntl

    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(file: Path) -> KeptAnswer | None:
    try:
        value: object = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict):
        return None
    members = cast("dict[str, object]", value)
    status = members.get("status")
    try:
        return KeptAnswer(
            status=status if isinstance(status, int) else 0,
            body=base64.b64decode(str(members.get("body", "")), validate=True),
            failed=str(members.get("failed", "")),
            why=str(members.get("why", "")),
        )
    except ValueError:
        return None
