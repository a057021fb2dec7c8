"""Decisions as events of an OPA decision log.

Rules
1. `decision_id` is the digest of the record, under which `remit ledger` knows it.
2. `input` is the request as it was asked, `result` is what the gate answered.
3. `erased` names, as JSON Pointers, what is not told; `masked` names what is told in another value.
4. The array is one JSON text; OPA sends it compressed, and so is it written into a file `….gz`.

Source: Open Policy Agent, Management APIs: Decision Logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remit.gate.recorded import NotKeptError, ref_of

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.exports.selection import Told

BUNDLE = "policy-image"
"""Name of the bundle whose revision is the digest of the policy image."""
_UNTOLD = (
    "/input/context",
    "/input/principal/attributes",
    "/input/resource/attributes",
    "/input/entities",
)


def opa_event(decision: Told, *, version: str) -> JsonObject:
    """Return a decision as an event of an OPA decision log.

    Args:
        decision: the decision.
        version: of Remit.
    """
    value = decision.record.value
    given: JsonObject = {
        "principal": _entity(decision, "principal"),
        "action": decision.text("action"),
        "resource": _entity(decision, "resource"),
    }
    for name in ("context", "entities", "arguments", "raw", "unrecordable"):
        if decision.content is not None and name in decision.content:
            given[name] = decision.content[name]
    event: JsonObject = {
        "labels": {
            "app": "remit",
            "version": version,
            "agent": value["agent"],
            "run": value["run"],
        },
        "decision_id": decision.record.digest,
        "bundles": {BUNDLE: {"revision": decision.text("image")}},
        "path": f"remit/{decision.text('action')}",
        "input": given,
        "result": _result(decision),
        "timestamp": decision.at,
    }
    if decision.caller:
        event["requested_by"] = decision.caller
    untold = [*(_UNTOLD if decision.erased else ()), *_quiet(decision)]
    if untold:
        event["erased"] = [*untold]
    if decision.masked:
        event["masked"] = [f"/input{path}" for path in decision.masked]
    return event


def _quiet(decision: Told) -> list[str]:
    """Return where sentences were left out."""
    errors = decision.body.get("errors")
    found = ["/result/message"] if decision.quiet and decision.text("message") else []
    if decision.quiet and isinstance(errors, list):
        found += [f"/result/errors/{number}/message" for number in range(len(errors))]
    return found


def _entity(decision: Told, part: str) -> JsonObject:
    try:
        ref = ref_of(decision.text(part))
    except NotKeptError:
        return {"type": "", "id": decision.text(part)}
    value: JsonObject = {"type": ref.type, "id": ref.id}
    if decision.content is not None and part in decision.content:
        value["attributes"] = decision.content[part]
    return value


def _result(decision: Told) -> JsonObject:
    body = decision.body
    rules: list[JsonValue] = list(decision.rules)
    return {
        "allow": decision.text("verdict") == "allow",
        "verdict": decision.text("verdict"),
        "kind": decision.text("kind"),
        "rules": rules,
        "obligations": body.get("obligations", []),
        "errors": decision.errors,
        "message": decision.message,
    }
