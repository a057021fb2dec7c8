"""Which records of a ledger are exported, and what is read out of each."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from remit.errors import EvaluationError
from remit.gate.obligations import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remit.document.values import JsonObject, JsonValue
    from remit.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records are wanted; empty texts ask for all.

    Args:
        since: first time, as records have it (`moment`).
        until: the time at which it is over; records of that very time are not wanted any more.
        agent: agent id, or its beginning, with or without `sha256:`.
        kind: kind of record.
        size: number of records that the log had when the export began; what comes after waits for the next.
    """

    since: str = ""
    until: str = ""
    agent: str = ""
    kind: str = ""
    size: int | None = None

    def is_of(self, agent: str) -> bool:
        """Whether an agent id is one that is wanted."""
        return agent.removeprefix("sha256:").startswith(self.agent.removeprefix("sha256:"))

    def of(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the wanted ones of `records`, which are in log order."""
        for record in records:
            if self.size is not None and record.index >= self.size:
                return
            value = record.value
            at = str(value["at"])
            if (
                (not self.kind or value["kind"] == self.kind)
                and self.is_of(str(value["agent"]))
                and at >= self.since
                and (not self.until or at < self.until)
            ):
                yield record


def moment(text: str) -> str:
    """Return a time as records have it, so that texts compare as times do.

    Args:
        text: a day (`2026-11-01`, its beginning in UTC), or an RFC 3339 time with an offset.

    Raises:
        EvaluationError: it is neither.
    """
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is not None and read.tzinfo is None and "T" not in text and ":" not in text:
        read = read.replace(tzinfo=UTC)
    if read is None or read.tzinfo is None:
        raise EvaluationError(f"`{text}` is no time: write such as `2026-11-01` or `2026-11-01T08:00:00Z`")
    return read.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A decision's record, taken apart.

    Args:
        record: the record.
        body: what its leaf says.
        content: what lies beside it: the request; None where it is not there, or not wanted.
        erased: whether there was content that is not told.
        quiet: whether sentences are left out, too: one about a malformed argument quotes it.
        masked: JSON Pointers into `content` of what a rule had masked before anything was done with it.
    """

    record: Record
    body: JsonObject
    content: JsonObject | None
    erased: bool
    quiet: bool = False
    masked: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """Return a text member of the body; empty where there is none."""
        found = self.body.get(name)
        return found if isinstance(found, str) else ""

    def member(self, name: str) -> JsonObject:
        """Return an object member of the content; empty where there is none."""
        found = (self.content or {}).get(name)
        return found if isinstance(found, dict) else {}

    @property
    def message(self) -> str:
        """The gate's sentence; empty where sentences are left out."""
        return "" if self.quiet else self.text("message")

    @property
    def errors(self) -> JsonValue:
        """The failures of policies; where sentences are left out, the rules that failed alone."""
        found = self.body.get("errors", [])
        if not self.quiet or not isinstance(found, list):
            return found
        return [{"rule": item.get("rule", "")} for item in found if isinstance(item, dict)]

    @property
    def at(self) -> str:
        """When it was decided."""
        return str(self.record.value["at"])

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of the rules that determined it."""
        found = self.body.get("reasons") or self.body.get("rules")
        return tuple(str(rule) for rule in found) if isinstance(found, list) else ()

    @property
    def caller(self) -> str:
        """On whose behalf it was asked; empty where that is not told."""
        caller = self.member("context").get("caller")
        found = caller.get("id") if isinstance(caller, dict) else None
        return found if isinstance(found, str) else ""


def told(record: Record, *, content: bool = True) -> Told:
    """Take a decision's record apart.

    Guarantees that nothing which a rule had masked for the tool is told in clear.

    Args:
        record: of kind decision.
        content: whether what lies beside the leaf is wanted.
    """
    body = record.value.get("body")
    committed = "content" in record.value
    known = record.content if content and isinstance(record.content, dict) else None
    whole = Told(
        record=record,
        body=body if isinstance(body, dict) else {},
        content=known,
        erased=committed and known is None,
        quiet=not content or (committed and known is None),
    )
    return whole if known is None else _masked(whole, known)


def _masked(whole: Told, content: JsonObject) -> Told:
    paths = tuple(_redacted(content.get("arguments"), ()))
    if not paths:
        return whole
    # The rules saw the context's input as it was proposed; the arguments are what was left of it.
    shown = copy.deepcopy(content)
    pointers: list[str] = []
    for path in paths:
        pointers.append("".join(f"/{_escaped(step)}" for step in ("arguments", *path)))
        context = shown.get("context")
        if isinstance(context, dict) and _mask(context.get("input"), path):
            pointers.append("".join(f"/{_escaped(step)}" for step in ("context", "input", *path)))
    return replace(whole, content=shown, masked=tuple(pointers))


def _redacted(value: JsonValue, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if value == REDACTED:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _redacted(item, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _redacted(item, (*path, str(number)))


def _mask(value: JsonValue, path: tuple[str, ...]) -> bool:
    """Mask what `path` leads to; whether there is something."""
    *way, last = path or ("",)
    for step in way:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False
    if isinstance(value, dict) and last in value:
        value[last] = REDACTED
        return True
    if isinstance(value, list) and last.isdigit() and int(last) < len(value):
        value[int(last)] = REDACTED
        return True
    return False


def _escaped(step: str) -> str:
    """Return a step of a JSON Pointer (RFC 6901, section 3)."""
    return step.replace("~", "~0").replace("/", "~1")
