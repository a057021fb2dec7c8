"""The execution state: lifecycle, usage and pending approvals, and how a head moves through them.

Rules
1. draft → ready → active ⇄ suspended / awaiting_approval → terminated; nothing leaves terminated.
2. A run that a termination rule, a budget or a loop bound ends is terminated; its agent goes back to ready.
   The agent itself is terminated by `Runtime.terminate` alone, which is an action of its own.
3. While approvals of any run are pending the lifecycle is awaiting_approval; else, between runs, it is ready.
   Another run may be activated meanwhile; when it ends, the lifecycle is awaiting_approval again.
4. A change of execution state that loses a compare-and-swap is made again on the new head: it depends on
   nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.document.revision import revise
from remit.errors import HeadMovedError, LedgerError
from remit.gate.usage import Usage
from remit.host.session import MAX_MOVES, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from remit.document.model import Document, ExecutionState, Lifecycle, PendingApproval
    from remit.document.values import JsonObject, JsonValue
    from remit.ports import RunState
    from remit.records import Draft


def pending_value(item: PendingApproval) -> JsonObject:
    """Return a pending approval as a member of `execution_state.pending`."""
    value: JsonObject = {
        "id": item.id,
        "run": item.run,
        "action": item.action,
        "rules": list(item.rules),
        "by": item.by,
        "request": item.request,
        "because": item.because,
    }
    # Left out where there is none: what waits without a limit keeps the identity that it always had.
    return {**value, "until": item.until} if item.until else value


def state_value(
    state: ExecutionState,
    *,
    lifecycle: Lifecycle | None = None,
    usage: Usage | None = None,
    pending: tuple[PendingApproval, ...] | None = None,
) -> JsonObject:
    """Return the field's value with some members replaced; `x-` members stay."""
    value: dict[str, JsonValue] = dict(state.value)
    value["lifecycle"] = lifecycle or state.lifecycle
    if usage is not None:
        value["usage"] = usage.to_json()
    if pending is not None:
        value["pending"] = [pending_value(item) for item in pending]
    return value


def resting(document: Document, pending: tuple[PendingApproval, ...]) -> Lifecycle:
    """Return the lifecycle of an agent whose run stopped (rules 1 to 3)."""
    if document.execution_state.lifecycle in ("suspended", "terminated", "draft"):
        return document.execution_state.lifecycle
    return "awaiting_approval" if pending else "ready"


def pending_of_others(head: Document, run: str) -> tuple[PendingApproval, ...]:
    """Return the approvals that other runs than `run` wait for."""
    return tuple(item for item in head.execution_state.pending if item.run != run)


def waiting_value(
    head: Document, run: str, pending: tuple[PendingApproval, ...], *, unsettled: Usage
) -> JsonObject:
    """Return the field's value once `run` waits for `pending` (rule 3).

    Args:
        head: the document.
        run: run id.
        pending: what it waits for.
        unsettled: what the run used and the document does not hold yet.
    """
    state = head.execution_state
    lifecycle: Lifecycle = (
        state.lifecycle if state.lifecycle in ("suspended", "terminated", "draft") else "awaiting_approval"
    )
    return state_value(
        state,
        lifecycle=lifecycle,
        usage=Usage.from_json(dict(state.usage)).with_all(unsettled),
        pending=(*pending_of_others(head, run), *pending),
    )


def answered_value(head: Document, run: str, *, active: bool) -> JsonObject:
    """Return the field's value once people have answered what `run` waited for.

    Args:
        head: the document.
        run: run id.
        active: whether the run goes on as one that is active.
    """
    others = pending_of_others(head, run)
    lifecycle = head.execution_state.lifecycle
    if lifecycle == "awaiting_approval":
        lifecycle = "active" if active else resting(head, others)
    return state_value(head.execution_state, lifecycle=lifecycle, pending=others)


async def move(
    session: Session,
    *,
    operation: str,
    decision: str,
    state: Callable[[Document], JsonObject],
    records: Callable[[Document], tuple[Draft, ...]] = lambda _: (),
    run_state: RunState | None = None,
) -> Document:
    """Move the head to a child with another execution state, on whatever head stands.

    Args:
        session: who moves it.
        operation: the lineage operation.
        decision: digest of the record of the decision that allowed it; empty where there is none.
        state: the new field value, from the head.
        records: further records, from the child.
        run_state: saved in the same transaction.

    Raises:
        LedgerError: the head kept moving, or it cannot be written; nothing was.
    """
    for _ in range(MAX_MOVES):
        parent = session.document
        child = revise(
            parent,
            operation=operation,
            actor=str(session.actor.ref),
            at=session.agent.clock.now(),
            decision=decision,
            execution_state=state(parent),
        )
        try:
            await session.agent.advance(
                child, session.revision_draft(parent, child), *records(child), run_state=run_state
            )
        except HeadMovedError:
            session.agent.reload()
            continue
        session.revised(parent, child)
        return child
    raise LedgerError(f"the agent's head moved {MAX_MOVES} times while `{operation}` was recorded")
