"""What a run comes to: its status, its words and its decision trace.

The trace holds nothing that differs between back-ends: no call ids, no digests of turns, no times.
Two runs in which the model asks for the same calls have equal traces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue

RunStatus = Literal["completed", "denied", "awaiting_approval", "terminated", "suspended", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decision of the trace.

    Args:
        step: 1-based number within the run.
        principal: Cedar entity reference of who acts; of the agent itself its type alone.
        action: Cedar action.
        resource: Cedar entity reference; of a back-end and of the agent itself its type alone.
        context: digest of what rules could read in the context, but for what is measured and named at random
            (`remit.host.requests.MEASURED`); empty where no rule was asked.
        verdict: allow, deny or awaiting_approval.
        kind: why.
        rules: determining rules, sorted.
        because: reason for people.
    """

    step: int
    principal: str
    action: str
    resource: str
    context: str
    verdict: str
    kind: str
    rules: tuple[str, ...]
    because: str

    def to_json(self) -> JsonObject:
        """Return the step as a JSON object with stable keys."""
        return {
            "step": self.step,
            "principal": self.principal,
            "action": self.action,
            "resource": self.resource,
            "context": self.context,
            "verdict": self.verdict,
            "kind": self.kind,
            "rules": list(self.rules),
            "because": self.because,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What a run waits for.

    Args:
        id: the approval's id.
        action: Cedar action.
        resource: Cedar entity reference.
        arguments: what would be done.
        by: role that must decide.
        rules: rules that ask for it.
        because: their reasons.
        until: RFC 3339 UTC time from which no answer counts any more; empty without a limit.
    """

    id: str
    action: str
    resource: str
    arguments: JsonObject
    by: str
    rules: tuple[str, ...]
    because: str
    until: str = ""

    def to_json(self) -> JsonObject:
        """Return it as a JSON object with stable keys."""
        return {
            "id": self.id,
            "action": self.action,
            "resource": self.resource,
            "arguments": self.arguments,
            "by": self.by,
            "rules": list(self.rules),
            "because": self.because,
            "until": self.until,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to.

    Args:
        status: how it stands.
        run: run id.
        agent: agent id.
        revision: the agent's head revision afterwards.
        text: the model's final text; empty where there is none.
        reason: why it did not complete; empty when completed.
        steps: the decision trace, of the whole run, also across approvals.
        usage: the run's counters.
        pending: what it waits for, or None.
        backend: name of the back-end that answered; empty where none did.
        dry_run: whether nothing was enforced on the world.
    """

    status: RunStatus
    run: str
    agent: str
    revision: str
    text: str
    reason: str
    steps: tuple[Step, ...]
    usage: dict[str, int]
    pending: Pending | None = None
    backend: str = ""
    dry_run: bool = False

    def to_json(self) -> JsonObject:
        """Return the result as a JSON object with stable keys."""
        return {
            "status": self.status,
            "run": self.run,
            "agent": self.agent,
            "revision": self.revision,
            "text": self.text,
            "reason": self.reason,
            "steps": [step.to_json() for step in self.steps],
            "usage": dict(self.usage),
            "pending": None if self.pending is None else self.pending.to_json(),
            "backend": self.backend,
            "dry_run": self.dry_run,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a single operation outside a run came to, such as suspend, approve, remember or amend.

    Args:
        allowed: whether it was allowed and done.
        action: Cedar action, or `approve` and `refuse`.
        resource: Cedar entity reference, or the approval's id.
        kind: why.
        rules: determining rules.
        because: reason for people.
        record: digest of the ledger record.
        revision: the agent's head afterwards.
        value: what was asked for (recall, export, remember's entry id, what was in flight at a kill), else
            None.
    """

    allowed: bool
    action: str
    resource: str
    kind: str
    rules: tuple[str, ...]
    because: str
    record: str
    revision: str
    value: JsonValue = None

    def to_json(self) -> JsonObject:
        """Return the answer as a JSON object with stable keys."""
        return {
            "allowed": self.allowed,
            "action": self.action,
            "resource": self.resource,
            "kind": self.kind,
            "rules": list(self.rules),
            "because": self.because,
            "record": self.record,
            "revision": self.revision,
            "value": self.value,
        }
