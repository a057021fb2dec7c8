"""What an authorization costs the store: one transaction, one commit to disk, and no question to the control file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from remit.gate.gate import Denial, Granted
from remit.ports import PromptLedger, Stop
from remit_adapters import _sqlite_control
from remit_adapters.sqlite_store import SqliteStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gate_world import World


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


def traced(store: SqliteStore) -> tuple[list[str], list[str]]:
    """The statements that the writer and the control state run from now on."""
    written: list[str] = []
    controlled: list[str] = []
    assert store._writer is not None
    store._writer._connection.set_trace_callback(written.append)
    store.control._connection.set_trace_callback(controlled.append)
    return written, controlled


def test_an_authorization_is_one_transaction_and_asks_the_control_file_nothing(
    world: World, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_control, "RECHECK_S", 1e9)
    gate = world.gate(ledger=store, control=store.control)
    assert isinstance(store, PromptLedger)
    assert isinstance(gate.authorize(world.pay(amount=1)), Granted)
    written, controlled = traced(store)
    for step in range(2, 20):
        written.clear()
        assert isinstance(gate.authorize(world.pay(amount=1, step=step)), Granted)
        assert written[0] == "BEGIN IMMEDIATE"
        assert written[-1] == "COMMIT"
        # The size, records, content, intent, tree nodes, checkpoint.
        assert len([text for text in written[1:-1] if not text.startswith("--")]) == 6
    assert controlled == []


def test_a_kill_between_two_authorizations_is_seen_by_the_second(world: World, store: SqliteStore) -> None:
    gate = world.gate(ledger=store, control=store.control)
    with open_store(store.folder) as other:
        for step in range(1, 30, 2):
            assert isinstance(gate.authorize(world.pay(amount=1, step=step)), Granted)
            other.control.stop(
                Stop(scope="run:run-1", order="kill", by="ann", reason="x", at=world.clock.now())
            )
            denial = gate.authorize(world.pay(amount=1, step=step + 1))
            assert isinstance(denial, Denial)
            assert denial.kind == "stopped"
            assert other.control.lift("run:run-1", by="bob", reason="", at=world.clock.now())
