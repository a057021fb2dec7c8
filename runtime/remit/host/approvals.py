"""Approvals: what waits, who may answer, and the record of the answer.

Rules
1. Only what the document lists as pending can be answered, once.
2. The person holds the role that the rule names and is not the caller of the run (segregation of duties).
3. The answer is an `approval` record bound to the digest of exactly the request; the gate judges it again.
4. An attempt that does not count is recorded as a denied decision, never as an approval.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from remit.document.persons import same_person
from remit.errors import EvaluationError
from remit.gate.approvals import MEANINGS, ApprovalGrant, meaning_of
from remit.host.events import ApprovalRequested
from remit.host.memory_operations import record_refusal
from remit.host.operations import operation_session
from remit.host.results import Answer, Pending
from remit.host.thread import RunMemo
from remit.records import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remit.document.model import PendingApproval
    from remit.document.values import JsonObject
    from remit.gate.answers import AwaitingApproval
    from remit.host.agent import Agent
    from remit.host.caller import Caller
    from remit.host.session import Session


def grants_of(agent: Agent, run: str) -> tuple[ApprovalGrant, ...]:
    """Return what people answered in a run, in log order."""
    grants: list[ApprovalGrant] = []
    for record in agent.store.records(run=run):
        if record.value.get("kind") == "approval":
            grants.append(ApprovalGrant.from_json(cast("JsonObject", record.value["body"])))  # noqa: PERF401  # one a line reads better
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
    )


def still_open(pending: Sequence[Pending], grants: Sequence[ApprovalGrant]) -> tuple[Pending, ...]:
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
    roles = ", ".join(f"`{item.by}`" for item in pending)
    return f"waits for approval by {roles}"


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
    fault = await asyncio.to_thread(_fault, agent, pending, by)
    if not fault and approved and meant == "authorship":
        fault = "who signs as the author approves nothing"
    if fault:
        record = await record_refusal(session, verb, approval, "ineligible", fault)
        return _answer(session, verb, pending, allowed=False, kind="ineligible", because=fault, record=record)
    grant = ApprovalGrant(
        id=pending.id,
        run=pending.run,
        request=pending.request,
        by=by.id,
        role=pending.by,
        reason=reason,
        approved=approved,
        meaning=meant,
        at=agent.clock.now(),
    )
    body: JsonObject = {**grant.to_json(), "rules": list(pending.rules)}
    draft = Draft(kind="approval", agent=agent.id, run=pending.run, at=grant.at, body=body)
    (receipt,) = await agent.submit(draft)
    if session.narrator is not None:
        session.narrator.settled(grant, receipt, rules=pending.rules)
    kind = "approved" if approved else "refused"
    return _answer(session, verb, pending, allowed=True, kind=kind, because=reason, record=receipt.digest)


def _fault(agent: Agent, pending: PendingApproval, by: Caller) -> str:
    """Say why this person's answer does not count; empty where it does."""
    if agent.document.execution_state.lifecycle == "terminated":
        return "the agent is terminated"
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
