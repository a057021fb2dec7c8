"""Legal holds: orders that something must be kept, as records of the ledger.

Rules
1. A hold is placed and lifted by a `control` record. Both are evidence, durable in every store, and found by
   the run name `HOLDS`, however long the log is.
2. Another person than who placed a hold lifts it; an attempt that does not count is recorded as one.
3. What a hold covers is the conjunction of what its scope says; an empty scope covers everything.
4. A data subject is named beside the log, so that a person can be erased after the hold; while that name
   cannot be read, the hold covers every subject.
5. Nothing that a standing hold covers is erased, overwritten or pruned: memory entries, contents of records,
   records. The refusal names the hold.
6. What is judged by the holds says how far it read them (`StandingHolds.judged`), and the store refuses it
   where a hold was placed or lifted since.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from remit.document.faults import TIME
from remit.document.persons import same_person
from remit.errors import EnforcementError, EvaluationError
from remit.ports import Batch, Judged
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from remit.document.memory import Entry
    from remit.document.values import JsonObject, JsonValue
    from remit.ports import Ledger
    from remit.records import Record

HOLDS: Final = "legal-holds"
"""Run name of the records that place and lift holds."""

PLACE: Final = "hold_placed"
LIFT: Final = "hold_lifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldScope:
    """What a hold covers; members that are empty do not narrow it.

    Args:
        agent: agent id.
        block: memory block; then entries of it and records about it.
        subject: data subject; then entries about them and records whose content names them.
        kind: record kind; then records of it alone, and no memory entries.
        since: RFC 3339 UTC time of the oldest that is covered.
        until: the same of the newest.
    """

    agent: str = ""
    block: str = ""
    subject: str = ""
    kind: str = ""
    since: str = ""
    until: str = ""

    def to_json(self) -> JsonObject:
        """Return the scope as a JSON object, the subject left out."""
        members = {
            "agent": self.agent,
            "block": self.block,
            "kind": self.kind,
            "since": self.since,
            "until": self.until,
        }
        return {name: value for name, value in members.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold that stands.

    Args:
        id: by which it is lifted.
        by: who placed it.
        reason: why, in their words.
        at: when.
        scope: what it covers.
        index: of the record that placed it.
        hidden: whether it is about a data subject whose name cannot be read any more.
    """

    id: str
    by: str
    reason: str
    at: str
    scope: HoldScope
    index: int
    hidden: bool = False

    def __str__(self) -> str:
        return f"hold `{self.id}` of `{self.by}` stands: {self.reason}"

    def to_json(self) -> JsonObject:
        """Return the hold as a JSON object with stable keys."""
        scope = self.scope.to_json()
        if self.scope.subject:
            scope["subject"] = self.scope.subject
        return {
            "id": self.id,
            "by": self.by,
            "reason": self.reason,
            "at": self.at,
            "scope": scope,
            "record": self.index,
            "subject_hidden": self.hidden,
        }

    def covers_entry(self, agent: str, entry: Entry) -> bool:
        """Whether a memory entry of an agent is covered."""
        subject = "" if entry.payload is None else entry.payload.subject
        return self.covers_memory(agent, entry.block, subject) and self._covers_time(entry.at)

    def covers_memory(self, agent: str, block: str, subject: str) -> bool:
        """Whether something that is kept about a subject in a block of an agent is covered, at some time."""
        scope = self.scope
        return (
            not scope.kind
            and scope.agent in ("", agent)
            and scope.block in ("", block)
            and (self.hidden or scope.subject in ("", subject))
        )

    def covers_record(self, record: Record) -> bool:
        """Whether a record, or what lies beside it, is covered."""
        scope = self.scope
        value = record.value
        body = value.get("body")
        resource = body.get("resource") if isinstance(body, dict) else None
        return (
            scope.kind in ("", value.get("kind"))
            and scope.agent in ("", value.get("agent"))
            and (not scope.block or resource == f'Remit::Block::"{scope.block}"')
            and self._covers_time(str(value.get("at")))
            and (self.hidden or not scope.subject or names_subject(record.content, scope.subject))
        )

    def _covers_time(self, at: str) -> bool:
        return (not self.scope.since or at >= self.scope.since) and (
            not self.scope.until or at <= self.scope.until
        )


def names_subject(content: JsonValue, subject: str) -> bool:
    """Whether a text or a member name somewhere in `content` names a person, as a whole word."""
    names = re.compile(rf"(?<!\w){re.escape(subject)}(?!\w)")
    return any(map(names.search, _texts(content)))


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingHolds:
    """The holds that stood when they were read.

    Args:
        holds: oldest first.
        judged: how far they were read, for the batch that is judged by them.
    """

    holds: tuple[Hold, ...]
    judged: Judged


def standing_holds(ledger: Ledger) -> tuple[Hold, ...]:
    """Return the holds that stand, oldest first; see `read_holds`."""
    return read_holds(ledger).holds


def read_holds(ledger: Ledger) -> StandingHolds:
    """Return the holds that stand, and how far they were read.

    Raises:
        LedgerError: the log cannot be read; callers keep everything.
    """
    holds: dict[str, Hold] = {}
    size = 0
    for record in ledger.records(run=HOLDS):
        size = record.index + 1
        body = record.value.get("body")
        if record.value.get("kind") != "control" or not isinstance(body, dict):
            continue
        if body.get("operation") == PLACE:
            hold = _placed(record, body)
            holds[hold.id] = hold
        elif body.get("operation") == LIFT and body.get("verdict") == "allow":
            holds.pop(str(body.get("hold")), None)
    return StandingHolds(holds=tuple(holds.values()), judged=Judged(run=HOLDS, size=size))


def _placed(record: Record, body: JsonObject) -> Hold:
    given = body.get("scope")
    # A member that this version does not know cannot narrow what is held.
    members = {
        name: value
        for name, value in (given if isinstance(given, dict) else {}).items()
        if name in ("agent", "block", "kind", "since", "until") and isinstance(value, str)
    }
    content = record.content
    subject = content.get("subject") if isinstance(content, dict) else None
    about = body.get("about_subject") is True
    return Hold(
        id=str(body.get("hold")),
        by=str(body.get("by")),
        reason=str(body.get("reason")),
        at=str(record.value.get("at")),
        scope=HoldScope(**members, subject=subject if isinstance(subject, str) else ""),
        index=record.index,
        hidden=about and not isinstance(subject, str),
    )


def place_hold(ledger: Ledger, scope: HoldScope, *, by: str, reason: str, at: str) -> Hold:
    """Place a hold; durable when this returns.

    Args:
        ledger: where it is recorded.
        scope: what it covers.
        by: who.
        reason: why; must not name the data subject, since it stays.
        at: RFC 3339 UTC time with milliseconds.

    Raises:
        EvaluationError: the scope is malformed, a person or reason is missing, or it names the subject.
        LedgerError: it cannot be recorded; nothing is held.
    """
    if not by.strip() or not reason.strip():
        raise EvaluationError("a hold needs a person who places it and a reason")
    for name, time in (("since", scope.since), ("until", scope.until)):
        if time and TIME.fullmatch(time) is None:
            raise EvaluationError(f"`{name}` is `{time}`, not a time such as `2026-01-01T00:00:00.000Z`")
    if scope.since and scope.until and scope.since > scope.until:
        raise EvaluationError(f"the hold would end at `{scope.until}`, before it begins at `{scope.since}`")
    if scope.kind and scope.block:
        raise EvaluationError("a hold is about a kind of record or about a memory block, not both")
    if scope.subject and names_subject(reason, scope.subject):
        raise EvaluationError("the reason names the data subject: it stays in the log after an erasure")
    name = f"hold-{secrets.token_hex(8)}"
    body: JsonObject = {
        "operation": PLACE,
        "hold": name,
        "by": by,
        "reason": reason,
        "scope": scope.to_json(),
        "about_subject": bool(scope.subject),
    }
    content: JsonValue = {"subject": scope.subject} if scope.subject else None
    draft = Draft(
        kind="control",
        agent=scope.agent,
        run=HOLDS,
        at=at,
        body=body,
        content=content,
        subject=scope.subject,
    )
    (receipt,) = ledger.submit(Batch(records=(draft,))).result()
    return Hold(id=name, by=by, reason=reason, at=at, scope=scope, index=receipt.index)


def lift_hold(ledger: Ledger, name: str, *, by: str, reason: str, at: str) -> Hold:
    """Lift a hold, if another person than who placed it is asking.

    Args:
        ledger: where it stands.
        name: its id, or a unique beginning of it.
        by: who lifts it.
        reason: why.
        at: RFC 3339 UTC time with milliseconds.

    Raises:
        EvaluationError: no such hold stands, or nobody or no reason is given.
        EnforcementError: the same person; the attempt is recorded.
        LedgerError: it cannot be recorded; the hold stands.
    """
    if not by.strip() or not reason.strip():
        raise EvaluationError("lifting a hold needs a person and a reason")
    standing = standing_holds(ledger)
    found = [hold for hold in standing if name and hold.id.startswith(name)]
    if len(found) != 1:
        listed = ", ".join(f"`{hold.id}`" for hold in (found or standing)) or "none"
        problem = f"`{name}` could be several holds" if found else f"no hold `{name}` stands"
        raise EvaluationError(f"{problem}; standing: {listed}")
    (hold,) = found
    own = same_person(hold.by, by)
    body: JsonObject = {
        "operation": LIFT,
        "hold": hold.id,
        "by": by,
        "reason": reason,
        "verdict": "deny" if own else "allow",
    }
    draft = Draft(kind="control", agent=hold.scope.agent, run=HOLDS, at=at, body=body)
    ledger.submit(Batch(records=(draft,))).result()
    if own:
        raise EnforcementError(f"`{by}` placed hold `{hold.id}`, so another person must lift it")
    return hold


def held_record(holds: Sequence[Hold], record: Record) -> Hold | None:
    """Return a hold that keeps a record and its content, or None.

    INVARIANT (a hold keeps itself): while it stands, the record that places it stays whole.
    """
    return next((hold for hold in holds if hold.index == record.index or hold.covers_record(record)), None)
