"""A governed run on an Assistants server, killed at every step: a restart and a sweep leave nothing behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remit.host.clock import SystemClock
from remit.host.vendor_objects import find_leftovers, sweep
from remit.testing.assistants_server import AssistantsServer, CutConnectionError
from remit.testing.clock import FixedClock
from remit.testing.loopback import Reply, SaidCall
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from remit.host.vendor_objects import Sweep

CHILD = Path(__file__).with_name("assistants_child.py")
REPLIES = (
    Reply(calls=(SaidCall(name="order_status", raw='{"order":7}'),), finish="tool_calls"),
    Reply(calls=(SaidCall(name="refund", raw='{"order":7,"amount":5}'),), finish="tool_calls"),
    Reply(text="Order 7 is paid; it cannot be refunded."),
)
OPERATIONS = (
    "POST /assistants",
    "POST /threads",
    "POST /threads/{thread_id}/runs",
    "POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
    "GET /threads/{thread_id}/runs",
    "DELETE /threads/{thread_id}",
    "DELETE /assistants/{assistant_id}",
)
EVENTS = ("thread.run.created", "thread.run.requires_action", "thread.message.delta", "thread.run.completed")
STEPS = [
    *(f"{side} {name}" for name in OPERATIONS for side in ("before", "after")),
    *(f"before event {name}" for name in EVENTS),
]
TWICE = ("submit_tool_outputs", "requires_action")
POINTS = [(step, 1) for step in STEPS] + [(step, 2) for step in STEPS if any(word in step for word in TWICE)]
COMMITS = 23
"""Commits of an undisturbed run; `test_an_undisturbed_run…` holds it."""


class Killer:
    """Kills a process when the server comes to a step for the n-th time, and lets nothing of it go on."""

    def __init__(self, step: str, occurrence: int = 1) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.hits = 0
        self._step = step
        self._occurrence = occurrence
        self._ready = threading.Event()

    def watch(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._ready.set()

    def __call__(self, step: str) -> None:
        if step != self._step:
            return
        self.hits += 1
        if self.hits == self._occurrence and self._ready.wait(30):
            assert self.process is not None
            self.process.kill()
            self.process.wait()
            if step.startswith("before"):
                # The request never reached the world: what is killed before a step does not take it.
                raise CutConnectionError


def child(store: Path, server: AssistantsServer, kill_at: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(store), server.base_url, str(kill_at)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def swept(folder: Path) -> Sweep:
    """Sweep an hour later, when no request of the killed process can be under way any more."""
    later = FixedClock(SystemClock().now())
    later.advance(3600)
    with open_store(folder) as store:
        return asyncio.run(sweep(store, later, folder=None))


def left(server: AssistantsServer) -> dict[str, tuple[str, ...]]:
    return {kind: ids for kind, ids in server.objects.items() if ids}


def assert_nothing_left(server: AssistantsServer, store: Path, found: Sweep, *, doubts: int = 0) -> None:
    assert left(server) == {}
    assert [(item.thing.kind, item.thing.id) for item in found.left] == [("thread", "")] * doubts
    assert len(found.unsaid) == doubts
    assert all("whose id never arrived" in sentence for sentence in found.unsaid)
    assert len(tuple((store / "answers").glob("*.answer"))) == doubts


def test_an_undisturbed_run_leaves_nothing_and_breaks_no_word_of_the_description(tmp_path: Path) -> None:
    seen: list[str] = []
    with AssistantsServer(*REPLIES, truth=True, on_step=seen.append) as server:
        process = child(tmp_path / "store", server)
        out, err = process.communicate(timeout=120)
        assert (out, err) == (f"completed {COMMITS}\n", "")
        assert server.violations == ()
        assert left(server) == {}
        bodies = [item.body for item in server.received if item.path.endswith("/submit_tool_outputs")]
    assert set(STEPS) <= set(seen)
    assert '"status": "paid"' in str(bodies[0])
    assert '"denied": true' in str(bodies[1])
    assert "refunds are closed" in str(bodies[1])
    with open_store(tmp_path / "store") as store:
        assert find_leftovers(store) == ()


@pytest.mark.parametrize(("step", "occurrence"), POINTS)
def test_killed_at_a_step_of_the_server_a_sweep_leaves_nothing(
    step: str, occurrence: int, tmp_path: Path
) -> None:
    killer = Killer(step, occurrence)
    with AssistantsServer(*REPLIES, on_step=killer) as server:
        process = child(tmp_path / "store", server)
        killer.watch(process)
        process.communicate(timeout=120)
        assert killer.hits >= occurrence
        found = swept(tmp_path / "store")
        # A request that was cut off without an answer may have been carried out, for all that anybody knows.
        doubts = 1 if step == "before POST /threads" else 0
        assert_nothing_left(server, tmp_path / "store", found, doubts=doubts)


@pytest.mark.parametrize("commit", [sign * number for number in range(1, COMMITS + 1) for sign in (1, -1)])
def test_killed_at_a_commit_of_the_ledger_a_sweep_leaves_nothing(commit: int, tmp_path: Path) -> None:
    with AssistantsServer(*REPLIES) as server:
        process = child(tmp_path / "store", server, commit)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out, err) == (-9, "", "")
        if not (tmp_path / "store").exists():
            assert left(server) == {}
            return
        found = swept(tmp_path / "store")
        assert_nothing_left(server, tmp_path / "store", found)
        again = swept(tmp_path / "store")
        assert again.gone == ()
        with open_store(tmp_path / "store") as store:
            assert store.verify().findings == ()


def test_a_response_that_was_lost_does_not_lose_its_assistant(tmp_path: Path) -> None:
    with AssistantsServer(*REPLIES, drop=("POST /assistants",)) as server:
        process = child(tmp_path / "store", server)
        out, _ = process.communicate(timeout=120)
        assert out.startswith("failed")
        assert left(server) == {}
    with open_store(tmp_path / "store") as store:
        assert find_leftovers(store) == ()
