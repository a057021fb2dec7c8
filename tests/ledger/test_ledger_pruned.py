"""A pruned log: what is there still verifies, what went verifies on its own, and what nobody explains is found."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from remit.document.merkle import leaf_hash
from remit.errors import LedgerError
from remit.ledger.archive import read_archive, write_archive
from remit.ledger.checkpoint import parse_checkpoint
from remit.ledger.proofs import prove_consistency, prove_inclusion
from remit.ledger.pruned import Start
from remit.ledger.pruning import Cut
from remit.ports import Batch
from remit.records import Draft

if TYPE_CHECKING:
    from pathlib import Path

    from remit.ledger.report import LogReport
    from remit_adapters.postgres_store import PostgresStore
    from remit_adapters.sqlite_store import SqliteStore
    from store_places import StorePlace

COUNT = 41
AT = "2026-01-01T00:00:00.000Z"


def draft(number: int) -> Draft:
    return Draft(
        kind="decision",
        agent="sha256:" + "a" * 64,
        run="",
        at=AT,
        body={"number": number},
        content={"amount": number} if number % 2 else None,
    )


def moved(number: int, parent: str, child: str) -> Draft:
    body: Any = {"parent": parent, "child": child, "number": number}
    return Draft(kind="revision", agent="sha256:" + "b" * 64, run="", at=AT, body=body)


def cut_at(store: SqliteStore | PostgresStore, wanted: int) -> tuple[Cut, Any]:
    segment = store.segment(store.cut_before(wanted))
    peaks, _ = segment.start.peaks.extend(leaf_hash(row.leaf) for row in segment.records)
    heads = segment.verify().heads
    cut = Cut(start=Start(peaks=peaks, heads=heads), size=store.size(), by="ann", reason="the term is over")
    return cut, segment


@dataclass(frozen=True, kw_only=True)
class Log:
    place: StorePlace
    checkpoints: dict[int, str]

    def verify(self, *, held: tuple[str, ...] = ()) -> LogReport:
        with self.place.open(read_only=True) as store:
            return store.verify(held=held)


def grown(place: StorePlace, count: int = COUNT) -> dict[int, str]:
    checkpoints: dict[int, str] = {}
    with place.open() as store:
        for number in range(count):
            store.submit(Batch(records=(draft(number),))).result()
            checkpoints[number + 1] = store.checkpoint()
    return checkpoints


@pytest.fixture
def log(store_place: StorePlace) -> Log:
    """A log of 41 records that was pruned before record 21, and has gone on since."""
    checkpoints = grown(store_place)
    with store_place.open() as store:
        cut, _ = cut_at(store, 21)
        store.prune(cut)
        store.submit(Batch(records=(draft(COUNT + 1),))).result()
    return Log(place=store_place, checkpoints=checkpoints)


@pytest.mark.parametrize("before", [1, 2, 3, 7, 8, 16, 31, 32, 33, 40, 41])
def test_a_log_pruned_anywhere_verifies_against_every_checkpoint_that_was_held_from_there_on(
    before: int, store_place: StorePlace
) -> None:
    checkpoints = grown(store_place)
    with store_place.open() as store:
        cut, segment = cut_at(store, before)
        assert segment.verify().root == parse_checkpoint(checkpoints[before]).checkpoint.root
        store.prune(cut)
        store.submit(Batch(records=(draft(COUNT + 1),))).result()
        held = [note for size, note in checkpoints.items() if size >= before]
        report = store.verify(held=held)
        assert (report.findings, report.complete_from, report.signed_size) == ((), before, COUNT + 2)
        assert [record.index for record in store.records()] == list(range(before, COUNT + 2))


def test_every_node_that_later_proofs_need_is_there(log: Log) -> None:
    nodes = {(level, index) for level, index in log.place.ask("SELECT level, idx FROM nodes")}
    size = COUNT + 2
    for leaf in range(21, size):
        level, index, width = 0, leaf, size
        while width > 1:
            sibling = index ^ 1
            if (sibling + 1) << level <= size:
                assert (level, sibling) in nodes, (leaf, level, sibling)
            level, index, width = level + 1, index >> 1, (width + 1) >> 1
    assert log.place.ask("SELECT count(*) FROM contents WHERE idx < 21") == [(0,)]
    assert log.place.ask("SELECT min(size) FROM checkpoints") == [(21,)]


def test_the_tables_are_append_only_again_after_a_pruning(log: Log) -> None:
    for statement in ("DELETE FROM records", "DELETE FROM nodes", "DELETE FROM checkpoints"):
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.IntegrityError), match="append-only"):
            log.place.ask(statement)


def test_rows_that_go_beyond_what_was_pruned_are_found(log: Log) -> None:
    log.place.edit(("DELETE FROM contents WHERE idx = 21", ()), ("DELETE FROM records WHERE idx = 21", ()))
    report = log.verify()
    assert "record 21: missing: the row was deleted" in map(str, report.findings)


def test_a_beginning_that_no_record_explains_is_found(store_place: StorePlace) -> None:
    log = Log(place=store_place, checkpoints=grown(store_place))
    log.place.edit(
        ("DELETE FROM contents WHERE idx < 8", ()),
        ("DELETE FROM records WHERE idx < 8", ()),
        ("DELETE FROM nodes WHERE (idx + 1) << level <= 8 AND level < 3", ()),
        ("DELETE FROM checkpoints WHERE size < 8", ()),
    )
    findings = [str(finding) for finding in log.verify().findings]
    assert "records 0 to 7: missing: the row was deleted" in findings
    assert any("checkpoint 0 to 7 is missing" in finding for finding in findings)


def test_a_row_that_was_put_back_is_found(log: Log) -> None:
    leaf = log.place.ask("SELECT leaf FROM records WHERE idx = 21")[0][0].replace(
        b'"index":21', b'"index":20'
    )
    log.place.edit(
        (
            "INSERT INTO records (idx, leaf, kind, agent, run) VALUES (20, ?, 'decision', ?, '')",
            (leaf, "sha256:" + "a" * 64),
        )
    )
    assert any("a record says that it was pruned" in finding.problem for finding in log.verify().findings)


def test_every_member_of_the_record_of_a_pruning_counts(log: Log) -> None:
    ((leaf,),) = log.place.ask("SELECT leaf FROM records WHERE idx = ?", COUNT)
    body = json.loads(leaf)["body"]
    assert body["before"] == 21
    for old, new in (
        (b'"before":21', b'"before":20'),
        (body["peaks"][0].encode(), b"0" * 64),
        (b'"by":"ann"', b'"by":"bob"'),
        (b'"operation":"prune"', b'"operation":"prunes"'),
    ):
        log.place.edit(("UPDATE records SET leaf = ? WHERE idx = ?", (leaf.replace(old, new), COUNT)))
        assert not log.verify().intact, old
    log.place.edit(("UPDATE records SET leaf = ? WHERE idx = ?", (leaf, COUNT)))
    assert log.verify().intact


def test_every_stored_node_of_a_pruned_log_counts(log: Log) -> None:
    for number, digest in log.place.ask("SELECT number, digest FROM nodes"):
        log.place.edit(("UPDATE nodes SET digest = ? WHERE number = ?", (bytes(32), number)))
        assert not log.verify().intact, number
        log.place.edit(("UPDATE nodes SET digest = ? WHERE number = ?", (digest, number)))
    assert log.verify().intact


def test_a_changed_record_of_a_pruned_log_is_named(log: Log) -> None:
    ((leaf,),) = log.place.ask("SELECT leaf FROM records WHERE idx = 30")
    log.place.edit(
        ("UPDATE records SET leaf = ? WHERE idx = 30", (leaf.replace(b'"number":30', b'"number":31'),))
    )
    assert [finding.index for finding in log.verify().findings] == [30]


def test_a_checkpoint_that_was_dropped_beside_the_pruning_is_found(log: Log) -> None:
    log.place.edit(("DELETE FROM checkpoints WHERE size = 21", ()))
    assert any("is missing: it was deleted" in finding.problem for finding in log.verify().findings)


def test_a_held_checkpoint_of_the_pruned_part_is_named_and_verifies_on_the_archive(
    store_place: StorePlace, tmp_path: Path
) -> None:
    checkpoints = grown(store_place)
    with store_place.open() as store:
        cut, segment = cut_at(store, 21)
        write_archive(tmp_path / "old.jsonl", segment)
        store.prune(cut)
        report = store.verify(held=(checkpoints[10],))
        assert ["signs what was pruned before record 21" in item.problem for item in report.findings] == [
            True
        ]
        archive = read_archive(tmp_path / "old.jsonl")
        kept = archive.verify(keys=(store.verifier_key,), held=(checkpoints[10],))
        assert (kept.findings, kept.size, kept.signed_size) == ((), 21, 21)


def test_every_line_of_an_archive_counts(store_place: StorePlace, tmp_path: Path) -> None:
    grown(store_place, 9)
    with store_place.open() as store:
        _, segment = cut_at(store, 8)
        key = store.verifier_key
    path = tmp_path / "old.jsonl"
    write_archive(path, segment)
    with pytest.raises(LedgerError, match="never overwritten"):
        write_archive(path, segment)
    lines = path.read_text().splitlines(keepends=True)
    assert read_archive(path).verify(keys=(key,)).intact
    for number in range(len(lines)):
        path.write_text("".join([*lines[:number], *lines[number + 1 :]]))
        try:
            assert not read_archive(path).verify(keys=(key,)).intact, number
        except LedgerError:
            assert number == 0
    for number, line in enumerate(lines):
        for old, new in (('\\"number\\":', '\\"nimber\\":'), ('"content":"{\\"a', '"content":"{\\"b')):
            if old in line:
                path.write_text("".join([*lines[:number], line.replace(old, new, 1), *lines[number + 1 :]]))
                assert not read_archive(path).verify(keys=(key,)).intact, (number, old)


def test_a_log_can_be_pruned_again_and_each_archive_verifies_alone(
    store_place: StorePlace, tmp_path: Path
) -> None:
    grown(store_place)
    with store_place.open() as store:
        for wanted in (5, 18, 30):
            cut, segment = cut_at(store, wanted)
            write_archive(tmp_path / f"{wanted}.jsonl", segment)
            store.prune(cut)
            assert (store.verify().findings, store.verify().complete_from) == ((), wanted)
        sizes = []
        for wanted in (5, 18, 30):
            report = read_archive(tmp_path / f"{wanted}.jsonl").verify(keys=(store.verifier_key,))
            assert report.intact, report.findings
            sizes.append((report.complete_from, report.signed_size))
        assert sizes == [(0, 5), (5, 18), (18, 30)]


@pytest.mark.parametrize(("parent", "broken"), [(2, 0), (3, 1)])
def test_a_chain_of_heads_goes_on_over_a_pruning_and_a_break_in_it_is_found(
    parent: int, broken: int, store_place: StorePlace
) -> None:
    revisions = ["sha256:" + str(number) * 64 for number in range(5)]
    with store_place.open() as store:
        for number in range(2):
            store.submit(Batch(records=(moved(number, revisions[number], revisions[number + 1]),))).result()
        cut, _ = cut_at(store, 2)
        store.prune(cut)
        store.submit(Batch(records=(moved(9, revisions[parent], revisions[4]),))).result()
        # The agent itself is not in this store; the chain is what is looked at.
        problems = [item.problem for item in store.verify().findings if "moves the head" in item.problem]
    assert len(problems) == broken, problems


def test_every_record_and_every_later_checkpoint_of_a_pruned_log_is_proved_from_stored_nodes(
    log: Log,
) -> None:
    with log.place.open(read_only=True) as store:
        newest = store.checkpoint()
        for record in store.records():
            (row,) = store.raw(start=record.index, stop=record.index + 1)
            leaf = leaf_hash(row.leaf)
            proof = prove_inclusion(record.index, leaf, newest, store.tree_nodes)
            assert proof.proves(leaf, parse_checkpoint(newest).checkpoint)
        for old in range(21, COUNT + 1):
            held = parse_checkpoint(log.checkpoints[old]).checkpoint
            assert prove_consistency(held, newest, store.tree_nodes).hashes
        with pytest.raises(LedgerError):
            prove_inclusion(3, bytes(32), newest, store.tree_nodes)
