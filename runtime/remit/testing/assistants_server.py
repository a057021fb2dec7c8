"""A server on loopback that speaks OpenAI's Assistants v2, with files and vector stores; all in memory.

It stands for the hosted service, which is gone, and for its copies: real sockets, real state, real streams.
Where the vendor's description says something, that holds; `truth=True` checks that it does. What only the
hosted service could tell is documented where it is decided.

Differences to `LoopbackServer` for the same `Reply`
1. Replies answer model turns: a run's first, and one more after each submission of tool outputs.
2. `finish` speaks this wire: see `remit.testing.assistants.endings`.
3. A `status` other than 200 refuses the request that caused the turn, and nothing is made or changed.
4. `broken` cuts a stream after text and calls, and without a stream the answer in its middle; the run goes on
   to its end, and who looks finds it there.
5. `raw_body` is sent instead of that answer, and the run goes on likewise.
6. `used` becomes steps of the run; `reasoning`, `web_search` and a search's queries have no place here.

As a process: `python -m remit.testing.assistants_server --port 0 --replies FILE.json` prints one line of JSON
with its addresses and serves until it is terminated. `GET /_objects`, `/_violations` and `/_log` show what
the properties of the same names do, and are no traffic themselves.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from remit.errors import DocumentError
from remit.testing.assistants.exchange import AZURE, OPENAI, Exchange, Handled, Received
from remit.testing.assistants.faults import CutConnectionError
from remit.testing.assistants.operations import World
from remit.testing.assistants.replies_file import read_replies
from remit.testing.assistants.runs import RunEngine
from remit.testing.assistants.store import Store
from remit.testing.assistants.turns import ModelTurn, TurnRequest, TurnSource
from remit.testing.assistants.wire import WireServer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import TracebackType
    from typing import Self

    from remit.testing.loopback import Reply
    from remit.testing.wire_truth import Violation, WireTruth

__all__ = [
    "AssistantsServer",
    "CutConnectionError",
    "Handled",
    "ModelTurn",
    "Received",
    "TurnRequest",
    "main",
]


class AssistantsServer:
    """Serve Assistants v2; a context manager.

    Args:
        replies: written answers, in order, the last one for ever; or else
        model: a model that answers.
        truth: whether everything that passes is checked against the vendor's description; needs
            `remit[wire-truth]`. Requests that a test makes wrong on purpose are violations too.
        api_key: the only key that is let in; empty lets in any, but not none.
        run_lifetime_s: seconds until a run expires.
        pace_s: seconds between two pieces of an answer.
        drop: operations whose answers are never sent, such as `POST /threads`.
        on_step: called in the request's thread with `before POST /threads`, `after POST /threads`,
            `before event thread.run.created`, `after event …`; it may block, or raise `CutConnectionError`.
        now: seconds since 1970, for times and expiry.
        port: 0 takes a free one.

    Raises:
        ValueError: there are neither replies nor a model, or both.
        ImportError: `truth` is wanted and the description is not installed.
    """

    def __init__(
        self,
        *replies: Reply,
        model: ModelTurn | None = None,
        truth: bool = False,
        api_key: str = "",
        run_lifetime_s: float = 600.0,
        pace_s: float = 0.0,
        drop: Collection[str] = (),
        on_step: Callable[[str], None] | None = None,
        now: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        store = Store(now=now)
        self._engine = RunEngine(store, TurnSource(replies, model), pace_s=pace_s)
        world = World(store=store, engine=self._engine, run_lifetime_s=run_lifetime_s)
        self._exchange = Exchange(world, judge=_judge() if truth else None, api_key=api_key)
        self._exchange.drop = set(drop)
        self._exchange.on_step = on_step
        self._server = WireServer(self._exchange, port=port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def root_url(self) -> str:
        """Address without a base; what the Azure client calls `azure_endpoint`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def base_url(self) -> str:
        """Address for an OpenAI client, with `/v1`."""
        return self.root_url + OPENAI

    @property
    def azure_url(self) -> str:
        """Address for an Azure client, with `/openai`; it wants `api-version`."""
        return self.root_url + AZURE

    @property
    def objects(self) -> dict[str, tuple[str, ...]]:
        """The ids that exist now: `assistants`, `threads`, `files`, `vector_stores`."""
        return self._exchange.world.store.objects()

    @property
    def received(self) -> tuple[Received, ...]:
        """Every request so far."""
        return self._exchange.received

    @property
    def log(self) -> tuple[Handled, ...]:
        """Every request that was dealt with so far, in the order of its end."""
        return self._exchange.handled

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What was found with `truth=True`."""
        return self._exchange.violations

    @property
    def drop(self) -> set[str]:
        """The operations whose answers are not sent; may be changed at any time."""
        return self._exchange.drop

    @property
    def on_step(self) -> Callable[[str], None] | None:
        """See the class; may be changed at any time."""
        return self._exchange.on_step

    @on_step.setter
    def on_step(self, value: Callable[[str], None] | None) -> None:
        self._exchange.on_step = value

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._engine.close()
        self._server.server_close()
        self._thread.join()


def _judge() -> WireTruth:
    # Loaded here, so that nobody waits for a description that nobody asks for.
    from remit.testing.wire_truth import WireTruth

    return WireTruth.of("openai")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until terminated; see the module.

    Returns:
        0 after SIGTERM or SIGINT, 2 where the replies cannot be read.
    """
    parser = argparse.ArgumentParser(prog="python -m remit.testing.assistants_server")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--replies", type=Path, required=True, help="JSON array of replies")
    parser.add_argument("--truth", action="store_true", help="check everything against the description")
    parser.add_argument("--run-lifetime-s", type=float, default=600.0, help="seconds until a run expires")
    options = parser.parse_args(arguments)
    try:
        replies = read_replies(options.replies.read_bytes(), file=str(options.replies))
        server = AssistantsServer(
            *replies, truth=options.truth, run_lifetime_s=options.run_lifetime_s, port=options.port
        )
    except (OSError, DocumentError, ValueError, ImportError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with server:
        line = {"base_url": server.base_url, "azure_url": server.azure_url, "root_url": server.root_url}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
