"""The owner of a store's folder, who has `log.key`, tampers with the log and signs everything again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from remit.document.merkle import leaf_hash
from remit.document.values import canonical_bytes
from remit.ledger.checkpoint import Checkpoint, parse_verifier_key, sign_checkpoint
from remit.ledger.encoding import leaf_digest
from remit.ledger.tree import Peaks
from remit_adapters.stores.key import load_signer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Row = list[Any]
"""Leaf, salt and content; the last two None where there is no content."""


class Owner:
    """Holds a log in memory, lets it be changed, and writes it back so that it agrees with itself.

    Args:
        folder: the store's folder; nobody else has it open.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(sqlite3.connect(folder / "store.db")) as connection:
            rows = connection.execute(
                "SELECT r.leaf, c.salt, c.content FROM records AS r LEFT JOIN contents AS c ON c.idx = r.idx"
                " ORDER BY r.idx"
            )
            self.rows: list[Row] = [list(row) for row in rows]
            sizes = connection.execute("SELECT size FROM checkpoints ORDER BY number").fetchall()
            self.sizes = [int(row[0]) for row in sizes]

    def value(self, index: int) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.rows[index][0])
        return value

    def change(self, index: int, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change a record; whatever cites it by its digest cites the new one."""
        before = leaf_digest(self.rows[index][0])
        value = self.value(index)
        edit(value)
        self.rows[index][0] = canonical_bytes(value)
        self._cite(before, leaf_digest(self.rows[index][0]))

    def _cite(self, before: str, after: str) -> None:
        for number, row in enumerate(self.rows):
            if before.encode() in row[0]:
                own = leaf_digest(row[0])
                row[0] = row[0].replace(before.encode(), after.encode())
                self._cite(own, leaf_digest(self.rows[number][0]))

    def change_content(self, index: int, content: Any) -> None:
        """Put another content beside a record, and let the record commit to it."""
        salt, data = self.rows[index][1], canonical_bytes(content)
        self.rows[index][2] = data
        digest = "sha256:" + hashlib.sha256(salt + data).hexdigest()
        self.change(index, lambda value: value.__setitem__("content", digest))

    def renumber(self) -> None:
        """Give every record the index at which it stands now."""
        for index, row in enumerate(self.rows):
            if self.value(index)["index"] != index:
                before = leaf_digest(row[0])
                row[0] = canonical_bytes({**self.value(index), "index": index})
                self._cite(before, leaf_digest(row[0]))

    def write(self, *, sizes: list[int] | None = None) -> None:
        """Write everything back: search columns, contents, open intents, tree, checkpoints at `sizes`."""
        signer = load_signer(self.folder, make=False)
        kept = [size for size in (sizes or self.sizes) if size < len(self.rows)]
        kept = sorted({0, *kept, len(self.rows)}) if sizes is None else [*kept, len(self.rows)]
        with closing(sqlite3.connect(self.folder / "store.db", isolation_level=None)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("BEGIN")
            origin = connection.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()[0]
            for table in ("contents", "records", "nodes", "checkpoints", "open_intents"):
                connection.execute(f"DELETE FROM {table}")
            peaks, number, open_intents = Peaks(), 0, dict[str, int]()
            for index in range(len(self.rows) + 1):
                while number < len(kept) and kept[number] == index:
                    body = Checkpoint(origin=origin, size=index, root=peaks.root())
                    note = sign_checkpoint(body, signer)
                    connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (number, index, note))
                    number += 1
                if index == len(self.rows):
                    break
                leaf, salt, content = self.rows[index]
                value = json.loads(leaf)
                connection.execute(
                    "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
                    (index, leaf, value["kind"], value["agent"], value["run"]),
                )
                if content is not None:
                    connection.execute("INSERT INTO contents VALUES (?, ?, ?)", (index, salt, content))
                if value["kind"] == "intent":
                    open_intents[leaf_digest(leaf)] = index
                elif value["kind"] == "outcome":
                    open_intents.pop(str(value["body"].get("intent")), None)
                peaks, cells = peaks.extend((leaf_hash(leaf),))
                for start in range(0, len(cells), 4):
                    connection.execute("INSERT INTO nodes VALUES (?, ?, ?, ?)", cells[start : start + 4])
            connection.executemany("INSERT INTO open_intents VALUES (?, ?)", open_intents.items())
            connection.execute("COMMIT")


def public_key(folder: Path) -> str:
    """The verifier key text, as an auditor has it from elsewhere."""
    text = (folder / "log.pub").read_text(encoding="ascii").strip()
    assert parse_verifier_key(text)
    return text
