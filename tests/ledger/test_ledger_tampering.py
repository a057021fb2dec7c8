"""Each record of a ledger edited in turn: every edit is found and the record is named."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from remit.document.merkle import leaf_hash, node_hash
from remit.ledger.tree import node_number
from remit.ports import Batch
from remit.records import Draft
from remit_adapters.sqlite_store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from remit.ledger.report import Finding, LogReport

AT = "2026-01-01T00:00:00.000Z"
COUNT = 41


def draft(number: int) -> Draft:
    return Draft(
        kind="decision",
        agent="sha256:" + "a" * 64,
        run=f"run-{number % 3}",
        at=AT,
        body={"number": number, "decision": "allow", "reasons": ["rule-é"]},
        content={"amount": number + 0.5} if number % 2 else None,
    )


@dataclass(frozen=True, kw_only=True)
class Log:
    folder: Path
    checkpoints: dict[int, str]

    def copy(self, to: Path) -> Log:
        shutil.copytree(self.folder, to)
        return Log(folder=to, checkpoints=self.checkpoints)

    def edit(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        with closing(sqlite3.connect(self.folder / "store.db")) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            for statement, values in statements:
                connection.execute(statement, values)
            connection.commit()

    def ask(self, statement: str, *values: object) -> list[tuple]:
        with closing(sqlite3.connect(self.folder / "store.db")) as connection:
            return connection.execute(statement, values).fetchall()

    def verify(self, *, held: tuple[str, ...] = ()) -> LogReport:
        with open_store(self.folder, read_only=True) as store:
            return store.verify(held=held)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Records 0 … 19 one a commit, the rest in commits of three."""
    folder = tmp_path_factory.mktemp("log") / "store"
    checkpoints: dict[int, str] = {}
    with open_store(folder) as store:
        number = 0
        while number < COUNT:
            size = 1 if number < 20 else 3
            store.submit(Batch(records=tuple(draft(n) for n in range(number, number + size)))).result()
            number += size
            checkpoints[number] = store.checkpoint()
    return Log(folder=folder, checkpoints=checkpoints)


@pytest.fixture
def log(template: Log, tmp_path: Path) -> Log:
    return template.copy(tmp_path / "store")


def named(report: LogReport) -> list[int]:
    found: set[int] = set()
    for finding in report.findings:
        if finding.index is not None:
            found.update(range(finding.index, (finding.index if finding.last is None else finding.last) + 1))
    return sorted(found)


def test_an_untouched_ledger_is_intact(log: Log) -> None:
    report = log.verify()
    assert (report.findings, report.size, report.signed_size) == ((), COUNT, COUNT)


def test_every_byte_of_every_leaf_counts_and_its_record_is_named(log: Log) -> None:
    leaves = dict(log.ask("SELECT idx, leaf FROM records"))
    for index, leaf in leaves.items():
        # Every byte of one record, some bytes of each of the others.
        step = 1 if index == 19 else 61
        for place in range(index % step, len(leaf), step):
            changed = bytearray(leaf)
            changed[place] ^= 1
            log.edit(("UPDATE records SET leaf = ? WHERE idx = ?", (bytes(changed), index)))
            report = log.verify()
            assert not report.intact
            assert [index] == named(report)
        log.edit(("UPDATE records SET leaf = ? WHERE idx = ?", (leaf, index)))
    assert log.verify().intact


@pytest.mark.parametrize("column", ["salt", "content"])
def test_every_edited_salt_or_content_is_named(log: Log, column: str) -> None:
    for index, value in log.ask(f"SELECT idx, {column} FROM contents"):
        for place in range(len(value)):
            changed = bytearray(value)
            changed[place] ^= 0x80
            if place not in {0, len(value) // 2, len(value) - 1}:
                continue
            log.edit((f"UPDATE contents SET {column} = ? WHERE idx = ?", (bytes(changed), index)))
            assert [index] == named(log.verify())
        log.edit((f"UPDATE contents SET {column} = ? WHERE idx = ?", (value, index)))
    assert log.verify().intact


def test_content_that_vanished_without_a_record_of_its_erasure_is_named(log: Log) -> None:
    for (index,) in log.ask("SELECT idx FROM contents"):
        log.edit(("DELETE FROM contents WHERE idx = ?", (index,)))
        assert index in named(log.verify())


def test_content_that_was_erased_on_the_record_leaves_the_ledger_intact(log: Log) -> None:
    with open_store(log.folder) as store:
        receipt = store.erase_content(3, 7, by="privacy-officer", reason="lawful request")
        report = store.verify()
        assert (report.findings, report.erased) == ((), (3, 7))
        assert receipt.index + 1 == COUNT + 1
        assert [record.content for record in store.records() if record.index in {3, 7}] == [None] * 2


@pytest.mark.parametrize("column", ["kind", "agent", "run"])
def test_every_edited_search_column_is_named(log: Log, column: str) -> None:
    for index in range(COUNT):
        ((value,),) = log.ask(f"SELECT {column} FROM records WHERE idx = ?", index)
        log.edit((f"UPDATE records SET {column} = 'x' WHERE idx = ?", (index,)))
        assert [index] == named(log.verify())
        log.edit((f"UPDATE records SET {column} = ? WHERE idx = ?", (value, index)))


def test_every_deleted_record_is_named(template: Log, tmp_path: Path) -> None:
    for index in range(COUNT):
        log = template.copy(tmp_path / str(index))
        log.edit(
            ("DELETE FROM records WHERE idx = ?", (index,)), ("DELETE FROM contents WHERE idx = ?", (index,))
        )
        assert [index] == named(log.verify())


def test_a_deleted_record_is_named_even_where_all_behind_it_moved_up(template: Log, tmp_path: Path) -> None:
    for index in range(COUNT):
        log = template.copy(tmp_path / str(index))
        moves = [("UPDATE records SET idx = ? WHERE idx = ?", (n - 1, n)) for n in range(index + 1, COUNT)]
        log.edit(("DELETE FROM contents", ()), ("DELETE FROM records WHERE idx = ?", (index,)), *moves)
        report = log.verify()
        problems = [f for f in report.findings if "gone" not in f.problem]
        assert index == min(f.index for f in problems if f.index is not None)
        assert list(range(index, COUNT)) == sorted({f.index for f in problems})


def test_every_swap_of_neighbours_names_both(template: Log, tmp_path: Path) -> None:
    for index in range(COUNT - 1):
        log = template.copy(tmp_path / str(index))
        (one,), (two,) = log.ask(
            "SELECT leaf FROM records WHERE idx IN (?, ?) ORDER BY idx", index, index + 1
        )
        log.edit(
            ("UPDATE records SET leaf = ? WHERE idx = ?", (two, index)),
            ("UPDATE records SET leaf = ? WHERE idx = ?", (one, index + 1)),
        )
        report = log.verify()
        assert [index, index + 1] == named(report)
        assert any(f"signed as record {index + 1}" in f.problem for f in report.findings if f.index == index)


def test_every_inserted_duplicate_is_found(template: Log, tmp_path: Path) -> None:
    for index in range(COUNT):
        log = template.copy(tmp_path / str(index))
        moves = [
            ("UPDATE records SET idx = ? WHERE idx = ?", (n + 1, n)) for n in reversed(range(index, COUNT))
        ]
        ((leaf,),) = log.ask("SELECT leaf FROM records WHERE idx = ?", index)
        log.edit(
            ("DELETE FROM contents", ()),
            *moves,
            (
                "INSERT INTO records VALUES (?, ?, 'decision', ?, ?)",
                (index, leaf, draft(0).agent, draft(index).run),
            ),
        )
        found = {f.index for f in log.verify().findings if "gone" not in f.problem}
        assert set(range(index + 1, COUNT + 1)) == found


@pytest.mark.parametrize("place", [COUNT, COUNT + 5, -1, 2**60])
def test_a_record_appended_without_the_key_is_named(log: Log, place: int) -> None:
    ((leaf,),) = log.ask("SELECT leaf FROM records WHERE idx = 1")
    log.edit(("INSERT INTO records VALUES (?, ?, 'decision', ?, 'run-1')", (place, leaf, draft(0).agent)))
    assert place in named_ends(log.verify().findings)


def named_ends(findings: tuple[Finding, ...]) -> set[int | None]:
    return {end for finding in findings for end in (finding.index, finding.last)}


def test_every_cut_tail_is_found_and_the_missing_records_are_named(template: Log, tmp_path: Path) -> None:
    for size in range(COUNT):
        log = template.copy(tmp_path / str(size))
        log.edit(
            ("DELETE FROM contents WHERE idx >= ?", (size,)),
            ("DELETE FROM records WHERE idx >= ?", (size,)),
            ("DELETE FROM nodes WHERE ((idx + 1) << level) > ?", (size,)),
        )
        report = log.verify()
        assert list(range(size, COUNT)) == [n for n in named(report) if n >= size]
        # Inside a commit, what is left of it has lost the only checkpoint that covered it.
        assert all(
            "cannot be proved" in f.problem for f in report.findings if f.index is not None and f.index < size
        )
        assert len([n for n in named(report) if n < size]) <= 2


def test_a_tail_cut_with_its_checkpoints_is_found_by_a_checkpoint_kept_elsewhere(log: Log) -> None:
    size = 17
    log.edit(
        ("DELETE FROM contents WHERE idx >= ?", (size,)),
        ("DELETE FROM records WHERE idx >= ?", (size,)),
        ("DELETE FROM nodes WHERE ((idx + 1) << level) > ?", (size,)),
        ("DELETE FROM checkpoints WHERE size > ?", (size,)),
    )
    assert log.verify().intact
    report = log.verify(held=(log.checkpoints[COUNT],))
    assert list(range(size, COUNT)) == named(report)


def recompute_nodes(log: Log) -> None:
    """What an insider without the key can do: make all stored hashes agree with the changed records."""
    level = [leaf_hash(leaf) for (leaf,) in log.ask("SELECT leaf FROM records ORDER BY idx")]
    edits: list[tuple[str, tuple[object, ...]]] = []
    height = 0
    while level:
        edits += [
            ("UPDATE nodes SET digest = ? WHERE level = ? AND idx = ?", (digest, height, index))
            for index, digest in enumerate(level)
        ]
        level = [node_hash(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        height += 1
    log.edit(*edits)


def test_an_edit_with_all_stored_hashes_recomputed_is_narrowed_down_by_the_signed_checkpoints(
    template: Log, tmp_path: Path
) -> None:
    for index in range(0, COUNT, 3):
        log = template.copy(tmp_path / str(index))
        ((leaf,),) = log.ask("SELECT leaf FROM records WHERE idx = ?", index)
        log.edit(("UPDATE records SET leaf = ? WHERE idx = ?", (leaf.replace(b"allow", b"never"), index)))
        recompute_nodes(log)
        report = log.verify()
        first = report.findings[0]
        assert first.index is not None
        assert first.index <= index <= (first.last if first.last is not None else first.index)
        assert (1 if index < 20 else 3) >= (first.last or first.index) - first.index + 1


def test_a_leaf_edited_with_its_stored_leaf_hash_is_narrowed_down(log: Log) -> None:
    ((leaf,),) = log.ask("SELECT leaf FROM records WHERE idx = 30")
    changed = leaf.replace(b"allow", b"never")
    log.edit(
        ("UPDATE records SET leaf = ? WHERE idx = 30", (changed,)),
        ("UPDATE nodes SET digest = ? WHERE level = 0 AND idx = 30", (leaf_hash(changed),)),
    )
    first = log.verify().findings[0]
    assert (first.index, first.last) == (30, 31)


def test_every_edited_or_deleted_tree_node_is_found(log: Log) -> None:
    for level, index, digest in log.ask("SELECT level, idx, digest FROM nodes"):
        place = (level, index)
        log.edit(("UPDATE nodes SET digest = ? WHERE level = ? AND idx = ?", (bytes(32), *place)))
        assert index << level in named(log.verify())
        log.edit(("DELETE FROM nodes WHERE level = ? AND idx = ?", place))
        assert index << level in named(log.verify())
        log.edit(("INSERT INTO nodes VALUES (?, ?, ?, ?)", (node_number(*place), *place, digest)))
    assert log.verify().intact


def test_every_tree_node_in_the_place_of_another_is_found(log: Log) -> None:
    for number, level, index in log.ask("SELECT number, level, idx FROM nodes"):
        log.edit(("UPDATE nodes SET number = -1 WHERE number = ?", (number,)))
        assert index << level in named(log.verify())
        log.edit(("UPDATE nodes SET number = ? WHERE number = -1", (number,)))
    assert log.verify().intact


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (10**12, 1), (1, 2**62)])
def test_a_tree_node_that_no_log_can_have_is_found(log: Log, place: tuple[int, int]) -> None:
    log.edit(("INSERT INTO nodes VALUES (999999, ?, ?, ?)", (*place, bytes(32))))
    assert not log.verify().intact


def test_an_added_tree_node_is_found(log: Log) -> None:
    log.edit(("INSERT INTO nodes VALUES (?, 9, 9, ?)", (node_number(9, 9), bytes(32))))
    assert not log.verify().intact


def test_every_edited_character_of_every_checkpoint_is_found(log: Log) -> None:
    for number, note in log.ask("SELECT number, note FROM checkpoints"):
        step = 1 if number == len(log.checkpoints) else 31
        for place in range(number % step, len(note), step):
            changed = note[:place] + chr(ord(note[place]) ^ 1) + note[place + 1 :]
            log.edit(("UPDATE checkpoints SET note = ? WHERE number = ?", (changed, number)))
            report = log.verify()
            assert any(f"checkpoint {number} " in finding.problem for finding in report.findings)
        log.edit(("UPDATE checkpoints SET note = ? WHERE number = ?", (note, number)))


def test_every_deleted_checkpoint_is_found(template: Log, tmp_path: Path) -> None:
    for number in range(len(template.checkpoints) + 1):
        log = template.copy(tmp_path / str(number))
        log.edit(("DELETE FROM checkpoints WHERE number = ?", (number,)))
        findings = log.verify().findings
        if number == len(log.checkpoints):
            assert {COUNT - 3, COUNT - 1} == named_ends(findings)
        else:
            assert [f"checkpoint {number} is missing: it was deleted"] == [f.problem for f in findings]


def test_a_ledger_without_checkpoints_is_not_intact(log: Log) -> None:
    log.edit(("DELETE FROM checkpoints", ()))
    assert not log.verify().intact


def test_a_checkpoint_signed_by_another_key_is_named(log: Log, tmp_path: Path) -> None:
    with open_store(tmp_path / "other") as other:
        forged = other.checkpoint().replace(other.origin, "x")
        key = other.verifier_key
    log.edit(("UPDATE checkpoints SET note = ? WHERE size = ?", (forged, COUNT)))
    assert any("not to be trusted" in f.problem for f in log.verify().findings)
    with open_store(log.folder, read_only=True) as store:
        report = store.verify(keys=[key])
    assert any("no checkpoint verifies" in f.problem for f in report.findings)


def test_a_log_rewritten_and_signed_again_is_found_by_a_checkpoint_kept_elsewhere(
    log: Log, tmp_path: Path
) -> None:
    held = log.checkpoints[COUNT]
    rewritten = tmp_path / "rewritten"
    rewritten.mkdir()
    shutil.copy(log.folder / "log.key", rewritten / "log.key")
    with open_store(rewritten) as store:
        for number in range(COUNT + 2):
            store.submit(Batch(records=(draft(0 if number == 5 else number),))).result()
        assert store.verify().intact
        problems = [f.problem for f in store.verify(held=[held]).findings]
    assert [f"the held checkpoint of size {COUNT} signs another history than this log holds"] == problems


def test_an_emptied_list_of_open_intents_is_found(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        intent = Draft(kind="intent", agent="", run="r", at=AT, body={"key": "k"})
        store.submit(Batch(records=(intent,))).result()
        assert [record.index for record in store.unfinished()] == [0]
    log = Log(folder=tmp_path / "store", checkpoints={})
    assert log.verify().intact
    log.edit(("DELETE FROM open_intents", ()))
    assert not log.verify().intact


def test_nothing_is_appended_to_a_log_that_is_not_what_was_signed(log: Log) -> None:
    log.edit(("UPDATE nodes SET digest = ? WHERE level = 5 AND idx = 0", (hashlib.sha256(b"x").digest(),)))
    with open_store(log.folder) as store:
        error = store.submit(Batch(records=(draft(1),))).exception()
        assert "run `remit ledger verify`" in str(error)
        assert store.size() == COUNT
