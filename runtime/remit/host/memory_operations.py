"""Memory through the gate: remember, recall, revise, erase, export; for the agent and for callers alike.

Rules
1. A value that does not conform to its block's schema is denied before the rules are asked, and recorded.
2. In a block with a data subject an entry names its subject, and its key is minted here: 128 random bits.
3. A write is decided, then moves the head by compare-and-swap; where somebody else moved it, it is decided
   again.
4. What a legal hold covers is neither erased nor overwritten; the refusal names the hold. The holds are read
   before each attempt, and the store refuses an attempt since which one was placed or lifted.
5. A denied recall returns nothing, not even how many entries there are.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remit.document.entries import erase, find, payload_faults, remember, select
from remit.document.memory import Payload
from remit.document.revision import revise
from remit.document.values import JsonValue, canonical_bytes
from remit.errors import HeadMovedError, LedgerError
from remit.gate.answers import AwaitingApproval, Denial, Granted
from remit.gate.obligations import mask
from remit.host.events import MemoryChanged
from remit.host.holds import read_holds
from remit.host.requests import block_entity
from remit.host.session import MAX_MOVES, Session, reasons
from remit.messages import content_digest

MAX_VALUE_BYTES = 1 << 20

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remit.document.memory import Block, Entry, Memory
    from remit.document.values import JsonObject
    from remit.gate.approvals import ApprovalGrant
    from remit.host.holds import Hold, StandingHolds

    _Keeper = Callable[[Sequence[Hold], Memory], Hold | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An operation was allowed and done; `value` is what it gave back."""

    answer: Granted
    value: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """An operation was refused before the rules were asked; the refusal is recorded.

    Args:
        message: why, lower case.
        record: digest of the record.
        kind: why, as one word.
    """

    message: str
    record: str
    kind: str = "invalid_arguments"


Outcome = Done | Invalid | Denial | AwaitingApproval


def because(outcome: Outcome) -> str:
    """Return the reason for people."""
    if isinstance(outcome, Invalid):
        return outcome.message
    return reasons(outcome.answer if isinstance(outcome, Done) else outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    memory: Memory
    put: tuple[Entry, ...]
    erased: tuple[str, ...]
    value: JsonValue


class MemoryDesk:
    """Memory operations of one session."""

    def __init__(self, session: Session, *, author: str, approvals: tuple[ApprovalGrant, ...] = ()) -> None:
        self._session = session
        self._author = author
        self._approvals = approvals

    async def remember(self, block: str, value: JsonValue, *, key: str | None, subject: str) -> Outcome:
        """Write a new entry; gives its id."""
        found = self._block(block)
        if found is None:
            return await self._invalid("remember", block, self._no_block())
        payload = Payload(value=value, subject=subject, on_behalf_of=self._session.caller.id)
        fault = _value_fault(found, payload, key=key)
        if not fault and key and find(self._session.document.memory, block, key) is not None:
            fault = f"block `{block}` has an entry with that key already; revise it"
        if fault:
            return await self._invalid("remember", block, fault)
        name = secrets.token_hex(16) if found.subject or not key else key
        salt = secrets.token_hex(16)

        def change(memory: Memory) -> _Change:
            if find(memory, block, name) is not None:
                raise LedgerError(f"block `{block}` has got an entry `{name}` meanwhile; revise it")
            changed, entry = remember(
                memory,
                block=block,
                key=name,
                payload=payload,
                author=self._author,
                operation="remember",
                at=self._session.agent.clock.now(),
                salt=salt,
            )
            return _Change(memory=changed, put=(entry,), erased=(), value=entry.id)

        given: JsonObject = {"bytes": len(canonical_bytes(value)), "key": "" if found.subject else name}
        if subject:
            given["subject"] = subject
        content = content_digest({"block": block, "value": value, "subject": subject, "key": key or ""})
        return await self._write("remember", found, given, content, change)

    async def revise(self, block: str, entry: str, value: JsonValue) -> Outcome:
        """Replace an entry's value; gives its id."""
        found = self._block(block)
        if found is None:
            return await self._invalid("revise", block, self._no_block())
        known = self._entry(found, entry)
        if known is None or known.key is None or known.payload is None:
            return await self._invalid("revise", block, f"block `{block}` has no such entry")
        payload = Payload(value=value, subject=known.payload.subject, on_behalf_of=self._session.caller.id)
        fault = _value_fault(found, payload, key=None)
        if fault:
            return await self._invalid("revise", block, fault)
        name, salt = known.key, secrets.token_hex(16)

        def change(memory: Memory) -> _Change:
            changed, written = remember(
                memory,
                block=block,
                key=name,
                payload=payload,
                author=self._author,
                operation="revise",
                at=self._session.agent.clock.now(),
                salt=salt,
            )
            return _Change(memory=changed, put=(written,), erased=(), value=written.id)

        given: JsonObject = {"bytes": len(canonical_bytes(value)), "key": "" if found.subject else name}
        if payload.subject:
            given["subject"] = payload.subject
        content = content_digest({"block": block, "entry": known.id, "value": value})

        def keeper(holds: Sequence[Hold], memory: Memory) -> Hold | None:
            return self._keeper(holds, (find(memory, block, name) or known,))

        return await self._write("revise", found, given, content, change, keeper=keeper)

    async def erase(self, block: str, *, entry: str, subject: str) -> Outcome:
        """Erase an entry, or all of a subject; gives the ids."""
        found = self._block(block)
        if found is None:
            return await self._invalid("erase", block, self._no_block())
        if bool(entry) == bool(subject):
            return await self._invalid("erase", block, "name either one entry or one data subject")
        known = self._entry(found, entry) if entry else None
        if entry and known is None:
            return await self._invalid("erase", block, f"block `{block}` has no such entry")
        owner = subject or ("" if known is None or known.payload is None else known.payload.subject)

        def change(memory: Memory) -> _Change:
            if subject:
                ids = tuple(item.id for item in select(memory, block=block, subject=subject))
            else:
                ids = () if known is None or known.payload is None else (known.id,)
            listed: list[JsonValue] = list(ids)
            changed = erase(memory, ids) if ids else memory
            return _Change(memory=changed, put=(), erased=ids, value=listed)

        given: JsonObject = {"subject": owner} if owner else {}
        content = content_digest({"block": block, "entry": entry, "subject": subject})

        def keeper(holds: Sequence[Hold], memory: Memory) -> Hold | None:
            named = (known,) if known is not None else tuple(select(memory, block=block, subject=subject))
            if named:
                return self._keeper(holds, named)
            agent = self._session.agent.id
            return next((hold for hold in holds if hold.covers_memory(agent, block, subject)), None)

        return await self._write("erase", found, given, content, change, keeper=keeper)

    async def recall(self, block: str, *, subject: str, action: str = "recall") -> Outcome:
        """Read a block's entries; `export` gives authors, times, commitments and salts too."""
        found = self._block(block)
        if found is None:
            return await self._invalid(action, block, self._no_block())
        given: JsonObject = {"subject": subject} if subject else {}
        answer = await self._session.ask(
            action, resource=block_entity(found), given=given, approvals=self._approvals
        )
        if not isinstance(answer, Granted):
            return answer
        shown = [_shown(item, whole=action == "export") for item in self.entries(block, subject=subject)]
        return Done(answer=answer, value=mask(list[JsonValue](shown), answer.redact_result))

    def entries(self, block: str, *, subject: str = "") -> list[Entry]:
        """Return a block's readable entries, oldest first."""
        found = select(self._session.document.memory, block=block, subject=subject or None)
        return sorted(
            (item for item in found if item.payload is not None), key=lambda item: (item.at, item.id)
        )

    def _keeper(self, holds: Sequence[Hold], entries: tuple[Entry, ...]) -> Hold | None:
        """Return a hold that keeps one of the entries, or None."""
        agent = self._session.agent.id
        return next(
            (hold for hold in holds if any(hold.covers_entry(agent, entry) for entry in entries)), None
        )

    def _block(self, name: str) -> Block | None:
        return next((item for item in self._session.document.memory.blocks if item.name == name), None)

    def _no_block(self) -> str:
        # What was asked for may be anything that a model made up, and the record of it is never erased.
        known = ", ".join(f"`{item.name}`" for item in self._session.document.memory.blocks)
        return f"there is no such memory block; blocks: {known or 'none'}"

    def _entry(self, block: Block, name: str) -> Entry | None:
        by_key = find(self._session.document.memory, block.name, name)
        if by_key is not None and by_key.payload is not None:
            return by_key
        return next((item for item in self.entries(block.name) if item.id == name), None)

    async def _write(
        self,
        action: str,
        block: Block,
        given: JsonObject,
        content: str,
        change: Callable[[Memory], _Change],
        *,
        keeper: _Keeper | None = None,
    ) -> Outcome:
        async with self._session.agent.turn():
            return await self._moved(action, block, given, content, change, keeper=keeper)

    async def _moved(
        self,
        action: str,
        block: Block,
        given: JsonObject,
        content: str,
        change: Callable[[Memory], _Change],
        *,
        keeper: _Keeper | None,
    ) -> Outcome:
        session = self._session
        for _ in range(MAX_MOVES):
            # A rehearsal's own store knows of no hold.
            standing = None if keeper is None else await asyncio.to_thread(read_holds, session.agent.noted_in)
            refused = await self._refused(action, block, keeper, standing, session.document.memory)
            if refused is not None:
                return refused
            answer = await session.ask(
                action,
                resource=block_entity(block),
                given=given,
                content=content,
                approvals=self._approvals,
            )
            if not isinstance(answer, Granted):
                return answer
            parent = session.document
            # The head may have moved while the decision was made.
            refused = await self._refused(action, block, keeper, standing, parent.memory)
            if refused is not None:
                return refused
            changed = change(parent.memory)
            if not changed.put and not changed.erased:
                return Done(answer=answer, value=changed.value)
            child = revise(
                parent,
                operation=action,
                actor=str(session.actor.ref),
                at=session.agent.clock.now(),
                decision=answer.receipt.digest,
                memory=changed.memory,
            )
            try:
                await session.agent.advance(
                    child,
                    session.revision_draft(parent, child),
                    put=changed.put,
                    erased=changed.erased,
                    judged=standing.judged if standing and not session.agent.rehearses else None,
                )
            except HeadMovedError:
                session.agent.reload()
                continue
            session.usage = session.usage.plus(mutations=1)
            session.revised(parent, child)
            for entry_id in (*(item.id for item in changed.put), *changed.erased):
                session.emit(
                    MemoryChanged(
                        operation=action,
                        block=block.name,
                        entry=entry_id,
                        revision=child.identity.revision,
                    )
                )
            return Done(answer=answer, value=changed.value)
        raise LedgerError(f"the agent's head moved {MAX_MOVES} times while `{action}` was recorded")

    async def _refused(
        self,
        action: str,
        block: Block,
        keeper: _Keeper | None,
        standing: StandingHolds | None,
        memory: Memory,
    ) -> Invalid | None:
        """Record the refusal of what a hold keeps; None where none does."""
        hold = None if keeper is None or standing is None else keeper(standing.holds, memory)
        return None if hold is None else await self._invalid(action, block.name, str(hold), kind="held")

    async def _invalid(
        self, action: str, block: str, message: str, *, kind: str = "invalid_arguments"
    ) -> Invalid:
        known = block if self._block(block) is not None else ""
        record = await record_refusal(self._session, action, f'Remit::Block::"{known}"', kind, message)
        return Invalid(message=message, record=record, kind=kind)


async def record_refusal(
    session: Session, action: str, resource: str, kind: str, message: str, *, raw: JsonValue = None
) -> str:
    """Record a deny that needs no rule: what was asked for does not exist or is malformed.

    Raises:
        LedgerError: it cannot be written.
    """
    body: JsonObject = {
        "verdict": "deny",
        "kind": kind,
        "principal": str(session.actor.ref),
        "action": action,
        "resource": resource,
        "rules": [],
        "message": message,
        "step": len(session.steps) + 1,
        "revision": session.document.identity.revision,
        "image": session.agent.compiled.image.digest,
    }
    (receipt,) = await session.agent.submit(session.draft("decision", body, raw))
    session.usage = session.usage.plus(denials=1)
    if session.narrator is not None:
        session.narrator.recorded(receipt)
    session.note(
        action, resource, verdict="deny", kind=kind, rules=(), because=message, record=receipt.digest
    )
    return receipt.digest


def _shown(entry: Entry, *, whole: bool) -> JsonObject:
    payload = entry.payload
    shown: JsonObject = {
        "entry": entry.id,
        "key": entry.key,
        "value": None if payload is None else payload.value,
    }
    if payload is not None and payload.subject:
        shown["subject"] = payload.subject
    if whole:
        shown.update(
            block=entry.block,
            author=entry.author,
            operation=entry.operation,
            at=entry.at,
            commitment=entry.commitment,
            salt=entry.salt,
            on_behalf_of="" if payload is None else payload.on_behalf_of,
        )
    return shown


def _value_fault(block: Block, payload: Payload, *, key: str | None) -> str:
    """Say why a payload cannot be an entry of `block`; empty where it can."""
    try:
        size = len(canonical_bytes(payload.value))
        payload.subject.encode()
    except (ValueError, TypeError, RecursionError):
        return "the value is not JSON that Remit admits"
    if size > MAX_VALUE_BYTES:
        return f"the value has {size} bytes, more than {MAX_VALUE_BYTES}"
    if block.subject and key:
        return f"keys of block `{block.name}` are minted by the runtime, because it has a data subject"
    return "; ".join(payload_faults(block, payload))
