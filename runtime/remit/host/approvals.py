"""Approvals: what waits, who may answer, and the record of the answer.

Rules
1. Only what the document lists as pending can be answered, once.
2. The person holds the role that the rule names and is not the caller of the run (segregation of duties).
3. The answer is an `approval` record bound to the digest of exactly the request; the gate judges it again.
4. An attempt that does not count is recorded as a denied decision, never as an approval.
5. From its `until` on, nobody can answer an approval. Whoever goes on with the run then records that it
   lapsed, as a refusal by `CLOCK`, so that it ends the wait as a person's refusal does. An answer that is in
   the log before that record outweighs it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, cast

from remit.document.instants import is_reached
from remit.document.model import PendingApproval
from remit.document.persons import same_person
from remit.errors import EvaluationError
from remit.gate.approvals import CLOCK, MEANINGS, ApprovalGrant, meaning_of
from remit.host.events import ApprovalRequested
from remit.host.memory_operations import record_refusal
from remit.host.operations import operation_session
from remit.host.results import Answer, Pending
from remit.host.thread import RunMemo
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.values import JsonObject
    from remit.gate.answers import AwaitingApproval
    from remit.gate.approvals import Meaning
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.session import Session

_Waiting = TypeVar("_Waiting", Pending, PendingApproval)


def grants_of(agent: Agent, run: str) -> tuple[ApprovalGrant, ...]:
    """Return what people answered in a run, in log order, and what lapsed before (rule 5)."""
    grants: list[ApprovalGrant] = []
    answered: set[str] = set()
    for record in agent.store.records(run=run):
        if record.value.get("kind") == "approval":
            grant = ApprovalGrant.from_json(cast("JsonObject", record.value["body"]))
            if not (grant.lapsed and grant.id in answered):
                grants.append(grant)
            answered.add(grant.id)
    return tuple(grants)


def shown_pending(answer: AwaitingApproval, *, resource: str, arguments: JsonObject) -> tuple[Pending, ...]:
    """Return what a run waits for, with what would be done."""
    return tuple(
        Pending(
            id=item.id,
            action=item.action,
            resource=resource,
            arguments=arguments,
            by=item.by,
            rules=item.rules,
            because=item.because,
            until=item.until,
        )
        for item in answer.pending
    )


def requested(item: Pending) -> ApprovalRequested:
    """Return the event that tells those who watch of what a run waits for."""
    return ApprovalRequested(
        approval=item.id,
        action=item.action,
        resource=item.resource,
        arguments=item.arguments,
        by=item.by,
        rules=item.rules,
        because=item.because,
        until=item.until,
    )


def still_open(pending: Sequence[_Waiting], grants: Sequence[ApprovalGrant]) -> tuple[_Waiting, ...]:
    """Return what nobody has answered yet; nothing once one of `pending` is refused.

    An earlier refusal in the same run answers nothing that waits now.
    """
    waiting = {item.id for item in pending}
    if any(not grant.approved and grant.id in waiting for grant in grants):
        return ()
    answered = {grant.id for grant in grants}
    return tuple(item for item in pending if item.id not in answered)


def waits_for(pending: Sequence[Pending]) -> str:
    """Say for people who must answer."""
    roles = ", ".join(f"`{item.by}`" + (f" until {item.until}" if item.until else "") for item in pending)
    return f"waits for approval by {roles}"


def lapsed(agent: Agent, run: str, grants: Sequence[ApprovalGrant]) -> tuple[PendingApproval, ...]:
    """Return what `run` waits for according to the document, and nobody answered within its time limit.

    Raises:
        EvaluationError: the clock gives no time.
    """
    mine = [item for item in agent.document.execution_state.pending if item.run == run]
    now = agent.clock.now()
    return tuple(item for item in still_open(mine, grants) if _is_over(item, now))


async def record_lapses(session: Session, grants: tuple[ApprovalGrant, ...]) -> tuple[ApprovalGrant, ...]:
    """Record what lapsed while the session's run waited (rule 5), and return all that counts as an answer.

    For the one who has claimed the run (`recovery.first_to_go_on`), so that it is recorded once.

    Args:
        session: of the run, whose pending approvals the document still lists.
        grants: what `grants_of` said before the run was claimed.

    Raises:
        EvaluationError: the clock gives no time.
        LedgerError: it cannot be recorded; nothing was.
    """
    agent = session.agent
    if not lapsed(agent, session.run, grants):
        return grants
    # Read again: somebody may have answered in time between that reading and the claim.
    grants = await asyncio.to_thread(grants_of, agent, session.run)
    for item in lapsed(agent, session.run, grants):
        grant = _answered(
            item,
            by=CLOCK,
            reason=f"nobody answered by {item.until}",
            approved=False,
            meaning="approval",
            at=agent.clock.now(),
        )
        await _record(session, item, grant)
    return await asyncio.to_thread(grants_of, agent, session.run)


def _is_over(pending: PendingApproval, now: str) -> bool:
    try:
        return is_reached(pending.until, now)
    except ValueError as error:
        raise EvaluationError(f"whether approval `{pending.id}` lapsed cannot be told: {error}") from error


async def settle(
    agent: Agent, approval: str, *, by: Caller, reason: str, meaning: str, approved: bool
) -> Answer:
    """Record a person's answer; see `Runtime.approve`.

    Raises:
        EvaluationError: no such approval waits, no reason is given, or `meaning` is not one of the four.
    """
    meant = meaning_of(meaning)
    if meant is None:
        raise EvaluationError(f"`{meaning}` is no meaning of an approval: use one of {', '.join(MEANINGS)}")
    if not reason.strip():
        raise EvaluationError("an approval needs a reason in the person's own words")
    await asyncio.to_thread(agent.refresh)
    pending = next((item for item in agent.document.execution_state.pending if item.id == approval), None)
    if pending is None:
        known = ", ".join(f"`{item.id}`" for item in agent.document.execution_state.pending) or "none"
        raise EvaluationError(f"no approval `{approval}` waits; waiting: {known}")
    session = operation_session(agent, by)
    verb = "approve" if approved else "refuse"
    now = agent.clock.now()
    fault = await asyncio.to_thread(_fault, agent, pending, by, now)
    if not fault and approved and meant == "authorship":
        fault = "who signs as the author approves nothing"
    if fault:
        record = await record_refusal(session, verb, approval, "ineligible", fault)
        return _answer(session, verb, pending, allowed=False, kind="ineligible", because=fault, record=record)
    grant = _answered(pending, by=by.id, reason=reason, approved=approved, meaning=meant, at=now)
    record = await _record(session, pending, grant)
    kind = "approved" if approved else "refused"
    return _answer(session, verb, pending, allowed=True, kind=kind, because=reason, record=record)


def _answered(
    pending: PendingApproval, *, by: str, reason: str, approved: bool, meaning: Meaning, at: str
) -> ApprovalGrant:
    return ApprovalGrant(
        id=pending.id,
        run=pending.run,
        request=pending.request,
        by=by,
        role=pending.by,
        reason=reason,
        approved=approved,
        meaning=meaning,
        at=at,
    )


async def _record(session: Session, pending: PendingApproval, grant: ApprovalGrant) -> str:
    """Make an answer durable, and return the digest of its record."""
    agent = session.agent
    body: JsonObject = {**grant.to_json(), "rules": list(pending.rules)}
    draft = Draft(kind="approval", agent=agent.id, run=pending.run, at=grant.at, body=body)
    (receipt,) = await agent.submit(draft)
    if session.narrator is not None:
        session.narrator.settled(grant, receipt, rules=pending.rules)
    return receipt.digest


def _fault(agent: Agent, pending: PendingApproval, by: Caller, now: str) -> str:
    """Say why this person's answer does not count; empty where it does."""
    if agent.document.execution_state.lifecycle == "terminated":
        return "the agent is terminated"
    if same_person(by.id, CLOCK):
        return f"`{CLOCK}` is nobody: it is the runtime's own name for an approval that lapsed"
    if _is_over(pending, now):
        return f"the approval lapsed at {pending.until}: let the run go on, and ask again"
    if any(grant.id == pending.id for grant in grants_of(agent, pending.run)):
        return f"approval `{pending.id}` is answered already"
    if pending.by not in by.roles:
        return f"`{by.id}` does not hold the role `{pending.by}`"
    state = agent.store.load_run(pending.run)
    if state is None:
        return f"the store has no run `{pending.run}`"
    if same_person(RunMemo.from_json(state.value).caller.id, by.id):
        return f"`{by.id}` cannot decide on a request of their own"
    return ""


def _answer(
    session: Session,
    verb: str,
    pending: PendingApproval,
    *,
    allowed: bool,
    kind: str,
    because: str,
    record: str,
) -> Answer:
    return Answer(
        allowed=allowed,
        action=verb,
        resource=pending.id,
        kind=kind,
        rules=pending.rules,
        because=because,
        record=record,
        revision=session.document.identity.revision,
        value={"run": pending.run, "action": pending.action},
    )
