"""One document on several back-ends: is the decision trace the same, line by line?

Rules
1. Every run is a dry run in a temporary store: tools do not run, and nothing of the user's is touched.
2. Unless it is the lead or all run live, a back-end over HTTP talks to a server on loopback that speaks its
   vendor's wire and says what the transcript says; adapter and vendor package are the real ones.
3. All runs see one instant, so that rules about time decide alike.
4. A back-end that can be given no words is not compared, and that is said, with the reason.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from remit.errors import EvaluationError, GovernanceError
from remit.host.agent import Agent
from remit.host.clock import SystemClock
from remit.host.events import BackendSkipped
from remit.host.loop import run_once
from remit.host.opening import known_backend, open_agent
from remit.testing.assistants_server import AssistantsServer
from remit.testing.loopback import LoopbackServer, Reply, SaidCall
from remit.workbench.transcript import Said, closed, heard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from remit.document.model import BackendEntry, Document
    from remit.document.values import JsonObject, JsonValue
    from remit.host.agent import Surroundings
    from remit.host.caller import Caller
    from remit.host.events import RunEvent
    from remit.host.results import RunResult, Step

How = Literal["lead", "live", "loopback", "transcript", "failed", "not compared"]
_FINISH = {"end": "stop", "tool_calls": "tool_calls", "length": "length", "refused": "content_filter"}
_NOT_OURS = ("base_url", "api_key_env", "api_version", "tool_mode", "calls_per_tool")
_FAST = {"max_retries": 0}
_LOOPBACK = ("openai-chat", "openai-responses", "anthropic", "google")
SPOKEN = (*_LOOPBACK, "openai-assistants", "scripted")
"""Adapters whose wire can be spoken to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One back-end of a comparison.

    Args:
        name: the document's name of it.
        adapter: its adapter.
        how: where its words came from; `failed` where the back-end did, so that its trace says nothing.
        status: how its run ended; the reason where it was not compared.
        steps: its decision trace.
        violations: where its wire left the vendor's description; empty where that was not checked.
        requests: how many requests its server saw; 0 where it has none of ours.
    """

    name: str
    adapter: str
    how: How
    status: str
    steps: tuple[Step, ...] = ()
    violations: tuple[str, ...] = ()
    requests: int = 0

    @property
    def compared(self) -> bool:
        """Whether there is a trace to compare."""
        return self.how not in ("failed", "not compared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison came to.

    Args:
        backends: in the document's order.
        said: what the model said in each of them, where it was written.
    """

    backends: tuple[Compared, ...]
    said: tuple[Said, ...]

    def lines(self) -> tuple[tuple[Step | None, ...], ...]:
        """Return the traces side by side, one tuple a line; None where a trace is shorter."""
        traces = [item.steps for item in self.backends if item.compared]
        longest = max((len(trace) for trace in traces), default=0)
        return tuple(
            tuple(trace[number] if number < len(trace) else None for trace in traces)
            for number in range(longest)
        )

    @property
    def equal(self) -> bool:
        """Whether no back-end failed, and at least two traces were compared and are equal, line by line."""
        compared = [item for item in self.backends if item.compared]
        failed = any(item.how == "failed" for item in self.backends)
        ends = {item.status for item in compared}
        alike = len(ends) == 1 and all(len(set(line)) == 1 for line in self.lines())
        return len(compared) > 1 and alike and self.asked and not failed

    @property
    def asked(self) -> bool:
        """Whether any back-end was asked for at all; a run that was denied before that compares nothing."""
        return any(step.action == "dispatch" for item in self.backends for step in item.steps)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        rows: list[JsonValue] = [
            {
                "name": item.name,
                "adapter": item.adapter,
                "how": item.how,
                "status": item.status,
                "requests": item.requests,
                "violations": [*item.violations],
                "steps": [step.to_json() for step in item.steps],
            }
            for item in self.backends
        ]
        return {"equal": self.equal, "lines": len(self.lines()), "backends": rows}


class _StillClock:
    """One instant for every run (rule 3); seconds pass all the same, so that limits hold."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._now = self._system.now()

    def now(self) -> str:
        """The instant at which the comparison began."""
        return self._now

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._system.monotonic_s()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is compared.

    Args:
        document: the agent.
        folder: its project folder.
        text: what the caller says.
        caller: on whose behalf.
        environment: values over the document's own.
        backends: names; empty for all of the document.
        said: what the model says; empty where the lead says it or all run live.
        lead: name of the back-end that runs for real, and whose proposals the others are given; may be empty.
        live: whether every back-end runs where its config points.
        truth: whether requests and answers are checked against the vendors' descriptions.
    """

    document: Document
    folder: Path
    text: str
    caller: Caller
    environment: Mapping[str, JsonValue]
    backends: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    lead: str = ""
    live: bool = False
    truth: bool = False


async def compare(plan: Plan, *, progress: Callable[[str], None] = lambda _: None) -> Comparison:
    """Run the agent once on each back-end and put the traces side by side.

    Args:
        plan: what is compared.
        progress: told the name of each back-end before it runs.

    Raises:
        DocumentError: a back-end does not exist in the document.
        EvaluationError: nothing says what the model says.
    """
    for name in (*plan.backends, *((plan.lead,) if plan.lead else ())):
        known_backend(plan.document, name)
    if not (plan.said or plan.lead or plan.live):
        raise EvaluationError(
            "nothing says what the model says: give a transcript or a lead, or run all live"
        )
    entries = [
        entry
        for entry in plan.document.capabilities.backends
        if not plan.backends or entry.name in (*plan.backends, plan.lead)
    ]
    with tempfile.TemporaryDirectory(prefix="remit-compare-") as folder:
        agent = open_agent(
            plan.document,
            store=Path(folder),
            backend=None,
            clock=_StillClock(),
            environment=dict(plan.environment),
            tools=(),
            folder=plan.folder,
            signer=None,
            mcp_servers={},
        )
        try:
            return await _compared(plan, agent, entries, progress)
        finally:
            agent.close()


async def _compared(
    plan: Plan, agent: Agent, entries: Sequence[BackendEntry], progress: Callable[[str], None]
) -> Comparison:
    said = plan.said
    done: dict[str, Compared] = {}
    first = sorted(entries, key=lambda entry: entry.name != plan.lead)
    for entry in first:
        if entry.adapter in SPOKEN or entry.name == plan.lead or plan.live:
            progress(entry.name)
        if entry.name == plan.lead or plan.live:
            how: How = "lead" if entry.name == plan.lead else "live"
            done[entry.name], own = await _run(plan, agent, entry, how)
            said = own if how == "lead" else said
        else:
            done[entry.name] = await _stood_in(plan, agent, entry, closed(said))
    return Comparison(backends=tuple(done[entry.name] for entry in entries), said=said)


async def _stood_in(plan: Plan, agent: Agent, entry: BackendEntry, said: tuple[Said, ...]) -> Compared:
    """Run on a stand-in that says what was said (rule 2)."""
    if entry.adapter == "scripted":
        script: list[JsonValue] = [turn.step() for turn in said]
        return (
            await _run(plan, _with(agent, replace(entry, config={"script": script})), entry, "transcript")
        )[0]
    with_files = [item.name for item in plan.document.capabilities.builtins if item.files]
    if with_files and entry.adapter == "openai-responses":
        reason = f"the server on loopback keeps no files, which `{with_files[0]}` needs; run it with `--live`"
        return Compared(name=entry.name, adapter=entry.adapter, how="not compared", status=reason)
    with ExitStack() as stack:
        server = _server(entry.adapter, said, truth=plan.truth)
        if server is None:
            reason = f"adapter `{entry.adapter}` has no wire that could be spoken to it; make it the lead"
            return Compared(name=entry.name, adapter=entry.adapter, how="not compared", status=reason)
        stack.enter_context(server)
        own = {name: value for name, value in entry.config.items() if name not in _NOT_OURS}
        base = server.root_url if entry.adapter in ("anthropic", "google") else server.base_url
        stand_in = replace(entry, config={**own, **_FAST, "base_url": base})
        compared, _ = await _run(plan, _with(agent, stand_in), entry, "loopback")
        return replace(
            compared,
            violations=tuple(str(item) for item in server.violations),
            requests=len(server.received),
        )


def _server(adapter: str, said: tuple[Said, ...], *, truth: bool) -> LoopbackServer | AssistantsServer | None:
    replies = [
        Reply(
            text=turn.text,
            calls=tuple(SaidCall(name=name, raw=raw) for name, raw in turn.calls),
            finish=_FINISH[turn.stop],
        )
        for turn in said
    ]
    if adapter in _LOOPBACK:
        return LoopbackServer(*replies, truth=truth)
    if adapter == "openai-assistants":
        return AssistantsServer(*replies, truth=truth)
    return None


def _with(agent: Agent, stand_in: BackendEntry) -> Agent:
    return _around(agent, replace(agent.surroundings, stand_ins={stand_in.name: stand_in}))


def _around(agent: Agent, surroundings: Surroundings) -> Agent:
    return Agent(agent.document, agent.store, surroundings, owns_store=False)


async def _run(plan: Plan, agent: Agent, entry: BackendEntry, how: How) -> tuple[Compared, tuple[Said, ...]]:
    events: list[RunEvent] = []
    if how in ("lead", "live"):
        # The store of a comparison goes with it; what a real vendor made would be left there unnoticed.
        agent = _around(agent, replace(agent.surroundings, notes_objects=False))
    try:
        result: RunResult = await run_once(
            agent,
            plan.text,
            caller=plan.caller,
            environment=dict(plan.environment),
            emit=events.append,
            dry_run=True,
            backend=entry.name,
        )
    except GovernanceError as error:
        failed = Compared(name=entry.name, adapter=entry.adapter, how="failed", status=str(error))
        return failed, heard(events)
    status = result.status if not result.reason else f"{result.status}: {result.reason}"
    if result.status == "failed" and any(isinstance(event, BackendSkipped) for event in events):
        return Compared(name=entry.name, adapter=entry.adapter, how="failed", status=result.reason), ()
    compared = Compared(name=entry.name, adapter=entry.adapter, how=how, status=status, steps=result.steps)
    return compared, heard(events)
