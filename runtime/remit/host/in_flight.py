"""What was in flight when an order was given: effects that had begun and have no outcome yet.

An order stops what has not begun. What has begun may end, fail, or be cut off; its record says which, and
until it does, somebody who gave the order must know of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from remit.errors import LedgerError
from remit.host.scopes import lineage_scopes, tenant_scopes

if TYPE_CHECKING:
    from remit.document.values import JsonObject
    from remit.host.stores import Store
    from remit.records import Record


def in_flight(store: Store, scope: str) -> list[JsonObject]:
    """Return the effects under way that an order on `scope` concerns, oldest first.

    Each has `agent`, `run`, `effect`, `target`, `since` and `intent`, the digest of its record.

    Raises:
        LedgerError: the store cannot be read.
    """
    scopes: dict[str, frozenset[str]] = {}
    found: list[JsonObject] = []
    for record in store.unfinished():
        agent = str(record.value["agent"])
        if agent not in scopes:
            scopes[agent] = _scopes_of(store, agent)
        body = cast("JsonObject", record.value["body"])
        kind = "backend" if body.get("effect") == "dispatch" else "tool"
        own = {"all", f"run:{record.value['run']}", f"{kind}:{body.get('target')}"}
        if scope in own or scope in scopes[agent]:
            found.append(_told(record, body))
    return found


def _scopes_of(store: Store, agent: str) -> frozenset[str]:
    try:
        document = store.load(agent)
    except LedgerError:
        # An agent that does not verify is concerned all the same.
        document = None
    if document is None:
        return frozenset((f"agent:{agent}", f"lineage:{agent}"))
    return frozenset((f"agent:{agent}", *lineage_scopes(document, store), *tenant_scopes(document)))


def _told(record: Record, body: JsonObject) -> JsonObject:
    return {
        "agent": record.value["agent"],
        "run": record.value["run"],
        "effect": body.get("effect"),
        "target": body.get("target"),
        "since": record.value["at"],
        "intent": record.digest,
    }
