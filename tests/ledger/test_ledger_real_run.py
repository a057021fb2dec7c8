"""The ledger of a real run, attacked row by row; the auditor uses nothing but the command line."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from remit.cli.main import cli
from remit.document.merkle import leaf_hash
from remit.errors import LedgerError
from remit.ledger.tree import Peaks, node_number
from remit.ports import Batch
from remit.records import Draft
from remit_adapters.sqlite_store import open_store

DESK = Path(__file__).parents[2] / "examples" / "refund-desk"


@dataclass(frozen=True, kw_only=True)
class Desk:
    folder: Path
    held: Path

    def copy(self, to: Path) -> Desk:
        shutil.copytree(self.folder, to)
        return Desk(folder=to, held=self.held)

    def edit(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        with closing(sqlite3.connect(self.folder / "store.db")) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            for statement, values in statements:
                connection.execute(statement, values)
            connection.commit()

    def ask(self, statement: str) -> list[tuple]:
        with closing(sqlite3.connect(self.folder / "store.db")) as connection:
            return connection.execute(statement).fetchall()

    def findings(self, *more: str) -> list[dict]:
        """What `remit ledger verify` finds; its exit code says whether it found anything."""
        said = CliRunner().invoke(cli, ["ledger", "verify", "--store", str(self.folder), "--json", *more])
        report = json.loads(said.stdout)
        assert said.exit_code == (0 if report["intact"] else 1)
        assert report["intact"] == (not report["findings"])
        return report["findings"]

    def named(self, *more: str) -> set[int]:
        found: set[int] = set()
        for finding in self.findings(*more):
            if finding["index"] is not None:
                found.update(range(finding["index"], (finding["last"] or finding["index"]) + 1))
        return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    store = folder / "store"
    # A copy: its tools write beside them, and the checkout stays as it is.
    project = folder / "refund-desk"
    shutil.copytree(DESK, project, ignore=shutil.ignore_patterns("*.sqlite3*", ".remit*", "__pycache__"))
    run = ["run", str(project), "--backend", "scripted", "--as", "ana:clerk", "--attr", "jurisdiction=EU"]
    done = CliRunner().invoke(
        cli, [*run, "--input", "Refund 40 euros for order A-1001.", "--store", str(store), "--json"]
    )
    assert done.exit_code == 0, done.output
    note = CliRunner().invoke(cli, ["ledger", "checkpoint", "--store", str(store)])
    held = folder / "held.note"
    held.write_text(note.stdout)
    return Desk(folder=store, held=held)


@pytest.fixture
def desk(template: Desk, tmp_path: Path) -> Desk:
    return template.copy(tmp_path / "store")


def test_a_real_runs_ledger_is_intact(desk: Desk) -> None:
    assert desk.findings("--checkpoint", str(desk.held)) == []


def test_several_bytes_of_every_record_edited_in_turn_are_named(desk: Desk) -> None:
    for index, leaf in desk.ask("SELECT idx, leaf FROM records"):
        for place in (0, len(leaf) // 3, len(leaf) // 2, len(leaf) - 1):
            changed = bytearray(leaf)
            changed[place] ^= 1
            desk.edit(("UPDATE records SET leaf = ? WHERE idx = ?", (bytes(changed), index)))
            assert {index} == desk.named()
        desk.edit(("UPDATE records SET leaf = ? WHERE idx = ?", (leaf, index)))
    assert desk.findings() == []


@pytest.mark.parametrize("column", ["kind", "agent", "run"])
def test_every_search_column_of_every_record_edited_in_turn_is_named(desk: Desk, column: str) -> None:
    for index, value in desk.ask(f"SELECT idx, {column} FROM records"):
        desk.edit((f"UPDATE records SET {column} = ? WHERE idx = ?", (value + "x", index)))
        assert {index} == desk.named()
        desk.edit((f"UPDATE records SET {column} = ? WHERE idx = ?", (value, index)))
    assert desk.findings() == []


@pytest.mark.parametrize("column", ["salt", "content"])
def test_every_salt_and_content_edited_in_turn_is_named(desk: Desk, column: str) -> None:
    for index, value in desk.ask(f"SELECT idx, {column} FROM contents"):
        changed = bytes([value[0] ^ 1]) + value[1:]
        desk.edit((f"UPDATE contents SET {column} = ? WHERE idx = ?", (changed, index)))
        assert {index} == desk.named()
        desk.edit((f"UPDATE contents SET {column} = ? WHERE idx = ?", (value, index)))
    assert desk.findings() == []


def test_every_record_dropped_in_turn_is_named(template: Desk, tmp_path: Path) -> None:
    for (index,) in template.ask("SELECT idx FROM records"):
        desk = template.copy(tmp_path / f"store-{index}")
        desk.edit(
            ("DELETE FROM contents WHERE idx = ?", (index,)), ("DELETE FROM records WHERE idx = ?", (index,))
        )
        assert index in desk.named()


def test_neighbours_swapped_in_turn_are_both_named(template: Desk, tmp_path: Path) -> None:
    columns = ("leaf", "kind", "agent", "run")
    rows = template.ask(f"SELECT idx, {', '.join(columns)} FROM records")
    for one, two in pairwise(rows):
        desk = template.copy(tmp_path / f"store-{one[0]}")
        setting = "UPDATE records SET leaf = ?, kind = ?, agent = ?, run = ? WHERE idx = ?"
        desk.edit((setting, (*two[1:], one[0])), (setting, (*one[1:], two[0])))
        assert {one[0], two[0]} <= desk.named()


def test_a_record_inserted_with_a_consistent_tree_but_without_the_key_is_named(
    template: Desk, tmp_path: Path
) -> None:
    rows = template.ask("SELECT idx, leaf, kind, agent, run FROM records ORDER BY idx")
    for place in range(len(rows) + 1):
        desk = template.copy(tmp_path / f"store-{place}")
        source = rows[min(place, len(rows) - 1)]
        whole = [*rows[:place], source, *rows[place:]]
        statements: list[tuple[str, tuple[object, ...]]] = [
            ("DELETE FROM contents", ()),
            ("DELETE FROM records", ()),
            ("DELETE FROM nodes", ()),
        ]
        peaks = Peaks()
        for index, row in enumerate(whole):
            value = json.loads(row[1])
            value["index"] = index
            if index == place:
                value["at"] = "2026-01-01T00:00:00.000Z"
            leaf = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
            statements.append(("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (index, leaf, *row[2:])))
            peaks, made = peaks.append(leaf_hash(leaf))
            statements.extend(
                (
                    "INSERT INTO nodes VALUES (?, ?, ?, ?)",
                    (node_number(node.level, node.index), node.level, node.index, node.digest),
                )
                for node in made
            )
        desk.edit(*statements)
        assert place in desk.named()


def test_a_tail_dropped_with_its_checkpoints_is_found_with_a_held_checkpoint_only(
    template: Desk, tmp_path: Path
) -> None:
    sizes = [size for (size,) in template.ask("SELECT DISTINCT size FROM checkpoints ORDER BY size")]
    count = sizes[-1]
    for size in sizes[1:-1]:
        desk = template.copy(tmp_path / f"store-{size}")
        peaks = Peaks()
        kept: set[tuple[int, int]] = set()
        for (leaf,) in desk.ask(f"SELECT leaf FROM records WHERE idx < {size} ORDER BY idx"):
            peaks, made = peaks.append(leaf_hash(leaf))
            kept |= {(node.level, node.index) for node in made}
        nodes = {(level, index) for level, index in desk.ask("SELECT level, idx FROM nodes")}
        desk.edit(
            ("DELETE FROM contents WHERE idx >= ?", (size,)),
            ("DELETE FROM records WHERE idx >= ?", (size,)),
            ("DELETE FROM checkpoints WHERE size > ?", (size,)),
            ("DELETE FROM open_intents", ()),
            *(("DELETE FROM nodes WHERE level = ? AND idx = ?", node) for node in nodes - kept),
        )
        assert set(range(size, count)) <= desk.named("--checkpoint", str(desk.held))


# --- the tables beside the log


def revisions(desk: Desk) -> list[tuple[int, dict]]:
    rows = desk.ask("SELECT idx, leaf FROM records WHERE kind = 'revision' ORDER BY idx")
    return [(index, json.loads(leaf)["body"]) for index, leaf in rows]


def test_a_head_rolled_back_whole_is_found_and_the_record_that_moved_it_on_is_named(
    template: Desk, tmp_path: Path
) -> None:
    """The agent's rows are those of its first revision, consistent in themselves: only the log knows better."""
    desk = template.copy(tmp_path / "store")
    moves = revisions(desk)
    assert len(moves) > 1
    built = CliRunner().invoke(cli, ["build", str(DESK), "--output", str(tmp_path / "old.agent.json")])
    assert built.exit_code == 0, built.output
    old = json.loads((tmp_path / "old.agent.json").read_text())
    (number, agent) = desk.ask("SELECT number, agent FROM agents")[0]
    assert agent == old["identity"]["agent"]
    operations = old["lineage"].pop("operations")
    old["memory"].pop("entries")
    desk.edit(
        ("UPDATE agents SET revision = ?", (agent,)),
        ("DELETE FROM operations WHERE seq > 0", ()),
        ("DELETE FROM entries", ()),
        ("DELETE FROM fields", ()),
        *(
            ("INSERT INTO fields VALUES (?, ?, ?)", (number, name, json.dumps(value)))
            for name, value in old.items()
        ),
    )
    assert len(operations) == 1
    with open_store(desk.folder, read_only=True) as store:
        assert store.load(agent) is not None
    (finding,) = desk.findings()
    assert moves[-1][0] == finding["index"]
    assert "rolled back" in finding["problem"]


def test_a_head_that_no_record_names_is_found(desk: Desk) -> None:
    desk.edit(("UPDATE agents SET revision = ?", ("sha256:" + "0" * 64,)))
    assert any("which no record names" in finding["problem"] for finding in desk.findings())
    assert revisions(desk)[-1][0] in desk.named()


def test_an_agent_that_vanished_from_the_store_is_found(desk: Desk) -> None:
    desk.edit(("UPDATE agents SET agent = ?", ("sha256:" + "0" * 64,)))
    assert any("is gone from the store" in finding["problem"] for finding in desk.findings())


def test_every_stored_field_edited_in_turn_is_found_and_loading_names_it(desk: Desk) -> None:
    (agent,) = desk.ask("SELECT agent FROM agents")[0]
    for name, text in desk.ask("SELECT name, value FROM fields"):
        if name == "spec":
            changed = '"remit/2"'
        else:
            value = json.loads(text)
            place = next(iter(value))
            value[place] = [] if value[place] else ["x"]
            changed = json.dumps(value)
        desk.edit(("UPDATE fields SET value = ? WHERE name = ?", (changed, name)))
        assert any(name in finding["problem"] for finding in desk.findings())
        with open_store(desk.folder, read_only=True) as store, pytest.raises(LedgerError, match=name):
            store.load(agent)
        desk.edit(("UPDATE fields SET value = ? WHERE name = ?", (text, name)))
    assert desk.findings() == []


def test_every_stored_field_dropped_in_turn_is_found_and_loading_names_it(desk: Desk) -> None:
    (agent,) = desk.ask("SELECT agent FROM agents")[0]
    for number, name, text in desk.ask("SELECT agent, name, value FROM fields"):
        desk.edit(("DELETE FROM fields WHERE name = ?", (name,)))
        assert any(name in finding["problem"] for finding in desk.findings())
        with open_store(desk.folder, read_only=True) as store, pytest.raises(LedgerError, match=name):
            store.load(agent)
        desk.edit(("INSERT INTO fields VALUES (?, ?, ?)", (number, name, text)))


def test_every_stored_operation_edited_or_dropped_in_turn_is_found_as_lineage(
    template: Desk, tmp_path: Path
) -> None:
    for seq, text in template.ask("SELECT seq, value FROM operations"):
        for number, statement in enumerate(
            (
                ("UPDATE operations SET value = ? WHERE seq = ?", (text.replace("a", "b", 1), seq)),
                ("DELETE FROM operations WHERE seq = ?", (seq,)),
            )
        ):
            desk = template.copy(tmp_path / f"store-{seq}-{number}")
            desk.edit(statement)
            assert any("lineage" in finding["problem"] for finding in desk.findings())


@pytest.mark.parametrize("text", ["null", "[]", "{", '{"a":NaN}', "[" * 5000, '"\\ud800"', "1e999"])
def test_rows_that_are_no_document_are_found_in_one_line(desk: Desk, text: str) -> None:
    (agent,) = desk.ask("SELECT agent FROM agents")[0]
    for name in ("memory", "lineage", "governance", "identity"):
        before = desk.ask(f"SELECT value FROM fields WHERE name = '{name}'")[0][0]
        desk.edit(("UPDATE fields SET value = ? WHERE name = ?", (text, name)))
        assert desk.findings() != []
        with open_store(desk.folder, read_only=True) as store, pytest.raises(LedgerError, match=name):
            store.load(agent)
        desk.edit(("UPDATE fields SET value = ? WHERE name = ?", (before, name)))


def test_a_head_that_was_moved_in_between_without_a_record_is_found(tmp_path: Path) -> None:
    """Signed with the key, yet the chain of heads has a gap: the next `revision` record is named."""
    agent, one, two, three = (f"sha256:{digit * 64}" for digit in "abcd")
    moves = ((agent, one), (one, two), (three, one))
    drafts = tuple(
        Draft(
            kind="revision",
            agent=agent,
            run="r",
            at="2026-01-01T00:00:00.000Z",
            body={"parent": parent, "child": child, "operation": "settle"},
        )
        for parent, child in moves
    )
    with open_store(tmp_path / "store") as store:
        store.submit(Batch(records=drafts)).result()
        (finding,) = (item for item in store.verify().findings if "gone from" not in item.problem)
    assert finding.index == 2
    assert "record 1 had moved it" in finding.problem
