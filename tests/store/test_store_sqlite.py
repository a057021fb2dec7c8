"""What the store on SQLite promises beyond the contract."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remit.document.entries import bulk_memory, remember
from remit.document.memory import Payload
from remit.document.revision import revise
from remit.errors import EnforcementError, HeadMovedError, LedgerError
from remit.ledger.checkpoint import parse_checkpoint, parse_verifier_key, verify_checkpoint
from remit.ports import Advance, AgentStore, Batch, ControlState, Ledger, Stop
from remit.testing.clock import FixedClock
from remit.testing.store_contract import (
    AT,
    contract_document,
    contract_draft,
    contract_erasure,
    contract_note,
)
from remit_adapters._sqlite_schema import SCHEMA_VERSION
from remit_adapters.sqlite_store import SqliteStore, open_store
from remit_adapters.stores.key import FileSigner

if TYPE_CHECKING:
    from pathlib import Path

    from remit.records import Receipt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a folder?with#odd%20name" / "store"


def append(store: SqliteStore, count: int = 1) -> list[Receipt]:
    return [store.submit(Batch(records=(contract_draft(n=n),))).result(30)[0] for n in range(count)]


def edit(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement, values)
        connection.commit()


def raw(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def test_a_store_is_a_ledger_an_agent_store_and_a_control_state(folder: Path) -> None:
    with open_store(folder) as store:
        assert isinstance(store, Ledger)
        assert isinstance(store, AgentStore)
        assert isinstance(store.control, ControlState)


def test_the_folder_and_the_key_are_the_owners_alone(folder: Path) -> None:
    with open_store(folder) as store:
        append(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
        key = parse_verifier_key((folder / "log.pub").read_text())
        assert store.verifier_key == str(key)
        assert store.size() == verify_checkpoint(store.checkpoint(), [key], origin=store.origin).size
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert tuple(modes[name] for name in ("log.key", "store.db", "control.db", "log.pub")) == (
        0o600,
        0o600,
        0o600,
        0o644,
    )


def test_a_store_goes_on_where_it_stopped(folder: Path) -> None:
    with open_store(folder) as store:
        append(store, 3)
        origin = store.origin
    with open_store(folder) as store:
        assert (3, origin) == (append(store)[0].index, store.origin)
        assert store.verify().intact


def test_a_signer_from_outside_leaves_no_key_in_the_folder(folder: Path) -> None:
    signer = FileSigner(Ed25519PrivateKey.generate())
    with open_store(folder, signer=signer) as store:
        append(store)
        assert store.verify(keys=[store.verifier_key]).intact
    assert not (folder / "log.key").exists()
    with pytest.raises(LedgerError, match=r"signing key .* is missing"):
        open_store(folder)
    with pytest.raises(LedgerError, match="its log is signed by"):
        open_store(folder, signer=FileSigner(Ed25519PrivateKey.generate()))


def test_records_that_the_store_writes_carry_the_clocks_time(folder: Path) -> None:
    with open_store(folder, clock=FixedClock("2030-02-03T04:05:06.007Z")) as store:
        store.submit(Batch(records=(replace(contract_draft(), content="x"),))).result()
        store.erase_content(0, by="officer", reason="request")
        assert list(store.records())[1].value["at"] == "2030-02-03T04:05:06.007Z"


# --- batches


def test_a_lost_swap_does_not_fail_its_neighbours_in_the_same_commit(folder: Path) -> None:
    document = contract_document()
    with open_store(folder) as store:
        store.submit(Batch(records=(), create=document)).result()
        futures: list[Future[tuple[Receipt, ...]]] = []
        for n in range(60):
            advance = contract_note(document, f"k{n}", "x") if n % 3 == 1 else None
            futures.append(store.submit(Batch(records=(contract_draft(n=n),), advance=advance)))
        wait(futures)
        errors = [future.exception() for future in futures]
        assert sum(isinstance(error, HeadMovedError) for error in errors) == 19
        assert list(range(41)) == sorted(
            future.result()[0].index for future in futures if not future.exception()
        )
        assert store.verify().intact


def test_a_child_that_does_not_follow_from_the_head_is_refused(folder: Path) -> None:
    document = contract_document()
    first = contract_note(document, "a", "x")
    second = contract_note(first.document, "b", "y")
    with open_store(folder) as store:
        store.submit(Batch(records=(), create=document)).result()
        skipped = replace(second, expected=document.identity.revision)
        unlike = replace(first, put=second.put)
        unsaid = replace(first, erased=(first.put[0].id,))
        for advance in (unlike, unsaid):
            assert isinstance(store.submit(Batch(records=(), advance=advance)).exception(), LedgerError)
        loaded = store.load(document.identity.agent)
        assert loaded is not None
        assert document.identity.revision == loaded.identity.revision
        store.submit(Batch(records=(), advance=first)).result()
        assert isinstance(store.submit(Batch(records=(), advance=skipped)).exception(), HeadMovedError)


def test_a_cancelled_submission_writes_nothing_or_is_done(folder: Path) -> None:
    with open_store(folder) as store:
        futures = [store.submit(Batch(records=(contract_draft(n=n),))) for n in range(300)]
        cancelled = sum(future.cancel() for future in futures)
        wait(futures)
    with open_store(folder) as store:
        assert 300 - cancelled == store.size()


def test_closing_writes_everything_that_was_submitted(folder: Path) -> None:
    store = open_store(folder)
    futures = [store.submit(Batch(records=(contract_draft(n=n),))) for n in range(600)]
    store.close()
    store.close()
    assert list(range(600)) == [future.result(0)[0].index for future in futures]
    with pytest.raises(LedgerError, match="closed"):
        store.size()
    assert isinstance(store.submit(Batch(records=(contract_draft(),))).exception(), LedgerError)


def test_an_agent_is_found_by_a_unique_prefix(folder: Path) -> None:
    documents = [contract_document(f"{n:032x}") for n in range(20)]
    with open_store(folder) as store:
        for document in documents:
            store.submit(Batch(records=(), create=document)).result()
        agent = documents[3].identity.agent
        assert (agent, agent) == (store.find_agent(agent), store.find_agent(agent[7:25]))
        loaded = store.load(agent[7:25])
        assert loaded is not None
        assert agent == loaded.identity.agent
        assert (
            store.find_agent("xyz"),
            store.find_agent(""),
            store.find_agent("sha256:"),
        ) == (None, None, None)
        digits = [document.identity.agent[7] for document in documents]
        shared = next(digit for digit in digits if digits.count(digit) > 1)
        with pytest.raises(LedgerError, match="give more digits"):
            store.load(shared)


def test_a_mutation_of_a_large_memory_writes_little(folder: Path) -> None:
    document = contract_document()
    memory = document.memory
    entries = []
    for n in range(3000):
        _, entry = remember(
            document.memory,
            block="notes",
            key=f"k{n}",
            payload=Payload(value="x" * 50, subject="s"),
            author="agent",
            operation="remember",
            at=AT,
            salt="00" * 16,
        )
        entries.append(entry)
    memory = bulk_memory(memory, entries)
    child = revise(document, operation="remember", actor="a", at=AT, decision="", memory=memory)
    bulk = Advance(expected=document.identity.revision, document=child, put=tuple(entries))
    with open_store(folder) as store:
        store.submit(Batch(records=(), create=document)).result()
        store.submit(Batch(records=(), advance=bulk)).result()
        assert child.identity == store.load(document.identity.agent).identity
        with closing(sqlite3.connect(folder / "store.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.submit(Batch(records=(), advance=contract_note(child, "one-more", "y"))).result()
        assert (folder / "store.db-wal").stat().st_size < 150_000
        assert (folder / "store.db").stat().st_size > 1_000_000


# --- tampering with agents


@pytest.mark.parametrize(
    ("statement", "field"),
    [
        (
            "UPDATE fields SET value = replace(value, 'be brief', 'be cruel') WHERE name = 'capabilities'",
            "capabilities",
        ),
        (
            "UPDATE fields SET value = replace(value, 'limited', 'minimal') WHERE name = 'governance'",
            "governance",
        ),
        ('UPDATE entries SET value = replace(value, \'"author":"agent"\', \'"author":"caller"\')', "memory"),
        ('UPDATE entries SET value = replace(value, \'"data":"\', \'"data":"AAAA\')', "memory"),
        ("DELETE FROM entries", "memory"),
        ("UPDATE operations SET value = replace(value, 'remember', 'revise') WHERE seq = 1", "lineage"),
        ("DELETE FROM operations WHERE seq = 1", "lineage"),
        ("DELETE FROM fields WHERE name = 'governance'", "governance"),
        ("UPDATE fields SET value = '{' WHERE name = 'governance'", "field `governance` is not JSON"),
        ("UPDATE agents SET revision = 'sha256:' || substr(revision, 9) || '0'", "identity"),
        ("INSERT INTO fields SELECT agent, 'x-more', '1' FROM fields LIMIT 1", "identity"),
    ],
)
def test_an_agent_that_was_changed_behind_the_store_is_refused_by_the_field(
    folder: Path, statement: str, field: str
) -> None:
    document = contract_document()
    with open_store(folder) as store:
        advance = contract_note(document, "k", "secret")
        store.submit(Batch(records=(), create=document)).result()
        store.submit(Batch(records=(), advance=advance)).result()
    edit(folder, statement)
    with open_store(folder) as store, pytest.raises(LedgerError, match=field):
        store.load(document.identity.agent)


@pytest.mark.parametrize("table", ["records", "nodes", "checkpoints", "contents", "operations"])
def test_tables_of_evidence_refuse_changes(folder: Path, table: str) -> None:
    with open_store(folder) as store:
        drafts = (replace(contract_draft(), content="x"),)
        store.submit(Batch(records=drafts, create=contract_document())).result()
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(f"UPDATE {table} SET {columns[-1]} = {columns[-1]}")
        if table != "contents":
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(f"DELETE FROM {table}")


def test_a_record_that_was_changed_behind_the_store_is_not_read(folder: Path) -> None:
    with open_store(folder) as store:
        append(store, 3)
    edit(folder, "UPDATE records SET leaf = (SELECT leaf FROM records WHERE idx = 0) WHERE idx = 1")
    with open_store(folder, read_only=True) as store, pytest.raises(LedgerError, match="record 1 says"):
        list(store.records())


# --- erasure


def test_erased_content_is_gone_from_the_files_and_the_log_still_verifies(folder: Path) -> None:
    marker = "MARKER-7f3a9c"
    with open_store(folder) as store:
        for n in range(200):
            content = {"iban": f"{marker}-{n}-" + "y" * (n * 7 % 900)}
            store.submit(Batch(records=(replace(contract_draft(n=n), content=content),))).result()
        assert marker.encode() in raw(folder)
        store.erase_content(*range(200), by="officer", reason="request")
        assert marker.encode() not in raw(folder)
        report = store.verify()
        assert ((), tuple(range(200))) == (report.findings, report.erased)
    assert marker.encode() not in raw(folder)


def test_erased_memory_is_gone_from_the_files_and_the_agent_keeps_its_identity(folder: Path) -> None:
    chance = random.Random(3)
    document = contract_document(about_persons=False)
    marker = "MARKER-51c0de"
    with open_store(folder) as store:
        store.submit(Batch(records=(), create=document)).result()
        for n in range(120):
            text = f"{marker} {'z' * chance.randrange(2000)}"
            advance = contract_note(document, f"k{n}", text, subject="")
            document = advance.document
            store.submit(Batch(records=(), advance=advance)).result()
        assert marker.encode() in raw(folder)
        entries = list(document.memory.tree)
        chance.shuffle(entries)
        erasure = contract_erasure(document, *entries)
        store.submit(Batch(records=(contract_draft(),), advance=erasure)).result()
        assert marker.encode() not in raw(folder)
        loaded = store.load(document.identity.agent)
        assert loaded is not None
        assert erasure.document.identity == loaded.identity
        assert len(loaded.memory.tree) == 120


def test_an_erasure_while_somebody_reads_is_finished_later(folder: Path) -> None:
    with open_store(folder) as store:
        store.submit(Batch(records=(replace(contract_draft(), content="MARKER-99"),))).result()
        with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records").fetchone()
            store.erase_content(0, by="officer", reason="request")
            reader.execute("COMMIT")
        append(store)
        assert b"MARKER-99" not in raw(folder)


def test_an_erasure_of_a_record_that_is_not_there_erases_nothing(folder: Path) -> None:
    with open_store(folder) as store:
        store.submit(Batch(records=(replace(contract_draft(), content="x"),))).result()
        with pytest.raises(LedgerError, match="no record 5"):
            store.erase_content(0, 5, by="officer", reason="request")
        with pytest.raises(LedgerError, match="by whom"):
            store.erase_content(0, by=" ", reason="request")
        assert [record.content for record in store.records()] == ["x"]
        assert store.verify().intact


# --- several processes and threads

APPEND = """
import sys
from pathlib import Path
from remit.ports import Batch
from remit.testing.store_contract import contract_draft
from remit_adapters.sqlite_store import open_store
with open_store(Path(sys.argv[1])) as store:
    for n in range(40):
        store.submit(Batch(records=(contract_draft(run=sys.argv[2], n=n),))).result()
"""


def test_several_processes_append_to_one_log(folder: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, str(folder), f"p{n}"], stderr=subprocess.PIPE, text=True
        )
        for n in range(3)
    ]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert (child.returncode, errors) == (0, "")
    with open_store(folder) as store:
        report = store.verify()
        assert (report.findings, report.size) == ((), 120)
        for n in range(3):
            assert list(range(40)) == [record.value["body"]["n"] for record in store.records(run=f"p{n}")]


def test_two_stores_on_one_folder_see_each_others_records_and_orders(folder: Path) -> None:
    with open_store(folder) as one, open_store(folder) as two:
        for n in range(10):
            assert 2 * n == append(one)[0].index
            assert 2 * n + 1 == append(two)[0].index
        order = Stop(scope="all", order="kill", by="ann", reason="", at=AT)
        assert two.control.in_force(["all"]) is None
        one.control.stop(order)
        assert order == two.control.in_force(["all"])
        assert two.control.lift("all", by="bob", reason="", at=AT)
        assert one.control.in_force(["all"]) is None


def test_a_forked_child_is_refused(folder: Path) -> None:
    with open_store(folder) as store:
        append(store)
        code = (
            "import os, sys, warnings; warnings.simplefilter('ignore')\n"
            "from pathlib import Path\n"
            "from remit.errors import LedgerError\n"
            "from remit.ports import Batch\n"
            "from remit.testing.store_contract import contract_draft\n"
            "from remit_adapters.sqlite_store import open_store\n"
            "store = open_store(Path(sys.argv[1]))\n"
            "if os.fork() == 0:\n"
            "    refused = 0\n"
            "    for attempt in (store.size, lambda: store.submit(Batch(records=(contract_draft(),))).result(5),\n"
            "                    lambda: store.control.in_force(['all'])):\n"
            "        try:\n"
            "            attempt()\n"
            "        except LedgerError as error:\n"
            "            refused += 'fork' in str(error)\n"
            "    store.close()\n"
            "    os._exit(refused)\n"
            "_, status = os.wait()\n"
            "print(os.waitstatus_to_exitcode(status), store.size())\n"
            "store.close()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60, check=True
        )
    assert done.stdout == "3 1\n"


# --- what the world refuses


def test_a_read_only_store_reads_and_verifies_and_refuses_every_change(folder: Path) -> None:
    document = contract_document()
    with open_store(folder) as store:
        store.submit(Batch(records=(contract_draft(),), create=document)).result()
    with open_store(folder, read_only=True) as store:
        assert store.verify().intact
        assert store.load(document.identity.agent) is not None
        assert isinstance(store.submit(Batch(records=(contract_draft(),))).exception(), LedgerError)
        with pytest.raises(LedgerError, match="read-only"):
            store.erase_content(0, by="a", reason="")
        with pytest.raises(LedgerError, match="read-only"):
            store.control.stop(Stop(scope="all", order="kill", by="a", reason="", at=AT))
        assert store.control.in_force(["all"]) is None


def test_a_full_disk_fails_the_batch_and_the_log_goes_on_when_there_is_room(folder: Path) -> None:
    with open_store(folder) as store:
        append(store)
        connection = store._writer._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")
        big = Batch(records=(replace(contract_draft(), content="x" * 100_000),))
        error = store.submit(big).exception(30)
        assert isinstance(error, LedgerError)
        assert "the disk is full" in str(error)
        connection.execute("PRAGMA max_page_count=1000000")
        assert store.submit(big).result(30)[0].index == 1
        assert store.verify().intact


def test_a_locked_file_is_named(folder: Path) -> None:
    with (
        open_store(folder, busy_timeout_s=0.1) as store,
        closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        error = store.submit(Batch(records=(contract_draft(),))).exception(30)
        assert "locked by another process" in str(error)
        other.execute("ROLLBACK")
        assert append(store)[0].index == 0


def test_a_missing_store_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is none"):
        open_store(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()


def damage(folder: Path, name: str, data: bytes) -> None:
    for file in folder.glob(f"{name}-*"):
        file.unlink()
    (folder / name).write_bytes(data)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("name", ["store.db", "control.db"])
@pytest.mark.parametrize(
    "data", [b"this is no database at all, just some text\n" * 100, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_named(
    folder: Path, name: str, data: bytes, *, read_only: bool
) -> None:
    with open_store(folder) as store:
        append(store)
    damage(folder, name, data)
    with pytest.raises(LedgerError, match=name):
        open_store(folder, read_only=read_only)


def test_a_truncated_database_is_named(folder: Path) -> None:
    with open_store(folder) as store:
        append(store, 300)
    data = (folder / "store.db").read_bytes()
    damage(folder, "store.db", data[: len(data) // 2 // 4096 * 4096])
    with pytest.raises(LedgerError, match="damaged"), open_store(folder, read_only=True) as store:
        store.verify()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_schema_and_another_programs_file_are_refused(folder: Path, *, read_only: bool) -> None:
    with open_store(folder) as store:
        append(store)
    edit(folder, f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(LedgerError, match="newer version"):
        open_store(folder, read_only=read_only)
    edit(folder, "PRAGMA application_id=1")
    with pytest.raises(LedgerError, match="another program"):
        open_store(folder, read_only=read_only)


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LedgerError, match="cannot open the store"):
        open_store(tmp_path / "file")
    with pytest.raises(LedgerError, match="cannot open the store"):
        open_store(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_signing_key_is_named(folder: Path, text: bytes) -> None:
    open_store(folder).close()
    (folder / "log.key").write_bytes(text)
    with pytest.raises(LedgerError, match=r"log\.key"):
        open_store(folder)


def test_a_store_on_read_only_media_can_be_verified(folder: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser writes to read-only folders")
    with open_store(folder) as store:
        append(store)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for file in copy.iterdir():
        file.chmod(0o400)
    copy.chmod(0o500)
    try:
        with open_store(copy, read_only=True) as store:
            assert store.verify().intact
    finally:
        copy.chmod(0o700)


def test_threads_read_while_others_write(folder: Path) -> None:
    with open_store(folder) as store:
        problems: list[BaseException] = []

        def read() -> None:
            try:
                for _ in range(20):
                    found = [record.index for record in store.records()]
                    assert found == list(range(len(found)))
                    store.agents()
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        append(store, 50)
        for thread in threads:
            thread.join()
        assert problems == []


# --- control state


def test_a_control_state_that_was_removed_or_replaced_denies(folder: Path) -> None:
    with open_store(folder) as store:
        (folder / "control.db").rename(folder / "moved.db")
        with pytest.raises(LedgerError, match=r"control\.db"):
            store.control.in_force(["all"])
        shutil.copy(folder / "moved.db", folder / "control.db")
        with pytest.raises(LedgerError, match="replaced"):
            store.control.in_force(["all"])
        with pytest.raises(LedgerError, match="replaced"):
            store.control.stop(Stop(scope="all", order="kill", by="a", reason="", at=AT))


@pytest.mark.parametrize("name", ["store.db", "control.db"])
@pytest.mark.parametrize("emptied", [True, False])
def test_a_begun_log_whose_file_is_gone_is_never_begun_afresh(
    folder: Path, name: str, *, emptied: bool
) -> None:
    with open_store(folder) as store:
        append(store)
    for end in ("-wal", "-shm"):
        (folder / f"{name}{end}").unlink(missing_ok=True)
    if emptied:
        (folder / name).write_bytes(b"")
    else:
        (folder / name).unlink()
    with pytest.raises(LedgerError, match=rf"{name}` is missing or empty although a log was begun"):
        open_store(folder)


def test_an_order_survives_a_restart_and_is_kept_in_the_journal(folder: Path) -> None:
    order = Stop(scope="backend:local", order="suspend", by="ann", reason="maintenance", at=AT)
    with open_store(folder) as store:
        store.control.stop(order)
    with open_store(folder) as store:
        assert order == store.control.in_force(["all", "backend:local"])
        store.control.lift("backend:local", by="ann", reason="done", at=AT)
    with closing(sqlite3.connect(folder / "control.db")) as connection:
        acts = connection.execute("SELECT act, scope, by, reason FROM journal ORDER BY number").fetchall()
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM journal")
    assert acts == [
        ("suspend", "backend:local", "ann", "maintenance"),
        ("lift", "backend:local", "ann", "done"),
    ]


@pytest.mark.parametrize(
    "changes",
    [{"scope": ""}, {"scope": "agent:"}, {"scope": "everything"}, {"order": "pause"}, {"by": " "}],
)
def test_an_order_that_would_stop_nothing_is_refused(folder: Path, changes: dict[str, str]) -> None:
    order = replace(Stop(scope="all", order="kill", by="ann", reason="", at=AT), **changes)
    with open_store(folder) as store, pytest.raises(LedgerError):
        store.control.stop(order)


def test_load_on_the_store_does_not_delay_a_kill(folder: Path) -> None:
    with (
        open_store(folder) as store,
        closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as hog,
    ):
        hog.execute("BEGIN IMMEDIATE")
        order = Stop(scope="all", order="kill", by="ann", reason="", at=AT)
        store.control.stop(order)
        assert order == store.control.in_force(["all"])
        with pytest.raises(EnforcementError):
            store.control.lift("all", by="ann", reason="", at=AT)
        hog.execute("ROLLBACK")


def test_the_empty_log_is_signed_too(folder: Path) -> None:
    with open_store(folder) as store:
        assert (parse_checkpoint(store.checkpoint()).checkpoint.size, store.verify().intact) == (0, True)
