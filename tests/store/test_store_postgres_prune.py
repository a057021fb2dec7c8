"""Pruning on PostgreSQL: who may, who waits, what other hosts notice, and what a crash in the middle leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from postgres_server import server_url
from remit.document.merkle import leaf_hash
from remit.errors import LedgerError
from remit.ledger.archive import read_archive, write_archive
from remit.ledger.pruned import Start
from remit.ledger.pruning import Cut
from remit.ports import Batch
from remit.testing.store_contract import contract_draft
from remit_adapters.postgres.prune import READERS_S
from remit_adapters.postgres.schema import WRITER
from remit_adapters.postgres_store import PostgresStore, open_store
from store_places import Database

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

COUNT = 12
GUARDS = """
SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity,
    (SELECT string_agg(t.tgname::text || ' ' || t.tgenabled::text, ', ' ORDER BY t.tgname)
        FROM pg_trigger AS t WHERE t.tgrelid = c.oid)
FROM pg_class AS c WHERE c.relnamespace = ?::regnamespace AND c.relname IN ('records', 'nodes', 'checkpoints')
ORDER BY 1
"""


@pytest.fixture
def database(postgres_url: str) -> Database:
    return Database(url=postgres_url)


def grow(store: PostgresStore, count: int = COUNT, each: int = 1) -> None:
    for number in range(count):
        draft = replace(contract_draft(n=number), content={"n": number})
        store.submit(Batch(records=(draft,) * each)).result(30)


def judged(store: PostgresStore, before: int) -> Cut:
    segment = store.segment(store.cut_before(before))
    peaks, _ = segment.start.peaks.extend(leaf_hash(row.leaf) for row in segment.records)
    start = Start(peaks=peaks, heads=segment.verify().heads)
    return Cut(start=start, size=store.size(), by="ann", reason="the term is over")


def guards(database: Database) -> list[Any]:
    return database.ask(GUARDS, database.schema)


@contextmanager
def login(database: Database, name: str, *member_of: str) -> Generator[str]:
    """A user of the server who is no superuser, as the address of the store says it."""
    server = server_url()
    assert server is not None
    role = f"{database.schema}_{name}"
    parts = urlsplit(server)
    place = parts.netloc.rpartition("@")[2]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f'GRANT CREATE ON DATABASE "{parts.path[1:]}" TO {role}')
        for other in member_of:
            admin.execute(f"GRANT {other} TO {role}")
        try:
            yield f"{urlunsplit(parts._replace(netloc=f'{role}@{place}'))}?schema={database.schema}"
        finally:
            admin.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


@pytest.fixture
def roles(database: Database) -> Iterator[None]:
    """The two roles of a store, which the first store on a server makes."""
    with database.open():
        pass
    database.ask(f"DROP SCHEMA {database.schema} CASCADE")
    return


# --- who may


@pytest.mark.usefixtures("roles")
def test_an_owner_who_is_no_superuser_prunes_and_every_guard_stands_again(database: Database) -> None:
    with login(database, "owner", WRITER) as url, open_store(url) as store:
        grow(store)
        stood = guards(database)
        assert [row[1:] for row in stood] == [
            (True, True, f"{row[0]}_stay A, {row[0]}_whole A") for row in stood
        ]
        store.prune(judged(store, 7))
        assert guards(database) == stood
        # In the tables there is nothing left of what went, and the connection is the writer's again.
        assert database.ask("SELECT min(idx) FROM records UNION SELECT min(idx) FROM contents") == [(7,)]
        assert store._writer is not None
        connection = store._writer._connection  # type: ignore[attr-defined]
        assert connection.execute("SELECT current_user").fetchone() == (WRITER,)
        for table in ("records", "nodes", "checkpoints"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.ask(f"DELETE FROM {table}", role=WRITER)
        grow(store, 2)
        report = store.verify()
        assert (report.findings, report.complete_from) == ((), 7)


def test_who_may_only_write_is_told_who_may_prune_and_the_log_goes_on(database: Database) -> None:
    with database.open() as first:
        grow(first)
        stood = guards(database)
        with login(database, "host", WRITER) as url, open_store(url) as store:
            with pytest.raises(
                LedgerError, match=r"only `\w+`, who owns the tables, may .* `\w+_host` may not"
            ):
                store.prune(judged(store, 7))
            assert guards(database) == stood
            grow(store, 1)
            assert [record.index for record in store.records()] == list(range(COUNT + 1))
            assert store.verify().intact


def test_a_member_of_the_owner_prunes(database: Database) -> None:
    with database.open() as first:
        grow(first)
        (owner,) = database.ask("SELECT current_user::text")[0]
        with login(database, "records", WRITER, owner) as url, open_store(url) as store:
            store.prune(judged(store, 7))
            assert store.verify().complete_from == 7


# --- other hosts


def test_hosts_that_know_the_tree_go_on_over_a_pruning_of_another(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with database.open() as one:
        monkeypatch.setenv("REMIT_STATE", str(tmp_path / "other host"))
        with database.open() as other:
            for host in (one, other, one, other):
                grow(host, 3)
            held = other.checkpoint()
            segment = one.segment(one.cut_before(7))
            write_archive(tmp_path / "old.jsonl", segment)
            one.prune(judged(one, 7))
            # Neither has read the tree anew: both know its peaks.
            grow(other, 2)
            grow(one, 2)
            other.prune(judged(other, 9))
            grow(one, 1)
            keys = (one.verifier_key, other.verifier_key)
            for host in (one, other):
                report = host.verify(keys=keys, held=(held,))
                assert (report.findings, report.complete_from) == ((), 9)
            # What two hosts signed verifies with the keys of both, and with those that it names.
            archive = read_archive(tmp_path / "old.jsonl")
            assert archive.verifier_keys == one.verifier_keys()
            assert archive.verify(keys=keys).intact
            assert archive.verify().intact
            assert not archive.verify(keys=keys[:1]).intact


def test_a_reader_in_the_middle_of_the_log_goes_on_with_what_is_there(database: Database) -> None:
    with database.open() as one, database.open() as other:
        grow(one, 8, each=100)
        reading = other.records()
        raw = other.raw()
        assert (next(reading).index, next(raw).index) == (0, 0)
        one.prune(judged(one, 700))
        seen = [record.index for record in reading]
        assert seen[-101:] == list(range(700, 801))
        assert seen[:-101] == list(range(1, len(seen) - 100))
        assert [row.index for row in raw][-101:] == list(range(700, 801))


def test_a_verification_that_began_before_a_pruning_sees_the_log_as_it_was(database: Database) -> None:
    with database.open() as one, database.open(read_only=True) as other:
        grow(one)
        with closing_later(
            database, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM meta"
        ) as ask:
            one.prune(judged(one, 7))
            assert ask("SELECT min(idx), max(idx) FROM records") == [(0, COUNT - 1)]
            assert ask("SELECT min(size), max(size) FROM checkpoints") == [(0, COUNT)]
        assert other.verify().complete_from == 7


def test_a_reader_at_length_is_not_waited_for_and_nobody_waits_for_long(database: Database) -> None:
    with database.open() as store, database.open() as other:
        grow(store)
        cut = judged(store, 7)
        with closing_later(database, "BEGIN; SELECT count(*) FROM nodes"):
            began = time.monotonic()
            with pytest.raises(LedgerError, match=r"somebody reads the log at length .*: prune again when"):
                store.prune(cut)
            assert time.monotonic() - began < READERS_S + 5
            grow(other, 1)
        assert store.prune(judged(store, 7)).index == COUNT + 1
        assert store.verify().intact


@contextmanager
def closing_later(database: Database, statements: str) -> Generator[Any]:
    """A connection that has begun something, and what it is asked within that."""
    connection = database._connect()
    try:
        connection.execute(statements)
        yield lambda statement: connection.execute(statement).fetchall()
    finally:
        connection.close()


# --- a crash

PRUNING = """
import sys
sys.path.insert(0, sys.argv[2])
from test_store_postgres_prune import judged
from remit_adapters.postgres_store import open_store
store = open_store(sys.argv[1])
cut = judged(store, 7)
print("ready", flush=True)
store.prune(cut)
"""


@pytest.mark.parametrize("who", ["the host", "the server"])
def test_a_crash_in_the_middle_of_a_pruning_leaves_everything_as_it_was(who: str, database: Database) -> None:
    with database.open() as store:
        grow(store)
        stood = guards(database)
        tests = os.path.dirname(__file__)  # noqa: PTH120  # a text for a child
        busy = "SELECT pid FROM pg_stat_activity WHERE application_name = ? AND starts_with(query, 'DELETE FROM contents')"
        name = f"remit writer {database.schema}"
        # What goes last waits for this row: by then records, nodes and checkpoints are gone and nothing guards.
        with closing_later(database, "BEGIN; SELECT 1 FROM contents WHERE idx = 6 FOR UPDATE"):
            child = subprocess.Popen(
                [sys.executable, "-c", PRUNING, database.url, tests],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            try:
                pids = waited(lambda: database.ask(busy, name))
                if who == "the host":
                    child.kill()
                else:
                    database.ask("SELECT pg_terminate_backend(?)", pids[0][0])
            finally:
                child.communicate(timeout=60)
        waited(lambda: not database.ask(busy, name))
        assert child.returncode != 0
        assert guards(database) == stood
        assert [record.index for record in store.records()] == list(range(COUNT))
        assert store.verify().intact
        grow(store, 1)
        store.prune(judged(store, 7))
        report = store.verify()
        assert (report.findings, report.complete_from) == ((), 7)


def waited(found: Any, patience_s: float = 30.0) -> Any:
    until = time.monotonic() + patience_s
    while not (result := found()):
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)
    return result
