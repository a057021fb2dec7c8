"""Operations of people outside a run: each one is a session of its own, judged and recorded like a run."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from remit.gate.answers import AwaitingApproval, Granted
from remit.host.memory_operations import Done, Invalid, Outcome
from remit.host.results import Answer
from remit.host.session import Session, reasons

if TYPE_CHECKING:
    from remit.document.values import JsonValue
    from remit.host.agent import Agent
    from remit.host.caller import Caller


def operation_session(agent: Agent, by: Caller) -> Session:
    """Open a session in which `by` acts themselves."""
    return Session(agent, by, run=f"operation-{secrets.token_hex(12)}", on_own_behalf=True)


def answer_of(
    session: Session, outcome: Granted | Outcome, *, action: str, resource: str, value: JsonValue = None
) -> Answer:
    """Turn what the gate said into an answer; an approval that would be needed is a no here."""
    revision = session.document.identity.revision
    if isinstance(outcome, Invalid):
        return Answer(
            allowed=False,
            action=action,
            resource=resource,
            kind=outcome.kind,
            rules=(),
            because=outcome.message,
            record=outcome.record,
            revision=revision,
        )
    if isinstance(outcome, Done):
        done, outcome = outcome, outcome.answer
        value = done.value
    if isinstance(outcome, Granted):
        kind, rules = "allowed", outcome.decision.reasons
    elif isinstance(outcome, AwaitingApproval):
        kind, rules = "needs_approval", outcome.rules
    else:
        kind, rules = outcome.kind, outcome.rules
    return Answer(
        allowed=isinstance(outcome, Granted),
        action=action,
        resource=resource,
        kind=kind,
        rules=tuple(rules),
        because=reasons(outcome),
        record="" if outcome.receipt is None else outcome.receipt.digest,
        revision=revision,
        value=value if isinstance(outcome, Granted) else None,
    )
