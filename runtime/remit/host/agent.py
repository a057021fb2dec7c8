"""One agent in one store: its head, its compiled governance and what the embedder opened it with.

Rules
1. The store's head is the agent. A head that moved is loaded again, which verifies it again.
2. The head and the engine made from it change together: who asks takes both at once.
3. The head moves by compare-and-swap alone; a lost swap writes nothing. It never moves back: a head that
   was read before another thread adopted a newer one is dropped.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from remit.errors import HeadMovedError, LedgerError
from remit.host.divergence import keep
from remit.host.engines import DEFAULT, engine_name, on_reference, prepare, scope_of_image
from remit.host.scopes import lineage_scopes, tenant_scopes
from remit.host.stores import cache_of
from remit.host.watched_ledger import watched
from remit.observations import Observation
from remit.ports import Advance, Batch, HeadIndex, HeadTurns, RunState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from pathlib import Path

    from remit.document.memory import Entry
    from remit.document.model import BackendEntry, Document
    from remit.document.values import JsonValue
    from remit.engine.checked import Divergence
    from remit.host.divergence import Kept
    from remit.host.engines import EngineName, Prepared, Watch
    from remit.host.events import EngineDiverged
    from remit.host.shadow import Shadow
    from remit.host.stores import Store
    from remit.host.telemetry import Telemetry
    from remit.host.trust import Trusted
    from remit.ports import Clock, Judged
    from remit.records import Draft, Receipt


class Held(NamedTuple):
    """A head and its governance ready to decide, which belong together."""

    document: Document
    compiled: Prepared


CONTENDED_S = 5.0
"""How long turns are taken at a head after a move of it was lost."""
TURN_S = 2.0
"""How long a turn is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the embedder opened the agent with.

    Args:
        clock: time.
        backend: name of the only back-end entry to use, or None.
        environment: values over the document's own.
        functions: typed Python functions by tool name.
        servers: MCP servers in this process by name.
        folder: where modules and relative paths are found, or None.
        stand_ins: by back-end name, what answers in its place in a rehearsal; never set outside of one.
        notes_objects: whether what back-ends make at vendors is noted in a store that stays; where it is not,
            they may make nothing.
        engine: what decides.
        on_divergence: told when compiled policies decide otherwise than the reference engine.
        telemetry: told what happens; None where nobody measures.
        trust: whose signatures its heads need; None where the opener asked for none.
    """

    clock: Clock
    backend: str | None
    environment: Mapping[str, JsonValue]
    functions: Mapping[str, Callable[..., object]]
    servers: Mapping[str, object]
    folder: Path | None
    stand_ins: Mapping[str, BackendEntry] = field(default_factory=dict[str, "BackendEntry"])
    notes_objects: bool = True
    engine: EngineName = DEFAULT
    on_divergence: Callable[[EngineDiverged], None] | None = None
    telemetry: Telemetry | None = None
    trust: Trusted | None = None


class Agent:
    """One agent in one store."""

    def __init__(
        self,
        document: Document,
        store: Store,
        surroundings: Surroundings,
        *,
        owns_store: bool,
        noted_in: Store | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        self.store = store
        self.shadow = shadow
        # What is made at vendors outlives a rehearsal's own store, so it is noted in the real one.
        self.noted_in = noted_in or store
        self.surroundings = surroundings
        self._owns_store = owns_store
        self._lock = threading.Lock()
        self._noting = threading.Lock()
        self._diverged: dict[str, Kept] = {}
        self._watched: Watch | None = None
        self._closed = False
        self._contended_until_s = 0.0
        self._id = document.identity.agent
        self.ledger = watched(store, surroundings.telemetry, agent=self._id)
        self._held = Held(document, self.prepare(document))
        self._lineage = lineage_scopes(document, self.noted_in)
        self._watch()

    @property
    def id(self) -> str:
        """Agent id."""
        return self._id

    @property
    def rehearses(self) -> bool:
        """Whether its store is a rehearsal's own, not the one where orders and holds are noted."""
        return self.noted_in is not self.store

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes beyond the agent's own whose orders stop it: its lineage's and its tenant's."""
        return (*self._lineage, *tenant_scopes(self.document))

    @property
    def document(self) -> Document:
        """The head as last seen."""
        return self._held.document

    @property
    def compiled(self) -> Prepared:
        """The governance of `document`."""
        return self._held.compiled

    @property
    def held(self) -> Held:
        """The head as last seen and its governance."""
        return self._held

    @property
    def diverged(self) -> tuple[EngineDiverged, ...]:
        """The differences between the engines that this agent was told of, oldest first."""
        return tuple(kept.event for kept in self._diverged.values())

    @property
    def clock(self) -> Clock:
        """Time."""
        return self.surroundings.clock

    def refresh(self) -> Document:
        """Load the head again if another process or run moved it.

        Raises:
            LedgerError: the store cannot be read or lost the agent.
        """
        store = self.store
        head = store.head(self.id) if isinstance(store, HeadIndex) else dict(store.agents()).get(self.id)
        if head != self.document.identity.revision:
            return self.reload()
        self._heed_orders()
        return self.document

    def reload(self) -> Document:
        """Load and verify the head.

        Raises:
            LedgerError: the store cannot be read, lost the agent, or holds content that does not verify.
        """
        document = self.store.load(self.id)
        if document is None:
            raise LedgerError(f"the store has no agent `{self.id}`")
        self._adopt(document)
        return document

    def prepare(self, document: Document) -> Prepared:
        """Compile governance and choose what decides, without adopting it.

        Raises:
            DocumentError: the opener's trust policy does not trust it.
            PolicyError: it does not compile.
            LedgerError: the control state cannot be read.
        """
        if self.surroundings.trust is not None:
            self.surroundings.trust.require(document)
        return prepare(
            document,
            engine=self.surroundings.engine,
            control=self.store.control,
            # A rehearsal's own store is gone tomorrow.
            cache=cache_of(self.noted_in),
        )

    def _adopt(self, document: Document) -> None:
        known = self._held
        # Before the lock: decisions go on under the old head while the new one is made ready.
        compiled = known.compiled if _same_rules(document, known.document) else self.prepare(document)
        with self._lock:
            held = self._held
            # INVARIANT (heads): a store's head only ever gains operations.
            if len(document.lineage.operations) < len(held.document.lineage.operations):
                return
            # An order may have changed the engine meanwhile.
            newest = held.compiled if _same_rules(document, held.document) else compiled
            self._held = Held(document, newest)
        self._watch()

    def _heed_orders(self) -> None:
        """Leave compiled code where another process found it to differ."""
        held = self._held
        if held.compiled.watch is None:
            return
        order = self.store.control.in_force([scope_of_image(held.compiled.image.digest)])
        if order is None:
            return
        with self._lock:
            if self._held is held:
                reference = on_reference(held.compiled.image, order, cache=cache_of(self.store))
                reference = replace(reference, watched=held.compiled.watched)
                self._held = Held(held.document, reference)

    def _watch(self) -> None:
        watch = self._held.compiled.watch
        if watch is not None and watch is not self._watched:
            self._watched = watch
            watch.tell(self._note)
            for known in tuple(self._diverged.values()):
                known.record.result()

    def _note(self, image: str, difference: Divergence) -> None:
        """Keep a difference between the engines, once for each image."""
        with self._noting:
            if self._closed or image in self._diverged:
                return
            cache = cache_of(self.store)
            if cache is not None:
                cache.drop(engine_name(image))
            kept = keep(difference, self.store, agent=self.id, image=image, at=self.clock.now())
            self._diverged[image] = kept
        self._tell_difference(kept.event)
        # In service the record is not waited for: the deny's own record stands in line behind it.
        if self.surroundings.on_divergence is not None:
            self.surroundings.on_divergence(kept.event)

    def _tell_difference(self, event: EngineDiverged) -> None:
        telemetry = self.surroundings.telemetry
        if telemetry is not None:
            now_ns = telemetry.now_ns()
            telemetry.tell(
                Observation(
                    name="engine_diverged",
                    agent=self.id,
                    run="",
                    at_ns=now_ns,
                    began_ns=now_ns,
                    values={"when": event.when, "image": event.image, "action": event.action},
                )
            )

    async def submit(
        self, *records: Draft, run_state: RunState | None = None, settles: tuple[str, ...] = ()
    ) -> tuple[Receipt, ...]:
        """Make records durable.

        Raises:
            SettledError: an intent of `settles` has an outcome; nothing was written.
            LedgerError: they cannot be written; nothing was.
        """
        batch = Batch(records=records, run_state=run_state, settles=settles)
        return await asyncio.wrap_future(self.ledger.submit(batch))

    async def advance(
        self,
        child: Document,
        *records: Draft,
        put: tuple[Entry, ...] = (),
        erased: tuple[str, ...] = (),
        run_state: RunState | None = None,
        judged: Judged | None = None,
    ) -> tuple[Receipt, ...]:
        """Move the head from `document` to `child`, together with its records.

        Raises:
            HeadMovedError: somebody else moved it, or what it was judged by has grown; nothing was written.
            LedgerError: it cannot be written; nothing was.
        """
        expected = self.document.identity.revision
        batch = Batch(
            records=records,
            advance=Advance(expected=expected, document=child, put=put, erased=erased),
            run_state=run_state,
            judged=judged,
        )
        try:
            receipts = await asyncio.wrap_future(self.ledger.submit(batch))
        except HeadMovedError:
            self._contended_until_s = self.clock.monotonic_s() + CONTENDED_S
            raise
        self._adopt(child)
        return receipts

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Have the turn at the head, where moves of it were lost to others lately and the store knows turns.

        Who gets no turn within `TURN_S` goes on without: the compare-and-swap decides all the same.

        Raises:
            LedgerError: the head cannot be read.
        """
        store, began_s = self.store, self.clock.monotonic_s()
        if began_s > self._contended_until_s or not isinstance(store, HeadTurns):
            yield
            return
        taken = store.try_turn(self.id)
        while not taken and self.clock.monotonic_s() - began_s < TURN_S:
            await asyncio.sleep(random.uniform(0.001, 0.004))  # noqa: S311  # no secret: it spreads attempts
            taken = store.try_turn(self.id)
        try:
            if taken:
                self.reload()
            yield
        finally:
            if taken:
                store.end_turn(self.id)

    def close(self) -> None:
        """End shadow and telemetry, and close the store if this agent opened it; idempotent."""
        self._closed = True
        if self.surroundings.telemetry is not None:
            self.surroundings.telemetry.close()
        if self.shadow is not None:
            self.shadow.close()
        if self._owns_store:
            self._owns_store = False
            self.store.close()


def _same_rules(one: Document, other: Document) -> bool:
    return (
        one.governance is other.governance
        and one.capabilities is other.capabilities
        and one.memory.blocks is other.memory.blocks
    )
