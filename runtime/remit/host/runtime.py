"""The runtime: one agent, one store, and everything that may be done with them.

    from remit import Caller, Runtime

    runtime = Runtime.open("refund-desk.agent.json", store=Path(".remit"))
    result = runtime.run("refund order 1007", caller=Caller(id="ann", roles=("clerk",)))

Rules
1. Nothing here acts but through the gate: every method that changes or reads the agent is a recorded
   decision.
2. A deny is a value: `RunResult.status` or `Answer.allowed`; exceptions are mistakes and broken worlds.
3. The store's head is the agent; the file that `open` was given is only its genesis (or an equal head).
4. The synchronous methods work inside a running event loop too: they then use a thread of their own.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from remit.document.model import Document
    from remit.document.trust import TrustRules
    from remit.document.values import JsonObject, JsonValue
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.engines import EngineName
    from remit.host.events import EngineDiverged, RunEvent, UnknownReported
    from remit.host.location import Location
    from remit.host.results import Answer, RunResult
    from remit.host.shadow import ShadowCounts
    from remit.host.stores import Store
    from remit.host.telemetry import TelemetryCounts
    from remit.host.unknown import Settled
    from remit.host.vendor_objects import Leftover, Sweep
    from remit.ports import Clock, Signer, TelemetrySink

_T = TypeVar("_T")


def _blocking(make: Callable[[], Coroutine[object, object, _T]]) -> _T:
    """Run a coroutine to its end from synchronous code, also inside a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    results: list[_T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(asyncio.run(make()))
        except BaseException as error:  # noqa: BLE001  # raised again in the waiting thread
            errors.append(error)

    thread = threading.Thread(target=body, name="remit-run")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Runtime:
    """One agent in one store. Open it with `Runtime.open`; close it, or use it in a `with` block."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    @classmethod
    def open(
        cls,
        source: str | Path | Document,
        *,
        store: str | Path | Location | Store = ".remit",
        backend: str | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, JsonValue] | None = None,
        tools: Sequence[Callable[..., object]] = (),
        folder: str | Path | None = None,
        signer: Signer | None = None,
        mcp_servers: Mapping[str, object] | None = None,
        engine: EngineName = "compiled",
        on_divergence: Callable[[EngineDiverged], None] | None = None,
        shadow: str | Path | Document | None = None,
        telemetry: Sequence[str | TelemetrySink] = (),
        telemetry_content: bool = False,
        trust: str | Path | TrustRules | None = None,
        signed: Sequence[Document] = (),
    ) -> Runtime:
        """Load, verify and compile an agent, and make sure that the store has it.

        Args:
            source: a document, or the path of one (`.agent.json`, `.yaml`, `.cbor`).
            store: a folder for the SQLite store, or an opened store.
            backend: name of the only back-end entry to use; None for the document's order of preference.
            clock: time; the system's where None.
            environment: values over the document's `governance.environment.values`.
            tools: typed Python functions by name, for sources `{"embedder": true}` and in place of `python`
                sources; for `embedder` a plain callable will do, too.
            folder: where `python` sources and relative paths are found; the document's own folder where None.
            signer: signs checkpoints where the store is a folder; a key kept in that folder where None.
            mcp_servers: servers in this process by name, for sources `{"mcp": {"server": name}}`.
            engine: what decides: `cedar`, the reference, or `compiled`, which is faster, and is checked
                against the reference at load and in service; `engine` says which one it came to.
            on_divergence: told when compiled policies decide otherwise than the reference. The decision in
                question is a deny, the difference is in the ledger, and the reference decides from then on.
            shadow: a document, or the path of one, that is evaluated beside every decision: what it would
                have answered is recorded and never enforced. Rules of `mode: shadow` need nothing here.
            telemetry: who is told what happens: `log`, `otel`, or sinks of your own, which stay yours to
                close. None of them can hold up or fail a run.
            telemetry_content: whether they are told what may be personal, too: callers, arguments, results
                and reasons.
            trust: whose signatures each field needs, or the path of such a policy (`.yaml`, `.json`). A
                document that is not signed so is refused, and so is every later head.
            signed: revisions of the agent that carry signatures, where `source` is a head that carries none;
                the first one is what was signed when the agent was opened for the first time.

        Raises:
            DocumentError: the document cannot be accepted, or `trust` does not trust it.
            PolicyError: its governance does not compile.
            EvaluationError: telemetry that was named is not installed.
            LedgerError: the store cannot be opened or holds another content for this agent.
        """
        from remit.host.opening import open_agent

        agent = open_agent(
            source,
            store=store,
            backend=backend,
            clock=clock,
            environment=dict(environment or {}),
            tools=tuple(tools),
            folder=None if folder is None else Path(folder),
            signer=signer,
            mcp_servers=dict(mcp_servers or {}),
            engine=engine,
            on_divergence=on_divergence,
            shadow=shadow,
            telemetry=telemetry,
            telemetry_content=telemetry_content,
            trust=trust,
            signed=signed,
        )
        return cls(agent)

    @property
    def document(self) -> Document:
        """The agent's head, freshly read and verified."""
        return self._agent.reload()

    @property
    def store(self) -> Store:
        """The store: ledger, agents and control state."""
        return self._agent.store

    @property
    def engine(self) -> str:
        """Which engine decides, and why, in one line for people."""
        return self._agent.compiled.status

    @property
    def shadow_counts(self) -> ShadowCounts | None:
        """What became of decisions offered to the shadow; None where nothing is watched."""
        shadow = self._agent.shadow
        return None if shadow is None or not shadow.counts.offered else shadow.counts

    @property
    def telemetry_counts(self) -> TelemetryCounts | None:
        """What became of observations so far; None where nobody measures."""
        telemetry = self._agent.surroundings.telemetry
        return None if telemetry is None else telemetry.counts

    def run(
        self,
        text: str,
        *,
        caller: Caller,
        environment: Mapping[str, JsonValue] | None = None,
        on_event: Callable[[RunEvent], None] | None = None,
        dry_run: bool = False,
        backend: str | None = None,
    ) -> RunResult:
        """Run the agent once on `text`, on behalf of `caller`, to its end or to an approval.

        Args:
            text: what the caller says.
            caller: on whose behalf; judged by the activation rules.
            environment: values over those of the document and of `open`, for this run.
            on_event: called with every event, in order, in the thread of the run.
            dry_run: evaluate and record in a temporary store, touch nothing.
            backend: name of the only back-end entry to use.

        Raises:
            LedgerError: what happened can not be recorded; nothing unrecorded was done.
        """
        return _blocking(
            lambda: self.arun(
                text,
                caller=caller,
                environment=environment,
                on_event=on_event,
                dry_run=dry_run,
                backend=backend,
            )
        )

    async def arun(
        self,
        text: str,
        *,
        caller: Caller,
        environment: Mapping[str, JsonValue] | None = None,
        on_event: Callable[[RunEvent], None] | None = None,
        dry_run: bool = False,
        backend: str | None = None,
    ) -> RunResult:
        """Do what `run` does, in the running event loop; cancelling records what was in flight."""
        from remit.host.loop import run_once

        return await run_once(
            self._agent,
            text,
            caller=caller,
            environment=dict(environment or {}),
            emit=on_event,
            dry_run=dry_run,
            backend=backend,
        )

    def stream(
        self,
        text: str,
        *,
        caller: Caller,
        environment: Mapping[str, JsonValue] | None = None,
        dry_run: bool = False,
        backend: str | None = None,
    ) -> AsyncIterator[RunEvent]:
        """Run as `arun` does and yield the events; closing the iterator cancels the run."""
        from remit.host.streaming import stream_events

        return stream_events(
            lambda emit: self.arun(
                text,
                caller=caller,
                environment=environment,
                on_event=emit,
                dry_run=dry_run,
                backend=backend,
            )
        )

    def resume_run(
        self,
        run: str,
        *,
        on_event: Callable[[RunEvent], None] | None = None,
        backend: str | None = None,
    ) -> RunResult:
        """Go on with a run that waited for an approval or was suspended, also in another process.

        Args:
            run: run id.
            on_event: called with every event, in order.
            backend: name of the only back-end entry to use; the run's own where None.

        Raises:
            EvaluationError: no such run, or the run has ended.
        """
        return _blocking(lambda: self.aresume_run(run, on_event=on_event, backend=backend))

    async def aresume_run(
        self,
        run: str,
        *,
        on_event: Callable[[RunEvent], None] | None = None,
        backend: str | None = None,
    ) -> RunResult:
        """Do what `resume_run` does, in the running event loop."""
        from remit.host.loop import resume_once

        return await resume_once(self._agent, run, emit=on_event, backend=backend)

    def stream_resume(self, run: str, *, backend: str | None = None) -> AsyncIterator[RunEvent]:
        """Go on as `aresume_run` does and yield the events."""
        from remit.host.streaming import stream_events

        return stream_events(lambda emit: self.aresume_run(run, on_event=emit, backend=backend))

    def approve(self, approval: str, *, by: Caller, reason: str, meaning: str = "approval") -> Answer:
        """Record that a person approves exactly the pending request; `resume_run` then goes on.

        Args:
            approval: the approval's id.
            by: who approves; must hold the role that the rule names and not be the run's own caller.
            reason: why, in the person's words; not empty.
            meaning: what the act means: review, approval, responsibility or authorship.
        """
        from remit.host.approvals import settle

        return _blocking(
            lambda: settle(self._agent, approval, by=by, reason=reason, meaning=meaning, approved=True)
        )

    def refuse(self, approval: str, *, by: Caller, reason: str, meaning: str = "approval") -> Answer:
        """Record that a person refuses the pending request; `resume_run` gives the model a denial."""
        from remit.host.approvals import settle

        return _blocking(
            lambda: settle(self._agent, approval, by=by, reason=reason, meaning=meaning, approved=False)
        )

    def suspend(self, *, by: Caller, reason: str) -> Answer:
        """Suspend the agent: no effect of it is allowed until `resume`."""
        from remit.host.lifecycle import suspend

        return _blocking(lambda: suspend(self._agent, by=by, reason=reason))

    def resume(self, *, by: Caller, reason: str) -> Answer:
        """Lift a suspension of the agent; its suspended runs go on with `resume_run`."""
        from remit.host.lifecycle import resume

        return _blocking(lambda: resume(self._agent, by=by, reason=reason))

    def terminate(self, *, by: Caller, reason: str) -> Answer:
        """End the agent for good: nothing is allowed on a terminated agent."""
        from remit.host.lifecycle import terminate

        return _blocking(lambda: terminate(self._agent, by=by, reason=reason))

    def kill(self, scope: str | None = None, *, by: Caller, reason: str) -> Answer:
        """Stop effects at once, also in other processes.

        Args:
            scope: `all`, `agent:<id>`, `lineage:<agent id>`, `tenant:<name>`, `run:<id>`, `tool:<name>` or
                `backend:<name>`; this agent where None.
                `engine:compiled-<format>:<image digest>` stops no effect: it keeps an image's policies from
                running compiled, so that the reference decides.
            by: who stops; judged by the rules on `terminate`.
            reason: why.

        Returns:
            The answer; its `value` lists the effects that had begun and have no outcome yet
            (`remit.host.in_flight`).
        """
        from remit.host.lifecycle import kill

        return _blocking(lambda: kill(self._agent, scope, by=by, reason=reason))

    def remember(
        self, block: str, value: JsonValue, *, by: Caller, key: str | None = None, subject: str = ""
    ) -> Answer:
        """Write a memory on the caller's own behalf; `Answer.value` is the entry's id."""
        from remit.host.memory_access import MemoryAccess

        return _blocking(
            lambda: MemoryAccess(self._agent, by).remember(block, value, key=key, subject=subject)
        )

    def recall(self, block: str, *, by: Caller, subject: str = "") -> Answer:
        """Read a block's entries; `Answer.value` is a list of `{entry, key, value, subject}`."""
        from remit.host.memory_access import MemoryAccess

        return _blocking(lambda: MemoryAccess(self._agent, by).recall(block, subject=subject))

    def revise(self, block: str, entry: str, value: JsonValue, *, by: Caller) -> Answer:
        """Replace an entry's value.

        Args:
            block: the block's name.
            entry: the entry's id or key.
            value: conforms to the block's schema.
            by: who.
        """
        from remit.host.memory_access import MemoryAccess

        return _blocking(lambda: MemoryAccess(self._agent, by).revise(block, entry, value))

    def erase(self, block: str, *, by: Caller, entry: str = "", subject: str = "") -> Answer:
        """Erase one entry, or all entries of a data subject in a block; `Answer.value` lists the ids."""
        from remit.host.memory_access import MemoryAccess

        return _blocking(lambda: MemoryAccess(self._agent, by).erase(block, entry=entry, subject=subject))

    def export(self, block: str, *, by: Caller, subject: str = "") -> Answer:
        """Read a block's entries in full (author, time, commitment and salt too), for portability."""
        from remit.host.memory_access import MemoryAccess

        return _blocking(lambda: MemoryAccess(self._agent, by).export(block, subject=subject))

    def amend(
        self,
        *,
        by: Caller,
        reason: str,
        governance: JsonObject | None = None,
        capabilities: JsonObject | None = None,
    ) -> Answer:
        """Replace governance or capabilities; judged by the rules in force, compiled before it is stored.

        Where a rule asks for an approval, `Answer.kind` is `awaiting_approval` and `Answer.value` holds `run`
        and `pending`; once another person has approved, `resume_run` carries exactly this amendment out.

        Args:
            by: who proposes it; can never approve it.
            reason: why, in their own words; part of what is approved.
            governance: the new field, whole.
            capabilities: the new field, whole.

        Raises:
            DocumentError: a new field is not valid.
            PolicyError: the new governance does not compile.
        """
        from remit.host.amendment import amend

        return _blocking(
            lambda: amend(self._agent, by=by, reason=reason, governance=governance, capabilities=capabilities)
        )

    def unknown(self) -> tuple[UnknownReported, ...]:
        """Return effects that began and of which nobody knows what became, oldest first; none is repeated."""
        from remit.host.recovery import find_unknown

        return find_unknown(self._agent)

    def settle_unknown(self, intent: str, *, happened: bool, by: Caller, reason: str) -> Settled:
        """Record what a person found out about an effect of `unknown`; durable when this returns.

        Args:
            intent: the digest of its intent (`UnknownReported.intent`), or a unique beginning of it.
            happened: whether it happened.
            by: who looked.
            reason: how they know; it stays in the log.

        Raises:
            EvaluationError: no such effect is unknown, it is settled, or nobody or no reason is given.
            LedgerError: it cannot be recorded.
        """
        from remit.host.recovery import run_lives
        from remit.host.unknown import settle_unknown

        store = self._agent.store
        return settle_unknown(
            store,
            intent,
            happened=happened,
            by=by.id,
            reason=reason,
            at=self._agent.clock.now(),
            lives=lambda run: run_lives(store, run),
        )

    def repeat_unknown(self, intent: str, *, by: Caller, reason: str) -> Answer:
        """Call the tool of an effect of `unknown` again, with its key, where it declares itself idempotent.

        The rules in force decide, on behalf of `by`. Where the call was ok the effect is settled as happened.

        Args:
            intent: the digest of its intent (`UnknownReported.intent`), or a unique beginning of it.
            by: who asks for it.
            reason: why.

        Raises:
            EvaluationError: no such effect is unknown, the tool does not declare itself idempotent, or its
                arguments were erased; nothing was called.
            AdapterError: the tool cannot be opened; nothing was called.
            LedgerError: something cannot be recorded.
        """
        from remit.host.repeating import repeat_unknown

        return _blocking(lambda: repeat_unknown(self._agent, intent, by=by, reason=reason))

    def leftovers(self, *, run: str = "") -> tuple[Leftover, ...]:
        """Return what back-ends made at vendors and is not known to be gone, oldest first.

        Args:
            run: of this run alone; else of every run of the agent that does not live any more.
        """
        from remit.host.vendor_objects import find_leftovers

        return find_leftovers(self._agent.store, agent=self._agent.id, run=run)

    def sweep(self) -> Sweep:
        """Delete what crashed runs left at vendors; see `remit.host.vendor_objects`."""
        from remit.host.vendor_objects import sweep

        agent = self._agent
        return _blocking(
            lambda: sweep(agent.store, agent.clock, folder=agent.surroundings.folder, agent=agent.id)
        )

    def close(self) -> None:
        """Hand over what telemetry holds, and close a store that `open` opened; idempotent."""
        self._agent.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
