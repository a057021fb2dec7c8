"""The seams: Protocols of one to four methods, nothing else.

Every adapter of a port passes its published contract.

Contract suites: `remit.testing.backend_contract`, `store_contract`, `telemetry_contract`,
`timestamp_contract`, `tool_contract`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from remit.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from remit.document.memory import Entry
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.messages import Turn, TurnEvent
    from remit.observations import Observation
    from remit.permit import Permit
    from remit.records import Draft, Receipt, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """The agent's head moves from `expected` to `document` in the transaction that records it.

    Args:
        expected: revision the head must still have.
        document: the child revision, whole (structure-sharing makes that cheap).
        put: entries written or replaced since `expected`.
        erased: ids of entries whose key, salt and payload are dropped.
    """

    expected: str
    document: Document
    put: tuple[Entry, ...] = ()
    erased: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run's own durable state, so that it can go on in another process.

    Args:
        run: run id.
        agent: agent id.
        status: running, awaiting_approval, suspended, or one of the final states.
        value: the host's thread, counters and pending calls as JSON.
    """

    run: str
    agent: str
    status: str
    value: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How far records were read before something was judged by them.

    Args:
        run: run name of those records.
        size: index after the newest of them; 0 where there was none.
    """

    run: str
    size: int


class Batch(Value, frozen=True, kw_only=True):
    """What becomes durable together or not at all.

    Args:
        records: appended in order.
        advance: head move by compare-and-swap; a lost swap writes nothing and raises `HeadMovedError`.
        run_state: saved with them.
        create: a new agent's document; raises `LedgerError` if the agent exists with other content.
        settles: digests of intents that must still be without an outcome; where one has any, nothing is
            written and `SettledError` is raised. For those who settle what another process left.
        judged: what it was judged by; where later records of that run name lie in the log, nothing is
            written and `HeadMovedError` is raised.
    """

    records: tuple[Draft, ...]
    advance: Advance | None = None
    run_state: RunState | None = None
    create: Document | None = None
    settles: tuple[str, ...] = ()
    judged: Judged | None = None


@runtime_checkable
class Clock(Protocol):
    """Time as a parameter."""

    def now(self) -> str:
        """RFC 3339 UTC time with milliseconds."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


@runtime_checkable
class Signer(Protocol):
    """Signs checkpoints and manifests with Ed25519; the private key stays inside."""

    @property
    def name(self) -> str:
        """Key name, as in a C2SP signed note."""
        ...

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519 signature."""
        ...


KeyUse = Literal["memory", "ledger"]
"""What a subject's key seals: entries of the agent's memory, or what lies beside records of the ledger."""


class KeyOwner(NamedTuple):
    """Whom a key is about: a data subject, as one agent knows them, for one use."""

    agent: str
    subject: str
    use: KeyUse


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectKey:
    """A key under which a store seals what it keeps about one data subject.

    Args:
        name: 32 hexadecimal digits, random; it stands beside what is sealed and tells nothing of the subject.
        secret: 32 random bytes, for AES-256-GCM.
    """

    name: str
    secret: bytes = field(repr=False)


@runtime_checkable
class SubjectKeys(Protocol):
    """Keeps the keys of data subjects, apart from what is sealed under them; destroying one erases a person.

    A store calls `obtain` and `destroy` only while it holds its own writing lock, so that of a writer and an
    eraser one comes after the other. Every change is durable when its method returns.
    """

    @property
    def id(self) -> str:
        """What this set of keys is called; a store that was written with one refuses any other.

        Raises:
            LedgerError: the keys cannot be reached, or there are none yet.
        """
        ...

    def obtain(self, owners: Collection[KeyOwner], *, make: bool) -> Mapping[KeyOwner, SubjectKey]:
        """The keys of these owners; with `make` new ones where there are none, else those that there are.

        Raises:
            LedgerError: the keys cannot be reached; nothing may be written without them.
        """
        ...

    def held(self, names: Collection[str]) -> Mapping[str, bytes | None]:
        """The secrets of these keys, None for one that was destroyed; one that was never here is left out.

        Raises:
            LedgerError: the keys cannot be reached; callers refuse to read.
        """
        ...

    def destroy(self, names: Collection[str]) -> None:
        """Forget these keys for good, but not that they were here; one that is gone stays gone.

        Raises:
            LedgerError: it cannot be done, or it is not known whether all traces are gone; try again.
        """
        ...


@runtime_checkable
class Ledger(Protocol):
    """The append-only record; group commit, durable when the future resolves."""

    def submit(self, batch: Batch) -> Future[tuple[Receipt, ...]]:
        """Queue a batch; the future resolves after COMMIT.

        Raises (through the future):
            HeadMovedError: the batch's compare-and-swap lost, or what it was judged by has grown; nothing
                was written.
            SettledError: an intent that it settles has an outcome; nothing was written.
            LedgerError: the record cannot be written; nothing was written.
        """
        ...

    def records(self, *, agent: str = "", run: str = "", start: int = 0) -> Iterator[Record]:
        """Iterate over durable records in log order, optionally of one agent or run."""
        ...


@runtime_checkable
class PromptLedger(Protocol):
    """What a ledger may have besides: it commits in the thread of a caller that would only wait."""

    def commit(self, batch: Batch, *, timeout_s: float) -> tuple[Receipt, ...]:
        """Like `submit`, and wait: durable when this returns.

        Args:
            batch: as for `submit`.
            timeout_s: seconds to wait for others; a commit that has begun is waited for.

        Raises:
            HeadMovedError: the batch's compare-and-swap lost, or what it was judged by has grown; nothing
                was written.
            LedgerError: the record cannot be written, or it is not known in time whether it was.
        """
        ...


@runtime_checkable
class ClaimIndex(Protocol):
    """What a ledger may have besides: claims on approvals, found without reading the log from its start."""

    def first_claim(self, agent: str, approval: str) -> int | None:
        """The index of the first durable decision of `agent` that consumed `approval`, or None.

        Raises:
            LedgerError: the log cannot be read; callers deny.
        """
        ...


@runtime_checkable
class AgentStore(Protocol):
    """Current documents and resumable runs."""

    def load(self, agent: str) -> Document | None:
        """The head document of an agent id, or None."""
        ...

    def agents(self) -> Sequence[tuple[str, str]]:
        """`(agent id, head revision)` of every agent."""
        ...

    def load_run(self, run: str) -> RunState | None:
        """A run's saved state, or None."""
        ...

    def runs(self, *, agent: str = "", status: str = "") -> Sequence[RunState]:
        """Saved runs, newest first."""
        ...


@runtime_checkable
class HeadIndex(Protocol):
    """What a store may have besides: one agent's head without a list of all agents."""

    def head(self, agent: str) -> str | None:
        """The head revision of an agent id, or None.

        Raises:
            LedgerError: the store cannot be read.
        """
        ...


@runtime_checkable
class HeadTurns(Protocol):
    """What a store of many hosts may have besides: turns at moving an agent's head.

    A courtesy that spares hosts lost attempts; what keeps a head from forking is the compare-and-swap alone.
    """

    def try_turn(self, agent: str) -> bool:
        """Take the turn at an agent's head if nobody has it; never waits, never raises."""
        ...

    def end_turn(self, agent: str) -> None:
        """Give the turn back; never raises."""
        ...


SCOPE_KINDS = ("agent", "lineage", "tenant", "run", "tool", "backend", "engine")
"""What an order can be about, beside `all`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A standing order against effects.

    Args:
        scope: `all`, or one of `SCOPE_KINDS` and what it names: `agent:<id>`, `lineage:<agent id>` (that
            agent and all its forks), `tenant:<name>`, `run:<id>`, `tool:<name>`, `backend:<name>`; or what
            stops compiled policies alone, `engine:compiled-<format>:<image digest>`.
        order: kill (final until re-armed) or suspend.
        by: who gave it.
        reason: why.
        at: when.
    """

    scope: str
    order: str
    by: str
    reason: str
    at: str


@runtime_checkable
class ControlState(Protocol):
    """Kill and suspend, in a place of their own so that load cannot delay them."""

    def stop(self, order: Stop) -> None:
        """Make an order durable before returning."""
        ...

    def lift(self, scope: str, *, by: str, reason: str, at: str) -> bool:
        """Withdraw the order on `scope`; False if there was none."""
        ...

    def in_force(self, scopes: Sequence[str]) -> Stop | None:
        """The first order that stands on any of `scopes` (a kill before a suspend), or None.

        Raises:
            LedgerError: the state cannot be read; callers deny.
        """
        ...


@runtime_checkable
class GlancedControl(Protocol):
    """What a control state may have besides, where asking it is not free."""

    def glance(self, scopes: Sequence[str]) -> Stop | None:
        """Like `in_force`, at most a second late.

        For watching over what is under way, never for deciding whether an effect may begin.

        Raises:
            LedgerError: the state cannot be read; callers stop what they watch over.
        """
        ...


@runtime_checkable
class SealedCache(Protocol):
    """What a store may have as `cache`: a place for what can be made again, some of it code.

    What comes back under a name is what whoever holds the store's key kept under it on this machine.
    No method raises: what cannot be read is not there, and what cannot be written is not kept.
    """

    def kept(self, name: str) -> bytes | None:
        """What was kept under a name, or None."""
        ...

    def keep(self, name: str, content: bytes) -> None:
        """Keep something, in the place of what was there; or do not."""
        ...

    def has(self, name: str) -> bool:
        """Whether something seems to be kept under a name, without reading it."""
        ...

    def drop(self, name: str) -> None:
        """Forget what is kept under a name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDescription:
    """A tool as its source describes it."""

    name: str
    description: str
    parameters: JsonObject


class Invocation(Value, frozen=True, kw_only=True):
    """Exactly what a tool runner may run; a `call_tool` permit is bound to its digest.

    Args:
        tool: the tool's name in the document.
        arguments: after redaction.
        key: idempotency key.
    """

    tool: str
    arguments: JsonObject
    key: str

    def digest(self) -> str:
        """`sha256:<hex>` over the RFC 8785 form."""
        from remit.messages import content_digest

        return content_digest({"arguments": self.arguments, "key": self.key, "tool": self.tool})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool gave back.

    Args:
        ok: False where the tool reported an error of its own.
        value: JSON; for errors `{"error": text}` without a traceback.
    """

    ok: bool
    value: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """What a tool source may know of its surroundings when it is opened.

    Args:
        folder: folder of the project or document, where `python` modules and relative paths are found.
        environment: environment variables, for those that a source names.
        functions: typed Python functions by tool name that the embedder passed in.
        servers: MCP servers in this process by name.
    """

    folder: Path | None
    environment: Mapping[str, str]
    functions: Mapping[str, Callable[..., object]]
    servers: Mapping[str, object]


@runtime_checkable
class ToolSource(Protocol):
    """Runs tools, only under a permit."""

    async def describe(self) -> tuple[ToolDescription, ...]:
        """The tools it offers."""
        ...

    async def call(self, permit: Permit, invocation: Invocation) -> ToolResult:
        """Redeem the permit for exactly `invocation` and run it.

        Raises:
            PermitError: no valid permit; nothing ran.
            AdapterError: the source failed; the outcome is unknown unless it says otherwise.
        """
        ...

    async def close(self) -> None:
        """Release everything; idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """What a back-end is, for the ledger."""

    adapter: str
    provider: str
    region: str
    model: str
    detail: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorObject:
    """Something on a vendor's side that was made for a run and must not outlive it.

    Args:
        kind: the vendor's word: assistant, thread, file, vector_store …
        tag: random text by which it can be found again; it stands in the object's own metadata or name.
        id: the vendor's id; empty until it is known.
        recent: in a sweep: whether it was planned so recently that the request that makes it may still be
            under way at the vendor, so that its absence proves nothing yet.
    """

    kind: str
    tag: str
    id: str = ""
    recent: bool = False


@runtime_checkable
class ObjectRegister(Protocol):
    """What was made on a vendor's side, durably, so that a crash leaves nothing behind unnoticed.

    Each method returns once its record is durable. An adapter calls `planned` before it asks for an object,
    `made` before it uses it, and `gone` when the vendor says that it is deleted or never was.
    """

    @property
    def answers(self) -> Path | None:
        """Folder that stays as long as the register, for answers that must outlive the process that asked.

        A file in it is named by the object's tag and a suffix; settling the object by hand removes it.
        None where nothing stays: then an object that cannot be listed may be lost with its process.
        """
        ...

    async def planned(self, thing: VendorObject) -> None:
        """Record that `thing` is about to be made; its `id` is empty.

        Raises:
            LedgerError: it cannot be recorded; the object must not be made.
        """
        ...

    async def made(self, thing: VendorObject) -> None:
        """Record the vendor's id of `thing`.

        Raises:
            LedgerError: it cannot be recorded; the object must be deleted.
        """
        ...

    async def gone(self, thing: VendorObject) -> None:
        """Record that `thing` does not exist any more.

        Raises:
            LedgerError: it cannot be recorded; a sweep will look for it again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendContext:
    """What an adapter may know of its surroundings when it is opened.

    Args:
        folder: folder against which relative paths are resolved; None refuses them.
        environment: environment variables, for secrets that a config names (`api_key_env`).
        models: folder of model weights, one file `<sha256>.gguf` each.
        register: where an adapter notes what it makes on the vendor's side.
    """

    folder: Path | None
    environment: Mapping[str, str]
    models: Path
    register: ObjectRegister


@runtime_checkable
class Backend(Protocol):
    """Stateless inference."""

    @property
    def info(self) -> BackendInfo:
        """What it is."""
        ...

    def infer(self, permit: Permit, turn: Turn) -> AsyncIterator[TurnEvent]:
        """Redeem the permit for exactly `turn` and stream the answer, ending with one `TurnEnd`.

        Closing the iterator cancels the inference.

        Raises (while iterating):
            PermitError: no valid permit; nothing was sent.
            AdapterError: the back-end failed, also in the middle of a stream.
        """
        ...

    async def dispose(self) -> None:
        """Delete everything made on the vendor's side and release local resources; idempotent."""
        ...


@runtime_checkable
class Sweeper(Protocol):
    """A back-end whose vendor keeps objects: it can look for what a crash left there."""

    async def sweep(self, left: Sequence[VendorObject]) -> tuple[str, ...]:
        """Delete what is left of earlier runs, noting each in the register.

        Args:
            left: what was planned or made and is not known to be gone.

        Returns:
            One sentence for each object of which it cannot be said whether it still exists.

        Raises:
            AdapterError: the vendor cannot be reached or refuses.
        """
        ...


@runtime_checkable
class TelemetrySink(Protocol):
    """Whoever measures: told every observation, in order, by one thread of its own.

    What it raises and how long it takes never reaches a run: see `remit.host.telemetry`.
    """

    def observe(self, observation: Observation) -> None:
        """Take one observation; names that it does not know are to be ignored."""
        ...

    def close(self) -> None:
        """Hand over what is held back; idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """What a time-stamping authority signed about some bytes: they existed at this time.

    Args:
        at: RFC 3339 UTC time with milliseconds, as the authority's clock had it.
        accuracy_us: by how many microseconds the clock may be wrong, as the authority says; None where it
            does not say.
        authority: subject of the certificate that signed, as RFC 4514 writes names.
        policy: object identifier of the authority's policy, dotted.
        serial: the authority's number of this timestamp.
    """

    at: str
    accuracy_us: int | None
    authority: str
    policy: str
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTimestamp:
    """A response that shows no time of these bytes.

    Args:
        message: why, lower case, no full stop.
        readable: whether it is a response of an authority at all.
    """

    message: str
    readable: bool = True


@runtime_checkable
class Timestamping(Protocol):
    """Asks a time-stamping authority and checks its response, both offline: what lies between is a file."""

    def request(self, data: bytes, *, algorithm: str) -> bytes:
        """Return a request to time-stamp `data`; it holds a digest of them and a new nonce.

        Args:
            data: the bytes, not empty.
            algorithm: `sha256` or `sha512`.

        Raises:
            AdapterError: no such algorithm.
        """
        ...

    def verify(
        self, response: bytes, data: bytes, *, authorities: Sequence[bytes]
    ) -> Timestamp | NoTimestamp:
        """Check a response, at the time that it shows.

        Args:
            response: as the authority sent it.
            data: the bytes that it must be about.
            authorities: files of certificates that the verifier trusts, PEM or DER; at least one.

        Raises:
            AdapterError: a certificate cannot be read.
        """
        ...
