"""Retention: what is past its time, and erasing it through the same doors as everybody.

Rules
1. A memory entry is past its time when its block declares `retention_days` and so many days have passed since
   it was last written. The content of a record is, by the class of its kind (`retention_rules`).
2. An entry is erased by the governed operation `erase` on behalf of whoever applies: the agent's own rules
   decide and the decision is recorded. Contents are erased on the record by `erase_content`.
3. Nothing under a legal hold is erased; it is listed with the hold. Where one is placed while an erasure is
   under way, the erasure is judged again.
4. What a run that has not ended still needs is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from remit.document.entries import select
from remit.errors import HeadMovedError, LedgerError
from remit.host.holds import held_record, names_subject, read_holds, standing_holds
from remit.host.session import MAX_MOVES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from remit.document.memory import Entry
    from remit.document.values import JsonObject, JsonValue
    from remit.host.holds import Hold
    from remit.host.results import Answer
    from remit.host.retention_rules import RetentionRules
    from remit.host.stores import Store
    from remit.ports import Judged, KeyUse
    from remit.records import Receipt, Record

LIVING = ("running", "awaiting_approval", "suspended")
"""Statuses of runs that have not ended."""

_CHUNK = 1000


@runtime_checkable
class ContentEraser(Protocol):
    """A ledger that can destroy what records say beside the log, on the record."""

    def erase_content(self, *indexes: int, by: str, reason: str, judged: Judged | None = None) -> Receipt:
        """Destroy salt and content of records; the log still verifies.

        Raises:
            HeadMovedError: what it was judged by has grown; nothing was erased.
            LedgerError: it cannot be done; nothing was erased.
        """
        ...


@runtime_checkable
class SubjectEraser(Protocol):
    """A store that seals what is about a data subject under keys of this subject."""

    def forget_subject(self, agent: str, subject: str) -> Mapping[KeyUse, int]:
        """Destroy a data subject's keys that seal nothing any more.

        Returns:
            For each use whose key is still there, how many entries or contents of records it seals: 0 where
            it could not be destroyed now, which the next erasure or opening of the store does.

        Raises:
            LedgerError: the store or the keys cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEntry:
    """A memory entry past its time.

    Args:
        agent: agent id.
        block: the block.
        entry: the entry's id.
        at: when it was last written.
        due: when its time was over.
        hold: what keeps it, or None.
    """

    agent: str
    block: str
    entry: str
    at: str
    due: str
    hold: Hold | None

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "agent": self.agent,
            "block": self.block,
            "entry": self.entry,
            "at": self.at,
            "due": self.due,
            "hold": None if self.hold is None else self.hold.id,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DueContent:
    """The content of a record past its time.

    Args:
        index: the record.
        kind: its kind.
        category: name of its retention class.
        at: when it was recorded.
        due: when its time was over.
        hold: what keeps it, or None.
    """

    index: int
    kind: str
    category: str
    at: str
    due: str
    hold: Hold | None

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "record": self.index,
            "kind": self.kind,
            "class": self.category,
            "at": self.at,
            "due": self.due,
            "hold": None if self.hold is None else self.hold.id,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What is past its time at an instant.

    Args:
        now: the instant.
        entries: memory entries.
        contents: contents of records.
    """

    now: str
    entries: tuple[DueEntry, ...]
    contents: tuple[DueContent, ...]

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "now": self.now,
            "entries": [item.to_json() for item in self.entries],
            "contents": [item.to_json() for item in self.contents],
        }


def plan_retention(store: Store, rules: RetentionRules, *, now: str) -> RetentionPlan:
    """Find what is past its time; changes nothing.

    Args:
        store: holds agents and records.
        rules: how long records are kept.
        now: RFC 3339 UTC time with milliseconds.

    Raises:
        LedgerError: the store cannot be read.
    """
    holds = standing_holds(store)
    return RetentionPlan(
        now=now,
        entries=tuple(_due_entries(store, holds, now)),
        contents=tuple(_due_contents(store, rules, holds, now)),
    )


def _due_entries(store: Store, holds: Sequence[Hold], now: str) -> Iterator[DueEntry]:
    for agent, _ in store.agents():
        document = store.load(agent)
        if document is None:
            raise LedgerError(f"the store lost agent `{agent}`")
        for block in document.memory.blocks:
            if block.retention_days is None:
                continue
            for entry in sorted(
                select(document.memory, block=block.name), key=lambda item: (item.at, item.id)
            ):
                due = after(entry.at, block.retention_days)
                if entry.payload is not None and due <= now:
                    yield DueEntry(
                        agent=agent,
                        block=block.name,
                        entry=entry.id,
                        at=entry.at,
                        due=due,
                        hold=_keeper(holds, agent, entry),
                    )


def _keeper(holds: Sequence[Hold], agent: str, entry: Entry) -> Hold | None:
    return next((hold for hold in holds if hold.covers_entry(agent, entry)), None)


def _due_contents(
    store: Store, rules: RetentionRules, holds: Sequence[Hold], now: str
) -> Iterator[DueContent]:
    living = {run.run for status in LIVING for run in store.runs(status=status)}
    for record in store.records():
        if record.content is None or record.value.get("run") in living:
            continue
        kind, at = str(record.value.get("kind")), str(record.value.get("at"))
        category = rules.of(kind)
        if category.contents_days is None:
            continue
        due = after(at, category.contents_days)
        if due <= now:
            yield DueContent(
                index=record.index,
                kind=kind,
                category=category.name,
                at=at,
                due=due,
                hold=held_record(holds, record),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionResult:
    """What became of a plan.

    Args:
        plan: what was past its time.
        answers: one an entry that no hold keeps, in the plan's order.
        contents: records whose content was erased.
    """

    plan: RetentionPlan
    answers: tuple[Answer, ...]
    contents: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether everything that no hold keeps is erased."""
        return all(answer.allowed for answer in self.answers)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        listed: list[JsonValue] = [*self.contents]
        return {
            "plan": self.plan.to_json(),
            "answers": [answer.to_json() for answer in self.answers],
            "contents_erased": listed,
            "held": sum(item.hold is not None for item in (*self.plan.entries, *self.plan.contents)),
        }


def apply_retention(
    store: Store,
    rules: RetentionRules,
    *,
    now: str,
    by: str,
    erase: Callable[[DueEntry], Answer],
) -> RetentionResult:
    """Erase what is past its time and no hold keeps.

    Args:
        store: holds agents and records.
        rules: how long records are kept.
        now: RFC 3339 UTC time with milliseconds.
        by: who applies, for the record of the erasure.
        erase: the governed operation on one entry, on behalf of whoever applies.

    Raises:
        LedgerError: the store cannot be read or written; what was erased until then is on the record.
    """
    plan = plan_retention(store, rules, now=now)
    answers = tuple(erase(item) for item in plan.entries if item.hold is None)
    # INVARIANT (never under a hold): those placed since the plan was made keep what they cover.
    found = tuple(item.index for item in plan.contents if item.hold is None)
    erased: list[int] = []
    for start in range(0, len(found), _CHUNK):
        chunk = frozenset(found[start : start + _CHUNK])
        records = (record for record in store.records(start=min(chunk)) if record.index in chunk)
        done, _ = erase_contents(
            store, _first(records, len(chunk)), by=by, reason="the time for which it is kept is over"
        )
        erased += done
    return RetentionResult(plan=plan, answers=answers, contents=tuple(erased))


def _first(records: Iterator[Record], count: int) -> list[Record]:
    return [record for record, _ in zip(records, range(count), strict=False)]


def erase_contents(
    store: Store, records: Sequence[Record], *, by: str, reason: str
) -> tuple[tuple[int, ...], tuple[Hold, ...]]:
    """Erase the contents of records, but for those that a legal hold keeps.

    Args:
        store: holds them.
        records: whose contents are to go.
        by: who asked for it; must not name the data subject.
        reason: why; the same.

    Returns:
        Indexes whose content was erased, and the holds that kept others.

    Raises:
        LedgerError: the store cannot erase contents, or it cannot be done; nothing was erased.
    """
    if not isinstance(store, ContentEraser):
        raise LedgerError("this store cannot erase what records say beside the log")
    for _ in range(MAX_MOVES):
        standing = read_holds(store)
        kept = [
            (record, held_record(standing.holds, record)) for record in records if record.content is not None
        ]
        found = tuple(record.index for record, hold in kept if hold is None)
        if found:
            try:
                store.erase_content(*found, by=by, reason=reason, judged=standing.judged)
            except HeadMovedError:
                continue
        keepers = {hold.id: hold for _, hold in kept if hold is not None}
        return found, tuple(keepers.values())
    raise LedgerError(f"legal holds changed {MAX_MOVES} times while contents were to be erased")


def records_naming(store: Store, agent: str, subject: str) -> list[Record]:
    """Return the records of an agent whose content names a person, as a whole word."""
    return [
        record
        for record in store.records(agent=agent)
        if record.content is not None and names_subject(record.content, subject)
    ]


def after(at: str, days: int) -> str:
    """Return the instant so many days after another, both RFC 3339 UTC with milliseconds."""
    try:
        moved = datetime.fromisoformat(at) + timedelta(days=days)
    except OverflowError:
        return "9999-12-31T23:59:59.999Z"
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")
