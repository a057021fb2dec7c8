"""One agent in one store: its head, its compiled governance and what the embedder opened it with.

Rules
1. The store's head is the agent. A head that moved is loaded again, which verifies it again.
2. Governance is compiled once for each content; images are kept by the digest of what they come from.
3. The head moves by compare-and-swap alone; a lost swap writes nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remit.errors import LedgerError
from remit.messages import content_digest
from remit.ports import Advance, Batch, RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from remit.document.memory import Entry
    from remit.document.model import BackendEntry, Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.checked import Divergence
    from remit.engine.image import PolicyImage
    from remit.engine.port import Engine
    from remit.host.shadow import Shadow
    from remit.host.stores import Store
    from remit.ports import Clock
    from remit.records import Draft, Receipt

_KEPT_IMAGES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Governance ready to decide.

    Args:
        image: the enforced rules.
        engine: prepared from it.
        watched: whether there are rules of `mode: shadow` besides.
    """

    image: PolicyImage
    engine: Engine
    watched: bool = False


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
    """

    clock: Clock
    backend: str | None
    environment: Mapping[str, JsonValue]
    functions: Mapping[str, Callable[..., object]]
    servers: Mapping[str, object]
    folder: Path | None
    stand_ins: Mapping[str, BackendEntry] = field(default_factory=dict[str, "BackendEntry"])
    notes_objects: bool = True
    engine: EngineName = "cedar"


_IMAGES: OrderedDict[str, Compiled] = OrderedDict()
_IMAGES_LOCK = threading.Lock()


EngineName = Literal["cedar", "compiled"]
SAMPLE = 1000
"""Every so many decisions of the compiled engine are decided again by the reference."""


def compile_document(document: Document, *, engine: EngineName = "cedar") -> Compiled:
    """Compile governance, or return what was compiled from the same content before.

    Args:
        document: whose governance.
        engine: `cedar` is the reference; `compiled` is faster, and is checked against it at load and in
            service.

    Raises:
        PolicyError: it does not compile.
    """
    from remit.policy.compile import compile_governance, has_shadow_rules

    source: JsonObject = {
        "governance": document.governance.value,
        "capabilities": document.capabilities.value,
        "blocks": document.memory.value.get("blocks", []),
    }
    key = f"{engine} {content_digest(source)}"
    with _IMAGES_LOCK:
        known = _IMAGES.get(key)
        if known is not None:
            _IMAGES.move_to_end(key)
            return known
    image = compile_governance(document)
    compiled = Compiled(image=image, engine=prepare_engine(image, engine), watched=has_shadow_rules(document))
    with _IMAGES_LOCK:
        _IMAGES[key] = compiled
        while len(_IMAGES) > _KEPT_IMAGES:
            _IMAGES.popitem(last=False)
    return compiled


def prepare_engine(image: PolicyImage, name: EngineName) -> Engine:
    """Prepare an engine from an image; see `compile_document`."""
    if name == "cedar":
        from remit.engine.cedar import CedarEngine

        return CedarEngine(image)
    from remit.engine.checked import CheckedEngine

    return CheckedEngine(image, sample=SAMPLE, on_divergence=_diverged)


def _diverged(difference: Divergence) -> None:
    """Say that an image runs on the reference engine from now on; the decision itself was denied."""
    import structlog

    structlog.get_logger().error("engine_diverged", when=difference.when, action=difference.request.action)


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
        self._document = document
        self._compiled = compile_document(document, engine=surroundings.engine)
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """Agent id."""
        return self._document.identity.agent

    @property
    def document(self) -> Document:
        """The head as last seen."""
        return self._document

    @property
    def compiled(self) -> Compiled:
        """The governance of `document`."""
        return self._compiled

    @property
    def clock(self) -> Clock:
        """Time."""
        return self.surroundings.clock

    def refresh(self) -> Document:
        """Load the head again if another process or run moved it.

        Raises:
            LedgerError: the store cannot be read or lost the agent.
        """
        heads = dict(self.store.agents())
        if heads.get(self.id) == self._document.identity.revision:
            return self._document
        return self.reload()

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

    def _adopt(self, document: Document) -> None:
        with self._lock:
            known = self._document
            same = (
                document.governance is known.governance
                and document.capabilities is known.capabilities
                and document.memory.blocks is known.memory.blocks
            )
            if not same:
                self._compiled = compile_document(document, engine=self.surroundings.engine)
            self._document = document

    async def submit(self, *records: Draft, run_state: RunState | None = None) -> tuple[Receipt, ...]:
        """Make records durable.

        Raises:
            LedgerError: they cannot be written; nothing was.
        """
        batch = Batch(records=records, run_state=run_state)
        return await asyncio.wrap_future(self.store.submit(batch))

    async def advance(
        self,
        child: Document,
        *records: Draft,
        put: tuple[Entry, ...] = (),
        erased: tuple[str, ...] = (),
        run_state: RunState | None = None,
    ) -> tuple[Receipt, ...]:
        """Move the head from `document` to `child`, together with its records.

        Raises:
            HeadMovedError: somebody else moved it; nothing was written.
            LedgerError: it cannot be written; nothing was.
        """
        expected = self._document.identity.revision
        batch = Batch(
            records=records,
            advance=Advance(expected=expected, document=child, put=put, erased=erased),
            run_state=run_state,
        )
        receipts = await asyncio.wrap_future(self.store.submit(batch))
        self._adopt(child)
        return receipts

    def close(self) -> None:
        """End the shadow, and close the store if this agent opened it; idempotent."""
        if self.shadow is not None:
            self.shadow.close()
        if self._owns_store:
            self._owns_store = False
            self.store.close()
