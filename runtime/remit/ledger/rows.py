"""One pass over the rows of a log: what each row alone says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from remit.document.merkle import leaf_hash
from remit.errors import LedgerError
from remit.ledger.encoding import content_problem, decode_leaf, leaf_digest
from remit.ledger.heads import Heads
from remit.ledger.pruned import PRUNE, Start
from remit.ledger.report import ERASE_CONTENT, Finding, RawRecord

if TYPE_CHECKING:
    from remit.document.values import JsonObject

_MAX_GAP: Final = 1 << 24
"""A row further away than this is an intruder, not the sign of a deletion."""


class Rows:
    """What one pass over the rows leaves behind: leaf hashes, findings, missing content, open intents.

    Args:
        limit: how many records were signed: a first row beyond is an intruder.
        segment: what the rows begin with where they are a segment of a log; None for a log.
    """

    def __init__(self, *, limit: int = 0, segment: Start | None = None) -> None:
        self._limit = limit
        self._segment = segment
        self._prunings: list[Start] = []
        self._first = 0
        self.leaves: list[bytes | None] = []
        self.count = 0
        self.findings: list[Finding] = []
        self.intents: dict[str, int] = {}
        self.heads = Heads()
        self._bare: list[int] = []
        self._erasures: dict[int, int] = {}
        self._keyless: set[int] = set()
        self._odd: list[tuple[int, str]] = []

    def add(self, row: RawRecord) -> None:
        """Take the next row."""
        self.count += 1
        if self.count == 1 and 0 < row.index < self._limit:
            self._first = row.index
            self.leaves = [None] * row.index
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
            if row.key_gone:
                self._keyless.add(row.index)
        body = cast("JsonObject", value["body"])
        self.heads.add(row.index, value)
        if value["kind"] == "intent":
            self.intents[leaf_digest(row.leaf)] = row.index
        elif value["kind"] == "outcome":
            self.intents.pop(str(body.get("intent")), None)
        elif value["kind"] == "control":
            self._read_control(row.index, body)

    def _read_control(self, index: int, body: JsonObject) -> None:
        if body.get("operation") == ERASE_CONTENT:
            indexes = body.get("indexes")
            if isinstance(indexes, list):
                self._erasures.update({i: index for i in indexes if type(i) is int and i < index})
        elif body.get("operation") == PRUNE:
            start = Start.from_json(body)
            if start is None or start.index > index:
                self.findings.append(
                    Finding(index=index, problem="says that the log was pruned, and not how")
                )
            else:
                self._prunings.append(start)

    def start(self) -> Start:
        """Return what explains the rows that are missing before the first; after all rows were taken."""
        if self._segment is not None:
            return self._segment if self._segment.index == self._first else Start()
        said = max(self._prunings, key=lambda start: start.index, default=Start())
        return said if said.index == self._first else Start()

    def prefix_findings(self) -> list[Finding]:
        """Name rows missing at the beginning that nothing explains, and such that should be."""
        if self._segment is not None:
            said = self._segment.index
        else:
            said = max((start.index for start in self._prunings), default=0)
        if self._first > said:
            return [Finding(index=said, last=self._first - 1, problem="missing: the row was deleted")]
        if self._first < said and self.count:
            return [
                Finding(
                    index=self._first,
                    last=said - 1,
                    problem="lies here although a record says that it was pruned",
                    hint="rows were put back",
                )
            ]
        return []

    def erased(self) -> list[int]:
        """Return the records whose content was erased, on the record or with the key that sealed it.

        In a segment, which does not hold what was recorded later: all whose content is not there.
        """
        return [index for index in self._bare if self._segment is not None or self._explained(index)]

    def _explained(self, index: int) -> bool:
        return index in self._erasures or index in self._keyless

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
            if self._segment is None and not self._explained(index)
        )
        return found
