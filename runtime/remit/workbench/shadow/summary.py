"""The shadow records of a ledger, added up.

Rules
1. The denominator is the decisions that rules took; how many of them have no shadow is said.
2. Candidates are told apart by their image, and rules of `mode: shadow` by their id.
3. What a shadow dropped or could not record is said wherever a process left word of it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from remit.ledger.encoding import decode_leaf
from remit.workbench.replay.changes import Flip, Side, Tally, change_of
from remit.workbench.replay.recorded import BY_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.replay.source import LogSource

SPAN = 8_192


@dataclass(slots=True, kw_only=True)
class Watched:
    """One candidate, or one rule of `mode: shadow`.

    Args:
        name: the candidate's image digest, or the rule's id.
        revision: of the candidate; empty for a rule.
        tally: its answers beside the enforced ones.
    """

    name: str
    revision: str = ""
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True, kw_only=True)
class ShadowSummary:
    """All shadow records of a ledger.

    Args:
        records: in the ledger.
        decisions: that rules took.
        shadowed: decisions with a shadow record.
        failed: shadow records whose evaluation failed, by what it said.
        losses: what processes dropped or could not record.
        candidates: by image digest.
        rules: by rule id.
    """

    records: int
    decisions: int = 0
    shadowed: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    losses: Counter[str] = field(default_factory=Counter[str])
    candidates: dict[str, Watched] = field(default_factory=dict[str, Watched])
    rules: dict[str, Watched] = field(default_factory=dict[str, Watched])

    @property
    def flips(self) -> int:
        """How many answers would have been others, of all that is watched."""
        watched = (*self.candidates.values(), *self.rules.values())
        return sum(item.tally.flipped() for item in watched)


def summarize(source: LogSource, *, examples: int = 3) -> ShadowSummary:
    """Read a ledger's shadow records.

    Args:
        source: the ledger.
        examples: flips kept of each kind.

    Raises:
        LedgerError: a record cannot be read.
    """
    found = ShadowSummary(records=source.size())
    for body in _bodies(source, "decision"):
        errors = body.get("errors")
        kind = body.get("kind")
        found.decisions += kind in BY_RULES and not (kind == "error" and not errors)
    for start in range(0, found.records, SPAN):
        for _, leaf, _, _ in source.rows("shadow", start, min(start + SPAN, found.records)):
            _add(found, decode_leaf(leaf), examples)
    return found


def _bodies(source: LogSource, kind: str) -> Iterator[dict[str, Any]]:
    size = source.size()
    for start in range(0, size, SPAN):
        for _, leaf, _, _ in source.rows(kind, start, min(start + SPAN, size)):
            yield json.loads(leaf)["body"]


def _add(found: ShadowSummary, record: JsonObject, examples: int) -> None:
    body = _object(record.get("body"))
    losses = body.get("losses")
    if isinstance(losses, dict):
        found.losses.update(
            {name: count for name, count in losses.items() if isinstance(count, int) and name != "offered"}
        )
        return
    found.shadowed += 1
    if "failed" in body:
        found.failed[str(body["failed"])] += 1
    candidate = body.get("candidate")
    if isinstance(candidate, dict):
        image = str(candidate.get("image"))
        watched = found.candidates.setdefault(
            image,
            Watched(name=image, revision=str(candidate.get("revision")), tally=Tally(examples=examples)),
        )
        _count(watched.tally, record, body, candidate)
    alone = body.get("alone")
    for item in alone if isinstance(alone, list) else ():
        answer = _object(item)
        rule = str(answer.get("rule"))
        _count(
            found.rules.setdefault(rule, Watched(name=rule, tally=Tally(examples=examples))).tally,
            record,
            body,
            answer,
        )


def _count(tally: Tally, record: JsonObject, body: JsonObject, answer: JsonObject) -> None:
    tally.decisions += 1
    unasked = answer.get("unasked")
    if unasked is not None:
        tally.skipped[str(unasked)] += 1
        return
    before, after = _side(_object(body.get("enforced"))), _side(answer)
    action, at = str(body.get("action")), str(record.get("at"))
    tally.cells[
        action, before.verdict, before.kind, before.rules, after.verdict, after.kind, after.rules
    ] += 1
    hour = tally.hours.setdefault(at[:13], [0, 0])
    hour[0] += 1
    change = change_of(
        before.verdict, before.kind, after.verdict, after.kind, same_rules=before.rules == after.rules
    )
    if change in ("same", "other rules"):
        return
    hour[1] += 1
    errors, index = answer.get("errors"), body.get("index")
    tally.note(
        Flip(
            index=index if isinstance(index, int) else -1,
            at=at,
            run=str(record.get("run")),
            action=action,
            resource=str(body.get("resource")),
            change=change,
            before=before,
            after=after,
            errors=_texts(errors),
        )
    )


def _side(value: JsonObject) -> Side:
    return Side(
        verdict=str(value.get("verdict")),
        kind=str(value.get("kind")),
        rules=tuple(sorted(_texts(value.get("rules")))),
    )


def _texts(value: JsonValue) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
