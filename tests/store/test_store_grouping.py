"""Group commit: what is written together stays apart where it fails; claims are found without a scan."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from remit.document.merkle import leaf_hash
from remit.errors import LedgerError
from remit.gate.claims import first_claims
from remit.ledger.tree import Peaks, node_number
from remit.ports import Batch, ClaimIndex, RunState
from remit.testing.store_contract import contract_draft
from remit_adapters import _sqlite_claims
from remit_adapters.sqlite_store import SqliteStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


def refuse_bad_runs(store: SqliteStore) -> None:
    with closing(sqlite3.connect(store.folder / "store.db")) as connection:
        connection.execute(
            "CREATE TRIGGER bad BEFORE INSERT ON records WHEN NEW.run = 'bad' BEGIN SELECT RAISE(ABORT, 'bad'); END"
        )


def submit_together(store: SqliteStore, batches: list[Batch]) -> list[Future[Any]]:
    """Queue all batches under the writer's own lock on the database, held by another connection."""
    with closing(sqlite3.connect(store.folder / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        blocker = store.submit(Batch(records=(contract_draft(n=-1),)))
        found = [store.submit(batch) for batch in batches]
        other.execute("ROLLBACK")
    blocker.result(30)
    return found


def test_a_batch_that_fails_among_appends_fails_alone(store: SqliteStore) -> None:
    refuse_bad_runs(store)
    runs = ["a", "bad", "b", "c", "bad", "d"]
    futures = submit_together(store, [Batch(records=(contract_draft(run=run),)) for run in runs])
    for run, future in zip(runs, futures, strict=True):
        if run == "bad":
            assert isinstance(future.exception(30), LedgerError)
        else:
            assert len(future.result(30)) == 1
    assert [record.value["run"] for record in store.records()] == ["r", "a", "b", "c", "d"]
    assert [record.index for record in store.records()] == [0, 1, 2, 3, 4]
    assert store.verify().intact


def test_appends_and_other_batches_in_one_group_keep_their_order(store: SqliteStore) -> None:
    state = RunState(run="r", agent="a", status="running", value={})
    batches = [
        Batch(records=(contract_draft(n=n),), run_state=state if n % 3 == 0 else None) for n in range(40)
    ]
    indexes = [future.result(30)[0].index for future in submit_together(store, batches)]
    assert list(range(1, 41)) == indexes
    assert store.verify().intact


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 150])
def test_a_batch_of_any_size_is_written_whole_and_verifies(store: SqliteStore, count: int) -> None:
    drafts = tuple(
        replace(contract_draft("intent", n=n), content={"n": n} if n % 2 else None) for n in range(count)
    )
    receipts = store.submit(Batch(records=drafts)).result(30)
    assert list(range(count)) == [receipt.index for receipt in receipts]
    read = list(store.records())
    assert [receipt.digest for receipt in receipts] == [record.digest for record in read]
    assert [{"n": n} if n % 2 else None for n in range(count)] == [record.content for record in read]
    assert len(store.unfinished()) == count
    outcomes = tuple(contract_draft("outcome", intent=receipt.digest) for receipt in receipts)
    store.submit(Batch(records=outcomes)).result(30)
    assert store.unfinished() == ()
    assert store.verify().intact


@pytest.mark.parametrize("size", [0, 1, 5, 64])
def test_many_leaves_grow_the_tree_as_one_by_one_does(size: int) -> None:
    start = Peaks()
    for n in range(size):
        start, _ = start.append(leaf_hash(b"%d" % n))
    leaves = [leaf_hash(b"new %d" % n) for n in range(37)]
    together, cells = start.extend(leaves)
    one_by_one: list[Any] = []
    peaks = start
    for leaf in leaves:
        peaks, nodes = peaks.append(leaf)
        for node in nodes:
            one_by_one += [node_number(node.level, node.index), node.level, node.index, node.digest]
    assert peaks == together
    assert one_by_one == cells


def claiming(name: str, *, agent: str = "a", run: str = "r") -> Batch:
    return Batch(records=(contract_draft(agent=agent, run=run, approvals=[{"id": name}]),))


def test_the_first_claim_on_an_approval_is_found(store: SqliteStore) -> None:
    assert isinstance(store, ClaimIndex)
    store.submit(Batch(records=(contract_draft(message='"approvals":[{"id":"one"}]', id="one"),))).result(30)
    store.submit(Batch(records=(contract_draft("outcome", approvals=[{"id": "one"}]),))).result(30)
    store.submit(claiming("one", agent="other")).result(30)
    store.submit(claiming("o")).result(30)
    assert store.first_claim("a", "one") is None
    store.submit(claiming("one")).result(30)
    store.submit(claiming("one", run="another")).result(30)
    assert store.first_claim("a", "one") == 4
    assert store.first_claim("other", "one") == 2
    odd = 'quoted "é\n\U0001f600'
    store.submit(claiming(odd)).result(30)
    assert store.first_claim("a", odd) == 6
    assert store.first_claim("a", "\ud800") is None


def test_the_index_and_the_scan_of_the_log_agree(store: SqliteStore) -> None:
    class Plain:
        """The same ledger without its index."""

        submit = store.submit
        records = store.records

    for n in range(30):
        store.submit(claiming(f"approval {n % 7}", agent=f"agent {n % 2}")).result(30)
        store.submit(Batch(records=(contract_draft(agent="agent 0", n=n),))).result(30)
    names = frozenset(f"approval {n}" for n in range(9))
    for agent in ("agent 0", "agent 1", "agent 2"):
        scanned = first_claims(Plain(), agent, names)  # type: ignore[arg-type]  # the port asks for no more
        assert scanned == first_claims(store, agent, names)


def test_a_claim_is_looked_up_in_its_index_and_not_in_the_whole_log(store: SqliteStore) -> None:
    plan = store._reader.execute("EXPLAIN QUERY PLAN " + _sqlite_claims._QUERY, ("a", b"x")).fetchall()
    assert [row[3] for row in plan] == ["SEARCH records USING INDEX records_claiming (agent=?)"]


def test_a_store_of_an_earlier_version_gets_the_index_when_it_is_opened(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        store.submit(claiming("one")).result(30)
    with closing(sqlite3.connect(tmp_path / "store" / "store.db")) as connection:
        connection.execute("DROP INDEX records_claiming")
    with open_store(tmp_path / "store") as store:
        assert store.first_claim("a", "one") == 0
        plan = store._reader.execute("EXPLAIN QUERY PLAN " + _sqlite_claims._QUERY, ("a", b"x")).fetchall()
        assert "records_claiming" in plan[0][3]


def test_a_record_that_cannot_be_read_leaves_the_claim_in_doubt(store: SqliteStore) -> None:
    store.submit(claiming("one")).result(30)
    with closing(sqlite3.connect(store.folder / "store.db")) as connection:
        connection.execute("DROP TRIGGER records_stay_1")
        connection.execute("UPDATE records SET leaf = CAST(leaf || X'20' AS BLOB)")
        connection.commit()
    with pytest.raises(LedgerError, match="canonical"):
        store.first_claim("a", "one")
