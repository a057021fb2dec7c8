"""Where each agent's head is by what the records say, one record at a time."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from remit.ledger.report import Finding, RecordedHead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from remit.document.values import JsonObject


class Heads:
    """What `revision` and `decision` records say about heads; takes the records in log order."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._moved: dict[str, tuple[str, int]] = {}
        self._decided: dict[str, tuple[str, int]] = {}
        self._earlier: dict[str, dict[str, int]] = {}
        self._first: dict[str, tuple[str, int]] = {}

    def add(self, index: int, value: JsonObject) -> None:
        """Take the record at `index`, a decoded leaf."""
        agent, body = cast("str", value["agent"]), cast("JsonObject", value["body"])
        if value["kind"] == "decision":
            revision = body.get("revision")
            if agent and isinstance(revision, str):
                self._decided[agent] = (revision, index)
        elif value["kind"] == "revision":
            parent, child = body.get("parent"), body.get("child")
            if agent and isinstance(parent, str) and isinstance(child, str):
                self._move(agent, parent, child, index)

    def _move(self, agent: str, parent: str, child: str, index: int) -> None:
        before = self._moved.get(agent)
        self._first.setdefault(agent, (parent, index))
        if before is not None and before[0] != parent:
            self.findings.append(
                Finding(
                    index=index,
                    problem=f"moves the head of `{agent}` from `{parent}`, "
                    f"but record {before[1]} had moved it to `{before[0]}`",
                    hint="the head was moved in between without a record",
                )
            )
        self._earlier.setdefault(agent, {})[parent] = index if before is None else before[1]
        self._moved[agent] = (child, index)

    def begin_with(self, heads: Iterable[RecordedHead]) -> None:
        """Let the chains go on from where pruned records left them; after all records were taken."""
        for head in heads:
            first = self._first.get(head.agent)
            if first is not None and head.moved and first[0] != head.revision:
                self.findings.append(
                    Finding(
                        index=first[1],
                        problem=f"moves the head of `{head.agent}` from `{first[0]}`, "
                        f"but record {head.index}, which was pruned, had moved it to `{head.revision}`",
                        hint="the head was moved in between without a record",
                    )
                )
            known = self._moved if head.moved else self._decided
            if head.moved or head.agent not in self._moved:
                known.setdefault(head.agent, (head.revision, head.index))

    def recorded(self) -> tuple[RecordedHead, ...]:
        """Return where the records say that each agent's head is."""
        found: list[RecordedHead] = []
        for agent, (revision, index) in {**self._decided, **self._moved}.items():
            found.append(
                RecordedHead(
                    agent=agent,
                    revision=revision,
                    index=index,
                    moved=agent in self._moved,
                    earlier=MappingProxyType(self._earlier.get(agent, {})),
                )
            )
        return tuple(found)
