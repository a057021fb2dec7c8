"""What OCSF 1.9.0 requires of an API Activity event with the profile security_control, written down as a table.

Source: github.com/ocsf/ocsf-schema, release 1.9.0: events/base_event.json, includes/classification.json,
includes/occurrence.json, events/application/api_activity.json, profiles/security_control.json,
objects/{metadata,product,actor,api,network_endpoint,resource_details,user,session,ai_agent,request}.json,
and `disposition_id`, `severity_id`, `status_id` of dictionary.json.
"""

from __future__ import annotations

REQUIRED: dict[str, type] = {
    "activity_id": int,
    "category_uid": int,
    "class_uid": int,
    "type_uid": int,
    "severity_id": int,
    "time": int,
    "metadata": dict,
    "metadata.version": str,
    "metadata.product": dict,
    "metadata.product.name": str,
    "actor": dict,
    "api": dict,
    "api.operation": str,
    "api.request.uid": str,
    "src_endpoint": dict,
    "ai_agent.uid": str,
}
"""Attributes whose requirement is `required`, by path, with the type of their value."""

RECOMMENDED: dict[str, type] = {
    "action_id": int,
    "disposition_id": int,
    "is_alert": bool,
    "status_id": int,
    "resources": list,
    "metadata.original_time": str,
    "metadata.log_name": str,
    "timezone_offset": int,
}
"""Attributes that are recommended and that a decision has: a reader of the profile expects them."""

ENUMS: dict[str, frozenset[int]] = {
    "activity_id": frozenset((0, 1, 2, 3, 4, 99)),
    "category_uid": frozenset((6,)),
    "class_uid": frozenset((6003,)),
    "severity_id": frozenset((0, 1, 2, 3, 4, 5, 6, 99)),
    "status_id": frozenset((0, 1, 2, 99)),
    "action_id": frozenset((0, 1, 2, 3, 4)),
    "disposition_id": frozenset((*range(28), 99)),
}

AT_LEAST_ONE: dict[str, frozenset[str]] = {
    "actor": frozenset(("process", "user", "session", "app_name", "app_uid", "application")),
    "src_endpoint": frozenset(
        ("ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name")
    ),
}

ATTRIBUTES = frozenset(
    (
        # base_event, classification, occurrence
        "activity_id",
        "activity_name",
        "category_name",
        "category_uid",
        "class_name",
        "class_uid",
        "message",
        "metadata",
        "severity",
        "severity_id",
        "status",
        "status_code",
        "status_detail",
        "status_id",
        "time",
        "timezone_offset",
        "type_name",
        "type_uid",
        "unmapped",
        # api_activity
        "actor",
        "api",
        "resources",
        "src_endpoint",
        # security_control
        "action",
        "action_id",
        "authorizations",
        "disposition",
        "disposition_id",
        "is_alert",
        "policy",
        # ai_operation
        "ai_agent",
    )
)
"""Attributes of the class and its profiles that an exported event may use."""


def faults(event: dict[str, object]) -> list[str]:
    """What in `event` breaks the table."""
    found = [f"unknown attribute `{name}`" for name in event if name not in ATTRIBUTES]
    for path, kind in {**REQUIRED, **RECOMMENDED}.items():
        value: object = event
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if type(value) is not kind:
            found.append(f"`{path}` is {value!r}, not a {kind.__name__}")
    found += [
        f"`{name}` is {event.get(name)!r}" for name, known in ENUMS.items() if event.get(name) not in known
    ]
    for name, names in AT_LEAST_ONE.items():
        value = event.get(name)
        if not isinstance(value, dict) or not names & set(value):
            found.append(f"`{name}` has none of {sorted(names)}")
    if event.get("type_uid") != 100 * int(str(event["class_uid"])) + int(str(event["activity_id"])):
        found.append("`type_uid` is not class_uid * 100 + activity_id")
    return found
