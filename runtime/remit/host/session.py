"""One actor before the gate: a run of the agent, or an operator at work on it.

Rules
1. Every question goes through `ask`: it builds the request from the scene, lets the gate answer and record,
   and
   adds the answer to the trace.
2. A head moved by somebody else is loaded, verified and compiled before the next question.
3. Counters are in the context of the question that they concern, and only ever grow.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from remit.gate.answers import Ask, AwaitingApproval, Content, Denial, Granted
from remit.gate.gate import Gate
from remit.gate.usage import COUNTERS, Usage
from remit.host.events import Decided, Revised, RunEvent
from remit.host.narration import Narrator
from remit.host.requests import Scene, agent_entity, build_request, caller_entity, context_digest
from remit.host.results import Step
from remit.records import Draft

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.engine.request import Entity, Request
    from remit.gate.approvals import ApprovalGrant
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.engines import Prepared
    from remit.permit import Effect

Emit = Callable[[RunEvent], None]
MAX_MOVES = 32
"""How often a decision is taken again because somebody else moved the head.

Two hosts that write without pause make each other lose now and then; five in a row was seen under load.
"""


def new_run_id() -> str:
    """Return a random run id."""
    return f"run-{secrets.token_hex(12)}"


def ignore(_: RunEvent) -> None:
    """Drop an event: nobody watches."""


def reasons(answer: Granted | Denial | AwaitingApproval) -> str:
    """Return the reason for people: the rules' own, else the gate's sentence."""
    if isinstance(answer, Granted):
        return ""
    if answer.because:
        return "; ".join(answer.because)
    return answer.message if isinstance(answer, Denial) else "a person must approve"


def _comparable(reference: str) -> str:
    """Return an entity reference without the id of a back-end or of an agent.

    INVARIANT (comparable traces): a step names neither, so that runs of documents that differ in their
    back-ends alone can be compared; the event and the record name both.
    """
    kind, mark, _ = reference.partition('::"')
    return kind if mark and kind.endswith(("::Agent", "::Backend")) else reference


class Session:
    """One actor before the gate."""

    def __init__(
        self,
        agent: Agent,
        caller: Caller,
        *,
        run: str,
        environment: JsonObject | None = None,
        emit: Emit = ignore,
        on_own_behalf: bool = False,
    ) -> None:
        self.agent = agent
        self.caller = caller
        self.run = run
        self.environment: dict[str, JsonValue] = {
            **agent.surroundings.environment,
            **(environment or {}),
        }
        telemetry = agent.surroundings.telemetry
        self.narrator = None if telemetry is None else Narrator(telemetry, emit, agent=agent, run=run)
        self.emit: Emit = self.narrator or emit
        self.usage = Usage()
        self.settled = Usage()
        self.steps: list[Step] = []
        self.turn = 0
        self._on_own_behalf = on_own_behalf
        self._gate: Gate | None = None
        self._gate_under: Prepared | None = None
        self._told = len(agent.diverged)

    @property
    def document(self) -> Document:
        """The head as last seen."""
        return self.agent.document

    @property
    def actor(self) -> Entity:
        """Who acts: the agent in a run, the caller in an operation of their own."""
        return self._actor(self.document)

    def _actor(self, document: Document) -> Entity:
        return caller_entity(self.caller) if self._on_own_behalf else agent_entity(document)

    def lifetime(self) -> Usage:
        """Return the counters of all runs, this one included."""
        saved = Usage.from_json(dict(self.document.execution_state.usage))
        return saved.with_all(self.unsettled())

    def unsettled(self) -> Usage:
        """Return what this run used and the document does not hold yet."""
        amounts = {name: self.usage.value_of(name) - self.settled.value_of(name) for name in COUNTERS}
        return Usage(**amounts)

    def tick(self) -> None:
        """Bring the wall time up to date; a run does, an operation has none."""

    def remaining_s(self) -> float:
        """Return how much wall time is left, in seconds; an operation has no limit of its own."""
        return math.inf

    def scopes(self) -> tuple[str, ...]:
        """Return the scopes whose orders stop this session."""
        return ("all", f"agent:{self.agent.id}", f"run:{self.run}", *self.agent.scopes)

    def gate(self) -> Gate:
        """Return the gate under the governance of the head."""
        return self.gate_under(self.agent.compiled)

    def gate_under(self, compiled: Prepared) -> Gate:
        """Return the gate under one governance."""
        if self._gate is None or self._gate_under is not compiled:
            self._gate = Gate(
                compiled.engine,
                compiled.image,
                self.agent.ledger,
                self.agent.store.control,
                self.agent.clock,
                agent=self.agent.id,
                run=self.run,
                scopes=self.agent.scopes,
            )
            self._gate_under = compiled
        return self._gate

    async def ask(
        self,
        action: str,
        *,
        resource: Entity,
        principal: Entity | None = None,
        given: JsonObject | None = None,
        content: Content = "",
        effect: Effect | None = None,
        target: str = "",
        parameters: JsonObject | None = None,
        approvals: tuple[ApprovalGrant, ...] = (),
        basis: str = "",
    ) -> Granted | Denial | AwaitingApproval:
        """Ask the gate one question and add its answer to the trace.

        Args:
            action: the Cedar action.
            resource: what is acted upon.
            principal: who acts; the session's actor where None.
            given: the context's `input`.
            content: exactly what would be done.
            effect: what an adapter will do under the permit; None where the host acts itself.
            target: the back-end's or tool's name.
            parameters: JSON Schema of the arguments.
            approvals: what people answered in this run.
            basis: digest of the declaration of the tool or back-end.
        """
        self.tick()
        # INVARIANT (one governance): question, answer and record are of one head, whatever moves meanwhile.
        document, compiled = self.agent.held
        scene = Scene(
            document=document,
            caller=self.caller,
            environment=self.environment,
            usage=self.usage,
            lifetime=self.lifetime(),
            run=self.run,
            now=self.agent.clock.now(),
        )
        request = build_request(
            scene,
            principal=principal or self._actor(document),
            action=action,
            resource=resource,
            given=given,
        )
        if self.narrator is not None:
            self.narrator.asked(compiled.image.digest)
        answer = await self.gate_under(compiled).aauthorize(
            Ask(
                request=request,
                revision=document.identity.revision,
                step=len(self.steps) + 1,
                content=content,
                effect=effect,
                target=target,
                parameters=parameters,
                approvals=approvals,
                basis=basis,
            )
        )
        if self.narrator is not None:
            self.narrator.answered(answer)
        self._tell_differences()
        shadow = self.agent.shadow
        if shadow is not None:
            shadow.offer(
                request,
                answer,
                approvals=approvals,
                document=document,
                image=compiled.image,
                watched=compiled.watched,
                run=self.run,
            )
        self._trace(request, answer)
        if isinstance(answer, Denial) and action != "continue":
            self.usage = self.usage.plus(denials=1)
        return answer

    def _tell_differences(self) -> None:
        differences = self.agent.diverged
        for event in differences[self._told :]:
            self.emit(event)
        self._told = len(differences)

    def _trace(self, request: Request, answer: Granted | Denial | AwaitingApproval) -> None:
        if isinstance(answer, Granted):
            verdict, kind, rules = "allow", "allowed", answer.decision.reasons
        elif isinstance(answer, Denial):
            verdict, kind, rules = "deny", answer.kind, answer.rules
        else:
            verdict, kind, rules = "awaiting_approval", "approval", answer.rules
        record = "" if answer.receipt is None else answer.receipt.digest
        self.note(
            request.action,
            str(request.resource.ref),
            principal=str(request.principal.ref),
            context=context_digest(request.context),
            verdict=verdict,
            kind=kind,
            rules=tuple(rules),
            because=reasons(answer),
            record=record,
        )

    def note(
        self,
        action: str,
        resource: str,
        *,
        verdict: str,
        kind: str,
        rules: tuple[str, ...],
        because: str,
        record: str,
        principal: str = "",
        context: str = "",
    ) -> None:
        """Add one recorded decision to the trace and tell those who watch."""
        number = len(self.steps) + 1
        self.steps.append(
            Step(
                step=number,
                principal=_comparable(principal or str(self.actor.ref)),
                action=action,
                resource=_comparable(resource),
                context=context,
                verdict=verdict,
                kind=kind,
                rules=rules,
                because=because,
            )
        )
        self.emit(
            Decided(
                step=number,
                action=action,
                resource=resource,
                verdict=verdict,
                kind=kind,
                rules=rules,
                because=because,
                record=record,
                turn=self.turn,
            )
        )

    def draft(self, kind: str, body: JsonObject, content: JsonValue = None) -> Draft:
        """Return a record of this session, at this instant."""
        from typing import cast

        from remit.records import RecordKind

        return Draft(
            kind=cast("RecordKind", kind),
            agent=self.agent.id,
            run=self.run,
            at=self.agent.clock.now(),
            body=body,
            content=content,
        )

    def revision_draft(self, parent: Document, child: Document, *, replaced: bool = False) -> Draft:
        """Return the record of a moved head.

        Args:
            parent: the head before.
            child: the head after.
            replaced: whether to keep the parent's governance and capabilities beside the record. The store
                holds heads alone, and decisions under the old rules are to be repeated later.
        """
        last = child.lineage.operations[-1]
        return self.draft(
            "revision",
            {
                "parent": parent.identity.revision,
                "child": child.identity.revision,
                "operation": last.operation,
                "actor": last.actor,
                "decision": last.decision,
                "lifecycle": child.execution_state.lifecycle,
            },
            {"governance": parent.governance.value, "capabilities": parent.capabilities.value}
            if replaced
            else None,
        )

    def revised(self, parent: Document, child: Document) -> None:
        """Tell those who watch that the head moved."""
        self.emit(
            Revised(
                operation=child.lineage.operations[-1].operation,
                parent=parent.identity.revision,
                revision=child.identity.revision,
                lifecycle=child.execution_state.lifecycle,
            )
        )
