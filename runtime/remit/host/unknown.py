"""What nobody knows: effects that began and whose outcome no process recorded, until a person settles them.

Rules
1. An effect is unknown once its run does not live any more, and until it is settled. It is never repeated
   but by a person, where the tool declares that this is harmless (`remit.host.repeating`).
2. A settlement is a `control` record with a name and a reason: it says whether the effect happened. The
   outcome `unknown` stays, for that is what the process knew.
3. Each is settled once: the first settlement in the log counts, and the store refuses a second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from remit.document.json_text import printable
from remit.errors import EvaluationError, HeadMovedError, LedgerError, SettledError
from remit.ports import Batch, Judged
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.values import JsonObject, JsonValue
    from remit.host.stores import Store
    from remit.records import Record

SETTLEMENTS: Final = "settlements"
"""Run name of the records that settle what was unknown."""

SETTLE: Final = "unknown_settled"
DETAIL: Final = "the process ended before the outcome was recorded; it is not repeated"

_ATTEMPTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """An effect of which nobody knows whether it happened.

    Args:
        intent: digest of its intent record.
        agent: agent id.
        run: run that began it.
        effect: `call_tool` or `dispatch`.
        target: the tool or the back-end.
        content: digest of exactly what was permitted.
        key: idempotency key that it was, or would have been, called with.
        at: when the intent was recorded, RFC 3339 UTC with milliseconds.
        index: of the intent record.
        reported: whether its outcome `unknown` is in the log already.
    """

    intent: str
    agent: str
    run: str
    effect: str
    target: str
    content: str
    key: str
    at: str
    index: int
    reported: bool

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "intent": self.intent,
            "agent": self.agent,
            "run": self.run,
            "effect": self.effect,
            "target": self.target,
            "key": self.key,
            "at": self.at,
            "record": self.index,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """An effect that a person settled.

    Args:
        effect: what was unknown.
        happened: what they found.
        record: digest of the record that says so.
    """

    effect: Unknown
    happened: bool
    record: str


def unknown_effects(store: Store, *, agent: str = "", lives: Callable[[str], bool]) -> tuple[Unknown, ...]:
    """Return the effects that nobody knows about, oldest first.

    Args:
        store: where they were recorded.
        agent: of this agent alone; of all where it is empty.
        lives: whether a run, by its id, is being driven now.

    Raises:
        LedgerError: the log cannot be read.
    """
    settled, _ = _settled(store)
    intents: dict[str, Record] = {}
    reported: set[str] = set()
    for record in store.records(agent=agent):
        body = _object(record.value.get("body"))
        if record.value.get("kind") == "intent":
            intents[record.digest] = record
        elif record.value.get("kind") == "outcome" and body.get("status") == "unknown":
            reported.add(_text(body.get("intent")))
    left = {record.digest for record in abandoned(store, agent=agent, lives=lives)}
    return tuple(
        unknown_of(record, reported=digest in reported)
        for digest, record in intents.items()
        if digest in left | reported and digest not in settled
    )


def find_effect(store: Store, intent: str, *, agent: str = "", lives: Callable[[str], bool]) -> Unknown:
    """Return the unknown effect that a person means.

    Args:
        store: where it was recorded.
        intent: the digest of its intent, or a unique beginning of it.
        agent: of this agent alone; of any where it is empty.
        lives: whether a run, by its id, is being driven now.

    Raises:
        EvaluationError: there is none, there are several, or it is settled.
        LedgerError: the log cannot be read.
    """
    return _found(intent, unknown_effects(store, agent=agent, lives=lives), _settled(store)[0])


def abandoned(store: Store, *, agent: str = "", lives: Callable[[str], bool]) -> tuple[Record, ...]:
    """Return the intents without an outcome whose run does not live any more; arguments as above."""
    known: dict[str, bool] = {}
    found: list[Record] = []
    for record in store.unfinished():
        if agent and record.value.get("agent") != agent:
            continue
        run = _text(record.value.get("run"))
        if run not in known:
            known[run] = lives(run)
        if not known[run]:
            found.append(record)
    return tuple(found)


def unknown_outcome(intent: Record, *, at: str) -> Draft:
    """Return the record that says that the outcome of an intent is unknown."""
    body = _object(intent.value.get("body"))
    return Draft(
        kind="outcome",
        agent=_text(intent.value.get("agent")),
        run=_text(intent.value.get("run")),
        at=at,
        body={
            "status": "unknown",
            "decision": "",
            "intent": intent.digest,
            "key": body.get("key", ""),
            "target": body.get("target", ""),
            "request": body.get("request", ""),
            "result": "",
            "detail": DETAIL,
            "step": body.get("step", 0),
        },
    )


def settle_unknown(
    store: Store,
    intent: str,
    *,
    happened: bool,
    by: str,
    reason: str,
    at: str,
    lives: Callable[[str], bool],
    repeated: str = "",
) -> Settled:
    """Record what a person found out about an effect; durable when this returns.

    Args:
        store: where it was recorded.
        intent: the digest of its intent, or a unique beginning of it.
        happened: whether it happened.
        by: who looked.
        reason: how they know; it stays in the log.
        at: RFC 3339 UTC time with milliseconds.
        lives: whether a run, by its id, is being driven now.
        repeated: digest of the intent under which it was called again, if it was.

    Raises:
        EvaluationError: no such effect is unknown, or nobody or no reason is given.
        LedgerError: it cannot be recorded.
    """
    if not by.strip() or not reason.strip():
        raise EvaluationError("settling what is unknown needs a person and a reason")
    for _ in range(_ATTEMPTS):
        settled, judged = _settled(store)
        found = _found(intent, unknown_effects(store, lives=lives), settled)
        body: JsonObject = {
            "operation": SETTLE,
            "intent": found.intent,
            "of_run": found.run,
            "target": found.target,
            "happened": happened,
            "by": by,
            "reason": reason,
            **({"repeated": repeated} if repeated else {}),
        }
        draft = Draft(kind="control", agent=found.agent, run=SETTLEMENTS, at=at, body=body)
        # Where no start has reported it yet, it is reported here, so that nobody else has to.
        left = () if found.reported else _left(store, found, lives)
        batch = Batch(
            records=(*(unknown_outcome(record, at=at) for record in left), draft),
            settles=tuple(record.digest for record in left),
            judged=judged,
        )
        try:
            receipts = store.submit(batch).result()
        except (HeadMovedError, SettledError):
            continue
        return Settled(effect=found, happened=happened, record=receipts[-1].digest)
    raise LedgerError(f"others settled effects {_ATTEMPTS} times meanwhile: try again")


def _left(store: Store, found: Unknown, lives: Callable[[str], bool]) -> tuple[Record, ...]:
    return tuple(
        record for record in abandoned(store, agent=found.agent, lives=lives) if record.digest == found.intent
    )


def _found(name: str, unknown: tuple[Unknown, ...], settled: dict[str, JsonObject]) -> Unknown:
    """Return the effect that a person means.

    Raises:
        EvaluationError: there is none, there are several, or it is settled.
    """
    prefix = name if name.startswith("sha256:") else f"sha256:{name}"
    found = [one for one in unknown if name and one.intent.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    for digest, body in settled.items():
        if not found and name and digest.startswith(prefix):
            word = "happened" if body.get("happened") is True else "did not happen"
            raise EvaluationError(
                f"the effect of intent `{digest}` is settled: `{_text(body.get('by'))}` found that it {word}"
            )
    listed = ", ".join(f"`{one.intent.removeprefix('sha256:')[:12]}`" for one in found or unknown) or "none"
    problem = (
        f"`{printable(name)}` could be several effects"
        if found
        else f"no effect of intent `{printable(name)}` is unknown"
    )
    raise EvaluationError(f"{problem}; unknown: {listed}")


def _settled(store: Store) -> tuple[dict[str, JsonObject], Judged]:
    """Return the settlements by intent, and how far they were read."""
    found: dict[str, JsonObject] = {}
    size = 0
    for record in store.records(run=SETTLEMENTS):
        size = record.index + 1
        body = _object(record.value.get("body"))
        if record.value.get("kind") == "control" and body.get("operation") == SETTLE:
            found.setdefault(_text(body.get("intent")), body)
    return found, Judged(run=SETTLEMENTS, size=size)


def unknown_of(intent: Record, *, reported: bool = False) -> Unknown:
    """Return the effect that an intent record announced."""
    body = _object(intent.value.get("body"))
    return Unknown(
        intent=intent.digest,
        agent=_text(intent.value.get("agent")),
        run=_text(intent.value.get("run")),
        effect=_text(body.get("effect")),
        target=_text(body.get("target")),
        content=_text(body.get("content")),
        key=_text(body.get("key")),
        at=_text(intent.value.get("at")),
        index=intent.index,
        reported=reported,
    )


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
