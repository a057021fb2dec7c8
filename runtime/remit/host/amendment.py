"""Amending governance or capabilities: judged by the rules in force, and compiled before it is stored.

Rules
1. An amendment that a rule sends to approval waits as a run does: what is proposed, who proposes it and what
   waits become durable together with the head, whose lifecycle is then awaiting_approval.
2. What is decided and approved is the digest of exactly what is proposed (fields and reason), together with
   the digests of the fields that it replaces: another proposal, or an amendment in between, voids an
   approval.
3. Once people have answered, the first process that says so in the log asks again with their answers, and
   carries the amendment out once. A refusal ends it, also one by the clock, and is not asked anew, also where
   the head has moved since: who still wants the amendment proposes it again.
4. An amendment that was approved and whose head moved since it was decided is carried out on the new head
   only where rules and replaced fields are as they were and no order stands: its approval is used up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from remit.document.revision import revise
from remit.errors import EnforcementError, GovernanceError, HeadMovedError, LedgerError
from remit.gate.answers import AwaitingApproval, Denial, Granted
from remit.host.approvals import (
    grants_of,
    lapsed,
    record_lapses,
    requested,
    shown_pending,
    still_open,
    waits_for,
)
from remit.host.events import RunEnded, RunStarted
from remit.host.execution import answered_value, move, waiting_value
from remit.host.memory_operations import record_refusal
from remit.host.operations import answer_of, operation_session
from remit.host.recovery import first_to_go_on
from remit.host.requests import agent_entity, caller_entity
from remit.host.results import RunResult, RunStatus
from remit.host.session import MAX_MOVES, Emit, Session, reasons
from remit.host.thread import RunMemo
from remit.messages import content_digest
from remit.ports import RunState

if TYPE_CHECKING:
    from remit.document.model import Document
    from remit.document.values import JsonObject, JsonValue
    from remit.gate.approvals import ApprovalGrant
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.results import Answer, Pending
    from remit.records import Draft

PHASE = "amend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Exactly what is proposed.

    Args:
        fields: new values of `governance`, `capabilities`, or both.
        reason: why, in the author's words.
    """

    fields: dict[str, JsonObject]
    reason: str

    def to_json(self) -> JsonObject:
        """Return the proposal as a JSON object, the preimage of `digest`."""
        return {**self.fields, "reason": self.reason}

    @classmethod
    def from_json(cls, value: JsonObject) -> Proposal:
        """Read what `to_json` wrote.

        Raises:
            LedgerError: it is damaged.
        """
        reason = value.get("reason")
        fields = {
            name: field
            for name, field in value.items()
            if name in ("capabilities", "governance") and isinstance(field, dict)
        }
        if not isinstance(reason, str) or not fields or len(fields) != len(value) - 1:
            raise LedgerError("the saved proposal of an amendment cannot be read")
        return cls(fields=fields, reason=reason)

    def digest(self) -> str:
        """Digest of exactly what is proposed, `sha256:<hex>`."""
        return content_digest(self.to_json())

    def basis(self, head: Document) -> str:
        """Digest of the fields of `head` that it replaces, `sha256:<hex>`."""
        return content_digest({name: head.identity.fields[name] for name in sorted(self.fields)})

    def shown(self, head: Document) -> JsonObject:
        """Return what an approver is shown beside the proposal itself: which fields, and all digests."""
        changed: JsonObject = {
            name: {"from": head.identity.fields[name], "proposed": content_digest(self.fields[name])}
            for name in sorted(self.fields)
        }
        return {"fields": changed, "proposal": self.digest(), "reason": self.reason}

    def child(self, head: Document, session: Session, *, decision: str) -> Document:
        """Make the revision that it proposes.

        Raises:
            DocumentError: a new field is not valid.
        """
        return revise(
            head,
            operation="amend",
            actor=str(session.actor.ref),
            at=session.agent.clock.now(),
            decision=decision,
            governance=self.fields.get("governance"),
            capabilities=self.fields.get("capabilities"),
        )


async def amend(
    agent: Agent,
    *,
    by: Caller,
    reason: str,
    governance: JsonObject | None,
    capabilities: JsonObject | None,
) -> Answer:
    """Replace fields of the document; see `Runtime.amend`.

    Raises:
        DocumentError: a new field is not valid.
        PolicyError: the new governance does not compile.
        LedgerError: it cannot be recorded; nothing changed.
    """
    await asyncio.to_thread(agent.refresh)
    session = operation_session(agent, by)
    given: dict[str, JsonObject | None] = {"governance": governance, "capabilities": capabilities}
    proposal = Proposal(
        fields={name: value for name, value in given.items() if value is not None}, reason=reason
    )
    outcome = await _attempt(session, proposal)
    entity = agent_entity(session.document)
    if not isinstance(outcome, AwaitingApproval):
        return answer_of(session, outcome, action="amend", resource=str(entity.ref))
    memo = RunMemo(text="", caller=by, phase=PHASE, proposal=proposal.to_json())
    await _wait(session, memo, proposal, outcome)
    answer = answer_of(session, outcome, action="amend", resource=str(entity.ref))
    waiting: list[JsonValue] = [item.to_json() for item in memo.pending]
    return replace(answer, kind="awaiting_approval", value={"run": session.run, "pending": waiting})


async def _attempt(
    session: Session,
    proposal: Proposal,
    *,
    approvals: tuple[ApprovalGrant, ...] = (),
    memo: RunMemo | None = None,
) -> Granted | Denial | AwaitingApproval:
    """Ask, and carry out what is granted; with a memo, the amendment's run ends in the same transaction.

    Raises:
        EnforcementError: rule 4; nothing changed.
    """
    agent = session.agent
    fields: list[JsonValue] = [*sorted(proposal.fields)]
    granted: Granted | None = None
    basis = image = ""
    for _ in range(MAX_MOVES):
        parent = session.document
        if granted is None:
            # Validated first: what cannot be stored need not be decided.
            draft = proposal.child(parent, session, decision="")
            # Beside the loop: decisions under the old rules go on meanwhile.
            await asyncio.to_thread(agent.prepare, draft)
            image, basis = agent.compiled.image.digest, proposal.basis(parent)
            answer = await session.ask(
                "amend",
                resource=agent_entity(parent),
                given={"fields": fields},
                content=proposal.digest(),
                approvals=approvals,
                basis=basis,
            )
            if not isinstance(answer, Granted):
                return answer
            granted = answer
        head = session.document
        if granted.approvals:
            await asyncio.to_thread(_check_unchanged, session, proposal, basis=basis, image=image)
        elif head is not parent:
            granted = None
            continue
        child = proposal.child(head, session, decision=granted.receipt.digest)
        records = _records(session, head, child, memo)
        try:
            await agent.advance(child, *records, run_state=_state(session, memo, "completed"))
        except HeadMovedError:
            agent.reload()
            granted = granted if granted.approvals else None
            continue
        session.revised(head, child)
        return granted
    raise LedgerError(f"the agent's head moved {MAX_MOVES} times while `amend` was recorded")


def _check_unchanged(session: Session, proposal: Proposal, *, basis: str, image: str) -> None:
    head, compiled = session.agent.held
    if proposal.basis(head) != basis or compiled.image.digest != image:
        raise EnforcementError("the agent was amended while this amendment was decided: propose it again")
    if head.execution_state.lifecycle in ("suspended", "terminated"):
        raise EnforcementError(f"the agent is {head.execution_state.lifecycle}: propose the amendment again")
    stop = session.agent.store.control.in_force(session.scopes())
    if stop is not None:
        raise EnforcementError(f"`{stop.scope}` is under a {stop.order} order of `{stop.by}`: {stop.reason}")


# An amendment that waits.


async def _wait(session: Session, memo: RunMemo, proposal: Proposal, answer: AwaitingApproval) -> None:
    """Make the wait durable: what is proposed, what waits and the lifecycle, in one transaction (rule 1)."""
    resource = str(agent_entity(session.document).ref)
    memo.pending = shown_pending(answer, resource=resource, arguments=proposal.shown(session.document))
    unsettled = session.unsettled()
    session.settled = memo.settled = memo.usage = session.usage

    def records(child: Document) -> tuple[Draft, ...]:
        body = _body(session, "awaiting_approval", reasons(answer), child)
        return (session.draft("run", {**body, "proposal": proposal.digest()}, proposal.to_json()),)

    await move(
        session,
        operation="await_approval",
        decision=answer.receipt.digest,
        state=lambda head: waiting_value(head, session.run, answer.pending, unsettled=unsettled),
        records=records,
        run_state=_state(session, memo, "awaiting_approval"),
    )
    for item in memo.pending:
        session.emit(requested(item))


async def resume_amendment(agent: Agent, memo: RunMemo, run: str, emit: Emit) -> RunResult:
    """Go on with an amendment that waited; see `Runtime.resume_run`.

    Raises:
        EvaluationError: another process goes on with it.
        LedgerError: it cannot be recorded; nothing changed.
    """
    await asyncio.to_thread(agent.refresh)
    session = Session(agent, memo.caller, run=run, emit=emit, on_own_behalf=True)
    session.usage, session.settled, session.steps = memo.usage, memo.settled, list(memo.steps)
    grants = await asyncio.to_thread(grants_of, agent, run)
    open_ones = still_open(memo.pending, grants)
    if open_ones and not lapsed(agent, run, grants):
        return _result(session, "awaiting_approval", waits_for(open_ones), memo.pending)
    memo.pending = ()
    (receipt,) = await agent.submit(
        session.draft("run", _body(session, "running", "", session.document)),
        run_state=_state(session, memo, "running"),
    )
    await asyncio.to_thread(first_to_go_on, agent.store, run, receipt)
    session.emit(
        RunStarted(
            run=run,
            agent=agent.id,
            revision=session.document.identity.revision,
            caller=memo.caller.id,
            dry_run=False,
            resumed=True,
            at=agent.clock.now(),
        )
    )
    grants = await record_lapses(session, grants)
    await move(
        session,
        operation="resume",
        decision="",
        state=lambda head: answered_value(head, run, active=False),
    )
    try:
        # INVARIANT (exactly once): what waits is what was saved; a saved state that was changed is another
        # proposal, for which no approval counts.
        proposal = Proposal.from_json(memo.proposal)
        refusal = next((grant for grant in grants if not grant.approved), None)
        if refusal is not None:
            why = refusal.refusal()
            resource = str(agent_entity(session.document).ref)
            await record_refusal(session, "amend", resource, "approval_refused", why)
            return await _ended(session, memo, "denied", why)
        answer = await _attempt(session, proposal, approvals=grants, memo=memo)
        if isinstance(answer, AwaitingApproval):
            await _wait(session, memo, proposal, answer)
            return _result(session, "awaiting_approval", waits_for(memo.pending), memo.pending)
    except LedgerError as error:
        with suppress(LedgerError):
            await _ended(session, memo, "failed", str(error))
        raise
    except GovernanceError as error:
        return await _ended(session, memo, "failed", str(error))
    except BaseException:
        await asyncio.shield(_ended(session, memo, "failed", "the amendment was interrupted"))
        raise
    if isinstance(answer, Denial):
        return await _ended(session, memo, "denied", reasons(answer))
    return _result(session, "completed", "", ())


async def _ended(session: Session, memo: RunMemo, status: RunStatus, reason: str) -> RunResult:
    draft = session.draft("run", _body(session, status, reason, session.document))
    await session.agent.submit(draft, run_state=_state(session, memo, status))
    return _result(session, status, reason, ())


def _records(session: Session, parent: Document, child: Document, memo: RunMemo | None) -> tuple[Draft, ...]:
    moved = session.revision_draft(parent, child, replaced=True)
    if memo is None:
        return (moved,)
    return (moved, session.draft("run", _body(session, "completed", "", child)))


def _body(session: Session, status: str, reason: str, document: Document) -> JsonObject:
    return {
        "status": status,
        "reason": reason,
        "caller": str(caller_entity(session.caller).ref),
        "revision": document.identity.revision,
        "usage": session.usage.to_json(),
        "operation": "amend",
    }


def _state(session: Session, memo: RunMemo | None, status: str) -> RunState | None:
    if memo is None:
        return None
    memo.steps = list(session.steps)
    memo.usage = session.usage
    # Once it has ended, what was proposed lies in the ledger alone, where it can be erased.
    kept = memo if status in ("awaiting_approval", "running") else replace(memo, proposal={})
    return RunState(run=session.run, agent=session.agent.id, status=status, value=kept.to_json())


def _result(session: Session, status: RunStatus, reason: str, pending: tuple[Pending, ...]) -> RunResult:
    revision = session.document.identity.revision
    session.emit(
        RunEnded(
            run=session.run,
            status=status,
            reason=reason,
            text="",
            revision=revision,
            at=session.agent.clock.now(),
        )
    )
    return RunResult(
        status=status,
        run=session.run,
        agent=session.agent.id,
        revision=revision,
        text="",
        reason=reason,
        steps=tuple(session.steps),
        usage={name: int(str(value)) for name, value in session.usage.to_json().items()},
        pending=pending[0] if pending else None,
    )
