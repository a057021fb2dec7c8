"""The store on PostgreSQL: many hosts, one log; what it refuses; what a cut connection leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from postgres_server import server_url
from remit.errors import HeadMovedError, LedgerError, NoStoreError
from remit.ledger.checkpoint import verifier_key
from remit.ports import Batch, Stop
from remit.testing.store_contract import AT, contract_document, contract_draft, contract_note
from remit_adapters.postgres import schema
from remit_adapters.postgres.place import place_of
from remit_adapters.postgres_store import PostgresStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES = ("records", "nodes", "checkpoints", "signers", "operations", "journal")


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with open_store(postgres_url) as opened:
        yield opened


def batch(**body: Any) -> Batch:
    return Batch(records=(contract_draft(**body),))


def schema_of(url: str) -> str:
    return place_of(url).schema


def asked(url: str, statement: str, *, role: str = "") -> list[tuple[Any, ...]]:
    """Ask as the owner of the tables, who is a superuser here, or as one of the roles."""
    server = server_url()
    assert server is not None
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema_of(url))))
        if role:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        found = connection.execute(statement.encode())
        return found.fetchall() if found.description else []


def cut_connections(url: str, name: str) -> int:
    """End the server's side of a store's connections, as a failing server or a firewall would."""
    rows = asked(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"  # a name of the test's own
        f" WHERE application_name = '{place_of(url).named(name)}' AND datname = current_database()",
    )
    return len(rows)


# --- who may do what


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ["", schema.WRITER])
@pytest.mark.parametrize("act", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_is_appended_stays_whoever_asks(
    store: PostgresStore, postgres_url: str, table: str, role: str, act: str
) -> None:
    document = contract_document()
    store.submit(Batch(records=(contract_draft(),), create=document)).result(30)
    store.submit(Batch(records=(contract_draft(),), advance=contract_note(document, "k", "v"))).result(30)
    store.control.stop(Stop(scope="all", order="suspend", by="ana", reason="r", at=AT))
    column = {"records": "kind", "nodes": "level", "checkpoints": "size", "signers": "host"}.get(table)
    column = column or {"operations": "value", "journal": "reason"}[table]
    before = asked(postgres_url, f"SELECT count(*) FROM {table}")  # a name of the test's own
    with pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.InsufficientPrivilege)):
        asked(postgres_url, act.format(table, column, column), role=role)
    assert asked(postgres_url, f"SELECT count(*) FROM {table}") == before  # a name of the test's own
    assert before > [(0,)]
    assert store.verify().intact


def test_an_owner_without_triggers_meets_no_row_to_change(store: PostgresStore, postgres_url: str) -> None:
    """Row-level security is forced: it holds for an owner who is no superuser."""
    store.submit(batch()).result(30)
    name = schema_of(postgres_url)
    owner = f"{name}_owner"
    try:
        asked(postgres_url, f"CREATE ROLE {owner}; GRANT ALL ON SCHEMA {name} TO {owner}")
        asked(postgres_url, f"ALTER TABLE records OWNER TO {owner}")
        asked(postgres_url, "ALTER TABLE records DISABLE TRIGGER records_stay", role=owner)
        asked(postgres_url, "DELETE FROM records", role=owner)
        asked(postgres_url, "UPDATE records SET kind = 'x'", role=owner)
        assert asked(postgres_url, "SELECT kind FROM records") == [("decision",)]
    finally:
        asked(
            postgres_url,
            f"ALTER TABLE records OWNER TO CURRENT_USER; DROP OWNED BY {owner}; DROP ROLE {owner}",
        )


def test_every_connection_of_a_store_that_writes_has_the_writers_role(
    store: PostgresStore, postgres_url: str
) -> None:
    store.submit(batch()).result(30)
    assert store._writer is not None
    connection = store._writer._connection  # type: ignore[attr-defined]
    assert connection.execute("SELECT current_user").fetchone() == (schema.WRITER,)
    assert store.control._giver.execute("SELECT current_user").fetchone() == (schema.WRITER,)
    with store._pool.connection() as reading, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reading.execute("DELETE FROM contents")


def test_an_auditor_reads_everything_and_changes_nothing(store: PostgresStore, postgres_url: str) -> None:
    store.submit(batch()).result(30)
    assert asked(postgres_url, "SELECT count(*) FROM records", role=schema.READER) == [(1,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asked(postgres_url, "INSERT INTO open_intents VALUES ('x', 1)", role=schema.READER)


LIFT = "DELETE FROM standing WHERE scope = 'all'"
JOURNAL = "INSERT INTO journal (act, scope, given_by, reason, at) VALUES ('{}', '{}', 'bea', 'r', 'now')"


@pytest.mark.parametrize("role", ["", schema.WRITER])
@pytest.mark.parametrize(
    "act",
    [
        LIFT,
        f"{LIFT}; {JOURNAL.format('lift', 'run:other')}",
        f"{LIFT}; {JOURNAL.format('kill', 'all')}",
        f"CREATE TEMP TABLE journal (LIKE journal); {JOURNAL.format('lift', 'all')}; {LIFT}",
        "UPDATE standing SET stop = 'suspend'",
        "UPDATE standing SET scope = 'run:other'",
        "INSERT INTO standing VALUES ('run:other', 'kill', 'ana', 'r', 'now')",
    ],
)
def test_an_order_does_not_come_or_go_without_its_row_of_the_journal(
    store: PostgresStore, postgres_url: str, act: str, role: str
) -> None:
    store.control.stop(Stop(scope="all", order="kill", by="ana", reason="r", at=AT))
    # What an earlier transaction wrote into the journal is no excuse.
    asked(postgres_url, JOURNAL.format("lift", "all"))
    with pytest.raises(psycopg.errors.IntegrityError):
        asked(postgres_url, act, role=role)
    assert store.control.in_force(["all"]) is not None
    assert [stop.scope for stop in store.control.standing()] == ["all"]
    asked(postgres_url, f"{LIFT}; {JOURNAL.format('lift', 'all')}", role=role)
    assert store.control.standing() == ()


def test_the_orders_of_an_older_schema_are_guarded_once_its_owner_opens_it(postgres_url: str) -> None:
    with open_store(postgres_url):
        pass
    asked(postgres_url, "DROP TRIGGER standing_journaled ON standing; DROP FUNCTION require_journal()")
    with open_store(postgres_url) as store:
        store.control.stop(Stop(scope="all", order="kill", by="ana", reason="r", at=AT))
        with pytest.raises(psycopg.errors.IntegrityError, match="without a row of the journal"):
            asked(postgres_url, LIFT, role=schema.WRITER)


# --- many hosts


HOST = """
import sys
from remit.errors import HeadMovedError
from remit.ports import Batch
from remit.testing.store_contract import contract_document, contract_draft, contract_note
from remit_adapters.postgres_store import open_store

url, number, each = sys.argv[1], sys.argv[2], int(sys.argv[3])
agent = contract_document().identity.agent
with open_store(url) as store:
    for n in range(each):
        while True:
            head = store.load(agent)
            move = contract_note(head, f"{number}-{n}", "said")
            try:
                receipt, = store.submit(Batch(records=(contract_draft(),), advance=move)).result(60)
            except HeadMovedError:
                continue
            print(receipt.index, receipt.digest, move.document.identity.revision)
            break
"""


def test_two_hosts_with_keys_of_their_own_move_one_head_without_losing_a_step(
    postgres_url: str, tmp_path: Path
) -> None:
    each = 25
    document = contract_document()
    with open_store(postgres_url) as store:
        store.submit(Batch(records=(), create=document)).result(30)
        hosts = [
            subprocess.Popen(
                [sys.executable, "-c", HOST, postgres_url, str(number), str(each)],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "REMIT_STATE": str(tmp_path / f"host-{number}")},
            )
            for number in range(2)
        ]
        said = [host.communicate(timeout=240)[0].split() for host in hosts]
        assert [host.returncode for host in hosts] == [0, 0]
        acknowledged = {int(one[n]): (one[n + 1], one[n + 2]) for one in said for n in range(0, len(one), 3)}
        assert len(acknowledged) == 2 * each
        head = store.load(document.identity.agent)
        assert head is not None
        moves = head.lineage.operations[1:]
        assert len(moves) == 2 * each
        revisions = [*(operation.parent for operation in moves), head.identity.revision]
        assert len(set(revisions)) == 2 * each + 1
        assert [acknowledged[index][1] for index in sorted(acknowledged)] == revisions[1:]
        assert {record.index: record.digest for record in store.records()} == {
            index: digest for index, (digest, _) in acknowledged.items()
        }
        assert len(head.memory.tree) == 2 * each
        assert len(asked(postgres_url, "SELECT key FROM signers")) == 3
        assert store.verify().intact


def test_hosts_that_open_at_once_make_one_log(postgres_url: str) -> None:
    with ThreadPoolExecutor(8) as hosts:
        opened = list(hosts.map(lambda _: open_store(postgres_url), range(8)))
    try:
        assert len({one.origin for one in opened}) == 1
        for one in opened:
            one.submit(batch()).result(30)
        assert opened[0].size() == 8
        assert opened[0].verify().intact
    finally:
        for one in opened:
            one.close()


def test_a_head_that_two_hosts_move_at_once_is_moved_by_one(postgres_url: str) -> None:
    document = contract_document()
    with open_store(postgres_url) as one, open_store(postgres_url) as other:
        one.submit(Batch(records=(), create=document)).result(30)
        moves = [
            host.submit(Batch(records=(contract_draft(),), advance=contract_note(document, key, "x")))
            for host, key in ((one, "a"), (other, "b"))
        ]
        errors = [move.exception(30) for move in moves]
        assert sorted(type(error).__name__ for error in errors) == ["HeadMovedError", "NoneType"]
        assert one.size() == 1
        assert any(isinstance(error, HeadMovedError) for error in errors)


def test_a_checkpoint_of_another_host_verifies_with_its_key_alone(postgres_url: str, tmp_path: Path) -> None:
    with open_store(postgres_url) as one:
        one.submit(batch()).result(30)
        os.environ["REMIT_STATE"] = str(tmp_path / "other host")
        with open_store(postgres_url) as other:
            other.submit(batch()).result(30)
            assert other.verifier_key != one.verifier_key
            assert one.verify().intact
            assert one.verify(keys=[one.verifier_key, other.verifier_key]).intact
            assert not one.verify(keys=[one.verifier_key]).intact


# --- a server that fails


@pytest.mark.parametrize("name", ["writer", "reader", "control", "orders"])
def test_a_connection_that_breaks_between_two_steps_is_made_anew(
    store: PostgresStore, postgres_url: str, name: str
) -> None:
    store.submit(batch()).result(30)
    list(store.records())
    assert cut_connections(postgres_url, name) >= 1
    store.submit(batch()).result(30)
    assert len(list(store.records())) == 2
    assert store.control.in_force(["all"]) is None
    store.control.stop(Stop(scope="all", order="kill", by="ana", reason="r", at=AT))
    assert store.control.in_force(["all"]) is not None


def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_repeated(
    store: PostgresStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits, and the connection breaks before it says so."""
    writer: Any = store._writer
    sign = writer._log.sign

    def commit_and_break(connection: psycopg.Connection, peaks: Any) -> None:
        sign(connection, peaks)
        connection.execute("COMMIT")
        monkeypatch.undo()
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(writer._log, "sign", commit_and_break)
    (receipt,) = store.submit(batch(lost="answer")).result(30)
    assert receipt.index == 0
    assert store.size() == 1
    store.submit(batch()).result(30)
    assert store.verify().intact
    assert schema_of(postgres_url)


def test_a_commit_that_never_arrived_is_an_error_and_leaves_nothing(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer: Any = store._writer
    sign = writer._log.sign

    def break_before(connection: psycopg.Connection, peaks: Any) -> None:
        sign(connection, peaks)
        connection.close()
        monkeypatch.undo()
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(writer._log, "sign", break_before)
    with pytest.raises(LedgerError, match="cannot write to"):
        store.submit(batch()).result(30)
    assert store.size() == 0
    store.submit(batch()).result(30)
    assert store.verify().intact


def test_connections_cut_under_load_lose_nothing_that_was_acknowledged(
    store: PostgresStore, postgres_url: str
) -> None:
    done = threading.Event()

    def cut() -> None:
        while not done.wait(0.05):
            cut_connections(postgres_url, "writer")

    cutter = threading.Thread(target=cut)
    cutter.start()
    acknowledged: dict[int, str] = {}
    refused = 0
    try:
        for n in range(300):
            try:
                (receipt,) = store.submit(batch(n=n)).result(60)
            except LedgerError:
                refused += 1
            else:
                acknowledged[receipt.index] = receipt.digest
    finally:
        done.set()
        cutter.join()
    stored = {record.index: record.digest for record in store.records()}
    assert stored == acknowledged
    assert len(acknowledged) + refused == 300
    assert store.verify().intact


# --- what is refused, and how


def test_a_server_that_is_not_there_is_one_clear_message() -> None:
    with pytest.raises(LedgerError, match="the server cannot be reached") as raised:
        open_store("postgresql://ana:secret@127.0.0.1:1/nowhere")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://h/d?schema=Bad-Name", "cannot be the schema"),
        ("postgresql://h/d?schema=pg_x", "cannot be the schema"),
        ("postgresql://h/d?nonsense=1", "cannot be read"),
        ("postgresql://ana:geheim@[h/d", "cannot be read"),
        ("postgresql://ana:x/geheim@h/d", "cannot be read"),
        ("postgresql://ana:x?geheim@h/d", "cannot be read"),
        ("postgresql://ana:x#geheim@h/d", "cannot be read"),
        ("postgresql://ana:x@geheim%zz@h/d", "cannot be read"),
        ("postgresql://ana:@h:geheim/d", "cannot be read"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(url: str, said: str) -> None:
    with pytest.raises(LedgerError, match=said) as raised:
        open_store(url)
    assert "geheim" not in str(raised.value)


def test_a_store_that_was_never_made_is_not_made_by_reading(postgres_url: str) -> None:
    with pytest.raises(NoStoreError, match="there is none"):
        open_store(postgres_url, read_only=True)
    assert asked(postgres_url, f"SELECT to_regnamespace('{schema_of(postgres_url)}')") == [(None,)]


def test_a_schema_of_somebody_else_is_left_alone(postgres_url: str) -> None:
    name = schema_of(postgres_url)
    asked(postgres_url, f"CREATE SCHEMA {name}; CREATE TABLE {name}.theirs (x int)")
    with pytest.raises(LedgerError, match="holds something else"):
        open_store(postgres_url)


def test_a_newer_schema_is_refused(store: PostgresStore, postgres_url: str) -> None:
    asked(postgres_url, "UPDATE meta SET value = '99' WHERE name = 'schema'")
    with pytest.raises(LedgerError, match="newer than"):
        open_store(postgres_url)
    assert store.size() == 0


def test_a_store_that_was_opened_for_reading_writes_nothing(store: PostgresStore, postgres_url: str) -> None:
    store.submit(batch()).result(30)
    with open_store(postgres_url, read_only=True) as reading:
        assert reading.size() == 1
        assert reading.verify().intact
        with pytest.raises(LedgerError, match="read-only"):
            reading.submit(batch()).result(30)
        with pytest.raises(LedgerError, match="read-only"):
            reading.control.stop(Stop(scope="all", order="kill", by="ana", reason="r", at=AT))


def test_text_that_the_server_cannot_keep_is_refused_and_harms_no_neighbour(store: PostgresStore) -> None:
    bad = store.submit(Batch(records=(contract_draft(run="a\x00b"),)))
    good = store.submit(batch())
    with pytest.raises(LedgerError, match="NUL"):
        bad.result(30)
    assert good.result(30)[0].index == 0


def test_a_log_that_was_rewritten_behind_the_store_takes_no_more_records(
    store: PostgresStore, postgres_url: str
) -> None:
    store.submit(batch()).result(30)
    asked(
        postgres_url,
        "SET session_replication_role = replica; ALTER TABLE nodes DISABLE TRIGGER nodes_stay;"
        " UPDATE nodes SET digest = sha256('x')",
    )
    with open_store(postgres_url) as other, pytest.raises(LedgerError, match="not what its last checkpoint"):
        other.submit(batch()).result(30)
    assert not store.verify().intact


def test_an_order_on_one_host_stops_the_others_at_once(postgres_url: str) -> None:
    with open_store(postgres_url) as one, open_store(postgres_url) as other:
        assert other.control.glance(["agent:a"]) is None
        for n in range(20):
            one.control.stop(Stop(scope=f"agent:{n}", order="kill", by="ana", reason="r", at=AT))
            found = other.control.in_force([f"agent:{n}"])
            assert found is not None
            assert found.order == "kill"
        assert other.control.lift("agent:3", by="bo", reason="r", at=AT)
        assert one.control.in_force(["agent:3"]) is None


def test_a_glance_sees_what_the_server_tells_of(postgres_url: str) -> None:
    with open_store(postgres_url) as one, open_store(postgres_url) as other:
        while other.control.glance(["agent:a"]) is not None:
            pass
        one.control.stop(Stop(scope="agent:a", order="kill", by="ana", reason="r", at=AT))
        seen = threading.Event()
        for _ in range(10_000):
            if other.control.glance(["agent:a"]) is not None:
                seen.set()
                break
        assert seen.is_set()


def test_the_key_of_a_host_is_entered_once(postgres_url: str) -> None:
    for _ in range(3):
        open_store(postgres_url).close()
    rows = asked(postgres_url, "SELECT key FROM signers")
    with open_store(postgres_url) as store:
        assert rows == [(store.verifier_key,)]
        assert store._writer is not None
        assert str(verifier_key(store._writer._log._signer)) == store.verifier_key  # type: ignore[attr-defined]
