"""What a store keeps about a data subject is sealed: erased by one key's deletion, in every copy, and only by it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remit.document.merkle import leaf_hash
from remit.errors import HeadMovedError, LedgerError
from remit.ledger.pruned import Start
from remit.ledger.pruning import Cut
from remit.ports import Batch, KeyOwner
from remit.testing.store_contract import (
    contract_document,
    contract_draft,
    contract_erasure,
    contract_note,
)
from remit.testing.subject_keys import MemorySubjectKeys
from remit_adapters.postgres.connect import connect
from remit_adapters.postgres.place import place_of
from remit_adapters.postgres_store import open_store as open_postgres
from remit_adapters.sqlite_store import open_store
from remit_adapters.stores.seals import content_key, row_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.model import Document
    from remit.ports import Advance, SubjectKeys
    from remit_adapters.stores.base import StoreBase

VALUE = "MARKER-VALUE-77"
SUBJECT = "MARKER-SUBJECT-42"
WRITER = Path(__file__).with_name("store_seals_child.py")


@dataclass
class World:
    """A store of one kind, and what wrote to it."""

    opened: Callable[..., StoreBase]
    documents: dict[str, Document] = field(default_factory=dict)

    def write(self, subject: str = SUBJECT, *, keys: SubjectKeys | None = None) -> Document:
        """Write an agent with one note, and a record whose content is about the same subject."""
        document = contract_document()
        note = contract_note(document, "k1", VALUE, subject=subject)
        with self.opened(subject_keys=keys) as store:
            store.submit(Batch(records=(), create=document)).result(30)
            store.submit(Batch(records=(about(note.document, subject),), advance=note)).result(30)
        return note.document


def about(document: Document, subject: str = SUBJECT, value: str = VALUE) -> object:
    draft = contract_draft(agent=document.identity.agent)
    return replace(draft, content={"subject": subject, "value": value}, subject=subject)


def owner(document: Document, use: str, subject: str = SUBJECT) -> KeyOwner:
    return KeyOwner(document.identity.agent, subject, use)  # type: ignore[arg-type]


@pytest.fixture(params=["folder", "database"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "folder":
        return World(lambda **options: open_store(tmp_path / "store", **options))
    url = request.getfixturevalue("postgres_url")
    return World(lambda **options: open_postgres(url, **options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def raw(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def edit(folder: Path, *statements: str, name: str = "store.db") -> None:
    with closing(sqlite3.connect(folder / name, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# --- one key's deletion, over both stores


def test_a_destroyed_key_erases_what_it_sealed_and_everything_verifies(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    other = contract_note(document, "k2", "stays", subject="other")
    with world.opened(subject_keys=keys) as store:
        store.submit(Batch(records=(about(document, "other", "stays"),), advance=other)).result(30)
        before = store.load(document.identity.agent)
        made = keys.obtain([owner(document, "memory"), owner(document, "ledger")], make=False)
        keys.destroy([key.name for key in made.values()])
        after = store.load(document.identity.agent)
        assert before is not None
        assert after is not None
        assert before.identity == after.identity == other.document.identity
        assert {entry.payload.value for entry in before.memory.tree if entry.payload} == {VALUE, "stays"}
        assert [entry.payload.value for entry in after.memory.tree if entry.payload] == ["stays"]
        erased = [(entry.key, entry.salt) for entry in after.memory.tree if entry.payload is None]
        assert erased == [(None, None)]
        assert [record.content for record in store.records()] == [
            None,
            {"subject": "other", "value": "stays"},
        ]
        assert [(row.content is None, row.key_gone) for row in store.raw()] == [(True, True), (False, False)]
        report = store.verify()
        assert (report.findings, report.erased) == ((), (0,))


def test_each_use_has_a_key_of_its_own(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    erasure = contract_erasure(document, *document.memory.tree)
    with world.opened(subject_keys=keys) as store:
        store.submit(Batch(records=(), advance=erasure)).result(30)
        assert keys.obtain([owner(document, "memory")], make=False) == {}
        # The evidence of what was decided is not erased because an agent forgot.
        assert [record.content for record in store.records()] == [{"subject": SUBJECT, "value": VALUE}]
        store.erase_content(0, by="officer", reason="request")
        assert keys.obtain([owner(document, "ledger")], make=False) == {}
        assert store.verify().intact


def test_an_unknown_key_is_refused_and_never_taken_for_an_erasure(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    emptied = MemorySubjectKeys()
    emptied._id = keys.id
    with world.opened(subject_keys=emptied) as store:
        with pytest.raises(LedgerError, match=r"the entry `[0-9a-f]{64}` .* its keys do not know"):
            store.load(document.identity.agent)
        with pytest.raises(LedgerError, match=r"record 0: .* do not know"):
            [*store.records()]
        problems = [finding.problem for finding in store.verify().findings]
        assert len(problems) == 2
        assert "is not what the record commits to" in problems[0]
        assert "do not know" in problems[1]


def test_another_set_of_keys_is_refused_when_the_store_is_opened(world: World) -> None:
    world.write(keys=MemorySubjectKeys())
    for options in ({}, {"read_only": True}):
        with pytest.raises(LedgerError, match=r"subjects' keys"):
            world.opened(subject_keys=MemorySubjectKeys(), **options)
        with pytest.raises(LedgerError, match=r"subjects' keys"):
            world.opened(**options)


def test_what_is_about_nobody_is_written_and_read_while_the_keys_are_away(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    with world.opened(subject_keys=keys) as store:
        keys.fail_with(LedgerError("the key service is away"))
        futures = [
            store.submit(Batch(records=(about(document) if n % 3 == 0 else contract_draft(n=n),)))
            for n in range(30)
        ]
        failed = [n for n, future in enumerate(futures) if future.exception(30) is not None]
        assert failed == [*range(0, 30, 3)]
        assert len([*store.records(agent="a")]) == 20
        with pytest.raises(LedgerError, match="is away"):
            store.load(document.identity.agent)
        keys.fail_with(None)
        assert store.load(document.identity.agent) is not None


def test_a_key_that_cannot_be_destroyed_now_is_destroyed_by_the_next_opening(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    erasure = contract_erasure(document, *document.memory.tree)
    with world.opened(subject_keys=keys) as store:
        destroy = keys.destroy
        keys.destroy = _away  # type: ignore[method-assign]
        store.submit(Batch(records=(), advance=erasure)).result(30)
        assert store.forget_subject(document.identity.agent, SUBJECT) == {"memory": 0, "ledger": 1}
    assert len(keys.obtain([owner(document, "memory")], make=False)) == 1
    keys.destroy = destroy  # type: ignore[method-assign]
    with world.opened(subject_keys=keys):
        assert keys.obtain([owner(document, "memory")], make=False) == {}


def _away(names: object) -> None:
    raise LedgerError("the key service is away")


def test_a_key_that_never_sealed_anything_goes_with_the_subject(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    orphan = owner(document, "memory", "somebody else")
    keys.obtain([orphan], make=True)
    with world.opened(subject_keys=keys) as store:
        assert store.forget_subject(document.identity.agent, "somebody else") == {}
    assert keys.obtain([orphan], make=False) == {}


def test_a_deletion_by_another_process_is_honoured_at_the_next_load(world: World) -> None:
    document = world.write()
    agent = document.identity.agent
    with world.opened() as reader, world.opened() as other:
        assert [entry.payload is None for entry in reader.load(agent).memory.tree] == [False]  # type: ignore[union-attr]
        erasure = contract_erasure(document, *document.memory.tree)
        other.submit(Batch(records=(), advance=erasure)).result(30)
        assert [entry.payload is None for entry in reader.load(agent).memory.tree] == [True]  # type: ignore[union-attr]


def test_a_key_destroyed_behind_a_reader_that_has_opened_it_is_honoured(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    with world.opened(subject_keys=keys) as store:
        for expected in (False, True):
            loaded = store.load(document.identity.agent)
            assert loaded is not None
            assert [entry.payload is None for entry in loaded.memory.tree] == [expected]
            keys.destroy(
                [keys.obtain([owner(document, "memory")], make=True)[owner(document, "memory")].name]
            )


def test_after_an_erasure_a_subject_gets_another_key(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    first = keys.obtain([owner(document, "memory")], make=False)
    erasure = contract_erasure(document, *document.memory.tree)
    again = contract_note(erasure.document, "k2", "again", subject=SUBJECT)
    with world.opened(subject_keys=keys) as store:
        for advance in (erasure, again):
            store.submit(Batch(records=(), advance=advance)).result(30)
        second = keys.obtain([owner(document, "memory")], make=False)
        assert first
        assert second
        assert first != second
        loaded = store.load(document.identity.agent)
        assert loaded is not None
        assert {entry.payload.value for entry in loaded.memory.tree if entry.payload} == {"again"}


def test_an_agent_that_is_created_with_entries_about_persons_is_sealed(world: World) -> None:
    keys = MemorySubjectKeys()
    document = contract_note(contract_document(), "k1", VALUE, subject=SUBJECT).document
    with world.opened(subject_keys=keys) as store:
        store.submit(Batch(records=(), create=document)).result(30)
        assert store.forget_subject(document.identity.agent, SUBJECT) == {"memory": 1}
        assert store.load(document.identity.agent) == document


def test_an_agent_without_subjects_never_asks_for_keys(world: World) -> None:
    keys = MemorySubjectKeys()
    keys.fail_with(LedgerError("the key service is away"))
    document = contract_document(about_persons=False)
    note = contract_note(document, "k1", VALUE, subject="")
    with world.opened(subject_keys=keys) as store:
        store.submit(Batch(records=(), create=document)).result(30)
        content = replace(contract_draft(), content="said")
        store.submit(Batch(records=(content,), advance=note)).result(30)
        assert store.load(document.identity.agent) == note.document
        store.submit(Batch(records=(), advance=contract_erasure(note.document, *note.put))).result(30)
        store.erase_content(0, by="officer", reason="request")
        assert store.verify().intact


def test_of_a_writer_and_an_eraser_at_once_one_comes_after_the_other(world: World) -> None:
    document = contract_document()
    agent = document.identity.agent
    with world.opened() as writer, world.opened() as eraser:
        writer.submit(Batch(records=(), create=document)).result(30)
        confirmed: set[str] = set()
        erased: set[str] = set()
        over = threading.Event()

        def write() -> None:
            for n in range(40):
                confirmed.update(move(writer, agent, lambda head, n=n: contract_note(head, f"k{n}", VALUE)))
            over.set()

        def erase() -> None:
            while not over.is_set():
                erased.update(move(eraser, agent, _erase_all))

        threads = [threading.Thread(target=work) for work in (write, erase)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert over.is_set()
        for store in (writer, eraser):
            loaded = store.load(agent)
            assert loaded is not None
            readable = {entry.id for entry in loaded.memory.tree if entry.payload is not None}
            assert readable == confirmed - erased
        assert len(confirmed) == 40
        assert erased
        assert writer.verify().intact
        erased.update(move(eraser, agent, _erase_all))
        assert eraser.forget_subject(agent, "someone") == {}


def move(store: StoreBase, agent: str, change: Callable[[Document], Advance | None]) -> list[str]:
    """Move the head, again where it was moved meanwhile; return the ids that were written or erased."""
    while True:
        head = store.load(agent)
        assert head is not None
        advance = change(head)
        if advance is None:
            return []
        with contextlib.suppress(HeadMovedError):
            store.submit(Batch(records=(), advance=advance)).result(60)
            return [*(entry.id for entry in advance.put), *advance.erased]


def _erase_all(head: Document) -> Advance | None:
    entries = [entry for entry in head.memory.tree if entry.payload is not None]
    return contract_erasure(head, *entries) if entries else None


# --- the files of a folder


def test_neither_subject_nor_value_lies_in_the_files(folder: Path) -> None:
    World(lambda **options: open_store(folder, **options)).write()
    whole = raw(folder)
    assert VALUE.encode() not in whole
    assert SUBJECT.encode() not in whole
    assert (folder / "subjects.db").stat().st_mode & 0o777 == 0o600


def test_an_agent_without_subjects_has_no_key_file(folder: Path) -> None:
    document = contract_document(about_persons=False)
    with open_store(folder) as store:
        store.submit(Batch(records=(contract_draft(),), create=document)).result(30)
    assert not (folder / "subjects.db").exists()


def test_a_copy_from_before_an_erasure_is_erased_too(folder: Path, tmp_path: Path) -> None:
    document = World(lambda **options: open_store(folder, **options)).write()
    shutil.copytree(folder, tmp_path / "copy")
    with open_store(folder) as store:
        secrets = store._subject_keys.obtain(
            [owner(document, "memory"), owner(document, "ledger")], make=False
        )
        store.submit(Batch(records=(), advance=contract_erasure(document, *document.memory.tree))).result(30)
        store.erase_content(0, by="officer", reason="request")
        assert store.verify().findings == ()
    assert [key.secret for key in secrets.values() if key.secret in raw(folder)] == []
    shutil.copyfile(folder / "subjects.db", tmp_path / "copy" / "subjects.db")
    with open_store(tmp_path / "copy") as copy:
        loaded = copy.load(document.identity.agent)
        assert loaded is not None
        assert loaded.identity == document.identity
        assert [entry.payload for entry in loaded.memory.tree] == [None]
        assert [record.content for record in copy.records()] == [None]
        report = copy.verify()
        assert (report.findings, report.erased) == ((), (0,))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_lost_or_replaced_key_file_is_refused_when_the_store_is_opened(
    folder: Path, tmp_path: Path, *, read_only: bool
) -> None:
    World(lambda **options: open_store(folder, **options)).write()
    World(lambda **options: open_store(tmp_path / "other", **options)).write()
    kept = (folder / "subjects.db").read_bytes()
    (folder / "subjects.db").unlink()
    with pytest.raises(LedgerError, match=r"subjects\.db` are missing: restore them"):
        open_store(folder, read_only=read_only)
    (folder / "subjects.db").write_bytes(b"")
    with pytest.raises(LedgerError, match=r"subjects\.db` are missing: restore them"):
        open_store(folder, read_only=read_only)
    shutil.copyfile(tmp_path / "other" / "subjects.db", folder / "subjects.db")
    with pytest.raises(LedgerError, match="restore that one"):
        open_store(folder, read_only=read_only)
    (folder / "subjects.db").write_bytes(kept)
    open_store(folder, read_only=read_only).close()


def test_an_old_copy_of_the_key_file_is_no_erasure_of_who_came_later(folder: Path) -> None:
    document = World(lambda **options: open_store(folder, **options)).write()
    old = (folder / "subjects.db").read_bytes()
    with open_store(folder) as store:
        later = contract_note(document, "k2", "later", subject="later")
        store.submit(Batch(records=(), advance=later)).result(30)
    (folder / "subjects.db").write_bytes(old)
    with open_store(folder) as store, pytest.raises(LedgerError, match="its keys do not know"):
        store.load(document.identity.agent)


DATA = "json_extract(value, '$.sealed.data')"


@pytest.mark.parametrize(
    "sealed",
    [
        f"(SELECT {DATA} FROM entries AS o WHERE o.id <> entries.id)",
        f"'AAAA' || substr({DATA}, 5)",
        f"substr({DATA}, 5)",
        "''",
        "7",
        "'no base64'",
    ],
)
def test_a_seal_that_was_changed_or_moved_is_refused(folder: Path, sealed: str) -> None:
    document = World(lambda **options: open_store(folder, **options)).write()
    second = contract_note(document, "k2", "second", subject=SUBJECT)
    with open_store(folder) as store:
        store.submit(Batch(records=(), advance=second)).result(30)
    edit(folder, f"UPDATE entries SET value = json_set(value, '$.sealed.data', {sealed})")
    with open_store(folder) as store:
        with pytest.raises(LedgerError, match=r"changed behind the store: .*(seal|sealed)"):
            store.load(document.identity.agent)
        assert any("behind the store" in finding.problem for finding in store.verify().findings)


def test_a_content_that_was_changed_or_moved_is_refused(folder: Path) -> None:
    document = World(lambda **options: open_store(folder, **options)).write()
    with open_store(folder) as store:
        store.submit(Batch(records=(about(document, value="second"),))).result(30)
    edit(
        folder,
        "DROP TRIGGER contents_stay",
        "UPDATE contents SET content = (SELECT o.content FROM contents AS o WHERE o.idx <> contents.idx)",
    )
    with open_store(folder) as store:
        with pytest.raises(LedgerError, match="record 0: the seal of its content does not open"):
            [*store.records()]
        findings = store.verify().findings
        assert [finding.index for finding in findings] == [0]


def test_a_copy_of_the_rows_tells_nothing_but_random_names(folder: Path) -> None:
    document = World(lambda **options: open_store(folder, **options)).write()
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        (row,) = [str(value) for (value,) in connection.execute("SELECT value FROM entries")]
        (salt, content) = connection.execute("SELECT salt, content FROM contents").fetchone()
    with open_store(folder) as store:
        made = store._subject_keys.obtain([owner(document, "memory"), owner(document, "ledger")], make=False)
    assert [row_key(row), content_key(content)] == [key.name for key in made.values()]
    assert salt == b""


# --- a store of an earlier version


PLAIN = (
    "DROP TABLE keys_left",
    "DROP INDEX entries_sealed",
    "DROP INDEX contents_sealed",
    "PRAGMA user_version=2",
)


def test_a_store_of_version_2_is_read_as_it_is_and_sealed_when_it_is_opened_for_writing(folder: Path) -> None:
    plain = contract_document(about_persons=True)
    note = contract_note(plain, "k1", VALUE, subject=SUBJECT)
    with open_store(folder) as store:
        store.submit(Batch(records=(), create=plain)).result(30)
        store.submit(Batch(records=(), advance=note)).result(30)
        (entry,) = note.put
    _unseal(folder, entry)
    assert VALUE.encode() in raw(folder)
    with open_store(folder, read_only=True) as store:
        assert store.load(plain.identity.agent) == note.document
    with open_store(folder) as store:
        assert store.load(plain.identity.agent) == note.document
        assert store.forget_subject(plain.identity.agent, SUBJECT) == {"memory": 1}
        assert VALUE.encode() not in raw(folder)
        assert SUBJECT.encode() not in raw(folder)
        store.submit(Batch(records=(), advance=contract_erasure(note.document, entry))).result(30)
        assert store.forget_subject(plain.identity.agent, SUBJECT) == {}


def _unseal(folder: Path, entry: object) -> None:
    """Make the store what version 2 would have left."""
    from remit.document.entries import entry_value
    from remit_adapters.stores.agent_rows import value_text

    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET value = ?", (value_text(entry_value(entry)),))  # type: ignore[arg-type]
        connection.execute("DELETE FROM meta WHERE name = 'subject_keys'")
        for statement in PLAIN:
            connection.execute(statement)
    (folder / "subjects.db").unlink()


def test_an_unsealed_row_of_a_sealed_store_is_read_as_it_is(folder: Path) -> None:
    document = World(lambda **options: open_store(folder, **options)).write()
    from remit.document.entries import entry_value
    from remit_adapters.stores.agent_rows import value_text

    (entry,) = document.memory.tree
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE entries SET value = ?", (value_text(entry_value(entry)),))
    with open_store(folder) as store:
        assert store.load(document.identity.agent) == document


# --- crashes and races


def child(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(folder), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def test_a_crash_between_the_commit_and_the_key_leaves_the_key_to_the_next_opening(folder: Path) -> None:
    document = World(lambda **options: open_store(folder, **options)).write()
    process = child(folder, "crash", document.identity.agent)
    process.communicate(timeout=60)
    assert process.returncode == 9
    with open_store(folder, read_only=True) as store:
        erased = store.load(document.identity.agent)
        assert erased is not None
        assert [entry.payload for entry in erased.memory.tree] == [None]
        assert len(store._subject_keys.obtain([owner(document, "memory")], make=False)) == 1
    with open_store(folder) as store:
        assert store._subject_keys.obtain([owner(document, "memory")], make=False) == {}


def test_what_one_process_was_told_is_written_is_never_sealed_under_a_key_that_another_destroyed(
    folder: Path,
) -> None:
    document = contract_document()
    with open_store(folder) as store:
        store.submit(Batch(records=(), create=document)).result(30)
    rounds = (("write", "60"), ("write", "60"), ("erase", "8"))
    processes = [child(folder, what, document.identity.agent, count) for what, count in rounds]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    confirmed = {name for output in outputs[:2] for name in output.split()}
    erased = set(outputs[2].split())
    assert confirmed
    assert erased
    with open_store(folder) as store:
        loaded = store.load(document.identity.agent)
        assert loaded is not None
        readable = {entry.id for entry in loaded.memory.tree if entry.payload is not None}
        assert readable == confirmed - erased
        assert store.verify().intact


# --- the tables of a database


def test_the_writers_role_adds_and_deletes_keys_and_never_changes_them(postgres_url: str) -> None:
    World(lambda **options: open_postgres(postgres_url, **options)).write()
    with connect(place_of(postgres_url), name="test", patience_s=5.0) as connection:
        for statement in (
            "UPDATE subject_keys SET secret = ''",
            "TRUNCATE subject_keys",
            "DELETE FROM subject_keys_destroyed",
            "UPDATE subject_keys_set SET id = 'x'",
            "DELETE FROM subject_keys_set",
        ):
            with pytest.raises(Exception, match="permission denied"):
                connection.execute(statement)
        connection.execute("RESET ROLE")
        for statement in ("UPDATE subject_keys SET secret = ''", "TRUNCATE subject_keys"):
            with pytest.raises(Exception, match=r"erased, never changed|append-only"):
                connection.execute(statement)


def test_neither_subject_nor_value_lies_in_the_rows(postgres_url: str) -> None:
    World(lambda **options: open_postgres(postgres_url, **options)).write()
    with connect(place_of(postgres_url), name="test", patience_s=5.0) as connection:
        rows = connection.execute("SELECT value FROM entries").fetchall()
        contents = connection.execute("SELECT salt || content FROM contents").fetchall()
    whole = "".join(str(row) for row in rows).encode() + b"".join(bytes(row[0]) for row in contents)
    assert VALUE.encode() not in whole
    assert SUBJECT.encode() not in whole


def test_a_restored_database_without_its_keys_is_refused(postgres_url: str) -> None:
    World(lambda **options: open_postgres(postgres_url, **options)).write()
    with connect(place_of(postgres_url), name="test", patience_s=5.0) as connection:
        connection.execute("RESET ROLE")
        for statement in (
            "ALTER TABLE subject_keys_set DISABLE TRIGGER ALL",
            "ALTER TABLE subject_keys DISABLE TRIGGER ALL",
            "DELETE FROM subject_keys_set",
            "DELETE FROM subject_keys",
        ):
            connection.execute(statement)
    for read_only in (True, False):
        with pytest.raises(LedgerError, match=r"are missing: restore them"):
            open_postgres(postgres_url, read_only=read_only)


def test_a_database_of_version_1_is_read_as_it_is_and_sealed_when_its_owner_opens_it(
    postgres_url: str,
) -> None:
    from remit.document.entries import entry_value
    from remit_adapters.stores.agent_rows import value_text

    document = World(lambda **options: open_postgres(postgres_url, **options)).write()
    (entry,) = document.memory.tree
    with connect(place_of(postgres_url), name="test", patience_s=5.0) as connection:
        connection.execute("RESET ROLE")
        connection.execute("UPDATE entries SET value = %s", (value_text(entry_value(entry)),))
        connection.execute("ALTER TABLE contents DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM contents")
        connection.execute("DROP TABLE subject_keys, subject_keys_set, subject_keys_destroyed, keys_left")
        connection.execute("DROP FUNCTION leave_key_name")
        connection.execute("DROP INDEX entries_sealed, contents_sealed")
        connection.execute("UPDATE meta SET value = '1' WHERE name = 'schema'")
        connection.execute("DELETE FROM meta WHERE name = 'subject_keys'")
    with open_postgres(postgres_url, read_only=True) as store:
        assert store.load(document.identity.agent) == document
    with open_postgres(postgres_url) as store:
        assert store.load(document.identity.agent) == document
        assert store.forget_subject(document.identity.agent, SUBJECT) == {"memory": 1}


# --- pruning


def test_what_is_pruned_leaves_with_its_key_and_stays_readable_in_the_archive_alone(world: World) -> None:
    keys = MemorySubjectKeys()
    document = world.write(keys=keys)
    later = contract_note(document, "k2", "stays", subject=SUBJECT)
    with world.opened(subject_keys=keys) as store:
        store.submit(Batch(records=(contract_draft(agent=document.identity.agent),))).result(30)
        segment = store.segment(store.cut_before(1))
        assert b'"value":"MARKER-VALUE-77"' in (segment.records[0].content or b"")
        assert segment.verify().intact
        peaks, _ = segment.start.peaks.extend(leaf_hash(row.leaf) for row in segment.records)
        start = Start(peaks=peaks, heads=segment.verify().heads)
        store.prune(Cut(start=start, size=store.size(), by="ann", reason="the term is over"))
        assert keys.obtain([owner(document, "ledger")], make=False) == {}
        # What the agent remembers has a key of its own.
        assert len(keys.obtain([owner(document, "memory")], make=False)) == 1
        store.submit(Batch(records=(), advance=later)).result(30)
        assert store.verify().intact
