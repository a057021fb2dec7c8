"""The records of a bundle, one after the other: what each says, and what they say together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from remit.document.merkle import leaf_hash, verify_inclusion
from remit.errors import LedgerError
from remit.ledger.encoding import decode_leaf, decode_record, leaf_digest
from remit.ledger.heads import Heads
from remit.ledger.report import ERASE_CONTENT
from remit.workbench.evidence.model import named_revisions
from remit.workbench.evidence.readme import DecisionRow
from remit.workbench.evidence.report import Complete

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.values import JsonObject, JsonValue
    from remit.ledger.checkpoint import Checkpoint
    from remit.workbench.evidence.model import Line


class RecordWalk:
    """Takes the lines of `records.jsonl` in order.

    Args:
        manifest: says whose records of which time; each is held against it.
        newest: the checkpoint that proofs lead to.
        find: notes what is wrong, with its place.
    """

    def __init__(self, manifest: JsonObject, newest: Checkpoint, find: Callable[[str, str], None]) -> None:
        self._newest = newest
        self._find = find
        window = manifest.get("window")
        members = window if isinstance(window, dict) else {}
        self.agent = str(manifest.get("agent", ""))
        self.since = str(manifest.get("from", ""))
        self.until = str(manifest.get("to", ""))
        self.disclosed = members.get("disclosed") is True
        self.first, self.last = (
            value if type(value := members.get(name)) is int else -1 for name in ("first", "last")
        )
        self._said = manifest.get("records")
        self.lines = 0
        self.counts: Counter[str] = Counter()
        self.decisions: set[str] = set()
        self.images: set[str] = set()
        self.revisions: set[str] = set()
        self.rows: list[DecisionRow] = []
        self._before = -1
        self._between = 0
        self._edges: dict[int, str] = {}
        self._heads = Heads()
        self._allowed: set[tuple[str, str]] = set()
        self._intents: set[str] = set()
        self._bare: set[int] = set()
        self._erased: set[int] = set()

    def add(self, line: Line) -> tuple[JsonObject, JsonValue] | None:
        """Check one line; return body and content of a decision of the agent."""
        self.lines += 1
        place = f"record {line.index}"
        if line.index <= self._before:
            self._find(place, "stands twice or out of order")
        self._before = max(self._before, line.index)
        try:
            value = decode_leaf(line.leaf)
        except LedgerError as error:
            self._find(place, f"cannot be read: {error}")
            return None
        proved = verify_inclusion(
            leaf=leaf_hash(line.leaf),
            index=line.index,
            size=self._newest.size,
            proof=line.proof,
            root=self._newest.root,
        )
        if value["index"] != line.index or not proved:
            self._find(place, "is not what the checkpoint signs at this place")
            return None
        content: JsonValue = None
        try:
            content = decode_record(line.leaf, salt=line.salt, content=line.content).content
        except LedgerError as error:
            self._find(place, str(error).removeprefix(f"{place}: "))
        at = str(value["at"])
        inside = self.since <= at and (not self.until or at < self.until)
        self._between += self.first <= line.index <= self.last
        self._edges[line.index] = at
        if value["agent"] != self.agent:
            self._other(line, value)
            return None
        if not inside:
            self._find(place, f"is of {at}, outside of the time of the bundle")
        return self._own(line, value, content)

    def _other(self, line: Line, value: JsonObject) -> None:
        body = cast("JsonObject", value["body"])
        if value["kind"] == "control" and not value["agent"]:
            indexes = body.get("indexes") if body.get("operation") == ERASE_CONTENT else None
            if isinstance(indexes, list):
                self._erased.update(index for index in indexes if type(index) is int and index < line.index)
        elif not self.disclosed:
            self._find(f"record {line.index}", "is of another agent, and the bundle does not disclose others")

    def _own(self, line: Line, value: JsonObject, content: JsonValue) -> tuple[JsonObject, JsonValue] | None:
        kind, body = str(value["kind"]), cast("JsonObject", value["body"])
        self.counts[kind] += 1
        self.revisions |= named_revisions(body)
        if not self.first <= line.index <= self.last:
            self._find(f"record {line.index}", "lies outside of the window that the manifest names")
        if "content" in value and line.content is None:
            self._bare.add(line.index)
        self._heads.add(line.index, value)
        if kind == "decision":
            self.decisions.add(str(line.index))
            if isinstance(body.get("image"), str):
                self.images.add(str(body["image"]))
            self.rows.append(DecisionRow.of(line.index, value))
            if body.get("verdict") == "allow":
                self._allowed.add((str(value["run"]), str(body.get("request"))))
            return body, content
        if kind == "intent":
            self._intents.add(leaf_digest(line.leaf))
            if (str(value["run"]), str(body.get("request"))) not in self._allowed:
                self._find(f"record {line.index}", "is an effect that no decision before it allows")
        elif kind == "outcome":
            self._intents.discard(str(body.get("intent")))
        return None

    def finish(self) -> None:
        """Check what only all records together say."""
        for index in sorted(self._bare - self._erased):
            self._find(f"record {index}", "its content is not here, and no record says that it was erased")
        for finding in self._heads.findings:
            self._find(f"record {finding.index}", f"{finding.problem}; {finding.hint}")
        if self._said != dict(self.counts):
            self._find("manifest.json", "counts other records than there are")

    def complete(self) -> Complete | None:
        """Up to where every record of the log in this time is here; None where that is not shown.

        Where the checkpoint ends before a record lies beyond the time, an older checkpoint may have been
        chosen, so nothing is said about what was written later.
        """
        if self._before < 0 or self._between != self.last - self.first + 1:
            return None
        before, after = self._edges.get(self.first - 1, ""), self._edges.get(self.last + 1, "")
        begins = self.first == 0 or (before != "" and before < self.since)
        whole = after != "" and self.until != "" and after >= self.until
        if not begins or not (whole or self.last == self._newest.size - 1):
            return None
        return Complete(record=self.last, at=self._edges[self.last], size=self._newest.size, whole_time=whole)
