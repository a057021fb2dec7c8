"""What back-ends made on a vendor's side: noted in the ledger before it is used, and swept after a crash.

Rules
1. `planned` is durable before the vendor is asked, `made` before the object is used, `gone` once it is
   deleted.
2. An object that was planned or made and is not gone is left over, unless the run that made it still lives.
3. A sweep opens the back-end as it was declared then: each record holds the declaration, which holds no
   secret.
4. What cannot be found again is said, one sentence each; it is never counted as gone.
5. An object whose making began less than `UNDER_WAY_S` ago may still appear: absence proves nothing yet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from remit.document.model import BackendEntry
from remit.document.values import JsonObject, canonical_bytes
from remit.errors import AdapterError, LedgerError
from remit.host.backends import backend_context, open_backend
from remit.host.recovery import run_lives
from remit.ports import Batch, Sweeper, VendorObject
from remit.records import Draft

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from remit.host.stores import Store
    from remit.ports import Backend, Clock
    from remit.records import Receipt


UNDER_WAY_S = 600.0
"""Longest time for which a request that nobody answered may still be carried out at a vendor."""


class LedgerRegister:
    """The register of one run's objects with one back-end, in the ledger.

    Args:
        store: where the records go.
        clock: time of the records.
        agent: agent id.
        run: run id.
        entry: the back-end as the document declares it.
    """

    def __init__(self, store: Store, clock: Clock, *, agent: str, run: str, entry: BackendEntry) -> None:
        self._store = store
        self._clock = clock
        self._agent = agent
        self._run = run
        self._entry = entry

    @property
    def answers(self) -> Path | None:
        """Folder of the store for answers that outlive the process that asked."""
        return self._store.answers

    async def planned(self, thing: VendorObject) -> None:
        """Record that `thing` is about to be made."""
        await self._note("planned", thing)

    async def made(self, thing: VendorObject) -> None:
        """Record the vendor's id of `thing`."""
        await self._note("made", thing)

    async def gone(self, thing: VendorObject) -> None:
        """Record that `thing` does not exist any more."""
        await self._note("gone", thing)

    async def _note(self, step: str, thing: VendorObject) -> None:
        body = _body(step, thing, self._entry)
        draft = Draft(kind="object", agent=self._agent, run=self._run, at=self._clock.now(), body=body)
        await _durable(self._store.submit(Batch(records=(draft,))))


def _body(step: str, thing: VendorObject, entry: BackendEntry) -> JsonObject:
    return {
        "step": step,
        "object": thing.kind,
        "id": thing.id,
        "tag": thing.tag,
        "backend": entry.name,
        "adapter": entry.adapter,
        "entry": entry_text(entry),
    }


async def _durable(future: Future[tuple[Receipt, ...]]) -> None:
    import asyncio

    # Shielded: a run that is cancelled must still know what it made.
    waiting: asyncio.Future[tuple[Receipt, ...]] = asyncio.wrap_future(future)
    await asyncio.shield(waiting)


def entry_text(entry: BackendEntry) -> str:
    """Return a declaration as canonical JSON text."""
    value: JsonObject = {
        "name": entry.name,
        "adapter": entry.adapter,
        "provider": entry.provider,
        "region": entry.region,
        "model": entry.model,
        "config": entry.config,
    }
    return canonical_bytes(value).decode("utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An object that may still exist on a vendor's side.

    Args:
        agent: agent id.
        run: the run that made it.
        entry: the back-end as it was declared then.
        thing: what it is; without an id where the vendor's answer was never recorded.
        at: when it was last noted.
    """

    agent: str
    run: str
    entry: BackendEntry
    thing: VendorObject
    at: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "agent": self.agent,
            "run": self.run,
            "backend": self.entry.name,
            "adapter": self.entry.adapter,
            "object": self.thing.kind,
            "id": self.thing.id,
            "tag": self.thing.tag,
            "at": self.at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep came to.

    Args:
        gone: what certainly does not exist any more.
        left: what may still exist.
        unsaid: one sentence for each doubt or failure.
    """

    gone: tuple[Leftover, ...]
    left: tuple[Leftover, ...]
    unsaid: tuple[str, ...]


def find_leftovers(store: Store, *, agent: str = "", run: str = "") -> tuple[Leftover, ...]:
    """Return what was planned or made and is not gone, oldest first; runs that live are left out.

    Args:
        store: where the ledger is.
        agent: only of this agent.
        run: only of this run, whether it lives or not.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    open_ones: dict[tuple[str, str], Leftover] = {}
    for record in store.records(agent=agent, run=run):
        body = record.value.get("body")
        if record.value.get("kind") != "object" or not isinstance(body, dict):
            continue
        texts = {name: value for name, value in body.items() if isinstance(value, str)}
        key = (str(record.value.get("run")), texts.get("tag", ""))
        if texts.get("step") == "gone":
            open_ones.pop(key, None)
            continue
        open_ones[key] = Leftover(
            agent=str(record.value.get("agent")),
            run=key[0],
            entry=_entry(texts.get("entry", "")),
            thing=VendorObject(kind=texts.get("object", ""), tag=key[1], id=texts.get("id", "")),
            at=str(record.value.get("at")),
        )
    return tuple(item for item in open_ones.values() if run or not run_lives(store, item.run))


def _entry(text: str) -> BackendEntry:
    try:
        value = cast("Mapping[str, object]", json.loads(text))
        return BackendEntry(
            name=str(value["name"]),
            adapter=str(value["adapter"]),
            provider=str(value["provider"]),
            region=str(value["region"]),
            model=str(value["model"]),
            config=cast("JsonObject", value["config"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"the ledger names a back-end that cannot be read: {error}") from error


async def sweep(store: Store, clock: Clock, *, folder: Path | None, agent: str = "") -> Sweep:
    """Delete what crashed runs left on vendors' sides, and record it.

    Args:
        store: where the ledger is.
        clock: time of the records.
        folder: the project folder, for a back-end that needs it.
        agent: only of this agent.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    found = find_leftovers(store, agent=agent)
    groups: dict[tuple[str, str, str], list[Leftover]] = {}
    for item in found:
        groups.setdefault((item.agent, item.run, entry_text(item.entry)), []).append(item)
    unsaid: list[str] = []
    for (owner, run, _), items in groups.items():
        entry = items[0].entry
        register = LedgerRegister(store, clock, agent=owner, run=run, entry=entry)
        try:
            backend = open_backend(entry, context=backend_context(folder=folder, register=register))
            now = clock.now()
            unsaid += await _swept(
                backend, entry, [replace(item.thing, recent=_recent(item.at, now)) for item in items]
            )
        except AdapterError as error:
            unsaid.append(str(error))
    still = {(item.run, item.thing.tag) for item in find_leftovers(store, agent=agent)}
    gone = tuple(item for item in found if (item.run, item.thing.tag) not in still)
    left = tuple(item for item in found if (item.run, item.thing.tag) in still)
    return Sweep(gone=gone, left=left, unsaid=tuple(unsaid))


def _recent(at: str, now: str) -> bool:
    passed = datetime.fromisoformat(now) - datetime.fromisoformat(at)
    return passed < timedelta(seconds=UNDER_WAY_S)


def settle_leftovers(store: Store, clock: Clock, *, tag: str, by: str, reason: str) -> bool:
    """Record that a person looked after an object that no sweep can find.

    Args:
        store: where the ledger is.
        clock: time of the record.
        tag: the object's tag.
        by: who looked.
        reason: what was found.

    Returns:
        Whether there was such an object.

    Raises:
        LedgerError: it cannot be recorded.
    """
    found = [item for item in find_leftovers(store) if item.thing.tag == tag]
    for item in found:
        body = _body("gone", item.thing, item.entry)
        body |= {"by": by, "reason": reason}
        draft = Draft(kind="object", agent=item.agent, run=item.run, at=clock.now(), body=body)
        store.submit(Batch(records=(draft,))).result()
    if found and store.answers is not None and store.answers.is_dir():
        for file in store.answers.iterdir():
            if file.name.startswith(f"{tag}."):
                file.unlink(missing_ok=True)
    return bool(found)


async def _swept(backend: Backend, entry: BackendEntry, things: Sequence[VendorObject]) -> tuple[str, ...]:
    try:
        if isinstance(backend, Sweeper):
            return await backend.sweep(things)
        return (f"adapter `{entry.adapter}` of back-end `{entry.name}` keeps nothing that it could look for",)
    finally:
        await backend.dispose()
