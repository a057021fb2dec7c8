"""Whose turn it is to write: callers and the writer's thread commit one at a time, and nobody is left waiting."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from remit.errors import HeadMovedError, LedgerError
from remit.ports import Batch
from remit.testing.store_contract import contract_document, contract_draft, contract_note
from remit_adapters.sqlite_store import SqliteStore, open_store
from remit_adapters.stores.key import load_signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


def batch(**body: Any) -> Batch:
    return Batch(records=(contract_draft(**body),))


def until_busy(store: SqliteStore, *, busy: bool) -> None:
    assert store._writer is not None
    deadline = time.monotonic() + 30
    while store._writer._busy is not busy:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def committing_thread(store: SqliteStore) -> str:
    """The name of the thread in which SQLite runs the next commit of a caller."""
    found: list[str] = []
    assert store._writer is not None
    store._writer._connection.set_trace_callback(lambda _: found.append(threading.current_thread().name))
    store.commit(batch(), timeout_s=30)
    store._writer._connection.set_trace_callback(None)
    return found[0]


def test_a_caller_commits_by_itself_while_nobody_else_writes(store: SqliteStore) -> None:
    store.submit(batch()).result(30)
    deadline = time.monotonic() + 10
    # The writer's thread answers before its turn ends.
    while committing_thread(store) != threading.current_thread().name:
        assert time.monotonic() < deadline


def test_what_waits_while_a_caller_commits_is_committed_next(store: SqliteStore) -> None:
    with closing(sqlite3.connect(store.folder / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        callers = [
            threading.Thread(target=store.commit, args=(batch(n=n),), kwargs={"timeout_s": 30})
            for n in range(8)
        ]
        for caller in callers:
            caller.start()
        futures = [store.submit(batch(n=n)) for n in range(8)]
        other.execute("ROLLBACK")
    assert all(len(future.result(30)) == 1 for future in futures)
    for caller in callers:
        caller.join(30)
        assert not caller.is_alive()
    assert store.size() == 16
    assert store.verify().intact


def test_an_error_of_a_batch_is_raised_where_it_was_committed(store: SqliteStore) -> None:
    document = contract_document()
    store.commit(Batch(records=(), create=document), timeout_s=30)
    move = contract_note(document, "k", "text")
    store.commit(Batch(records=(contract_draft("revision"),), advance=move), timeout_s=30)
    with pytest.raises(HeadMovedError):
        store.commit(Batch(records=(contract_draft("revision"),), advance=move), timeout_s=30)
    with pytest.raises(LedgerError, match="no floats"):
        store.commit(batch(amount=0.5), timeout_s=30)
    assert store.size() == 1


def test_a_caller_with_little_time_is_told_so_while_another_process_holds_the_file(
    store: SqliteStore,
) -> None:
    with closing(sqlite3.connect(store.folder / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"did not answer within 0\.05 s"):
            store.commit(batch(), timeout_s=0.05)
        other.execute("ROLLBACK")
    store.commit(batch(), timeout_s=30)
    assert store.verify().intact


class Interrupting:
    """A signer in whose hands a person once presses Ctrl-C."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        self.name = signer.name
        self.public_key = signer.public_key
        self.interrupt = False

    def sign(self, message: bytes) -> bytes:
        if self.interrupt:
            self.interrupt = False
            raise KeyboardInterrupt
        signature: bytes = self._signer.sign(message)
        return signature


def test_an_interrupt_in_a_commit_leaves_nothing_behind_and_the_turn_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    signer = Interrupting(load_signer(tmp_path / "store", make=True))
    with open_store(tmp_path / "store", signer=signer) as store:
        store.commit(batch(n=0), timeout_s=30)
        signer.interrupt = True
        with pytest.raises(KeyboardInterrupt):
            store.commit(batch(n=1), timeout_s=30)
        receipts = [store.commit(batch(n=2), timeout_s=30)[0], store.submit(batch(n=3)).result(30)[0]]
        assert [receipt.index for receipt in receipts] == [1, 2]
        assert store.verify().intact


def test_closing_waits_for_a_caller_that_commits_and_refuses_who_comes_later(store: SqliteStore) -> None:
    with closing(sqlite3.connect(store.folder / "store.db", isolation_level=None)) as other:
        until_busy(store, busy=False)
        other.execute("BEGIN IMMEDIATE")
        caller = threading.Thread(target=store.commit, args=(batch(),), kwargs={"timeout_s": 30})
        caller.start()
        until_busy(store, busy=True)
        waiting = store.submit(batch())
        closer = threading.Thread(target=store.close)
        closer.start()
        closer.join(0.05)
        assert closer.is_alive()
        other.execute("ROLLBACK")
    assert len(waiting.result(30)) == 1
    caller.join(30)
    closer.join(30)
    assert not closer.is_alive()
    with pytest.raises(LedgerError, match="the store is closed"):
        store.commit(batch(), timeout_s=30)
    with open_store(store.folder, read_only=True) as reader:
        assert reader.size() == 2
        with pytest.raises(LedgerError, match="read-only"):
            reader.commit(batch(), timeout_s=30)
