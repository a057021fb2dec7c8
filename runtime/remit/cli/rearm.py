"""Withdrawing a stop.

The gate cannot be asked, it denies everything under the stop; so the engine is asked the question that
stopping was judged by, and the answer is recorded before the stop is lifted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.cli.exits import bad_input
from remit.document.persons import same_person
from remit.engine.cedar import CedarEngine
from remit.gate.usage import Usage
from remit.host.clock import SystemClock
from remit.host.requests import Scene, agent_entity, build_request, caller_entity
from remit.host.results import Answer
from remit.policy.compile import compile_governance
from remit.ports import Batch
from remit.records import Draft

if TYPE_CHECKING:
    from remit.cli.stores import AuditableStore
    from remit.document.model import Document
    from remit.document.values import JsonObject
    from remit.host.caller import Caller

JUDGED_BY = "terminate"


def lift(document: Document, store: AuditableStore, scope: str, *, by: Caller, reason: str) -> Answer:
    """Withdraw the stop on `scope`, if somebody who may stop the agent, and did not give the kill, is asking.

    Args:
        document: the agent's head, whose rules judge.
        store: holds the control state and the ledger.
        scope: exactly the scope that was stopped.
        by: who asks.
        reason: why, in their words.

    Raises:
        FaultsError: no stop stands on `scope`.
        LedgerError: it cannot be recorded; the stop stands.
    """
    stop = store.control.in_force([scope])
    if stop is None:
        raise bad_input(f"no stop stands on `{scope}`", "name the scope exactly as it was stopped")
    now = SystemClock().now()
    image = compile_governance(document)
    scene = Scene(
        document=document,
        caller=by,
        environment={},
        usage=Usage(),
        lifetime=Usage(),
        run="",
        now=now,
    )
    resource = agent_entity(document)
    request = build_request(scene, principal=caller_entity(by), action=JUDGED_BY, resource=resource)
    decision = CedarEngine(image).decide(request)
    reasons = [image.rules[rule].because for rule in decision.reasons if rule in image.rules]
    # INVARIANT (four eyes): the control state lets nobody lift their own kill; the record must say the same.
    own = stop.order == "kill" and same_person(stop.by, by.id)
    if own:
        reasons = [f"`{by.id}` gave this kill, so another person must lift it"]
    allowed = decision.allowed and not own
    body: JsonObject = {
        "order": "lift",
        "scope": scope,
        "by": by.id,
        "roles": [*by.roles],
        "reason": reason,
        "verdict": "allow" if allowed else "deny",
        "rules": [*decision.reasons],
        "image": decision.image,
    }
    draft = Draft(kind="control", agent=document.identity.agent, run="", at=now, body=body)
    receipt = store.submit(Batch(records=(draft,))).result()[0]
    if allowed:
        store.control.lift(scope, by=by.id, reason=reason, at=now)
    return Answer(
        allowed=allowed,
        action="lift",
        resource=scope,
        kind="forbidden" if own else decision.kind,
        rules=decision.reasons,
        because="; ".join(text for text in reasons if text),
        record=receipt.digest,
        revision=document.identity.revision,
    )
