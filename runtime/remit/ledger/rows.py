"""One pass over the rows of a log: what each row alone says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from remit.document.merkle import leaf_hash
from remit.errors import LedgerError
from remit.ledger.encoding import content_problem, decode_leaf, leaf_digest
from remit.ledger.heads import Heads
from remit.ledger.report import ERASE_CONTENT, Finding, RawRecord

if TYPE_CHECKING:
    from remit.document.values import JsonObject

_MAX_GAP: Final = 1 << 24
"""A row further away than this is an intruder, not the sign of a deletion."""


class Rows:
    """What one pass over the rows leaves behind: leaf hashes, findings, missing content, open intents."""

    def __init__(self) -> None:
        self.leaves: list[bytes | None] = []
        self.count = 0
        self.findings: list[Finding] = []
        self.intents: dict[str, int] = {}
        self.heads = Heads()
        self._bare: list[int] = []
        self._erasures: dict[int, int] = {}
        self._odd: list[tuple[int, str]] = []

    def add(self, row: RawRecord) -> None:
        """Take the next row."""
        self.count += 1
        expected = len(self.leaves)
        if row.index < expected:
            self.findings.append(
                Finding(index=row.index, problem="stands twice or out of order", hint="a row was inserted")
            )
            return
        if row.index > expected:
            if row.index - expected > _MAX_GAP:
                self.findings.append(
                    Finding(
                        index=row.index,
                        problem=f"stands far beyond record {expected - 1}: a row was inserted",
                    )
                )
                return
            self.leaves.extend([None] * (row.index - expected))
            self.findings.append(
                Finding(index=expected, last=row.index - 1, problem="missing: the row was deleted")
            )
        self.leaves.append(leaf_hash(row.leaf))
        try:
            value = decode_leaf(row.leaf)
        except LedgerError as error:
            self.findings.append(Finding(index=row.index, problem=f"cannot be read: {error}"))
            return
        self._read(row, value)

    def _read(self, row: RawRecord, value: JsonObject) -> None:
        if value["index"] != row.index:
            self.findings.append(
                Finding(
                    index=row.index,
                    problem=f"holds what was written as record {value['index']}",
                    hint="records were reordered, inserted or renumbered",
                )
            )
        for name, column in (("kind", row.kind), ("agent", row.agent), ("run", row.run)):
            if value[name] != column:
                self.findings.append(
                    Finding(
                        index=row.index,
                        problem=f"the search column `{name}` was changed",
                        hint="the leaf is what counts; the record would be missed by a search",
                    )
                )
        problem = content_problem(value, row.salt, row.content)
        if problem:
            self._odd.append((row.index, problem))
        elif "content" in value and row.content is None:
            self._bare.append(row.index)
        body = cast("JsonObject", value["body"])
        self.heads.add(row.index, value)
        if value["kind"] == "intent":
            self.intents[leaf_digest(row.leaf)] = row.index
        elif value["kind"] == "outcome":
            self.intents.pop(str(body.get("intent")), None)
        elif value["kind"] == "control" and body.get("operation") == ERASE_CONTENT:
            indexes = body.get("indexes")
            if isinstance(indexes, list):
                self._erasures.update({i: row.index for i in indexes if type(i) is int and i < row.index})

    def erased(self) -> list[int]:
        """Return the records whose content was erased on the record."""
        return [index for index in self._bare if index in self._erasures]

    def content_findings(self) -> list[Finding]:
        """Name salts and contents that are wrong or gone."""
        found = [Finding(index=index, problem=problem) for index, problem in self._odd]
        found.extend(
            Finding(
                index=index,
                problem="its salt and content are gone, and no record says that they were erased",
                hint="the leaf still verifies; what it commits to can no longer be shown",
            )
            for index in self._bare
            if index not in self._erasures
        )
        return found
