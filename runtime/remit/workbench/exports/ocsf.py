"""Decisions as OCSF events: API Activity (6003) with the profiles security_control and ai_operation.

Rules
1. `metadata.uid` is the digest of the record, under which `remit ledger` knows it; `sequence` is its index.
2. What a rule decided is `action_id` and `disposition_id`; what waits for a person is neither allowed nor
   denied yet: action unknown, disposition delayed.
3. A denial because something is broken has another disposition and a higher severity than one by a rule.
4. Whoever acts is the caller where that is told, and in each case the run as a session; the agent is
   `ai_agent`. The host is not recorded, so the source endpoint is the service `remit`.
5. What OCSF has no attribute for is under `unmapped`.

Source: OCSF schema 1.9.0: class api_activity, profiles security_control and ai_operation.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from remit.gate.recorded import NotKeptError, ref_of
from remit.records import LEDGER_SPEC

if TYPE_CHECKING:
    from remit.document.values import JsonObject, JsonValue
    from remit.workbench.exports.selection import Told

OCSF_VERSION = "1.9.0"
CATEGORY_UID = 6
CLASS_UID = 6003
PROFILES = ("security_control", "ai_operation")

_OTHER = 99
_READ = (2, "Read")
_ACTIVITIES = {
    "remember": (1, "Create"),
    "recall": _READ,
    "export": _READ,
    "revise": (3, "Update"),
    "amend": (3, "Update"),
    "erase": (4, "Delete"),
}


class _Outcome(NamedTuple):
    """How OCSF says what became of a request."""

    action: tuple[int, str]
    disposition: tuple[int, str]
    status: tuple[int, str]
    severity: tuple[int, str]
    alert: bool


_ALLOWED, _DENIED = (1, "Allowed"), (2, "Denied")
_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")
_INFORMATIONAL, _LOW, _MEDIUM, _HIGH = (1, "Informational"), (2, "Low"), (3, "Medium"), (4, "High")

_ALLOW = _Outcome(_ALLOWED, (1, "Allowed"), _SUCCESS, _INFORMATIONAL, alert=False)
_APPROVED = _Outcome(_ALLOWED, (8, "Approved"), _SUCCESS, _INFORMATIONAL, alert=False)
_WAITS = _Outcome((0, "Unknown"), (14, "Delayed"), (_OTHER, "awaiting_approval"), _LOW, alert=False)
_UNAUTHORIZED = _Outcome(_DENIED, (26, "Unauthorized"), _FAILURE, _MEDIUM, alert=False)
_REJECTED = _Outcome(_DENIED, (25, "Rejected"), _FAILURE, _MEDIUM, alert=False)
_STOPPED = _Outcome(_DENIED, (2, "Blocked"), _FAILURE, _HIGH, alert=True)
_BROKEN = _Outcome(_DENIED, (27, "Error"), _FAILURE, _HIGH, alert=True)
_DENIALS = {
    "approval_refused": _REJECTED,
    "invalid_arguments": _REJECTED,
    "unknown_tool": _REJECTED,
    "stopped": _STOPPED,
    "error": _BROKEN,
    "unavailable": _BROKEN,
}


def ocsf_event(decision: Told, *, version: str, log: str) -> JsonObject:
    """Return a decision as an OCSF event.

    Args:
        decision: the decision.
        version: of Remit.
        log: the ledger's origin.
    """
    activity, name = _activity(decision)
    outcome = _outcome(decision)
    value = decision.record.value
    event: JsonObject = {
        "activity_id": activity,
        "activity_name": name,
        "category_uid": CATEGORY_UID,
        "category_name": "Application Activity",
        "class_uid": CLASS_UID,
        "class_name": "API Activity",
        "type_uid": CLASS_UID * 100 + activity,
        "type_name": f"API Activity: {'Other' if activity == _OTHER else name}",
        "severity_id": outcome.severity[0],
        "severity": outcome.severity[1],
        "status_id": outcome.status[0],
        "status": outcome.status[1],
        "status_detail": decision.text("kind"),
        "time": _epoch_ms(decision.at),
        "timezone_offset": 0,
        "action_id": outcome.action[0],
        "action": outcome.action[1],
        "disposition_id": outcome.disposition[0],
        "disposition": outcome.disposition[1],
        "is_alert": outcome.alert,
        "metadata": _metadata(decision, version=version, log=log),
        "actor": _actor(decision),
        "api": _api(decision),
        "src_endpoint": {"svc_name": "remit", "uid": value["agent"]},
        "resources": [_resource(decision)],
        "policy": {"uid": decision.text("image"), "name": "policy image"},
        "authorizations": _authorizations(decision),
        "ai_agent": {
            "uid": value["agent"],
            "instance_uid": value["run"],
            "version": decision.text("revision"),
        },
        "unmapped": _unmapped(decision),
    }
    if decision.message:
        event["message"] = decision.message
    return event


def _activity(decision: Told) -> tuple[int, str]:
    action = decision.text("action")
    if action in _ACTIVITIES:
        return _ACTIVITIES[action]
    if decision.member("resource").get("effect") == "read":
        return _READ
    return _OTHER, action


def _outcome(decision: Told) -> _Outcome:
    verdict = decision.text("verdict")
    if verdict == "allow":
        return _APPROVED if decision.body.get("approvals") else _ALLOW
    if verdict == "awaiting_approval":
        return _WAITS
    return _DENIALS.get(decision.text("kind"), _UNAUTHORIZED)


def _epoch_ms(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def _metadata(decision: Told, *, version: str, log: str) -> JsonObject:
    profiles: list[JsonValue] = list(PROFILES)
    return {
        "version": OCSF_VERSION,
        "profiles": profiles,
        "product": {"name": "Remit", "vendor_name": "Remit", "version": version},
        "uid": decision.record.digest,
        "sequence": decision.record.index,
        "log_name": log,
        "log_provider": "remit",
        "log_version": LEDGER_SPEC,
        "original_time": decision.at,
        "correlation_uid": decision.record.value["run"],
    }


def _actor(decision: Told) -> JsonObject:
    actor: JsonObject = {"session": {"uid": decision.record.value["run"]}}
    kind, name = _ref(decision.text("principal"))
    user = decision.caller or (name if kind == "Caller" else "")
    if user:
        actor["user"] = {"uid": user}
    return actor


def _api(decision: Told) -> JsonObject:
    request: JsonObject = {"uid": decision.text("request")}
    for name in ("arguments", "raw"):
        if decision.content is not None and name in decision.content:
            request["data"] = decision.content[name]
    return {"operation": decision.text("action"), "request": request, "service": {"name": "remit"}}


def _resource(decision: Told) -> JsonObject:
    kind, name = _ref(decision.text("resource"))
    return {"uid": decision.text("resource"), "type": kind, "name": name}


def _authorizations(decision: Told) -> list[JsonValue]:
    verdict, image = decision.text("verdict"), decision.text("image")
    return [
        {"decision": verdict, "policy": {"uid": rule, "name": rule, "version": image}}
        for rule in decision.rules
    ]


def _unmapped(decision: Told) -> JsonObject:
    masked: list[JsonValue] = list(decision.masked)
    return {
        "principal": decision.text("principal"),
        "engine": decision.text("engine"),
        "step": decision.body.get("step", 0),
        "obligations": decision.body.get("obligations", []),
        "content_erased": decision.erased,
        "masked": masked,
    }


def _ref(text: str) -> tuple[str, str]:
    try:
        ref = ref_of(text)
    except NotKeptError:
        return "", text
    return ref.type, ref.id
